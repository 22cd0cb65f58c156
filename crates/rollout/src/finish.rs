//! How rollouts end: promotion, rollback, failed promotion, skipped analysis.
//!
//! An outcome is recorded first, with the note that it is still to be announced; the announcement (post-rollout hooks, closing events, alerts) is a
//! decision of its own (`outcome`), so that a crash in between loses none of it.
//! Source: controller notes, sections 9.6, 9.7 and 10.

use crate::change::{self, Change};
use crate::observation::Observation;
use crate::outcome::{self, Ending, Unannounced};
use crate::plan::{Action, Outcome, Reason};
use crate::routes::{Routes, Weight};
use crate::script::{End, Script};
use crate::status;
use api::Phase;

/// Why a canary is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Too many failed checks.
    Threshold,
    /// It never became ready: the text of the event.
    Deadline(String),
    /// The primary cannot serve any more.
    Primary,
    /// A rollback hook said so.
    Hook,
}

/// Phase Promoting: the primary runs the new template; traffic goes back to it, at once or step by step.
pub(crate) fn shift(script: &mut Script<'_>, live: &Routes) -> Box<End> {
    let rollout = script.rollout;
    let now = script.seen.now;
    if rollout.autoscaler.is_some() {
        script.act(Action::UpdateScaler);
    }
    if !script.seen.abilities.shifts {
        script.enter(Phase::Finalising, 0);
        return script.done(Reason::Stepped, Some(now));
    }
    let step = rollout.analysis.step_weight_promotion;
    // Without pods the canary cannot keep the share that it would lose step by step.
    if step <= 0 || !script.seen.target.as_ref().is_ok_and(|target| !target.scaled_down) {
        script.route(Routes::to_primary());
        script.enter(Phase::Finalising, 0);
        script.normal("Routing all traffic to primary");
        return settle(script);
    }
    if live.canary.is_zero() {
        script.enter(Phase::Finalising, 0);
        return settle(script);
    }
    // A clock that was set back must not stop a rollout: what lies ahead says nothing.
    let moved = script.seen.memory.moved.filter(|moved| *moved <= now);
    if let Some(due) = moved.map(|moved| script.later(moved)).filter(|due| *due > now) {
        return script.done(Reason::Interval, Some(due));
    }
    let next = Weight::clipped(live.canary.percent() - step);
    script.route(Routes::weighted(next));
    script.memory.moved = Some(now);
    if next.is_zero() {
        script.enter(Phase::Finalising, 0);
    } else {
        script.status.canary_weight = next.percent();
        script.touch();
        script.record();
    }
    script.normal(format!("Advance {} primary weight {}", rollout.full_name(), next.rest()));
    let wake = script.later(now);
    script.done(Reason::Stepped, Some(wake))
}

/// Proxies need time to notice that the canary has lost its traffic, before it is scaled down.
fn settle(script: &mut Script<'_>) -> Box<End> {
    let now = script.seen.now;
    script.memory.moved = Some(now);
    let wake = script.later(now);
    script.done(Reason::Stepped, Some(wake))
}

/// Phase Finalising: an interval after the traffic went back, the canary is scaled down.
pub(crate) fn scale_down(script: &mut Script<'_>, live: &Routes) -> Box<End> {
    let now = script.seen.now;
    if script.seen.abilities.shifts && (!live.canary.is_zero() || live.mirrored) {
        // Somebody changed or restored the routes: a side with traffic is never scaled down.
        script.route(Routes::to_primary());
        return settle(script);
    }
    let since =
        script.seen.memory.moved.or(script.seen.status.last_transition_time).filter(|_| script.seen.abilities.shifts);
    if since.is_some_and(|since| since > now) {
        // The clock was set back: how long ago the traffic went is not known any more.
        return settle(script);
    }
    if let Some(due) = since.map(|since| script.later(since)).filter(|due| *due > now) {
        return script.done(Reason::Interval, Some(due));
    }
    rest(script);
    script.status.unannounced = Some(Unannounced::new(Ending::Promoted, script.seen.status.phase).to_string());
    script.enter(Phase::Succeeded, 0);
    script.count(Outcome::Succeeded);
    over(script, Reason::Finished)
}

/// Promotion without analysis: all in one go, as users of `skipAnalysis` expect.
pub(crate) fn skip(script: &mut Script<'_>, live: &Routes) -> Box<End> {
    let rollout = script.rollout;
    let revision = copied(script);
    if !live.canary.is_zero() && !script.seen.primary_serves() {
        return heal(script, revision);
    }
    script.route(Routes::to_primary());
    script.normal(format!(
        "Copying {} template spec to {}.{}",
        rollout.full_target(),
        rollout.primary,
        rollout.namespace
    ));
    script.act(Action::Promote { revision });
    if rollout.autoscaler.is_some() {
        script.act(Action::UpdateScaler);
    }
    rest(script);
    script.status.unannounced = Some(Unannounced::new(Ending::Skipped, script.seen.status.phase).to_string());
    script.enter(Phase::Succeeded, 0);
    script.count(Outcome::Skipped);
    over(script, Reason::Finished)
}

