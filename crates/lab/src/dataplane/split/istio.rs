//! Istio: the `VirtualService` whose `spec.hosts` names the Service.
//!
//! Reads `spec.http[]` (match, route, mirror, mirrorPercentage, headers.response) and the first rule of `spec.tcp`. What does not concern the side is left
//! out: timeouts, retries, rewrites, faults, CORS; so are `port`, `gateways` and `sourceLabels` of matches, which are taken as true.
//! Source: <https://istio.io/latest/docs/reference/config/networking/virtual-service/>

use super::matching::string_match;
use super::{Asked, NoWay, Way, is_host, name_of, service_of};
use crate::dataplane::{Objects, Spread};
use objects::paths::{list, strings, text};
use serde_json::Value;

pub(super) fn way(objects: &dyn Objects, spread: &mut Spread, asked: &Asked) -> Option<Result<Way, NoWay>> {
    let services = objects.list("VirtualService", &asked.namespace);
    let route = services.iter().find(|one| is_for(one, asked))?;
    Some(within(route, spread, asked))
}

/// Whether it is about the Service that is called. `*` is any host; as requests name a Service here, it is that of the same name.
fn is_for(route: &Value, asked: &Asked) -> bool {
    let is_meant = |host: &str| is_host(host, asked) || (host == "*" && name_of(route) == asked.apex);
    list(route, "/spec/hosts").filter_map(Value::as_str).any(is_meant)
}

fn within(route: &Value, spread: &mut Spread, asked: &Asked) -> Result<Way, NoWay> {
    let name = format!("VirtualService {}.{}", name_of(route), asked.namespace);
    let tcp = list(route, "/spec/tcp").take(1).map(|rule| (0, rule));
    let found = list(route, "/spec/http")
        .enumerate()
        .find(|(_, rule)| rule_matches(rule, asked))
        .or_else(|| tcp.into_iter().next());
    let (index, rule) = found.ok_or_else(|| NoWay::NoRule(name.clone()))?;
    let place = format!("{name}/{index}");
    let destinations: Vec<&Value> = list(rule, "/route").collect();
    // A single destination gets everything, whatever its weight: that is how the second rule of an A/B test works.
    let weights: Vec<i64> = match destinations.as_slice() {
        [_] => vec![1],
        several => several.iter().map(|one| objects::paths::integer(one, "/weight").unwrap_or(0)).collect(),
    };
    let taken = spread.next(&place, &weights).and_then(|index| destinations.get(index).copied());
    let destination = taken.ok_or_else(|| NoWay::NoDestination(name.clone()))?;
    let mut way = Way::to(service_of(text(destination, "/destination/host")));
    way.mirror = mirror(rule, spread, &place);
    way.response_headers = [rule, destination].into_iter().flat_map(response_headers).collect();
    Ok(way)
}

fn mirror(rule: &Value, spread: &mut Spread, place: &str) -> Option<String> {
    let host = Some(text(rule, "/mirror/host")).filter(|host| !host.is_empty())?;
    let percent = rule.pointer("/mirrorPercentage/value").and_then(Value::as_f64).unwrap_or(100.0);
    #[expect(clippy::cast_possible_truncation, reason = "a percentage; thousandths of it are kept")]
    let thousandths = (percent.clamp(0.0, 100.0) * 1000.0).round() as i64;
    let mirrored = spread.next(&format!("{place}/mirror"), &[thousandths, 100_000 - thousandths]) == Some(0);
    mirrored.then(|| service_of(host))
}

fn response_headers(part: &Value) -> Vec<(String, String)> {
    let of = |operation: &str| strings(part, &format!("/headers/response/{operation}"));
    of("set").into_iter().chain(of("add")).collect()
}

/// One element of `match` is enough; no element at all asks for nothing.
fn rule_matches(rule: &Value, asked: &Asked) -> bool {
    let mut conditions = list(rule, "/match").peekable();
    conditions.peek().is_none() || conditions.any(|condition| condition_matches(condition, asked))
}

fn condition_matches(condition: &Value, asked: &Asked) -> bool {
    let ignore_case = condition.get("ignoreUriCase").and_then(Value::as_bool).unwrap_or(false);
    let host = asked.header("host").unwrap_or_else(|| asked.apex.clone());
    let single = [
        ("uri", asked.path.as_str()),
        ("method", asked.method.as_str()),
        ("authority", host.as_str()),
        ("scheme", "http"),
    ];
    let single = single.into_iter().all(|(key, seen)| {
        condition.get(key).is_none_or(|wanted| string_match(wanted, seen, key == "uri" && ignore_case))
    });
    let named = |key: &str| condition.get(key).and_then(Value::as_object).into_iter().flatten();
    let has = |name: &str, wanted: &Value| asked.header(name).is_some_and(|seen| string_match(wanted, &seen, false));
    single
        && named("headers").all(|(name, wanted)| has(name, wanted))
        && !named("withoutHeaders").any(|(name, wanted)| has(name, wanted))
        && named("queryParams")
            .all(|(name, wanted)| asked.parameter(name).is_some_and(|seen| string_match(wanted, seen, false)))
}
