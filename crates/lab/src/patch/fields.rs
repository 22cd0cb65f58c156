//! Sets of fields, as `managedFields` records who set what (`FieldsV1`).
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>

use super::types::{ListKind, Types};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A set of paths, as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Whether the place itself is in the set.
    pub own: bool,
    /// What is below it, by step: `f:key`, `k:{"key":"value"}` or `v:value`.
    pub children: BTreeMap<String, Fields>,
}

impl Fields {
    /// A set with one place in it.
    fn leaf() -> Self {
        Self { own: true, children: BTreeMap::new() }
    }

    /// The fields that a configuration gives, as an apply records them: maps and lists only by what is in them.
    pub(crate) fn of(value: &Value, types: Types<'_>) -> Self {
        of_value(value, &mut Vec::new(), types, false)
    }

    /// Reads `fieldsV1`.
    pub(crate) fn read(value: &Value) -> Self {
        let map = value.as_object();
        let own = map.is_none_or(|map| map.is_empty() || map.contains_key("."));
        let children = map
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != ".")
            .map(|(key, child)| (key.clone(), Self::read(child)));
        Self { own, children: children.collect() }
    }

    /// Writes `fieldsV1`.
    pub(crate) fn write(&self) -> Value {
        let mut map = Map::new();
        if self.own && !self.children.is_empty() {
            map.insert(".".to_owned(), json!({}));
        }
        map.extend(self.children.iter().map(|(key, child)| (key.clone(), child.write())));
        Value::Object(map)
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.own && self.children.values().all(Self::is_empty)
    }

    /// What is in either.
    pub(crate) fn union(&mut self, other: &Self) {
        self.own |= other.own;
        for (key, child) in &other.children {
            self.children.entry(key.clone()).or_default().union(child);
        }
    }

    /// Takes out what is in the other.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.own &= !other.own;
        for (key, child) in &other.children {
            if let Some(mine) = self.children.get_mut(key) {
                mine.subtract(child);
            }
        }
        self.children.retain(|_, child| !child.is_empty());
    }

    /// What is in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(key, child)| {
            let both = child.intersection(other.children.get(key)?);
            (!both.is_empty()).then(|| (key.clone(), both))
        });
        Self { own: self.own && other.own, children: children.collect() }
    }

    /// Adds the maps, lists and elements above what is in the set: who owns a field owns that there is a place for it.
    pub(crate) fn with_parents(mut self) -> Self {
        for child in self.children.values_mut() {
            *child = std::mem::take(child).with_parents();
            child.own |= !child.children.is_empty();
        }
        self
    }

    /// Takes out everything below one of the top-level fields.
    pub(crate) fn without(mut self, keys: &[&str]) -> Self {
        self.children.retain(|key, _| !keys.contains(&key.trim_start_matches("f:")));
        self
    }

    /// Takes out what is never recorded: type, name and what only the server writes.
    pub(crate) fn stripped(self) -> Self {
        const METADATA: [&str; 9] = [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "managedFields",
            "selfLink",
            "deletionTimestamp",
        ];
        let mut fields = self.without(&["apiVersion", "kind"]);
        if let Some(metadata) = fields.children.get_mut("f:metadata") {
            metadata.children.retain(|key, _| !METADATA.contains(&key.trim_start_matches("f:")));
        }
        fields.children.retain(|_, child| !child.is_empty());
        fields
    }

    /// The paths as conflicts name them, e.g. `.spec.template.spec.containers[name="a"].image`.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.collect_names("", &mut names);
        names
    }

    fn collect_names(&self, path: &str, names: &mut Vec<String>) {
        if self.own {
            names.push(path.to_owned());
        }
        for (step, child) in &self.children {
            child.collect_names(&format!("{path}{}", shown(step)), names);
        }
    }
}

fn shown(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", key)) => format!(".{key}"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            format!("[{}]", keys.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
        }
        Some((_, value)) => format!("[={value}]"),
        None => step.to_owned(),
    }
}

/// The fields of a value; with `whole`, maps and lists are in the set themselves, as those are that an update brings or takes away.
fn of_value(value: &Value, path: &mut Vec<String>, types: Types<'_>, whole: bool) -> Fields {
    match value {
        Value::Object(map) if !map.is_empty() && !types.is_atomic(path) => {
            let mut fields = Fields { own: whole, ..Fields::default() };
            for (key, child) in map {
                path.push(key.clone());
                fields.children.insert(format!("f:{key}"), of_value(child, path, types, whole));
                path.pop();
            }
            fields
        }
        Value::Array(list) if !list.is_empty() => match types.list(path) {
            ListKind::Atomic => Fields::leaf(),
            kind => {
                let mut fields = Fields { own: whole, ..Fields::default() };
                for item in list {
                    let mut of =
                        if kind == ListKind::Set { Fields::leaf() } else { of_value(item, path, types, whole) };
                    of.own = true;
                    fields.children.insert(step(item, &kind), of);
                }
                fields
            }
        },
        _ => Fields::leaf(),
    }
}

