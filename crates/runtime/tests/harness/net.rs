//! Everything that is no API server: Prometheus, hooks, receivers of events and alerts, answered from a table.
//!
//! Metrics are green unless a rule says otherwise, hooks say yes unless told otherwise. Every request is kept.

use async_trait::async_trait;
use lab::faults::Faults;
use providers::http::{Request, Response, SendError};
use runtime::outbound::Outbound;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// Where events are posted to.
pub const EVENTS: &str = "http://events/";

/// One answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Prometheus: one series with that value.
    Value(&'static str),
    /// A status and a body.
    Text(u16, String),
    /// Nothing, until the request's own time limit.
    Hang,
    /// No connection (retriable), or an error that a retry does not mend.
    Broken(&'static str, bool),
    /// The second after that time, if the request's own limit is not over before.
    Slow(Duration, Box<Reply>),
}

impl Reply {
    /// An empty answer with that status.
    pub fn status(status: u16) -> Self {
        Self::Text(status, String::new())
    }
}

/// A request as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub url: String,
    pub body: Value,
    pub headers: Vec<(String, String)>,
    pub at: tokio::time::Instant,
}

/// An event as its receiver got it.
#[derive(Debug, Clone)]
pub struct Told {
    pub canary: String,
    pub line: String,
    pub payload: Value,
}

#[derive(Debug, Default)]
struct State {
    sent: Vec<Sent>,
    told: Vec<Told>,
    metrics: Vec<(String, VecDeque<Reply>)>,
    hooks: HashMap<String, VecDeque<Reply>>,
    commands: Vec<(String, VecDeque<Reply>)>,
}

/// See the module.
#[derive(Debug)]
pub struct Net {
    state: Mutex<State>,
    changed: watch::Sender<usize>,
}

impl Default for Net {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl Net {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Queries that contain this text are answered so, one after the other; the last answer stays.
    pub fn metric(&self, part: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut state = self.state();
        state.metrics.retain(|(other, _)| other != part);
        state.metrics.insert(0, (part.to_owned(), replies.into_iter().collect()));
    }

    /// As [`Net::metric`], with values.
    pub fn values(&self, part: &str, values: &[&'static str]) {
        self.metric(part, values.iter().map(|value| Reply::Value(value)));
    }

    /// The hook `http://hooks/NAME` answers so, one after the other; the last answer stays.
    pub fn hook(&self, name: &str, replies: impl IntoIterator<Item = Reply>) {
        self.state().hooks.insert(name.to_owned(), replies.into_iter().collect());
    }

    /// As [`Net::hook`], with a status and a body.
    pub fn hook_says(&self, name: &str, status: u16, body: &str) {
        self.hook(name, [Reply::Text(status, body.to_owned())]);
    }

    /// The load tester, wherever it is, answers commands (`metadata.cmd`) that contain this text so, one after the other; the last answer stays.
    pub fn command(&self, part: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut state = self.state();
        state.commands.retain(|(other, _)| other != part);
        state.commands.insert(0, (part.to_owned(), replies.into_iter().collect()));
    }

    /// Requests that brought such a command.
    pub fn commanded(&self, part: &str) -> Vec<Sent> {
        let has = |sent: &&Sent| sent.body["metadata"]["cmd"].as_str().is_some_and(|command| command.contains(part));
        self.state().sent.iter().filter(has).cloned().collect()
    }

    /// Requests to URLs that contain this text.
    pub fn sent_to(&self, part: &str) -> Vec<Sent> {
        self.state().sent.iter().filter(|sent| sent.url.contains(part)).cloned().collect()
    }

    /// Queries that reached Prometheus.
    pub fn queries(&self) -> Vec<String> {
        self.sent_to("/api/v1/query").iter().map(|sent| query(&sent.url)).collect()
    }

    pub fn told(&self) -> Vec<Told> {
        self.state().told.clone()
    }

    pub fn changed(&self) -> watch::Receiver<usize> {
        self.changed.subscribe()
    }

    fn reply(&self, url: &str, body: &Value) -> Reply {
        let mut state = self.state();
        let command = body["metadata"]["cmd"].as_str().unwrap_or_default();
        if let Some((_, replies)) = state.commands.iter_mut().find(|(part, _)| command.contains(part.as_str())) {
            return next(replies);
        }
        if url.contains("/api/v1/query") {
            let query = query(url);
            if let Some((_, replies)) = state.metrics.iter_mut().find(|(part, _)| query.contains(part.as_str())) {
                return next(replies);
            }
            return Reply::Value(match () {
                () if query.contains("vector(1)") => "1",
                () if query.contains("_seconds_bucket") => "0.05",
                () if query.contains("histogram_quantile") => "50",
                () => "100",
            });
        }
        match url.strip_prefix("http://hooks/").and_then(|name| state.hooks.get_mut(name)) {
            Some(replies) => next(replies),
            None => Reply::status(200),
        }
    }
}

fn next(replies: &mut VecDeque<Reply>) -> Reply {
    if replies.len() > 1 { replies.pop_front().unwrap() } else { replies.front().unwrap().clone() }
}

fn query(url: &str) -> String {
    let text = url.split_once("query=").unwrap().1;
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// The answer of Prometheus with these series.
pub fn series(values: &[&str]) -> Reply {
    let result: Vec<Value> = values.iter().map(|value| json!({"metric": {}, "value": [0, value]})).collect();
    Reply::Text(200, json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string())
}

async fn answer(reply: Reply, limit: Duration) -> Result<Response, SendError> {
    match reply {
        Reply::Value(value) => Box::pin(answer(series(&[value]), limit)).await,
        Reply::Text(status, body) => {
            Ok(Response { status, retry_after: None, body: body.into_bytes(), truncated: false })
        }
        Reply::Broken(message, retriable) => Err(SendError { message: message.to_owned(), retriable }),
        Reply::Slow(after, then) if after < limit => {
            tokio::time::sleep(after).await;
            Box::pin(answer(*then, limit)).await
        }
        Reply::Hang | Reply::Slow(..) => {
            tokio::time::sleep(limit).await;
            let message = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned();
            Err(SendError { message, retriable: true })
        }
    }
}

#[async_trait]
impl Outbound for Net {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let url = request.url.reveal().to_owned();
        let body: Value =
            request.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let headers = request.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect();
        let sent_body = body.clone();
        let count = {
            let mut state = self.state();
            state.sent.push(Sent { url: url.clone(), body: body.clone(), headers, at: tokio::time::Instant::now() });
            if url == EVENTS {
                let letter = if body["metadata"]["eventType"] == "Normal" { "N" } else { "W" };
                let line = format!("{letter} {}", body["metadata"]["eventMessage"].as_str().unwrap_or_default());
                state.told.push(Told {
                    canary: body["name"].as_str().unwrap_or_default().to_owned(),
                    line,
                    payload: body,
                });
            }
            state.sent.len()
        };
        self.changed.send_replace(count);
        answer(self.reply(&url, &sent_body), request.timeout).await
    }
}

/// The network as one process sees it: after its death ([`Faults::is_dead`]) it sends nothing, and learns no answer.
#[derive(Debug)]
pub struct Mortal {
    pub net: Arc<Net>,
    pub faults: Faults,
}

#[async_trait]
impl Outbound for Mortal {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        if self.faults.is_dead() {
            return std::future::pending().await;
        }
        tokio::select! {
            biased;
            () = self.faults.died() => std::future::pending().await,
            answer = self.net.send(request) => answer,
        }
    }
}
