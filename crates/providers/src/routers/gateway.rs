//! Gateway API: weights live in an `HTTPRoute`.
//!
//! Reads and writes the HTTPRoute named after the apex, in version v1 or v1beta1 of `gateway.networking.k8s.io`; one implementation for both. The route is
//! created for the Canary; one that is there already is taken over, but keeps its annotations and every field that is not named here.
//! Does not create Gateways or grants for references to other namespaces.
//! Source: <https://gateway-api.sigs.k8s.io/reference/spec/>

use super::{Router, RouterError};
use crate::access::{Access, WRITE};
use crate::metadata::{StringMap, owner_reference, to_value};
use crate::services::route_metadata;
use api::{Rollout, SessionAffinity};
use objects::paths::{annotations, set};
use objects::{Kind, ObjectRef, Snapshot, Write};
use rollout::{Abilities, AffinityAbility, Routes};
use serde_json::{Value, json};

mod cookies;
mod filters;
mod live;
mod matches;
mod rules;
mod settle;

/// `gateway.networking.k8s.io/v1 HTTPRoute`.
static HTTP_ROUTE_V1: Kind = Kind::mesh("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes");
/// `gateway.networking.k8s.io/v1beta1 HTTPRoute`.
static HTTP_ROUTE_V1BETA1: Kind = Kind::mesh("gateway.networking.k8s.io", "v1beta1", "HTTPRoute", "httproutes");
static ACCESS_V1: [Access; 1] = [Access { kind: &HTTP_ROUTE_V1, verbs: WRITE }];
static ACCESS_V1BETA1: [Access; 1] = [Access { kind: &HTTP_ROUTE_V1BETA1, verbs: WRITE }];

/// Provider `gatewayapi:v1beta1`. Asked before [`V1`], which takes every other `gatewayapi:v1...`.
pub static V1BETA1: GatewayApi = GatewayApi { version: Version::V1Beta1 };
/// Provider `gatewayapi:v1`, also as `gatewayapi`.
pub static V1: GatewayApi = GatewayApi { version: Version::V1 };

/// The router, for one version of the API.
#[derive(Debug)]
pub struct GatewayApi {
    version: Version,
}

/// A version of the API. v1beta1 knows no timeouts and no CORS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V1Beta1,
}

impl Version {
    fn provider(self) -> &'static str {
        match self {
            Self::V1 => "gatewayapi:v1",
            Self::V1Beta1 => "gatewayapi:v1beta1",
        }
    }

    fn kind(self) -> &'static Kind {
        match self {
            Self::V1 => &HTTP_ROUTE_V1,
            Self::V1Beta1 => &HTTP_ROUTE_V1BETA1,
        }
    }

    fn rule(self) -> &'static settle::Shape {
        match self {
            Self::V1 => &settle::RULE_V1,
            Self::V1Beta1 => &settle::RULE_V1BETA1,
        }
    }
}

