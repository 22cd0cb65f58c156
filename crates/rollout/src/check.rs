//! The invariants of a rollout, stated once: what no decision may do, whatever was observed.
//!
//! One checker over finished decisions, which every test calls. It follows a decision action by action, from what was observed, and touches nothing.
//! Source: the design, section 4; acceptance scenarios L-02, L-26b.

use crate::observation::Observation;
use crate::plan::{Action, Decision, Event, Next, Plan};
use crate::question::{Answer, Answers, Check, Payload, Question};
use crate::routes::Routes;
use crate::{strategy, verdict};
use api::{CanaryStatus, HookType, Phase, Rollout, Strategy};

/// A promise that a decision breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The share of a canary without ready pods goes up.
    #[error("the canary gets {to}% of the traffic instead of {from}%, and cannot serve")]
    TrafficToDeadCanary {
        /// Before.
        from: i64,
        /// After.
        to: i64,
    },
    /// The share of a primary without ready pods goes up, while the canary has pods that may.
    #[error("the primary gets {to}% of the traffic instead of {from}%, and cannot serve; the canary may")]
    TrafficToDeadPrimary {
        /// Before.
        from: i64,
        /// After.
        to: i64,
    },
    /// The canary is scaled to zero while it has traffic.
    #[error("the canary is scaled down with {percent}% of the traffic")]
    ScaledDownWithTraffic {
        /// Its share.
        percent: i64,
    },
    /// While initialising, the target is scaled down before the primary serves and clients are sent there.
    #[error("the target is scaled down before the primary has taken over: {0}")]
    ScaledDownTooEarly(&'static str),
    /// The primary gets a revision that did not pass.
    #[error("the primary gets revision {revision:?}: {why}")]
    Unproven {
        /// What is copied.
        revision: String,
        /// What is missing.
        why: String,
    },
    /// Something is done although nothing may be.
    #[error("{0} is done although the Canary is suspended or cannot be used")]
    Meddling(&'static str),
    /// Something changes after the status was written, so that a crash between the two would lose it.
    #[error("{0} comes after the status was written")]
    AfterStatus(&'static str),
    /// The status says what cannot be.
    #[error("the status is wrong: {0}")]
    Status(String),
    /// Look again at once, though nothing changes: an endless loop.
    #[error("nothing changes, and it is looked at again at once")]
    Spinning,
    /// It is looked at again only later than an interval from now: a clock that was set back would stop the rollout.
    #[error("the next look comes only in {seconds} s, later than an interval from now")]
    Late {
        /// From now.
        seconds: i64,
    },
    /// Nothing has changed since a plan was applied, and yet something is done.
    #[error("decided again at the same moment, something is done: {0}")]
    Restless(String),
    /// A rollout that is not over waits for a change that may never come.
    #[error("phase {0} has no next look")]
    Forgotten(Phase),
    /// A question is asked that is answered already, or none at all.
    #[error("a question is repeated or missing")]
    Repeated,
    /// An event is told twice in one round.
    #[error("event {0:?} is told twice")]
    ToldTwice(String),
}

/// What a decision breaks; nothing, if all is well.
pub fn check(rollout: &Rollout, seen: &Observation, decision: &Decision) -> Vec<Violation> {
    let mut checker = Checker { rollout, seen, routes: live(seen), apex: false, recorded: None, broken: Vec::new() };
    for action in &decision.upkeep {
        checker.action(action);
    }
    match &decision.next {
        Next::Ask { announce, questions } => checker.questions(announce, questions),
        Next::Act(plan) => {
            for action in &plan.actions {
                checker.action(action);
            }
            checker.end(plan);
        }
    }
    checker.broken
}

/// What deciding again breaks: where a plan changed nothing, and did not ask to be looked at again at once, the next decision at the same moment asks nothing,
/// tells nothing and changes nothing.
pub fn again(first: (&Observation, &Decision), second: (&Observation, &Decision)) -> Vec<Violation> {
    let ((before, decided), (seen, decision)) = (first, second);
    let Next::Act(plan) = &decided.next else { return Vec::new() };
    let applied = Observation { answers: Answers::default(), memory: plan.memory.clone(), ..before.clone() };
    let changes = plan.actions.iter().any(|action| match action {
        Action::Record(status) => **status != before.status,
        Action::AddFinalizer | Action::RemoveFinalizer => true,
        other => moves(other).is_some(),
    });
    let done = if changes || applied != *seen || plan.wake.is_some_and(|wake| wake <= seen.now) {
        None
    } else {
        match &decision.next {
            Next::Ask { .. } => Some("questions are asked".to_owned()),
            Next::Act(plan) => plan.actions.iter().find_map(|action| match action {
                Action::Record(status) => (**status != seen.status).then(|| "the status is written".to_owned()),
                Action::Emit(event) => Some(format!("event {:?}", event.message)),
                Action::Alert(alert) => Some(format!("alert {:?}", alert.message)),
                Action::Announce(announcement) => Some(format!("announcement {:?}", announcement.id)),
                Action::Count(_) => Some("an outcome is counted".to_owned()),
                _ => None,
            }),
        }
    };
    done.map(Violation::Restless).into_iter().collect()
}

/// Where traffic goes; where there are no routes yet, clients reach the primary by the apex Service.
fn live(seen: &Observation) -> Routes {
    seen.routes.as_ref().map_or_else(|_| Routes::to_primary(), Clone::clone)
}

struct Checker<'a> {
    rollout: &'a Rollout,
    seen: &'a Observation,
    routes: Routes,
    apex: bool,
    recorded: Option<&'a CanaryStatus>,
    broken: Vec<Violation>,
}

impl<'a> Checker<'a> {
    fn action(&mut self, action: &'a Action) {
        if let Some(name) = moves(action) {
            if self.recorded.is_some() {
                self.broken.push(Violation::AfterStatus(name));
            }
            if !self.seen.object.deleting && (self.rollout.suspended || self.seen.unusable.is_some()) {
                self.broken.push(Violation::Meddling(name));
            }
        }
        match action {
            Action::Route(want) => self.route(want),
            Action::ScaleDown => self.scale_down(),
            Action::EnsureApex => self.apex = true,
            Action::Promote { revision } => self.promote(revision),
            Action::Record(status) => {
                self.status(status);
                self.recorded = Some(status);
            }
            Action::Emit(event) => self.told(event),
            Action::Announce(announcement) => announcement.events.iter().for_each(|event| self.told(event)),
            _ => {}
        }
    }

    /// The share of a side that cannot serve never goes up, unless the other one certainly cannot either.
    fn route(&mut self, want: &Routes) {
        let (from, to) = (self.routes.canary, want.canary);
        let (canary, primary) = (self.seen.canary_serves(), self.seen.primary_serves());
        // Initialising without analysis does not wait for the primary, as documented.
        let hasty = self.rollout.skip_analysis && matches!(self.seen.status.phase, Phase::Unset | Phase::Initializing);
        if self.seen.abilities.shifts && !hasty {
            if to > from && !canary && primary {
                self.broken.push(Violation::TrafficToDeadCanary { from: from.percent(), to: to.percent() });
            }
            let pods = self.seen.target.as_ref().is_ok_and(|target| !target.scaled_down);
            if to < from && pods && !primary {
                self.broken
                    .push(Violation::TrafficToDeadPrimary { from: from.rest().percent(), to: to.rest().percent() });
            }
        }
        self.routes = want.clone();
    }

    fn scale_down(&mut self) {
        let shifts = self.seen.abilities.shifts;
        if shifts && !self.routes.canary.is_zero() {
            self.broken.push(Violation::ScaledDownWithTraffic { percent: self.routes.canary.percent() });
        }
        if matches!(self.seen.status.phase, Phase::Unset | Phase::Initializing) {
            if !self.rollout.skip_analysis && self.seen.primary.readiness.is_err() {
                self.broken.push(Violation::ScaledDownTooEarly("it is not ready"));
            }
            if !self.apex {
                self.broken.push(Violation::ScaledDownTooEarly("clients are not sent there"));
            }
        }
    }

    /// The primary's template is one that was promoted at initialisation, by a passed analysis, or by `skipAnalysis`.
    fn promote(&mut self, revision: &str) {
        let seen = self.seen;
        let why = match &seen.target {
            Ok(target) if target.revision.hash != *revision => {
                Some(format!("the target is {:?}", target.revision.hash))
            }
            Err(_) => Some("the target cannot be read".to_owned()),
            Ok(_) if matches!(seen.status.phase, Phase::Unset | Phase::Initializing) || self.rollout.skip_analysis => {
                None
            }
            Ok(_) if !matches!(seen.status.phase, Phase::Progressing | Phase::WaitingPromotion) => {
                Some(format!("phase {}", seen.status.phase))
            }
            Ok(target) => target
                .readiness
                .as_ref()
                .err()
                .map(|trouble| trouble.message.clone())
                .or_else(|| self.unfinished())
                .or_else(|| self.unanswered()),
        };
        if let Some(why) = why {
            self.broken.push(Violation::Unproven { revision: revision.to_owned(), why });
        }
    }

    /// What is missing of the steps.
    fn unfinished(&self) -> Option<String> {
        let (strategy, iterations) = strategy::effective(self.rollout, &self.seen.abilities);
        let (done, needed) = match strategy {
            Strategy::Weighted => (live(self.seen).canary.percent(), strategy::max_weight(self.rollout)),
            Strategy::AbTesting | Strategy::BlueGreen => (self.seen.status.iterations, iterations),
        };
        (done < needed).then(|| format!("at step {done} of {needed}"))
    }

    /// What was not answered, or with a no, in this round.
    fn unanswered(&self) -> Option<String> {
        let answers = &self.seen.answers;
        let payload = Payload::of(&self.seen.status, Phase::Progressing);
        let hooks = self.rollout.hooks(HookType::Rollout).chain(self.rollout.hooks(HookType::ConfirmPromotion));
        for (index, hook) in hooks {
            if !matches!(answers.to(&Question::Hook { index, payload: payload.clone() }), Some(Answer::Hook(Ok(())))) {
                return Some(format!("hook {} did not agree", hook.name));
            }
        }
        for (index, metric) in self.rollout.analysis.metrics.iter().enumerate() {
            let mut measured = false;
            for check in [Check::SuccessRate, Check::Duration, Check::Inline, Check::Template] {
                let Some(Answer::Metric(found)) = answers.to(&Question::Metric { index, check }) else { continue };
                measured = true;
                let judged = verdict::judge(self.rollout, &self.seen.observer, metric, check, found);
                if let Some((_, complaint)) = judged.complaint {
                    return Some(complaint);
                }
            }
            if !measured {
                return Some(format!("metric {} was not measured", metric.name));
            }
        }
        None
    }

    fn status(&mut self, status: &CanaryStatus) {
        let before = &self.seen.status;
        let mut wrong = |why: &str| self.broken.push(Violation::Status(why.to_owned()));
        if status.canary_weight != before.canary_weight && !(0..=100).contains(&status.canary_weight) {
            wrong("a weight is from 0 to 100");
        }
        if status.iterations != before.iterations && status.iterations < -1 {
            wrong("iterations are counted from 0, or -1 while a weighted promotion waits");
        }
        if status.failed_checks != before.failed_checks
            && status.failed_checks != 0
            && status.failed_checks != before.failed_checks.saturating_add(1)
        {
            wrong("failed checks are counted one by one");
        }
        if status.phase != before.phase {
            if matches!(status.phase, Phase::Initialized | Phase::Succeeded)
                && status.last_promoted_spec != status.last_applied_spec
            {
                wrong("what is applied was promoted");
            }
            if status
                .conditions
                .first()
                .is_none_or(|condition| condition.kind != "Promoted" || condition.reason != status.phase.as_str())
            {
                wrong("the first condition says the phase");
            }
        }
    }

    fn told(&mut self, event: &Event) {
        if self.seen.answers.announced.contains(event) {
            self.broken.push(Violation::ToldTwice(event.message.clone()));
        }
    }

    fn questions(&mut self, announce: &[Event], questions: &[Question]) {
        for event in announce {
            self.told(event);
        }
        if questions.is_empty() || questions.iter().any(|question| self.seen.answers.to(question).is_some()) {
            self.broken.push(Violation::Repeated);
        }
    }

    fn end(&mut self, plan: &Plan) {
        let status = self.recorded.unwrap_or(&self.seen.status);
        let changes = *status != self.seen.status || plan.actions.iter().any(|action| moves(action).is_some());
        let finalizer = plan.actions.iter().any(|action| matches!(action, Action::RemoveFinalizer));
        let learned = plan.memory.said != self.seen.memory.said;
        if plan.wake.is_some_and(|wake| wake <= self.seen.now) && !changes && !finalizer && !learned {
            self.broken.push(Violation::Spinning);
        }
        let latest = self.seen.now.checked_add(self.rollout.interval.to_signed()).ok();
        if let Some(wake) = plan.wake.filter(|wake| latest.is_some_and(|latest| *wake > latest)) {
            self.broken.push(Violation::Late { seconds: wake.duration_since(self.seen.now).as_secs() });
        }
        // A phase that nobody knows (a newer version wrote it) is one at rest.
        let over = matches!(
            status.phase,
            Phase::Initialized
                | Phase::Succeeded
                | Phase::Failed
                | Phase::Terminating
                | Phase::Terminated
                | Phase::Unknown
        );
        let resting = over || self.rollout.suspended || self.seen.unusable.is_some() || self.seen.object.deleting;
        if plan.wake.is_none() && !resting {
            self.broken.push(Violation::Forgotten(status.phase));
        }
    }
}

/// The name of an action that changes workloads, Services or routes.
fn moves(action: &Action) -> Option<&'static str> {
    Some(match action {
        Action::EnsureServices => "EnsureServices",
        Action::EnsurePrimary => "EnsurePrimary",
        Action::EnsureScaler => "EnsureScaler",
        Action::EnsureApex => "EnsureApex",
        Action::Route(_) => "Route",
        Action::ScaleDown => "ScaleDown",
        Action::ScaleUp => "ScaleUp",
        Action::PauseScaler => "PauseScaler",
        Action::ResumeScaler => "ResumeScaler",
        Action::Promote { .. } => "Promote",
        Action::UpdateScaler => "UpdateScaler",
        Action::RevertTarget => "RevertTarget",
        Action::RevertServices => "RevertServices",
        Action::RevertRoutes => "RevertRoutes",
        Action::AddFinalizer
        | Action::RemoveFinalizer
        | Action::Record(_)
        | Action::Emit(_)
        | Action::Alert(_)
        | Action::Announce(_)
        | Action::Count(_)
        | Action::Log(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Trouble;
    use crate::plan::{Gauges, Reason};
    use crate::routes::Weight;
    use crate::testing;
    use jiff::Timestamp;

    fn broken(seen: &Observation, actions: Vec<Action>, wake: Option<Timestamp>) -> Vec<Violation> {
        let plan = Plan { actions, wake, why: Reason::Stepped, memory: seen.memory.clone(), gauges: Gauges::default() };
        check(&testing::rollout(), seen, &Decision { upkeep: Vec::new(), next: Next::Act(plan) })
    }

    fn analysed(weight: i64) -> Observation {
        let mut seen = testing::seen();
        seen.status.phase = Phase::Progressing;
        seen.routes = Ok(Routes::weighted(Weight::clipped(weight)));
        if let Ok(target) = &mut seen.target {
            target.scaled_down = false;
        }
        seen
    }

    #[test]
    fn each_promise_can_be_broken() {
        let seen = analysed(50);
        let later = Some(seen.now + jiff::SignedDuration::from_secs(10));
        assert_eq!(broken(&seen, vec![Action::Route(Routes::weighted(Weight::clipped(60)))], later), []);
        assert_eq!(broken(&seen, vec![Action::ScaleDown], later), [Violation::ScaledDownWithTraffic { percent: 50 }]);
        assert_eq!(broken(&seen, Vec::new(), Some(seen.now)), [Violation::Spinning]);
        assert_eq!(broken(&seen, Vec::new(), None), [Violation::Forgotten(Phase::Progressing)]);
        let recorded = Action::Record(Box::new(seen.status.clone()));
        assert_eq!(
            broken(&seen, vec![recorded, Action::Route(Routes::to_primary())], later),
            [Violation::AfterStatus("Route")]
        );
        let promoted = broken(&seen, vec![Action::Promote { revision: "v1".to_owned() }], later);
        assert!(
            matches!(promoted.as_slice(), [Violation::Unproven { why, .. }] if why == "at step 50 of 100"),
            "{promoted:?}"
        );

        let mut dead = analysed(50);
        if let Ok(target) = &mut dead.target {
            target.readiness = Err(Trouble::passing("no pods"));
        }
        let more = Action::Route(Routes::weighted(Weight::clipped(60)));
        assert_eq!(broken(&dead, vec![more], later), [Violation::TrafficToDeadCanary { from: 50, to: 60 }]);
        dead.primary.readiness = Err(Trouble::lasting("no pods"));
        dead.primary.serving = false;
        assert_eq!(
            broken(&dead, vec![Action::Route(Routes::to_primary())], later),
            [Violation::TrafficToDeadPrimary { from: 50, to: 100 }]
        );
    }
}
