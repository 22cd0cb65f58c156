//! Telling how a rollout ended, exactly once.
//!
//! An outcome is recorded first, with the note (`status.unannounced`) of what is still to be told. Telling it is a decision of its own, so that neither a
//! crash nor a slow receiver in between changes what was done. The order is what makes it exactly once:
//!
//! 1. post-rollout hooks are asked, and what they said is written into the note, before anything else is written (after a rollback the outcome is told
//!    first: people wait for it);
//! 2. the announcement ([`crate::Announcement`]) writes its Kubernetes events under names that follow from the Canary, the rollout and the text (the
//!    second time the API server says that they are there already), and after all of them it calls event webhooks and sends alerts, once per process;
//! 3. the note is cleared by the next write.
//!
//! So between the first request to a receiver and the write that notes it nothing else is written. What no order can promise: a process that is killed
//! exactly between such a request and that write asks the receiver again (nobody else can know that it was asked), and one that is killed while a receiver
//! keeps it waiting for longer than the runtime waits (10 s) does not try again.
//! Source: controller notes, sections 9.6, 9.7 and 10.

use crate::plan::{Action, Alert, Announcement, Event, EventKind, Reason};
use crate::question::Payload;
use crate::script::{End, Flow, Script};
use crate::strategy;
use api::{CanaryStatus, HookType, Phase, Severity};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An outcome that is still to be told; stored in the status as `Outcome Phase Details`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unannounced {
    pub(crate) ending: Ending,
    /// The phase in which the end was decided: events after a rollback still tell it.
    pub(crate) from: Phase,
    pub(crate) details: Details,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Promoted,
    Skipped,
    RolledBack,
}

/// What the texts need that the status no longer says, and what was told already. JSON in the note, left out where there is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Details {
    /// So many checks had failed: the threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed_checks: Option<i64>,
    /// The deadline passed: what was not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<String>,
    /// The promotion failed: what was not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promotion: Option<String>,
    /// The revision that receivers are told about, where it is not the one that was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) about: Option<Payload>,
    /// All but the post-rollout hooks was told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) told: bool,
    /// What the post-rollout hooks came to: whether one passed, and the text of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hooks: Option<Vec<(bool, String)>>,
}

impl Unannounced {
    pub(crate) fn new(ending: Ending, from: Phase) -> Self {
        Self { ending, from, details: Details::default() }
    }

    /// Reads what [`fmt::Display`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let ending = match parts.next()? {
            "Promoted" => Ending::Promoted,
            "Skipped" => Ending::Skipped,
            "RolledBack" => Ending::RolledBack,
            _ => return None,
        };
        let from = Phase::from_text(parts.next().unwrap_or_default());
        // What cannot be read was written by another version, or by hand: the outcome itself is told nevertheless.
        let details = parts.next().and_then(|details| serde_json::from_str(details).ok()).unwrap_or_default();
        Some(Self { ending, from, details })
    }

    /// Keeps the revision that receivers are told about, if recording the outcome changes it.
    pub(crate) fn about(&mut self, before: &CanaryStatus, after: &CanaryStatus) {
        let payload = Payload::of(before, self.from);
        self.details.about = (payload != Payload::of(after, self.from)).then_some(payload);
    }

    fn event(&self, status: &CanaryStatus, phase: Phase, kind: EventKind, message: impl Into<String>) -> Event {
        let payload = match &self.details.about {
            Some(about) => Payload { phase, ..about.clone() },
            None => Payload::of(status, phase),
        };
        Event { kind, message: message.into(), payload }
    }
}

impl fmt::Display for Unannounced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.ending, self.from)?;
        match serde_json::to_string(&self.details) {
            Ok(details) if details != "{}" => write!(f, " {details}"),
            _ => Ok(()),
        }
    }
}

/// Tells what is still to be told.
pub(crate) fn announce(script: &mut Script<'_>, note: &str) -> Flow<Box<End>> {
    let Some(mut pending) = Unannounced::parse(note) else {
        return Ok(note_down(script, None));
    };
    let hooked = script.rollout.hooks(HookType::PostRollout).next().is_some();
    if pending.ending == Ending::RolledBack && !pending.details.told {
        let (events, alerts) = rolled_back(script, &pending);
        tell(script, &pending, "outcome", events, alerts);
        pending.details.told = true;
        return Ok(note_down(script, hooked.then_some(pending)));
    }
    if hooked && pending.details.hooks.is_none() {
        let id = id(script, &pending, "hooks");
        let Some((_, said)) = script.memory.said.take().filter(|(about, _)| *about == id) else {
            // Remembered before it is noted: should the note fail, nobody is asked again.
            let said = ask_hooks(script, &pending)?;
            script.memory.said = Some((id, said));
            return Ok(script.end(Reason::Finished, Some(script.seen.now)));
        };
        pending.details.hooks = Some(said);
        return Ok(note_down(script, Some(pending)));
    }
    let told = pending.told_as();
    let mut events: Vec<Event> = pending
        .details
        .hooks
        .iter()
        .flatten()
        .map(|(passed, text)| {
            let kind = if *passed { EventKind::Normal } else { EventKind::Warning };
            pending.event(&script.seen.status, told, kind, text)
        })
        .collect();
    let mut alerts = Vec::new();
    let target = script.rollout.full_target();
    let closing = match pending.ending {
        Ending::Promoted => Some((
            format!("Promotion completed! Scaling down {target}"),
            "Canary analysis completed successfully, promotion finished.",
        )),
        Ending::Skipped => Some((
            format!("Promotion completed! Canary analysis was skipped for {target}"),
            "Canary analysis was skipped, promotion finished.",
        )),
        Ending::RolledBack => None,
    };
    if let Some((text, alert)) = closing {
        events.push(pending.event(&script.seen.status, told, EventKind::Normal, text));
        alerts.push(Alert { severity: Severity::Info, message: alert.to_owned(), with_fields: false });
    }
    tell(script, &pending, "end", events, alerts);
    Ok(note_down(script, None))
}

