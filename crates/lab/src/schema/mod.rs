//! Structural schemas of custom resources: what is dropped, what is filled in, what is refused.
//!
//! Not here: the schema itself is not checked.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>

mod default;
mod prune;
mod rules;
mod validate;

use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// One version's schema, with its patterns and rules compiled.
#[derive(Debug)]
pub(crate) struct Schema {
    root: Value,
    patterns: HashMap<String, Regex>,
    programs: BTreeMap<String, cel::Program>,
}

impl Schema {
    /// Takes `openAPIV3Schema`. Patterns that are no regular expressions match everything.
    pub(crate) fn new(root: Value) -> Self {
        let mut patterns = HashMap::new();
        collect_patterns(&root, &mut patterns);
        let mut programs = BTreeMap::new();
        rules::compile(&root, &mut programs);
        Self { root, patterns, programs }
    }

    /// The schema as it was written.
    pub(crate) fn root(&self) -> &Value {
        &self.root
    }
}

fn collect_patterns(schema: &Value, patterns: &mut HashMap<String, Regex>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(pattern)) = map.get("pattern")
                && let Ok(regex) = Regex::new(pattern)
            {
                patterns.insert(pattern.clone(), regex);
            }
            map.values().for_each(|child| collect_patterns(child, patterns));
        }
        Value::Array(list) => list.iter().for_each(|child| collect_patterns(child, patterns)),
        _ => {}
    }
}

/// Whether a schema carries a flag such as `nullable`.
fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// `path.key`, or `key` at the top.
fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The schema of one key of an object: its property, else what holds for additional ones.
fn of_key<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let property = schema.get("properties").and_then(|properties| properties.get(key));
    property.or_else(|| schema.get("additionalProperties").filter(|additional| additional.is_object()))
}
