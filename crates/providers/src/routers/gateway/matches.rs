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
                Some(method) => Some(filled(&method.exact).ok_or_else(headers)?.to_owned()),
                None => None,
            },
            headers: selectors(&entry.headers).ok_or_else(headers)?,
            query: selectors(&entry.query_params).ok_or_else(|| MatchError::Query(go_map(&entry.query_params)))?,
        })
    }

    fn narrowed(&self, special: &Self) -> Self {
        // Header names mean the same in any case, names of query parameters do not.
        let headers = united(&special.headers, &self.headers, |left, right| left.eq_ignore_ascii_case(right));
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
    let ways = [("RegularExpression", &uri.regex), ("Exact", &uri.exact), ("PathPrefix", &uri.prefix)];
    ways.into_iter()
        .find_map(|(kind, value)| Some((kind, filled(value)?.to_owned())))
        .ok_or_else(|| MatchError::Path(format!("&{}", go_match(uri))))
}

/// Sorted by name, so that the same spec always yields the same route. `None` if one of them cannot be expressed.
fn selectors(conditions: &BTreeMap<String, StringMatch>) -> Option<Vec<Selector>> {
    let selector = |(name, condition): (&String, &StringMatch)| {
        let ways = [("Exact", &condition.exact), ("RegularExpression", &condition.regex)];
        let (kind, value) = ways.into_iter().find_map(|(kind, value)| Some((kind, filled(value)?)))?;
        Some(Selector { kind, name: name.clone(), value: value.to_owned() })
    };
    conditions.iter().map(selector).collect()
}

fn united(special: &[Selector], general: &[Selector], same: impl Fn(&str, &str) -> bool) -> Vec<Selector> {
    let overruled = |selector: &Selector| special.iter().any(|other| same(&other.name, &selector.name));
    special.iter().chain(general.iter().filter(|selector| !overruled(selector))).cloned().collect()
}

fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// A condition as Go prints it with `%+v`: error texts show it so.
fn go_match(condition: &StringMatch) -> String {
    let show = |text: &Option<String>| text.clone().unwrap_or_default();
    let StringMatch { exact, prefix, suffix, regex } = condition;
    format!("{{Exact:{} Prefix:{} Suffix:{} Regex:{}}}", show(exact), show(prefix), show(suffix), show(regex))
}

fn go_map(conditions: &BTreeMap<String, StringMatch>) -> String {
    let entries: Vec<_> =
        conditions.iter().map(|(name, condition)| format!("{name}:{}", go_match(condition))).collect();
    format!("map[{}]", entries.join(" "))
}
