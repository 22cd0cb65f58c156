//! The whole decision: what must hold in any phase, then the phase's own.
//!
//! Source: controller notes, sections 5.3, 7 and 8.

use crate::change::{self, Change};
use crate::observation::Observation;
use crate::plan::{Action, Alert, Announcement, Decision, EventKind, Reason};
use crate::question::{Answer, Question};
use crate::routes::{Routes, Weight};
use crate::script::{End, Flow, Script};
use crate::{cookies, finish, idle, round, status, strategy, terminate};
use api::{Phase, Rollout, Severity, Strategy};

/// Decides what to do about one Canary. Pure: the same rollout and observation give the same decision.
pub fn decide(rollout: &Rollout, seen: &Observation) -> Decision {
    let mut script = Script::new(rollout, seen);
    let end = match flow(&mut script) {
        Ok(end) | Err(end) => end,
    };
    script.decision(end)
}

fn flow(script: &mut Script<'_>) -> Flow<Box<End>> {
    let (rollout, seen) = (script.rollout, script.seen);
    if seen.object.finalizer && !rollout.revert_on_deletion {
        script.act(Action::Log(format!("{} opting out, deleting finalizers", rollout.full_name())));
        script.act(Action::RemoveFinalizer);
        return Ok(script.end(Reason::Stepped, Some(seen.now)));
    }
    if seen.object.deleting {
        return Ok(if seen.object.finalizer {
            terminate::decide(script)
        } else {
            script.end(Reason::Terminating, None)
        });
    }
    if let Some(unusable) = &seen.unusable {
        return Ok(unusable_spec(script, &unusable.reason, &unusable.message));
    }
    // Registration is no part of a run: a suspended Canary shows a phase too, and can be given back when it is deleted.
    if rollout.revert_on_deletion && !seen.object.finalizer {
        script.upkeep.push(Action::AddFinalizer);
    }
    if seen.status.phase == Phase::Unset && seen.status.conditions.is_empty() {
        status::begin(rollout, seen, &mut script.status);
        script.record();
        return Ok(script.done(Reason::Stepped, Some(seen.now)));
    }
    if rollout.suspended {
        return Ok(suspended(script));
    }
    script.memory.suspended = false;
    if let Err(trouble) = &seen.target {
        return Ok(script.halt("TargetUnusable", &trouble.message));
    }
    if initialising(seen.status.phase) { initialise(script) } else { carry_on(script) }
}

fn initialising(phase: Phase) -> bool {
    matches!(phase, Phase::Unset | Phase::Initializing)
}

/// The spec cannot be used: said once, and nothing is touched.
fn unusable_spec(script: &mut Script<'_>, reason: &str, message: &str) -> Box<End> {
    if script.memory.told.as_ref().is_none_or(|(told, _)| told != message) {
        script.warn(message);
        script.memory.told = Some((message.to_owned(), script.seen.now));
    }
    script.record_halt(crate::kstatus::Halt { reason, message });
    script.end(Reason::Invalid(message.to_owned()), None)
}

fn suspended(script: &mut Script<'_>) -> Box<End> {
    if !script.memory.suspended {
        script.memory.suspended = true;
        script.normal("skipping canary run as object is suspended");
    }
    script.end(Reason::Suspended, None)
}

