//! How the lists and maps of a kind are merged: as a whole, as sets, or element by element under a key.
//!
//! For built-in kinds it is a table, for custom ones it is in the schema (`x-kubernetes-list-type`, `x-kubernetes-map-type`). Paths are keys without
//! the places in lists, e.g. `spec template spec containers ports`.
//! Source: the published `OpenAPI` of Kubernetes 1.36 (`x-kubernetes-patch-merge-key`, `x-kubernetes-list-map-keys`).

use crate::resource::{Origin, Resource};
use serde_json::{Value, json};

/// How a list is merged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ListKind {
    /// It is replaced.
    Atomic,
    /// Its elements are texts or numbers; each is there once.
    Set,
    /// Its elements are maps, told apart by these keys, the first of which strategic merge uses; with what an absent key means.
    Map(Vec<(String, Value)>),
}

/// What is known about one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Types<'a>(pub &'a Resource);

const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

impl Types<'_> {
    /// How the list at a path is merged.
    pub(crate) fn list(self, path: &[String]) -> ListKind {
        if let Some(kind) = metadata_list(path) {
            return kind;
        }
        match &self.0.origin {
            Origin::BuiltIn(_) => self.built_in_list(path),
            Origin::Custom(custom) => custom_list(custom.schema.root(), path),
        }
    }

    /// Whether the map at a path is replaced as a whole by an apply.
    pub(crate) fn is_atomic(self, path: &[String]) -> bool {
        if matches!(path, [metadata, list, ..] if metadata == "metadata" && list == "ownerReferences") {
            return true;
        }
        match &self.0.origin {
            Origin::BuiltIn(_) => match path.last().map(String::as_str) {
                Some("port") => path.iter().rev().nth(1).is_some_and(|parent| parent == "service"),
                Some("selector") => {
                    path.len() == 2 || path.iter().rev().nth(1).is_some_and(|parent| parent == "metric")
                }
                Some(
                    "imagePullSecrets" | "nodeSelector" | "labelSelector" | "secretKeyRef" | "configMapKeyRef"
                    | "fieldRef" | "resourceFieldRef" | "involvedObject" | "regarding",
                ) => true,
                _ => false,
            },
            Origin::Custom(custom) => schema_at(custom.schema.root(), path)
                .is_some_and(|schema| schema.get("x-kubernetes-map-type") == Some(&json!("atomic"))),
        }
    }

    fn built_in_list(self, path: &[String]) -> ListKind {
        let parent = path.iter().rev().nth(1).map_or("", String::as_str);
        let in_container = CONTAINERS.contains(&parent);
        match path.last().map_or("", String::as_str) {
            "conditions" if parent == "status" => keyed(&["type"]),
            name if CONTAINERS.contains(&name) => keyed(&["name"]),
            "env" if in_container => keyed(&["name"]),
            "ports" if in_container => protocol(keyed(&["containerPort", "protocol"])),
            "ports" if self.0.table == "services" => protocol(keyed(&["port", "protocol"])),
            "volumeMounts" if in_container => keyed(&["mountPath"]),
            "volumeDevices" if in_container => keyed(&["devicePath"]),
            "volumes" | "imagePullSecrets" | "schedulingGates" | "resourceClaims" if parent == "spec" => {
                keyed(&["name"])
            }
            "hostAliases" if parent == "spec" => keyed(&["ip"]),
            "topologySpreadConstraints" if parent == "spec" => keyed(&["topologyKey", "whenUnsatisfiable"]),
            "podIPs" if parent == "status" => keyed(&["ip"]),
            "secrets" | "imagePullSecrets" if self.0.table == "serviceaccounts" => keyed(&["name"]),
            _ => ListKind::Atomic,
        }
    }
}

fn keyed(keys: &[&str]) -> ListKind {
    ListKind::Map(keys.iter().map(|&key| (key.to_owned(), Value::Null)).collect())
}

/// An absent protocol is TCP.
fn protocol(kind: ListKind) -> ListKind {
    let ListKind::Map(keys) = kind else { return kind };
    ListKind::Map(
        keys.into_iter()
            .map(|(key, absent)| if key == "protocol" { (key, json!("TCP")) } else { (key, absent) })
            .collect(),
    )
}

fn metadata_list(path: &[String]) -> Option<ListKind> {
    match path {
        [metadata, list] if metadata == "metadata" && list == "ownerReferences" => Some(keyed(&["uid"])),
        [metadata, list] if metadata == "metadata" && list == "finalizers" => Some(ListKind::Set),
        _ => None,
    }
}

fn custom_list(root: &Value, path: &[String]) -> ListKind {
    let Some(schema) = schema_at(root, path) else { return ListKind::Atomic };
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            let default =
                |key: &str| schema.pointer(&format!("/items/properties/{key}/default")).cloned().unwrap_or_default();
            ListKind::Map(keys.map(|key| (key.to_owned(), default(key))).collect())
        }
        _ => ListKind::Atomic,
    }
}

/// The schema at a path, through lists.
fn schema_at<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |schema, key| {
        let schema = schema.get("items").unwrap_or(schema);
        let property = schema.get("properties").and_then(|properties| properties.get(key));
        property.or_else(|| schema.get("additionalProperties").filter(|additional| additional.is_object()))
    })
}
