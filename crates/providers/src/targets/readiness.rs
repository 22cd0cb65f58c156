//! Whether a workload has rolled out, told from its status.
//!
//! Reads `metadata.generation`, `spec.replicas` and `status`; the texts are those that users see in events. Numbers that are absent count as 0. Does not
//! know whose workload it is: callers put the name in front.

use jiff::Timestamp;
use objects::paths;
use rollout::Trouble;
use serde_json::Value;

/// What a rollout allows a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Percent of the updated pods that must be available. Above 100 it is never met; 0 and less ask for none.
    pub(super) threshold: i64,
    /// Seconds for which the workload may be unavailable before waiting is given up.
    pub(super) deadline_seconds: i64,
    /// Now.
    pub(super) now: Timestamp,
}

/// Whether a Deployment runs its current template. Not ready and not worth waiting for: its own progress deadline is exceeded, or it has been unavailable
/// for longer than allowed. A Deployment that wants no replicas is ready.
pub(super) fn deployment(object: &Value, allowance: Allowance) -> Result<(), Trouble> {
    let count = |field: &str| paths::integer(object, &format!("/status/{field}")).unwrap_or_default();
    let generation = paths::integer(object, "/metadata/generation").unwrap_or_default();
    if generation > count("observedGeneration") {
        let text = "waiting for rollout to finish: observed deployment generation less than desired generation";
        return Err(Trouble::passing(text));
    }
    let progressing = condition(object, "Progressing");
    if progressing.is_some_and(|condition| paths::text(condition, "/reason") == "ProgressDeadlineExceeded") {
        let name = paths::text(object, "/metadata/name");
        return Err(Trouble::lasting(format!("deployment \"{name}\" exceeded its progress deadline")));
    }
    let given_up = progressing.is_some()
        && condition(object, "Available").is_some_and(|condition| is_overdue(condition, allowance));
    let waiting = |what: String| {
        let text = format!("waiting for rollout to finish: {what}");
        Err(if given_up { Trouble::lasting(text) } else { Trouble::passing(text) })
    };
    let (updated, available) = (count("updatedReplicas"), count("availableReplicas"));
    if let Some(wanted) = paths::integer(object, "/spec/replicas").filter(|wanted| updated < *wanted) {
        return waiting(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    let old = count("replicas") - updated;
    if old > 0 {
        return waiting(format!("{old} old replicas are pending termination"));
    }
    let (threshold, needed) = (allowance.threshold, share(updated, allowance.threshold));
    if available < needed {
        return waiting(format!(
            "{available} of {needed} (readyThreshold {threshold}%) updated replicas are available"
        ));
    }
    Ok(())
}

/// So many percent of a number of pods, truncated towards zero, with the rounding of 32-bit floats: what users have tuned their thresholds to.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the reference computes in 32-bit floats"
)]
pub(super) fn share(pods: i64, percent: i64) -> i64 {
    i64::from((pods as f32 * (percent as f32 / 100.0)) as i32)
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    paths::list(object, "/status/conditions").find(|condition| paths::text(condition, "/type") == kind)
}

