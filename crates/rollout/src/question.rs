//! Facts that cost I/O: the answer of a hook, the value of a metric.
//!
//! Questions are asked in the order in which they are returned; the decision is then taken again with the answers. Within one round the same question is
//! never asked twice.

use crate::plan::Event;
use api::{CanaryStatus, Phase};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One fact to find out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Question {
    /// Call `analysis.webhooks[index]` with this payload.
    Hook {
        /// Index in the list of webhooks.
        index: usize,
        /// What the receiver is told.
        payload: Payload,
    },
    /// Evaluate `analysis.metrics[index]`.
    Metric {
        /// Index in the list of metrics.
        index: usize,
        /// Which of the checks an entry may stand for.
        check: Check,
    },
    /// Are the metric providers of all metrics there? Asked while initialising.
    Providers,
}

/// What one entry of `analysis.metrics` may stand for; an entry may be several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Check {
    /// `request-success-rate`, in percent.
    SuccessRate,
    /// `request-duration`, in milliseconds.
    Duration,
    /// An inline query.
    Inline,
    /// A `MetricTemplate`.
    Template,
}

/// What receivers of hooks and events are told about the Canary.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Payload {
    /// The phase, which may be ahead of the stored one.
    pub phase: Phase,
    /// `status.lastAppliedSpec` at that moment; with `tracked` it makes the checksum.
    pub applied: String,
    /// `status.trackedConfigs` at that moment; absent and empty differ.
    pub tracked: Option<BTreeMap<String, String>>,
}

impl Payload {
    /// The payload for a status, with another phase.
    pub fn of(status: &CanaryStatus, phase: Phase) -> Self {
        Self {
            phase,
            applied: status.last_applied_spec.clone().unwrap_or_default(),
            tracked: status.tracked_configs.clone(),
        }
    }
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// A hook said yes, or no with this text.
    Hook(Result<(), String>),
    /// A metric's value (percent, milliseconds, or whatever the query yields), or why there is none.
    Metric(Result<f64, MetricTrouble>),
    /// All metric providers can be asked, or the first that cannot.
    Providers(Result<(), String>),
}

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricTrouble {
    /// The query had no result. The text is the error's, e.g. `running query failed: no values found`.
    NoValues(String),
    /// The query could not be rendered or run. The text is the error's.
    Failed(String),
    /// The check could not be set up: template, secret, provider or client. The text is the whole event.
    Setup(String),
}

/// Answers so far in this round, and how many events of the decision were already told while asking.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    given: Vec<(Question, Answer)>,
    /// Events that were told before the questions were asked; the decision leaves them out.
    pub announced: Vec<Event>,
}

impl Answers {
    /// Adds an answer.
    pub fn add(&mut self, question: Question, answer: Answer) {
        self.given.push((question, answer));
    }

    /// The answer to a question.
    pub fn to(&self, question: &Question) -> Option<&Answer> {
        self.given.iter().find(|(asked, _)| asked == question).map(|(_, answer)| answer)
    }

    /// True if nothing was asked yet in this round.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }
}
