//! Ingresses.

use super::labels::Names;
use super::{fill, map_of, submap};
use crate::failure::FieldError;
use objects::paths;
use serde_json::{Value, json};

/// `networking.k8s.io/v1 Ingress`.
pub(crate) fn ingress(object: &mut Value, _: Option<&Value>) {
    fill(submap(map_of(object), "status"), "loadBalancer", json!({}));
}

/// What an Ingress must keep to.
pub(crate) fn validate(object: &Value, _: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let has = |key: &str| object.pointer(&format!("/spec/{key}")).is_some();
    if !has("rules") && !has("defaultBackend") {
        errors.push(FieldError::invalid("spec", &Value::Null, "either `defaultBackend` or `rules` must be specified"));
    }
    for (rule_at, rule) in paths::list(object, "/spec/rules").enumerate() {
        let host = paths::text(rule, "/host");
        let name = host.strip_prefix("*.").unwrap_or(host);
        if !host.is_empty() {
            let mut found = Vec::new();
            Names::Subdomain.check(name, &format!("spec.rules[{rule_at}].host"), &mut found);
            errors.extend(found.into_iter().map(|one| FieldError { value: json!(host).to_string(), ..one }));
        }
        for (at, path) in paths::list(rule, "/http/paths").enumerate() {
            validate_path(path, &format!("spec.rules[{rule_at}].http.paths[{at}]"), &mut errors);
        }
    }
    errors
}

fn validate_path(path: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
    match path.get("pathType").filter(|kind| **kind != json!("")) {
        None => {
            errors.push(FieldError::required(format!("{field}.pathType"), "pathType must be specified"));
            return;
        }
        Some(kind) if !kinds.iter().any(|one| kind == one) => {
            errors.push(FieldError::unsupported(format!("{field}.pathType"), kind, &kinds.map(str::to_owned)));
        }
        Some(kind) => {
            let text = paths::text(path, "/path");
            if kind != "ImplementationSpecific" && !text.starts_with('/') {
                errors.push(FieldError::invalid(format!("{field}.path"), &json!(text), "must be an absolute path"));
            }
        }
    }
    let backend = path.get("backend").unwrap_or(&Value::Null);
    let field = format!("{field}.backend");
    let port = backend.pointer("/service/port");
    let has_port = port.is_some_and(|port| {
        paths::integer(port, "/number").is_some_and(|number| number != 0) || !paths::text(port, "/name").is_empty()
    });
    if backend.get("service").is_none() && backend.get("resource").is_none() {
        errors.push(FieldError::invalid(field, &json!(""), "resource or service backend is required"));
    } else if backend.get("service").is_some() && !has_port {
        errors.push(FieldError::required(field, "port name or number is required"));
    }
}
