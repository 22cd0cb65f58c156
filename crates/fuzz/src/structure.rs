//! Breaking JSON as a tree: what a reader that knows the shape would not expect at some path.
//!
//! Types are swapped, fields and items deleted, doubled, renamed and moved, numbers and texts replaced by odd ones. What a tree cannot hold (numbers out of
//! range, nesting far beyond every limit, doubled keys) is put into the text afterwards.

use crate::mutate;
use crate::odd;
use crate::rng::Rng;
use serde_json::{Map, Value, json};

/// Stands in the tree for a piece of text that is no value; a number follows. No valid input begins so.
const MARK: &str = "\u{1}raw";

/// The same document as text, broken in one to eight places. `other`: another valid one, from which parts are taken.
pub fn json(rng: &mut Rng, seed: &Value, other: &Value) -> Vec<u8> {
    let mut value = seed.clone();
    for _ in 0..rng.few() {
        once(rng, &mut value, other);
    }
    let raw = rng.chance(4);
    if raw && let Some(node) = any(rng, &mut value) {
        *node = Value::String(MARK.to_owned());
    }
    let text = value.to_string();
    let text = if raw { text.replacen(&json!(MARK).to_string(), &piece(rng), 1) } else { text };
    let mut bytes = text.into_bytes();
    bytes.truncate(mutate::LONGEST);
    bytes
}

/// What stands where the mark was.
fn piece(rng: &mut Rng) -> String {
    let depth = rng.pick(&[100, 120, 127, 128, 200, 1000, 10_000, 100_000]).copied().unwrap_or_default();
    match rng.below(6) {
        0 => format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
        1 => format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)),
        2 => "[".repeat(depth),
        _ => rng.pick(odd::RAW).copied().unwrap_or_default().to_owned(),
    }
}

fn once(rng: &mut Rng, value: &mut Value, other: &Value) {
    let own = rng.chance(50);
    let graft = copy(rng, if own { value } else { other });
    let key = keys(rng, value);
    let Some(node) = any(rng, value) else { return };
    match rng.below(10) {
        0 => *node = odd_value(rng),
        1 => *node = graft,
        2 => *node = retyped(rng, node),
        _ => match node {
            Value::Object(map) => in_map(rng, map, graft, key),
            Value::Array(list) => in_list(rng, list, graft),
            Value::String(text) => *text = odd_text(rng, text),
            Value::Number(_) => *node = odd_number(rng),
            Value::Bool(truth) => *truth = !*truth,
            Value::Null => *node = odd_value(rng),
        },
    }
}

fn in_map(rng: &mut Rng, map: &mut Map<String, Value>, graft: Value, key: String) {
    let at = rng.below(map.len());
    let present = map.keys().nth(at).cloned();
    match (rng.below(6), present) {
        (0 | 1, Some(present)) => drop(map.remove(&present)),
        (2, Some(present)) => {
            let value = map.remove(&present).unwrap_or_default();
            map.insert(odd_text(rng, &present), value);
        }
        (3, Some(present)) => drop(map.insert(present, odd_value(rng))),
        (4, _) if rng.chance(10) => map.clear(),
        (5, _) if rng.chance(5) => {
            map.extend((0..1000).map(|index| (format!("{key}{index}"), graft.clone())).take(share(&graft)));
        }
        _ => drop(map.insert(if rng.chance(70) { key } else { odd_text(rng, "a") }, graft)),
    }
}

fn in_list(rng: &mut Rng, list: &mut Vec<Value>, graft: Value) {
    let at = rng.below(list.len());
    match rng.below(7) {
        0 if at < list.len() => drop(list.remove(at)),
        1 => list.extend(list.get(at).cloned()),
        2 => list.insert(at, graft),
        3 => list.reverse(),
        4 => list.clear(),
        5 if rng.chance(10) => {
            let item = list.get(at).cloned().unwrap_or(graft);
            list.extend(std::iter::repeat_n(item.clone(), share(&item)));
        }
        _ => list.push(odd_value(rng)),
    }
}

/// How many copies of a value are many, but not more than an object may hold.
fn share(value: &Value) -> usize {
    (50_000 / (1 + count(value) * 20)).min(1000)
}

