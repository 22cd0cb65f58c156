//! `analysis.match` as far as ingress-nginx can express it: one header, by value or pattern, and one cookie.
//!
//! Either of the two is enough. Of several headers the first wins: entries in their order, headers of an entry by name (quirk F15). What is left over is
//! named, so that it can be told. Knows no annotations.
//! Source: notes on ingress routing, section 6, quirk F15; <https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#canary>

use api::{HttpMatchRequest, Rollout, StringMatch};

/// The key under which a condition on a cookie is written among the headers.
const COOKIE: &str = "cookie";

/// Which requests go to the canary.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    /// A header.
    pub(super) header: Option<Header>,
    /// Name of a cookie that must be `always`.
    pub(super) cookie: Option<String>,
    /// What cannot be expressed, in words.
    pub(super) ignored: Vec<String>,
}

/// A condition on a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Its name.
    pub(super) name: String,
    /// What it must be.
    pub(super) value: Value,
}

/// What a header must be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `always`.
    Always,
    /// This text.
    Exact(String),
    /// A text in which this regular expression (PCRE, not anchored) is found.
    Pattern(String),
}

impl Conditions {
    /// The conditions of a Canary.
    pub(super) fn of(rollout: &Rollout) -> Self {
        let mut conditions = Self::default();
        for entry in &rollout.analysis.matches {
            for (name, text) in &entry.headers {
                conditions.add(name, text);
            }
            conditions.ignored.extend(other_fields(entry).map(str::to_owned));
        }
        conditions
    }

    /// Nothing is asked for that can be expressed.
    pub(super) fn is_empty(&self) -> bool {
        self.header.is_none() && self.cookie.is_none()
    }

    fn add(&mut self, name: &str, text: &StringMatch) {
        if name == COOKIE {
            match non_empty(text.exact.as_ref()) {
                Some(exact) if self.cookie.is_none() => self.cookie = Some(exact.to_owned()),
                _ => self.ignored.push(COOKIE.to_owned()),
            }
        } else if self.header.is_none() {
            self.header = Some(Header { name: name.to_owned(), value: Value::of(text) });
        } else {
            self.ignored.push(format!("header {name}"));
        }
    }
}

impl Value {
    fn of(text: &StringMatch) -> Self {
        if let Some(exact) = non_empty(text.exact.as_ref()) {
            Self::Exact(exact.to_owned())
        } else if let Some(regex) = non_empty(text.regex.as_ref()) {
            Self::Pattern(regex.to_owned())
        } else if let Some(prefix) = non_empty(text.prefix.as_ref()) {
            Self::Pattern(format!("^{}", literal(prefix)))
        } else if let Some(suffix) = non_empty(text.suffix.as_ref()) {
            Self::Pattern(format!("{}$", literal(suffix)))
        } else {
            Self::Always
        }
    }
}

fn non_empty(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// The regular expression that finds just this text.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\^$.|?*+()[]{}".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// What else an entry asks for.
fn other_fields(entry: &HttpMatchRequest) -> impl Iterator<Item = &'static str> + use<> {
    [
        ("uri", entry.uri.is_some()),
        ("scheme", entry.scheme.is_some()),
        ("method", entry.method.is_some()),
        ("authority", entry.authority.is_some()),
        ("queryParams", !entry.query_params.is_empty()),
        ("withoutHeaders", !entry.without_headers.is_empty()),
        ("port", entry.port != 0),
        ("sourceLabels", !entry.source_labels.is_empty()),
        ("gateways", !entry.gateways.is_empty()),
        ("sourceNamespace", entry.source_namespace.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, asked)| asked.then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rollout;

    fn conditions(matches: &str) -> Conditions {
        Conditions::of(&rollout(&format!("analysis: {{iterations: 3, match: {matches}}}")))
    }

    fn header(name: &str, value: Value) -> Header {
        Header { name: name.to_owned(), value }
    }

    #[test]
    fn a_header_and_a_cookie_are_expressed() {
        assert_eq!(
            conditions("[{headers: {x-canary: {exact: insider}}}, {headers: {cookie: {exact: canary}}}]"),
            Conditions {
                header: Some(header("x-canary", Value::Exact("insider".to_owned()))),
                cookie: Some("canary".to_owned()),
                ignored: Vec::new(),
            }
        );
    }

    #[test]
    fn prefixes_and_suffixes_become_anchored_patterns() {
        let pattern = |text: &str| conditions(&format!("[{{headers: {{x-user: {text}}}}}]")).header;
        assert_eq!(pattern("{regex: 'a.*'}"), Some(header("x-user", Value::Pattern("a.*".to_owned()))));
        assert_eq!(pattern("{prefix: 'a.b'}"), Some(header("x-user", Value::Pattern(r"^a\.b".to_owned()))));
        assert_eq!(pattern("{suffix: '(x)'}"), Some(header("x-user", Value::Pattern(r"\(x\)$".to_owned()))));
        assert_eq!(pattern("{exact: ''}"), Some(header("x-user", Value::Always)));
    }

    #[test]
    fn the_first_wins_and_the_rest_is_named() {
        let conditions = conditions(
            "[{headers: {x-b: {exact: one}, x-a: {exact: two}, cookie: {regex: 'no.*'}}, queryParams: {q: {exact: z}}},
              {headers: {x-0: {exact: three}, cookie: {exact: yes}}, sourceLabels: {app: web}}]",
        );
        assert_eq!(conditions.header, Some(header("x-a", Value::Exact("two".to_owned()))));
        assert_eq!(conditions.cookie.as_deref(), Some("yes"));
        assert_eq!(conditions.ignored, ["cookie", "header x-b", "queryParams", "header x-0", "sourceLabels"]);
    }

    #[test]
    fn what_cannot_be_expressed_at_all_leaves_nothing() {
        assert!(conditions("[{headers: {cookie: {prefix: a}}}]").is_empty());
        assert!(conditions("[{queryParams: {q: {exact: z}}}]").is_empty());
    }
}
