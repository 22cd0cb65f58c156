//! Conditions of HTTPRoute rules, made of the Istio-style ones in a Canary.
//!
//! `service.match` says which requests are routed at all, `analysis.match` which of those go to the canary in an A/B test, and a cookie which of them
//! stay on one side. Reads `api` types, yields JSON of `rules[].matches[]`; reads nothing live.
//! Source: <https://gateway-api.sigs.k8s.io/reference/spec/#httproutematch>

use crate::routers::affinity::COOKIE;
use api::{HttpMatchRequest, Rollout, StringMatch};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Why a condition of the Canary cannot be one of an HTTPRoute. The first three end in a newline, as users know them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MatchError {
    /// `uri` is there, but says nothing.
    #[error("Gateway API doesn't support the specified path matching selector: {0}\n")]
    Path(String),
    /// A header is matched by prefix or suffix, or a method by anything but `exact` (then, too, the headers are shown).
    #[error("Gateway API doesn't support the specified header matching selector: {0}\n")]
    Header(String),
    /// A query parameter is matched by prefix or suffix.
    #[error("Gateway API doesn't support the specified query matching selector: {0}\n")]
    Query(String),
    /// Nothing in an entry of `analysis.match` can be expressed. Left out, it would send everybody to the canary.
    #[error("Gateway API doesn't support any of the selectors in analysis.match[{0}], use headers or queryParams")]
    Nothing(usize),
}

/// One condition: all that is in it must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Match {
    path: Option<(&'static str, String)>,
    method: Option<String>,
    headers: Vec<Selector>,
    query: Vec<Selector>,
}

/// A condition on the value of a header or of a query parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selector {
    kind: &'static str,
    name: String,
    value: String,
}

/// The conditions of `service.match`, without the entries that say nothing an HTTPRoute could express.
pub(super) fn of_service(rollout: &Rollout) -> Result<Vec<Match>, MatchError> {
    let mapped = rollout.service.matches.iter().map(Match::of).collect::<Result<Vec<_>, _>>()?;
    Ok(mapped.into_iter().filter(|mapped| *mapped != Match::default()).collect())
}

/// The conditions of `analysis.match`; none when the analysis is no A/B test.
pub(super) fn of_analysis(rollout: &Rollout) -> Result<Vec<Match>, MatchError> {
    let entries = rollout.analysis.matches.iter().enumerate();
    entries
        .map(|(index, entry)| match Match::of(entry)? {
            mapped if mapped == Match::default() => Err(MatchError::Nothing(index)),
            mapped => Ok(mapped),
        })
        .collect()
}

/// The conditions themselves, or where there are none the one that every request meets.
pub(super) fn or_everything(matches: Vec<Match>) -> Vec<Match> {
    if matches.is_empty() { vec![Match::everything()] } else { matches }
}

/// Requests that meet one of both lists, where none of them is empty: each of `first` with each of `service`. Path and method are those of `service`;
/// headers and query parameters of both must hold, where the same name is in both that of `first`.
pub(super) fn both(first: &[Match], service: &[Match]) -> Vec<Match> {
    match (first, service) {
        ([], _) => service.to_vec(),
        (_, []) => first.to_vec(),
        _ => first.iter().flat_map(|special| service.iter().map(|general| general.narrowed(special))).collect(),
    }
}

/// `rules[].matches`.
pub(super) fn to_json(matches: &[Match]) -> Value {
    matches.iter().map(Match::to_json).collect()
}

impl Match {
    /// Every request.
    fn everything() -> Self {
        Self { path: Some(("PathPrefix", "/".to_owned())), ..Self::default() }
    }

    /// Requests whose header `Cookie` matches a regular expression.
    pub(super) fn cookie(pattern: String) -> Self {
        let selector = Selector { kind: "RegularExpression", name: COOKIE.to_owned(), value: pattern };
        Self { headers: vec![selector], ..Self::default() }
    }

    fn of(entry: &HttpMatchRequest) -> Result<Self, MatchError> {
        let headers = || MatchError::Header(go_map(&entry.headers));
        Ok(Self {
            path: entry.uri.as_ref().map(path).transpose()?,
            method: match &entry.method {
                Some(method) => Some(filled(method.exact.as_ref()).ok_or_else(headers)?.to_owned()),
                None => None,
            },
            headers: selectors(&entry.headers).ok_or_else(headers)?,
            query: selectors(&entry.query_params).ok_or_else(|| MatchError::Query(go_map(&entry.query_params)))?,
        })
    }

