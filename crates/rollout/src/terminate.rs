//! A Canary with `revertOnDeletion` is being deleted: everything is given back, then our finalizer goes.
//!
//! Source: controller notes, section 15.

use crate::plan::{Action, Announcement, Reason};
use crate::script::{End, Script};
use api::Phase;

/// Gives back the target, waits until it can serve, then gives back Service and routes.
pub(crate) fn decide(script: &mut Script<'_>) -> Box<End> {
    let rollout = script.rollout;
    let seen = script.seen;
    let name = rollout.full_name();
    if !matches!(seen.status.phase, Phase::Terminating | Phase::Terminated) {
        script.memory.left = Some(seen.status.phase);
        script.enter(Phase::Terminating, 0);
        script.normal(format!("Terminating canary {name}"));
        return script.end(Reason::Terminating, Some(seen.now));
    }
    let target_gone = seen.target.as_ref().is_err_and(|trouble| trouble.missing);
    if !target_gone {
        if rollout.autoscaler.is_some() {
            script.upkeep.push(Action::ResumeScaler);
        }
        script.upkeep.push(Action::RevertTarget);
        let readiness = seen.target.as_ref().map_err(Clone::clone).and_then(|target| target.readiness.clone());
        if let Err(trouble) = readiness {
            let text = format!("canary not ready during finalizing: {}", trouble.message);
            script.record_halt(crate::kstatus::Halt { reason: "Terminating", message: &text });
            script.act(Action::Log(text));
            let wake = script.later(seen.now);
            return script.end(Reason::Terminating, Some(wake));
        }
        script.act(Action::RevertServices);
    }
    script.act(Action::RevertRoutes);
    // Told before the last write: there is no Canary after it that could still have to be told.
    let left = seen.memory.left.unwrap_or(Phase::Terminating);
    let event = script.event_as(left, crate::EventKind::Normal, format!("Terminated canary {name}"));
    script.act(Action::Announce(Announcement { id: "Terminated".to_owned(), events: vec![event], alerts: Vec::new() }));
    script.act(Action::RemoveFinalizer);
    script.end(Reason::Terminating, None)
}
