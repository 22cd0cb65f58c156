//! The one HTTP client for everything that is no API server: hooks, metrics, alerts.
//!
//! Every request has a time limit, a size limit and a bounded number of redirects; not more than a fixed number are under way at once. What comes back, and
//! what went wrong, is told without secrets.

use async_trait::async_trait;
use providers::http::{Method, Request, Response, Secret, SendError};
use reqwest::Url;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest body that is read, in bytes.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// Requests under way at once. Hooks may take many minutes each, and must not keep metrics waiting.
const CONCURRENCY: usize = 512;
/// Longest time for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Headers that may go to whatever host a redirect leads to.
const HARMLESS: [&str; 3] = ["accept", "content-type", "user-agent"];

/// Whoever carries requests out. Tests answer from a table.
#[async_trait]
pub trait Outbound: Send + Sync + Debug {
    /// Sends one request, once.
    async fn send(&self, request: Request) -> Result<Response, SendError>;
}

/// The real client.
pub struct Client {
    by_kind: Mutex<HashMap<Settings, reqwest::Client>>,
    permits: Semaphore,
}

impl Debug for Client {
    // Proxies may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// What makes a client another one: connections are shared among requests with the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Settings {
    insecure: bool,
    proxy: Option<String>,
    /// Without the proxy of the environment.
    direct: bool,
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
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(settings.insecure);
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy).map_err(|error| failure(&error, false))?;
            builder = builder.no_proxy().proxy(proxy);
        } else if settings.direct {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| failure(&error, false))?;
        // Proxies come from users' objects: their number must not grow for ever.
        if clients.len() >= 64 {
            clients.clear();
        }
        clients.insert(settings.clone(), client.clone());
        Ok(client)
    }

    /// Sends a request and follows redirects.
    async fn exchange(&self, request: Request) -> Result<Response, SendError> {
        let url = Url::parse(request.url.reveal()).map_err(|error| refused(format!("invalid URL: {error}")))?;
        let (insecure, proxy, limit) = (request.insecure, request.proxy, request.max_redirects);
        let mut hop = Hop { method: request.method, url, headers: request.headers, body: request.body };
        for _ in 0..=limit {
            let direct = proxy.is_none() && is_loopback(&hop.url);
            let client = self.client(&Settings { insecure, proxy: proxy.clone(), direct })?;
            let response = hop.send(&client).await?;
            hop = match hop.next(&response)? {
                Some(next) => next,
                None => return read(response).await,
            };
        }
        Err(refused(format!("stopped after {limit} redirects")))
    }
}

#[async_trait]
impl Outbound for Client {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let _permit = self.permits.acquire().await.map_err(|_| refused("the client is shut down".to_owned()))?;
        let limit = request.timeout;
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(SendError {
                message: "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned(),
                retriable: true,
            }),
        }
    }
}

/// One request on the way through redirects. They are followed here, not by the library, because keys of metric servers travel in headers of their own,
/// and none of them may go to another host.
struct Hop {
    method: Method,
    url: Url,
    headers: Vec<(String, Secret)>,
    body: Option<Vec<u8>>,
}

impl Hop {
    async fn send(&self, client: &reqwest::Client) -> Result<reqwest::Response, SendError> {
        let method = match self.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut builder = client.request(method, self.url.clone());
        for (name, value) in &self.headers {
            builder = builder.header(name.as_str(), value.reveal());
        }
        if let Some(body) = &self.body {
            builder = builder.body(body.clone());
        }
        builder.send().await.map_err(|error| {
            let retriable = !(error.is_builder() || error.is_redirect() || is_certificate(&error));
            failure(&error, retriable)
        })
    }

    /// Where a response sends us; `None` if it is the one that was asked for.
    fn next(&self, response: &reqwest::Response) -> Result<Option<Self>, SendError> {
        let again = match response.status().as_u16() {
            301..=303 => false,
            307 | 308 => true,
            _ => return Ok(None),
        };
        let Some(place) = response.headers().get(reqwest::header::LOCATION) else { return Ok(None) };
        let place = place.to_str().ok().and_then(|place| self.url.join(place).ok());
        let url = place.ok_or_else(|| refused("the redirect leads to no valid URL".to_owned()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused(format!("unsupported protocol scheme {:?}", url.scheme())));
        }
        let mut headers = self.headers.clone();
        if !same_host(&self.url, &url) {
            headers.retain(|(name, _)| HARMLESS.iter().any(|harmless| name.eq_ignore_ascii_case(harmless)));
        }
        if again {
            return Ok(Some(Self { method: self.method, url, headers, body: self.body.clone() }));
        }
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        Ok(Some(Self { method: Method::Get, url, headers, body: None }))
    }
}

/// Whether credentials for the one are meant for the other as well: the same host and port, or the same host behind TLS.
fn same_host(from: &Url, to: &Url) -> bool {
    let ports = (from.port_or_known_default(), to.port_or_known_default());
    let same = from.scheme() == to.scheme() && ports.0 == ports.1;
    let upgraded = from.scheme() == "http" && to.scheme() == "https" && ports == (Some(80), Some(443));
    from.host_str() == to.host_str() && (same || upgraded)
}

/// This machine is never behind the proxy of the environment.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn read(mut response: reqwest::Response) -> Result<Response, SendError> {
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

/// What trying again does not help.
fn refused(message: String) -> SendError {
    SendError { message, retriable: false }
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
        true => "the request failed".to_owned(),
        false => causes.join(": "),
    }
}

fn is_certificate(error: &reqwest::Error) -> bool {
    words(error).contains("certificate")
}

#[cfg(test)]
mod tests;
