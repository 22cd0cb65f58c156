//! `ngrinder`: clones and starts a test on an nGrinder server, and waits in the background for its end.
//!
//! `POST perftest/api/{clone}/clone_and_start` answers an object with the `id` of the test; `GET perftest/api/{id}/status` one with `status[0].status_id`;
//! `PUT perftest/api/{id}?action=stop` ends it. Source: load tester notes, section 3.4.

use super::{Refusal, Task, Tools};
use crate::payload::Payload;
use crate::process::{Bounds, Over};
use api::GoDuration;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use providers::http::{Method, Request, Secret};
use serde_json::Value;
use std::time::Duration;
use tracing::{debug, error, warn};
use url::Url;

/// For one request.
const TIMEOUT: Duration = Duration::from_secs(60);
/// For the request that stops a test when the program itself has to stop.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at a test, unless the payload says otherwise.
const INTERVAL: Duration = Duration::from_secs(1);

struct Ngrinder {
    canary: String,
    server: Url,
    clone: i64,
    /// `Basic ...`.
    authorization: Secret,
    interval: Duration,
}

pub(super) fn read(payload: &Payload) -> Result<Box<dyn Task>, Refusal> {
    let given = |key| payload.get(key).filter(|value| !value.is_empty());
    let all = (given("server"), given("clone"), given("username"), given("passwd"));
    let (Some(server), Some(clone), Some(username), Some(password)) = all else {
        return Err(Refusal::bad("server, clone, username and passwd are required metadata"));
    };
    let url = Url::parse(server).map_err(|error| Refusal::bad(format!("invalid url: {server}: {error}")))?;
    let clone = integer(clone).map_err(|error| Refusal::bad(format!("metadata clone must be integer: {error}")))?;
    let password = decoded(password).map_err(|error| Refusal::bad(format!("metadata password is invalid: {error}")))?;
    let credentials = [username.as_bytes(), b":", &password].concat();
    let interval = payload.get("pollInterval").and_then(|text| text.parse::<GoDuration>().ok()).map(GoDuration::to_std);
    Ok(Box::new(Ngrinder {
        canary: payload.canary(),
        server: url,
        clone,
        authorization: Secret::new(format!("Basic {}", STANDARD.encode(credentials))),
        interval: interval.filter(|interval| !interval.is_zero()).unwrap_or(INTERVAL),
    }))
}

/// An integer; the errors are Go's.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let cause =
            if matches!(error.kind(), PosOverflow | NegOverflow) { "value out of range" } else { "invalid syntax" };
        format!("strconv.Atoi: parsing {text:?}: {cause}")
    })
}

/// Base64; line breaks do not count, the errors are Go's.
fn decoded(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.chars().filter(|character| !matches!(character, '\r' | '\n')).collect();
    STANDARD.decode(&text).map_err(|error| {
        use base64::DecodeError::{InvalidByte, InvalidLastSymbol};
        let place = match error {
            InvalidByte(place, _) | InvalidLastSymbol(place, _) => place,
            _ => text.len(),
        };
        format!("illegal base64 data at input byte {place}")
    })
}

/// What becomes of a test.
enum Seen {
    Goes,
    Done,
    Failed(String),
}

impl Ngrinder {
    fn request(&self, method: Method, path: &str, timeout: Duration) -> Result<Request, String> {
        let url = self.server.join(path).map_err(|error| error.to_string())?;
        debug!(canary = self.canary, "send {} request to {}", method.name(), public(&url));
        let mut request = Request::get(url.as_str(), timeout);
        request.method = method;
        request.headers.push(("Authorization".to_owned(), self.authorization.clone()));
        Ok(request)
    }

