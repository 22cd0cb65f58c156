//! The decision: observation in, plan out.
//!
//! A rollout is a pure function of what was observed. This crate has no clock, no client, no `async`, and never sees JSON of foreign objects: time, what
//! was observed and the answers of hooks and metrics are inputs; actions, status, events, alerts and the next wake-up are outputs. Nothing here knows the
//! name of a provider.

#![deny(clippy::disallowed_methods)]

mod change;
mod cookies;
mod decide;
mod finish;
mod idle;
mod kstatus;
mod observation;
mod outcome;
mod plan;
mod question;
mod round;
mod routes;
mod script;
mod status;
mod strategy;
mod terminate;
#[cfg(test)]
mod testing;
mod verdict;

pub mod check;

pub use decide::{decide, decide_failed};
pub use observation::{CanaryObject, Configs, Memory, Observation, Primary, Revision, Target, Trouble, Unusable};
pub use plan::{Action, Alert, Announcement, Decision, Event, EventKind, Gauges, Next, Outcome, Plan, Reason};
pub use question::{Answer, Answers, Check, MetricTrouble, Payload, Question};
pub use routes::{Abilities, Affinity, AffinityAbility, Routes, Weight};