impl Unannounced {
    /// After a success events tell the new phase, after a failure that in which it was decided.
    fn told_as(&self) -> Phase {
        if self.ending == Ending::RolledBack { self.from } else { Phase::Succeeded }
    }
}

/// The texts of a rollback, or of a promotion that failed.
fn rolled_back(script: &Script<'_>, pending: &Unannounced) -> (Vec<Event>, Vec<Alert>) {
    let name = script.rollout.full_name();
    let (mut events, mut alerts) = (Vec::new(), Vec::new());
    let mut warn =
        |phase, text: String| events.push(pending.event(&script.seen.status, phase, EventKind::Warning, text));
    let mut alarm = |message| alerts.push(Alert { severity: Severity::Error, message, with_fields: false });
    let details = &pending.details;
    if let Some(reason) = &details.promotion {
        warn(pending.from, reason.clone());
        warn(pending.from, promotion_failed(script, reason));
        alarm(format!("Promotion failed, primary not ready: {reason}"));
        return (events, alerts);
    }
    if let Some(failed) = details.failed_checks {
        warn(pending.from, format!("Rolling back {name} failed checks threshold reached {failed}"));
        alarm(format!("Failed checks threshold reached {failed}"));
    }
    if let Some(reason) = &details.deadline {
        warn(pending.from, format!("Rolling back {name} progress deadline exceeded {reason}"));
        alarm(format!("Progress deadline exceeded {reason}"));
    }
    warn(Phase::Failed, format!("Canary failed! Scaling down {name}"));
    (events, alerts)
}

/// The text for a promotion that failed.
pub(crate) fn promotion_failed(script: &Script<'_>, reason: &str) -> String {
    format!("Promotion of {} failed, primary not ready: {reason}", script.rollout.full_target())
}

/// Asks the post-rollout hooks. The first that fails ends the sequence; nothing else depends on them.
fn ask_hooks(script: &mut Script<'_>, pending: &Unannounced) -> Flow<Vec<(bool, String)>> {
    let phase = if pending.ending == Ending::RolledBack { Phase::Failed } else { Phase::Succeeded };
    let mut said = Vec::new();
    for (index, hook) in script.rollout.hooks(HookType::PostRollout) {
        match strategy::passes(script, index, phase)? {
            Ok(()) => said.push((true, format!("Post-rollout check {} passed", hook.name))),
            Err(answer) => {
                said.push((false, format!("Post-rollout hook {} failed {answer}", hook.name)));
                break;
            }
        }
    }
    Ok(said)
}

/// Adds the announcement.
fn tell(script: &mut Script<'_>, pending: &Unannounced, part: &str, events: Vec<Event>, alerts: Vec<Alert>) {
    if !events.is_empty() || !alerts.is_empty() {
        let id = id(script, pending, part);
        script.act(Action::Announce(Announcement { id, events, alerts }));
    }
}

/// Names a part of an outcome. It follows from what was stored with the outcome, so it is the same in every process.
fn id(script: &Script<'_>, pending: &Unannounced, part: &str) -> String {
    let status = &script.seen.status;
    let at = status.last_transition_time.map_or_else(String::new, |time| time.to_string());
    let revision = status.last_applied_spec.as_deref().unwrap_or_default();
    format!("{:?} {revision} {at} {part}", pending.ending)
}

/// Writes what is left to be told.
fn note_down(script: &mut Script<'_>, left: Option<Unannounced>) -> Box<End> {
    script.status.unannounced = left.map(|left| left.to_string());
    script.record();
    script.done(Reason::Finished, Some(script.seen.now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let plain = Unannounced::new(Ending::Promoted, Phase::Finalising);
        assert_eq!(plain.to_string(), "Promoted Finalising");
        assert_eq!(Unannounced::parse("Promoted Finalising"), Some(plain));
        let mut failed = Unannounced::new(Ending::RolledBack, Phase::Progressing);
        failed.details = Details {
            failed_checks: Some(3),
            deadline: Some("a \"text\" with words".to_owned()),
            hooks: Some(vec![(false, "no".to_owned())]),
            told: true,
            ..Details::default()
        };
        assert_eq!(Unannounced::parse(&failed.to_string()), Some(failed));
        assert_eq!(Unannounced::parse("Promoted"), Some(Unannounced::new(Ending::Promoted, Phase::Unset)));
        assert_eq!(Unannounced::parse("Succeeded"), None);
        assert_eq!(
            Unannounced::parse("RolledBack Progressing {broken"),
            Some(Unannounced::new(Ending::RolledBack, Phase::Progressing))
        );
    }
}
