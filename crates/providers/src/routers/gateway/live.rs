//! What a live HTTPRoute says: whether its parents take it, where its weighted rule sends traffic, which of its rules are about cookies.
//!
//! Reads JSON, writes nothing. A route that somebody else has made is read as one that sends nothing to the canary.

use super::{Version, affinity, cookies};
use crate::routers::affinity::COOKIE;
use api::Rollout;
use objects::diff::equivalent;
use objects::paths::{integer, list, text};
use rollout::{Routes, Weight};
use serde_json::Value;

/// A parent of the route that does not take it, or has not seen its current version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "parent {parent} is not ready (status: {status}, observed generation: {observed}, current generation: {current})"
)]
pub(super) struct NotAccepted {
    parent: String,
    status: String,
    observed: i64,
    current: i64,
}

/// Whether all parents that have said something about the route take it in its current version. A parent without a status is no obstacle: it may belong
/// to a controller that writes none.
pub(super) fn accepted(route: &Value) -> Result<(), NotAccepted> {
    let current = integer(route, "/metadata/generation").unwrap_or_default();
    for parent in list(route, "/spec/parentRefs") {
        let reports = list(route, "/status/parents")
            .filter(|report| report.get("parentRef").is_some_and(|reported| equivalent(reported, parent)));
        let conditions = reports.flat_map(|report| list(report, "/conditions"));
        for condition in conditions.filter(|condition| text(condition, "/type") == "Accepted") {
            let observed = integer(condition, "/observedGeneration").unwrap_or_default();
            let status = text(condition, "/status");
            if status != "True" || observed < current {
                let parent = text(parent, "/name").to_owned();
                return Err(NotAccepted { parent, status: status.to_owned(), observed, current });
            }
        }
    }
    Ok(())
}

/// Where the weighted rule sends traffic; all to the primary where there is none.
pub(super) fn routes(rollout: &Rollout, version: Version, route: &Value) -> Routes {
    let Some(rule) = Rules::of(rollout, version, route).weighted else { return Routes::to_primary() };
    // Mirrors to the canary that the Canary asks for itself are no step of a rollout.
    let mirrors = |name: &str| name == rollout.canary_service;
    let asked = rollout.service.mirror.iter().filter(|mirror| mirrors(&mirror.backend_ref.name)).count();
    let present = list(rule, "/filters").filter(|filter| {
        text(filter, "/type") == "RequestMirror" && mirrors(text(filter, "/requestMirror/backendRef/name"))
    });
    let mirrored = present.count() > asked;
    Routes { canary: weight(rule, &rollout.canary_service), mirrored, affinity: None }
}

/// The rules of a live route, by what they are for.
#[derive(Debug, Default)]
pub(super) struct Rules<'a> {
    /// The one that splits traffic between primary and canary.
    pub(super) weighted: Option<&'a Value>,
    /// Those before it that are about our cookies.
    pub(super) cookies: Vec<&'a Value>,
    /// All after it.
    pub(super) rest: Vec<&'a Value>,
}

impl<'a> Rules<'a> {
    /// Sorts the rules of a route. Rules of cookies split traffic too, so the weighted one is the last that does.
    pub(super) fn of(rollout: &Rollout, version: Version, route: &'a Value) -> Self {
        let rules: Vec<&Value> = list(route, "/spec/rules").collect();
        let cookie = |rule: &Value| is_about_cookies(rollout, version, rule);
        let split = |rule: &Value| splits(rollout, rule);
        let place = rules.iter().rposition(|rule| split(rule) && !cookie(rule));
        // Conditions of `service.match` may look like those of our cookies; but a rule of cookies is never the last.
        let place =
            place.or_else(|| rules.len().checked_sub(1).filter(|last| rules.get(*last).copied().is_some_and(split)));
        let Some(place) = place else { return Self::default() };
        let cookies = rules.iter().take(place).copied().filter(|rule| cookie(rule)).collect();
        Self { weighted: rules.get(place).copied(), cookies, rest: rules.iter().skip(place + 1).copied().collect() }
    }
}

/// The weight of a backend of the rule; the API server takes an absent one for 1.
pub(super) fn weight(rule: &Value, service: &str) -> Weight {
    backend(rule, service).map_or(Weight::ZERO, |backend| Weight::clipped(integer(backend, "/weight").unwrap_or(1)))
}

/// The backend of that name.
pub(super) fn backend<'a>(rule: &'a Value, service: &str) -> Option<&'a Value> {
    list(rule, "/backendRefs").find(|backend| text(backend, "/name") == service)
}

/// Both sides are in it. Whatever else somebody has put there goes with the next repair, the weights stay.
fn splits(rollout: &Rollout, rule: &Value) -> bool {
    [&rollout.primary_service, &rollout.canary_service].into_iter().all(|name| backend(rule, name).is_some())
}

/// A rule for clients with one of the cookies: it has a condition on the header `Cookie` by a regular expression that contains the cookie's name.
fn is_about_cookies(rollout: &Rollout, version: Version, rule: &Value) -> bool {
    let names = cookie_names(rollout, version);
    let about = |header: &Value| {
        let pattern = text(header, "/value");
        text(header, "/type") == "RegularExpression"
            && text(header, "/name") == COOKIE
            && names.iter().any(|name| cookies::is_for(pattern, name))
    };
    list(rule, "/matches").flat_map(|entry| list(entry, "/headers")).any(about)
}

fn cookie_names(rollout: &Rollout, version: Version) -> Vec<&str> {
    let Some(affinity) = affinity(rollout) else { return Vec::new() };
    let primary = affinity.primary_cookie_name.as_deref().filter(|_| version == Version::V1);
    // Every pattern contains the empty name.
    [affinity.cookie_name.as_str()].into_iter().chain(primary).filter(|name| !name.is_empty()).collect()
}
