//! The annotations of a canary Ingress: what it takes from the user's Ingress, and what says how much traffic it gets.
//!
//! Pure algebra over maps of strings; specs and writes are not known here. ingress-nginx takes most annotations of a canary Ingress from the main one
//! anyway; they are copied because its admission webhook checks each Ingress by itself, and because other controllers read them.
//! Source: notes on ingress routing, section 6, quirks F13, F15, F25;
//! <https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/>

use super::conditions::{Conditions, Value};
use crate::metadata::{LAST_APPLIED, StringMap, toolkit_opt_out};
use api::{Rollout, SessionAffinity, derived};
use rollout::Weight;

/// The weight of the rollout in an A/B test, where that is neither 0 nor 100: ingress-nginx would send that share of all
/// *other* requests to the canary, if its own annotation had it.
pub(super) const STEP: &str = "flagger.app/canary-weight";
/// Keys that begin so are written by Rancher on each Ingress for itself: copying them would be undone for ever.
const PER_OBJECT: &str = "field.cattle.io/";

/// The keys of one installation of ingress-nginx.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    prefix: &'a str,
}

impl<'a> Keys<'a> {
    /// The keys with the prefix of the command line.
    pub(super) fn of(rollout: &'a Rollout) -> Self {
        Self { prefix: &rollout.settings.ingress_annotations_prefix }
    }

