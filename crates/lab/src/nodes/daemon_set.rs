//! `DaemonSet`s, on the one node that there is.

use super::fleet::{Fleet, Pod, Scene, template_hash};
use crate::store::Store;
use objects::paths;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The labels of the node: those that every node has. A selector for anything else matches no node.
const NODE_LABELS: [(&str, &str); 2] = [("kubernetes.io/hostname", "sim-1"), ("kubernetes.io/os", "linux")];

/// Looks at a DaemonSet: moves its pod on and writes its status. The answer is when to look again.
pub(super) fn sync(store: &mut Store, object: &Value, fleet: &mut Fleet, scene: &Scene<'_>) -> Option<Instant> {
    let on_delete = paths::text(object, "/spec/updateStrategy/type") == "OnDelete";
    let surge = object
        .pointer("/spec/updateStrategy/rollingUpdate/maxSurge")
        .is_some_and(|surge| surge != &json!(0) && surge != &json!("0%"));
    let hash = template_hash(object);
    if fleet.hash != hash {
        fleet.hash.clone_from(&hash);
        fleet.revision += 1;
    }
    fleet.show_ready(store, object, scene);
    let desired = i64::from(matches_node(object));
    let ready = |pod: &Pod| pod.is_ready(scene.now, Duration::ZERO);
    if desired == 0 {
        fleet.remove(store, object, i64::MAX, scene, |_| true);
    } else if fleet.count(|_| true) == 0 {
        fleet.add(store, object, 1, scene);
    } else if !on_delete && fleet.count(|pod| pod.hash != hash) > 0 {
        if fleet.count(|pod| pod.hash == hash) == 0 {
            if !surge {
                fleet.remove(store, object, i64::MAX, scene, |_| true);
            }
            fleet.add(store, object, 1, scene);
        }
        if fleet.count(|pod| pod.hash == hash && ready(pod)) > 0 {
            fleet.remove(store, object, i64::MAX, scene, |pod| pod.hash != hash);
        }
    }
    let mut new = object.clone();
    paths::set(&mut new, &["status"], status(object, fleet, desired, scene));
    super::write(store, super::DAEMON_SETS, object, new, scene);
    fleet.next_ready(scene.now, minimum(object))
}

fn minimum(object: &Value) -> Duration {
    Duration::from_secs(
        paths::integer(object, "/spec/minReadySeconds")
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or_default(),
    )
}

fn matches_node(object: &Value) -> bool {
    let wanted = paths::strings(object, "/spec/template/spec/nodeSelector");
    wanted.iter().all(|(key, value)| NODE_LABELS.contains(&(key.as_str(), value.as_str())))
}

fn status(object: &Value, fleet: &Fleet, desired: i64, scene: &Scene<'_>) -> Value {
    let some = |test: &dyn Fn(&Pod) -> bool| i64::from(fleet.pods.iter().any(test)).min(desired);
    let available = some(&|pod| pod.is_ready(scene.now, minimum(object)));
    let mut status = json!({
        "currentNumberScheduled": some(&|_| true),
        "numberMisscheduled": 0,
        "desiredNumberScheduled": desired,
        "numberReady": some(&|pod| pod.is_ready(scene.now, Duration::ZERO)),
        "observedGeneration": object.pointer("/metadata/generation"),
    });
    let optional = [
        ("updatedNumberScheduled", some(&|pod| pod.hash == fleet.hash)),
        ("numberAvailable", available),
        ("numberUnavailable", desired - available),
    ];
    for (key, number) in optional.into_iter().filter(|(_, number)| *number > 0) {
        paths::set(&mut status, &[key], json!(number));
    }
    status
}
