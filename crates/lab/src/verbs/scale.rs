//! The `scale` subresource.

use super::{Desk, Part, Record};
use crate::failure::{Failure, FieldError};
use objects::paths;
use serde_json::{Value, json};

impl Desk<'_> {
    /// The `Scale` of an object.
    pub(crate) fn scale(&self, namespace: &str, name: &str) -> Result<Value, Failure> {
        let object = self.present(namespace, name)?;
        let scale = self.resource.scale.as_ref().ok_or_else(Failure::no_such_path)?;
        let number = |pointer: &str| paths::integer(&object, pointer).unwrap_or_default();
        let mut status = json!({"replicas": number(&scale.status)});
        if let Some(selector) = scale.selector.as_deref().and_then(|pointer| object.pointer(pointer)) {
            let text = selector.as_str().map_or_else(|| selector_text(selector), str::to_owned);
            paths::set(&mut status, &["selector"], json!(text));
        }
        let mut spec = json!({});
        if number(&scale.spec) != 0 {
            paths::set(&mut spec, &["replicas"], json!(number(&scale.spec)));
        }
        let text = |key: &str| paths::text(&object, &format!("/metadata/{key}")).to_owned();
        let mut metadata = json!({"name": name});
        for key in ["namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if !text(key).is_empty() {
                paths::set(&mut metadata, &[key], json!(text(key)));
            }
        }
        Ok(
            json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}),
        )
    }

    /// Sets the number of replicas through a `Scale`.
    pub(crate) fn set_scale(&mut self, namespace: &str, name: &str, scale: &Value) -> Result<Value, Failure> {
        let stored = self.present(namespace, name)?;
        check_scale(name, scale)?;
        let pointer = self.resource.scale.as_ref().ok_or_else(Failure::no_such_path)?.spec.clone();
        let mut new = self.resource.present(&stored).into_owned();
        let path: Vec<&str> = pointer.split('/').skip(1).collect();
        paths::set(&mut new, &path, json!(paths::integer(scale, "/spec/replicas").unwrap_or_default()));
        let version = paths::text(scale, "/metadata/resourceVersion");
        if !version.is_empty() {
            paths::set(&mut new, &["metadata", "resourceVersion"], json!(version));
        }
        self.through = "scale";
        self.update(&stored, new, Part::Main, Record::Changes)?;
        self.scale(namespace, name)
    }
}

/// A `Scale` is one, of that object, and asks for no negative number.
fn check_scale(name: &str, scale: &Value) -> Result<(), Failure> {
    let (kind, given) = (paths::text(scale, "/kind"), paths::text(scale, "/metadata/name"));
    if !matches!(kind, "" | "Scale") {
        return Err(Failure::bad_request(format!("{kind} cannot be handled as a Scale")));
    }
    if !given.is_empty() && given != name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    match paths::integer(scale, "/spec/replicas").filter(|replicas| *replicas < 0) {
        None => Ok(()),
        Some(replicas) => {
            let why = "must be greater than or equal to 0";
            let error = FieldError::invalid("spec.replicas", &json!(replicas), why);
            Err(Failure::invalid("Scale", "autoscaling", name, &[error]))
        }
    }
}

/// A `LabelSelector` as text.
fn selector_text(selector: &Value) -> String {
    let equal = paths::strings(selector, "/matchLabels").into_iter().map(|(key, value)| format!("{key}={value}"));
    let others = paths::list(selector, "/matchExpressions").map(|one| {
        let values: Vec<_> = paths::list(one, "/values").filter_map(Value::as_str).collect();
        let (key, values) = (paths::text(one, "/key"), values.join(","));
        match paths::text(one, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        }
    });
    equal.chain(others).collect::<Vec<_>>().join(",")
}
