//! Namespaces, configuration and secrets.

use super::{fill, map_of, submap};
use crate::failure::FieldError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// `v1 Namespace`: the label with its own name, the finalizer, the phase.
pub(crate) fn namespace(object: &mut Value, _: Option<&Value>) {
    let object = map_of(object);
    let metadata = submap(object, "metadata");
    let name = metadata.get("name").cloned().unwrap_or_default();
    submap(metadata, "labels").insert("kubernetes.io/metadata.name".to_owned(), name);
    fill(submap(object, "spec"), "finalizers", json!(["kubernetes"]));
    fill(submap(object, "status"), "phase", json!("Active"));
}

/// `v1 ConfigMap`.
pub(crate) fn config_map(_: &mut Value, _: Option<&Value>) {}

/// An immutable ConfigMap stays as it is.
pub(crate) fn validate_config_map(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    immutable(object, old)
}

/// `v1 Secret`: `stringData` goes into `data`.
pub(crate) fn secret(object: &mut Value, _: Option<&Value>) {
    let object = map_of(object);
    fill(object, "type", json!("Opaque"));
    let Some(Value::Object(texts)) = object.shift_remove("stringData") else { return };
    let data = submap(object, "data");
    for (key, value) in texts {
        data.insert(key, json!(STANDARD.encode(value.as_str().unwrap_or_default())));
    }
}

/// A Secret keeps its type, and an immutable one its data.
pub(crate) fn validate_secret(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = immutable(object, old);
    if let (Some(old), Some(kind)) = (old, object.get("type"))
        && old.get("type") != Some(kind)
    {
        errors.push(FieldError::invalid("type", kind, "field is immutable"));
    }
    errors
}

fn immutable(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let Some(old) = old.filter(|old| old.get("immutable") == Some(&json!(true))) else { return Vec::new() };
    let mut errors = Vec::new();
    if object.get("immutable") != Some(&json!(true)) {
        errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    for key in ["data", "binaryData"] {
        if old.get(key) != object.get(key) {
            errors.push(FieldError::forbidden(key, "field is immutable when `immutable` is set"));
        }
    }
    errors
}
