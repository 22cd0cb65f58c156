//! Provider `istio`: weights live in a `VirtualService`, each side has a `DestinationRule`.
//!
//! Reads and writes the VirtualService named after the apex and a DestinationRule named after the service of each side
//! (`networking.istio.io/v1beta1`). One VirtualService serves weights, A/B matches, mirroring and cookies; a TCP service has weights alone. Other fields
//! of these objects, and other objects of Istio, are left alone.
//! Source: routing notes, section 5; <https://istio.io/latest/docs/reference/config/networking/virtual-service/>

use super::{Router, RouterError};
use crate::access::{Access, WRITE};
use api::Rollout;
use objects::{Kind, ObjectRef, Snapshot, Write};
use rollout::{Abilities, AffinityAbility, Routes};

mod adoption;
mod destination_rule;
pub mod matching;
mod reading;
mod rules;
#[cfg(test)]
mod tests;
mod virtual_service;

/// `networking.istio.io/v1beta1 VirtualService`.
pub static VIRTUAL_SERVICE: Kind = Kind::mesh("networking.istio.io", "v1beta1", "VirtualService", "virtualservices");
/// `networking.istio.io/v1beta1 DestinationRule`.
pub static DESTINATION_RULE: Kind = Kind::mesh("networking.istio.io", "v1beta1", "DestinationRule", "destinationrules");

static KINDS: &[Access] =
    &[Access { kind: &VIRTUAL_SERVICE, verbs: WRITE }, Access { kind: &DESTINATION_RULE, verbs: WRITE }];

/// The provider `istio`, and every string that names no provider at all.
#[derive(Debug)]
pub struct Istio;

impl Router for Istio {
    fn name(&self) -> &'static str {
        "istio"
    }

    /// Strings that name no provider fall to Istio, since installations may depend on it (G4).
    fn serves(&self, provider: &str) -> bool {
        provider == self.name() || !super::is_named(provider)
    }

    fn kinds(&self) -> &'static [Access] {
        KINDS
    }

    fn abilities(&self, rollout: &Rollout, _: &Snapshot) -> Abilities {
        let tcp = is_tcp(rollout);
        // The rules of A/B testing take the place of those for cookies and of the mirror (I20).
        let plain = !tcp && rollout.analysis.matches.is_empty();
        let sticky = plain && rollout.analysis.session_affinity.is_some();
        Abilities {
            matches: !tcp,
            mirrors: plain,
            affinity: if sticky { AffinityAbility::Both } else { AffinityAbility::None },
            missing: missing(rollout),
            misunderstood: matching::misunderstood(&rollout.analysis.matches),
            ..Abilities::default()
        }
    }

    fn reads(&self, rollout: &Rollout) -> Vec<ObjectRef> {
        let sides = [&rollout.canary_service, &rollout.primary_service];
        let rules = sides.into_iter().map(|side| DESTINATION_RULE.object(&rollout.namespace, side));
        rules.chain([virtual_service(rollout)]).collect()
    }

    fn routes(&self, rollout: &Rollout, live: &Snapshot) -> Result<Routes, RouterError> {
        let reference = virtual_service(rollout);
        let object =
            live.find(&reference).map_err(|error| RouterError::new(format!("{reference} get query error {error}")))?;
        reading::routes(rollout, object)
    }

    fn render(&self, rollout: &Rollout, live: &Snapshot, want: &Routes) -> Result<Vec<Write>, RouterError> {
        let mut writes = Vec::new();
        for side in [&rollout.canary_service, &rollout.primary_service] {
            writes.extend(destination_rule::ensure(rollout, live, side));
        }
        writes.extend(virtual_service::ensure(rollout, live, want)?);
        Ok(writes)
    }

    fn revert(&self, rollout: &Rollout, live: &Snapshot) -> Result<Vec<Write>, RouterError> {
        adoption::revert(rollout, live)
    }
}

fn virtual_service(rollout: &Rollout) -> ObjectRef {
    VIRTUAL_SERVICE.object(&rollout.namespace, &rollout.apex)
}

fn is_tcp(rollout: &Rollout) -> bool {
    rollout.service.app_protocol.as_deref().is_some_and(|protocol| protocol.eq_ignore_ascii_case("tcp"))
}

/// What the spec asks for in vain: of TCP all but weights, beside A/B matches what their rules replace.
fn missing(rollout: &Rollout) -> Vec<String> {
    let analysis = &rollout.analysis;
    let (asks_for_matches, why) = match (is_tcp(rollout), analysis.matches.is_empty()) {
        (true, empty) => (!empty, "for TCP services"),
        (false, false) => (false, "together with analysis.match"),
        (false, true) => return Vec::new(),
    };
    [
        ("Session affinity", analysis.session_affinity.is_some()),
        ("Traffic mirroring", analysis.mirror),
        ("Request matching", asks_for_matches),
    ]
    .into_iter()
    .filter(|(_, asked)| *asked)
    .map(|(what, _)| format!("{what} is not supported {why}"))
    .collect()
}
