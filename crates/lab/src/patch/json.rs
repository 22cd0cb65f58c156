//! JSON patch: <https://www.rfc-editor.org/rfc/rfc6902>

use serde_json::Value;

/// Why a patch cannot be applied.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum JsonPatchError {
    /// The patch is no list of operations.
    #[error("json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp")]
    Malformed,
    /// A path does not exist, or a test fails.
    #[error("{0}")]
    Refused(String),
}

/// Applies all operations, in place. After an error the value is in an undefined state.
pub(crate) fn apply(target: &mut Value, patch: &Value) -> Result<(), JsonPatchError> {
    let Some(operations) = patch.as_array() else {
        return Err(JsonPatchError::Malformed);
    };
    operations.iter().try_for_each(|operation| one(target, operation))
}

fn one(target: &mut Value, operation: &Value) -> Result<(), JsonPatchError> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let kind = text("op").unwrap_or_default();
    let path = text("path").ok_or_else(|| JsonPatchError::Refused("missing value: path".to_owned()))?;
    let value = || {
        operation
            .get("value")
            .cloned()
            .ok_or_else(|| JsonPatchError::Refused(format!("{kind} operation does not have a value")))
    };
    let from = || text("from").ok_or_else(|| JsonPatchError::Refused(format!("{kind} operation does not have a from")));
    match kind {
        "add" => add(target, path, value()?),
        "remove" => remove(target, path, "remove").map(drop),
        "replace" => replace(target, path, value()?),
        "move" => {
            let moved = remove(target, from()?, "move")?;
            add(target, path, moved)
        }
        "copy" => {
            let copied = target.pointer(from()?).cloned().ok_or_else(|| missing("copy", path))?;
            add(target, path, copied)
        }
        "test" => test(target, path, operation.get("value").unwrap_or(&Value::Null)),
        other => Err(JsonPatchError::Refused(format!("Unexpected kind: {other}"))),
    }
}

fn missing(kind: &str, path: &str) -> JsonPatchError {
    JsonPatchError::Refused(format!("{kind} operation does not apply: doc is missing path: \"{path}\": missing value"))
}

/// The parent and the last, unescaped part of a path.
fn above<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (way, last) = path.rsplit_once('/')?;
    Some((target.pointer_mut(way)?, last.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), JsonPatchError> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    let (place, key) = above(target, path).ok_or_else(|| missing("add", path))?;
    match place {
        Value::Object(map) => drop(map.insert(key, value)),
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => {
            let at = key.parse::<usize>().ok().filter(|at| *at <= list.len()).ok_or_else(|| missing("add", path))?;
            list.insert(at, value);
        }
        _ => return Err(missing("add", path)),
    }
    Ok(())
}

fn remove(target: &mut Value, path: &str, kind: &str) -> Result<Value, JsonPatchError> {
    let unable = || {
        JsonPatchError::Refused(format!(
            "{kind} operation does not apply: doc is missing path: \"{path}\": missing value"
        ))
    };
    let (place, key) = above(target, path).ok_or_else(unable)?;
    match place {
        Value::Object(map) => map.shift_remove(&key).ok_or_else(unable),
        Value::Array(list) => {
            let at = key.parse::<usize>().ok().filter(|at| *at < list.len()).ok_or_else(unable)?;
            Ok(list.remove(at))
        }
        _ => Err(unable()),
    }
}

/// The real server takes `replace` for `add` where the key of a map is missing.
fn replace(target: &mut Value, path: &str, value: Value) -> Result<(), JsonPatchError> {
    if let Some(place) = target.pointer_mut(path) {
        *place = value;
        return Ok(());
    }
    let in_map = above(target, path).is_some_and(|(place, _)| place.is_object());
    if in_map { add(target, path, value) } else { Err(missing("replace", path)) }
}

fn test(target: &Value, path: &str, wanted: &Value) -> Result<(), JsonPatchError> {
    if target.pointer(path).unwrap_or(&Value::Null) == wanted {
        return Ok(());
    }
    Err(JsonPatchError::Refused(format!("testing value {path} failed: test failed")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_change_maps_and_lists() {
        let mut object = json!({"a": {"x/y": 1}, "list": [1, 2]});
        let patch = json!([
            {"op": "test", "path": "/a/x~1y", "value": 1},
            {"op": "add", "path": "/list/-", "value": 3},
            {"op": "add", "path": "/list/0", "value": 0},
            {"op": "remove", "path": "/list/1"},
            {"op": "replace", "path": "/a/x~1y", "value": 2},
            {"op": "copy", "from": "/a", "path": "/b"},
            {"op": "move", "from": "/a/x~1y", "path": "/a/z"},
        ]);
        apply(&mut object, &patch).unwrap();
        assert_eq!(object, json!({"a": {"z": 2}, "list": [0, 2, 3], "b": {"x/y": 2}}));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for operation in [
            json!({"op": "remove", "path": "/x"}),
            json!({"op": "replace", "path": "/x/y", "value": 1}),
            json!({"op": "add", "path": "/x/y", "value": 1}),
            json!({"op": "test", "path": "/a", "value": 2}),
        ] {
            let result = apply(&mut json!({"a": 1}), &json!([operation]));
            assert!(matches!(result, Err(JsonPatchError::Refused(_))), "{operation}");
        }
        assert!(matches!(apply(&mut json!({}), &json!({})), Err(JsonPatchError::Malformed)));
    }
}
