//! What the API server fills in on the built-in kinds, one file per kind or family, and the cleaning that all of them share.
//!
//! Each file has a function per kind that completes an object in place, and one that checks it. The objects come already read by their type.
//! Source: objects read back from kube-apiserver 1.36.

pub(crate) mod autoscaler;
pub(crate) mod container;
pub(crate) mod core;
pub(crate) mod crd;
pub(crate) mod event;
pub(crate) mod ingress;
pub(crate) mod labels;
pub(crate) mod metadata;
pub(crate) mod pod;
pub(crate) mod service;
pub(crate) mod strategy;
pub(crate) mod workload;

use serde_json::{Map, Value, json};

/// Maps of the user's own keys: their values are never dropped, but an empty one is.
const USER_MAPS: &[&str] = &[
    "labels",
    "annotations",
    "nodeSelector",
    "matchLabels",
    "limits",
    "requests",
    "data",
    "stringData",
    "binaryData",
    "selector",
    "parameters",
];

/// Fields that the server does not write when they have their zero value (`false`, `0`, `""`), because in its types they are no pointers.
const ZERO_IS_ABSENT: &[&str] = &[
    "allocateLoadBalancerNodePorts",
    "clusterIP",
    "externalName",
    "generateName",
    "healthCheckNodePort",
    "hostIP",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPort",
    "hostname",
    "image",
    "imagePullPolicy",
    "initialDelaySeconds",
    "failureThreshold",
    "loadBalancerIP",
    "medium",
    "minReadySeconds",
    "nodeName",
    "nodePort",
    "paused",
    "periodSeconds",
    "priorityClassName",
    "protocol",
    "publishNotReadyAddresses",
    "readOnly",
    "restartPolicy",
    "schedulerName",
    "serviceAccount",
    "serviceAccountName",
    "sessionAffinity",
    "stdin",
    "stdinOnce",
    "subPath",
    "subdomain",
    "successThreshold",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "timeoutSeconds",
    "tty",
    "type",
    "value",
    "workingDir",
];

/// Drops what the server's types cannot tell from absence: nulls, empty lists, empty maps of the user's keys, zero values of plain fields.
pub(crate) fn clean(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, child) in map.iter_mut() {
                // A default in a definition is a value of somebody else's type.
                if (!USER_MAPS.contains(&key.as_str()) || key == "selector") && key != "default" {
                    clean(child);
                }
            }
            map.retain(|key, child| !is_absent(key, child));
        }
        Value::Array(list) => list.iter_mut().for_each(clean),
        // Numbers that the types hold as floats are written without a fraction if they have none.
        Value::Number(number) if number.is_f64() => {
            #[expect(clippy::cast_possible_truncation, reason = "only whole floats of a moderate size pass")]
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15) {
                *value = json!(float as i64);
            }
        }
        _ => {}
    }
}

fn is_absent(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty() && key != "default",
        Value::Object(map) => map.is_empty() && USER_MAPS.contains(&key) && key != "selector",
        Value::Bool(false) => ZERO_IS_ABSENT.contains(&key),
        Value::Number(number) => number.as_i64() == Some(0) && ZERO_IS_ABSENT.contains(&key),
        Value::String(text) => text.is_empty() && ZERO_IS_ABSENT.contains(&key),
        Value::Bool(true) => false,
    }
}

/// Makes the quantities of an object of that kind canonical. Runs before the types see them: a number is a quantity too.
pub(crate) fn quantities(object: &mut Value, plural: &str) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match plural {
        "pods" => pod::quantities(spec),
        "horizontalpodautoscalers" => autoscaler::quantities(spec),
        "deployments" | "daemonsets" | "replicasets" | "statefulsets" | "jobs" => {
            child(spec, "template").and_then(|template| child(template, "spec")).into_iter().for_each(pod::quantities);
        }
        _ => {}
    }
}

/// A text among the limits and requests of an object that is no quantity.
pub(crate) fn no_quantity(object: &Value) -> Option<&str> {
    match object {
        Value::Object(map) => map.iter().find_map(|(key, child)| match child {
            Value::Object(amounts) if matches!(key.as_str(), "limits" | "requests") => {
                amounts.values().filter_map(Value::as_str).find(|text| crate::quantity::canonical(text).is_none())
            }
            _ => no_quantity(child),
        }),
        Value::Array(list) => list.iter().find_map(no_quantity),
        _ => None,
    }
}

/// Sets a key that is not there.
pub(crate) fn fill(map: &mut Map<String, Value>, key: &str, value: Value) {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), value);
    }
}

/// The map under a key, created if it is not there.
pub(crate) fn submap<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let child = map.entry(key.to_owned()).or_insert_with(|| json!({}));
    map_of(child)
}

/// The value as a map; anything else becomes an empty one.
pub(crate) fn map_of(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made one above"),
    }
}

/// The maps in a list under a key.
pub(crate) fn each<'a>(
    map: &'a mut Map<String, Value>,
    key: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> + use<'a> {
    map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The map under a key, if there is one.
pub(crate) fn child<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(key).and_then(Value::as_object_mut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_has_one_form() {
        let mut object = json!({
            "metadata": {"labels": {}, "annotations": {"a": ""}},
            "spec": {"paused": false, "replicas": 0, "selector": {"matchLabels": {}}, "env": [{"name": "A", "value": ""}], "volumes": [], "x": null,
                "emptyDir": {}},
            "data": {"a": "", "b": "1"},
        });
        clean(&mut object);
        let wanted = json!({
            "metadata": {"annotations": {"a": ""}},
            "spec": {"replicas": 0, "selector": {}, "env": [{"name": "A"}], "emptyDir": {}},
            "data": {"a": "", "b": "1"},
        });
        assert_eq!(object, wanted);
    }
}