impl Router for GatewayApi {
    fn name(&self) -> &'static str {
        self.version.provider()
    }

    fn serves(&self, provider: &str) -> bool {
        // Without a version people mean the current one.
        provider.starts_with(self.name()) || (self.version == Version::V1 && provider == "gatewayapi")
    }

    fn kinds(&self) -> &'static [Access] {
        match self.version {
            Version::V1 => &ACCESS_V1,
            Version::V1Beta1 => &ACCESS_V1BETA1,
        }
    }

    fn abilities(&self, rollout: &Rollout, _: &Snapshot) -> Abilities {
        let affinity = match self.version {
            // Both kinds of rules would claim the first place.
            _ if !rollout.analysis.matches.is_empty() => AffinityAbility::None,
            Version::V1 => AffinityAbility::Both,
            Version::V1Beta1 => AffinityAbility::Canary,
        };
        Abilities { affinity, missing: filters::missing(rollout, self.version), ..Abilities::default() }
    }

    fn reads(&self, rollout: &Rollout) -> Vec<ObjectRef> {
        vec![self.route(rollout)]
    }

    fn routes(&self, rollout: &Rollout, live: &Snapshot) -> Result<Routes, RouterError> {
        let reference = self.route(rollout);
        let route =
            live.find(&reference).map_err(|absent| RouterError::new(format!("{reference} get error: {absent}")))?;
        if self.version == Version::V1 {
            live::accepted(route).map_err(|error| RouterError::new(format!("{reference} {error}")))?;
        }
        Ok(live::routes(rollout, self.version, route))
    }

    fn render(&self, rollout: &Rollout, live: &Snapshot, want: &Routes) -> Result<Vec<Write>, RouterError> {
        if rollout.service.gateway_refs.is_empty() {
            return Err(RouterError::new("GatewayRefs must be specified when using Gateway API as a provider."));
        }
        let reference = self.route(rollout);
        let present = live.look_or_missing(&reference);
        let rules = rules::rules(rollout, self.version, present, want)?;
        let (labels, annotations) = route_metadata(rollout, live)?;
        Ok(match present {
            None => vec![create(rollout, reference, rules, &labels, &annotations)],
            Some(present) => {
                let moves = want.affinity.is_some() || *want != live::routes(rollout, self.version, present);
                let wanted = adapted(rollout, present, rules, &labels, annotations);
                let write = Write::update(reference.clone(), present, &wanted, format!("{reference} update error: "));
                // Steps are told by events, repairs by a line in the log.
                write
                    .map(|write| if moves { write } else { write.logging(format!("{reference} updated")) })
                    .into_iter()
                    .collect()
            }
        })
    }

    fn revert(&self, _: &Rollout, _: &Snapshot) -> Result<Vec<Write>, RouterError> {
        Ok(Vec::new())
    }
}

impl GatewayApi {
    fn route(&self, rollout: &Rollout) -> ObjectRef {
        self.version.kind().object(&rollout.namespace, &rollout.apex)
    }
}

/// The settings of session affinity, where they apply: an A/B test has rules of its own, which leave no place for those of cookies.
fn affinity(rollout: &Rollout) -> Option<&SessionAffinity> {
    rollout.analysis.session_affinity.as_ref().filter(|_| rollout.analysis.matches.is_empty())
}

fn create(rollout: &Rollout, reference: ObjectRef, rules: Value, labels: &StringMap, annotations: &StringMap) -> Write {
    let mut spec = spec(rollout);
    set(&mut spec, &["rules"], rules);
    let mut route = json!({
        "apiVersion": reference.kind.api_version(),
        "kind": reference.kind.kind,
        "metadata": {"name": &*reference.name, "namespace": &*reference.namespace},
    });
    set(&mut route, &["metadata", "labels"], to_value(labels));
    set(&mut route, &["metadata", "annotations"], to_value(annotations));
    if rollout.settings.own_routes {
        set(&mut route, &["metadata", "ownerReferences"], json!([owner_reference(rollout)]));
    }
    set(&mut route, &["spec"], spec);
    let (failure, success) = (format!("{reference} create error: "), format!("{reference} created"));
    Write::create(reference, route, failure).logging(success)
}

/// The route that is there, with all that is ours as wanted. Foreign labels go, as selectors of others may depend on ours alone; foreign annotations stay.
fn adapted(rollout: &Rollout, live: &Value, rules: Value, labels: &StringMap, ours: StringMap) -> Value {
    let mut route = live.clone();
    let mut all = annotations(live);
    all.extend(ours);
    set(&mut route, &["metadata", "labels"], to_value(labels));
    set(&mut route, &["metadata", "annotations"], to_value(&all));
    let mut spec = settle::settled(live.get("spec").unwrap_or(&Value::Null), &spec(rollout), &settle::SPEC);
    set(&mut spec, &["rules"], rules);
    set(&mut route, &["spec"], spec);
    route
}

/// `spec` without rules.
fn spec(rollout: &Rollout) -> Value {
    let mut spec = json!({"parentRefs": rollout.service.gateway_refs});
    if !rollout.service.hosts.is_empty() {
        set(&mut spec, &["hostnames"], json!(rollout.service.hosts));
    }
    spec
}

#[cfg(test)]
mod tests;
