//! Pod objects, for those who want to see them.

use super::fleet::Scene;
use super::replica_sets;
use crate::store::Store;
use crate::verbs::{Desk, WriteOptions};
use objects::paths;
use serde_json::{Value, json};

/// Creates a pod of a workload; the answer is its name, empty if it was refused.
pub(super) fn create(store: &mut Store, workload: &Value, hash: &str, scene: &Scene<'_>) -> String {
    let Some(resource) = store.registry.by_name("pods") else { return String::new() };
    let text = |pointer: &str| paths::text(workload, pointer).to_owned();
    let template = workload.pointer("/spec/template").cloned().unwrap_or_default();
    let mut pod = json!({"metadata": template.get("metadata"), "spec": template.get("spec")});
    // A Deployment's pods belong to the set of its present template.
    let set = store.get(replica_sets::TABLE, &text("/metadata/namespace"), &replica_sets::name(workload, hash));
    let owner = set.map_or(workload, |set| &**set);
    let of = |pointer: &str| paths::text(owner, pointer);
    let owner = json!([{"apiVersion": of("/apiVersion"), "kind": of("/kind"), "name": of("/metadata/name"), "uid": of("/metadata/uid"),
        "controller": true, "blockOwnerDeletion": true}]);
    paths::set(&mut pod, &["metadata", "generateName"], json!(format!("{}-{hash}-", text("/metadata/name"))));
    paths::set(&mut pod, &["metadata", "labels", "pod-template-hash"], json!(hash));
    paths::set(&mut pod, &["metadata", "ownerReferences"], owner);
    paths::set(&mut pod, &["spec", "nodeName"], json!("sim-1"));
    let mut desk = Desk::new(
        store,
        resource,
        scene.stamp,
        WriteOptions { manager: "kube-controller-manager".to_owned(), ..WriteOptions::default() },
    );
    desk.create(&text("/metadata/namespace"), pod)
        .map(|pod| paths::text(&pod, "/metadata/name").to_owned())
        .unwrap_or_default()
}

fn running(container: &Value, scene: &Scene<'_>) -> Value {
    json!({"name": container.get("name"), "image": container.get("image"), "imageID": "", "ready": true, "started": true, "restartCount": 0,
        "state": {"running": {"startedAt": scene.stamp()}}, "lastState": {}})
}

/// Marks a pod as running and ready, with an address.
pub(super) fn show_ready(store: &mut Store, namespace: &str, name: &str, scene: &Scene<'_>) {
    let Some(mut pod) = store.get("pods", namespace, name).map(|pod| Value::clone(pod)) else { return };
    let number = store.next_address();
    let address = format!("10.244.{}.{}", (number >> 8) & 0xff, number & 0xff);
    let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": scene.stamp()}));
    let containers: Vec<Value> =
        paths::list(&pod, "/spec/containers").map(|container| running(container, scene)).collect();
    let status = json!({"containerStatuses": containers, "phase": "Running", "conditions": conditions, "podIP": address, "podIPs": [{"ip": address}], "startTime": scene.stamp(),
        "qosClass": paths::text(&pod, "/status/qosClass")});
    paths::set(&mut pod, &["status"], status);
    store.put("pods", pod);
}
