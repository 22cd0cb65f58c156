//! Events, in both of their APIs. They are stored as `v1`; `events.k8s.io/v1` is the same object with other names.

use super::{fill, map_of};
use serde_json::{Map, Value, json};

/// (`v1`, `events.k8s.io/v1`) names of the same field.
const NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("count", "deprecatedCount"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
];

/// `v1 Event`.
pub(crate) fn event(object: &mut Value, _: Option<&Value>) {
    let object = map_of(object);
    fill(object, "source", json!({}));
    for key in ["reportingComponent", "reportingInstance"] {
        fill(object, key, json!(""));
    }
    for key in ["eventTime", "firstTimestamp", "lastTimestamp"] {
        fill(object, key, Value::Null);
    }
}

/// `events.k8s.io/v1 Event`: completed once it is stored.
pub(crate) fn new_event(_: &mut Value, _: Option<&Value>) {}

/// From `v1` to `events.k8s.io/v1`.
pub(crate) fn present_new(object: &mut Value) {
    let object = map_of(object);
    object.insert("apiVersion".to_owned(), json!("events.k8s.io/v1"));
    for (old, new) in NAMES {
        rename(object, old, new);
    }
    for key in ["reportingController", "reportingInstance"] {
        if object.get(key) == Some(&json!("")) {
            object.shift_remove(key);
        }
    }
}

/// From `events.k8s.io/v1` to `v1`.
pub(crate) fn store_new(object: &mut Value) {
    let fields = map_of(object);
    fields.insert("apiVersion".to_owned(), json!("v1"));
    for (old, new) in NAMES {
        rename(fields, new, old);
    }
    event(object, None);
}

fn rename(object: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = object.shift_remove(from) {
        object.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_apis_show_the_same_event() {
        let new = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "hello", "regarding": {"name": "x"}, "reportingController": "flagger"});
        let mut object = new.clone();
        store_new(&mut object);
        assert_eq!(object["message"], "hello");
        assert_eq!(object["involvedObject"], json!({"name": "x"}));
        present_new(&mut object);
        for (key, value) in new.as_object().unwrap() {
            assert_eq!(&object[key], value, "{key}");
        }
    }
}