    fn narrowed(&self, special: &Self) -> Self {
        // Header names mean the same in any case, names of query parameters do not.
        let headers = united(&special.headers, &self.headers, str::eq_ignore_ascii_case);
        let query = united(&special.query, &self.query, |left, right| left == right);
        Self { path: self.path.clone(), method: self.method.clone(), headers, query }
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        if let Some((kind, value)) = &self.path {
            map.insert("path".to_owned(), json!({"type": kind, "value": value}));
        }
        for (key, selectors) in [("headers", &self.headers), ("queryParams", &self.query)] {
            if !selectors.is_empty() {
                map.insert(key.to_owned(), selectors.iter().map(Selector::to_json).collect());
            }
        }
        if let Some(method) = &self.method {
            map.insert("method".to_owned(), json!(method));
        }
        Value::Object(map)
    }
}

impl Selector {
    fn to_json(&self) -> Value {
        json!({"type": self.kind, "name": self.name, "value": self.value})
    }
}

fn path(uri: &StringMatch) -> Result<(&'static str, String), MatchError> {
    let ways =
        [("RegularExpression", uri.regex.as_ref()), ("Exact", uri.exact.as_ref()), ("PathPrefix", uri.prefix.as_ref())];
    ways.into_iter()
        .find_map(|(kind, value)| Some((kind, filled(value)?.to_owned())))
        .ok_or_else(|| MatchError::Path(format!("&{}", go_match(uri))))
}

/// Sorted by name, so that the same spec always yields the same route. `None` if one of them cannot be expressed.
fn selectors(conditions: &BTreeMap<String, StringMatch>) -> Option<Vec<Selector>> {
    let selector = |(name, condition): (&String, &StringMatch)| {
        let ways = [("Exact", condition.exact.as_ref()), ("RegularExpression", condition.regex.as_ref())];
        let (kind, value) = ways.into_iter().find_map(|(kind, value)| Some((kind, filled(value)?)))?;
        Some(Selector { kind, name: name.clone(), value: value.to_owned() })
    };
    conditions.iter().map(selector).collect()
}

fn united(special: &[Selector], general: &[Selector], same: impl Fn(&str, &str) -> bool) -> Vec<Selector> {
    let overruled = |selector: &Selector| special.iter().any(|other| same(&other.name, &selector.name));
    special.iter().chain(general.iter().filter(|selector| !overruled(selector))).cloned().collect()
}

