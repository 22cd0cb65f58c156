//! Names, label keys and label values: what characters and lengths they may have, and the texts that say so.

use crate::failure::FieldError;
use serde_json::{Map, Value, json};

const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const KEY_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
    (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with \
    an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
    alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// A map of labels, if there is one.
pub(crate) struct Labels<'a>(Option<&'a Map<String, Value>>);

impl<'a> Labels<'a> {
    /// Reads a map; anything else has no labels.
    pub(crate) fn of(value: Option<&'a Value>) -> Self {
        Self(value.and_then(Value::as_object))
    }
}

/// Checks keys and values of a map of labels.
pub(crate) fn check(labels: &Labels<'_>, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in labels.0.into_iter().flatten() {
        check_key(key, key, path, errors);
        let value = value.as_str().unwrap_or_default();
        if let Some(why) = check_value(value) {
            errors.push(FieldError::invalid(path, &json!(value), why));
        }
    }
}

/// Checks a qualified name (`a`, `x.io/a`): the key of a label or annotation, or a finalizer. `shown` is how the text names it.
pub(crate) fn check_key(shown: &str, key: &str, path: &str, errors: &mut Vec<FieldError>) {
    let mut invalid = |why: &str| errors.push(FieldError::invalid(path, &json!(shown), why));
    let (prefix, name) = match key.split_once('/') {
        None => (None, key),
        Some((_, name)) if name.contains('/') => {
            return invalid(
                "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            );
        }
        Some((prefix, name)) => (Some(prefix), name),
    };
    match prefix {
        Some("") => invalid("prefix part must be non-empty"),
        Some(prefix) if !prefix.split('.').all(is_dns_label) => invalid(&format!("prefix part {SUBDOMAIN_RULE}")),
        _ => {}
    }
    if name.is_empty() {
        invalid("name part must be non-empty");
    } else if name.len() > 63 {
        invalid("name part must be no more than 63 bytes");
    }
    if !is_word(name) {
        invalid(KEY_RULE);
    }
}

/// Checks the value of a label.
pub(crate) fn check_value(value: &str) -> Option<&'static str> {
    if value.len() > 63 {
        return Some("must be no more than 63 bytes");
    }
    (!value.is_empty() && !is_word(value)).then_some(VALUE_RULE)
}

fn is_word(text: &str) -> bool {
    let ends = |end: Option<char>| end.is_some_and(|letter| letter.is_ascii_alphanumeric());
    ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
}

/// Which names a kind allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// RFC 1123 subdomains: most kinds.
    Subdomain,
    /// RFC 1123 labels: namespaces and services.
    Label,
    /// Anything that fits into a path: roles and bindings.
    Path,
}

impl Names {
    /// The rule for the objects of a table.
    pub(crate) fn of(table: &str) -> Self {
        match table {
            "namespaces" | "services" => Self::Label,
            _ if table.ends_with("rbac.authorization.k8s.io") => Self::Path,
            _ => Self::Subdomain,
        }
    }

    /// Checks a name.
    pub(crate) fn check(self, name: &str, path: &str, errors: &mut Vec<FieldError>) {
        let (longest, rule, fits) = match self {
            Self::Subdomain => (253, SUBDOMAIN_RULE, name.split('.').all(is_dns_label)),
            Self::Label => (63, LABEL_RULE, is_dns_label(name)),
            Self::Path => (253, "may not contain '/' or '%'", !name.contains(['/', '%'])),
        };
        if name.len() > longest {
            errors.push(FieldError::invalid(path, &json!(name), format!("must be no more than {longest} characters")));
        }
        if !fits {
            errors.push(FieldError::invalid(path, &json!(name), rule));
        }
    }
}

fn is_dns_label(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    text.starts_with(plain) && text.ends_with(plain) && text.chars().all(|letter| plain(letter) || letter == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label_errors(labels: &Value) -> String {
        let mut errors = Vec::new();
        check(&Labels::of(Some(labels)), "metadata.labels", &mut errors);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn labels_have_63_plain_characters_at_most() {
        assert_eq!(label_errors(&json!({"a": "b", "x.io/y-z": "", "c": "A.b_c-1"})), "");
        let long = "x".repeat(64);
        assert_eq!(
            label_errors(&json!({"a": long})),
            format!("metadata.labels: Invalid value: \"{long}\": must be no more than 63 bytes")
        );
        assert!(label_errors(&json!({"a": "-b"})).contains("a valid label must be an empty string or"));
        assert!(label_errors(&json!({"-a": "b"})).contains("name part must consist of"));
    }

    #[test]
    fn names_depend_on_the_kind() {
        let fails = |names: Names, name: &str| {
            let mut errors = Vec::new();
            names.check(name, "metadata.name", &mut errors);
            !errors.is_empty()
        };
        assert!(!fails(Names::Subdomain, "a.b-c.1") && fails(Names::Subdomain, "A") && fails(Names::Subdomain, "a..b"));
        assert!(!fails(Names::Label, "1-a") && fails(Names::Label, "a-") && fails(Names::Label, "a.b"));
        assert!(!fails(Names::Path, "system:x") && fails(Names::Path, "a/b"));
    }
}
