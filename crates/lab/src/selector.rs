//! Label and field selectors of lists and watches.
//!
//! Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>

use crate::failure::Failure;
use crate::resource::Resource;
use objects::paths;
use serde_json::Value;

/// Which objects are wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    /// (JSON pointer, wanted text, whether equal).
    fields: Vec<(String, String, bool)>,
}

/// One condition on labels.
#[derive(Debug, Clone, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Greater(String, i64),
    Less(String, i64),
}

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`; empty texts select everything.
    pub(crate) fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Failure> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(resource, fields)? })
    }

    /// Whether it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the object is wanted.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.holds(object))
            && self.fields.iter().all(|(pointer, wanted, equal)| (field_text(object, pointer) == *wanted) == *equal)
    }
}

fn field_text(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

impl Requirement {
    fn holds(&self, object: &Value) -> bool {
        let label =
            |key: &str| object.pointer("/metadata/labels").and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let number = |key: &str| label(key).and_then(|text| text.parse::<i64>().ok());
        match self {
            Self::In(key, values) => label(key).is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(key, values) => label(key).is_none_or(|value| values.iter().all(|one| one != value)),
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
            Self::Greater(key, than) => number(key).is_some_and(|value| value > *than),
            Self::Less(key, than) => number(key).is_some_and(|value| value < *than),
        }
    }
}

/// Splits at commas outside of parentheses.
fn terms(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Failure> {
    terms(text)
        .into_iter()
        .map(|term| {
            parse_label(term).ok_or_else(|| Failure::bad_request(format!("unable to parse requirement: {term}")))
        })
        .collect()
}

fn parse_label(term: &str) -> Option<Requirement> {
    let one = |key: &str, value: &str| (key.trim().to_owned(), vec![value.trim().to_owned()]);
    if let Some((key, values)) = term.split_once('(') {
        let values = values.strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = key.split_whitespace();
        let key = words.next()?.to_owned();
        return match words.next()? {
            "in" => Some(Requirement::In(key, values)),
            "notin" => Some(Requirement::NotIn(key, values)),
            _ => None,
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        let (key, values) = one(key, value);
        return Some(Requirement::NotIn(key, values));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        let (key, values) = one(key, value);
        return Some(Requirement::In(key, values));
    }
    if let Some((key, value)) = term.split_once('>') {
        return Some(Requirement::Greater(key.trim().to_owned(), value.trim().parse().ok()?));
    }
    if let Some((key, value)) = term.split_once('<') {
        return Some(Requirement::Less(key.trim().to_owned(), value.trim().parse().ok()?));
    }
    let key = term.trim_start_matches('!').trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return None;
    }
    Some(if term.starts_with('!') { Requirement::Absent(key.to_owned()) } else { Requirement::Exists(key.to_owned()) })
}

fn parse_fields(resource: &Resource, text: &str) -> Result<Vec<(String, String, bool)>, Failure> {
    let mut fields = Vec::new();
    for term in text.split(',').map(str::trim).filter(|term| !term.is_empty()) {
        let (key, value, equal) = if let Some((key, value)) = term.split_once("!=") {
            (key, value, false)
        } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            (key, value, true)
        } else {
            return Err(Failure::bad_request(format!("invalid selector: '{term}'; can't understand '{term}'")));
        };
        let pointer = format!("/{}", key.trim().replace('.', "/"));
        if !is_selectable(resource, &pointer) {
            return Err(Failure::bad_request(format!("field label not supported: {}", key.trim())));
        }
        let pointer = if pointer == "/source" { "/source/component".to_owned() } else { pointer };
        fields.push((pointer, value.trim().to_owned(), equal));
    }
    Ok(fields)
}

fn is_selectable(resource: &Resource, pointer: &str) -> bool {
    if pointer == "/metadata/name" || (pointer == "/metadata/namespace" && resource.namespaced) {
        return true;
    }
    if let Some(custom) = resource.custom() {
        return custom.selectable.iter().any(|one| one == pointer);
    }
    match resource.table.as_str() {
        "events" => {
            pointer.starts_with("/involvedObject/")
                || matches!(pointer, "/reason" | "/type" | "/source" | "/reportingComponent" | "/reportingController")
        }
        "pods" => {
            matches!(pointer, "/status/phase" | "/status/podIP" | "/status/nominatedNodeName")
                || matches!(
                    pointer,
                    "/spec/nodeName"
                        | "/spec/restartPolicy"
                        | "/spec/schedulerName"
                        | "/spec/serviceAccountName"
                        | "/spec/hostNetwork"
                )
        }
        "services" => matches!(pointer, "/spec/clusterIP" | "/spec/type"),
        "secrets" => pointer == "/type",
        "namespaces" => pointer == "/status/phase",
        "replicasets.apps" => pointer == "/status/replicas",
        "nodes" => pointer == "/spec/unschedulable",
        "jobs.batch" => pointer == "/status/successful",
        _ => false,
    }
}

/// Whether labels satisfy a `LabelSelector` object (`matchLabels`, `matchExpressions`). A missing selector matches nothing, an empty one everything.
pub(crate) fn selects(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let Some(selector) = selector else { return false };
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
    let equal = paths::strings(selector, "/matchLabels").iter().all(|(key, value)| label(key) == Some(value));
    let expressions = paths::list(selector, "/matchExpressions").all(|one| {
        let value = label(paths::text(one, "/key"));
        let listed = value.is_some_and(|value| paths::list(one, "/values").any(|of| of == value));
        match paths::text(one, "/operator") {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && expressions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Registry;
    use serde_json::json;

    fn matches(labels: &str, fields: &str) -> bool {
        let pods = Registry::default().by_name("pods").unwrap();
        let object =
            json!({"metadata": {"name": "x", "labels": {"app": "a", "tier": "7"}}, "status": {"phase": "Running"}});
        Selector::parse(&pods, labels, fields).unwrap().matches(&object)
    }

    #[test]
    fn labels_are_matched_in_every_notation() {
        for holds in
            ["app=a", "app==a", "app!=b", "other!=x", "app in (a,b), tier", "app notin (b),!other", "tier>6", "tier<8"]
        {
            assert!(matches(holds, ""), "{holds}");
        }
        for fails in ["app=b", "app!=a", "app in (b)", "app notin (a,b)", "other", "!app", "tier>7", "other in (x)"] {
            assert!(!matches(fails, ""), "{fails}");
        }
    }

    #[test]
    fn fields_are_matched_where_the_kind_allows_it() {
        assert!(matches("", "metadata.name=x,status.phase!=Failed"));
        assert!(!matches("", "status.phase=Failed"));
        let pods = Registry::default().by_name("pods").unwrap();
        let error = Selector::parse(&pods, "", "spec.foo=1").unwrap_err();
        assert_eq!(error.to_string(), "field label not supported: spec.foo");
    }
}
