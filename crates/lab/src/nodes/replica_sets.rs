//! `ReplicaSet` objects of Deployments, for those who want to see them: what `kubectl rollout history` and `undo` read, and what owns the pods.
//!
//! They follow the pods of a Deployment and decide nothing. One that belongs to no Deployment has no pods.
//! Source: what kube-controller-manager 1.36 writes.

use super::deployment::Plan;
use super::fleet::{Fleet, Scene};
use crate::store::{Store, uid};
use crate::verbs::{Desk, WriteOptions};
use objects::paths;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Their table.
pub(super) const TABLE: &str = "replicasets.apps";
/// The label that tells the pods of one template from those of another.
const HASH: &str = "pod-template-hash";
const REVISION: [&str; 3] = ["metadata", "annotations", "deployment.kubernetes.io/revision"];

/// The name of a Deployment's set for a template.
pub(super) fn name(deployment: &Value, hash: &str) -> String {
    format!("{}-{hash}", paths::text(deployment, "/metadata/name"))
}

/// The Deployment's name in the name of its set, or of a pod's set: the inverse of [`name`].
pub(super) fn deployment_of(set: &str) -> Option<&str> {
    set.rsplit_once('-').map(|(name, _)| name)
}

/// Makes the set of the present template, unless it is there.
pub(super) fn ensure(store: &mut Store, deployment: &Value, fleet: &Fleet, scene: &Scene<'_>) {
    let (namespace, name) = (paths::text(deployment, "/metadata/namespace"), name(deployment, &fleet.hash));
    if store.get(TABLE, namespace, &name).is_some() {
        return;
    }
    let text = |pointer: &str| paths::text(deployment, pointer);
    let mut template = deployment.pointer("/spec/template").cloned().unwrap_or_default();
    paths::set(&mut template, &["metadata", "labels", HASH], json!(fleet.hash));
    let mut selector = deployment.pointer("/spec/selector").cloned().unwrap_or_default();
    paths::set(&mut selector, &["matchLabels", HASH], json!(fleet.hash));
    let owner = json!([{"apiVersion": text("/apiVersion"), "kind": text("/kind"), "name": text("/metadata/name"), "uid": uid(deployment),
        "controller": true, "blockOwnerDeletion": true}]);
    let set = json!({
        "metadata": {"name": name, "labels": template.pointer("/metadata/labels"), "ownerReferences": owner},
        "spec": {"replicas": 0, "selector": selector, "template": template},
    });
    create(store, "replicasets", namespace, set, scene);
}

/// Makes the sets show what the pods are.
pub(super) fn show(store: &mut Store, deployment: &Value, fleet: &Fleet, plan: &Plan, scene: &Scene<'_>) {
    let namespace = paths::text(deployment, "/metadata/namespace");
    let sets: Vec<Arc<Value>> = owned(store, deployment, namespace);
    for set in &sets {
        let hash = paths::text(set, "/metadata/labels/pod-template-hash");
        let new = shown(set, hash, fleet, plan, scene);
        let count = |set: &Value| paths::integer(set, "/spec/replicas").unwrap_or_default();
        let (before, after) = (count(set), count(&new));
        super::write(store, TABLE, set, new, scene);
        if before != after {
            tell(store, deployment, paths::text(set, "/metadata/name"), (before, after), scene);
        }
    }
    forget(store, deployment, namespace, &sets, fleet);
}

fn owned(store: &Store, deployment: &Value, namespace: &str) -> Vec<Arc<Value>> {
    let own =
        |set: &&Arc<Value>| paths::controller(set).is_some_and(|owner| paths::text(owner, "/uid") == uid(deployment));
    store.list(TABLE, Some(namespace)).filter(own).cloned().collect()
}

