//! `concord`: starts a process on a Concord server and waits for its end.
//!
//! `POST {server}/api/v1/process` with a form answers `instanceId` and `ok`; `GET {server}/api/v1/process/{id}` answers `status`.
//! Source: load tester notes, section 3.5; <https://concord.walmartlabs.com/docs/api/process.html>.

use super::ngrinder::{integer, public};
use super::{Refusal, Task, Tools};
use crate::payload::Payload;
use crate::process::{Bounds, Over};
use async_trait::async_trait;
use http::StatusCode;
use providers::http::{Method, Request, Response, Secret};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, info};
use url::Url;

/// For one request.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Seconds between two looks at a process, unless the payload says otherwise.
const INTERVAL: i64 = 5;

struct Concord {
    canary: String,
    /// Where processes are made.
    url: Url,
    /// Of the form, in order.
    fields: Vec<(String, String)>,
    key: PathBuf,
    interval: Duration,
    /// Seconds from the start of the process, if the payload says so.
    patience: Option<u64>,
}

pub(super) fn read(payload: &Payload) -> Result<Box<dyn Task>, Refusal> {
    let task = prepare(payload).map_err(|text| {
        error!(canary = payload.name, "concord task init error: {text}");
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, text }
    })?;
    Ok(Box::new(task))
}

/// The order of the checks is part of the interface: the first that fails is told.
fn prepare(payload: &Payload) -> Result<Concord, String> {
    let need = |key: &str| payload.get(key).ok_or_else(|| format!("`{key}` is required with type concord"));
    let server = need("server")?;
    let no_url = || "failed to create base URL from metadata `concord_url`".to_owned();
    let mut url = Url::parse(server).ok().filter(Url::has_host).ok_or_else(no_url)?;
    url.set_path("/api/v1/process");
    url.set_query(None);
    url.set_fragment(None);
    let mut fields = Vec::new();
    for (key, field) in [("org", "org"), ("project", "project"), ("repo", "repo"), ("entrypoint", "entryPoint")] {
        fields.push((field.to_owned(), need(key)?.to_owned()));
    }
    let key = need("apiKeyPath")?;
    if !std::path::Path::new(key).exists() {
        return Err(format!("`apiKeyPath` file doesn't exist {key}"));
    }
    fields.push(("arguments.endpoint".to_owned(), need("endpoint")?.to_owned()));
    let seconds = |key: &str| match payload.get(key) {
        Some(text) => integer(text).map(Some).map_err(|_| format!("unable to convert `{key}` to int")),
        None => Ok(None),
    };
    let interval = seconds("pollInterval")?.unwrap_or(INTERVAL).max(1);
    let patience = seconds("pollTimeout")?.map(|seconds| u64::try_from(seconds).unwrap_or_default());
    for (key, value) in payload.metadata.iter().filter(|(key, _)| key.starts_with("arguments.")) {
        if key == "arguments.endpoint" {
            return Err(
                "You cannot override Endpoint through arguments. You must override Endpoint directly".to_owned()
            );
        }
        fields.push((key.clone(), value.clone()));
    }
    Ok(Concord {
        canary: payload.canary(),
        url,
        fields,
        key: key.into(),
        interval: Duration::from_secs(interval.unsigned_abs()),
        patience,
    })
}

impl Concord {
    fn request(&self, url: &Url) -> Result<Request, String> {
        let key = std::fs::read_to_string(&self.key).map_err(|error| format!("{}: {error}", self.key.display()))?;
        let mut request = Request::get(url.as_str(), TIMEOUT);
        let key = Secret::new(key.trim());
        if !key.is_empty() {
            request.headers.push(("Authorization".to_owned(), key));
        }
        Ok(request)
    }

    /// Makes the process and says its number.
    async fn start(&self, tools: &Tools) -> Result<String, String> {
        let mut request = self.request(&self.url)?;
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        request.method = Method::Post;
        let kind = Secret::new(format!("multipart/form-data; boundary={boundary}"));
        request.headers.push(("Content-Type".to_owned(), kind));
        request.body = Some(form(&self.fields, &boundary).into_bytes());
        let answer = send(tools, request).await?;
        let id = answer.get("instanceId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| format!("the answer has no `instanceId`: {answer}"))?;
        let ok = answer.get("ok").and_then(Value::as_bool).unwrap_or_default();
        info!(canary = self.canary, "created process id [{id}] OK status is {ok}");
        Ok(id.to_owned())
    }

    async fn status(&self, tools: &Tools, id: &str) -> Result<String, String> {
        let mut url = self.url.clone();
        // `http` and `https` addresses have segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(id);
        }
        info!(canary = self.canary, "calling endpoint {}", public(&url));
        let request = self.request(&url).map_err(|error| format!("failed to generate request: {error}"))?;
        let answer = send(tools, request).await.map_err(|error| format!("failed checking status: {error}"))?;
        let status = answer.get("status").and_then(Value::as_str).unwrap_or_default();
        info!(canary = self.canary, "process id [{id}] current status is {status}");
        Ok(status.to_owned())
    }

    /// Looks at the process until it has ended.
    async fn wait(&self, tools: &Tools, id: &str) -> Result<(), String> {
        loop {
            tokio::time::sleep(self.interval).await;
            match self.status(tools, id).await?.as_str() {
                "FINISHED" => return Ok(()),
                "FAILED" | "CANCELLED" | "TIMED_OUT" => return Err(format!("concord instanceID: {id} failed")),
                _ => {}
            }
        }
    }

    async fn go(&self, tools: &Tools) -> Result<(), String> {
        let id = self.start(tools).await.inspect_err(|error| {
            error!(canary = self.canary, "failed to start process: {error}");
        })?;
        let Some(seconds) = self.patience else { return self.wait(tools, &id).await };
        let now = Instant::now();
        let end = now.checked_add(Duration::from_secs(seconds)).unwrap_or(now);
        let waited = tokio::time::timeout_at(end, self.wait(tools, &id)).await;
        waited.unwrap_or_else(|_| Err(format!("concord process timed out, after {seconds} seconds")))
    }
}

/// The answer of a server that is content, as JSON.
async fn send(tools: &Tools, request: Request) -> Result<Value, String> {
    let response: Response = tools.outbound.send(request).await.map_err(|error| error.to_string())?;
    if response.status >= 400 {
        return Err(format!("{}: {}", response.status_line(), response.shown()));
    }
    serde_json::from_slice(&response.body).map_err(|error| format!("{}: {error}", response.status_line()))
}

/// A form as `multipart/form-data`.
fn form(fields: &[(String, String)], boundary: &str) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        // Quotation marks and line breaks would end the name.
        let name = name.replace('\\', "\\\\").replace('"', "\\\"").replace(['\r', '\n'], "");
        // Writing to a String does not fail.
        let _ = write!(text, "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    let _ = write!(text, "--{boundary}--\r\n");
    text
}

#[async_trait]
impl Task for Concord {
    fn canary(&self) -> &str {
        &self.canary
    }

    fn title(&self) -> String {
        public(&self.url)
    }

    fn identity(&self) -> String {
        format!("{}\n{}", self.canary, self.url)
    }

    async fn run(&self, tools: &Tools, bounds: &Bounds) -> Result<Vec<u8>, String> {
        tokio::select! {
            ended = self.go(tools) => ended.map(|()| Vec::new()),
            over = bounds.over() => Err(match over {
                Over::Limit => "context timedout".to_owned(),
                Over::Stop => "the load tester is shutting down".to_owned(),
            }),
        }
    }
}
