//! Makes a failing input small: what can be left out without it failing otherwise is left out.
//!
//! Trees first (fields and items taken away, values made plain), then bytes. The test is given; it is asked a limited number of times.

use serde_json::{Value, json};

/// The smallest input found that still fails. `fails` is asked `budget` times at most.
pub fn shrink(input: &[u8], mut budget: usize, mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut test = |candidate: &[u8]| {
        budget = budget.saturating_sub(1);
        budget > 0 && fails(candidate)
    };
    if let Ok(mut value) = serde_json::from_slice::<Value>(input)
        && test(value.to_string().as_bytes())
    {
        while tree(&mut value, &mut test) {}
        return value.to_string().into_bytes();
    }
    bytes(input.to_vec(), &mut test)
}

/// One pass over all nodes; true if something became smaller.
fn tree(root: &mut Value, test: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let mut smaller = false;
    let mut pointers = vec![String::new()];
    while let Some(pointer) = pointers.pop() {
        smaller |= plainer(root, &pointer, test);
        // What is left below is looked at next, the last first, so that positions in lists stay as they are.
        for (parent, child) in children(root, &pointer) {
            if without(root, &parent, &child, test) {
                smaller = true;
            }
        }
        pointers.extend(
            children(root, &pointer).into_iter().map(|(parent, child)| format!("{parent}/{}", escaped(&child))),
        );
    }
    smaller
}

/// Pointer of a node and names of what is in it, the last first.
fn children(root: &Value, pointer: &str) -> Vec<(String, String)> {
    let names: Vec<String> = match root.pointer(pointer) {
        Some(Value::Object(map)) => map.keys().rev().cloned().collect(),
        Some(Value::Array(list)) => (0..list.len()).rev().map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    };
    names.into_iter().map(|name| (pointer.to_owned(), name)).collect()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn without(root: &mut Value, parent: &str, child: &str, test: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let mut candidate = root.clone();
    match candidate.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.shift_remove(child)),
        Some(Value::Array(list)) => match child.parse::<usize>() {
            Ok(index) if index < list.len() => drop(list.remove(index)),
            _ => return false,
        },
        _ => return false,
    }
    take(root, candidate, test)
}

/// The node as a shorter text, a smaller number, or nothing.
fn plainer(root: &mut Value, pointer: &str, fails: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let Some(node) = root.pointer(pointer) else { return false };
    let choices = match node {
        Value::Object(map) if map.is_empty() => vec![],
        Value::Object(_) => vec![json!({})],
        Value::Array(list) if list.is_empty() => vec![],
        Value::Array(_) => vec![json!([])],
        Value::String(text) if text.is_empty() => vec![],
        Value::String(text) => {
            let half: String = text.chars().take(text.chars().count() / 2).collect();
            let rest: String = text.chars().skip(text.chars().count().div_ceil(2)).collect();
            let (head, tail) =
                (text.chars().skip(1).collect::<String>(), text.chars().take(text.chars().count() - 1).collect());
            let mut choices: Vec<String> = vec![String::new(), "a".to_owned(), half, rest, head, tail];
            choices.retain(|choice| choice.len() < text.len());
            choices.into_iter().map(Value::String).collect()
        }
        Value::Number(number) if number.as_i64() == Some(0) => vec![],
        Value::Number(_) => vec![json!(0)],
        Value::Bool(true) => vec![json!(false)],
        _ => vec![],
    };
    choices.into_iter().any(|choice| {
        let mut candidate = root.clone();
        if let Some(node) = candidate.pointer_mut(pointer) {
            *node = choice;
        }
        take(root, candidate, fails)
    })
}

fn take(root: &mut Value, candidate: Value, test: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let fails = candidate != *root && test(candidate.to_string().as_bytes());
    if fails {
        *root = candidate;
    }
    fails
}

/// Leaves out halves, quarters and so on down to single bytes.
fn bytes(mut input: Vec<u8>, test: &mut impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut size = input.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < input.len() {
            let mut candidate = input.clone();
            candidate.drain(at..(at + size).min(input.len()));
            if test(&candidate) { input = candidate } else { at += size }
        }
        size /= 2;
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_tree_only_what_matters_is_left() {
        let input = json!({"a": [1, {"b": "xyz", "c": -7}, 3], "d": {"e": "needle in hay"}, "f": null}).to_string();
        let shrunk = shrink(input.as_bytes(), 1000, |candidate| {
            let tree: Value = serde_json::from_slice(candidate).unwrap_or_default();
            tree.pointer("/d/e").and_then(Value::as_str).is_some_and(|text| text.contains("needle"))
        });
        assert_eq!(String::from_utf8_lossy(&shrunk), r#"{"d":{"e":"needle"}}"#);
    }

    #[test]
    fn of_bytes_only_what_matters_is_left() {
        let shrunk = shrink(b"aaaa(bbbb)cc(", 1000, |candidate| candidate.contains(&b'(') && candidate.contains(&b')'));
        assert_eq!(shrunk.len(), 2, "{shrunk:?}");
    }

    #[test]
    fn the_budget_is_kept() {
        let mut asked = 0;
        let input = "x".repeat(1000);
        drop(shrink(input.as_bytes(), 20, |_| {
            asked += 1;
            true
        }));
        assert!(asked <= 20, "{asked}");
    }
}