/// A set as it should be.
fn shown(set: &Value, hash: &str, fleet: &Fleet, plan: &Plan, scene: &Scene<'_>) -> Value {
    let mut new = set.clone();
    let count = fleet.count(|pod| pod.hash == hash);
    // The first numbers belong to its creation.
    let is_new = set.pointer("/status/observedGeneration").is_none();
    let changed = !is_new && paths::integer(set, "/spec/replicas") != Some(count);
    paths::set(&mut new, &["spec", "replicas"], json!(count));
    let annotation = |key: &'static str| ["metadata", "annotations", key];
    paths::set(&mut new, &annotation("deployment.kubernetes.io/desired-replicas"), json!(plan.desired.to_string()));
    let most = plan.desired + if plan.recreate { 0 } else { plan.surge };
    paths::set(&mut new, &annotation("deployment.kubernetes.io/max-replicas"), json!(most.to_string()));
    if hash == fleet.hash {
        paths::set(&mut new, &REVISION, json!(fleet.revision.to_string()));
    }
    let generation = paths::integer(set, "/metadata/generation").unwrap_or_default() + i64::from(changed);
    paths::set(&mut new, &["metadata", "generation"], json!(generation));
    let mut status = json!({"replicas": count, "observedGeneration": generation, "terminatingReplicas": 0});
    let numbers = [
        ("fullyLabeledReplicas", count),
        ("readyReplicas", fleet.count(|pod| pod.hash == hash && pod.is_ready(scene.now, Duration::ZERO))),
        ("availableReplicas", fleet.count(|pod| pod.hash == hash && pod.is_ready(scene.now, plan.minimum))),
    ];
    for (key, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
        paths::set(&mut status, &[key], json!(number));
    }
    paths::set(&mut new, &["status"], status);
    new
}

/// Removes the oldest sets without pods beyond the limit of the history.
fn forget(store: &mut Store, deployment: &Value, namespace: &str, sets: &[Arc<Value>], fleet: &Fleet) {
    let limit = paths::integer(deployment, "/spec/revisionHistoryLimit").and_then(|limit| usize::try_from(limit).ok());
    let is_old = |set: &&Arc<Value>| {
        let hash = paths::text(set, "/metadata/labels/pod-template-hash");
        hash != fleet.hash && fleet.count(|pod| pod.hash == hash) == 0
    };
    let mut old: Vec<&Arc<Value>> = sets.iter().filter(is_old).collect();
    let revision = |set: &Value| {
        paths::annotation(set, "deployment.kubernetes.io/revision").and_then(|text| text.parse::<u64>().ok())
    };
    old.sort_by_key(|set| revision(set));
    let beyond = old.len().saturating_sub(limit.unwrap_or(10));
    for set in old.into_iter().take(beyond) {
        store.remove(TABLE, namespace, paths::text(set, "/metadata/name"));
    }
}

fn tell(store: &mut Store, deployment: &Value, set: &str, (before, after): (i64, i64), scene: &Scene<'_>) {
    let text = |pointer: &str| paths::text(deployment, pointer);
    // Names in order of time, as on a cluster; the version tells those of the same moment apart.
    let order = scene.stamp.as_nanosecond() + i128::from(store.version() % 1_000_000);
    let way = if after > before { "up" } else { "down" };
    let event = json!({
        "metadata": {"name": format!("{}.{order:x}", text("/metadata/name"))},
        "involvedObject": {"apiVersion": text("/apiVersion"), "kind": text("/kind"), "name": text("/metadata/name"),
            "namespace": text("/metadata/namespace"), "uid": uid(deployment), "resourceVersion": text("/metadata/resourceVersion")},
        "type": "Normal",
        "reason": "ScalingReplicaSet",
        "message": format!("Scaled {way} replica set {set} from {before} to {after}"),
        "source": {"component": "deployment-controller"},
        "reportingComponent": "deployment-controller",
        "count": 1,
        "firstTimestamp": scene.stamp(),
        "lastTimestamp": scene.stamp(),
    });
    create(store, "events", text("/metadata/namespace"), event, scene);
}

/// Creates an object in the name of the controllers. What is refused (in a namespace that is going away) is left out.
fn create(store: &mut Store, kind: &str, namespace: &str, object: Value, scene: &Scene<'_>) {
    let Some(resource) = store.registry.by_name(kind) else { return };
    let options = WriteOptions { manager: "kube-controller-manager".to_owned(), ..WriteOptions::default() };
    drop(Desk::new(store, resource, scene.stamp, options).create(namespace, object));
}
