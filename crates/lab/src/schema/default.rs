//! Server-side defaults of custom resources.

use super::{Schema, flag, of_key};
use serde_json::Value;

impl Schema {
    /// Fills in defaults, in place. A null where null is not allowed counts as absent.
    pub(crate) fn fill_defaults(&self, object: &mut Value) {
        fill(self.root(), object);
    }
}

fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, child| !child.is_null() || of_key(schema, key).is_none_or(may_be_null));
            for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let Some(default) = property.get("default") else { continue };
                if !map.contains_key(key) {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, child) in map.iter_mut() {
                if let Some(schema) = of_key(schema, key) {
                    fill(schema, child);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.get("items") {
                for item in list {
                    fill(items, item);
                }
            }
        }
        _ => {}
    }
}

/// Whether a null may stay: it is allowed, or it is not this schema's business.
fn may_be_null(schema: &Value) -> bool {
    flag(schema, "nullable") || schema.get("type").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_are_filled_in_where_their_parent_is() {
        let schema = Schema::new(json!({"type": "object", "properties": {
            "a": {"type": "integer", "default": 1},
            "n": {"type": "string", "nullable": true, "default": "x"},
            "deep": {"type": "object", "properties": {"b": {"type": "string", "default": "y"}}},
            "made": {"type": "object", "default": {}, "properties": {"c": {"type": "string", "default": "z"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"d": {"type": "string", "default": "w"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"e": {"type": "integer", "default": 2}}}},
        }}));
        let mut object = json!({"a": null, "n": null, "deep": null, "list": [{}, {"d": "v"}], "map": {"k": {}}});
        schema.fill_defaults(&mut object);
        let wanted =
            json!({"a": 1, "n": null, "list": [{"d": "w"}, {"d": "v"}], "map": {"k": {"e": 2}}, "made": {"c": "z"}});
        assert_eq!(object, wanted);
    }
}
