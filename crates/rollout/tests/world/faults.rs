//! What goes wrong between the decision and its world: writes that fail in every way, late views, slow and fickle answers, a clock that jumps.

use super::{Failure, Turn, Workload, World, canary};
use api::{HookType, Phase};
use jiff::{SignedDuration, Timestamp};
use rollout::{Action, Answer, MetricTrouble, Next, Observation, Question, decide_failed};
use serde_json::Value;

/// How a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The API server says no.
    Refused,
    /// Somebody else wrote in between.
    Conflict,
    /// It is done, but the answer never comes.
    TimedOut,
    /// The process dies, also between two actions that write nothing.
    Crash,
}

/// The workloads as the watches show them, though others have changed them since. What we wrote ourselves is always seen (design, principle 5).
#[derive(Debug, Clone)]
pub(crate) struct Lag {
    pub(crate) until: Timestamp,
    target: Option<Workload>,
    primary: Option<Workload>,
}

impl World {
    /// Tries an action. `Ok(true)`: something was written.
    pub(crate) fn apply(&mut self, action: &Action) -> Result<bool, Failure> {
        let silent = matches!(
            action,
            Action::Emit(_) | Action::Alert(_) | Action::Announce(_) | Action::Count(_) | Action::Log(_)
        );
        if let Some(left) = self.fail_after.as_mut().filter(|_| !silent || self.strike == Strike::Crash) {
            if *left > 0 {
                *left -= 1;
            } else {
                self.fail_after = None;
                return Err(match self.strike {
                    Strike::Refused => Failure::Text("the API server says no".to_owned()),
                    Strike::Conflict => Failure::Changed,
                    Strike::Crash => Failure::Died,
                    Strike::TimedOut => {
                        self.carry_out(action)?;
                        Failure::Text("the API server did not answer in time".to_owned())
                    }
                });
            }
        }
        let done = self.carry_out(action)?;
        match action {
            Action::Record(_) => self.decided = self.version,
            Action::ScaleUp
            | Action::ScaleDown
            | Action::RevertTarget
            | Action::EnsurePrimary
            | Action::Promote { .. }
                if done =>
            {
                self.lag = None;
            }
            _ => {}
        }
        Ok(done)
    }

    /// What the shell does when an action failed.
    pub(super) fn failed(&mut self, seen: &Observation, failure: Failure) -> Turn {
        let text = match failure {
            Failure::Text(text) => text,
            Failure::Changed => {
                self.lag = None;
                return Turn::Again;
            }
            Failure::Died => {
                self.restart();
                return Turn::Pause;
            }
        };
        if let Next::Act(plan) = decide_failed(&self.rollout(), seen, &text).next {
            for action in &plan.actions {
                let _ = self.apply(action);
            }
            self.memory = plan.memory;
        }
        Turn::Pause
    }

    /// For so many seconds nothing that others do with the workloads is seen.
    pub(crate) fn fall_behind(&mut self, seconds: i64) {
        let until = self.now + SignedDuration::from_secs(seconds);
        self.lag = Some(Lag { until, target: self.target.clone(), primary: self.primary.clone() });
    }

    /// Target and primary as they are seen.
    pub(super) fn shown(&self) -> (&Option<Workload>, &Option<Workload>) {
        match self.lag.as_ref().filter(|lag| lag.until > self.now) {
            Some(lag) => (&lag.target, &lag.primary),
            None => (&self.target, &self.primary),
        }
    }

    /// The clock of this process is set forwards or back; nothing else happens.
    pub(crate) fn set_clock(&mut self, seconds: i64) {
        let jump = SignedDuration::from_secs(seconds);
        self.now += jump;
        for side in [&mut self.target, &mut self.primary].into_iter().flatten() {
            side.since += jump;
        }
        self.lag = None;
    }

    /// Somebody edits the Canary.
    pub(crate) fn edit(&mut self, spec: Value) {
        self.canary = canary(spec, self.canary.metadata.generation + 1);
    }

    /// The answer to a question, which may take its time.
    pub(super) fn answer(&mut self, question: &Question) -> Answer {
        let rollout = self.rollout();
        match question {
            Question::Hook { index, payload } => {
                let hook = &rollout.analysis.webhooks[*index];
                self.story.push(format!("hook {} ({})", hook.name, payload.phase));
                self.now += SignedDuration::from_secs(self.slow);
                let calm = if hook.kind == HookType::Rollback { Err("closed".to_owned()) } else { Ok(()) };
                let answer = self.hooks.get(&hook.name).cloned().unwrap_or(calm);
                if self.fickle {
                    let turned = if answer.is_ok() { Err("context deadline exceeded".to_owned()) } else { Ok(()) };
                    self.hooks.insert(hook.name.clone(), turned);
                }
                let gate = matches!(hook.kind, HookType::Rollout | HookType::ConfirmPromotion);
                if (gate && answer.is_err()) || (hook.kind == HookType::Rollback && answer.is_ok()) {
                    self.forbidden = Some(format!("hook {}: {answer:?}", hook.name));
                }
                Answer::Hook(answer)
            }
            Question::Metric { index, .. } => {
                let name = &rollout.analysis.metrics[*index].name;
                let answer = self.metrics.get(name).cloned().unwrap_or(Ok(100.0));
                if self.fickle {
                    let turned = if answer.is_ok() { Err(MetricTrouble::Failed("boom".to_owned())) } else { Ok(100.0) };
                    self.metrics.insert(name.clone(), turned);
                }
                // All metrics of these worlds want exactly 100.
                if !answer.as_ref().is_ok_and(|value| (99.0..=100.0).contains(value)) {
                    self.forbidden = Some(format!("metric {name}: {answer:?}"));
                }
                Answer::Metric(answer)
            }
            Question::Providers => Answer::Providers(self.providers.clone()),
        }
    }

    /// Whether the revision may become the primary: nothing in this round of questions spoke against it.
    pub(super) fn is_proven(&self, revision: &str) {
        let free = self.canary.spec.skip_analysis || matches!(self.status.phase, Phase::Unset | Phase::Initializing);
        assert!(
            free || self.forbidden.is_none(),
            "{revision} is promoted although {}\n{}",
            self.forbidden.clone().unwrap_or_default(),
            self.recent()
        );
    }
}
