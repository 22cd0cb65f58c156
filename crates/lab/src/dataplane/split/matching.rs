//! Comparing texts of requests with what routes want: equal, by prefix, by pattern.

use regex::Regex;
use serde_json::Value;

/// Whether the whole text matches the pattern. A pattern that is none matches nothing, as a proxy would refuse the route.
pub(super) fn whole(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(text))
}

/// Whether the pattern occurs in the text.
pub(super) fn within(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}

/// Istio's `StringMatch`: `{exact | prefix | suffix | regex}`; an empty one asks for presence only.
pub(super) fn string_match(wanted: &Value, text: &str, ignore_case: bool) -> bool {
    let fold = |text: &str| if ignore_case { text.to_lowercase() } else { text.to_owned() };
    let wants = |key: &str| wanted.get(key).and_then(Value::as_str);
    if let Some(exact) = wants("exact") {
        return fold(text) == fold(exact);
    }
    if let Some(prefix) = wants("prefix") {
        return fold(text).starts_with(&fold(prefix));
    }
    if let Some(suffix) = wants("suffix") {
        return fold(text).ends_with(&fold(suffix));
    }
    wants("regex").is_none_or(|regex| whole(regex, text))
}

/// Gateway API's and Ingress' prefixes: whole elements of the path, so that `/cart` is no prefix of `/cartoon`.
pub(super) fn path_prefix(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
