//! Webhooks: what is sent, and what an answer means.

use crate::http::{Request, Response, SendError};
use api::{CanaryWebhook, Rollout};
use jiff::Timestamp;
use rollout::{Event, Payload};
use std::time::Duration;

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It was the last one: yes, or no with the text that events show.
    Done(Result<(), String>),
    /// Try again.
    Retry {
        /// After this time.
        after: Duration,
    },
}

/// The request of a hook.
pub fn request(rollout: &Rollout, hook: &CanaryWebhook, payload: &Payload) -> Result<Request, String> {
    let _ = (rollout, hook, payload);
    Err("not built yet".to_owned())
}

/// What follows from an attempt; `number` counts from 0.
pub fn attempt(hook: &CanaryWebhook, number: u32, result: &Result<Response, SendError>) -> Attempt {
    let _ = (hook, number, result);
    Attempt::Done(Err("not built yet".to_owned()))
}

/// The requests that tell receivers of an event.
pub fn event_requests(
    rollout: &Rollout,
    event: &Event,
    global: Option<&str>,
    now: Timestamp,
) -> Vec<(CanaryWebhook, Result<Request, String>)> {
    let _ = (rollout, event, global, now);
    Vec::new()
}
