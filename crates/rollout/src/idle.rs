//! Between rollouts: announce the last outcome, look for a new revision, ask the gate.
//!
//! Source: controller notes, 7.2, 7.3, 11.3 and 11.7.

use crate::change::{self, Change};
use crate::outcome;
use crate::plan::{Action, EventKind, Reason};
use crate::routes::Routes;
use crate::script::{End, Flow, Script};
use crate::{round, status, strategy};
use api::{HookType, Phase, Severity, Strategy};

/// Phases Initialized, Succeeded, Failed, and any that this program does not know.
pub(crate) fn decide(script: &mut Script<'_>) -> Flow<Box<End>> {
    if let Some(pending) = script.seen.status.unannounced.as_deref() {
        return outcome::announce(script, pending);
    }
    match change::change(script.seen) {
        Change::New => start(script),
        _ => Ok(rest(script)),
    }
}

/// Nothing to start. After a failure the status follows the target, so that going back to the promoted revision and then trying the failed one again is a
/// change (a change that starts a rollout must not be swallowed by this, so it is looked for first).
fn rest(script: &mut Script<'_>) -> Box<End> {
    if script.seen.status.phase == Phase::Failed {
        status::current(script.seen, &mut script.status);
    }
    script.done(Reason::Idle, None)
}

/// A new revision: the primary must be able to serve meanwhile, and the gate must be open.
pub(crate) fn start(script: &mut Script<'_>) -> Flow<Box<End>> {
    let rollout = script.rollout;
    let seen = script.seen;
    if let (false, Err(trouble)) = (rollout.skip_analysis, &seen.primary.readiness) {
        // Never a rollback here: nothing was started, and the change must not be lost.
        return Ok(script.wait_for_readiness(&trouble.message));
    }
    let live = match &seen.routes {
        Ok(live) => live.clone(),
        Err(trouble) => return Ok(script.halt("RoutesUnreadable", &trouble.message)),
    };
    script.note_weights(&live);
    let waiting = seen.status.phase == Phase::Waiting;
    // A clock that was set back must not keep the gate from being asked: what lies ahead says nothing.
    let asked = seen.memory.asked.filter(|asked| waiting && *asked <= seen.now);
    if let Some(due) = asked.map(|asked| script.later(asked)).filter(|due| *due > seen.now) {
        return Ok(script.done(Reason::Interval, Some(due)));
    }
    if waiting {
        round::rollback_hooks(script)?;
    }
    confirm_rollout(script)?;
    if !live.canary.is_zero() && seen.abilities.shifts && seen.primary_serves() {
        // The canary got everything when a promotion failed. The primary is ready again, and the canary is about to change.
        script.route(Routes::to_primary());
    }
    if rollout.autoscaler.is_some() {
        script.act(Action::ResumeScaler);
    }
    script.act(Action::ScaleUp);
    script.sync(Phase::Progressing, 0);
    script.emit_as(
        Phase::Progressing,
        EventKind::Normal,
        format!("New revision detected! Scaling up {}", rollout.full_target()),
    );
    script.alert(Severity::Info, "New revision detected, progressing canary analysis.", true);
    warn_about_limits(script);
    script.memory.asked = None;
    script.memory.moved = None;
    script.memory.alerted.clear();
    Ok(script.done(Reason::Stepped, Some(seen.now)))
}

fn confirm_rollout(script: &mut Script<'_>) -> Flow<()> {
    let rollout = script.rollout;
    let phase = script.seen.status.phase;
    for (index, hook) in rollout.hooks(HookType::ConfirmRollout) {
        if strategy::passes(script, index, phase)?.is_ok() {
            script.normal(format!("Confirm-rollout check {} passed", hook.name));
            continue;
        }
        if phase != Phase::Waiting {
            script.enter(Phase::Waiting, 0);
            script.warn(format!("Halt {} advancement waiting for approval {}", rollout.full_name(), hook.name));
            if !hook.mute_alert {
                script.alert(Severity::Warn, "Canary is waiting for approval.", false);
            }
        }
        return Err(strategy::denied(script, &hook.name));
    }
    Ok(())
}

/// What the provider cannot do of what the spec asks for: said once per rollout.
fn warn_about_limits(script: &mut Script<'_>) {
    let rollout = script.rollout;
    if rollout.skip_analysis {
        return;
    }
    let abilities = &script.seen.abilities;
    let phase = Phase::Progressing;
    if !abilities.shifts {
        let provider = &rollout.provider;
        if !rollout.analysis.matches.is_empty() {
            script.emit_as(
                phase,
                EventKind::Warning,
                format!("A/B testing is not supported when using the {provider} provider"),
            );
        }
        if rollout.analysis.iterations < 1 {
            script.emit_as(
                phase,
                EventKind::Warning,
                format!("Progressive traffic is not supported when using the {provider} provider"),
            );
            let (_, iterations) = strategy::effective(rollout, abilities);
            script.emit_as(phase, EventKind::Warning, format!("Setting canaryAnalysis.iterations: {iterations}"));
        }
    } else if rollout.strategy == Strategy::AbTesting && !abilities.matches {
        let text = format!(
            "A/B testing is not supported when using the {} provider, running blue/green instead",
            rollout.provider
        );
        script.emit_as(phase, EventKind::Warning, text);
    }
    for text in abilities.warnings() {
        script.emit_as(phase, EventKind::Warning, text);
    }
}
