//! What the metadata of every object must keep to.
//!
//! Source: refusals of kube-apiserver 1.36.

use super::labels::{self, Labels, Names};
use crate::failure::FieldError;
use objects::paths;
use serde_json::{Value, json};

/// Finalizers of Kubernetes' own without a domain.
const STANDARD_FINALIZERS: [&str; 3] = ["foregroundDeletion", "kubernetes", "orphan"];

/// Checks names, labels, annotations, finalizers and owners. A new object has no `old`; custom kinds may have finalizers without a domain.
pub(crate) fn check(object: &Value, old: Option<&Value>, table: &str, custom: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if old.is_none() {
        let prefix = paths::text(object, "/metadata/generateName");
        if !prefix.is_empty() {
            // What is appended makes a dash at the end a good one.
            let name = if prefix.ends_with('-') { format!("{prefix}a") } else { prefix.to_owned() };
            let mut found = Vec::new();
            Names::of(table).check(&name, "metadata.generateName", &mut found);
            errors.extend(found.into_iter().map(|one| FieldError { value: json!(prefix).to_string(), ..one }));
        }
        Names::of(table).check(paths::text(object, "/metadata/name"), "metadata.name", &mut errors);
    }
    labels::check(&Labels::of(object.pointer("/metadata/labels")), "metadata.labels", &mut errors);
    for key in object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flat_map(|map| map.keys())
    {
        labels::check_key(key, &key.to_lowercase(), "metadata.annotations", &mut errors);
    }
    check_owners(object, &mut errors);
    for (at, finalizer) in paths::list(object, "/metadata/finalizers").enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        labels::check_key(name, name, "metadata.finalizers", &mut errors);
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) && !custom {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(format!("metadata.finalizers[{at}]"), finalizer, why));
        }
    }
    errors
}

/// What the server advises about new finalizers of custom kinds.
pub(crate) fn warnings(object: &Value, old: Option<&Value>, custom: bool) -> Vec<String> {
    let known: Vec<&Value> = old.into_iter().flat_map(|old| paths::list(old, "/metadata/finalizers")).collect();
    paths::list(object, "/metadata/finalizers")
        .filter(|one| custom && !known.contains(one))
        .filter_map(Value::as_str)
        .filter(|name| !name.contains('/') && !STANDARD_FINALIZERS.contains(name))
        .map(|name| {
            let path = if name.contains('.') { " including a path (/)" } else { "" };
            format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer \
                 writers"
            )
        })
        .collect()
}

fn check_owners(object: &Value, errors: &mut Vec<FieldError>) {
    let owners: Vec<&Value> = paths::list(object, "/metadata/ownerReferences").collect();
    for owner in &owners {
        for key in ["apiVersion", "kind", "name", "uid"] {
            if paths::text(owner, &format!("/{key}")).is_empty() {
                let detail = if key == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                errors.push(FieldError::invalid(format!("metadata.ownerReferences.{key}"), &json!(""), detail));
            }
        }
    }
    let mut controllers = owners.iter().filter(|owner| owner.get("controller") == Some(&json!(true)));
    let Some(first) = controllers.next() else { return };
    let shown = |owner: &Value| format!("{}/{}", paths::text(owner, "/kind"), paths::text(owner, "/name"));
    for other in controllers {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            shown(first),
            shown(other)
        );
        errors.push(FieldError::invalid("metadata.ownerReferences", &shown_owners(&owners), why));
    }
}

/// The owners with their fields in the order in which the server writes them.
fn shown_owners(owners: &[&Value]) -> Value {
    let order = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let one = |owner: &&Value| -> Value {
        order.iter().filter_map(|key| Some(((*key).to_owned(), owner.get(*key)?.clone()))).collect()
    };
    owners.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(metadata: &Value, custom: bool) -> Vec<String> {
        let object = json!({"metadata": metadata});
        check(&object, None, "configmaps", custom).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_metadata_passes() {
        let good = json!({"name": "a", "generateName": "a-", "labels": {"x.io/a": "b"}, "annotations": {"X.io/Upper": "any text"},
            "finalizers": ["x.io/a", "orphan"]});
        assert_eq!(texts(&good, false), [""; 0]);
        assert_eq!(texts(&json!({"name": "a", "finalizers": ["plain"]}), true), [""; 0]);
    }

    #[test]
    fn each_breach_is_named() {
        let starts = |metadata: Value, with: &str| {
            let texts = texts(&metadata, false);
            assert!(texts.len() == 1 && texts[0].starts_with(with), "{texts:?}");
        };
        starts(
            json!({"name": "a", "finalizers": ["plain"]}),
            "metadata.finalizers[0]: Invalid value: \"plain\": name is",
        );
        starts(
            json!({"name": "a", "annotations": {"a b": ""}}),
            "metadata.annotations: Invalid value: \"a b\": name part",
        );
        starts(json!({"name": "a", "generateName": "A-"}), "metadata.generateName: Invalid value: \"A-\": a lowercase");
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u", "controller": true});
        starts(json!({"name": "a", "ownerReferences": [owner, owner]}), "metadata.ownerReferences: Invalid value: [{");
    }
}
