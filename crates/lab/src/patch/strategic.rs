//! Strategic merge patch: lists are merged by key, and directives (`$patch`, `$retainKeys`, `$setElementOrder/...`, `$deleteFromPrimitiveList/...`)
//! say what else to do. For built-in kinds only.
//!
//! Source: <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>

use super::types::{ListKind, Types};
use serde_json::{Map, Value};

/// Why a patch cannot be applied.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum StrategicError {
    /// An element of a merged list has no key.
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey { item: String, key: String },
    /// A directive that does not exist.
    #[error("unknown patch type: {directive} in map: {map}")]
    UnknownDirective { directive: String, map: String },
}

/// Merges a patch into an object, in place.
pub(crate) fn merge(target: &mut Value, patch: &Value, types: Types<'_>) -> Result<(), StrategicError> {
    merge_value(target, patch, &mut Vec::new(), types)
}

fn merge_value(
    target: &mut Value,
    patch: &Value,
    way: &mut Vec<String>,
    types: Types<'_>,
) -> Result<(), StrategicError> {
    match patch {
        Value::Object(patch) => merge_map(target, patch, way, types),
        Value::Array(patch) => merge_list(target, patch, None, way, types),
        other => {
            *target = other.clone();
            Ok(())
        }
    }
}

fn merge_map(
    target: &mut Value,
    patch: &Map<String, Value>,
    way: &mut Vec<String>,
    types: Types<'_>,
) -> Result<(), StrategicError> {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(
                patch
                    .iter()
                    .filter(|(key, _)| *key != "$patch")
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
            );
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(StrategicError::UnknownDirective {
                directive: other.to_owned(),
                map: shown(&Value::Object(patch.clone())),
            });
        }
    }
    let map = crate::defaults::map_of(target);
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        map.retain(|key, _| kept.iter().any(|one| one == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(Value::Array(list)) = map.get_mut(list) {
                list.retain(|item| !gone.contains(item));
            }
        } else if !key.starts_with('$') {
            merge_key(map, key, value, patch.get(&format!("$setElementOrder/{key}")), way, types)?;
        }
    }
    order_untouched(map, patch, way, types);
    Ok(())
}

fn merge_key(
    map: &mut Map<String, Value>,
    key: &str,
    value: &Value,
    order: Option<&Value>,
    way: &mut Vec<String>,
    types: Types<'_>,
) -> Result<(), StrategicError> {
    if value.is_null() {
        map.shift_remove(key);
        return Ok(());
    }
    let deletes = value.get("$patch").and_then(Value::as_str) == Some("delete");
    if deletes {
        map.shift_remove(key);
        return Ok(());
    }
    way.push(key.to_owned());
    let target = map.entry(key.to_owned()).or_insert(Value::Null);
    let merged = match value {
        Value::Array(patch) => merge_list(target, patch, order.and_then(Value::as_array), way, types),
        other => merge_value(target, other, way, types),
    };
    way.pop();
    merged
}

/// Lists that are only put into another order.
fn order_untouched(map: &mut Map<String, Value>, patch: &Map<String, Value>, way: &mut Vec<String>, types: Types<'_>) {
    for (key, order) in patch {
        let Some(list) = key.strip_prefix("$setElementOrder/").filter(|list| !patch.contains_key(*list)) else {
            continue;
        };
        way.push(list.to_owned());
        let kind = types.list(way);
        way.pop();
        if let (Some(Value::Array(list)), Some(order)) = (map.get_mut(list), order.as_array()) {
            let before = list.clone();
            sort(list, order, &before, &kind);
        }
    }
}

fn merge_list(
    target: &mut Value,
    patch: &[Value],
    order: Option<&Vec<Value>>,
    way: &mut Vec<String>,
    types: Types<'_>,
) -> Result<(), StrategicError> {
    let kind = types.list(way);
    let before = match target {
        Value::Array(list) => std::mem::take(list),
        _ => Vec::new(),
    };
    let list = match &kind {
        ListKind::Atomic => patch.to_vec(),
        ListKind::Set => {
            let mut list = before.clone();
            list.extend(patch.iter().filter(|item| !before.contains(item)).cloned());
            sort(&mut list, order.map_or(patch, Vec::as_slice), &before, &kind);
            list
        }
        ListKind::Map(keys) => {
            let key = keys.first().map_or("name", |(key, _)| key.as_str());
            let mut list = merge_elements(&before, patch, key, way, types)?;
            let replaced = patch.iter().any(|item| is_directive(item, "replace"));
            let plain: Vec<Value> = patch.iter().filter(|item| item.get("$patch").is_none()).cloned().collect();
            sort(&mut list, order.map_or(&plain, |order| order), if replaced { &[] } else { &before }, &kind);
            list
        }
    };
    *target = Value::Array(list);
    Ok(())
}

