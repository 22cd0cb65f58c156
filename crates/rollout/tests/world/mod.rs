//! A simulated world for one Canary: plain data, simulated time, and a driver that does what the shell does.
//!
//! Knows no Kubernetes objects: a workload is a revision and a moment at which its pods are ready. Every decision on the way is checked against the
//! invariants (`rollout::check`), and everything that a user would notice becomes a line of the story.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod faults;
pub(crate) mod moments;
pub(crate) mod stories;

use api::{Canary, CanaryStatus, Phase, Rollout, Settings, Severity};
use faults::{Lag, Strike};
use jiff::{SignedDuration, Timestamp};
use rollout::{
    Abilities, Action, Answers, CanaryObject, Configs, Decision, MetricTrouble, Next, Observation, Outcome, Plan,
    Primary, Revision, Routes, Target, Trouble, check, decide,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Decisions that one look may take, before it counts as an endless loop.
const LOOKS: usize = 80;

/// What is wrong with a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not ready, and will be; some pods still serve.
    Passing,
    /// Not ready for good; some pods still serve.
    Lasting,
    /// Not ready for good; no pod serves.
    Dead,
}

/// A workload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workload {
    pub(crate) revision: String,
    pub(crate) up: bool,
    /// Since when it runs this revision.
    pub(crate) since: Timestamp,
    /// Pods of the revision before serve until those of this one are ready.
    pub(crate) old_pods: bool,
    pub(crate) fault: Option<Fault>,
}

/// Everything there is.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) canary: Canary,
    pub(crate) settings: Arc<Settings>,
    pub(crate) object: CanaryObject,
    pub(crate) status: CanaryStatus,
    pub(crate) target: Option<Workload>,
    pub(crate) primary: Option<Workload>,
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) primary_configs: BTreeMap<String, String>,
    pub(crate) routes: Option<Routes>,
    pub(crate) routes_trouble: Option<String>,
    pub(crate) abilities: Abilities,
    pub(crate) services: bool,
    pub(crate) apex_on_primary: bool,
    pub(crate) scaler_paused: bool,
    pub(crate) primary_scaler: bool,
    /// Seconds until pods are ready.
    pub(crate) startup: i64,
    /// Seconds until a revision that never becomes ready is given up.
    pub(crate) deadline: i64,
    /// Revisions that never become ready.
    pub(crate) bad: BTreeSet<String>,
    /// Answers of hooks by name; those that are not here have nothing against it.
    pub(crate) hooks: BTreeMap<String, Result<(), String>>,
    /// Values of metrics by name; those that are not here have 100.
    pub(crate) metrics: BTreeMap<String, Result<f64, MetricTrouble>>,
    pub(crate) providers: Result<(), String>,
    pub(crate) memory: rollout::Memory,
    /// So many actions succeed before one fails.
    pub(crate) fail_after: Option<usize>,
    /// How it fails then.
    pub(crate) strike: Strike,
    /// What others did is not seen yet.
    pub(crate) lag: Option<Lag>,
    /// Seconds that every answer of a hook takes.
    pub(crate) slow: i64,
    /// Hooks and metrics change their minds with every question.
    pub(crate) fickle: bool,
    /// Something that forbids to promote was answered in this round.
    pub(crate) forbidden: Option<String>,
    /// Counts the writes of the status: a write on an older version is a conflict.
    pub(crate) version: usize,
    /// The version that was decided upon.
    pub(crate) decided: usize,
    /// The decision that is tried.
    pub(crate) decider: Decider,
    /// Between a decision and its actions the target becomes this.
    pub(crate) race: Option<String>,
    pub(crate) story: Vec<String>,
    pub(crate) counted: Vec<Outcome>,
    pub(crate) alerts: Vec<(Severity, String)>,
    /// Announcements that were made.
    pub(crate) announced: BTreeSet<String>,
    pub(crate) decisions: usize,
    pub(crate) last_plan: Option<Plan>,
}

