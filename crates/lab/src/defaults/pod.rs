//! Pods and pod templates.

use super::{child, each, fill, map_of, submap};
use crate::failure::FieldError;
use crate::quantity;
use serde_json::{Map, Value, json};

/// A pod: its spec, and what only pods get.
pub(crate) fn pod(object: &mut Value, _: Option<&Value>) {
    let object = map_of(object);
    let spec = submap(object, "spec");
    pod_spec(spec);
    fill(spec, "enableServiceLinks", json!(true));
    for container in each(spec, "containers") {
        let resources = submap(container, "resources");
        let limits = child(resources, "limits").cloned().unwrap_or_default();
        if !limits.is_empty() {
            let requests = submap(resources, "requests");
            limits.into_iter().for_each(|(key, value)| fill(requests, &key, value));
        }
    }
    let quality = quality(spec);
    let status = submap(object, "status");
    fill(status, "phase", json!("Pending"));
    fill(status, "qosClass", json!(quality));
    if let Some(address) = status.get("podIP").cloned() {
        fill(status, "podIPs", json!([{"ip": address}]));
    }
}

/// What admission adds to a pod.
pub(crate) fn admit(object: &mut Value) {
    let spec = submap(map_of(object), "spec");
    fill(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    fill(spec, "priority", json!(0));
    let tolerate = |key: &str| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    fill(spec, "tolerations", json!([tolerate("not-ready"), tolerate("unreachable")]));
}

/// What a pod must keep to: containers, and a spec that hardly changes.
pub(crate) fn validate(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    super::container::validate_all(object, "/spec", "spec", &mut errors);
    if old.is_some_and(|old| fixed(old) != fixed(object)) {
        errors.push(FieldError::forbidden("spec", FIXED));
    }
    errors
}

const FIXED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// The part of a pod's spec that must not change.
fn fixed(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let spec = submap(map_of(&mut pod), "spec");
    for key in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "priority", "preemptionPolicy"]
    {
        spec.shift_remove(key);
    }
    for key in ["containers", "initContainers"] {
        each(spec, key).for_each(|container| drop(container.shift_remove("image")));
    }
    Value::Object(std::mem::take(spec))
}

fn quality(spec: &mut Map<String, Value>) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    for container in each(spec, "containers") {
        let resources = container.get("resources");
        let part = |name: &str| {
            resources
                .and_then(|resources| resources.get(name))
                .filter(|map| map.as_object().is_some_and(|map| !map.is_empty()))
        };
        any |= part("limits").is_some() || part("requests").is_some();
        guaranteed &= part("limits").is_some_and(|map| map.get("cpu").is_some() && map.get("memory").is_some())
            && part("limits") == part("requests");
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// The spec of a pod or of a pod template.
pub(crate) fn pod_spec(spec: &mut Map<String, Value>) {
    fill(spec, "dnsPolicy", json!("ClusterFirst"));
    fill(spec, "restartPolicy", json!("Always"));
    fill(spec, "schedulerName", json!("default-scheduler"));
    fill(spec, "securityContext", json!({}));
    fill(spec, "terminationGracePeriodSeconds", json!(30));
    // Two names of one field: the older one follows.
    match (spec.get("serviceAccountName").cloned(), spec.get("serviceAccount").cloned()) {
        (Some(name), _) => drop(spec.insert("serviceAccount".to_owned(), name)),
        (None, Some(name)) => drop(spec.insert("serviceAccountName".to_owned(), name)),
        (None, None) => {}
    }
    let on_host = spec.get("hostNetwork") == Some(&json!(true));
    for key in ["containers", "initContainers"] {
        for one in each(spec, key) {
            container(one, on_host);
        }
    }
    for one in each(spec, "volumes") {
        volume(one);
    }
}

fn container(container: &mut Map<String, Value>, on_host: bool) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    fill_pull_policy(image.to_owned().as_str(), container);
    fill(container, "terminationMessagePath", json!("/dev/termination-log"));
    fill(container, "terminationMessagePolicy", json!("File"));
    submap(container, "resources");
    for port in each(container, "ports") {
        fill(port, "protocol", json!("TCP"));
        if let (true, Some(number)) = (on_host, port.get("containerPort").cloned()) {
            fill(port, "hostPort", number);
        }
    }
    for variable in each(container, "env") {
        if let Some(field) = child(variable, "valueFrom").and_then(|from| child(from, "fieldRef")) {
            fill(field, "apiVersion", json!("v1"));
        }
        if let Some(field) = child(variable, "valueFrom").and_then(|from| child(from, "resourceFieldRef")) {
            fill(field, "divisor", json!("0"));
        }
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(one) = child(container, key) {
            probe(one);
        }
    }
    if let Some(lifecycle) = child(container, "lifecycle") {
        for key in ["postStart", "preStop"] {
            if let Some(handler) = child(lifecycle, key) {
                http_get(handler);
            }
        }
    }
}

fn fill_pull_policy(image: &str, container: &mut Map<String, Value>) {
    let last = image.rsplit('/').next().unwrap_or_default();
    let fixed = image.contains('@') || last.rsplit_once(':').is_some_and(|(_, tag)| tag != "latest");
    fill(container, "imagePullPolicy", json!(if fixed { "IfNotPresent" } else { "Always" }));
}

fn probe(probe: &mut Map<String, Value>) {
    http_get(probe);
    if let Some(grpc) = child(probe, "grpc") {
        fill(grpc, "service", json!(""));
    }
    for (key, value) in [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        fill(probe, key, json!(value));
    }
}

fn http_get(handler: &mut Map<String, Value>) {
    if let Some(get) = child(handler, "httpGet") {
        fill(get, "path", json!("/"));
        fill(get, "scheme", json!("HTTP"));
    }
}

fn volume(volume: &mut Map<String, Value>) {
    if volume.len() == 1 && volume.contains_key("name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for key in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = child(volume, key) {
            fill(source, "defaultMode", json!(0o644));
        }
    }
    if let Some(path) = child(volume, "hostPath") {
        fill(path, "type", json!(""));
    }
    if let Some(source) = child(volume, "downwardAPI") {
        each(source, "items").for_each(downward);
    }
    if let Some(projected) = child(volume, "projected") {
        for source in each(projected, "sources") {
            if let Some(token) = child(source, "serviceAccountToken") {
                fill(token, "expirationSeconds", json!(3600));
            }
            if let Some(source) = child(source, "downwardAPI") {
                each(source, "items").for_each(downward);
            }
        }
    }
}

fn downward(item: &mut Map<String, Value>) {
    if let Some(field) = child(item, "fieldRef") {
        fill(field, "apiVersion", json!("v1"));
    }
}

/// Makes the quantities of a pod spec canonical. Runs before the types see them: a number is a quantity too.
pub(crate) fn quantities(spec: &mut Map<String, Value>) {
    for key in ["containers", "initContainers", "ephemeralContainers"] {
        for container in each(spec, key) {
            if let Some(resources) = child(container, "resources") {
                quantity::normalize_map(child(resources, "limits"));
                quantity::normalize_map(child(resources, "requests"));
            }
            for variable in each(container, "env") {
                let divisor = child(variable, "valueFrom")
                    .and_then(|from| child(from, "resourceFieldRef"))
                    .and_then(|field| field.get_mut("divisor"));
                divisor.into_iter().for_each(quantity::normalize);
            }
        }
    }
    for volume in each(spec, "volumes") {
        child(volume, "emptyDir").and_then(|dir| dir.get_mut("sizeLimit")).into_iter().for_each(quantity::normalize);
    }
    quantity::normalize_map(child(spec, "overhead"));
}