/// A value as the real server shows it: `map[image:x]`.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().map(|(key, value)| format!("{key}:{}", shown(value))).collect();
            keys.sort_unstable();
            format!("map[{}]", keys.join(" "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_directive(item: &Value, directive: &str) -> bool {
    item.get("$patch").and_then(Value::as_str) == Some(directive)
}

fn merge_elements(
    before: &[Value],
    patch: &[Value],
    key: &str,
    way: &mut Vec<String>,
    types: Types<'_>,
) -> Result<Vec<Value>, StrategicError> {
    let whole = patch.iter().any(|item| is_directive(item, "replace") && item.get(key).is_none());
    let mut list = if whole { Vec::new() } else { before.to_vec() };
    for item in patch.iter().filter(|item| !(is_directive(item, "replace") && item.get(key).is_none())) {
        let Some(identity) = item.get(key) else {
            return Err(StrategicError::NoMergeKey { item: shown(item), key: key.to_owned() });
        };
        let found = list.iter_mut().find(|one| one.get(key) == Some(identity));
        match found {
            _ if is_directive(item, "delete") => list.retain(|one| one.get(key) != Some(identity)),
            Some(one) => merge_value(one, item, way, types)?,
            None => {
                let mut new = Value::Null;
                merge_value(&mut new, item, way, types)?;
                list.push(new);
            }
        }
    }
    Ok(list)
}

/// Puts a merged list in order: the patch's elements in the patch's order, the others where they were relative to those.
fn sort(list: &mut Vec<Value>, order: &[Value], before: &[Value], kind: &ListKind) {
    let same = |one: &Value, other: &Value| match kind {
        ListKind::Map(keys) => {
            keys.first().is_some_and(|(key, _)| one.get(key).is_some() && one.get(key) == other.get(key))
        }
        _ => one == other,
    };
    let place = |item: &Value, of: &[Value]| of.iter().position(|one| same(one, item));
    let (mut first, others): (Vec<Value>, Vec<Value>) =
        std::mem::take(list).into_iter().partition(|item| place(item, order).is_some());
    first.sort_by_key(|item| place(item, order));
    let mut first = first.into_iter().peekable();
    for other in others {
        let at = place(&other, before);
        while let Some(next) =
            first.next_if(|next| !matches!((at, place(next, before)), (Some(at), Some(next)) if at < next))
        {
            list.push(next);
        }
        list.push(other);
    }
    list.extend(first);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Registry;
    use serde_json::json;

    fn merged(kind: &str, mut target: Value, patch: &Value) -> Value {
        let resource = Registry::default().by_name(kind).unwrap();
        merge(&mut target, patch, Types(&resource)).unwrap();
        target
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better with `json!`")]
    fn pod(containers: Value) -> Value {
        json!({"spec": {"containers": containers}})
    }

    #[test]
    fn containers_are_merged_by_name_and_ports_by_number() {
        let target = pod(json!([
            {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}], "ports": [{"containerPort": 80, "name": "http"}], "args": ["1", "2"]},
            {"name": "b", "image": "b:1"}]));
        let patch = pod(
            json!([{"name": "a", "image": "a:2", "env": [{"name": "Y", "value": "2"}], "ports": [{"containerPort": 80, "name": "web"}], "args": ["3"]}]),
        );
        let wanted = pod(json!([
            {"name": "a", "image": "a:2", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}], "ports": [{"containerPort": 80, "name": "web"}],
             "args": ["3"]},
            {"name": "b", "image": "b:1"}]));
        assert_eq!(merged("pods", target, &patch), wanted);
    }

    #[test]
    fn directives_delete_replace_and_order() {
        let three = pod(json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]));
        let delete = pod(json!([{"name": "b", "$patch": "delete"}]));
        assert_eq!(merged("pods", three.clone(), &delete), pod(json!([{"name": "a"}, {"name": "c"}])));
        let replace = pod(json!([{"$patch": "replace"}, {"name": "d"}]));
        assert_eq!(merged("pods", three.clone(), &replace), pod(json!([{"name": "d"}])));
        let order = json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}], "containers": [{"name": "d"}]}});
        let names: Vec<_> = merged("pods", three, &order)["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].clone())
            .collect();
        assert_eq!(
            names,
            ["b", "c", "a", "d"].map(|name| json!(name)),
            "those of the order in their order, the others where they were"
        );
        let retain = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
        let rolling = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
        assert_eq!(merged("deployments", rolling, &retain), json!({"spec": {"strategy": {"type": "Recreate"}}}));
    }

    #[test]
    fn sets_unite_and_lose_single_values() {
        let target = json!({"metadata": {"finalizers": ["a", "b"]}});
        let add = json!({"metadata": {"finalizers": ["c"]}});
        assert_eq!(merged("pods", target.clone(), &add)["metadata"]["finalizers"], json!(["c", "a", "b"]));
        let delete = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}});
        assert_eq!(merged("pods", target, &delete)["metadata"]["finalizers"], json!(["b"]));
    }

    #[test]
    fn service_ports_are_merged_by_port_and_atomic_lists_replaced() {
        let target = json!({"spec": {"ports": [{"port": 80, "name": "a"}], "externalIPs": ["1"]}});
        let patch = json!({"spec": {"ports": [{"port": 81, "name": "b"}], "externalIPs": ["2"]}});
        let wanted =
            json!({"spec": {"ports": [{"port": 81, "name": "b"}, {"port": 80, "name": "a"}], "externalIPs": ["2"]}});
        assert_eq!(merged("services", target, &patch), wanted);
    }

    #[test]
    fn an_element_without_its_key_is_refused() {
        let resource = Registry::default().by_name("pods").unwrap();
        let error = merge(&mut pod(json!([])), &pod(json!([{"image": "x"}])), Types(&resource)).unwrap_err();
        assert_eq!(error.to_string(), "map: map[image:x] does not contain declared merge key: name");
    }
}