    async fn ask(&self, tools: &Tools, method: Method, path: &str, timeout: Duration) -> Result<Value, String> {
        let request = self.request(method, path, timeout)?;
        let response = tools.outbound.send(request).await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&response.body).map_err(|error| format!("{}: {error}", response.status_line()))
    }

    fn start_path(&self) -> String {
        format!("perftest/api/{}/clone_and_start", self.clone)
    }

    /// The address of the start, for people.
    fn start_url(&self) -> String {
        self.server.join(&self.start_path()).map_or_else(|_| self.start_path(), |url| public(&url))
    }

    /// Starts the test and says its number.
    async fn start(&self, tools: &Tools) -> Result<i64, String> {
        let answer = self.ask(tools, Method::Post, &self.start_path(), TIMEOUT).await?;
        if answer.get("success") == Some(&Value::Bool(false)) {
            return Err(format!("the server says {answer}"));
        }
        let id = answer.get("id").and_then(whole);
        id.ok_or_else(|| format!("the answer has no number `id`: {answer}"))
    }

    async fn look(&self, tools: &Tools, id: i64) -> Seen {
        let answer = self.ask(tools, Method::Get, &format!("perftest/api/{id}/status"), TIMEOUT).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                debug!(canary = self.canary, "status of ngrinder task {id} is unknown: {error}");
                return Seen::Goes;
            }
        };
        let status = answer.pointer("/status/0/status_id").and_then(Value::as_str).unwrap_or_default();
        debug!(canary = self.canary, "status of ngrinder task {id} is {status}");
        match status {
            "FINISHED" => Seen::Done,
            "STOP_BY_ERROR" | "CANCELED" | "UNKNOWN" => Seen::Failed(status.to_owned()),
            _ => Seen::Goes,
        }
    }

    /// Looks at the test until it has ended.
    async fn wait(&self, tools: &Tools, id: i64) -> Result<(), String> {
        loop {
            tokio::time::sleep(self.interval).await;
            match self.look(tools, id).await {
                Seen::Goes => {}
                Seen::Done => return Ok(()),
                Seen::Failed(status) => return Err(status),
            }
        }
    }

    async fn stop(&self, tools: &Tools, id: i64, timeout: Duration) {
        let path = format!("perftest/api/{id}?action=stop");
        let sent = match self.request(Method::Put, &path, timeout) {
            Ok(request) => tools.outbound.send(request).await.map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            warn!(canary = self.canary, "failed to stop ngrinder task {id}: {error}");
        }
    }
}

/// A JSON number without fraction; Go's numbers have one.
#[expect(clippy::cast_possible_truncation, reason = "whole and in range, as checked")]
fn whole(value: &Value) -> Option<i64> {
    let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
    value.as_i64().or_else(|| float.map(|float| float as i64))
}

/// An address without what is secret in it.
pub(super) fn public(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
}

#[async_trait]
impl Task for Ngrinder {
    fn canary(&self) -> &str {
        &self.canary
    }

    fn title(&self) -> String {
        format!("{}{}", self.canary, self.start_url())
    }

    fn identity(&self) -> String {
        format!("{}\n{}", self.canary, self.clone)
    }

    async fn run(&self, tools: &Tools, bounds: &Bounds) -> Result<Vec<u8>, String> {
        let started = tokio::select! {
            started = self.start(tools) => started,
            over = bounds.over() => Err(match over {
                Over::Limit => "context deadline exceeded".to_owned(),
                Over::Stop => "context canceled".to_owned(),
            }),
        };
        let id = started.map_err(|error| {
            let text = format!("failed to clone and start ngrinder test {}: {error}", self.start_url());
            error!(canary = self.canary, "{text}");
            text
        })?;
        let ended = tokio::select! {
            ended = self.wait(tools, id) => ended,
            over = bounds.over() => {
                let timeout = match over {
                    Over::Limit => {
                        warn!(canary = self.canary, "context timedout, top ngrinder task {id} forcibly");
                        TIMEOUT
                    }
                    Over::Stop => {
                        warn!(canary = self.canary, "shutting down, stop ngrinder task {id} forcibly");
                        LAST_TIMEOUT
                    }
                };
                self.stop(tools, id, timeout).await;
                return Err("it did not end in time".to_owned());
            }
        };
        ended.map(|()| Vec::new()).map_err(|status| {
            error!(canary = self.canary, "ngrinder task {id} ended with status {status}");
            status
        })
    }
}
