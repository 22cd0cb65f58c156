//! Readers that fail on purpose, one for each way to fail, so that the tests see it being found and shrunk.

#![expect(clippy::unnecessary_wraps, reason = "all targets have one signature")]

use super::{Outcome, Run, law as must, tree};
use serde_json::{Value, json};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let ports = json!([{"port": 80}, {"port": 443}]);
    let document = json!({"name": "podinfo", "ports": ports, "labels": {"app": "podinfo", "tier": "backend"}});
    [document, json!({"name": "cart", "ports": [{"port": 8080}]})].map(|seed| seed.to_string().into_bytes()).into()
}

/// Whether any node of the document is such.
fn any(value: &Value, test: fn(&Value) -> bool) -> bool {
    test(value)
        || match value {
            Value::Object(map) => map.values().any(|inner| any(inner, test)),
            Value::Array(list) => list.iter().any(|inner| any(inner, test)),
            _ => false,
        }
}

fn meets(input: &[u8], test: fn(&Value) -> bool) -> Option<bool> {
    tree(input).map(|tree| any(&tree, test))
}

pub(super) fn panic(input: &[u8]) -> Run {
    let port = |port: &Value| port.as_i64().is_some_and(|port| port > 65_535);
    let Some(odd) = meets(input, port) else { return Ok(Outcome::Refused) };
    assert!(!odd, "a port that is none");
    Ok(Outcome::Read)
}

pub(super) fn law(input: &[u8]) -> Run {
    let Some(tree) = tree(input) else { return Ok(Outcome::Refused) };
    must(tree.get("labels").is_none() || tree.get("name").is_some(), || "labels without a name".to_owned())?;
    Ok(Outcome::Read)
}

pub(super) fn stack(input: &[u8]) -> Run {
    match meets(input, Value::is_null) {
        Some(true) => Ok(if dig(1) == 0 { Outcome::Refused } else { Outcome::Read }),
        Some(false) => Ok(Outcome::Read),
        None => Ok(Outcome::Refused),
    }
}

/// Never ends, and takes stack with each call.
fn dig(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if frame.contains(&0) { 0 } else { dig(depth + 1) + frame.iter().sum::<u64>() }
}

pub(super) fn slow(input: &[u8]) -> Run {
    match meets(input, |value| value.as_array().is_some_and(Vec::is_empty)) {
        Some(true) => loop {
            std::hint::spin_loop();
        },
        Some(false) => Ok(Outcome::Read),
        None => Ok(Outcome::Refused),
    }
}

pub(super) fn memory(input: &[u8]) -> Run {
    let Some(odd) = meets(input, |value| value.as_i64().is_some_and(i64::is_negative)) else {
        return Ok(Outcome::Refused);
    };
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    if odd {
        (0..1 << 20).for_each(|_| hoard.push(vec![1; 1 << 20]));
    }
    Ok(if hoard.is_empty() { Outcome::Read } else { Outcome::Refused })
}
