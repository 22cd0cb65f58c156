//! What happened, in order: everything that the rehearsal shows is put here when it happens.
//!
//! Times count from the beginning of a part: of the initialisation, or of the release.

use super::traffic::Traffic;
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What is rehearsed at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Part {
    /// The Canary is applied beside the workload: a primary is made.
    Initialisation,
    /// The workload gets a new image.
    Release,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    /// In which part.
    pub(super) part: Part,
    /// Seconds since the part began.
    pub(super) at_seconds: f64,
    /// The Canary, as `NAME.NAMESPACE`.
    pub(super) canary: String,
    /// What.
    #[serde(flatten)]
    pub(super) what: What,
}

/// See [`Entry`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum What {
    /// An event of the Canary.
    Event {
        /// `Normal` or `Warning`.
        r#type: String,
        /// Its text.
        message: String,
    },
    /// The Canary's status.
    Phase {
        /// `status.phase`.
        phase: String,
    },
    /// A hook was called.
    Hook {
        /// Its name.
        name: String,
        /// Its type.
        r#type: String,
        /// Where it was called, without credentials.
        url: String,
        /// What it answered.
        status: u16,
    },
    /// A metric was asked for; the query is in the list of questions.
    Metric {
        /// Its name.
        name: String,
        /// What was answered, in the unit of its threshold; none: no value.
        value: Option<f64>,
        /// Whether that is within the bounds.
        passed: bool,
    },
    /// It was found out whether a source of metrics is there.
    Probe {
        /// Its address, without credentials.
        address: String,
    },
    /// An alert was sent.
    Alert {
        /// To whom.
        receiver: String,
        /// Its text.
        message: String,
    },
    /// Requests go another way than before.
    Traffic(Traffic),
}

#[derive(Debug)]
struct State {
    part: Part,
    start: Instant,
    entries: Vec<Entry>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tape {
    state: Mutex<State>,
    changed: watch::Sender<usize>,
}

impl Tape {
    /// An empty tape.
    pub(super) fn new() -> Self {
        let state = State { part: Part::Initialisation, start: Instant::now(), entries: Vec::new() };
        Self { state: Mutex::new(state), changed: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part begins now.
    pub(super) fn begin(&self, part: Part) {
        let mut state = self.state();
        (state.part, state.start) = (part, Instant::now());
    }

    /// Puts down what happens now, unless it happened in this part before.
    pub(super) fn put_once(&self, canary: &str, what: What) {
        let known = {
            let state = self.state();
            let part = state.part;
            state.entries.iter().any(|entry| entry.part == part && entry.canary == canary && entry.what == what)
        };
        if !known {
            self.put(canary, what);
        }
    }

    /// Puts down what happens now.
    pub(super) fn put(&self, canary: &str, what: What) {
        let count = {
            let mut state = self.state();
            let at_seconds = (state.start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
            let part = state.part;
            state.entries.push(Entry { part, at_seconds, canary: canary.to_owned(), what });
            state.entries.len()
        };
        self.changed.send_replace(count);
    }

    /// The time since the part began.
    pub(super) fn elapsed(&self) -> Duration {
        self.state().start.elapsed()
    }

    /// The part.
    pub(super) fn part(&self) -> Part {
        self.state().part
    }

    /// Tells of every entry.
    pub(super) fn changed(&self) -> watch::Receiver<usize> {
        self.changed.subscribe()
    }

    /// The entries from a number on.
    pub(super) fn since(&self, number: usize) -> Vec<Entry> {
        self.state().entries.iter().skip(number).cloned().collect()
    }
}
