//! Dropping fields that the schema does not know.

use super::{Schema, below, flag, of_key};
use serde_json::{Map, Value};

const TYPE_META: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Schema {
    /// Drops unknown fields, in place. The answer is their paths.
    pub(crate) fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut dropped = Vec::new();
        prune(self.root(), object, "", true, &mut dropped);
        dropped
    }
}

fn prune(schema: &Value, value: &mut Value, path: &str, embedded: bool, dropped: &mut Vec<String>) {
    match value {
        Value::Object(map) => prune_map(schema, map, path, embedded, dropped),
        Value::Array(list) => {
            let Some(items) = schema.get("items") else { return };
            for (at, item) in list.iter_mut().enumerate() {
                prune(items, item, &format!("{path}[{at}]"), flag(items, "x-kubernetes-embedded-resource"), dropped);
            }
        }
        _ => {}
    }
}

fn prune_map(schema: &Value, map: &mut Map<String, Value>, path: &str, embedded: bool, dropped: &mut Vec<String>) {
    let any = flag(schema, "x-kubernetes-preserve-unknown-fields")
        || schema.get("additionalProperties") == Some(&Value::Bool(true));
    map.retain(|key, child| {
        if embedded && TYPE_META.contains(&key.as_str()) {
            return true;
        }
        let Some(schema) = of_key(schema, key) else {
            if !any {
                dropped.push(below(path, key));
            }
            return any;
        };
        prune(schema, child, &below(path, key), flag(schema, "x-kubernetes-embedded-resource"), dropped);
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_known_fields_stay() {
        let schema = Schema::new(json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "known": {"type": "string"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "strict": {"type": "object", "properties": {"a": {"type": "string"}}}}},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "empty": {"type": "object"},
        }}}}));
        let mut object = json!({"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "other": 1, "spec": {
            "known": "a", "unknown": 1, "free": {"any": {"thing": 1}, "strict": {"a": "", "b": ""}}, "map": {"k": "v"},
            "list": [{"a": "", "b": ""}], "empty": {"x": 1}}});
        let dropped = schema.prune(&mut object);
        assert_eq!(dropped, ["other", "spec.unknown", "spec.free.strict.b", "spec.list[0].b", "spec.empty.x"]);
        let wanted = json!({"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "spec": {
            "known": "a", "free": {"any": {"thing": 1}, "strict": {"a": ""}}, "map": {"k": "v"}, "list": [{"a": ""}], "empty": {}}});
        assert_eq!(object, wanted);
    }
}
