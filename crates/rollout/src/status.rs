//! Transitions of the status: which fields change with which phase.
//!
//! Source: controller notes, section 13; workloads notes, section 11.

use crate::observation::Observation;
use api::{CanaryStatus, Condition, ConditionStatus, Phase, Rollout};
use jiff::Timestamp;

/// The condition that the reference writes; always the first in the list.
pub(crate) const PROMOTED: &str = "Promoted";

/// First sight of a Canary (13.4).
pub(crate) fn begin(rollout: &Rollout, seen: &Observation, status: &mut CanaryStatus) {
    status.phase = Phase::Initializing;
    status.last_transition_time = Some(seen.now);
    promoted(rollout, status, seen.now);
}

/// Full sync (13.1): revision and configs as they are now, counters zero, the weight as given.
pub(crate) fn sync(rollout: &Rollout, seen: &Observation, status: &mut CanaryStatus, phase: Phase, weight: i64) {
    status.phase = phase;
    status.canary_weight = weight;
    status.failed_checks = 0;
    status.iterations = 0;
    status.last_transition_time = Some(seen.now);
    if phase == Phase::Progressing {
        status.last_checks = None;
    }
    current(seen, status);
    if phase == Phase::Initialized {
        status.last_promoted_spec.clone_from(&status.last_applied_spec);
    }
    promoted(rollout, status, seen.now);
}

/// Takes over revision and configs as they are now, as far as they are known.
pub(crate) fn current(seen: &Observation, status: &mut CanaryStatus) {
    if let Ok(target) = &seen.target {
        status.last_applied_spec = Some(target.revision.hash.clone());
        if let Ok(configs) = &seen.configs {
            status.tracked_configs = configs.as_ref().map(|configs| configs.checksums.clone());
        }
    }
}

/// Phase write (13.2). `iterations`: those of the analysis, from which a refused promotion counts back.
pub(crate) fn enter(rollout: &Rollout, seen: &Observation, status: &mut CanaryStatus, phase: Phase, iterations: i64) {
    status.phase = phase;
    status.last_transition_time = Some(seen.now);
    if !matches!(phase, Phase::Progressing | Phase::Waiting | Phase::Promoting) {
        status.canary_weight = 0;
        status.iterations = 0;
    }
    if phase == Phase::WaitingPromotion {
        status.iterations = iterations.saturating_sub(1);
    }
    if matches!(phase, Phase::Initialized | Phase::Succeeded) {
        status.last_promoted_spec.clone_from(&status.last_applied_spec);
    }
    promoted(rollout, status, seen.now);
}

/// The condition `Promoted` for the status' phase: left alone where status and reason are as they were.
fn promoted(rollout: &Rollout, status: &mut CanaryStatus, now: Timestamp) {
    let (value, message) = meaning(status.phase, &rollout.target.kind);
    put(&mut status.conditions, PROMOTED, value, status.phase.as_str(), &message, now);
    // Whoever reads only the first one expects it there.
    if let Some(place) = status.conditions.iter().position(|condition| condition.kind == PROMOTED) {
        let promoted = status.conditions.remove(place);
        status.conditions.insert(0, promoted);
    }
}

/// What a phase means for the condition `Promoted`: its status and its message.
pub(crate) fn meaning(phase: Phase, kind: &str) -> (ConditionStatus, String) {
    use ConditionStatus::{False, True, Unknown};
    match phase {
        Phase::Initialized => (True, format!("{kind} initialization completed.")),
        Phase::Waiting | Phase::WaitingPromotion => (Unknown, "Waiting for approval.".to_owned()),
        Phase::Progressing => (Unknown, "New revision detected, progressing canary analysis.".to_owned()),
        Phase::Promoting => (Unknown, "Canary analysis completed, starting primary rolling update.".to_owned()),
        Phase::Finalising => (Unknown, "Canary analysis completed, routing all traffic to primary.".to_owned()),
        Phase::Succeeded => (True, "Canary analysis completed successfully, promotion finished.".to_owned()),
        Phase::Failed => (False, format!("Canary analysis failed, {kind} scaled to zero.")),
        _ => (Unknown, format!("New {kind} detected, starting initialization.")),
    }
}

/// Sets a condition: unchanged where status, reason (and, for conditions of ours, message) are as they were; the time of the last transition moves with the
/// status only.
pub(crate) fn put(
    conditions: &mut Vec<Condition>,
    kind: &str,
    value: ConditionStatus,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let fresh = |since: Option<Timestamp>| Condition {
        kind: kind.to_owned(),
        status: value,
        last_update_time: Some(now),
        last_transition_time: Some(since.unwrap_or(now)),
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    match conditions.iter_mut().find(|condition| condition.kind == kind) {
        Some(present)
            if present.status == value
                && present.reason == reason
                && (kind == PROMOTED || present.message == message) => {}
        Some(present) => *present = fresh(present.last_transition_time.filter(|_| present.status == value)),
        None if kind == PROMOTED => conditions.insert(0, fresh(None)),
        None => conditions.push(fresh(None)),
    }
}
