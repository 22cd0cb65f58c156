//! Reading and writing named paths of JSON objects, without panics and without types.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Labels, annotations and other maps of strings.
pub type StringMap = BTreeMap<String, String>;

/// The text at a JSON pointer; empty when absent or no text.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at a JSON pointer (integral floats count), if there is one.
pub fn integer(object: &Value, pointer: &str) -> Option<i64> {
    let value = object.pointer(pointer)?;
    #[expect(clippy::cast_possible_truncation, reason = "only integral floats within range pass")]
    value
        .as_i64()
        .or_else(|| value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15).map(|float| float as i64))
}

/// The elements of the list at a JSON pointer; none when absent.
pub fn list<'a>(object: &'a Value, pointer: &str) -> impl DoubleEndedIterator<Item = &'a Value> + use<'a> {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
}

/// The map of strings at a JSON pointer; entries that are no text are left out.
pub fn strings(object: &Value, pointer: &str) -> StringMap {
    object
        .pointer(pointer)
        .and_then(Value::as_object)
        .map(|map| map.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
        .unwrap_or_default()
}

/// `metadata.labels`.
pub fn labels(object: &Value) -> StringMap {
    strings(object, "/metadata/labels")
}

/// `metadata.annotations`.
pub fn annotations(object: &Value) -> StringMap {
    strings(object, "/metadata/annotations")
}

/// One annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.as_object()?.get(key)?.as_str()
}

/// Sets the value at a path of map keys, creating maps on the way; `Null` removes the last key.
pub fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, way)) = path.split_last() else {
        *object = value;
        return;
    };
    if value.is_null() && !has(object, way) {
        return;
    }
    let mut place = object;
    for key in way {
        let Some(map) = as_map(place) else { return };
        place = map.entry((*key).to_owned()).or_insert(Value::Null);
    }
    let Some(map) = as_map(place) else { return };
    if value.is_null() {
        map.shift_remove(*last);
    } else {
        map.insert((*last).to_owned(), value);
    }
}

fn has(object: &Value, path: &[&str]) -> bool {
    path.iter().try_fold(object, |place, key| place.get(*key)).is_some()
}

/// The value as a map; anything else becomes an empty one first, so the answer is never `None`.
pub fn as_map(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// The controller among an object's owners: the owner reference with `controller: true`.
pub fn controller(object: &Value) -> Option<&Value> {
    list(object, "/metadata/ownerReferences")
        .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn set_creates_and_removes() {
        let mut object = json!({});
        set(&mut object, &["a", "b"], json!(1));
        assert_eq!(object, json!({"a": {"b": 1}}));
        set(&mut object, &["a", "b"], Value::Null);
        set(&mut object, &["x", "y"], Value::Null);
        assert_eq!(object, json!({"a": {}}));
    }
}