/// The same content as another type, as people and generators write it by mistake.
fn retyped(rng: &mut Rng, node: &mut Value) -> Value {
    let value = node.take();
    match (rng.below(4), value) {
        (0, value) => json!([value]),
        (1, value) => json!({"a": value}),
        (2, Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::Null),
        (2, value) => Value::String(value.to_string()),
        (_, Value::Array(list)) => {
            Value::Object(list.into_iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect())
        }
        (_, Value::Object(map)) => Value::Array(map.into_iter().map(|(_, item)| item).collect()),
        (_, value) => {
            let depth = rng.below(90);
            (0..depth).fold(value, |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({"a": inner}) })
        }
    }
}

fn odd_value(rng: &mut Rng) -> Value {
    match rng.below(9) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!(rng.chance(50)),
        4 => json!([null]),
        5 | 6 => odd_number(rng),
        _ => Value::String(odd_text(rng, "")),
    }
}

fn odd_number(rng: &mut Rng) -> Value {
    match rng.below(8) {
        0 => json!(u64::MAX),
        1 => json!(rng.next()),
        2 => json!(rng.below(120)),
        3 => json!(rng.pick(odd::FRACTIONS)),
        4 => json!(f64::from_bits(rng.next())),
        _ => json!(rng.pick(odd::INTEGERS)),
    }
}

fn odd_text(rng: &mut Rng, text: &str) -> String {
    match rng.below(8) {
        0 => String::from_utf8_lossy(&mutate::bytes(rng, text.as_bytes(), b"podinfo-primary")).into_owned(),
        1 => text.to_uppercase(),
        2 => format!("{text}{}", rng.pick(odd::TEXTS).copied().unwrap_or_default()),
        3 if rng.chance(10) => {
            "a".repeat(rng.pick(&[63, 64, 253, 254, 1000, 70_000, 300_000]).copied().unwrap_or_default())
        }
        4 => rng.pick(odd::INTEGERS).copied().unwrap_or_default().to_string(),
        _ => rng.pick(odd::TEXTS).copied().unwrap_or_default().to_owned(),
    }
}

/// Number of nodes.
pub fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(count).sum(),
        Value::Array(list) => list.iter().map(count).sum(),
        _ => 0,
    }
}

/// Any node, the leaves as likely as the root.
fn any<'a>(rng: &mut Rng, value: &'a mut Value) -> Option<&'a mut Value> {
    let mut left = rng.below(count(value));
    nth(value, &mut left)
}

fn copy(rng: &mut Rng, value: &Value) -> Value {
    let mut left = rng.below(count(value));
    peek(value, &mut left).filter(|part| count(part) < 200).cloned().unwrap_or_default()
}

/// A key that is used somewhere in the document.
fn keys(rng: &mut Rng, value: &Value) -> String {
    let mut left = rng.below(count(value));
    match peek(value, &mut left) {
        Some(Value::Object(map)) => {
            let at = rng.below(map.len());
            map.keys().nth(at).cloned().unwrap_or_default()
        }
        _ => "name".to_owned(),
    }
}

fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Object(map) => map.values_mut().find_map(|inner| nth(inner, left)),
        Value::Array(list) => list.iter_mut().find_map(|inner| nth(inner, left)),
        _ => None,
    }
}

fn peek<'a>(value: &'a Value, left: &mut usize) -> Option<&'a Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Object(map) => map.values().find_map(|inner| peek(inner, left)),
        Value::Array(list) => list.iter().find_map(|inner| peek(inner, left)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(index: u64) -> Vec<u8> {
        let seed = json!({"a": [1, "x", {"b": true}], "c": {"d": "1m", "e": 5}});
        super::json(&mut Rng::of(3, "t", index), &seed, &json!({"z": [9]}))
    }

    #[test]
    fn most_stays_json_and_every_path_is_hit() {
        let inputs: Vec<Vec<u8>> = (0..4000).map(broken).collect();
        let trees: Vec<Value> = inputs.iter().filter_map(|input| serde_json::from_slice(input).ok()).collect();
        assert!(trees.len() > 3600 && trees.len() < 4000, "{}", trees.len());
        for path in ["/a", "/a/0", "/a/1", "/a/2/b", "/c", "/c/d", "/c/e"] {
            assert!(trees.iter().any(|tree| tree.pointer(path).is_none()), "{path} was never taken away");
            assert!(trees.iter().any(|tree| tree.pointer(path) == Some(&Value::Null)), "{path} was never null");
        }
        assert_eq!(broken(7), broken(7));
    }
}
