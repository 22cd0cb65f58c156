//! The rules of the HTTPRoute for the routes that are wanted, one function per layout.
//!
//! Weighted: one rule. A/B: requests that match, then all others to the primary. Session affinity: clients with a cookie, then the weighted rule.
//! What of the live rules is not ours is carried over.

use super::filters::{filters, mirror_to_canary, set_cookie, timeouts, with_cookie};
use super::live::{self, Rules, backend};
use super::matches::{self, Match, both, or_everything, to_json};
use super::settle::settled;
use super::{Version, affinity, cookies};
use crate::routers::RouterError;
use crate::routers::affinity::{give_canary, give_primary, take_back};
use api::{Rollout, SessionAffinity};
use objects::paths::set;
use rollout::{Affinity, Routes, Weight};
use serde_json::{Value, json};

/// `spec.rules` for these routes. `live`: the route that is there, if there is one.
pub(super) fn rules(
    rollout: &Rollout,
    version: Version,
    live: Option<&Value>,
    want: &Routes,
) -> Result<Value, RouterError> {
    let unsupported = |error| RouterError::new(format!("Invalid request matching selectors: {error}"));
    let service = matches::of_service(rollout).map_err(unsupported)?;
    let analysis = matches::of_analysis(rollout).map_err(unsupported)?;
    let live = live.map(|route| Rules::of(rollout, version, route)).unwrap_or_default();
    let layout = Layout { rollout, version, want, service, live };
    let rules = match (affinity(rollout), &want.affinity) {
        _ if !analysis.is_empty() => layout.ab_testing(&analysis),
        (None, _) => vec![layout.live_weighted(layout.weighted())],
        (Some(_), None) => layout.with_present_cookies(),
        (Some(settings), Some(wanted)) => layout.with_cookies(settings, wanted)?,
    };
    Ok(Value::Array(rules))
}

struct Layout<'a> {
    rollout: &'a Rollout,
    version: Version,
    want: &'a Routes,
    /// `service.match`; may be empty.
    service: Vec<Match>,
    live: Rules<'a>,
}

impl Layout<'_> {
    /// The rule that splits traffic as wanted.
    fn weighted(&self) -> Value {
        let mut filters = filters(self.rollout, self.version);
        if self.want.mirrored {
            filters.push(mirror_to_canary(self.rollout));
        }
        let mut rule = json!({"matches": to_json(&or_everything(self.service.clone()))});
        if !filters.is_empty() {
            set(&mut rule, &["filters"], Value::Array(filters));
        }
        set(&mut rule, &["backendRefs"], self.split(self.want.canary));
        if let Some(timeouts) = timeouts(self.rollout, self.version) {
            set(&mut rule, &["timeouts"], timeouts);
        }
        rule
    }

    /// Requests that match are split as wanted, all others go to the primary.
    fn ab_testing(&self, analysis: &[Match]) -> Vec<Value> {
        let mut first = self.weighted();
        set(&mut first, &["matches"], to_json(&both(analysis, &or_everything(self.service.clone()))));
        let mut second = self.weighted();
        let filters = filters(self.rollout, self.version);
        set(&mut second, &["filters"], if filters.is_empty() { Value::Null } else { Value::Array(filters) });
        set(&mut second, &["backendRefs"], json!([self.backend(&self.rollout.primary_service, Weight::FULL)]));
        vec![self.live_weighted(first), self.carried(self.live.rest.first().copied(), second)]
    }

    /// Between steps, cookies stay as they are; only their rules and filters know them.
    fn with_present_cookies(&self) -> Vec<Value> {
        let mut weighted = self.weighted();
        for ours in weighted.pointer_mut("/backendRefs").and_then(Value::as_array_mut).into_iter().flatten() {
            let name = objects::paths::text(ours, "/name").to_owned();
            let present = self.live.weighted.and_then(|rule| backend(rule, &name)?.get("filters"));
            set(ours, &["filters"], present.cloned().unwrap_or_default());
        }
        // A client must not be kept on a canary that is to get no traffic.
        let safe =
            |rule: &&Value| !self.want.canary.is_zero() || live::weight(rule, &self.rollout.canary_service).is_zero();
        let kept = self.live.cookies.iter().copied().filter(safe).cloned();
        kept.chain([self.live_weighted(weighted)]).collect()
    }

    fn with_cookies(&self, settings: &SessionAffinity, wanted: &Affinity) -> Result<Vec<Value>, RouterError> {
        let mut weighted = self.weighted();
        let mut special = Vec::new();
        if self.want.canary.is_zero() {
            special.extend(wanted.expired.as_deref().map(|cookie| self.expiring(&weighted, settings, cookie)));
        } else {
            let canary = &self.rollout.canary_service;
            if let Some(cookie) = wanted.canary.as_deref() {
                special.push(self.sticky(&weighted, cookie, Weight::FULL));
                hand_out(&mut weighted, canary, &give_canary(cookie, settings));
            }
            if let Some(cookie) = wanted.primary.as_deref().filter(|_| self.version == Version::V1) {
                let header = give_primary(cookie, settings, self.rollout)?;
                special.push(self.sticky(&weighted, cookie, Weight::ZERO));
                hand_out(&mut weighted, &self.rollout.primary_service, &header);
            }
        }
        let special = special.into_iter().enumerate();
        let special = special.map(|(place, rule)| self.carried(self.live.cookies.get(place).copied(), rule));
        Ok(special.chain([self.live_weighted(weighted)]).collect())
    }

    /// Clients with the cookie stay on one side.
    fn sticky(&self, weighted: &Value, cookie: &str, canary: Weight) -> Value {
        let mut rule = weighted.clone();
        set(&mut rule, &["matches"], self.having(cookie));
        set(&mut rule, &["backendRefs"], self.split(canary));
        rule
    }

    /// Clients with the cookie of a run that is over are served like all others, and lose it.
    fn expiring(&self, weighted: &Value, settings: &SessionAffinity, cookie: &str) -> Value {
        let mut rule = weighted.clone();
        set(&mut rule, &["matches"], self.having(cookie));
        let filters = rule.get("filters").and_then(Value::as_array).cloned().unwrap_or_default();
        set(&mut rule, &["filters"], Value::Array(with_cookie(filters, &take_back(cookie, settings))));
        rule
    }

    /// The condition on the cookie is not combined with the one that everybody meets: the API server adds that by itself.
    fn having(&self, cookie: &str) -> Value {
        to_json(&both(&[Match::cookie(cookies::pattern(cookie))], &self.service))
    }

    fn split(&self, canary: Weight) -> Value {
        json!([
            self.backend(&self.rollout.primary_service, canary.rest()),
            self.backend(&self.rollout.canary_service, canary),
        ])
    }

    fn backend(&self, service: &str, weight: Weight) -> Value {
        let port = self.rollout.service.port;
        json!({"group": "", "kind": "Service", "name": service, "port": port, "weight": weight.percent()})
    }

    fn live_weighted(&self, wanted: Value) -> Value {
        self.carried(self.live.weighted, wanted)
    }

    fn carried(&self, live: Option<&Value>, wanted: Value) -> Value {
        match live {
            Some(live) => settled(live, &wanted, self.version.rule()),
            None => wanted,
        }
    }
}

/// Makes the backend of that name hand out a cookie.
fn hand_out(rule: &mut Value, service: &str, cookie: &str) {
    let backends = rule.pointer_mut("/backendRefs").and_then(Value::as_array_mut).into_iter().flatten();
    for backend in backends.filter(|backend| objects::paths::text(backend, "/name") == service) {
        set(backend, &["filters"], json!([set_cookie(cookie)]));
    }
}
