//! The one HTTP client for everything that is no API server: hooks, metrics, alerts.
//!
//! Every request has a time limit, a size limit and a bounded number of redirects; not more than a fixed number are under way at once. What comes back, and
//! what went wrong, is told without secrets.

use async_trait::async_trait;
use providers::http::{Method, Request, Response, SendError};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest body that is read, in bytes.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// Requests under way at once.
const CONCURRENCY: usize = 128;
/// Longest time for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Whoever carries requests out. Tests answer from a table.
#[async_trait]
pub trait Outbound: Send + Sync + Debug {
    /// Sends one request, once.
    async fn send(&self, request: Request) -> Result<Response, SendError>;
}

/// The real client.
#[derive(Debug)]
pub struct Client {
    by_kind: Mutex<HashMap<Settings, reqwest::Client>>,
    permits: Semaphore,
}

/// What makes a client another one: connections are shared among requests with the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Settings {
    insecure: bool,
    proxy: Option<String>,
    redirects: usize,
}

impl Default for Client {
    fn default() -> Self {
        Self { by_kind: Mutex::default(), permits: Semaphore::new(CONCURRENCY) }
    }
}

impl Client {
    fn client(&self, settings: &Settings) -> Result<reqwest::Client, SendError> {
        let mut clients = self.by_kind.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(settings) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(90))
            .redirect(reqwest::redirect::Policy::limited(settings.redirects))
            .tls_danger_accept_invalid_certs(settings.insecure);
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy).map_err(|error| failure(&error, false))?;
            builder = builder.no_proxy().proxy(proxy);
        }
        let client = builder.build().map_err(|error| failure(&error, false))?;
        // Proxies come from users' objects: their number must not grow for ever.
        if clients.len() >= 64 {
            clients.clear();
        }
        clients.insert(settings.clone(), client.clone());
        Ok(client)
    }
}

#[async_trait]
impl Outbound for Client {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let client = self.client(&Settings {
            insecure: request.insecure,
            proxy: request.proxy.clone(),
            redirects: request.max_redirects,
        })?;
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| SendError { message: "the client is shut down".to_owned(), retriable: false })?;
        let limit = request.timeout;
        match tokio::time::timeout(limit, exchange(&client, request)).await {
            Ok(result) => result,
            Err(_) => Err(SendError {
                message: "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned(),
                retriable: true,
            }),
        }
    }
}

async fn exchange(client: &reqwest::Client, request: Request) -> Result<Response, SendError> {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    let mut builder = client.request(method, request.url.reveal());
    for (name, value) in &request.headers {
        builder = builder.header(name.as_str(), value.reveal());
    }
    if let Some(body) = request.body {
        builder = builder.body(body);
    }
    let mut response = builder.send().await.map_err(|error| {
        let retriable = !(error.is_builder() || error.is_redirect() || is_certificate(&error));
        failure(&error, retriable)
    })?;
    let status = response.status().as_u16();
    let retry_after =
        response.headers().get(reqwest::header::RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (mut body, mut truncated) = (Vec::new(), false);
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| SendError { message: format!("error reading body: {}", words(&error)), retriable: true })?
    {
        let room = BODY_LIMIT.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if chunk.len() > room {
            truncated = true;
            break;
        }
    }
    Ok(Response { status, retry_after, body, truncated })
}

fn failure(error: &reqwest::Error, retriable: bool) -> SendError {
    SendError { message: words(error), retriable }
}

/// The error and its causes, without the URL: it may hold a password or be a secret as a whole.
fn words(error: &reqwest::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !causes.iter().any(|told| told.contains(&text)) {
            causes.push(text);
        }
        source = cause.source();
    }
    match causes.is_empty() {
        true if error.is_builder() => "invalid URL, header or body".to_owned(),
        true if error.is_redirect() => "too many redirects".to_owned(),
        true => "the request failed".to_owned(),
        false => causes.join(": "),
    }
}

fn is_certificate(error: &reqwest::Error) -> bool {
    words(error).contains("certificate")
}
