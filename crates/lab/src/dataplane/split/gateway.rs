//! Gateway API: the `HTTPRoute` that is named after the Service or has it among its `hostnames`.
//!
//! Reads `spec.rules[]`: matches, backendRefs with weights, the filters `RequestMirror` and `ResponseHeaderModifier`. Where several rules match, the most
//! specific one wins, then the first. Does not look at Gateways, nor at what they accept.
//! Source: <https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule>

use super::matching::{path_prefix, whole};
use super::{Asked, NoWay, Way, is_host, name_of};
use crate::dataplane::{Objects, Spread};
use objects::paths::{integer, list, text};
use serde_json::Value;

pub(super) fn way(objects: &dyn Objects, spread: &mut Spread, asked: &Asked) -> Option<Result<Way, NoWay>> {
    let routes = objects.list("HTTPRoute", &asked.namespace);
    let hosted =
        |route: &Value| list(route, "/spec/hostnames").filter_map(Value::as_str).any(|host| is_host(host, asked));
    let route = routes.iter().find(|route| name_of(route) == asked.apex || hosted(route))?;
    Some(within(route, spread, asked))
}

/// How specific a match is: exact path, length of the path, method, headers, query parameters. Greater wins.
type Rank = (bool, usize, bool, usize, usize);

fn within(route: &Value, spread: &mut Spread, asked: &Asked) -> Result<Way, NoWay> {
    let name = format!("HTTPRoute {}.{}", name_of(route), asked.namespace);
    let ranked =
        list(route, "/spec/rules").enumerate().filter_map(|(index, rule)| Some((rank(rule, asked)?, index, rule)));
    // `max_by` would take the last of equals.
    let best = ranked.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let (_, index, rule) = best.ok_or_else(|| NoWay::NoRule(name.clone()))?;
    let place = format!("{name}/{index}");
    let backends: Vec<&Value> = list(rule, "/backendRefs").collect();
    let weights: Vec<i64> = backends.iter().map(|one| integer(one, "/weight").unwrap_or(1)).collect();
    let taken = spread.next(&place, &weights).and_then(|index| backends.get(index).copied());
    let backend = taken.ok_or_else(|| NoWay::NoDestination(name.clone()))?;
    let mut way = Way::to(text(backend, "/name"));
    way.mirror = list(rule, "/filters").find_map(|filter| mirror(filter, spread, &place));
    way.response_headers =
        [rule, backend].into_iter().flat_map(|part| list(part, "/filters")).flat_map(response_headers).collect();
    Ok(way)
}

fn mirror(filter: &Value, spread: &mut Spread, place: &str) -> Option<String> {
    let mirror = filter.get("requestMirror")?;
    let percent = integer(mirror, "/percent").unwrap_or(100);
    spread.chance(&format!("{place}/mirror"), percent).then(|| text(mirror, "/backendRef/name").to_owned())
}

fn response_headers(filter: &Value) -> Vec<(String, String)> {
    let of = |operation: &str| {
        let pointer = format!("/responseHeaderModifier/{operation}");
        list(filter, &pointer)
            .map(|header| (text(header, "/name").to_owned(), text(header, "/value").to_owned()))
            .collect::<Vec<_>>()
    };
    of("set").into_iter().chain(of("add")).collect()
}

/// The rank of the best of a rule's matches; `None` if none is met.
fn rank(rule: &Value, asked: &Asked) -> Option<Rank> {
    let mut matches = list(rule, "/matches").peekable();
    if matches.peek().is_none() {
        return Some(rank_of(&Value::Null));
    }
    matches.filter(|one| is_met(one, asked)).map(rank_of).max()
}

/// A path that is not there counts as the prefix `/`, which the API server adds.
fn rank_of(one: &Value) -> Rank {
    let count = |key: &str| one.get(key).and_then(Value::as_array).map_or(0, Vec::len);
    let exact = text(one, "/path/type") == "Exact";
    let path = text(one, "/path/value").len().max(1);
    (exact, path, one.get("method").is_some(), count("headers"), count("queryParams"))
}

fn is_met(one: &Value, asked: &Asked) -> bool {
    let path = one.get("path").is_none_or(|path| {
        let value = text(path, "/value");
        match text(path, "/type") {
            "Exact" => asked.path == value,
            "RegularExpression" => whole(value, &asked.path),
            _ => path_prefix(value, &asked.path),
        }
    });
    let method = one.get("method").and_then(Value::as_str).is_none_or(|method| asked.method == method);
    let holds = |wanted: &Value, seen: Option<String>| {
        let value = text(wanted, "/value");
        seen.is_some_and(
            |seen| if text(wanted, "/type") == "RegularExpression" { whole(value, &seen) } else { seen == value },
        )
    };
    path && method
        && list(one, "/headers").all(|wanted| holds(wanted, asked.header(text(wanted, "/name"))))
        && list(one, "/queryParams")
            .all(|wanted| holds(wanted, asked.parameter(text(wanted, "/name")).map(str::to_owned)))
}
