//! Label and field selectors of lists and watches.
//!
//! Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>

use crate::defaults::labels;
use crate::failure::{Failure, FieldError};
use crate::resource::Resource;
use objects::paths;
use serde_json::{Value, json};

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
    .collect()
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Failure> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let terms = terms(text);
    if let Some(at) = terms.iter().position(|term| term.is_empty()) {
        let found = if at + 1 == terms.len() { "" } else { "," };
        return Err(Failure::bad_request(format!("found '{found}', expected: identifier after ','")));
    }
    let refuse = |why: String| Failure::bad_request(format!("unable to parse requirement: {why}"));
    terms.into_iter().map(|term| parse_label(term).and_then(check_label).map_err(refuse)).collect()
}

fn parse_label(term: &str) -> Result<Requirement, String> {
    if let Some(key) = term.strip_prefix('!') {
        return Ok(Requirement::Absent(key.trim().to_owned()));
    }
    let end = term.find(|letter: char| letter.is_whitespace() || "=!<>(".contains(letter)).unwrap_or(term.len());
    let (key, rest) = term.split_at(end);
    let (key, rest) = (key.to_owned(), rest.trim());
    let values = |rest: &str| -> Result<Vec<String>, String> {
        let inner = rest.strip_prefix('(').ok_or_else(|| format!("found '{rest}' expected: '('"))?;
        let inner = inner.strip_suffix(')').ok_or_else(|| "found '', expected: ',' or ')'".to_owned())?;
        Ok(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    let number = |value: &str| {
        let why = "for 'Gt', 'Lt' operators, the value must be an integer";
        value.trim().parse().map_err(|_| format!("values[0][{key}]: Invalid value: {:?}: {why}", value.trim()))
    };
    if rest.is_empty() {
        return Ok(Requirement::Exists(key));
    }
    if let Some(value) = rest.strip_prefix("!=") {
        return Ok(Requirement::NotIn(key, one(value)));
    }
    if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
        return Ok(Requirement::In(key, one(value)));
    }
    if let Some(value) = rest.strip_prefix('>') {
        return Ok(Requirement::Greater(key.clone(), number(value)?));
    }
    if let Some(value) = rest.strip_prefix('<') {
        return Ok(Requirement::Less(key.clone(), number(value)?));
    }
    let (word, list) = rest.split_once(|letter: char| letter.is_whitespace() || letter == '(').unwrap_or((rest, ""));
    let list = rest.get(word.len()..).map_or(list, str::trim);
    match word {
        "in" => Ok(Requirement::In(key, values(list)?)),
        "notin" => Ok(Requirement::NotIn(key, values(list)?)),
        found => Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")),
    }
}

/// Keys and values must be ones that a label may have.
fn check_label(requirement: Requirement) -> Result<Requirement, String> {
    let mut errors = Vec::new();
    let (key, values): (&str, &[String]) = match &requirement {
        Requirement::In(key, values) | Requirement::NotIn(key, values) => (key, values),
        Requirement::Exists(key)
        | Requirement::Absent(key)
        | Requirement::Greater(key, _)
        | Requirement::Less(key, _) => (key, &[]),
    };
    labels::check_key(key, key, "<nil>", &mut errors);
    for (at, value) in values.iter().enumerate() {
        if let Some(why) = labels::check_value(value) {
            errors.push(FieldError::invalid(format!("values[{at}][{key}]"), &json!(value), why));
        }
    }
    errors.first().map_or(Ok(requirement), |error| Err(error.to_string()))
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
            return Err(Failure::bad_request(unknown_field(resource, key.trim())));
        }
        let pointer = if pointer == "/source" { "/source/component".to_owned() } else { pointer };
        fields.push((pointer, value.trim().to_owned(), equal));
    }
    Ok(fields)
}

/// Kinds that have fields of their own to select by say it in other words.
fn unknown_field(resource: &Resource, key: &str) -> String {
    let own = ["events", "pods", "services", "secrets", "namespaces", "nodes", "jobs.batch", "replicasets.apps"];
    if resource.custom().is_some() || own.contains(&resource.table.as_str()) {
        return format!("field label not supported: {key}");
    }
    format!("{key:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
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
