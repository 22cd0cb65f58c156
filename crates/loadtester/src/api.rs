//! What requests get: gates, tasks, health, metrics.
//!
//! Methods are not looked at. Paths are exact, but for the one that takes all others: tasks. Source: load tester notes, sections 2 and 3.

use crate::body::{Reader, Unread};
use crate::gates::Gates;
use crate::payload::Payload;
use crate::runner::{Runner, bounds, measured};
use crate::tasks::{self, Mode, Tools};
use crate::telemetry::{Fate, Telemetry};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use program::server::Handler;
use regex::Regex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tracing::{error, info};

/// Tasks at once whose end somebody waits for.
pub const MOST: u32 = 64;

const PLAIN: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// An answer: status code and text.
type Answer = (StatusCode, Vec<u8>);

/// What the API works with.
pub struct Parts {
    /// Namespaces that are served; `None` for all.
    pub namespaces: Option<Regex>,
    /// For background tasks.
    pub runner: Runner,
    /// For blocking tasks.
    pub tools: Tools,
    /// For all.
    pub telemetry: Arc<Telemetry>,
    /// How long a blocking task may take.
    pub limit: Duration,
    /// Ends blocking tasks.
    pub stop: watch::Receiver<bool>,
}

/// Answers requests. Clones are the same.
#[derive(Clone)]
pub struct Api {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    gates: Gates,
    reader: Reader,
    slots: Arc<Semaphore>,
}

impl Handler for Api {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.respond(request).await
    }
}

impl Api {
    /// An API with all gates closed.
    pub fn new(parts: Parts) -> Self {
        let slots = Arc::new(Semaphore::new(MOST as usize));
        Self { shared: Arc::new(Shared { parts, gates: Gates::default(), reader: Reader::default(), slots }) }
    }

    /// Waits until no blocking task runs, nor anything that one has left behind.
    pub async fn idle(&self) {
        // The slots are never closed.
        let _ = self.shared.slots.acquire_many(MOST).await;
    }

    /// The answer to one request.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body + Unpin,
        B::Error: std::fmt::Display,
    {
        let path = request.uri().path().to_owned();
        if path == "*" {
            return response(StatusCode::BAD_REQUEST, PLAIN, Vec::new());
        }
        let clean = cleaned(&path);
        if clean != path {
            return redirect(&clean, request.uri().query());
        }
        let fixed = |status, text: &str| response(status, PLAIN, text.as_bytes().to_vec());
        match path.as_str() {
            "/metrics" => response(StatusCode::OK, METRICS, self.shared.metrics()),
            "/healthz" | "/gate/approve" => fixed(StatusCode::OK, "OK"),
            "/gate/halt" => fixed(StatusCode::FORBIDDEN, "Forbidden"),
            _ => {
                let (status, text) = self.shared.with_payload(&path, request).await.unwrap_or_else(|refused| refused);
                response(status, PLAIN, text)
            }
        }
    }
}

impl Shared {
    fn metrics(&self) -> Vec<u8> {
        self.parts.telemetry.exposition(&self.gates)
    }

    /// Errors are answers as well.
    async fn with_payload<B>(self: &Arc<Self>, path: &str, request: Request<B>) -> Result<Answer, Answer>
    where
        B: Body + Unpin,
        B::Error: std::fmt::Display,
    {
        let body = self.reader.read(request).await.map_err(|error| unread(&error))?;
        let payload = Payload::parse(&body).map_err(|error| {
            error!(%error, "decoding the request body failed");
            (StatusCode::BAD_REQUEST, Vec::new())
        })?;
        if self.parts.namespaces.as_ref().is_some_and(|allowed| !allowed.is_match(&payload.namespace)) {
            return Err((StatusCode::FORBIDDEN, b"Forbidden".to_vec()));
        }
        let canary = payload.canary();
        match path {
            "/gate/check" => Ok(self.check(&canary, "gate check: approved")),
            "/gate/open" => self.open(&canary, "gate opened"),
            "/gate/close" => Ok(self.close(&canary, "gate closed")),
            "/rollback/check" => Ok(self.check(&format!("rollback.{canary}"), "rollback check: approved")),
            "/rollback/open" => self.open(&format!("rollback.{canary}"), "rollback opened"),
            "/rollback/close" => Ok(self.close(&format!("rollback.{canary}"), "rollback closed")),
            _ => self.task(&payload).await,
        }
    }

    fn check(&self, key: &str, what: &str) -> Answer {
        let open = self.gates.is_open(key);
        info!("{key} {what} {open}");
        if open { (StatusCode::OK, b"Approved".to_vec()) } else { (StatusCode::FORBIDDEN, b"Forbidden".to_vec()) }
    }

    fn open(&self, key: &str, what: &str) -> Result<Answer, Answer> {
        self.gates.open(key).map_err(|full| (StatusCode::SERVICE_UNAVAILABLE, full.to_string().into_bytes()))?;
        info!("{key} {what}");
        Ok((StatusCode::ACCEPTED, Vec::new()))
    }

    fn close(&self, key: &str, what: &str) -> Answer {
        self.gates.close(key);
        info!("{key} {what}");
        (StatusCode::ACCEPTED, Vec::new())
    }

    async fn task(self: &Arc<Self>, payload: &Payload) -> Result<Answer, Answer> {
        let (kind, task) = tasks::read(payload).map_err(|refusal| (refusal.status, refusal.text.into_bytes()))?;
        if kind.mode == Mode::Background {
            self.parts.runner.add(kind, Arc::from(task));
            return Ok((StatusCode::ACCEPTED, Vec::new()));
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.parts.telemetry.count(kind.name, Fate::Refused);
            let text = format!("{MOST} tasks of types that are waited for are running already, which is the limit");
            error!(canary = task.canary(), "command refused {}: {text}", task.title());
            return Err((StatusCode::SERVICE_UNAVAILABLE, text.into_bytes()));
        };
        let shared = Arc::clone(self);
        // On its own, because it goes on when the client is gone.
        let running = tokio::spawn(async move {
            let parts = &shared.parts;
            let bounds = bounds(parts.limit, &parts.stop, slot);
            measured(&parts.telemetry, kind, task.as_ref(), &parts.tools, &bounds).await
        });
        let failed = |text: String| (StatusCode::INTERNAL_SERVER_ERROR, text.into_bytes());
        let done = running.await.map_err(|error| failed(format!("the task ended unexpectedly: {error}")))?;
        done.map(|output| (StatusCode::OK, output)).map_err(failed)
    }
}

fn unread(error: &Unread) -> Answer {
    error!(%error, "reading the request body failed");
    match error {
        Unread::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, error.to_string().into_bytes()),
        Unread::TooSlow => (StatusCode::REQUEST_TIMEOUT, error.to_string().into_bytes()),
        Unread::Broken(_) => (StatusCode::BAD_REQUEST, Vec::new()),
    }
}

fn response(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let empty = body.is_empty();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    if !empty {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// Method and body are sent again.
fn redirect(path: &str, query: Option<&str>) -> Response<Full<Bytes>> {
    let place = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut response = response(StatusCode::TEMPORARY_REDIRECT, PLAIN, Vec::new());
    // What came as a path can go as one.
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

/// A path without empty segments, `.` and `..`; a slash at its end stays.
fn cleaned(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let slash = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, clean) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/gate/open", "/gate/open"),
            ("/gate/open/", "/gate/open/"),
            ("//gate/open", "/gate/open"),
            ("/gate/./x/../open", "/gate/open"),
            ("/../../a//", "/a/"),
        ] {
            assert_eq!(cleaned(path), clean, "{path}");
        }
    }
}
