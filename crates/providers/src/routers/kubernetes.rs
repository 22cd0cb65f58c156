//! Provider `kubernetes`: no routing objects at all.
//!
//! Traffic stays on the apex Service, which selects the primary; the canary is reached by its own Service only. Every rollout is blue/green by
//! iterations, which the decision derives from [`Abilities::shifts`].

use super::{Router, RouterError};
use crate::access::Access;
use api::Rollout;
use objects::{ObjectRef, Snapshot, Write};
use rollout::{Abilities, AffinityAbility, Routes};

/// The provider without routing.
#[derive(Debug)]
pub struct Kubernetes;

impl Router for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn kinds(&self) -> &'static [Access] {
        &[]
    }

    fn abilities(&self, _: &Rollout, _: &Snapshot) -> Abilities {
        Abilities {
            shifts: false,
            matches: false,
            mirrors: false,
            affinity: AffinityAbility::None,
            ..Abilities::default()
        }
    }

    fn reads(&self, _: &Rollout) -> Vec<ObjectRef> {
        Vec::new()
    }

    fn routes(&self, _: &Rollout, _: &Snapshot) -> Result<Routes, RouterError> {
        Ok(Routes::to_primary())
    }

    fn render(&self, _: &Rollout, _: &Snapshot, _: &Routes) -> Result<Vec<Write>, RouterError> {
        Ok(Vec::new())
    }

    fn revert(&self, _: &Rollout, _: &Snapshot) -> Result<Vec<Write>, RouterError> {
        Ok(Vec::new())
    }
}
