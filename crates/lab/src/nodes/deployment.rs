//! Deployments: rolling updates with surge and unavailability. The status that tells of them is in `deployment_status`.

use super::deployment_status::Look;
use super::fleet::{Fleet, Scene, template_hash};
use super::replica_sets;
use crate::store::Store;
use objects::paths;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const REVISION: &str = "deployment.kubernetes.io/revision";

/// What the spec asks for.
pub(super) struct Plan {
    /// How many pods.
    pub desired: i64,
    /// How many more than that at most.
    pub surge: i64,
    /// How many of them need not serve.
    pub unavailable: i64,
    /// Whether old pods go before new ones come.
    pub recreate: bool,
    /// Whether a new template is left alone.
    pub paused: bool,
    /// How long a pod must be ready before it counts as available.
    pub minimum: Duration,
}

/// Looks at a Deployment: moves its pods on and writes its status. The answer is when to look again.
pub(super) fn sync(store: &mut Store, object: &Value, fleet: &mut Fleet, scene: &Scene<'_>) -> Option<Instant> {
    let plan = plan(object);
    let hash = template_hash(object);
    let fresh = fleet.hash != hash && !plan.paused;
    if fresh {
        fleet.revision = fleet.revision.max(known_revision(object)) + 1;
        fleet.hash.clone_from(&hash);
    }
    if scene.options.pods {
        fleet.drop_lost(store, object);
        if fleet.hash == hash {
            replica_sets::ensure(store, object, fleet, scene);
        }
    }
    fleet.show_ready(store, object, scene);
    while !fleet.hash.is_empty() && step(store, object, fleet, &plan, scene) {}
    let look = Look { object, fleet, plan: &plan, hash: &hash, fresh, scene };
    let status = look.status();
    let again = fleet.next_ready(scene.now, plan.minimum).into_iter().chain(look.deadline(&status)).min();
    write(store, object, fleet, &status, scene);
    if scene.options.pods {
        replica_sets::show(store, object, fleet, &plan, scene);
    }
    again
}

fn known_revision(object: &Value) -> u64 {
    paths::annotation(object, REVISION).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn plan(object: &Value) -> Plan {
    let desired = paths::integer(object, "/spec/replicas").unwrap_or(1);
    let share =
        |key: &str, up: bool| share(object.pointer(&format!("/spec/strategy/rollingUpdate/{key}")), desired, up);
    let (surge, mut unavailable) = (share("maxSurge", true), share("maxUnavailable", false));
    if surge == 0 && unavailable == 0 {
        // Otherwise nothing could ever move.
        unavailable = 1;
    }
    Plan {
        desired,
        surge,
        unavailable: unavailable.min(desired),
        recreate: paths::text(object, "/spec/strategy/type") == "Recreate",
        paused: object.pointer("/spec/paused") == Some(&json!(true)),
        minimum: Duration::from_secs(
            paths::integer(object, "/spec/minReadySeconds")
                .and_then(|seconds| u64::try_from(seconds).ok())
                .unwrap_or_default(),
        ),
    }
}

/// A number, or a percentage of the wanted pods.
fn share(value: Option<&Value>, of: i64, up: bool) -> i64 {
    let percent =
        value.and_then(Value::as_str).and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<i64>().ok());
    match percent {
        Some(percent) => (of * percent + if up { 99 } else { 0 }) / 100,
        None => value.and_then(Value::as_i64).unwrap_or_default(),
    }
}

/// One move; the answer is whether there may be another.
fn step(store: &mut Store, object: &Value, fleet: &mut Fleet, plan: &Plan, scene: &Scene<'_>) -> bool {
    let hash = fleet.hash.clone();
    let current = |pod: &super::fleet::Pod| pod.hash == hash;
    let (total, new) = (fleet.count(|_| true), fleet.count(current));
    let old = total - new;
    if plan.recreate && old > 0 && !plan.paused {
        return fleet.remove(store, object, old, scene, |pod| !current(pod)) > 0;
    }
    let room = if plan.recreate || old == 0 { plan.desired } else { plan.desired + plan.surge } - total;
    let missing = (plan.desired - new).min(room);
    if missing > 0 && !(plan.paused && old > 0) {
        fleet.add(store, object, missing, scene);
        return true;
    }
    if new > plan.desired {
        return fleet.remove(store, object, new - plan.desired, scene, current) > 0;
    }
    if old == 0 || (plan.paused && plan.desired > 0) {
        return false;
    }
    retire(store, object, fleet, plan, scene)
}

/// Removes old pods as far as enough others serve: those that do not serve first.
fn retire(store: &mut Store, object: &Value, fleet: &mut Fleet, plan: &Plan, scene: &Scene<'_>) -> bool {
    let hash = fleet.hash.clone();
    let serves = |pod: &super::fleet::Pod| pod.is_ready(scene.now, plan.minimum);
    let least = plan.desired - plan.unavailable;
    let new_waiting = fleet.count(|pod| pod.hash == hash && !serves(pod));
    let idle = (fleet.count(|_| true) - least - new_waiting).min(fleet.count(|pod| pod.hash != hash && !serves(pod)));
    let mut removed = fleet.remove(store, object, idle, scene, |pod| pod.hash != hash && !serves(pod));
    let spare = fleet.count(serves) - least;
    removed += fleet.remove(store, object, spare, scene, |pod| pod.hash != hash && serves(pod));
    removed > 0
}

fn write(store: &mut Store, object: &Value, fleet: &Fleet, status: &Value, scene: &Scene<'_>) {
    let mut new = object.clone();
    paths::set(&mut new, &["status"], status.clone());
    if fleet.revision > 0 {
        paths::set(&mut new, &["metadata", "annotations", REVISION], json!(fleet.revision.to_string()));
    }
    super::write(store, super::DEPLOYMENTS, object, new, scene);
}
