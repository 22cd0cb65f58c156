//! What the tests of this crate start from: a Canary `cart.shop` at rest.

use crate::observation::{CanaryObject, Memory, Observation, Primary, Revision, Target};
use crate::question::Answers;
use crate::routes::{Abilities, Routes};
use api::{Canary, CanaryStatus, Rollout, Settings};
use std::sync::Arc;

/// A Canary of a Deployment, with a weighted analysis.
pub(crate) fn rollout() -> Rollout {
    let mut canary = Canary::default();
    (canary.metadata.name, canary.metadata.namespace, canary.metadata.uid) =
        ("cart".to_owned(), "shop".to_owned(), "u-1".to_owned());
    canary.spec.target_ref.kind = "Deployment".to_owned();
    canary.spec.target_ref.name = "cart".to_owned();
    canary.spec.analysis = Some(api::CanaryAnalysis { step_weight: 10, ..api::CanaryAnalysis::default() });
    Rollout::resolve(&canary, &Arc::new(Settings::default()))
}

/// Both sides ready, the target scaled down, all traffic to the primary.
pub(crate) fn seen() -> Observation {
    let revision = Revision { hash: "v1".to_owned(), older: Vec::new(), same_images: false, comparable: true };
    Observation {
        now: "2026-01-01T10:00:00Z".parse().expect("a time"),
        status: CanaryStatus::default(),
        object: CanaryObject::default(),
        unusable: None,
        target: Ok(Target { revision, readiness: Ok(()), scaled_down: true }),
        primary: Primary { exists: true, readiness: Ok(()), serving: true, current: true },
        configs: Ok(None),
        routes: Ok(Routes::to_primary()),
        abilities: Abilities::default(),
        observer: "istio".to_owned(),
        answers: Answers::default(),
        memory: Memory::default(),
    }
}
