//! A decision in the making: what is to be done so far, the status as it will be, and what to remember.

use crate::kstatus::{self, Halt};
use crate::observation::{Memory, Observation};
use crate::plan::{Action, Alert, Decision, Event, EventKind, Gauges, Next, Outcome, Plan, Reason};
use crate::question::{Answer, Payload, Question};
use crate::routes::Routes;
use crate::{cookies, status};
use api::{CanaryStatus, Phase, Rollout, Severity};
use jiff::{SignedDuration, Timestamp};

/// How a decision ends early. `Err(End)` leaves the flow with `?`, so that the flow itself reads as the story of a rollout.
pub(crate) type Flow<T> = Result<T, Box<End>>;

/// The end of a decision.
#[derive(Debug)]
pub(crate) struct End(pub(crate) Next);

/// A decision in the making.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    pub(crate) rollout: &'a Rollout,
    pub(crate) seen: &'a Observation,
    pub(crate) upkeep: Vec<Action>,
    actions: Vec<Action>,
    pub(crate) status: CanaryStatus,
    pub(crate) memory: Memory,
    weights: Option<(i64, i64)>,
    analysed: bool,
}

impl<'a> Script<'a> {
    pub(crate) fn new(rollout: &'a Rollout, seen: &'a Observation) -> Self {
        Self {
            rollout,
            seen,
            upkeep: Vec::new(),
            actions: Vec::new(),
            status: seen.status.clone(),
            memory: seen.memory.clone(),
            weights: None,
            analysed: false,
        }
    }

    /// The decision, however the flow ended.
    pub(crate) fn decision(self, end: Box<End>) -> Decision {
        Decision { upkeep: self.upkeep, next: end.0 }
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Sends traffic there; cookies of session affinity are made, moved and dropped with it.
    #[expect(clippy::needless_pass_by_value, reason = "what is wanted is made for the call")]
    pub(crate) fn route(&mut self, routes: Routes) {
        self.weights = Some((routes.primary().percent(), routes.canary.percent()));
        if let Some(live) = self.seen.routes.as_ref().ok().filter(|live| !live.canary.is_zero()) {
            // A process that died before it noted the cookie has given it to clients already: it is made again, to be taken back from them.
            cookies::follow(self.rollout, &self.seen.abilities, &mut self.status, live.canary);
        }
        let affinity = cookies::follow(self.rollout, &self.seen.abilities, &mut self.status, routes.canary);
        self.actions.push(Action::Route(Routes { affinity, ..routes }));
    }

    /// Notes weights that were read, for the gauges.
    pub(crate) fn note_weights(&mut self, routes: &Routes) {
        self.weights = Some((routes.primary().percent(), routes.canary.percent()));
    }

    /// This round counts as an analysis.
    pub(crate) fn note_analysis(&mut self) {
        self.analysed = true;
    }

    /// An event that tells the stored phase.
    pub(crate) fn emit(&mut self, kind: EventKind, message: impl Into<String>) {
        self.emit_as(self.seen.status.phase, kind, message);
    }

    pub(crate) fn normal(&mut self, message: impl Into<String>) {
        self.emit(EventKind::Normal, message);
    }

    pub(crate) fn warn(&mut self, message: impl Into<String>) {
        self.emit(EventKind::Warning, message);
    }

    /// An event that tells another phase than the stored one.
    pub(crate) fn emit_as(&mut self, phase: Phase, kind: EventKind, message: impl Into<String>) {
        let event = self.event_as(phase, kind, message);
        self.actions.push(Action::Emit(event));
    }

    /// Such an event, for an announcement.
    pub(crate) fn event_as(&self, phase: Phase, kind: EventKind, message: impl Into<String>) -> Event {
        Event { kind, message: message.into(), payload: Payload::of(&self.seen.status, phase) }
    }

    pub(crate) fn alert(&mut self, severity: Severity, message: impl Into<String>, with_fields: bool) {
        self.actions.push(Action::Alert(Alert { severity, message: message.into(), with_fields }));
    }

    /// An alert that is sent once as long as what it says goes on.
    pub(crate) fn alert_once(&mut self, severity: Severity, message: &str) {
        if !self.memory.alerted.iter().any(|sent| sent == message) {
            self.memory.alerted.push(message.to_owned());
            self.alert(severity, message, false);
        }
    }

    pub(crate) fn count(&mut self, outcome: Outcome) {
        self.actions.push(Action::Count(outcome));
    }

    /// Writes the status as it is in the script by now.
    pub(crate) fn record(&mut self) {
        kstatus::apply(self.rollout, self.seen, &mut self.status, None);
        self.actions.push(Action::Record(Box::new(self.status.clone())));
    }

    /// Full sync: revision and configs as they are now, counters as given (13.1).
    pub(crate) fn sync(&mut self, phase: Phase, weight: i64) {
        status::sync(self.rollout, self.seen, &mut self.status, phase, weight);
        self.record();
    }

    /// Phase write (13.2).
    pub(crate) fn enter(&mut self, phase: Phase, iterations: i64) {
        status::enter(self.rollout, self.seen, &mut self.status, phase, iterations);
        self.record();
    }

    /// Marks the status as written now, as every write of a counter does (13.3).
    pub(crate) fn touch(&mut self) {
        self.status.last_transition_time = Some(self.seen.now);
    }

    /// The answer to a question; ends the decision by asking where there is none yet.
    pub(crate) fn ask(&self, question: Question) -> Flow<&'a Answer> {
        if let Some(answer) = self.seen.answers.to(&question) {
            return Ok(answer);
        }
        let announce = self.events().filter(|event| !self.was_announced(event)).cloned().collect();
        Err(Box::new(End(Next::Ask { announce, questions: vec![question] })))
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.actions.iter().filter_map(|action| if let Action::Emit(event) = action { Some(event) } else { None })
    }

