//! What of a live HTTPRoute is ours: named paths with the API server's defaults, and bringing only those to what is wanted.
//!
//! The server fills in defaults, newer versions of the API add fields, and people add some by hand. None of that is a difference: a field that is not
//! named here stays as it is, and one that is named is compared by what it means, so that leaving out a default equals writing it. Without that, every
//! look at the route would find something to repair.
//! Source of the defaults: <https://gateway-api.sigs.k8s.io/reference/spec/>

use objects::diff::equivalent;
use serde_json::{Map, Value, json};

/// How far a JSON value is ours.
#[derive(Debug)]
pub(super) enum Shape {
    /// As a whole.
    Whole,
    /// A map: these fields are, all others stay.
    Fields(&'static [Field]),
    /// A list: its elements are, and have this shape.
    List(&'static List),
}

/// A field of a map that is ours.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    /// What the API server takes it for when absent.
    default: Option<fn() -> Value>,
    shape: Shape,
}

/// A list that is ours.
#[derive(Debug)]
pub(super) struct List {
    element: Shape,
    /// The field by which an element is known again; none: by its place.
    key: Option<&'static str>,
    /// The order means nothing, so that of the live list is kept.
    unordered: bool,
}

/// `live` with what is ours in it as in `wanted`.
pub(super) fn settled(live: &Value, wanted: &Value, shape: &Shape) -> Value {
    match (shape, live, wanted) {
        (Shape::Fields(fields), Value::Object(live), Value::Object(wanted)) => {
            Value::Object(settled_map(live, wanted, fields))
        }
        (Shape::List(list), Value::Array(live), Value::Array(wanted)) => Value::Array(settled_list(live, wanted, list)),
        _ => wanted.clone(),
    }
}

fn settled_map(live: &Map<String, Value>, wanted: &Map<String, Value>, fields: &[Field]) -> Map<String, Value> {
    let mut result = live.clone();
    for field in fields {
        let default = field.default.map(|default| default());
        let present = live.get(field.name);
        let ours = wanted.get(field.name).or(if present.is_some() { default.as_ref() } else { None });
        // Absent and the same as the default: stays absent.
        let stands_for = present.or(default.as_ref());
        match (stands_for, ours) {
            (Some(theirs), Some(ours)) => {
                let settled = settled(theirs, ours, &field.shape);
                if present.is_some() || !equivalent(theirs, &settled) {
                    result.insert(field.name.to_owned(), settled);
                }
            }
            (None, Some(ours)) => {
                result.insert(field.name.to_owned(), ours.clone());
            }
            (_, None) => {
                result.shift_remove(field.name);
            }
        }
    }
    result
}

fn settled_list(live: &[Value], wanted: &[Value], list: &List) -> Vec<Value> {
    let mut left: Vec<(usize, &Value)> = live.iter().enumerate().collect();
    let mut result: Vec<(Option<usize>, Value)> = Vec::new();
    for (place, ours) in wanted.iter().enumerate() {
        let same = |(index, theirs): &(usize, &Value)| match list.key {
            Some(key) => theirs.get(key) == ours.get(key),
            None => *index == place,
        };
        match left.iter().position(same).map(|position| left.remove(position)) {
            Some((index, theirs)) => result.push((Some(index), settled(theirs, ours, &list.element))),
            None => result.push((None, ours.clone())),
        }
    }
    if list.unordered {
        // A stable sort: what is new comes last.
        result.sort_by_key(|(index, _)| index.unwrap_or(usize::MAX));
    }
    result.into_iter().map(|(_, value)| value).collect()
}

const fn whole(name: &'static str) -> Field {
    Field { name, default: None, shape: Shape::Whole }
}

const fn defaulted(name: &'static str, default: fn() -> Value) -> Field {
    Field { name, default: Some(default), shape: Shape::Whole }
}

const fn shaped(name: &'static str, shape: Shape) -> Field {
    Field { name, default: None, shape }
}

const fn list(name: &'static str, list: &'static List) -> Field {
    shaped(name, Shape::List(list))
}

/// `spec`, without its rules.
pub(super) static SPEC: Shape = Shape::Fields(&[list("parentRefs", &PARENTS), whole("hostnames")]);

/// An element of `spec.rules`. Timeouts are ours only in version v1; in v1beta1 those that somebody else has set stay.
pub(super) static RULE_V1: Shape = Shape::Fields(&[MATCHES, FILTERS, BACKENDS, TIMEOUTS]);
/// The same in v1beta1.
pub(super) static RULE_V1BETA1: Shape = Shape::Fields(&[MATCHES, FILTERS, BACKENDS]);

const MATCHES: Field = Field {
    name: "matches",
    default: Some(|| json!([{"path": {"type": "PathPrefix", "value": "/"}}])),
    shape: Shape::List(&MATCH),
};
const FILTERS: Field = list("filters", &FILTER);
const BACKENDS: Field = list("backendRefs", &BACKEND);
const TIMEOUTS: Field = shaped("timeouts", Shape::Fields(&[whole("request"), whole("backendRequest")]));

static PARENTS: List = List {
    element: Shape::Fields(&[
        defaulted("group", || json!("gateway.networking.k8s.io")),
        defaulted("kind", || json!("Gateway")),
        whole("namespace"),
        whole("name"),
        whole("sectionName"),
        whole("port"),
    ]),
    key: None,
    unordered: false,
};

static MATCH: List = List {
    element: Shape::Fields(&[
        Field {
            name: "path",
            default: Some(|| json!({"type": "PathPrefix", "value": "/"})),
            shape: Shape::Fields(&[defaulted("type", || json!("PathPrefix")), defaulted("value", || json!("/"))]),
        },
        list("headers", &SELECTORS),
        list("queryParams", &SELECTORS),
        whole("method"),
    ]),
    key: None,
    unordered: false,
};

static SELECTORS: List = List {
    element: Shape::Fields(&[defaulted("type", || json!("Exact")), whole("name"), whole("value")]),
    key: Some("name"),
    unordered: true,
};

static BACKEND: List = List {
    element: Shape::Fields(&[
        defaulted("group", || json!("")),
        defaulted("kind", || json!("Service")),
        whole("namespace"),
        whole("name"),
        whole("port"),
        defaulted("weight", || json!(1)),
        FILTERS,
    ]),
    key: Some("name"),
    unordered: false,
};

static FILTER: List = List {
    element: Shape::Fields(&[
        whole("type"),
        shaped("requestHeaderModifier", MODIFIER),
        shaped("responseHeaderModifier", MODIFIER),
        shaped("urlRewrite", Shape::Fields(&[whole("hostname"), whole("path")])),
        shaped("requestMirror", Shape::Fields(&[shaped("backendRef", MIRRORED)])),
        shaped("cors", CORS),
    ]),
    key: Some("type"),
    unordered: false,
};

const MODIFIER: Shape = Shape::Fields(&[whole("set"), whole("add"), whole("remove")]);

const MIRRORED: Shape = Shape::Fields(&[
    defaulted("group", || json!("")),
    defaulted("kind", || json!("Service")),
    whole("namespace"),
    whole("name"),
    whole("port"),
]);

const CORS: Shape = Shape::Fields(&[
    whole("allowOrigins"),
    defaulted("allowCredentials", || json!(false)),
    whole("allowMethods"),
    whole("allowHeaders"),
    whole("exposeHeaders"),
    defaulted("maxAge", || json!(5)),
]);

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(live: &Value, wanted: &Value) -> Value {
        settled(live, wanted, &RULE_V1)
    }

