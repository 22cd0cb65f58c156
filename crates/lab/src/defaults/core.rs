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

const KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', \
    regex used for validation is '[-._a-zA-Z0-9]+')";

/// What a Secret of a type must hold.
const REQUIRED_KEYS: [(&str, &[&str]); 4] = [
    ("kubernetes.io/basic-auth", &["username", "password"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

/// An immutable ConfigMap stays as it is; keys are plain, and no text is binary data too.
pub(crate) fn validate_config_map(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = immutable(object, old);
    errors.extend(check_keys(object, "data"));
    errors.extend(check_keys(object, "binaryData"));
    for key in
        keys(object, "data").filter(|key| object.pointer("/binaryData").is_some_and(|data| data.get(key).is_some()))
    {
        errors.push(FieldError::invalid(format!("data[{key}]"), &json!(key), "duplicate of key present in binaryData"));
    }
    errors
}

fn keys<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a String> + use<'a> {
    object.get(field).and_then(Value::as_object).into_iter().flat_map(|map| map.keys())
}

fn check_keys(object: &Value, field: &str) -> Vec<FieldError> {
    let is_plain = |key: &str| {
        !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
    };
    keys(object, field)
        .filter(|key| !is_plain(key))
        .map(|key| FieldError::invalid(format!("{field}[{key}]"), &json!(key), KEY_RULE))
        .collect()
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
    errors.extend(check_keys(object, "data"));
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
    let required = REQUIRED_KEYS.iter().find(|(of, _)| *of == kind).map(|(_, keys)| *keys).unwrap_or_default();
    let has = |key: &str| object.get("data").is_some_and(|data| data.get(key).is_some());
    // Either part of a login will do.
    if kind != "kubernetes.io/basic-auth" || !required.iter().any(|key| has(key)) {
        let missing = required.iter().filter(|key| !has(key));
        errors.extend(missing.map(|key| FieldError::required(format!("data[{key}]"), "")));
    }
    if kind == "kubernetes.io/dockerconfigjson"
        && let Some(Err(why)) =
            decoded(object, ".dockerconfigjson").map(|bytes| serde_json::from_slice::<Value>(&bytes))
    {
        let redacted = json!("<secret contents redacted>");
        errors.push(FieldError::invalid("data[.dockerconfigjson]", &redacted, why.to_string()));
    }
    errors
}

fn decoded(object: &Value, key: &str) -> Option<Vec<u8>> {
    STANDARD.decode(object.get("data")?.get(key)?.as_str()?).ok()
}

/// What the server advises about a certificate.
pub(crate) fn secret_warnings(object: &Value) -> Vec<String> {
    if object.get("type") != Some(&json!("kubernetes.io/tls")) {
        return Vec::new();
    }
    let is_pem = decoded(object, "tls.crt").is_some_and(|bytes| String::from_utf8_lossy(&bytes).contains("-----BEGIN"));
    if is_pem { Vec::new() } else { vec!["tls: failed to find any PEM data in certificate input".to_owned()] }
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