/// A decision: the real one, or one that is broken to show that it is noticed.
pub(crate) type Decider = fn(&Rollout, &Observation) -> Decision;

/// Why an action did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Changed,
    Text(String),
    /// The process is dead.
    Died,
}

/// What follows a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Again,
    Until(Option<Timestamp>),
    Pause,
}

/// The Canary `cart.shop` with this spec.
pub(crate) fn canary(extra: Value, generation: i64) -> Canary {
    let mut spec = json!({
        "provider": "istio",
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"},
        "service": {"port": 8080},
    });
    for (key, value) in extra.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let object = json!({
        "apiVersion": api::API_VERSION, "kind": "Canary",
        "metadata": {"name": "cart", "namespace": "shop", "uid": "u-1", "generation": generation},
        "spec": spec,
    });
    api::decode(object).unwrap()
}

impl World {
    /// A Canary `cart.shop` of a Deployment with this analysis; nothing has happened yet.
    pub(crate) fn new(analysis: Value) -> Self {
        Self::with(json!({"analysis": analysis}))
    }

    /// The same with any further part of the spec.
    pub(crate) fn with(extra: Value) -> Self {
        let now: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        Self {
            now,
            canary: canary(extra, 1),
            settings: Arc::new(Settings::default()),
            object: CanaryObject { generation: 1, deleting: false, finalizer: false },
            status: CanaryStatus::default(),
            target: Some(Workload {
                revision: "v1".to_owned(),
                up: true,
                since: now - SignedDuration::from_hours(1),
                old_pods: true,
                fault: None,
            }),
            primary: None,
            configs: BTreeMap::new(),
            primary_configs: BTreeMap::new(),
            routes: None,
            routes_trouble: None,
            abilities: Abilities::default(),
            services: false,
            apex_on_primary: false,
            scaler_paused: false,
            primary_scaler: false,
            startup: 3,
            deadline: 60,
            bad: BTreeSet::new(),
            hooks: BTreeMap::new(),
            metrics: BTreeMap::new(),
            providers: Ok(()),
            memory: rollout::Memory::default(),
            fail_after: None,
            strike: Strike::Refused,
            lag: None,
            slow: 0,
            fickle: false,
            forbidden: None,
            version: 0,
            decided: 0,
            decider: decide,
            race: None,
            story: Vec::new(),
            counted: Vec::new(),
            announced: BTreeSet::new(),
            alerts: Vec::new(),
            decisions: 0,
            last_plan: None,
        }
    }

    /// The same after its initialisation, with an empty story.
    pub(crate) fn initialized(analysis: Value) -> Self {
        Self::new(analysis).initialize()
    }

    pub(crate) fn initialize(mut self) -> Self {
        self.run_until(Phase::Initialized);
        self.forget_story();
        self
    }

    pub(crate) fn forget_story(&mut self) {
        self.story.clear();
        self.alerts.clear();
        self.counted.clear();
    }

    pub(crate) fn rollout(&self) -> Rollout {
        Rollout::resolve(&self.canary, &self.settings)
    }

    /// The user deploys a revision.
    pub(crate) fn deploy(&mut self, revision: &str) {
        let now = self.now;
        if let Some(target) = &mut self.target {
            // A broken workload has no pods that could go on serving.
            target.old_pods = target.up && target.fault != Some(Fault::Dead);
            revision.clone_into(&mut target.revision);
            target.since = now;
            target.fault = None;
        }
    }

    pub(crate) fn hook(&mut self, name: &str, answer: Result<(), &str>) {
        self.hooks.insert(name.to_owned(), answer.map_err(str::to_owned));
    }