/// Creates the primary side; the target is scaled down only when the primary serves (S7 to S16).
fn initialise(script: &mut Script<'_>) -> Flow<Box<End>> {
    let (rollout, seen) = (script.rollout, script.seen);
    let analysed = !rollout.skip_analysis;
    script.upkeep.push(Action::EnsureServices);
    // Routes may be there already: those of a Canary that was deleted and made again.
    let live = seen.routes.as_ref().map_or_else(|_| Routes::to_primary(), Clone::clone);
    if seen.abilities.routes_first {
        script.upkeep.push(Action::Route(Routes { affinity: None, ..live.clone() }));
    }
    if analysed && seen.memory.asked.is_none_or(|asked| script.later(asked) <= seen.now) {
        script.memory.asked = Some(seen.now);
        match script.ask(Question::Providers)? {
            Answer::Providers(Err(reason)) => {
                script.emit(EventKind::Error, format!("Error checking metric providers: {reason}"));
            }
            _ => script.normal("all the metrics providers are available!"),
        }
    }
    script.upkeep.push(Action::EnsurePrimary);
    if let Err(trouble) = &seen.configs {
        return Ok(script.halt("ConfigsUnreadable", &trouble.message));
    }
    if let (true, Err(trouble)) = (analysed, &seen.primary.readiness) {
        return Ok(script.wait_for_readiness(&trouble.message));
    }
    let revision = change::hash(seen).unwrap_or_default().to_owned();
    if seen.primary.exists && !seen.primary.current && seen.memory.copied.as_ref() != Some(&revision) {
        // The target changed after the primary was copied from it: nothing was promoted yet, so the copy is made again.
        script.memory.copied = Some(revision.clone());
        script.act(Action::Promote { revision });
        return Ok(script.done(Reason::Stepped, Some(seen.now)));
    }
    if rollout.autoscaler.is_some() {
        script.act(Action::EnsureScaler);
        script.act(Action::PauseScaler);
    }
    script.act(Action::EnsureApex);
    // Before the target loses its pods: what cannot be read may send traffic to it.
    script.route(Routes::to_primary());
    script.act(Action::Log(format!("Scaling down {} {}", rollout.target.kind, rollout.full_target())));
    script.act(Action::ScaleDown);
    // Told before it is recorded: a process that dies in between finds it still to be done, and a Canary is initialised only once.
    let text = format!("Initialization done! {}", rollout.full_name());
    let events = vec![script.event_as(Phase::Initialized, EventKind::Normal, text)];
    let message = format!("New {} detected, initialization completed.", rollout.target.kind);
    let alerts = vec![Alert { severity: Severity::Info, message, with_fields: true }];
    script.act(Action::Announce(Announcement { id: "Initialized".to_owned(), events, alerts }));
    script.sync(Phase::Initialized, 0);
    script.memory.asked = None;
    Ok(script.done(Reason::Stepped, Some(seen.now)))
}

/// Everything after the initialisation (S7 to S32).
fn carry_on(script: &mut Script<'_>) -> Flow<Box<End>> {
    let seen = script.seen;
    if let Change::Rebaseline(rebased) = change::change(seen) {
        script.act(Action::Log(format!(
            "Revision of {} is stored by an older formula, the status is rewritten",
            script.rollout.full_target()
        )));
        script.act(Action::Record(rebased));
        return Ok(script.done(Reason::Stepped, Some(seen.now)));
    }
    upkeep(script);
    if let Err(trouble) = &seen.configs {
        return Ok(script.halt("ConfigsUnreadable", &trouble.message));
    }
    match seen.status.phase {
        Phase::Waiting => idle::start(script),
        Phase::Progressing | Phase::WaitingPromotion => {
            primary_ready(script)?;
            let live = routes(script)?;
            round::decide(script, &live)
        }
        Phase::Promoting | Phase::Finalising => {
            primary_ready(script)?;
            let live = routes(script)?;
            round::canary_ready(script)?;
            match seen.status.phase {
                // The revision that would be copied is not the one that was confirmed.
                _ if script.rollout.skip_analysis && change::change(seen) == Change::New => Ok(round::restart(script)),
                _ if script.rollout.skip_analysis => Ok(finish::skip(script, &live)),
                Phase::Promoting => Ok(finish::shift(script, &live)),
                _ => Ok(finish::scale_down(script, &live)),
            }
        }
        _ => idle::decide(script),
    }
}

/// What must hold in every phase: nothing is written where it does.
fn upkeep(script: &mut Script<'_>) {
    let (rollout, seen) = (script.rollout, script.seen);
    let routes = Action::Route(upheld(rollout, seen));
    script.upkeep.push(Action::EnsureServices);
    if seen.abilities.routes_first {
        script.upkeep.push(routes.clone());
    }
    script.upkeep.push(Action::EnsurePrimary);
    if rollout.autoscaler.is_some() {
        script.upkeep.push(Action::EnsureScaler);
    }
    script.upkeep.push(Action::EnsureApex);
    if !seen.abilities.routes_first {
        script.upkeep.push(routes);
    }
}

