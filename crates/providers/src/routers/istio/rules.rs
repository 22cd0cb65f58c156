//! The HTTP and TCP rules of a VirtualService.
//!
//! | spec | rules, in order |
//! | --- | --- |
//! | weights | both sides by weight |
//! | with session affinity | for the canary's cookie, for the primary's cookie, both sides by weight; or, while the canary has no traffic, the rule that takes a cookie back, both sides by weight |
//! | A/B testing | for the matches of the analysis both sides by weight, for all others the primary |
//! | TCP | both sides by weight |
//!
//! A rule is the Canary's as a whole; what it holds beyond the fields known here stays. Rules that are none of these go.
//! Source: routing notes, sections 5.2, 5.6 and 5.7.

use super::matching::merged;
use super::reading::{self, destinations, host, weighted};
use crate::routers::RouterError;
use crate::routers::affinity::{COOKIE, SET_COOKIE, give_canary, give_primary, is_pattern_of, pattern, take_back};
use api::{HttpMatchRequest, Rollout, SessionAffinity, StringMatch};
use objects::paths::{list, set, text};
use rollout::{Affinity, Routes, Weight};
use serde_json::{Map, Value, json};

/// The fields of an HTTP rule that are as the Canary says, or absent.
const OWN: [&str; 12] = [
    "name",
    "match",
    "route",
    "redirect",
    "rewrite",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirrorPercentage",
    "corsPolicy",
    "headers",
];

/// The TCP rules: one, by weight, for the ports of `service.match`.
pub(super) fn tcp(rollout: &Rollout, live: &[Value], want: &Routes) -> Vec<Value> {
    let ports: Vec<Value> = rollout
        .service
        .matches
        .iter()
        .map(|request| if request.port == 0 { json!({}) } else { json!({"port": request.port}) })
        .collect();
    let mut rule = json!({"route": split(rollout, want.canary)});
    set_list(&mut rule, "match", ports);
    vec![over(weighted(rollout, live), rule)]
}

/// The HTTP rules. `live`: those that are there now.
pub(super) fn http(rollout: &Rollout, live: &[Value], want: &Routes) -> Result<Vec<Value>, RouterError> {
    if !rollout.analysis.matches.is_empty() {
        return Ok(ab_testing(rollout, live, want));
    }
    let Some(settings) = &rollout.analysis.session_affinity else {
        return Ok(vec![by_weight(rollout, live, want)]);
    };
    match &want.affinity {
        Some(cookies) => with_cookies(rollout, settings, cookies, live, want),
        None => Ok(with_cookies_that_are_there(rollout, settings, live, want)),
    }
}

fn ab_testing(rollout: &Rollout, live: &[Value], want: &Routes) -> Vec<Value> {
    let service = &rollout.service.matches;
    let insiders = rule(rollout, &merged(&rollout.analysis.matches, service), split(rollout, want.canary));
    // A single destination gets everything, whatever its weight (I21).
    let others = rule(rollout, service, vec![destination(rollout, &rollout.primary_service, want.primary())]);
    let only_primary = |rule: &&Value| {
        destinations(rule).any(|side| host(side) == rollout.primary_service)
            && !destinations(rule).any(|side| host(side) == rollout.canary_service)
    };
    vec![over(weighted(rollout, live), insiders), over(live.iter().rfind(only_primary), others)]
}

/// The rule for both sides, with the mirror.
fn by_weight(rollout: &Rollout, live: &[Value], want: &Routes) -> Value {
    let live = weighted(rollout, live);
    let mut fresh = rule(rollout, &rollout.service.matches, split(rollout, want.canary));
    if want.mirrored {
        let mut mirror = json!({"host": rollout.canary_service});
        set(&mut mirror, &["port"], port(rollout));
        set(&mut fresh, &["mirror"], mirror);
        if rollout.analysis.mirror_weight > 0 {
            set(&mut fresh, &["mirrorPercentage"], json!({"value": rollout.analysis.mirror_weight}));
        }
    } else if let Some(live) = live.filter(|live| !reading::mirrors(rollout, live)) {
        // Somebody else's mirror, e.g. for shadow traffic.
        for field in ["mirror", "mirrorPercentage"] {
            set(&mut fresh, &[field], live.get(field).cloned().unwrap_or_default());
        }
    }
    over(live, fresh)
}

fn with_cookies(
    rollout: &Rollout,
    settings: &SessionAffinity,
    cookies: &Affinity,
    live: &[Value],
    want: &Routes,
) -> Result<Vec<Value>, RouterError> {
    let mut main = by_weight(rollout, live, want);
    if want.canary.is_zero() {
        let taken_back = cookies.expired.as_deref().map(|cookie| removal(rollout, settings, cookie));
        return Ok(taken_back.into_iter().chain([main]).collect());
    }
    let mut rules = Vec::new();
    if let Some(cookie) = &cookies.canary {
        rules.push(sticky(rollout, cookie, Weight::FULL));
        add_header(&mut main, &rollout.canary_service, &give_canary(cookie, settings));
    }
    if let Some(cookie) = &cookies.primary {
        rules.push(sticky(rollout, cookie, Weight::ZERO));
        add_header(&mut main, &rollout.primary_service, &give_primary(cookie, settings, rollout)?);
    }
    rules.push(main);
    Ok(rules)
}