fn filled(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// A condition as Go prints it with `%+v`: error texts show it so.
fn go_match(condition: &StringMatch) -> String {
    let StringMatch { exact, prefix, suffix, regex } = condition;
    let [exact, prefix, suffix, regex] = [exact, prefix, suffix, regex].map(|text| text.as_deref().unwrap_or_default());
    format!("{{Exact:{exact} Prefix:{prefix} Suffix:{suffix} Regex:{regex}}}")
}

fn go_map(conditions: &BTreeMap<String, StringMatch>) -> String {
    let entries: Vec<_> =
        conditions.iter().map(|(name, condition)| format!("{name}:{}", go_match(condition))).collect();
    format!("map[{}]", entries.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rollout;

    fn service(matches: &str) -> Result<Value, String> {
        let rollout = rollout(&format!("service: {{match: {matches}}}"));
        of_service(&rollout).map(|matches| to_json(&matches)).map_err(|error| error.to_string())
    }

    /// What an A/B test matches, given both lists.
    fn ab(analysis: &str, service: &str) -> Result<Value, String> {
        let rollout = rollout(&format!("{{service: {{match: {service}}}, analysis: {{match: {analysis}}}}}"));
        let analysis = of_analysis(&rollout).map_err(|error| error.to_string())?;
        let service = or_everything(of_service(&rollout).map_err(|error| error.to_string())?);
        Ok(to_json(&both(&analysis, &service)))
    }

    #[test]
    fn every_kind_of_selector_is_mapped_in_a_stable_order() {
        let matches = r#"[{uri: {prefix: /a}, method: {exact: GET}, headers: {z: {exact: "1"}, b: {regex: "^x"}}, queryParams: {q: {exact: v}}},
            {uri: {exact: /b}}, {uri: {regex: "/c.*", prefix: /c}}]"#;
        assert_eq!(
            service(matches).unwrap(),
            json!([
                {
                    "path": {"type": "PathPrefix", "value": "/a"},
                    "method": "GET",
                    "headers": [{"type": "RegularExpression", "name": "b", "value": "^x"}, {"type": "Exact", "name": "z", "value": "1"}],
                    "queryParams": [{"type": "Exact", "name": "q", "value": "v"}],
                },
                {"path": {"type": "Exact", "value": "/b"}},
                {"path": {"type": "RegularExpression", "value": "/c.*"}},
            ])
        );
    }

    #[test]
    fn entries_that_say_nothing_here_are_left_out() {
        assert_eq!(service("[{sourceLabels: {app: web}}, {uri: {prefix: /a}}]").unwrap().as_array().unwrap().len(), 1);
        assert_eq!(service("[{gateways: [mesh]}]").unwrap(), json!([]));
        let everything = to_json(&or_everything(Vec::new()));
        assert_eq!(everything, json!([{"path": {"type": "PathPrefix", "value": "/"}}]));
    }

    #[test]
    fn selectors_that_cannot_be_expressed_are_errors_in_the_words_users_know() {
        assert_eq!(
            service("[{uri: {}}]").unwrap_err(),
            "Gateway API doesn't support the specified path matching selector: &{Exact: Prefix: Suffix: Regex:}\n"
        );
        let header = "Gateway API doesn't support the specified header matching selector: ";
        assert_eq!(
            service("[{headers: {x-user: {exact: a}, x-canary: {prefix: ins}}}]").unwrap_err(),
            format!(
                "{header}map[x-canary:{{Exact: Prefix:ins Suffix: Regex:}} x-user:{{Exact:a Prefix: Suffix: Regex:}}]\n"
            )
        );
        // A method is told as if it were a header.
        assert_eq!(service("[{method: {prefix: G}}]").unwrap_err(), format!("{header}map[]\n"));
        assert_eq!(
            service("[{queryParams: {v: {prefix: a}}}]").unwrap_err(),
            "Gateway API doesn't support the specified query matching selector: map[v:{Exact: Prefix:a Suffix: Regex:}]\n"
        );
    }

    #[test]
    fn an_ab_test_that_would_catch_everybody_is_an_error() {
        assert!(ab("[{headers: {x: {suffix: a}}}]", "[]").unwrap_err().contains("header matching selector"));
        assert_eq!(
            ab("[{headers: {x: {exact: a}}}, {sourceLabels: {app: web}}]", "[]").unwrap_err(),
            "Gateway API doesn't support any of the selectors in analysis.match[1], use headers or queryParams"
        );
    }

    #[test]
    fn both_conditions_must_hold() {
        // Path and method are the service's; each analysis entry meets each service entry.
        assert_eq!(
            ab(
                "[{headers: {x: {exact: a}}}, {queryParams: {q: {exact: v}}}]",
                "[{uri: {prefix: /a}, method: {exact: GET}}, {uri: {prefix: /b}}]"
            )
            .unwrap(),
            json!([
                {"path": {"type": "PathPrefix", "value": "/a"}, "headers": [{"type": "Exact", "name": "x", "value": "a"}], "method": "GET"},
                {"path": {"type": "PathPrefix", "value": "/b"}, "headers": [{"type": "Exact", "name": "x", "value": "a"}]},
                {"path": {"type": "PathPrefix", "value": "/a"}, "queryParams": [{"type": "Exact", "name": "q", "value": "v"}], "method": "GET"},
                {"path": {"type": "PathPrefix", "value": "/b"}, "queryParams": [{"type": "Exact", "name": "q", "value": "v"}]},
            ])
        );
        // Headers of the service stay, unless the analysis has one of that name; names of parameters are told apart by case.
        assert_eq!(
            ab(
                "[{headers: {x-user: {exact: me}}, queryParams: {Q: {exact: a}}}]",
                "[{headers: {X-User: {exact: you}, x-team: {exact: us}}, queryParams: {q: {exact: b}}}]"
            )
            .unwrap(),
            json!([{
                "headers": [{"type": "Exact", "name": "x-user", "value": "me"}, {"type": "Exact", "name": "x-team", "value": "us"}],
                "queryParams": [{"type": "Exact", "name": "Q", "value": "a"}, {"type": "Exact", "name": "q", "value": "b"}],
            }])
        );
    }
}
