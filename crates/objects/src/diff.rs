//! Comparing objects, and the smallest JSON merge patch between two of them.
//!
//! In Kubernetes objects null, an empty list and an empty map mean the same as absence, so they are equal here. Lists are compared and replaced as a
//! whole, as a merge patch does.

use serde_json::{Map, Value};

/// The value without nulls, empty lists and empty maps, at every depth. `None` when nothing is left.
pub fn pruned(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(map) => {
            let kept: Map<String, Value> =
                map.iter().filter_map(|(key, inner)| Some((key.clone(), pruned(inner)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(list) if list.is_empty() => None,
        // Elements of lists keep their place: an empty map in a list is an element.
        Value::Array(list) => {
            Some(Value::Array(list.iter().map(|inner| pruned(inner).unwrap_or_else(|| emptied(inner))).collect()))
        }
        other => Some(other.clone()),
    }
}

fn emptied(value: &Value) -> Value {
    match value {
        Value::Object(_) => Value::Object(Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        other => other.clone(),
    }
}

/// Whether two values mean the same to the API server: absent, null, empty list and empty map are equal, `1` equals `1.0`.
pub fn equivalent(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.iter().all(|(key, inner)| equivalent(inner, right.get(key).unwrap_or(&Value::Null)))
                && right.iter().all(|(key, inner)| left.contains_key(key) || is_empty(inner))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equivalent(left, right))
        }
        (Value::Number(left), Value::Number(right)) => {
            left == right || (left.as_f64().is_some() && left.as_f64() == right.as_f64())
        }
        _ => left == right || (is_empty(left) && is_empty(right)),
    }
}

/// Null, an empty list, or a map that holds nothing but such.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        _ => false,
    }
}

/// The JSON merge patch that turns `live` into `wanted`, `None` when they are equivalent. `metadata.resourceVersion` and `status` are left out.
pub fn merge_patch(live: &Value, wanted: &Value) -> Option<Value> {
    let mut patch = between(live, wanted)?;
    if let Some(map) = patch.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            if metadata.is_empty() {
                map.remove("metadata");
            }
        }
        if map.is_empty() {
            return None;
        }
    }
    Some(patch)
}

fn between(live: &Value, wanted: &Value) -> Option<Value> {
    if equivalent(live, wanted) {
        return None;
    }
    let (Value::Object(live), Value::Object(wanted)) = (live, wanted) else {
        return Some(wanted.clone());
    };
    let removed = live
        .iter()
        .filter(|(key, inner)| !is_empty(inner) && wanted.get(*key).is_none_or(Value::is_null))
        .map(|(key, _)| (key.clone(), Value::Null));
    let changed = wanted.iter().filter(|(_, inner)| !inner.is_null()).filter_map(|(key, inner)| match live.get(key) {
        Some(present) => between(present, inner).map(|patch| (key.clone(), patch)),
        None => (!is_empty(inner)).then(|| (key.clone(), without_nulls(inner))),
    });
    let patch: Map<String, Value> = removed.chain(changed).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// A merge patch would take nulls in a new map as removals; the object stays the same without them.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, inner)| !inner.is_null())
                .map(|(key, inner)| (key.clone(), without_nulls(inner)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Applies a JSON merge patch (RFC 7386).
pub fn apply_merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(map) = target {
        for (key, change) in changes {
            if change.is_null() {
                map.shift_remove(key);
            } else {
                apply_merge_patch(map.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn absence_null_and_emptiness_are_equal() {
        assert!(equivalent(&json!({"a": {"b": []}, "c": null}), &json!({})));
        assert!(equivalent(&json!({"n": 1}), &json!({"n": 1.0})));
        assert!(!equivalent(&json!({"a": [{}]}), &json!({"a": []})));
    }

    #[test]
    fn a_patch_carries_only_what_differs() {
        let live = json!({"metadata": {"resourceVersion": "7", "labels": {"a": "1", "b": "2"}}, "spec": {"keep": true, "list": [1, 2]}, "status": {"x": 1}});
        let wanted = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"keep": true, "list": [1, 3]}});
        assert_eq!(
            merge_patch(&live, &wanted),
            Some(json!({"metadata": {"labels": {"b": null}}, "spec": {"list": [1, 3]}}))
        );
        assert_eq!(merge_patch(&live, &live), None);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..9i64).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn applying_the_patch_yields_what_was_wanted(live in any_json(), wanted in any_json()) {
            let mut patched = live.clone();
            if let Some(patch) = between(&live, &wanted) {
                apply_merge_patch(&mut patched, &patch);
            }
            prop_assert!(equivalent(&patched, &wanted), "{patched} is not {wanted}");
        }
    }
}
