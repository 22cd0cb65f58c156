//! Conditions beside `Promoted`, by the conventions of `kstatus`, so that `GitOps` tools and `kubectl wait` understand a Canary without knowing it.
//!
//! `Reconciling`, `Stalled` and `Unsupported` are there only while they are true. Switched off by `-kstatus-conditions=false`, which leaves exactly the
//! status of the reference.

use crate::observation::Observation;
use crate::status::{meaning, put};
use api::{CanaryStatus, Condition, ConditionStatus, Phase, Rollout};

const READY: &str = "Ready";
const RECONCILING: &str = "Reconciling";
const STALLED: &str = "Stalled";
const UNSUPPORTED: &str = "Unsupported";

/// What is in the way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halt<'a> {
    /// One word.
    pub(crate) reason: &'a str,
    /// A sentence: the text of the event.
    pub(crate) message: &'a str,
}

/// Brings the additional conditions and the observed generation in line with the status' phase and with what is in the way.
pub(crate) fn apply(rollout: &Rollout, seen: &Observation, status: &mut CanaryStatus, halt: Option<Halt<'_>>) {
    status.observed_generation = Some(seen.object.generation);
    if !rollout.settings.kstatus_conditions {
        status
            .conditions
            .retain(|condition| ![READY, RECONCILING, STALLED, UNSUPPORTED].contains(&condition.kind.as_str()));
        return;
    }
    let (_, message) = meaning(status.phase, &rollout.target.kind);
    let phase = status.phase;
    let settled = matches!(phase, Phase::Initialized | Phase::Succeeded);
    let failed = phase == Phase::Failed;
    let stalled = halt.or_else(|| failed.then_some(Halt { reason: phase.as_str(), message: &message }));

    let (ready, reason, text) = match stalled {
        Some(halt) => (ConditionStatus::False, halt.reason, halt.message),
        None if settled => (ConditionStatus::True, phase.as_str(), message.as_str()),
        None => (ConditionStatus::Unknown, phase.as_str(), message.as_str()),
    };
    let now = seen.now;
    put(&mut status.conditions, READY, ready, word(reason), text, now);
    only_while(
        &mut status.conditions,
        RECONCILING,
        (stalled.is_none() && !settled).then_some((phase.as_str(), message.as_str())),
        now,
    );
    only_while(&mut status.conditions, STALLED, stalled.map(|halt| (halt.reason, halt.message)), now);
    let unsupported = seen.abilities.warnings().collect::<Vec<_>>().join("; ");
    only_while(
        &mut status.conditions,
        UNSUPPORTED,
        (!unsupported.is_empty()).then_some(("ProviderLimits", unsupported.as_str())),
        now,
    );
}

fn only_while(conditions: &mut Vec<Condition>, kind: &str, why: Option<(&str, &str)>, now: jiff::Timestamp) {
    match why {
        Some((reason, message)) => put(conditions, kind, ConditionStatus::True, word(reason), message, now),
        None => conditions.retain(|condition| condition.kind != kind),
    }
}

/// A condition needs a reason, also before the first phase.
fn word(reason: &str) -> &str {
    if reason.is_empty() { "Unknown" } else { reason }
}
