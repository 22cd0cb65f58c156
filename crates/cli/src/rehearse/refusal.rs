//! What the API server would refuse, with the place in the user's file and what to do about it.

use crate::manifests::{Manifest, Problem};
use lab::{Failure, Lab};
use objects::paths::{list, text};
use serde_json::Value;
use std::mem;

/// The problems that a refusal tells of.
pub(super) fn explain(lab: &Lab, manifest: &Manifest, object: &Value, refusal: &Failure) -> Vec<Problem> {
    let name = format!("{} {}", manifest.kind(), manifest.name());
    let causes = refusal.details.iter().flat_map(|details| list(details, "/causes"));
    let problems: Vec<Problem> = causes
        .filter(|cause| !text(cause, "/field").is_empty())
        .map(|cause| {
            let (field, message) = (text(cause, "/field"), text(cause, "/message"));
            manifest.problem(field, role_free(message), advice(message))
        })
        .collect();
    if !problems.is_empty() {
        return problems;
    }
    let problem = match (refusal.code, refusal.reason) {
        (404, _) => manifest.problem(
            "apiVersion",
            format!("there is no kind {} in {}", manifest.kind(), manifest.api_version()),
            "check both for typing errors, or leave the object out",
        ),
        (409, "AlreadyExists") => manifest.problem(
            "metadata.name",
            format!("{name} is there already"),
            "every cluster has it; leave the object out",
        ),
        // Types that do not fit: the text does not say where.
        (400, _) => {
            let said = refusal.to_string();
            let path = locate(lab, object.clone(), &said);
            manifest.problem(&path, format!("{name} cannot be read: {}", in_words(&said)), "correct the value")
        }
        _ => manifest.problem("", format!("{name} is refused: {refusal}"), "an API server would refuse it as well"),
    };
    vec![problem]
}

/// The marks of hooks are ours.
fn role_free(message: &str) -> String {
    super::role::without_marks(message)
}

/// What to do about a field.
fn advice(message: &str) -> &'static str {
    if message.starts_with("Required value") {
        "add it"
    } else if message.starts_with("Unsupported value") {
        "use one of these"
    } else if message.contains("must be of type integer") || message.contains("must be of type number") {
        "write a number, without quotes"
    } else if message.contains("must be of type string") {
        "write a text; what looks like a number or a word such as `yes` needs quotes"
    } else if message.contains("must be of type boolean") {
        "write true or false, without quotes"
    } else if message.contains("must be of type array") {
        "write a list, each item after a `-`"
    } else if message.contains("must be of type object") {
        "write fields below it, each as `name: value`"
    } else if message.contains("should match") {
        "for durations write for example 30s or 1m"
    } else {
        "correct the value"
    }
}

/// What is wrong with a type, without the names that the types have in this program.
fn in_words(said: &str) -> String {
    let said = said
        .rsplit_once(" cannot be handled as a ")
        .and_then(|(_, rest)| Some(rest.split_once(": ")?.1))
        .unwrap_or(said);
    match said.rsplit_once("expected ") {
        Some((got, "i32" | "i64" | "u16" | "f64")) => format!("{got}expected a number"),
        Some((got, other)) if other.contains("struct") => format!("{got}expected fields, each as `name: value`"),
        _ => said.to_owned(),
    }
}

/// Looks for the field without which the object is refused no more, or for something else: from the outside to the inside, each field is taken away for a
/// moment. Many tries, but only when something is wrong.
fn locate(lab: &Lab, mut object: Value, message: &str) -> String {
    let mut pointer = String::new();
    while let Some(token) = children(object.pointer(&pointer)).into_iter().find(|token| {
        let child = format!("{pointer}/{token}");
        let taken = object.pointer_mut(&child).map(mem::take);
        let cured = lab.create(object.clone()).map_or_else(|refusal| refusal.to_string() != message, |_| true);
        if let (Some(place), Some(value)) = (object.pointer_mut(&child), taken) {
            *place = value;
        }
        cured
    }) {
        pointer = format!("{pointer}/{token}");
    }
    pointer
}

/// The fields or elements of a value, as parts of a JSON pointer; not those that say which object it is.
fn children(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Object(fields)) => {
            let keys = fields.keys().filter(|key| !["apiVersion", "kind", "metadata"].contains(&key.as_str()));
            keys.map(|key| key.replace('~', "~0").replace('/', "~1")).collect()
        }
        Some(Value::Array(items)) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    }
}

/// Fields that the API server has dropped, because there are none of that name. kubectl refuses such objects.
pub(super) fn dropped(manifest: &Manifest, stored: &Value) -> Vec<Problem> {
    let mut paths = Vec::new();
    for (key, value) in manifest.object.as_object().into_iter().flatten() {
        // Metadata and status belong to the server; `stringData` becomes `data`.
        if !["metadata", "status", "stringData"].contains(&key.as_str()) {
            lost(value, stored.get(key), &format!("/{key}"), &mut paths);
        }
    }
    let tell = |path: &String| {
        let kind = manifest.kind();
        manifest.problem(
            path,
            format!("a {kind} has no such field"),
            "check the spelling and the indentation: kubectl refuses it",
        )
    };
    paths.iter().map(tell).collect()
}

fn lost(given: &Value, stored: Option<&Value>, path: &str, paths: &mut Vec<String>) {
    match (given, stored) {
        (given, None) if objects::diff::is_empty(given) => {}
        (_, None) => paths.push(path.to_owned()),
        (Value::Object(fields), Some(stored)) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                lost(value, stored.pointer(&format!("/{key}")), &format!("{path}/{key}"), paths);
            }
        }
        (Value::Array(items), Some(Value::Array(stored))) if items.len() == stored.len() => {
            for (index, (item, stored)) in items.iter().zip(stored).enumerate() {
                lost(item, Some(stored), &format!("{path}/{index}"), paths);
            }
        }
        _ => {}
    }
}
