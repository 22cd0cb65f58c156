//! Where traffic goes, as a VirtualService says.
//!
//! The rule that counts is the last one with the canary among its destinations: rules for cookies stand before it, and in A/B testing the second rule
//! knows the primary alone. Source: routing notes, section 5.5.

use super::{is_tcp, virtual_service};
use crate::routers::RouterError;
use api::Rollout;
use objects::paths::{integer, list, text};
use rollout::{Routes, Weight};
use serde_json::Value;

/// The routes of a VirtualService. An error when neither side has a weight in it, as in one that was made by somebody else.
pub(super) fn routes(rollout: &Rollout, object: &Value) -> Result<Routes, RouterError> {
    let rules = rules(rollout, object);
    let rule = weighted(rollout, rules).unwrap_or(&Value::Null);
    let (mut primary, mut canary) =
        (weight(rule, &rollout.primary_service), weight(rule, &rollout.canary_service).unwrap_or_default());
    if !is_tcp(rollout) && rollout.analysis.session_affinity.is_some() {
        // Destinations that give cookies are those of the weighted rule, wherever it stands.
        for destination in rules.iter().flat_map(destinations).filter(|destination| gives_headers(destination)) {
            let share = integer(destination, "/weight");
            match host(destination) {
                name if name == rollout.primary_service => primary = share,
                name if name == rollout.canary_service => canary = share.unwrap_or_default(),
                _ => {}
            }
        }
    }
    if primary.unwrap_or_default() == 0 && canary == 0 {
        let (primary, canary) = (&rollout.primary_service, &rollout.canary_service);
        let text = format!("{} does not contain routes for {primary} and {canary}", virtual_service(rollout));
        return Err(RouterError::new(text));
    }
    Ok(Routes { canary: Weight::clipped(canary), mirrored: mirrors(rollout, rule), affinity: None })
}

/// The rules by which the service is routed: `spec.tcp` or `spec.http`.
pub(super) fn rules<'a>(rollout: &Rollout, object: &'a Value) -> &'a [Value] {
    let pointer = if is_tcp(rollout) { "/spec/tcp" } else { "/spec/http" };
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The rule that splits traffic between the sides, if there is one.
pub(super) fn weighted<'a>(rollout: &Rollout, rules: &'a [Value]) -> Option<&'a Value> {
    rules.iter().rev().find(|rule| destinations(rule).any(|destination| host(destination) == rollout.canary_service))
}

/// The destinations of a rule: `route[]`.
pub(super) fn destinations(rule: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    list(rule, "/route")
}

/// The host of a destination: `destination.host`, a service's short name in objects of ours.
pub(super) fn host(destination: &Value) -> &str {
    text(destination, "/destination/host")
}

/// The weight of a host in a rule in percent; `None` if it is no destination there or has no weight.
pub(super) fn weight(rule: &Value, service: &str) -> Option<i64> {
    destinations(rule).rfind(|destination| host(destination) == service).and_then(|found| integer(found, "/weight"))
}

/// Whether a rule copies requests to the canary. A mirror to somewhere else is its owner's and no step of a rollout.
pub(super) fn mirrors(rollout: &Rollout, rule: &Value) -> bool {
    text(rule, "/mirror/host") == rollout.canary_service
}

fn gives_headers(destination: &Value) -> bool {
    destination.get("headers").is_some_and(|headers| !headers.is_null())
}
