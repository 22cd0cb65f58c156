//! What to do: abstract actions, in order, and when to look again.

use crate::observation::Memory;
use crate::question::{Payload, Question};
use crate::routes::Routes;
use api::{CanaryStatus, Severity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The outcome of one look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What must hold in any case, in order; nothing is written where it does. If anything is written, or fails, the decision ends there and is taken
    /// again when the caches have seen it: no question is asked and nothing is done on stale facts.
    pub upkeep: Vec<Action>,
    /// And then.
    pub next: Next,
}

/// What follows the upkeep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "there is one of it at a time")]
pub enum Next {
    /// Facts that cost I/O are missing: tell these events (they will not be in the plan again), ask, look again, decide again.
    Ask {
        /// Events that precede the questions.
        announce: Vec<Event>,
        /// What to ask. Where an answer may make the next question needless, the decision asks one at a time.
        questions: Vec<Question>,
    },
    /// Do this.
    Act(Plan),
}

/// What to do now, in this order: the first failure stops the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[must_use = "a plan does nothing until it is applied"]
pub struct Plan {
    /// In order.
    pub actions: Vec<Action>,
    /// Look again then; `None`: only a change wakes us.
    pub wake: Option<Timestamp>,
    /// Why this and not more.
    pub why: Reason,
    /// What to remember until the next decision.
    pub memory: Memory,
    /// What the gauges show after this.
    pub gauges: Gauges,
}

/// One step of a plan. Providers turn it into writes; none is made where nothing differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// The canary's and the primary's Service exist and are as they should be.
    EnsureServices,
    /// The primary workload exists.
    EnsurePrimary,
    /// The primary's autoscaler exists.
    EnsureScaler,
    /// The apex Service exists and selects the primary.
    EnsureApex,
    /// The routing objects send traffic there (and are as they should be otherwise).
    Route(Routes),
    /// The target runs nothing.
    ScaleDown,
    /// The target runs.
    ScaleUp,
    /// The target's autoscaler rests.
    PauseScaler,
    /// The target's autoscaler works.
    ResumeScaler,
    /// The primary becomes what the target of this revision is, configs included. Fails, and is decided again, if the target is another revision by then.
    Promote {
        /// The spec hash that passed.
        revision: String,
    },
    /// The primary's autoscaler becomes what the target's is.
    UpdateScaler,
    /// The target is given back: it runs as the primary did.
    RevertTarget,
    /// The apex Service is given back if it is not ours.
    RevertServices,
    /// The routing objects are given back if they are not ours.
    RevertRoutes,
    /// Our finalizer is on the Canary.
    AddFinalizer,
    /// Our finalizer is off the Canary.
    RemoveFinalizer,
    /// Write the status, if it differs.
    Record(Box<CanaryStatus>),
    /// Tell it: log, event, event webhook.
    Emit(Event),
    /// Tell people: alert.
    Alert(Alert),
    /// Tell all of this once, however often it is asked for, and go on when it was delivered, or after a while.
    Announce(Announcement),
    /// Count an outcome.
    Count(Outcome),
    /// A line for the log that is no event.
    Log(String),
}

/// Something that happened, for log, Kubernetes event and event webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// How it is shown.
    pub kind: EventKind,
    /// The text.
    pub message: String,
    /// What event webhooks are told of the Canary.
    pub payload: Payload,
}

/// What is told about the end of something. As long as the Canary is the same one, the same announcement has the same `id`: a process that finds it still
/// to be made cannot know how far another one came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Names it.
    pub id: String,
    /// In order.
    pub events: Vec<Event>,
    /// In order, after the events.
    pub alerts: Vec<Alert>,
}

/// How an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// Event type Normal, log level info.
    Normal,
    /// Event type Warning, log level info.
    Warning,
    /// Event type Warning, log level error.
    Error,
}

/// An alert, sent to those providers that want its severity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// How bad.
    pub severity: Severity,
    /// The text.
    pub message: String,
    /// Attach the fields that describe the Canary.
    pub with_fields: bool,
}

/// How a rollout ended, for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Promoted after an analysis.
    Succeeded,
    /// Promoted without one.
    Skipped,
    /// Rolled back, or its promotion failed.
    Failed,
}

/// What the gauges show.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauges {
    /// `flagger_canary_status`: 0 while progressing, 2 after a failure, 1 otherwise.
    pub status: Option<u8>,
    /// `flagger_canary_weight` of primary and canary.
    pub weights: Option<(i64, i64)>,
    /// This round of analysis counts for `flagger_canary_duration_seconds`.
    pub analysed: bool,
}

/// Why this was decided and not more: shown in log, status and command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Nothing to do until something changes.
    Idle,
    /// The Canary is suspended.
    Suspended,
    /// A step was taken.
    Stepped,
    /// Waiting until the interval is over.
    Interval,
    /// A hook says no.
    Gate(String),
    /// Something is not ready yet, or in the way: the text of the event.
    Waiting(String),
    /// A check failed: the text of the event.
    CheckFailed(String),
    /// The canary was given up: why.
    RolledBack(String),
    /// The rollout is over.
    Finished,
    /// The Canary is being deleted.
    Terminating,
    /// The spec cannot be used: the text of the event.
    Invalid(String),
}
