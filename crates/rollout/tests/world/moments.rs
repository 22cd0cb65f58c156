//! Moments: what was observed, and what was decided then. A world that breaks a promise leaves them as a file, which replays without the world.
//!
//! A file is one moment `{"canary", "observation", "decision"}`, or a list of them in their order.

use super::{Decider, World};
use api::{Canary, Rollout, Settings};
use rollout::{Decision, Observation, check};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::sync::Arc;

/// Moments that a file holds at most.
const LONGEST: usize = 60;

/// One decision, with all that it depends on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) canary: Canary,
    pub(crate) observation: Observation,
    pub(crate) decision: Decision,
}

/// What a file holds.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum File {
    One(Box<Moment>),
    Many(Vec<Moment>),
}

thread_local! {
    static NOTES: RefCell<Option<Vec<Moment>>> = const { RefCell::new(None) };
}

/// Notes a moment, while this thread records.
pub(super) fn note(canary: &Canary, seen: &Observation, decision: &Decision) {
    NOTES.with_borrow_mut(|notes| {
        if let Some(notes) = notes {
            notes.push(Moment { canary: canary.clone(), observation: seen.clone(), decision: decision.clone() });
        }
    });
}

/// Runs something, and returns what all worlds of this thread decided meanwhile, also if it panics.
pub(crate) fn recorded(run: impl FnOnce() + std::panic::UnwindSafe) -> Vec<Moment> {
    NOTES.set(Some(Vec::new()));
    let _ = std::panic::catch_unwind(run);
    NOTES.take().unwrap_or_default()
}

/// The moments of a file.
pub(crate) fn read(text: &str) -> Vec<Moment> {
    match serde_json::from_str(text).unwrap() {
        File::One(moment) => vec![*moment],
        File::Many(moments) => moments,
    }
}

/// The moments as a file: only those that it takes to see the broken promise, or the last ones where only the end of the world shows it.
pub(crate) fn write(moments: &[Moment], decider: Decider) -> String {
    let from = (1..=2.min(moments.len()))
        .map(|count| moments.len() - count)
        .find(|from| !broken(&moments[*from..], decider).is_empty())
        .unwrap_or_else(|| moments.len().saturating_sub(LONGEST));
    text(&moments[from..])
}

/// The file with the decisions of today.
pub(crate) fn decided_again(moments: &[Moment], decider: Decider) -> String {
    let now: Vec<_> = moments
        .iter()
        .map(|moment| {
            let rollout = Rollout::resolve(&moment.canary, &Arc::new(Settings::default()));
            Moment { decision: decider(&rollout, &moment.observation), ..moment.clone() }
        })
        .collect();
    text(&now)
}

fn text(moments: &[Moment]) -> String {
    match moments {
        [one] => serde_json::to_string_pretty(one).unwrap(),
        many => serde_json::to_string_pretty(many).unwrap(),
    }
}

/// Decides all moments again: what the decisions break, one by one and in pairs.
pub(crate) fn broken(moments: &[Moment], decider: Decider) -> Vec<String> {
    let again: Vec<_> = moments
        .iter()
        .map(|moment| {
            let rollout = Rollout::resolve(&moment.canary, &Arc::new(Settings::default()));
            let decision = decider(&rollout, &moment.observation);
            (rollout, moment, decision)
        })
        .collect();
    let alone =
        again.iter().flat_map(|(rollout, moment, decision)| check::check(rollout, &moment.observation, decision));
    let pairs = again.windows(2).flat_map(|pair| match pair {
        [(_, first, decision), (_, second, repeated)] if first.canary == second.canary => {
            check::again((&first.observation, decision), (&second.observation, repeated))
        }
        _ => Vec::new(),
    });
    alone.chain(pairs).map(|violation| violation.to_string()).collect()
}

impl World {
    /// This moment as a file.
    pub(crate) fn replay(&self, seen: &Observation, decision: &Decision) -> String {
        let moment: Value = json!({"canary": self.canary, "observation": seen, "decision": decision});
        serde_json::to_string_pretty(&moment).unwrap()
    }
}
