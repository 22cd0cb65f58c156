//! Server-side apply, and the record of who set what.
//!
//! Limits: fields are compared as they are stored, so a conflict does not know of defaults; a manager is identified by name, operation, version and
//! subresource; nothing is converted between versions.
//! Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

use super::fields::{Fields, difference, step};
use super::types::{ListKind, Types};
use objects::paths;
use serde_json::{Value, json};

/// Who writes, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manager {
    /// Field manager.
    pub name: String,
    /// Whether it applies; else it updates.
    pub applies: bool,
    /// `apiVersion` of what it writes.
    pub api_version: String,
    /// `status`, or empty.
    pub subresource: &'static str,
    /// The time, for the record.
    pub time: String,
}

/// One entry of `managedFields`.
#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    fields: Fields,
}

impl Entry {
    fn is_of(&self, manager: &Manager) -> bool {
        let text = |key: &str| self.value.get(key).and_then(Value::as_str).unwrap_or_default();
        text("manager") == manager.name
            && text("operation") == manager.operation()
            && text("subresource") == manager.subresource
            && text("apiVersion") == manager.api_version
    }

    /// The manager as conflicts name it.
    fn name(&self) -> String {
        let text = |key: &str| self.value.get(key).and_then(Value::as_str).unwrap_or_default();
        let how = match (text("operation"), text("subresource")) {
            ("Update", "") => format!(" using {}", text("apiVersion")),
            ("Update", sub) => format!(" with subresource {sub:?} using {}", text("apiVersion")),
            _ => String::new(),
        };
        format!("{:?}{how}", text("manager"))
    }
}

impl Manager {
    fn operation(&self) -> &'static str {
        if self.applies { "Apply" } else { "Update" }
    }

    fn entry(&self, fields: Fields) -> Entry {
        let mut value = json!({"manager": self.name, "operation": self.operation(), "apiVersion": self.api_version, "time": self.time, "fieldsType": "FieldsV1"});
        if !self.subresource.is_empty() {
            paths::set(&mut value, &["subresource"], json!(self.subresource));
        }
        Entry { value, fields }
    }
}

fn read(object: &Value) -> Vec<Entry> {
    let entries = paths::list(object, "/metadata/managedFields").filter(|entry| entry.get("manager").is_some());
    entries
        .map(|entry| Entry { value: entry.clone(), fields: Fields::read(entry.get("fieldsV1").unwrap_or(&json!({}))) })
        .collect()
}

fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    // Applies first, then by time, then by name, as the real server sorts them.
    let text = |entry: &Entry, pointer: &str| paths::text(&entry.value, pointer).to_owned();
    entries.sort_by_key(|entry| (text(entry, "/operation"), text(entry, "/time"), text(entry, "/manager")));
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|mut entry| {
            paths::set(&mut entry.value, &["fieldsV1"], entry.fields.write());
            entry.value
        })
        .collect();
    paths::set(object, &["metadata", "managedFields"], if entries.is_empty() { Value::Null } else { json!(entries) });
}

/// Records a creation in the new object: by an apply, what its configuration gives; else everything.
pub(crate) fn record_created(new: &mut Value, config: Option<&Value>, manager: &Manager, types: Types<'_>) {
    let fields = match config {
        Some(config) => Fields::of(config, types),
        None => difference(&empty(types), &news(new, types), types).0,
    };
    // What the server gives a namespace is nobody's.
    let given: &[&str] = match types.0.table.as_str() {
        "namespaces" => &["status", "spec"],
        _ if types.0.status => &["status"],
        _ => &[],
    };
    let fields = fields.stripped().without(given);
    write(new, vec![manager.entry(fields)]);
}

/// A new object without the top-level fields that its type has even if they are empty.
fn news(new: &Value, types: Types<'_>) -> Value {
    let mut news = new.clone();
    if let (Some(map), true) = (news.as_object_mut(), types.0.builtin().is_some()) {
        map.retain(|_, value| !value.is_null() && value != "");
    }
    news
}

/// What a new object differs from: of a built-in kind, the parts that its type always has are no news.
fn empty(types: Types<'_>) -> Value {
    if types.0.custom().is_some() {
        return json!({"metadata": {}});
    }
    let template = json!({"metadata": {}, "spec": {"containers": []}});
    let spec = json!({"strategy": {}, "updateStrategy": {}, "template": template, "containers": [], "scaleTargetRef": {}, "names": {}});
    json!({"metadata": {}, "spec": spec, "source": {}})
}

/// Records an update or a patch in the new object.
pub(crate) fn record(old: &Value, new: &mut Value, manager: &Manager, types: Types<'_>) {
    let (changed, gone) = difference(old, new, types);
    let (changed, gone) = (changed.stripped(), gone.stripped());
    let mut entries = read(new);
    if changed.is_empty() && gone.is_empty() {
        return;
    }
    let mut found = false;
    for entry in &mut entries {
        entry.fields.subtract(&gone);
        if entry.is_of(manager) {
            found = true;
            entry.fields.union(&changed);
            paths::set(&mut entry.value, &["time"], json!(manager.time));
        } else {
            entry.fields.subtract(&changed);
        }
    }
    if !found {
        entries.push(manager.entry(changed));
    }
    write(new, entries);
}