    /// The whole key of an annotation.
    pub(super) fn key(self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// The requests that the canary Ingress gets, as its annotations say.
    pub(super) fn weight(self, annotations: &StringMap, conditions: &Conditions) -> Result<Weight, String> {
        if !conditions.is_empty() && self.is_ab_test(annotations) {
            let step = annotations.get(STEP).and_then(|step| step.parse().ok());
            return Ok(step.map_or(Weight::FULL, Weight::clipped));
        }
        match annotations.get(&self.key("canary-weight")) {
            Some(text) => {
                text.parse().map(Weight::clipped).map_err(|error: std::num::ParseIntError| unreadable(text, &error))
            }
            None => Ok(Weight::ZERO),
        }
    }

    /// A cookie may also be there to pin clients beside a share of the requests, from before the match was added to the spec.
    fn is_ab_test(self, annotations: &StringMap) -> bool {
        let has = |name: &str| annotations.contains_key(&self.key(name));
        let share = annotations.get(&self.key("canary-weight")).is_some_and(|share| share != "0");
        has("canary-by-header") || (has("canary-by-cookie") && (annotations.contains_key(STEP) || !share))
    }

    /// What is left of a canary Ingress's own annotations: all but those about traffic, and, where the Ingress is ours, those for ingress-nginx, which
    /// follow the user's Ingress also when they are removed there.
    pub(super) fn kept(self, live: &StringMap, ours: bool) -> StringMap {
        let for_nginx = |key: &str| key.strip_prefix(self.prefix).is_some_and(|rest| rest.starts_with('/'));
        let dropped = |key: &str| self.is_about_traffic(key) || (for_nginx(key) && (ours || self.is_affinity(key)));
        filtered(live, |key| !dropped(key))
    }

    /// What the canary Ingress takes from the user's.
    pub(super) fn inherited(self, apex: &StringMap) -> StringMap {
        filtered(apex, |key| !self.is_about_traffic(key) && !key.starts_with(PER_OBJECT))
    }

    /// How much traffic goes to the canary. `canary` stays `"true"` also without any: with `"false"` the admission webhook of ingress-nginx would see two
    /// Ingresses for one path (quirk K7).
    pub(super) fn traffic(self, rollout: &Rollout, conditions: &Conditions, canary: Weight) -> StringMap {
        let mut annotations = toolkit_opt_out();
        annotations.insert(self.key("canary"), "true".to_owned());
        let share = if conditions.is_empty() { canary } else { Weight::ZERO };
        annotations.insert(self.key("canary-weight"), share.to_string());
        if canary.is_zero() {
            return annotations;
        }
        if let Some(affinity) = affinity(rollout) {
            annotations.extend(self.affinity(affinity));
            annotations.extend(self.pins(affinity));
        }
        if !conditions.is_empty() {
            annotations.extend(self.by_request(conditions));
            if canary != Weight::FULL {
                annotations.insert(STEP.to_owned(), canary.to_string());
            }
        }
        annotations
    }

    /// Whether two maps say the same about traffic.
    pub(super) fn same_traffic(self, left: &StringMap, right: &StringMap) -> bool {
        let about = |map: &StringMap| filtered(map, |key| self.is_about_traffic(key) || self.is_affinity(key));
        about(left) == about(right)
    }

    fn by_request(self, conditions: &Conditions) -> StringMap {
        let mut annotations = StringMap::new();
        let mut put = |name: &str, value: &str| annotations.insert(self.key(name), value.to_owned());
        if let Some(cookie) = &conditions.cookie {
            put("canary-by-cookie", cookie);
        }
        if let Some(header) = &conditions.header {
            put("canary-by-header", &header.name);
            match &header.value {
                Value::Always => None,
                Value::Exact(value) => put("canary-by-header-value", value),
                Value::Pattern(pattern) => put("canary-by-header-pattern", pattern),
            };
        }
        annotations
    }

    /// What the user's Ingress lacks for ingress-nginx to give clients the cookie that the spec asks for, as `key: value` each.
    pub(super) fn lacking(self, affinity: &SessionAffinity, apex: &StringMap) -> Vec<String> {
        let behavior = self.key("affinity-canary-behavior");
        let wanted = self.affinity(affinity).into_iter().filter(|(key, _)| *key != behavior);
        wanted
            .filter(|(key, value)| apex.get(key) != Some(value))
            .map(|(key, value)| format!("{key}: {value}"))
            .collect()
    }

    /// Requests whose cookie says `always` go to the canary, those where it says `never` to the primary, all others by weight: whoever sets the cookie
    /// pins clients. A cookie of ingress-nginx itself, of the same name, says neither, and ties them before this is looked at.
    fn pins(self, affinity: &SessionAffinity) -> StringMap {
        let name = Some(&affinity.cookie_name).filter(|name| !name.is_empty());
        name.into_iter().map(|name| (self.key("canary-by-cookie"), name.clone())).collect()
    }

    /// `HttpOnly` has no annotation: ingress-nginx sets it on every cookie of its own.
    fn affinity(self, affinity: &SessionAffinity) -> StringMap {
        let flag = |set: bool| set.then(|| "true".to_owned());
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        [
            ("affinity", Some("cookie".to_owned())),
            ("affinity-canary-behavior", Some("sticky".to_owned())),
            ("session-cookie-name", Some(affinity.cookie_name.clone())),
            ("session-cookie-max-age", Some(derived::cookie_max_age(affinity).to_string())),
            ("session-cookie-domain", text(&affinity.domain)),
            ("session-cookie-path", text(&affinity.path)),
            ("session-cookie-samesite", text(&affinity.same_site)),
            ("session-cookie-secure", flag(affinity.secure)),
            ("session-cookie-partitioned", flag(affinity.partitioned)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((self.key(name), value?)))
        .collect()
    }

    /// Set by us alone, or wrong on any copy.
    fn is_about_traffic(self, key: &str) -> bool {
        key.contains(&self.key("canary")) || key.contains(LAST_APPLIED) || key == STEP
    }

    fn is_affinity(self, key: &str) -> bool {
        let name = key.strip_prefix(self.prefix).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
        name.starts_with("affinity") || name.starts_with("session-cookie-")
    }
}

/// The settings of session affinity, where they apply: an A/B test says for each request where it goes.
pub(super) fn affinity(rollout: &Rollout) -> Option<&SessionAffinity> {
    rollout.analysis.session_affinity.as_ref().filter(|_| rollout.analysis.matches.is_empty())
}

fn filtered(map: &StringMap, wanted: impl Fn(&str) -> bool) -> StringMap {
    map.iter().filter(|(key, _)| wanted(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// In the words of the reference, whose language's parser says so.
fn unreadable(text: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let why = if matches!(error.kind(), PosOverflow | NegOverflow) { "value out of range" } else { "invalid syntax" };
    format!("failed to convert {text} to int: strconv.Atoi: parsing {text:?}: {why}")
}