    fn was_announced(&self, event: &Event) -> bool {
        self.seen.answers.announced.contains(event)
    }

    pub(crate) fn interval(&self) -> SignedDuration {
        self.rollout.interval.to_signed()
    }

    /// A moment one interval from then; now where the calendar ends.
    pub(crate) fn later(&self, then: Timestamp) -> Timestamp {
        then.checked_add(self.interval()).unwrap_or(self.seen.now)
    }

    /// The end of a decision that made progress, or has nothing in its way: what was is taken out of the conditions.
    pub(crate) fn done(&mut self, why: Reason, wake: Option<Timestamp>) -> Box<End> {
        self.memory.told = None;
        if !self.actions.iter().any(|action| matches!(action, Action::Record(_))) {
            self.refresh_conditions();
        }
        self.end(why, wake)
    }

    /// The end of a decision.
    pub(crate) fn end(&mut self, why: Reason, wake: Option<Timestamp>) -> Box<End> {
        let announced = &self.seen.answers.announced;
        let mut actions = std::mem::take(&mut self.actions);
        actions.retain(|action| !matches!(action, Action::Emit(event) if announced.contains(event)));
        let gauges = Gauges { status: Some(gauge(self.status.phase)), weights: self.weights, analysed: self.analysed };
        Box::new(End(Next::Act(Plan { actions, wake, why, memory: std::mem::take(&mut self.memory), gauges })))
    }

    /// Nothing can be done because of this. It is told once, and again when it comes back after something else.
    pub(crate) fn halt(&mut self, reason: &'static str, message: &str) -> Box<End> {
        self.halt_as(EventKind::Warning, reason, message)
    }

    pub(crate) fn halt_as(&mut self, kind: EventKind, reason: &'static str, message: &str) -> Box<End> {
        if self.memory.told.as_ref().is_none_or(|(told, _)| told != message) {
            self.emit(kind, message);
            self.memory.told = Some((message.to_owned(), self.seen.now));
        }
        self.record_halt(Halt { reason, message });
        let wake = self.later(self.seen.now);
        self.end(Reason::Waiting(message.to_owned()), Some(wake))
    }

    /// Writes the conditions that say what is in the way, where they differ from what is stored.
    pub(crate) fn record_halt(&mut self, halt: Halt<'_>) {
        let mut halted = self.seen.status.clone();
        kstatus::apply(self.rollout, self.seen, &mut halted, Some(halt));
        if halted != self.seen.status {
            self.actions.push(Action::Record(Box::new(halted)));
        }
    }

    /// Something is not ready yet. The first sight of it is told, later texts at most once an interval: they change with every pod.
    pub(crate) fn wait_for_readiness(&mut self, message: &str) -> Box<End> {
        let now = self.seen.now;
        let tell = match &self.memory.told {
            Some((told, at)) => told != message && self.later(*at) <= now,
            None => true,
        };
        if tell {
            self.warn(message);
            self.memory.told = Some((message.to_owned(), now));
        }
        self.refresh_conditions();
        let wake = self.later(now);
        self.end(Reason::Waiting(message.to_owned()), Some(wake))
    }

    /// Conditions and observed generation follow what is decided where nothing else is written.
    pub(crate) fn refresh_conditions(&mut self) {
        let mut fresh = self.status.clone();
        kstatus::apply(self.rollout, self.seen, &mut fresh, None);
        if fresh != self.seen.status {
            self.status = fresh;
            self.actions.push(Action::Record(Box::new(self.status.clone())));
        }
    }
}

/// `flagger_canary_status`.
fn gauge(phase: Phase) -> u8 {
    match phase {
        Phase::Progressing => 0,
        Phase::Failed => 2,
        _ => 1,
    }
}
