//! Deployments: rolling updates with surge and unavailability, and the status that tells of them.
//!
//! Source of reasons and messages: statuses written by kube-controller-manager 1.36.

use super::fleet::{Fleet, Scene, set_condition, template_hash};
use crate::store::Store;
use jiff::{SignedDuration, Timestamp};
use objects::paths;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::Instant;

const REVISION: &str = "deployment.kubernetes.io/revision";

/// What the spec asks for.
struct Plan {
    desired: i64,
    surge: i64,
    unavailable: i64,
    recreate: bool,
    paused: bool,
    minimum: Duration,
}

/// Looks at a Deployment: moves its pods on and writes its status. The answer is when to look again.
pub(super) fn sync(store: &mut Store, object: &Value, fleet: &mut Fleet, scene: &Scene<'_>) -> Option<Instant> {
    let plan = plan(object);
    let hash = template_hash(object);
    let fresh = fleet.hash != hash && !(plan.paused && fleet.revision > 0);
    if fresh {
        fleet.revision = fleet.revision.max(known_revision(object)) + 1;
        fleet.hash = hash;
    }
    fleet.show_ready(store, object, scene);
    while step(store, object, fleet, &plan, scene) {}
    let status = status(object, fleet, &plan, fresh, scene);
    write(store, object, fleet, &status, scene);
    let ready = fleet.next_ready(scene.now, plan.minimum);
    let deadline = deadline(object, &status, scene);
    ready.into_iter().chain(deadline).min()
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

fn status(object: &Value, fleet: &Fleet, plan: &Plan, fresh: bool, scene: &Scene<'_>) -> Value {
    let total = fleet.count(|_| true);
    let updated = fleet.count(|pod| pod.hash == fleet.hash);
    let ready = fleet.count(|pod| pod.is_ready(scene.now, Duration::ZERO));
    let available = fleet.count(|pod| pod.is_ready(scene.now, plan.minimum));
    let mut status = Map::new();
    if let Some(generation) = object.pointer("/metadata/generation") {
        status.insert("observedGeneration".to_owned(), generation.clone());
    }
    let numbers = [
        ("replicas", total),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", (total.max(plan.desired) - available).max(0)),
    ];
    for (key, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
        status.insert(key.to_owned(), json!(number));
    }
    // Pods end at once here.
    status.insert("terminatingReplicas".to_owned(), json!(0));
    let mut conditions: Vec<Value> = paths::list(object, "/status/conditions").cloned().collect();
    let enough = available >= plan.desired - plan.unavailable;
    available_condition(&mut conditions, enough, scene);
    let mut status = Value::Object(status);
    progress_condition(&mut conditions, object, &status, fleet, plan, fresh, scene);
    paths::set(&mut status, &["conditions"], json!(conditions));
    status
}

fn condition(kind: &str, status: bool, reason: &str, message: &str, scene: &Scene<'_>) -> Value {
    let now = scene.stamp();
    let status = if status { "True" } else { "False" };
    json!({"type": kind, "status": status, "lastUpdateTime": now, "lastTransitionTime": now, "reason": reason, "message": message})
}

fn available_condition(conditions: &mut Vec<Value>, enough: bool, scene: &Scene<'_>) {
    let (reason, message) = if enough {
        ("MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let known =
        conditions.iter().any(|one| paths::text(one, "/type") == "Available" && paths::text(one, "/reason") == reason);
    if !known {
        set_condition(conditions, condition("Available", enough, reason, message, scene));
    }
}

fn progress_condition(
    conditions: &mut Vec<Value>,
    object: &Value,
    status: &Value,
    fleet: &Fleet,
    plan: &Plan,
    fresh: bool,
    scene: &Scene<'_>,
) {
    let set = format!("{}-{}", paths::text(object, "/metadata/name"), fleet.hash);
    if fresh {
        let message = format!("Created new replica set \"{set}\"");
        set_condition(conditions, condition("Progressing", true, "NewReplicaSetCreated", &message, scene));
    }
    let number = |of: &Value, key: &str| paths::integer(of, &format!("/{key}")).unwrap_or_default();
    let present = conditions.iter().find(|one| paths::text(one, "/type") == "Progressing").cloned().unwrap_or_default();
    let reason = paths::text(&present, "/reason");
    let (total, updated) = (number(status, "replicas"), number(status, "updatedReplicas"));
    if reason == "NewReplicaSetAvailable" && total == updated {
        // Completed before; scaling is no new rollout.
        return;
    }
    let mut before = object.get("status").cloned().unwrap_or_default();
    if fresh {
        // None of the pods before is of the new template.
        paths::set(&mut before, &["updatedReplicas"], Value::Null);
    }
    let old_pods = |of: &Value| number(of, "replicas") - number(of, "updatedReplicas");
    let grew = |key: &str| number(status, key) > number(&before, key);
    let moved = grew("updatedReplicas")
        || grew("readyReplicas")
        || grew("availableReplicas")
        || old_pods(status) < old_pods(&before);
    if updated == plan.desired && total == plan.desired && number(status, "availableReplicas") == plan.desired {
        let message = format!("ReplicaSet \"{set}\" has successfully progressed.");
        set_condition(conditions, condition("Progressing", true, "NewReplicaSetAvailable", &message, scene));
    } else if moved {
        let message = format!("ReplicaSet \"{set}\" is progressing.");
        set_condition(conditions, condition("Progressing", true, "ReplicaSetUpdated", &message, scene));
    } else if reason != "ProgressDeadlineExceeded"
        && !plan.paused
        && deadline_of(object, &present).is_some_and(|deadline| deadline <= scene.stamp)
    {
        let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
        set_condition(conditions, condition("Progressing", false, "ProgressDeadlineExceeded", &message, scene));
    }
}

/// When the progress that a condition tells of is too old.
fn deadline_of(object: &Value, progressing: &Value) -> Option<Timestamp> {
    let since: Timestamp = paths::text(progressing, "/lastUpdateTime").parse().ok()?;
    since.checked_add(SignedDuration::from_secs(paths::integer(object, "/spec/progressDeadlineSeconds")?)).ok()
}

/// When to look whether the deadline has passed.
fn deadline(object: &Value, status: &Value, scene: &Scene<'_>) -> Option<Instant> {
    let progressing = paths::list(status, "/conditions").find(|one| paths::text(one, "/type") == "Progressing")?;
    if matches!(paths::text(progressing, "/reason"), "NewReplicaSetAvailable" | "ProgressDeadlineExceeded") {
        return None;
    }
    let left = deadline_of(object, progressing)?.duration_since(scene.stamp);
    Some(scene.now + Duration::try_from(left).unwrap_or_default().max(Duration::from_millis(1)))
}

fn write(store: &mut Store, object: &Value, fleet: &Fleet, status: &Value, scene: &Scene<'_>) {
    let mut new = object.clone();
    paths::set(&mut new, &["status"], status.clone());
    paths::set(&mut new, &["metadata", "annotations", REVISION], json!(fleet.revision.to_string()));
    super::write(store, super::DEPLOYMENTS, object, new, scene);
}
