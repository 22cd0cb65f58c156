//! Webhooks: what is sent, and what an answer means.
//!
//! A hook is one POST of JSON; 200 to 202 mean yes. What may pass by itself is tried again, as often as the hook
//! allows. Events go to the hooks of type `event`, else to the receiver of the command line, in the same form. Does not
//! send, wait or count. Source: webhook notes, sections 1 and 2.

#[cfg(test)]
mod tests;

use crate::http::url::{Url, masked, quoted};
use crate::http::{Request, Response, SendError};
use api::{CanaryWebhook, GoDuration, HookType, Phase, Rollout};
use jiff::Timestamp;
use rollout::{Event, EventKind, Payload};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time for one attempt where the hook says nothing, or nothing sensible.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait before another attempt, also if the receiver asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Name of the receiver of the command line.
const GLOBAL: &str = "events";

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

/// The body; the order of the fields is that on the wire.
#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    namespace: &'a str,
    phase: Phase,
    checksum: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
}

/// The request of a hook. Errors, without any request: a URL that is none, a timeout that is no Go duration.
pub fn request(rollout: &Rollout, hook: &CanaryWebhook, payload: &Payload) -> Result<Request, String> {
    let body = Body {
        name: &rollout.name,
        namespace: &rollout.namespace,
        phase: payload.phase,
        checksum: objects::hash::webhook_checksum(payload.tracked.as_ref(), &payload.applied),
        metadata: &hook.metadata,
    };
    Url::parse(&hook.url).map_err(|error| format!("parse {}: {error}", quoted(&masked(&hook.url))))?;
    let mut request = Request::post_json(hook.url.as_str(), &body, timeout(hook)?)?;
    request.insecure = hook.disable_tls;
    Ok(request)
}

/// What follows from an attempt; `number` counts from 0.
pub fn attempt(hook: &CanaryWebhook, number: u32, result: &Result<Response, SendError>) -> Attempt {
    if is_retriable(result) && i64::from(number) < hook.retries {
        return Attempt::Retry { after: wait(number, result) };
    }
    Attempt::Done(match result {
        Ok(response) if response.status <= 202 => Ok(()),
        // What a failed test has to say is worth more than the number of attempts.
        Ok(response) if !is_retriable(result) || !response.body.is_empty() => Err(response.shown()),
        Ok(_) => Err(given_up(hook, number)),
        Err(error) if error.is_broken_body() => Err(error.message.clone()),
        Err(error) => Err(format!("{}: Post {}: {error}", given_up(hook, number), quoted(&masked(&hook.url)))),
    })
}

/// The requests that tell receivers of an event: the hooks of type `event`, else the receiver of the command line
/// (`global`), which then is a hook named `events`.
pub fn event_requests(
    rollout: &Rollout,
    event: &Event,
    global: Option<&str>,
    now: Timestamp,
) -> Vec<(CanaryWebhook, Result<Request, String>)> {
    let mut hooks: Vec<CanaryWebhook> = rollout.hooks(HookType::Event).map(|(_, hook)| hook.clone()).collect();
    if hooks.is_empty() {
        hooks.extend(global.filter(|url| !url.is_empty()).map(global_hook));
    }
    let facts = facts(event, now);
    let told = |hook: CanaryWebhook| {
        let mut full = hook.clone();
        full.metadata.extend(facts.clone());
        let request = request(rollout, &full, &event.payload);
        (hook, request)
    };
    hooks.into_iter().map(told).collect()
}

fn global_hook(url: &str) -> CanaryWebhook {
    CanaryWebhook { kind: HookType::Event, name: GLOBAL.to_owned(), url: url.to_owned(), ..CanaryWebhook::default() }
}

/// What an event adds to the metadata of a hook; no hook can say otherwise.
fn facts(event: &Event, now: Timestamp) -> BTreeMap<String, String> {
    let kind = if event.kind == EventKind::Normal { "Normal" } else { "Warning" };
    let facts = [
        ("eventMessage", event.message.clone()),
        ("eventType", kind.to_owned()),
        ("timestamp", now.as_millisecond().to_string()),
    ];
    facts.map(|(key, value)| (key.to_owned(), value)).into()
}

/// The time for one attempt. Texts of one character, zero and less are the default: a hook without a limit would stop
/// its Canary for ever.
fn timeout(hook: &CanaryWebhook) -> Result<Duration, String> {
    let text = hook.timeout.as_deref().unwrap_or_default();
    if text.len() < 2 {
        return Ok(TIMEOUT);
    }
    let timeout: GoDuration = text.parse().map_err(|error: api::DurationError| error.to_string())?;
    Ok(if timeout <= GoDuration::ZERO { TIMEOUT } else { timeout.to_std() })
}

/// Whether another attempt may do better: the receiver was not reached, is overloaded, or failed.
fn is_retriable(result: &Result<Response, SendError>) -> bool {
    match result {
        Ok(response) => response.status == 429 || (response.status >= 500 && response.status != 501),
        // The receiver has answered: it may have done its work already.
        Err(error) => error.retriable && !error.is_broken_body(),
    }
}

/// The wait before the next attempt: 1, 2, 4, 8, 16, then 30 seconds, or what an overloaded receiver asks for in whole
/// seconds, 30 at most. A date as `Retry-After` is not followed, because there is no clock here.
fn wait(number: u32, result: &Result<Response, SendError>) -> Duration {
    let asked = match result {
        Ok(Response { status: 429 | 503, retry_after: Some(text), .. }) => {
            text.trim().parse().ok().map(Duration::from_secs)
        }
        _ => None,
    };
    asked.unwrap_or_else(|| Duration::from_secs(2_u64.saturating_pow(number))).min(LONGEST_WAIT)
}

fn given_up(hook: &CanaryWebhook, number: u32) -> String {
    format!("POST {} giving up after {} attempt(s)", masked(&hook.url), u64::from(number) + 1)
}
