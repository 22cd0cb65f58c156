//! The pods of one workload, as times.

use super::NodeOptions;
use crate::clock::stamp;
use crate::store::Store;
use jiff::Timestamp;
use objects::paths;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// When the controllers look, and how they behave.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    /// For waiting.
    pub now: Instant,
    /// For stamps.
    pub stamp: Timestamp,
    /// How the nodes behave.
    pub options: &'a NodeOptions,
}

impl Scene<'_> {
    /// The time as conditions show it.
    pub(super) fn stamp(&self) -> String {
        stamp(self.stamp)
    }
}

/// One pod.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    /// Which template it was made from.
    pub hash: String,
    /// When it is ready; none: never.
    pub ready_at: Option<Instant>,
    /// Name of its object; empty: there is none.
    pub name: String,
    /// Whether its object shows that it is ready.
    pub shown_ready: bool,
}

impl Pod {
    /// Whether it has been ready for that long.
    pub(super) fn is_ready(&self, now: Instant, since: Duration) -> bool {
        self.ready_at.is_some_and(|at| at + since <= now)
    }
}

/// The pods of one workload.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// The pods, oldest first.
    pub pods: Vec<Pod>,
    /// The template that was rolled out last; empty: none yet.
    pub hash: String,
    /// How many templates there have been.
    pub revision: u64,
}

impl Fleet {
    /// How many pods pass a test.
    pub(super) fn count(&self, test: impl Fn(&Pod) -> bool) -> i64 {
        i64::try_from(self.pods.iter().filter(|pod| test(pod)).count()).unwrap_or(i64::MAX)
    }

    /// Adds pods of the present template.
    pub(super) fn add(&mut self, store: &mut Store, workload: &Value, number: i64, scene: &Scene<'_>) {
        let after = ready_after(workload, scene.options);
        for _ in 0..number {
            let name = if scene.options.pods {
                super::pods::create(store, workload, &self.hash, scene)
            } else {
                String::new()
            };
            let ready_at = after.map(|after| scene.now + after);
            self.pods.push(Pod { hash: self.hash.clone(), ready_at, name, shown_ready: false });
        }
    }

    /// Removes up to that many pods that pass a test, those that are not ready first; the answer is how many.
    pub(super) fn remove(
        &mut self,
        store: &mut Store,
        workload: &Value,
        number: i64,
        scene: &Scene<'_>,
        test: impl Fn(&Pod) -> bool,
    ) -> i64 {
        let mut removed = 0;
        for ready in [false, true] {
            while removed < number {
                let Some(at) =
                    self.pods.iter().rposition(|pod| test(pod) && pod.is_ready(scene.now, Duration::ZERO) == ready)
                else {
                    break;
                };
                let pod = self.pods.remove(at);
                if !pod.name.is_empty() {
                    store.remove("pods", paths::text(workload, "/metadata/namespace"), &pod.name);
                }
                removed += 1;
            }
        }
        removed
    }

    /// Forgets pods whose objects somebody has deleted.
    pub(super) fn drop_lost(&mut self, store: &Store, workload: &Value) {
        let namespace = paths::text(workload, "/metadata/namespace");
        self.pods.retain(|pod| pod.name.is_empty() || store.get("pods", namespace, &pod.name).is_some());
    }

    /// Makes the objects of pods that have become ready say so.
    pub(super) fn show_ready(&mut self, store: &mut Store, workload: &Value, scene: &Scene<'_>) {
        for pod in self.pods.iter_mut().filter(|pod| !pod.shown_ready && pod.is_ready(scene.now, Duration::ZERO)) {
            pod.shown_ready = true;
            if !pod.name.is_empty() {
                super::pods::show_ready(store, paths::text(workload, "/metadata/namespace"), &pod.name, scene);
            }
        }
    }

    /// The next moment at which a pod becomes ready or available.
    pub(super) fn next_ready(&self, now: Instant, minimum: Duration) -> Option<Instant> {
        self.pods.iter().filter_map(|pod| pod.ready_at).flat_map(|at| [at, at + minimum]).filter(|at| *at > now).min()
    }
}

/// `sim/ready-after` of the pod template, in seconds; none: never.
fn ready_after(workload: &Value, options: &NodeOptions) -> Option<Duration> {
    let annotations = workload.pointer("/spec/template/metadata/annotations");
    match annotations.and_then(|all| all.get("sim/ready-after")).and_then(Value::as_str) {
        Some("never") => None,
        Some(text) => Some(
            text.parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .unwrap_or(options.ready_after),
        ),
        None => Some(options.ready_after),
    }
}

/// A short name for a pod template: the same template has the same one.
pub(super) fn template_hash(workload: &Value) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a over the sorted text: key order is no difference between templates.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    feed(workload.pointer("/spec/template").unwrap_or(&Value::Null), &mut hash);
    let mut letters = String::new();
    for _ in 0..10 {
        let letter = usize::try_from(hash % 27).ok().and_then(|at| LETTERS.get(at)).copied().unwrap_or(b'x');
        letters.push(char::from(letter));
        hash /= 27;
    }
    letters
}

fn feed(value: &Value, hash: &mut u64) {
    let mut bytes = |text: &str| {
        for byte in text.bytes() {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            bytes("{");
            for key in keys {
                feed(&json!(key), hash);
                feed(map.get(key).unwrap_or(&Value::Null), hash);
            }
        }
        Value::Array(list) => {
            bytes("[");
            for item in list {
                feed(item, hash);
            }
        }
        other => bytes(&format!("{other},")),
    }
}

/// Sets a condition, at the end of the list; `lastTransitionTime` follows its status.
pub(super) fn set_condition(conditions: &mut Vec<Value>, mut new: Value) {
    let kind = paths::text(&new, "/type").to_owned();
    if let Some(at) = conditions.iter().position(|one| paths::text(one, "/type") == kind) {
        let old = conditions.remove(at);
        if old.get("status") == new.get("status") {
            paths::set(&mut new, &["lastTransitionTime"], old.get("lastTransitionTime").cloned().unwrap_or_default());
        }
    }
    conditions.push(new);
}