/// The result of an apply.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The merged object, with its record.
    pub object: Value,
    /// (manager, field) of the fields that others own and this apply would change.
    pub conflicts: Vec<(String, String)>,
}

/// Applies a configuration to the present object. With `force`, fields of others are taken; without, they are conflicts and the result must not be used.
pub(crate) fn apply(live: &Value, config: &Value, manager: &Manager, force: bool, types: Types<'_>) -> Applied {
    let applied = Fields::of(config, types).stripped();
    let mut entries = read(live);
    let before =
        entries.iter().find(|entry| entry.is_of(manager)).map(|entry| entry.fields.clone()).unwrap_or_default();
    let mut object = live.clone();
    merge(&mut object, config, &mut Vec::new(), types);
    let mut dropped = before.clone();
    dropped.subtract(&applied.clone().with_parents());
    for entry in entries.iter().filter(|entry| !entry.is_of(manager)) {
        dropped.subtract(&entry.fields.clone().with_parents());
    }
    if !dropped.is_empty() {
        remove(&mut object, &dropped, &mut Vec::new(), types);
    }
    let (changed, _) = difference(live, &object, types);
    let changed = changed.stripped();
    let mut conflicts = Vec::new();
    for entry in entries.iter_mut().filter(|entry| !entry.is_of(manager)) {
        let contested = entry.fields.intersection(&changed);
        conflicts.extend(contested.names().into_iter().filter(|_| !force).map(|name| (entry.name(), name)));
        entry.fields.subtract(&contested);
    }
    let unchanged_time = entries
        .iter()
        .find(|entry| entry.is_of(manager) && entry.fields == applied)
        .map(|entry| paths::text(&entry.value, "/time").to_owned());
    entries.retain(|entry| !entry.is_of(manager));
    let time = unchanged_time.filter(|_| changed.is_empty()).unwrap_or_else(|| manager.time.clone());
    entries.push(Manager { time, ..manager.clone() }.entry(applied));
    write(&mut object, entries);
    Applied { object, conflicts }
}

/// The first list of a configuration that holds an element twice, and which, in the words of the server.
pub(crate) fn doubled(config: &Value, types: Types<'_>) -> Option<String> {
    doubled_below(config, &mut Vec::new(), types)
}

fn doubled_below(value: &Value, path: &mut Vec<String>, types: Types<'_>) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, child)| {
            path.push(key.clone());
            let found = doubled_below(child, path, types);
            path.pop();
            found
        }),
        Value::Array(list) => {
            if let ListKind::Map(keys) = types.list(path) {
                let identity = |item: &Value| -> Vec<(String, Value)> {
                    let part = |(key, absent): &(String, Value)| (key.clone(), item.get(key).unwrap_or(absent).clone());
                    keys.iter().map(part).collect()
                };
                let twice = list
                    .iter()
                    .enumerate()
                    .find(|(at, item)| list.iter().take(*at).any(|other| identity(other) == identity(item)));
                if let Some((_, item)) = twice {
                    let shown: Vec<_> = identity(item).iter().map(|(key, value)| format!("{key}={value}")).collect();
                    return Some(format!(".{}: duplicate entries for key [{}]", path.join("."), shown.join(",")));
                }
            }
            list.iter().find_map(|item| doubled_below(item, path, types))
        }
        _ => None,
    }
}

/// Puts a configuration over the present object: maps and keyed lists element by element, everything else as a whole.
fn merge(live: &mut Value, config: &Value, path: &mut Vec<String>, types: Types<'_>) {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if !types.is_atomic(path) => {
            for (key, value) in config {
                path.push(key.clone());
                merge(live.entry(key.clone()).or_insert(Value::Null), value, path, types);
                path.pop();
            }
        }
        (Value::Array(live), Value::Array(config)) if types.list(path) != ListKind::Atomic => {
            *live = merge_elements(std::mem::take(live), config, path, types);
        }
        (live, config) => *live = config.clone(),
    }
}

/// The elements of both lists: those that both have in the order of the configuration, the others where they were.
fn merge_elements(live: Vec<Value>, config: &[Value], path: &mut Vec<String>, types: Types<'_>) -> Vec<Value> {
    let kind = types.list(path);
    let steps: Vec<String> = config.iter().map(|item| step(item, &kind)).collect();
    let mut known: Vec<(String, Value)> = live.into_iter().map(|item| (step(&item, &kind), item)).collect();
    let mut merged = Vec::new();
    let mut next = steps.iter().zip(config);
    while !known.is_empty() {
        if !known.first().is_some_and(|(step, _)| steps.contains(step)) {
            merged.push(known.remove(0).1);
            continue;
        }
        let Some((step, item)) = next.next() else { break };
        merged.push(match known.iter().position(|(known, _)| known == step) {
            Some(at) => {
                let (_, mut both) = known.remove(at);
                merge(&mut both, item, path, types);
                both
            }
            None => item.clone(),
        });
    }
    merged.extend(next.map(|(_, item)| item.clone()));
    merged
}