    pub(crate) fn metric(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), Ok(value));
    }

    pub(crate) fn primary_fault(&mut self, fault: Option<Fault>) {
        if let Some(primary) = &mut self.primary {
            primary.fault = fault;
        }
    }

    pub(crate) fn target_fault(&mut self, fault: Option<Fault>) {
        if let Some(target) = &mut self.target {
            target.fault = fault;
        }
    }

    pub(crate) fn weight(&self) -> i64 {
        self.routes.as_ref().map_or(0, |routes| routes.canary.percent())
    }

    pub(crate) fn canary_up(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.up)
    }

    fn readiness(&self, side: &Workload) -> Result<(), Trouble> {
        if !side.up {
            return Ok(());
        }
        let age = self.now.duration_since(side.since).as_secs();
        match side.fault {
            Some(Fault::Passing) => {
                return Err(Trouble::passing(
                    "waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available",
                ));
            }
            Some(Fault::Lasting | Fault::Dead) => {
                return Err(Trouble::lasting("deployment \"x\" exceeded its progress deadline"));
            }
            None => {}
        }
        if self.bad.contains(&side.revision) {
            return Err(if age >= self.deadline {
                Trouble::lasting("deployment \"x\" exceeded its progress deadline")
            } else {
                Trouble::passing(
                    "waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available",
                )
            });
        }
        if age < self.startup {
            return Err(Trouble::passing("waiting for rollout to finish: 0 out of 1 new replicas have been updated"));
        }
        Ok(())
    }

    /// Whether requests that go there are answered.
    pub(crate) fn serves(&self, side: &Workload) -> bool {
        side.up
            && side.fault != Some(Fault::Dead)
            && (side.fault.is_some() || side.old_pods || self.readiness(side).is_ok())
    }

    /// One look.
    pub(crate) fn observe(&self, answers: &Answers) -> Observation {
        let named = |side: &Workload, name: &str| {
            let prefix = if name == "cart" { "canary deployment " } else { "" };
            self.readiness(side).map_err(|trouble| Trouble {
                message: format!(
                    "{prefix}{name}.shop not ready: {}",
                    trouble.message.replace("\"x\"", &format!("{name:?}"))
                ),
                ..trouble
            })
        };
        let (target, primary) = self.shown();
        let target = target.as_ref().ok_or_else(|| Trouble::missing("deployment cart.shop get query error: not found"));
        let current = |primary: &Workload| {
            target.as_ref().is_ok_and(|target| target.revision == primary.revision)
                && self.primary_configs == self.configs
        };
        Observation {
            now: self.now,
            status: self.status.clone(),
            object: CanaryObject { generation: self.canary.metadata.generation, ..self.object.clone() },
            unusable: None,
            primary: match primary {
                Some(primary) => Primary {
                    exists: true,
                    readiness: named(primary, "cart-primary"),
                    serving: self.serves(primary),
                    current: current(primary),
                },
                None => Primary {
                    exists: false,
                    readiness: Err(Trouble::missing("not found")),
                    serving: false,
                    current: false,
                },
            },
            target: target.map(|target| Target {
                revision: Revision {
                    hash: target.revision.clone(),
                    older: Vec::new(),
                    same_images: false,
                    comparable: true,
                },
                readiness: named(target, "cart"),
                scaled_down: !target.up,
            }),
            configs: Ok(Some(Configs { checksums: self.configs.clone(), legacy: BTreeMap::new() })),
            routes: match (&self.routes_trouble, &self.routes) {
                (Some(trouble), _) => Err(Trouble::passing(trouble.clone())),
                (None, Some(routes)) => Ok(routes.clone()),
                (None, None) if !self.abilities.shifts => Ok(Routes::to_primary()),
                (None, None) => Err(Trouble::missing("VirtualService cart.shop get query error not found")),
            },
            abilities: self.abilities.clone(),
            observer: "istio".to_owned(),
            answers: answers.clone(),
            memory: self.memory.clone(),
        }
    }

    /// Carries out an action. `Ok(true)`: something was written.
    pub(crate) fn carry_out(&mut self, action: &Action) -> Result<bool, Failure> {
        let now = self.now;
        match action {
            Action::EnsureServices => Ok(!std::mem::replace(&mut self.services, true)),
            Action::EnsurePrimary => {
                let (None, Some(target)) = (&self.primary, &self.target) else { return Ok(false) };
                self.primary = Some(Workload {
                    revision: target.revision.clone(),
                    up: true,
                    since: now,
                    old_pods: false,
                    fault: None,
                });
                self.primary_configs = self.configs.clone();
                Ok(true)
            }
            Action::EnsureScaler => Ok(!std::mem::replace(&mut self.primary_scaler, true)),
            Action::EnsureApex => Ok(!std::mem::replace(&mut self.apex_on_primary, true)),
            Action::Route(want) => Ok(self.route(want)),
            Action::ScaleDown => {
                let serving = self.weight();
                let Some(target) = self.target.as_mut().filter(|target| target.up) else { return Ok(false) };
                assert!(serving == 0 || !self.abilities.shifts, "scaled down with {serving}% of the traffic");
                target.up = false;
                target.old_pods = false;
                target.fault = None;
                self.story.push("scale cart down".to_owned());
                Ok(true)
            }
            Action::ScaleUp | Action::RevertTarget => {
                let Some(target) = self.target.as_mut().filter(|target| !target.up) else { return Ok(false) };
                target.up = true;
                target.since = now;
                self.story.push("scale cart up".to_owned());
                Ok(true)
            }
            Action::PauseScaler => Ok(!std::mem::replace(&mut self.scaler_paused, true)),
            Action::ResumeScaler => Ok(std::mem::replace(&mut self.scaler_paused, false)),
            Action::Promote { revision } => self.promote(revision),
            Action::AddFinalizer => Ok(!std::mem::replace(&mut self.object.finalizer, true)),
            Action::RemoveFinalizer => {
                let owed = self.object.deleting && self.canary.spec.revert_on_deletion && self.lag.is_none();
                assert!(
                    !owed || self.target.as_ref().is_none_or(|target| self.serves(target)),
                    "given back without pods that serve\n{}",
                    self.recent()
                );
                Ok(std::mem::replace(&mut self.object.finalizer, false))
            }
            Action::Record(status) => {
                if **status == self.status {
                    return Ok(false);
                }
                if self.version != self.decided {
                    return Err(Failure::Changed);
                }
                self.version += 1;
                if status.phase != self.status.phase {
                    self.story.push(format!("-> {}", status.phase));
                }
                self.status = (**status).clone();
                Ok(true)
            }
            Action::Emit(event) => {
                self.story.push(format!("[{}] {}", event.payload.phase, event.message));
                Ok(false)
            }
            Action::Alert(alert) => {
                self.alerts.push((alert.severity, alert.message.clone()));
                self.story.push(format!("alert {}: {}", alert.severity, alert.message));
                Ok(false)
            }
            Action::Announce(announcement) => {
                // The same announcement again is none.
                if self.announced.insert(announcement.id.clone()) {
                    for event in &announcement.events {
                        self.carry_out(&Action::Emit(event.clone()))?;
                    }
                    for alert in &announcement.alerts {
                        self.carry_out(&Action::Alert(alert.clone()))?;
                    }
                }
                Ok(false)
            }
            Action::Count(outcome) => {
                self.counted.push(*outcome);
                Ok(false)
            }
            Action::UpdateScaler | Action::RevertServices | Action::RevertRoutes | Action::Log(_) => Ok(false),
        }
    }

    fn route(&mut self, want: &Routes) -> bool {
        let plain = Routes { affinity: None, ..want.clone() };
        if self.routes.as_ref() == Some(&plain) || !self.abilities.shifts {
            return false;
        }
        let before = self.weight();
        let mirrored = if want.mirrored { " mirrored" } else { "" };
        self.story.push(format!("route {}/{}{mirrored}", want.primary(), want.canary));
        self.routes = Some(plain);
        let side = if self.weight() > before { &self.target } else { &self.primary };
        let other = if self.weight() > before { &self.primary } else { &self.target };
        let serves = |side: &Option<Workload>| side.as_ref().is_some_and(|side| self.serves(side));
        let hasty = self.canary.spec.skip_analysis && matches!(self.status.phase, Phase::Unset | Phase::Initializing);
        // What was edited by hand while it cannot be read cannot be known.
        assert!(
            hasty
                || self.routes_trouble.is_some()
                || self.lag.is_some()
                || self.weight() == before
                || serves(side)
                || !serves(other),
            "traffic goes from a side that serves to one that does not: {}",
            self.recent()
        );
        true
    }

    fn promote(&mut self, revision: &str) -> Result<bool, Failure> {
        let now = self.now;
        self.is_proven(revision);
        let Some(target) = &self.target else { return Err(Failure::Text("not found".to_owned())) };
        if target.revision != revision {
            return Err(Failure::Changed);
        }
        let Some(primary) = &mut self.primary else { return Err(Failure::Text("no primary".to_owned())) };
        if primary.revision == revision && self.primary_configs == self.configs {
            return Ok(false);
        }
        self.story.push(format!("promote {revision}"));
        // A new template is a new chance, and pods that serve do so until it is taken.
        primary.old_pods = primary.fault != Some(Fault::Dead);
        primary.fault = None;
        revision.clone_into(&mut primary.revision);
        primary.since = now;
        self.primary_configs = self.configs.clone();
        Ok(true)
    }

    /// Decides, and checks the decision.
    pub(crate) fn decide(&mut self, answers: &Answers) -> (Observation, Decision) {
        let (rollout, seen) = (self.rollout(), self.observe(answers));
        let decision = (self.decider)(&rollout, &seen);
        self.decisions += 1;
        self.decided = self.version;
        moments::note(&self.canary, &seen, &decision);
        let broken = check::check(&rollout, &seen, &decision);
        assert!(broken.is_empty(), "{broken:?}\n{}", self.recent());
        (seen, decision)
    }

    /// One turn of the shell.
    pub(crate) fn turn(&mut self, answers: &mut Answers) -> Turn {
        if answers.is_empty() {
            self.forbidden = None;
        }
        let (seen, decision) = self.decide(answers);
        let mut wrote = false;
        for action in &decision.upkeep {
            match self.apply(action) {
                Ok(done) => wrote |= done,
                Err(failure) => return self.failed(&seen, failure),
            }
        }
        if wrote {
            return Turn::Again;
        }
        match decision.next {
            Next::Ask { announce, questions } => {
                for event in announce {
                    let _ = self.apply(&Action::Emit(event.clone()));
                    answers.announced.push(event);
                }
                for question in questions {
                    let answer = self.answer(&question);
                    answers.add(question, answer);
                }
                Turn::Again
            }
            Next::Act(plan) => {
                *answers = Answers::default();
                if let Some(revision) = self.race.take() {
                    self.deploy(&revision);
                    wrote = true;
                }
                for action in &plan.actions {
                    match self.apply(action) {
                        Ok(done) => wrote |= done,
                        Err(failure) => return self.failed(&seen, failure),
                    }
                }
                self.memory = plan.memory.clone();
                let wake = plan.wake;
                self.last_plan = Some(plan);
                if wrote || wake.is_some_and(|wake| wake <= self.now) { Turn::Again } else { Turn::Until(wake) }
            }
        }
    }

    /// Takes turns until there is nothing to do now; the moment of the next look.
    pub(crate) fn settle(&mut self) -> Option<Timestamp> {
        let mut answers = Answers::default();
        for _ in 0..LOOKS {
            match self.turn(&mut answers) {
                Turn::Again => {}
                Turn::Pause => {
                    answers = Answers::default();
                    self.now += SignedDuration::from_secs(1);
                }
                Turn::Until(wake) => {
                    self.does_nothing_again();
                    return wake;
                }
            }
        }
        panic!("an endless loop of immediate looks\n{}", self.recent());
    }

    /// Deciding again after a plan was applied plans nothing.
    fn does_nothing_again(&mut self) {
        let (told, status) = (self.story.len(), self.status.clone());
        let (fault, race) = (self.fail_after.take(), self.race.take());
        let turn = self.turn(&mut Answers::default());
        let quiet = matches!(turn, Turn::Until(_)) && self.story.len() == told && self.status == status;
        assert!(
            quiet,
            "decided again at the same moment, something was done: {turn:?}\n{}\n{:?}\n{status:?}",
            self.recent(),
            self.last_plan
        );
        (self.fail_after, self.race) = (fault, race);
    }

    /// The next moment at which something changes by itself: pods become ready, or are given up.
    fn next_change(&self) -> Option<Timestamp> {
        [&self.target, &self.primary]
            .into_iter()
            .flatten()
            .filter(|side| side.up)
            .flat_map(|side| {
                [self.startup, self.deadline].map(|seconds| side.since + SignedDuration::from_secs(seconds))
            })
            .chain(self.lag.as_ref().map(|lag| lag.until))
            .filter(|moment| *moment > self.now)
            .min()
    }

    /// Time goes on to the next wake or change. `false`: nothing will ever happen again.
    pub(crate) fn advance(&mut self, wake: Option<Timestamp>) -> bool {
        let next = [wake, self.next_change()].into_iter().flatten().min();
        if let Some(next) = next {
            self.now = next.max(self.now);
        }
        next.is_some()
    }

    /// Goes on until the phase is reached and settled. Panics where it never is.
    pub(crate) fn run_until(&mut self, phase: Phase) {
        for _ in 0..400 {
            let wake = self.settle();
            if self.status.phase == phase {
                return;
            }
            if !self.advance(wake) {
                break;
            }
        }
        panic!("phase {} instead of {phase}:\n{}", self.status.phase, self.recent());
    }

    /// Goes on until the rollout rests. Panics where it never does.
    pub(crate) fn rest(&mut self) {
        for _ in 0..600 {
            let wake = self.settle();
            if wake.is_none() && matches!(self.status.phase, Phase::Initialized | Phase::Succeeded | Phase::Failed) {
                return;
            }
            if !self.advance(wake) {
                break;
            }
        }
        panic!("no rest in phase {}:\n{}", self.status.phase, self.recent());
    }

    /// Goes on until a Canary that is being deleted is let go. Panics where it never is.
    pub(crate) fn leave(&mut self) {
        for _ in 0..100 {
            if !self.object.finalizer {
                break;
            }
            let wake = self.settle();
            self.advance(wake);
        }
        assert!(!self.object.finalizer, "never let go\n{}", self.recent());
    }

    /// One round of analysis: settles now, then at the next look that an interval brings.
    pub(crate) fn interval(&mut self) {
        self.settle();
        self.now += SignedDuration::from_secs(self.rollout().interval.as_secs());
        self.settle();
    }

    /// So many seconds pass, with all looks in between.
    pub(crate) fn pass(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        loop {
            let wake = self.settle();
            let next = [wake, self.next_change()].into_iter().flatten().min();
            if let Some(next) = next.filter(|next| *next <= end) {
                self.now = next.max(self.now);
            } else {
                // Slow answers may have taken longer.
                self.now = end.max(self.now);
                self.settle();
                return;
            }
        }
    }

    /// The process dies: what it remembered is lost.
    pub(crate) fn restart(&mut self) {
        self.memory = rollout::Memory::default();
    }

    /// The events so far.
    pub(crate) fn events(&self) -> Vec<&str> {
        self.story.iter().filter(|line| line.starts_with('[')).map(String::as_str).collect()
    }

    /// The end of the story.
    pub(crate) fn recent(&self) -> String {
        self.story.iter().skip(self.story.len().saturating_sub(50)).cloned().collect::<Vec<_>>().join("\n")
    }

    /// Events and hooks with repeated waiting for readiness left out: what does not depend on how long pods take.
    pub(crate) fn trace(&self) -> String {
        let lines = self.story.iter().filter(|line| !line.contains("not ready: waiting"));
        lines.cloned().collect::<Vec<_>>().join("\n")
    }
}
