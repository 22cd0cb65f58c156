//! Whatever a field holds, the answer is findings: nothing panics, and nothing of it stops the rest from being looked at.

use super::breaking::{Broken, validate};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What no field is meant to hold; two of them for each field.
fn oddities() -> [Value; 6] {
    [
        json!(null),
        json!("%zz:{{ \u{0}"),
        json!([[]]),
        json!({"a/b": {"": null}}),
        json!(-1e300),
        json!(9_007_199_254_740_993_i64),
    ]
}

/// Pointers to all fields of an object, but for those without which it is none.
fn fields(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, child)| (key.replace('~', "~0").replace('/', "~1"), child)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    for (token, child) in children {
        let pointer = format!("{pointer}/{token}");
        if ["/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/namespace"].contains(&pointer.as_str()) {
            continue;
        }
        fields(child, &pointer, found);
        found.push(pointer);
    }
}

/// The objects of an example over and over, each time in another namespace and with another field changed.
fn mutants(example: &str) -> (String, usize) {
    let files = Broken::of(example);
    let documents = files.contents().flat_map(|content| content.split("\n---\n"));
    let objects: Vec<Value> = documents.map(|document| serde_yaml_ng::from_str(document).unwrap()).collect();
    let (mut text, mut count) = (String::new(), 0_usize);
    for (index, object) in objects.iter().enumerate() {
        let mut pointers = Vec::new();
        fields(object, "", &mut pointers);
        for pointer in pointers {
            let mut world = objects.clone();
            *world[index].pointer_mut(&pointer).unwrap() = oddities()[count % oddities().len()].clone();
            for mut object in world {
                object["metadata"]["namespace"] = json!(format!("mutant-{count}"));
                writeln!(text, "---\n{object}").unwrap();
            }
            count += 1;
        }
    }
    (text, count)
}

#[track_caller]
fn assert_calm(example: &str) {
    let (text, count) = mutants(example);
    assert!(count > 50, "{count}");
    let outcome = validate(&Broken::nothing().add("mutants.yaml", &text), &[]);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    // All were looked at to the last one, not only the first that is wrong.
    let found = outcome.stdout.lines().filter(|line| line.contains(": error: ")).count();
    assert!(found > count / 4, "{found} of {count}: {}", outcome.stdout);
}

#[test]
fn no_field_of_an_istio_release_makes_it_panic() {
    assert_calm("istio-weighted");
}

#[test]
fn no_field_of_an_nginx_release_makes_it_panic() {
    assert_calm("catalog");
}
