//! What cannot be equal in two answers is replaced: uids, versions and addresses by numbers in the order in which they turn up (so that it still shows
//! which ones are the same), times by a word.

use crate::scenario::sorted;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// What is replaced in texts: the word, the pattern (the group `n`, or all of it), and whether different ones get different numbers.
static PATTERNS: LazyLock<Vec<(&str, Regex, bool)>> = LazyLock::new(|| {
    vec![
        ("uid", regex(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), true),
        ("ip", regex(r"\b10\.96\.\d+\.\d+\b"), true),
        ("time", regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), false),
        ("microtime", regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"), false),
        // Versions within texts, also within quoted JSON.
        ("n", regex(r"(?:the precondition|record) \((?<n>\d+)\)"), false),
        ("n", regex(r#"resourceVersion\\*":\\*"(?<n>\d+)"#), false),
        ("n", regex(r"resource version: (?<n>\d+)"), false),
        ("n", regex(r"resource version: <n>(?:, current: | \()(?<n>\d+)"), false),
    ]
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"))
}

/// Replaces what differs between two servers, over the answers of one scenario.
pub struct Masks {
    seen: HashMap<(&'static str, String), usize>,
    counts: HashMap<&'static str, usize>,
    replace: Vec<(Regex, String)>,
}

impl Masks {
    /// `replace`: regular expressions and what to put in the place of their matches, applied first; then the namespace becomes `<ns>`.
    pub fn new(replace: &BTreeMap<String, String>, namespace: &str) -> Self {
        let own = (regex(&regex::escape(namespace)), "<ns>".to_owned());
        let replace = replace.iter().map(|(pattern, by)| (regex(pattern), by.clone())).chain([own]).collect();
        Self { seen: HashMap::new(), counts: HashMap::new(), replace }
    }

    /// Replaces the parts under these pointers by `<masked>`.
    pub fn hide<'a>(value: &mut Value, pointers: impl Iterator<Item = &'a String>) {
        for pointer in pointers {
            let parts: Vec<String> =
                pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
            hide(value, &parts);
        }
    }

    /// Replaces in a whole body.
    pub fn body(&mut self, value: Value) -> Value {
        let mut value = sorted(value);
        self.value("", &mut value, false);
        order_causes(&mut value);
        value
    }

    fn value(&mut self, key: &str, value: &mut Value, list: bool) {
        match value {
            Value::String(text) if key == "resourceVersion" && !text.is_empty() => {
                *text = if list { "<list version>".to_owned() } else { self.number("version", text) };
            }
            Value::String(text) if key == "continue" && !text.is_empty() => "<continue>".clone_into(text),
            Value::String(text) => *text = self.text(text),
            Value::Object(_) if key == "fieldsV1" => {
                // Its keys hold uids: they are in order once these are masked.
                let masked = self.text(&value.to_string());
                let fields = serde_json::from_str(&masked).map_or(json!(masked), sorted);
                *value = json!(fields.to_string());
            }
            Value::Object(map) => {
                if map.get("kind") == Some(&json!("APIResourceList"))
                    && let Some(Value::Array(resources)) = map.get_mut("resources")
                {
                    // The definitions of a group come out of a Go map.
                    resources.sort_by_key(|resource| resource.get("name").map(ToString::to_string));
                }
                // The version of a list or bookmark is that of the whole store.
                let is_list = map.contains_key("items") || map.contains_key("rows");
                let bookmark = map.get("type") == Some(&json!("BOOKMARK"));
                for (key, child) in map.iter_mut() {
                    let of_list = list || (is_list && key == "metadata") || (bookmark && key == "object");
                    self.value(key, child, of_list);
                }
            }
            Value::Array(entries) => {
                for entry in entries.iter_mut() {
                    self.value(if key == "cells" { "cell" } else { "" }, entry, false);
                }
                if key == "managedFields" {
                    entries.sort_by_key(|entry| {
                        let text = |key: &str| entry.get(key).map(ToString::to_string).unwrap_or_default();
                        (text("operation"), text("manager"), text("apiVersion"), text("subresource"))
                    });
                }
            }
            _ => {}
        }
        if key == "cell"
            && let Value::String(text) = value
            && text.strip_suffix('s').is_some_and(|age| age.parse::<u32>().is_ok())
        {
            "<age>".clone_into(text);
        }
    }

    /// Replaces in a text.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (regex, by) in &self.replace {
            text = regex.replace_all(&text, by.as_str()).into_owned();
        }
        for (name, regex, numbered) in PATTERNS.iter() {
            let replacement = |found: &regex::Captures<'_>| {
                if *numbered {
                    return self.number(name, &found[0]);
                }
                let part = found.name("n").map_or(&found[0], |part| part.as_str());
                found[0].replacen(part, &format!("<{name}>"), 1)
            };
            text = regex.replace_all(&text, replacement).into_owned();
        }
        text
    }

    fn number(&mut self, name: &'static str, value: &str) -> String {
        let next = self.counts.entry(name).or_default();
        let number = *self.seen.entry((name, value.to_owned())).or_insert_with(|| {
            *next += 1;
            *next
        });
        format!("<{name} {number}>")
    }
}

/// The order of several causes is that of a Go map, and some checks are done twice: the causes are sorted and told once, and the text ends before them.
fn order_causes(value: &mut Value) {
    let Some(causes) = value.pointer_mut("/details/causes").and_then(Value::as_array_mut) else { return };
    causes.sort_by_key(ToString::to_string);
    causes.dedup();
    if causes.len() < 2 {
        return;
    }
    if let Some(Value::String(text)) = value.get_mut("message")
        && let Some(end) = text.find(" is invalid: [")
    {
        text.truncate(end);
        text.push_str(" is invalid: <causes>");
    }
}

fn hide(value: &mut Value, parts: &[String]) {
    let Some((first, rest)) = parts.split_first() else {
        *value = json!("<masked>");
        return;
    };
    match value {
        Value::Object(map) if first == "*" => map.values_mut().for_each(|child| hide(child, rest)),
        Value::Array(list) if first == "*" => list.iter_mut().for_each(|child| hide(child, rest)),
        // What only one of the servers says is masked where it could stand.
        Value::Object(map) if rest.is_empty() => {
            map.insert(first.clone(), json!("<masked>"));
        }
        Value::Object(map) => map.get_mut(first).into_iter().for_each(|child| hide(child, rest)),
        Value::Array(list) => {
            first.parse().ok().and_then(|at: usize| list.get_mut(at)).into_iter().for_each(|child| hide(child, rest));
        }
        _ => {}
    }
}
