//! The DestinationRule of one side: which service it is for, and the traffic policy of the Canary, unchanged.
//!
//! Its metadata is set when it is created and left alone afterwards; so are fields that are neither host, policy nor subsets.
//! Source: routing notes, section 5.1.

use super::DESTINATION_RULE;
use crate::metadata::owner_reference;
use api::Rollout;
use objects::paths::set;
use objects::{Snapshot, Write};
use serde_json::{Value, json};

/// Creates or repairs the DestinationRule of `side`, the name of the primary's or the canary's service.
pub(super) fn ensure(rollout: &Rollout, live: &Snapshot, side: &str) -> Option<Write> {
    let reference = DESTINATION_RULE.object(&rollout.namespace, side);
    let Some(present) = live.look_or_missing(&reference) else {
        let failure = format!("reconcileDestinationRule failed: {reference} create error: ");
        let created = format!("{reference} created");
        return Some(Write::create(reference, fresh(rollout, side), failure).logging(created));
    };
    let mut wanted = present.clone();
    set(&mut wanted, &["spec", "host"], json!(side));
    set(&mut wanted, &["spec", "trafficPolicy"], policy(rollout));
    // A subset would be a second way to a side, past the weights.
    set(&mut wanted, &["spec", "subsets"], Value::Null);
    let failure = format!("reconcileDestinationRule failed: {reference} update error: ");
    let updated = format!("{reference} updated");
    Some(Write::update(reference, present, &wanted, failure)?.logging(updated))
}

fn fresh(rollout: &Rollout, side: &str) -> Value {
    let mut object = json!({
        "apiVersion": DESTINATION_RULE.api_version(),
        "kind": DESTINATION_RULE.kind,
        "metadata": {"name": side, "namespace": rollout.namespace},
        "spec": {"host": side},
    });
    set(&mut object, &["spec", "trafficPolicy"], policy(rollout));
    if rollout.settings.own_routes {
        set(&mut object, &["metadata", "ownerReferences"], json!([owner_reference(rollout)]));
    }
    object
}

fn policy(rollout: &Rollout) -> Value {
    rollout.service.traffic_policy.clone().unwrap_or_default()
}