/// The step to an element of a merged list.
pub(crate) fn step(item: &Value, kind: &ListKind) -> String {
    let ListKind::Map(keys) = kind else { return format!("v:{item}") };
    let mut keys: Vec<_> = keys
        .iter()
        .map(|(key, absent)| (key.as_str(), item.get(key).unwrap_or(absent)))
        .filter(|(_, value)| !value.is_null())
        .collect();
    keys.sort_unstable_by_key(|(key, _)| *key);
    let keys: Map<String, Value> = keys.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
    format!("k:{}", Value::Object(keys))
}

/// The fields that differ between two values: those that are new or changed, and those that are gone.
pub(crate) fn difference(old: &Value, new: &Value, types: Types<'_>) -> (Fields, Fields) {
    let (mut changed, mut gone) = (Fields::default(), Fields::default());
    compare(old, new, &mut Vec::new(), types, &mut changed, &mut gone);
    (changed, gone)
}

/// What is at one step in two values.
struct Pair<'a> {
    step: String,
    /// The key, if the step is one.
    key: Option<String>,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
}

fn compare(
    old: &Value,
    new: &Value,
    path: &mut Vec<String>,
    types: Types<'_>,
    changed: &mut Fields,
    gone: &mut Fields,
) {
    if old == new {
        return;
    }
    let pairs = match (old, new) {
        (Value::Object(old), Value::Object(new)) if !types.is_atomic(path) => pairs_of_maps(old, new),
        (Value::Array(old), Value::Array(new)) if types.list(path) != ListKind::Atomic => {
            pairs_of_lists(old, new, &types.list(path))
        }
        _ => {
            let present = of_value(new, path, types, true);
            let mut lost = of_value(old, path, types, true);
            lost.subtract(&present);
            changed.union(&present);
            gone.union(&lost);
            return;
        }
    };
    for Pair { step, key, old, new } in pairs {
        let is_key = key.is_some();
        path.extend(key);
        match (old, new) {
            (Some(old), Some(new)) => {
                let (mut more, mut less) = (Fields::default(), Fields::default());
                compare(old, new, path, types, &mut more, &mut less);
                add(changed, &step, &more);
                add(gone, &step, &less);
            }
            (Some(old), None) => add(gone, &step, &element(old, path, types, &step)),
            (None, Some(new)) => add(changed, &step, &element(new, path, types, &step)),
            (None, None) => {}
        }
        if is_key {
            path.pop();
        }
    }
}

fn pairs_of_maps<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> Vec<Pair<'a>> {
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    keys.map(|key| Pair { step: format!("f:{key}"), key: Some(key.clone()), old: old.get(key), new: new.get(key) })
        .collect()
}

fn pairs_of_lists<'a>(old: &'a [Value], new: &'a [Value], kind: &ListKind) -> Vec<Pair<'a>> {
    let find = |list: &'a [Value], wanted: &str| list.iter().find(|item| step(item, kind) == wanted);
    let olds = old.iter().map(|item| (step(item, kind), Some(item)));
    let news = new.iter().map(|item| (step(item, kind), None)).filter(|(step, _)| find(old, step).is_none());
    olds.chain(news).map(|(step, old)| Pair { new: find(new, &step), step, key: None, old }).collect()
}

fn element(value: &Value, path: &mut Vec<String>, types: Types<'_>, step: &str) -> Fields {
    let mut fields = if step.starts_with("v:") { Fields::leaf() } else { of_value(value, path, types, true) };
    fields.own |= !step.starts_with("f:");
    fields
}

fn add(to: &mut Fields, step: &str, fields: &Fields) {
    if !fields.is_empty() {
        to.children.entry(step.to_owned()).or_default().union(fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Registry;

    fn deployment(image: &str, replicas: u64) -> Value {
        json!({"spec": {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}},
            "template": {"spec": {"containers": [{"name": "c", "image": image, "args": ["x"]}]}}}})
    }

    #[test]
    fn sets_are_written_as_the_server_writes_them_and_read_back() {
        let registry = Registry::default().by_name("deploy").unwrap();
        let fields = Fields::of(&deployment("i", 1), Types(&registry));
        let wanted = json!({"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"c\"}": {".": {}, "f:args": {}, "f:image": {}, "f:name": {}}}}}}});
        assert_eq!(fields.write(), wanted);
        assert_eq!(Fields::read(&wanted), fields);
    }

    #[test]
    fn differences_are_single_fields() {
        let registry = Registry::default().by_name("deploy").unwrap();
        let mut old = deployment("i", 1);
        old["spec"]["paused"] = json!(true);
        let (changed, gone) = difference(&old, &deployment("j", 2), Types(&registry));
        assert_eq!(changed.names(), [".spec.replicas", ".spec.template.spec.containers[name=\"c\"].image"]);
        assert_eq!(gone.names(), [".spec.paused"]);
    }
}