/// The routes to uphold: in a rollout those that are there, so that a repair keeps the weights; at rest, and where the objects are gone, those that the
/// status implies.
fn upheld(rollout: &Rollout, seen: &Observation) -> Routes {
    let resting = !matches!(
        seen.status.phase,
        Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion | Phase::Promoting | Phase::Finalising
    );
    match &seen.routes {
        // Also at rest no repair takes traffic from the only side with pods: a promotion failed, and a fix is being deployed.
        Ok(live) if !resting || finish::would_go_dark(seen) => Routes { affinity: None, ..live.clone() },
        Ok(_) => implied(rollout, seen),
        Err(_) => {
            // Made again, they need the cookies of the clients that were promised a side.
            let routes = implied(rollout, seen);
            let affinity = cookies::follow(rollout, &seen.abilities, &mut seen.status.clone(), routes.canary);
            Routes { affinity, ..routes }
        }
    }
}

fn implied(rollout: &Rollout, seen: &Observation) -> Routes {
    let status = &seen.status;
    let (strategy, iterations) = strategy::effective(rollout, &seen.abilities);
    let running = matches!(status.phase, Phase::Progressing | Phase::WaitingPromotion | Phase::Promoting);
    let canary = match strategy {
        _ if matches!(status.phase, Phase::Failed | Phase::Waiting) => status.canary_weight,
        // Waiting for the promotion the status says 0, while the canary keeps what it had.
        Strategy::Weighted if status.phase == Phase::WaitingPromotion => strategy::max_weight(rollout),
        Strategy::Weighted if running => status.canary_weight,
        Strategy::AbTesting if running && (status.iterations > 0 || status.phase == Phase::WaitingPromotion) => 100,
        Strategy::BlueGreen if running && status.iterations > iterations => 100,
        _ => 0,
    };
    // What cannot be read may still be there: traffic is taken from the canary only where the primary can serve it.
    let ready = seen.canary_serves() || !seen.primary_serves();
    let mirrored = strategy == Strategy::BlueGreen
        && rollout.analysis.mirror
        && seen.abilities.mirrors
        && status.phase == Phase::Progressing
        && (1..=iterations).contains(&status.iterations);
    Routes {
        canary: if ready { Weight::clipped(canary) } else { Weight::ZERO },
        mirrored: mirrored && ready,
        affinity: None,
    }
}

/// The primary must be able to serve. One that will never be ends the rollout: while it is promoted in favour of the canary, before that of the primary.
fn primary_ready(script: &mut Script<'_>) -> Flow<()> {
    if script.rollout.skip_analysis {
        return Ok(());
    }
    let Err(trouble) = &script.seen.primary.readiness else { return Ok(()) };
    if trouble.retriable {
        return Err(script.wait_for_readiness(&trouble.message));
    }
    Err(if matches!(script.seen.status.phase, Phase::Promoting | Phase::Finalising) {
        finish::fail_promotion(script, &trouble.message)
    } else if finish::would_go_dark(script.seen) {
        script.wait_for_readiness(&trouble.message)
    } else {
        script.warn(trouble.message.clone());
        finish::roll_back(script, &finish::Cause::Primary)
    })
}

/// Where traffic goes now.
fn routes(script: &mut Script<'_>) -> Flow<Routes> {
    let seen = script.seen;
    if !seen.abilities.shifts {
        let live = Routes::weighted(if seen.status.iterations > 0 { Weight::FULL } else { Weight::ZERO });
        script.note_weights(&live);
        return Ok(live);
    }
    match &seen.routes {
        Ok(live) => {
            script.note_weights(live);
            Ok(live.clone())
        }
        Err(trouble) => Err(script.halt("RoutesUnreadable", &trouble.message)),
    }
}

/// What the shell does when an action failed: the text is told once, and written into the conditions.
pub fn decide_failed(rollout: &Rollout, seen: &Observation, message: &str) -> Decision {
    let mut script = Script::new(rollout, seen);
    let end = script.halt("ActionFailed", message);
    script.decision(end)
}