/// Whether the condition `Available` says that too few replicas have been available for longer than allowed. `lastUpdateTime` moves only when status or
/// reason of the condition change, so it is the time since when; without it, that is for ever.
fn is_overdue(available: &Value, allowance: Allowance) -> bool {
    let says = |pointer, text: &str| paths::text(available, pointer) == text;
    if !says("/status", "False") || !says("/reason", "MinimumReplicasUnavailable") {
        return false;
    }
    let since = paths::text(available, "/lastUpdateTime").parse::<Timestamp>().unwrap_or(Timestamp::MIN);
    let limit = since.as_nanosecond() + i128::from(allowance.deadline_seconds) * 1_000_000_000;
    limit < allowance.now.as_nanosecond()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, yaml};

    /// `status` of a Deployment `cart` of generation 1 that wants 2 replicas; with threshold and deadline.
    fn check(status: &str, threshold: i64, deadline_seconds: i64) -> Result<(), (String, bool)> {
        let mut object =
            yaml("{metadata: {name: cart, generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1}}");
        objects::diff::apply_merge_patch(&mut object, &yaml(&format!("status: {status}")));
        deployment(&object, Allowance { threshold, deadline_seconds, now: now() })
            .map_err(|trouble| (trouble.message, trouble.retriable))
    }

    fn waiting(what: &str) -> Result<(), (String, bool)> {
        Err((format!("waiting for rollout to finish: {what}"), true))
    }

    #[test]
    fn each_stage_of_a_rollout_has_its_text() {
        assert_eq!(
            check("{observedGeneration: -1}", 100, 600),
            waiting("observed deployment generation less than desired generation")
        );
        assert_eq!(check("{updatedReplicas: 1}", 100, 600), waiting("1 out of 2 new replicas have been updated"));
        assert_eq!(
            check("{replicas: 3, updatedReplicas: 2}", 100, 600),
            waiting("1 old replicas are pending termination")
        );
        assert_eq!(
            check("{replicas: 2, updatedReplicas: 2, availableReplicas: 1}", 100, 600),
            waiting("1 of 2 (readyThreshold 100%) updated replicas are available")
        );
        assert_eq!(check("{replicas: 2, updatedReplicas: 2, availableReplicas: 2}", 100, 600), Ok(()));
    }

    #[test]
    fn thresholds_are_truncated_towards_zero() {
        let of_four = |available: i64, threshold: i64| {
            check(&format!("{{replicas: 4, updatedReplicas: 4, availableReplicas: {available}}}"), threshold, 600)
        };
        assert_eq!(of_four(2, 50), Ok(()));
        assert_eq!(of_four(1, 50), waiting("1 of 2 (readyThreshold 50%) updated replicas are available"));
        assert_eq!(of_four(2, 74), Ok(()));
        assert_eq!(of_four(4, 125), waiting("4 of 5 (readyThreshold 125%) updated replicas are available"));
        assert_eq!(of_four(0, 0), Ok(()));
        assert_eq!(share(100, 59), 58, "0.59 is a little less in 32 bits");
    }

    #[test]
    fn waiting_ends_with_the_deployments_own_deadline() {
        let exceeded = "{replicas: 2, updatedReplicas: 2, availableReplicas: 2, conditions: [{type: Progressing, reason: ProgressDeadlineExceeded}]}";
        assert_eq!(
            check(exceeded, 100, 600),
            Err(("deployment \"cart\" exceeded its progress deadline".to_owned(), false))
        );
    }

    #[test]
    fn waiting_ends_after_unavailability_for_longer_than_allowed() {
        let unavailable = |since: &str, progressing: &str| {
            format!(
                "{{replicas: 2, updatedReplicas: 2, availableReplicas: 1, conditions: [{{type: {progressing}}}, {{type: Available, \
                 status: 'False', reason: MinimumReplicasUnavailable, lastUpdateTime: '{since}'}}]}}"
            )
        };
        let text = "1 of 2 (readyThreshold 100%) updated replicas are available";
        let given_up = waiting(text).map_err(|(text, _)| (text, false));
        assert_eq!(check(&unavailable("2026-07-14T09:59:50Z", "Progressing"), 100, 5), given_up);
        assert_eq!(check(&unavailable("2026-07-14T09:59:55Z", "Progressing"), 100, 5), waiting(text));
        assert_eq!(check(&unavailable("2026-07-14T09:59:50Z", "Other"), 100, 5), waiting(text));
        assert_eq!(check(&unavailable("", "Progressing"), 100, 5), given_up);
    }

    #[test]
    fn a_deployment_that_wants_nothing_is_ready() {
        let object =
            yaml("{metadata: {name: cart, generation: 3}, spec: {replicas: 0}, status: {observedGeneration: 3}}");
        assert_eq!(deployment(&object, Allowance { threshold: 100, deadline_seconds: 600, now: now() }), Ok(()));
    }
}
