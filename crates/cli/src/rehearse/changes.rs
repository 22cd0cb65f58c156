//! Which objects are made and changed, as a diff of what users see of them.
//!
//! Left out: status, what the API server writes into metadata, what defaults add to both sides alike, the contents of Secrets, and the kinds of the
//! rehearsal itself (Canaries, definitions, events).

use lab::Lab;
use objects::paths::text;
use serde::Serialize;
use serde_json::{Value, json};
use similar::TextDiff;
use std::collections::BTreeMap;

/// Tables whose objects are not shown.
const NOT_SHOWN: [&str; 11] = [
    "events",
    "namespaces",
    "nodes",
    "pods",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "leases.coordination.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "canaries.flagger.app",
    "metrictemplates.flagger.app",
    "alertproviders.flagger.app",
];
/// What the API server writes into metadata.
const BOOKKEEPING: [&str; 7] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "ownerReferences"];
/// Annotations that are about the simulation, that nodes write, or that are random.
const NOT_THE_USERS: [&str; 3] = ["deployment.kubernetes.io/revision", "sim/ready-after", "flagger-id"];
/// What every Service gets from the API server.
const OF_EVERY_SERVICE: [(&str, &str); 4] = [
    ("internalTrafficPolicy", "Cluster"),
    ("sessionAffinity", "None"),
    ("type", "ClusterIP"),
    ("ipFamilyPolicy", "SingleStack"),
];
/// Fields that come first, as people write them; the rest follows by name.
const FIRST: [&str; 6] = ["apiVersion", "kind", "metadata", "name", "namespace", "spec"];

/// All objects that are shown, by kind, namespace and name.
pub(super) type Capture = BTreeMap<(String, String, String), Value>;

/// One object that is not as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    /// Its kind.
    pub(super) kind: String,
    /// Its namespace; empty for cluster-scoped kinds.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// What happened to it.
    pub(super) action: Action,
    /// For a made object: the object of the same kind that it is a copy of, and compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) copy_of: Option<String>,
    /// A unified diff of YAML.
    pub(super) diff: String,
}

/// See [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Action {
    /// It was not there.
    Made,
    /// It is another.
    Changed,
    /// It is gone.
    Deleted,
}

/// The objects as they are now.
pub(super) fn capture(lab: &Lab) -> Capture {
    let tables = lab.sizes().into_keys().filter(|table| !NOT_SHOWN.contains(&table.as_str()));
    let objects = tables.flat_map(|table| lab.list(&table, ""));
    let key = |object: &Value| {
        let part = |pointer| text(object, pointer).to_owned();
        (part("/kind"), part("/metadata/namespace"), part("/metadata/name"))
    };
    objects.map(|object| (key(&object), shown(&object))).collect()
}

/// What has changed between two moments, by kind, namespace and name.
pub(super) fn between(before: &Capture, after: &Capture) -> Vec<Change> {
    let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
    let gone = gone.map(|(key, object)| change(key, Action::Deleted, None, &yaml(object), ""));
    let there = after.iter().filter_map(|(key, object)| match before.get(key) {
        Some(old) if old == object => None,
        Some(old) => Some(change(key, Action::Changed, None, &yaml(old), &yaml(object))),
        None => {
            let (kind, namespace, name) = key;
            let original =
                name.strip_suffix("-primary").or_else(|| name.strip_suffix("-canary")).filter(|_| kind != "Service");
            let copied =
                original.and_then(|name| Some((name, after.get(&(kind.clone(), namespace.clone(), name.to_owned()))?)));
            let (original, old) =
                copied.map_or((None, String::new()), |(name, old)| (Some(name.to_owned()), yaml(old)));
            Some(change(key, Action::Made, original, &old, &yaml(object)))
        }
    });
    there.chain(gone).collect()
}

fn change(key: &(String, String, String), action: Action, copy_of: Option<String>, old: &str, new: &str) -> Change {
    let (kind, namespace, name) = key.clone();
    let diff = TextDiff::from_lines(old, new).unified_diff().context_radius(3).to_string();
    Change { kind, namespace, name, action, copy_of, diff }
}

fn yaml(object: &Value) -> String {
    serde_yaml_ng::to_string(object).unwrap_or_else(|error| format!("cannot be shown: {error}\n"))
}

/// What users see of an object.
fn shown(object: &Value) -> Value {
    let mut shown = object.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = shown.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        for key in BOOKKEEPING {
            metadata.remove(key);
        }
    }
    for pointer in ["/metadata", "/spec/template/metadata"] {
        let Some(metadata) = shown.pointer_mut(pointer).and_then(Value::as_object_mut) else { continue };
        let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { continue };
        for key in NOT_THE_USERS {
            annotations.remove(key);
        }
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    if text(&shown, "/kind") == "Secret" {
        for field in ["data", "stringData"] {
            let values = shown.get_mut(field).and_then(Value::as_object_mut);
            values.into_iter().flat_map(serde_json::Map::values_mut).for_each(|value| *value = json!("(hidden)"));
        }
    }
    if text(&shown, "/kind") == "Service" {
        plain_service(&mut shown);
    }
    sorted(&shown)
}

/// Takes away what says nothing, because every Service has it.
fn plain_service(service: &mut Value) {
    let Some(spec) = service.get_mut("spec").and_then(Value::as_object_mut) else { return };
    // A headless Service says `None` here, which is the user's.
    if spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    spec.remove("ipFamilies");
    for (key, usual) in OF_EVERY_SERVICE {
        if spec.get(key).and_then(Value::as_str) == Some(usual) {
            spec.remove(key);
        }
    }
}

/// The same with all fields in one order, so that the order in which they were written is no difference.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let place = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(key, _)| (place(key), key.as_str()));
            Value::Object(fields.into_iter().map(|(key, inner)| (key.clone(), sorted(inner))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