/// The canary has traffic, and the primary cannot serve: it gets the new template first, and traffic when it can.
fn heal(script: &mut Script<'_>, revision: String) -> Box<End> {
    if !script.seen.primary.current {
        script.act(Action::Promote { revision });
    }
    let text = script.seen.primary.readiness.as_ref().err().map_or_else(String::new, |trouble| trouble.message.clone());
    script.wait_for_readiness(&text)
}

/// The revision to copy: what is there now, which is the one that was judged, or the promoted one that somebody went back to in the middle of the rollout.
/// The status follows it.
pub(crate) fn copied(script: &mut Script<'_>) -> String {
    let applied = &mut script.status.last_applied_spec;
    if let Some(hash) = change::hash(script.seen) {
        *applied = Some(hash.to_owned());
    }
    applied.clone().unwrap_or_default()
}

/// The canary has traffic (as far as one can see) and pods, and the primary has none that serve: giving up the canary could leave nobody. Whether the canary is ready does not
/// matter: some of its pods may well serve, and the primary's certainly do not.
pub(crate) fn would_go_dark(seen: &Observation) -> bool {
    let has_traffic = seen.routes.as_ref().map_or(true, |live| !live.canary.is_zero());
    let has_pods = seen.target.as_ref().is_ok_and(|target| !target.scaled_down);
    has_traffic && has_pods && !seen.primary_serves()
}

/// The canary is given up: traffic to the primary, target to zero.
pub(crate) fn roll_back(script: &mut Script<'_>, cause: &Cause) -> Box<End> {
    let rollout = script.rollout;
    let name = rollout.full_name();
    if would_go_dark(script.seen) {
        let text = format!("Canary {name} is not rolled back, primary not ready");
        return script.halt("PrimaryNotReady", &text);
    }
    let failed = script.seen.status.failed_checks;
    script.route(Routes::to_primary());
    rest(script);
    let mut note = Unannounced::new(Ending::RolledBack, script.seen.status.phase);
    note.details.failed_checks = (failed >= rollout.threshold).then_some(failed);
    if let Cause::Deadline(reason) = cause {
        note.details.deadline = Some(reason.clone());
    }
    fail(script, 0, note);
    script.count(Outcome::Failed);
    over(script, Reason::RolledBack(format!("{cause:?}")))
}

/// The primary broke while it was promoted: traffic goes to the canary, which runs the revision that passed.
pub(crate) fn fail_promotion(script: &mut Script<'_>, reason: &str) -> Box<End> {
    if !script.seen.canary_serves() {
        // Neither side is ready: moving traffic would only spread the outage.
        let text = outcome::promotion_failed(script, reason);
        return script.halt("PrimaryNotReady", &text);
    }
    script.route(Routes::weighted(Weight::FULL));
    let mut note = Unannounced::new(Ending::RolledBack, script.seen.status.phase);
    note.details.promotion = Some(reason.to_owned());
    fail(script, 100, note);
    script.count(Outcome::Failed);
    over(script, Reason::RolledBack("promotion failed".to_owned()))
}

/// Writes phase Failed. A revision that came while another was promoted is not the one that failed: it stays to be found.
fn fail(script: &mut Script<'_>, weight: i64, mut note: Unannounced) {
    let rollout = script.rollout;
    let judged = script.seen.status.phase == Phase::Waiting || change::change(script.seen) != Change::New;
    status::sync(rollout, script.seen, &mut script.status, Phase::Failed, weight);
    if !judged {
        script.status.last_applied_spec.clone_from(&script.seen.status.last_applied_spec);
        script.status.tracked_configs.clone_from(&script.seen.status.tracked_configs);
    }
    note.about(&script.seen.status, &script.status);
    script.status.unannounced = Some(note.to_string());
    script.record();
}

/// The target's autoscaler and the target itself come to rest.
fn rest(script: &mut Script<'_>) {
    if script.rollout.autoscaler.is_some() {
        script.act(Action::PauseScaler);
    }
    script.act(Action::ScaleDown);
}

fn over(script: &mut Script<'_>, why: Reason) -> Box<End> {
    script.memory.asked = None;
    script.memory.moved = None;
    script.memory.alerted.clear();
    script.done(why, Some(script.seen.now))
}