/// Takes fields out of a value; maps and lists that become empty go with them.
fn remove(value: &mut Value, fields: &Fields, path: &mut Vec<String>, types: Types<'_>) {
    match value {
        Value::Object(map) => {
            for (step, below) in &fields.children {
                let Some(key) = step.strip_prefix("f:") else { continue };
                let Some(child) = map.get_mut(key) else { continue };
                path.push(key.to_owned());
                if below.own && below.children.is_empty() {
                    map.shift_remove(key);
                } else {
                    remove(child, below, path, types);
                    let empty = child.as_object().is_some_and(serde_json::Map::is_empty)
                        || child.as_array().is_some_and(Vec::is_empty);
                    if empty {
                        map.shift_remove(key);
                    }
                }
                path.pop();
            }
        }
        Value::Array(list) => {
            let kind = types.list(path);
            list.retain(|item| !fields.children.get(&step(item, &kind)).is_some_and(|below| below.own));
            for item in list {
                if let Some(below) = fields.children.get(&step(item, &kind)) {
                    remove(item, below, path, types);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Registry;

    fn manager(name: &str, applies: bool) -> Manager {
        Manager {
            name: name.to_owned(),
            applies,
            api_version: "v1".to_owned(),
            subresource: "",
            time: "2030-01-01T00:00:00Z".to_owned(),
        }
    }

    fn config(data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data})
    }

    #[test]
    fn what_is_no_longer_applied_goes_unless_another_owns_it() {
        let registry = Registry::default().by_name("cm").unwrap();
        let types = Types(&registry);
        let first =
            apply(&config(&json!({})), &config(&json!({"a": "1", "b": "1"})), &manager("one", true), false, types)
                .object;
        let both = apply(&first, &config(&json!({"b": "1", "c": "1"})), &manager("two", true), false, types);
        assert_eq!(both.conflicts, []);
        let left = apply(&both.object, &config(&json!({"a": "2"})), &manager("one", true), false, types).object;
        assert_eq!(left["data"], json!({"a": "2", "b": "1", "c": "1"}));
        let gone = apply(&left, &config(&json!({"c": "1"})), &manager("two", true), false, types).object;
        assert_eq!(gone["data"], json!({"a": "2", "c": "1"}));
    }

    #[test]
    fn changing_what_another_owns_is_a_conflict_unless_forced() {
        let registry = Registry::default().by_name("cm").unwrap();
        let types = Types(&registry);
        let mut live = config(&json!({"a": "1"}));
        record_created(&mut live, None, &manager("kubectl", false), types);
        let refused = apply(&live, &config(&json!({"a": "2"})), &manager("me", true), false, types);
        assert_eq!(refused.conflicts, [("\"kubectl\" using v1".to_owned(), ".data.a".to_owned())]);
        let forced = apply(&live, &config(&json!({"a": "2"})), &manager("me", true), true, types);
        assert_eq!(forced.conflicts, []);
        let left: Vec<_> = paths::list(&forced.object, "/metadata/managedFields")
            .map(|entry| (&entry["manager"], &entry["fieldsV1"]))
            .collect();
        let wanted = [(&json!("me"), &json!({"f:data": {"f:a": {}}})), (&json!("kubectl"), &json!({"f:data": {}}))];
        assert_eq!(left, wanted, "the other still has the map that it made");
        let same = apply(&live, &config(&json!({"a": "1"})), &manager("me", true), false, types);
        assert_eq!(same.conflicts, [], "the same value is shared");
    }

    #[test]
    fn a_map_that_was_taken_over_whole_keeps_what_is_still_applied() {
        let registry = Registry::default().by_name("cm").unwrap();
        let types = Types(&registry);
        let mut live = config(&json!({"a": "1", "b": "1"}));
        let fields = json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}});
        let entry = json!({"manager": "me", "operation": "Apply", "apiVersion": "v1", "time": "", "fieldsType": "FieldsV1", "fieldsV1": fields});
        paths::set(&mut live, &["metadata", "managedFields"], json!([entry]));
        let applied = apply(&live, &config(&json!({"a": "1"})), &manager("me", true), false, types).object;
        assert_eq!(applied["data"], json!({"a": "1"}));
    }

    #[test]
    fn an_update_takes_the_fields_that_it_changes() {
        let registry = Registry::default().by_name("cm").unwrap();
        let types = Types(&registry);
        let live =
            apply(&config(&json!({})), &config(&json!({"a": "1", "b": "1"})), &manager("one", true), false, types)
                .object;
        let mut new = live.clone();
        paths::set(&mut new, &["data", "a"], json!("2"));
        record(&live, &mut new, &manager("two", false), types);
        let of = |at: usize| new.pointer(&format!("/metadata/managedFields/{at}/fieldsV1")).cloned().unwrap();
        assert_eq!(of(0), json!({"f:data": {"f:b": {}}}));
        assert_eq!(of(1), json!({"f:data": {"f:a": {}}}));
    }
}
