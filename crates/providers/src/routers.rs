//! Ways of splitting traffic between primary and canary.
//!
//! A router exists when it is in [`ROUTERS`]. Which one serves a Canary is told by the router itself ([`Router::serves`]), never by a match on names
//! elsewhere.

use crate::access::Access;
use api::Rollout;
use objects::{ObjectRef, Snapshot, Write};
use rollout::{Abilities, Routes};
use std::fmt::Debug;

mod affinity;
#[cfg(test)]
mod contract;
pub mod gateway;
pub mod istio;
pub mod kubernetes;
pub mod nginx;

/// One way of splitting traffic. Pure: live objects in, wanted objects out.
pub trait Router: Debug + Sync {
    /// The provider's name as users write it, e.g. `gatewayapi:v1`: documentation, RBAC and warnings name it so.
    fn name(&self) -> &'static str;

    /// Whether this router serves an effective provider string. The list is asked in order; the first that serves wins.
    fn serves(&self, provider: &str) -> bool {
        provider == self.name()
    }

    /// Foreign kinds read and written.
    fn kinds(&self) -> &'static [Access];

    /// What it can do for this Canary with the objects that are there (none yet: with any), and what the spec asks for in vain.
    fn abilities(&self, rollout: &Rollout, live: &Snapshot) -> Abilities;

    /// The objects whose state matters for this rollout; their changes wake it. Nothing else is ever in a snapshot.
    fn reads(&self, rollout: &Rollout) -> Vec<ObjectRef>;

    /// Where traffic goes now, as the objects say (status, where the provider reports one). Objects that are not there yet are an error, with the
    /// reference's text.
    fn routes(&self, rollout: &Rollout, live: &Snapshot) -> Result<Routes, RouterError>;

    /// The objects as they should be for these routes, given what is there. Serves creation, drift, steps and promotion alike: weights, mirror and cookies
    /// come from `want` alone. Nothing where nothing differs. `want.affinity` empty: a cookie rule that is already there stays as it is (upkeep between
    /// steps passes what was read back).
    fn render(&self, rollout: &Rollout, live: &Snapshot, want: &Routes) -> Result<Vec<Write>, RouterError>;

    /// What gives the objects back to their owner when the Canary is deleted with `revertOnDeletion`.
    fn revert(&self, rollout: &Rollout, live: &Snapshot) -> Result<Vec<Write>, RouterError>;
}

/// Why routes cannot be read or rendered: the text of the event, as users know it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RouterError(pub String);

impl RouterError {
    /// An error with that text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Every router, in the order in which they are asked.
pub static ROUTERS: &[&dyn Router] =
    &[&gateway::V1BETA1, &gateway::V1, &istio::Istio, &kubernetes::Kubernetes, &nginx::Nginx];

/// Whether a provider string names a router, built or not: by a name, or by the beginning of one (G7). All other strings are left to Istio.
fn is_named(provider: &str) -> bool {
    const NAMES: [&str; 13] = [
        "apisix",
        "appmesh",
        "contour",
        "gatewayapi",
        "istio",
        "knative",
        "kubernetes",
        "kuma",
        "linkerd",
        "nginx",
        "osm",
        "skipper",
        "traefik",
    ];
    const BEGINNINGS: [&str; 7] =
        ["appmesh:v1beta1", "appmesh:v1beta2", "gatewayapi:v1", "gloo", "smi:v1alpha1", "smi:v1alpha2", "smi:v1alpha3"];
    NAMES.contains(&provider) || BEGINNINGS.iter().any(|beginning| provider.starts_with(beginning))
}

/// The router for an effective provider string; `None` while there is none for it.
pub fn router(provider: &str) -> Option<&'static dyn Router> {
    ROUTERS.iter().copied().find(|router| router.serves(provider))
}