    #[test]
    fn defaults_are_no_difference_either_way() {
        let short = json!({
            "matches": [{"headers": [{"name": "x", "value": "a"}]}],
            "filters": [{"type": "CORS", "cors": {"allowOrigins": ["*"]}},
                {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "other", "port": 80}}}],
            "backendRefs": [{"name": "cart-primary", "port": 80}],
        });
        let long = json!({
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}, "headers": [{"type": "Exact", "name": "x", "value": "a"}]}],
            "filters": [{"type": "CORS", "cors": {"allowOrigins": ["*"], "maxAge": 5, "allowCredentials": false}},
                {"type": "RequestMirror", "requestMirror": {"backendRef": {"group": "", "kind": "Service", "name": "other", "port": 80}}}],
            "backendRefs": [{"group": "", "kind": "Service", "name": "cart-primary", "port": 80, "weight": 1}],
        });
        assert_eq!(rule(&long, &short), long);
        assert_eq!(rule(&short, &long), short);
    }

    #[test]
    fn what_is_not_ours_stays_and_what_is_goes() {
        let live = json!({
            "name": "by-hand",
            "retry": {"attempts": 2},
            "filters": [{"type": "RequestRedirect", "requestRedirect": {"port": 1}}],
            "timeouts": {"request": "1s"},
            "backendRefs": [{"name": "cart-primary", "namespace": "elsewhere", "port": 80, "weight": 3, "unheardOf": true}, {"name": "third"}],
        });
        let wanted = json!({"backendRefs": [{"name": "cart-canary", "port": 80}, {"name": "cart-primary", "port": 80, "weight": 90}]});
        let settled = json!({
            "name": "by-hand",
            "retry": {"attempts": 2},
            "backendRefs": [{"name": "cart-canary", "port": 80}, {"name": "cart-primary", "port": 80, "weight": 90, "unheardOf": true}],
        });
        assert_eq!(rule(&live, &wanted), settled);
        // v1beta1 has no timeouts of ours.
        assert_eq!(super::settled(&live, &wanted, &RULE_V1BETA1).get("timeouts"), live.get("timeouts"));
    }

    #[test]
    fn the_order_of_headers_means_nothing() {
        let header = |name: &str, value: &str| json!({"type": "Exact", "name": name, "value": value});
        let live = json!({"matches": [{"headers": [header("b", "1"), header("a", "1")]}]});
        let wanted = json!({"matches": [{"headers": [header("a", "1"), header("b", "1")]}]});
        assert_eq!(rule(&live, &wanted), live);
        let changed = json!({"matches": [{"headers": [header("a", "2"), header("b", "1"), header("c", "1")]}]});
        let settled = json!({"matches": [{"headers": [header("b", "1"), header("a", "2"), header("c", "1")]}]});
        assert_eq!(rule(&live, &changed), settled);
    }

    #[test]
    fn a_value_that_loses_its_place_in_the_spec_becomes_the_default() {
        let cors = |max_age: Value| json!({"filters": [{"type": "CORS", "cors": max_age}]});
        assert_eq!(rule(&cors(json!({"maxAge": 60})), &cors(json!({}))), cors(json!({"maxAge": 5})));
        let wanted = json!({"matches": [{"path": {"type": "Exact", "value": "/x"}}]});
        assert_eq!(rule(&json!({"matches": [{"method": "GET"}]}), &wanted), wanted);
    }
}
