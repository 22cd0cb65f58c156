//! `EndpointSlice`s of Services: where their pods are, for `kubectl describe` and whoever balances. Made where pods are objects.
//!
//! One slice for each Service with a selector, IPv4 only; no `v1 Endpoints`. Source: what kube-controller-manager 1.36 writes.

use super::fleet::Scene;
use crate::store::{Store, is_deleted, key_of, uid};
use crate::verbs::{Desk, Part, PatchKind, WriteOptions};
use objects::paths;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The table of Services.
pub(super) const SERVICES: &str = "services";
const SLICES: &str = "endpointslices.discovery.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The Services of a namespace that a pod with these labels belongs to.
pub(super) fn services_of(store: &Store, pod: &Value) -> Vec<crate::store::Key> {
    let namespace = paths::text(pod, "/metadata/namespace");
    let of = store.list(SERVICES, Some(namespace)).filter(|service| selects(service, pod));
    of.map(|service| key_of(service)).collect()
}

fn selects(service: &Value, pod: &Value) -> bool {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let labels = pod.pointer("/metadata/labels");
    let has = |(key, value): (&String, &Value)| labels.and_then(|labels| labels.get(key)) == Some(value);
    selector.is_some_and(|selector| !selector.is_empty() && selector.iter().all(has))
}

/// Makes a Service's slice say where its pods are.
pub(super) fn sync(store: &mut Store, service: &Value, scene: &Scene<'_>) {
    let (namespace, name) = (paths::text(service, "/metadata/namespace"), paths::text(service, "/metadata/name"));
    if is_deleted(service) || service.pointer("/spec/selector").and_then(Value::as_object).is_none_or(Map::is_empty) {
        return;
    }
    let at_home = |pod: &&Arc<Value>| selects(service, pod) && !paths::text(pod, "/status/podIP").is_empty();
    let pods: Vec<Arc<Value>> = store.list("pods", Some(namespace)).filter(at_home).cloned().collect();
    let content = json!({
        "endpoints": pods.iter().map(|pod| endpoint(pod)).collect::<Vec<_>>(),
        "ports": paths::list(service, "/spec/ports").map(|port| slice_port(port, pods.first())).collect::<Vec<_>>(),
    });
    let label = |slice: &Value| {
        slice.pointer("/metadata/labels").and_then(|labels| labels.get(SERVICE_NAME)) == Some(&json!(name))
    };
    let present = store.list(SLICES, Some(namespace)).find(|slice| label(slice)).cloned();
    let Some(resource) = store.registry.by_table(SLICES) else { return };
    let options = WriteOptions { manager: "kube-controller-manager".to_owned(), ..WriteOptions::default() };
    let mut desk = Desk::new(store, resource, scene.stamp, options);
    // What is refused (in a namespace that is going away) is left out.
    if let Some(slice) = present {
        drop(desk.patch(namespace, paths::text(&slice, "/metadata/name"), PatchKind::Merge, &content, Part::Main));
        return;
    }
    let mut slice = json!({
        "metadata": {
            "generateName": format!("{name}-"),
            "labels": {SERVICE_NAME: name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": name, "uid": uid(service), "controller": true, "blockOwnerDeletion": true}],
        },
        "addressType": "IPv4",
    });
    for key in ["endpoints", "ports"] {
        paths::set(&mut slice, &[key], content.get(key).cloned().unwrap_or_default());
    }
    drop(desk.create(namespace, slice));
}

fn endpoint(pod: &Value) -> Value {
    let ready = paths::list(pod, "/status/conditions")
        .any(|condition| paths::text(condition, "/type") == "Ready" && paths::text(condition, "/status") == "True");
    json!({
        "addresses": [paths::text(pod, "/status/podIP")],
        "conditions": {"ready": ready, "serving": ready, "terminating": is_deleted(pod)},
        "nodeName": pod.pointer("/spec/nodeName"),
        "targetRef": {"kind": "Pod", "name": paths::text(pod, "/metadata/name"), "namespace": paths::text(pod, "/metadata/namespace"), "uid": uid(pod)},
    })
}

/// A port of the Service as its pods have it; a named one is looked up in the pod.
fn slice_port(port: &Value, pod: Option<&Arc<Value>>) -> Value {
    let number = match port.get("targetPort") {
        Some(Value::String(name)) => pod.and_then(|pod| {
            paths::list(pod, "/spec/containers")
                .flat_map(|container| paths::list(container, "/ports"))
                .find(|one| paths::text(one, "/name") == name)
                .and_then(|one| one.get("containerPort").cloned())
        }),
        Some(number) => Some(number.clone()),
        None => port.get("port").cloned(),
    };
    json!({"name": paths::text(port, "/name"), "port": number, "protocol": paths::text(port, "/protocol")})
}
