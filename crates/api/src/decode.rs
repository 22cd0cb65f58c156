//! Reading an object from JSON, with an error that names the field.
//!
//! The numbers of the schema accept fractions where the types are whole (quirk Q3), so an object that the API server
//! has stored may still be unreadable. Its owner must be told which field it is; serde does not know.

use std::mem;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}{cause}", prefix(path))]
pub struct DecodeError {
    /// The field, such as `spec.analysis.stepWeights[1]`; empty if it cannot be told.
    pub path: String,
    /// What is wrong with it.
    pub cause: serde_json::Error,
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// Reads one of the three kinds, or a part of one.
pub fn decode<T: DeserializeOwned>(value: Value) -> Result<T, DecodeError> {
    T::deserialize(&value).map_err(|cause| DecodeError { path: locate::<T>(value, &cause.to_string()), cause })
}

/// Looks for the field without which the object can be read, or fails differently: from the outside to the inside, each
/// field is taken away for a moment. Many readings, but of one object, and only when something is wrong.
fn locate<T: DeserializeOwned>(mut object: Value, message: &str) -> String {
    let (mut pointer, mut path) = (String::new(), String::new());
    while let Some((token, name)) = children(object.pointer(&pointer)).into_iter().find(|(token, _)| {
        let child = format!("{pointer}/{token}");
        let taken = object.pointer_mut(&child).map(mem::take);
        let cured = T::deserialize(&object).map_or_else(|error| error.to_string() != message, |_| true);
        if let (Some(place), Some(value)) = (object.pointer_mut(&child), taken) {
            *place = value;
        }
        cured
    }) {
        pointer = format!("{pointer}/{token}");
        path.push_str(&name);
    }
    path.trim_start_matches('.').to_owned()
}

/// The fields or elements of a value: as part of a JSON pointer, and as people write it.
fn children(value: Option<&Value>) -> Vec<(String, String)> {
    match value {
        Some(Value::Object(fields)) => {
            fields.keys().map(|key| (key.replace('~', "~0").replace('/', "~1"), format!(".{key}"))).collect()
        }
        Some(Value::Array(items)) => (0..items.len()).map(|index| (index.to_string(), format!("[{index}]"))).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Canary;

    fn error(spec: &Value) -> String {
        decode::<Canary>(json!({"metadata": {"name": "podinfo"}, "spec": spec})).unwrap_err().to_string()
    }

    #[test]
    fn the_field_that_cannot_be_read_is_named() {
        let analysis = json!({"interval": "1m", "threshold": 1.5, "iterations": 10});
        assert_eq!(error(&json!({"analysis": analysis})), "spec.analysis.threshold: 1.5 is not a whole number");
        let analysis = json!({"stepWeights": [1, 2, 2.5]});
        assert_eq!(error(&json!({"analysis": analysis})), "spec.analysis.stepWeights[2]: 2.5 is not a whole number");
        let service = json!({"match": [{"port": 80}, {"headers": {"a/b": {"exact": 7}}}]});
        assert_eq!(
            error(&json!({"service": service})),
            "spec.service.match[1].headers.a/b.exact: invalid type: integer `7`, expected a string"
        );
    }

    #[test]
    fn of_two_fields_that_cannot_be_read_one_is_named() {
        let spec = json!({"progressDeadlineSeconds": 0.5, "analysis": {"threshold": 1.5}});
        assert!(error(&spec).ends_with(" is not a whole number"));
    }

    #[test]
    fn what_is_no_object_is_told_too() {
        assert!(decode::<Canary>(json!("podinfo")).is_err());
    }
}