/// Keeps the rules for cookies and the headers that give them; which cookies they are is known at the steps only. Without traffic for the canary, rules
/// that send clients there go nevertheless: nobody may answer there.
fn with_cookies_that_are_there(
    rollout: &Rollout,
    settings: &SessionAffinity,
    live: &[Value],
    want: &Routes,
) -> Vec<Value> {
    let mut main = by_weight(rollout, live, want);
    let Some(present) = weighted(rollout, live) else { return vec![main] };
    if !want.canary.is_zero() {
        for side in [&rollout.primary_service, &rollout.canary_service] {
            if let Some(headers) =
                destinations(present).rfind(|live| host(live) == side).and_then(|live| live.get("headers"))
            {
                on_destination(&mut main, side, |destination| set(destination, &["headers"], headers.clone()));
            }
        }
    }
    let leads_to_canary = |rule: &Value| reading::weight(rule, &rollout.canary_service).unwrap_or_default() != 0;
    live.iter()
        .filter(|rule| !std::ptr::eq(*rule, present) && is_for_cookie(rollout, settings, rule))
        .filter(|rule| !want.canary.is_zero() || !leads_to_canary(rule))
        .cloned()
        .chain([main])
        .collect()
}

/// A rule between our sides that matches one of our cookies.
fn is_for_cookie(rollout: &Rollout, settings: &SessionAffinity, rule: &Value) -> bool {
    let sides = [&rollout.primary_service, &rollout.canary_service];
    destinations(rule).all(|destination| sides.iter().any(|side| *side == host(destination)))
        && list(rule, "/match").any(|request| is_pattern_of(text(request, "/headers/Cookie/regex"), settings))
}

/// Clients with the cookie go to one side.
fn sticky(rollout: &Rollout, cookie: &str, canary: Weight) -> Value {
    rule(rollout, &for_cookie(rollout, cookie), split(rollout, canary))
}

/// Clients with the cookie go to the primary, and lose it on the way.
fn removal(rollout: &Rollout, settings: &SessionAffinity, cookie: &str) -> Value {
    let mut rule = rule(rollout, &for_cookie(rollout, cookie), split(rollout, Weight::ZERO));
    set(&mut rule, &["headers", "response", "add", SET_COOKIE], json!(take_back(cookie, settings)));
    rule
}

fn for_cookie(rollout: &Rollout, cookie: &str) -> Vec<HttpMatchRequest> {
    let regex = StringMatch { regex: Some(pattern(cookie)), ..StringMatch::default() };
    let condition = HttpMatchRequest { headers: [(COOKIE.to_owned(), regex)].into(), ..HttpMatchRequest::default() };
    merged(&[condition], &rollout.service.matches)
}

fn add_header(rule: &mut Value, side: &str, cookie: &str) {
    on_destination(rule, side, |destination| {
        set(destination, &["headers", "response", "add", SET_COOKIE], json!(cookie));
    });
}

fn on_destination(rule: &mut Value, side: &str, change: impl Fn(&mut Value)) {
    if let Some(route) = rule.get_mut("route").and_then(Value::as_array_mut) {
        route.iter_mut().filter(|destination| host(destination) == side).for_each(change);
    }
}

/// An HTTP rule with all that the service says about requests.
fn rule(rollout: &Rollout, matches: &[HttpMatchRequest], route: Vec<Value>) -> Value {
    let service = &rollout.service;
    let mut rule = json!({});
    set_list(&mut rule, "match", matches.iter().map(to_json).collect());
    if let Some(rewrite) = &service.rewrite {
        // The kind of a rewrite is no field of Istio.
        let rewrite = [("uri", &rewrite.uri), ("authority", &rewrite.authority)];
        let rewrite: Map<String, Value> =
            rewrite.into_iter().filter_map(|(key, text)| Some((key.to_owned(), json!(text.as_ref()?)))).collect();
        set(&mut rule, &["rewrite"], Value::Object(rewrite));
    }
    set(&mut rule, &["timeout"], to_json(&service.timeout));
    set(&mut rule, &["retries"], to_json(&service.retries));
    set(&mut rule, &["corsPolicy"], to_json(&service.cors_policy));
    set(&mut rule, &["headers"], to_json(&service.headers));
    set_list(&mut rule, "route", route);
    rule
}

fn split(rollout: &Rollout, canary: Weight) -> Vec<Value> {
    vec![
        destination(rollout, &rollout.primary_service, canary.rest()),
        destination(rollout, &rollout.canary_service, canary),
    ]
}

fn destination(rollout: &Rollout, side: &str, weight: Weight) -> Value {
    let mut destination = json!({"host": side});
    set(&mut destination, &["port"], port(rollout));
    json!({"destination": destination, "weight": weight.percent()})
}

/// The port of destinations, needed where a service may have several and requests come from a gateway; `Null` elsewhere. The first gateway decides.
fn port(rollout: &Rollout) -> Value {
    let service = &rollout.service;
    let from_gateway = service.gateways.first().is_some_and(|gateway| gateway != "mesh") || service.delegation;
    if service.port_discovery && from_gateway { json!({"number": service.port}) } else { Value::Null }
}

/// The fresh rule, with those fields of the live one that are nobody's here.
fn over(live: Option<&Value>, fresh: Value) -> Value {
    let mut rule = fresh;
    for (key, value) in live.and_then(Value::as_object).into_iter().flatten() {
        if !OWN.contains(&key.as_str()) {
            set(&mut rule, &[key], value.clone());
        }
    }
    rule
}

fn set_list(object: &mut Value, key: &str, elements: Vec<Value>) {
    if !elements.is_empty() {
        set(object, &[key], Value::Array(elements));
    }
}

/// Types of the API are maps with text keys, which have a form in JSON.
fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
