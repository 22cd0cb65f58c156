//! An HTTP client for load: one connection that is kept, answers that are read and dropped.
//!
//! Redirects are followed as `hey` does; certificates are not checked.

mod connection;
mod wire;

use crate::engine::Client;
use crate::net::{DialError, Endpoint, Route};
use crate::record::{Outcome, Phases};
use bytes::Bytes;
use connection::{Answer, Connection, ExchangeError};
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// How often a redirect is followed.
const REDIRECTS: usize = 10;
/// Connections kept to different servers, when redirects lead there.
const KEPT: usize = 4;

/// What every request of a run has in common.
#[derive(Debug)]
pub(crate) struct Common {
    /// The first request.
    pub(crate) first: Template,
    /// An HTTP proxy.
    pub(crate) proxy: Option<Endpoint>,
    /// For `https`.
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// Connections are used again.
    pub(crate) keep_alive: bool,
    /// Redirects are followed.
    pub(crate) redirects: bool,
}

/// One request, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    method: Method,
    url: Url,
    /// With scheme and authority, for HTTP/2.
    absolute: Uri,
    server: Endpoint,
    secure: bool,
    /// The name that TLS asks for: that of the Host header, by which gateways choose.
    name: String,
    headers: HeaderMap,
    body: Bytes,
    /// As it is written in HTTP/1.1.
    wire: Vec<u8>,
}

impl Template {
    /// A request to `url`. `host` replaces the name that the server is told.
    pub(crate) fn new(
        method: Method,
        url: Url,
        host: Option<&str>,
        mut headers: HeaderMap,
        body: Bytes,
        proxied: bool,
    ) -> Result<Self, String> {
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(format!("unsupported protocol scheme \"{other}\"")),
        };
        let name = url.host_str().filter(|name| !name.is_empty()).ok_or("no Host in request URL")?;
        let port = url.port_or_known_default().unwrap_or(80);
        let server = Endpoint { host: name.trim_matches(['[', ']']).to_owned(), port };
        let authority = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let host = host.unwrap_or(&authority).to_owned();
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let uri = |text: String| text.parse::<Uri>().map_err(|error| format!("invalid URL: {error}"));
        let absolute = uri(format!("{}://{host}{path}", url.scheme()))?;
        let target = if proxied && !secure { uri(format!("http://{authority}{path}"))? } else { uri(path)? };
        headers.insert(HOST, HeaderValue::from_str(&host).map_err(|_| "invalid Host header".to_owned())?);
        let wire = wire::request(&method, &target, &headers, &body);
        let asked = absolute.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = if asked.is_empty() { &server.host } else { asked }.to_owned();
        Ok(Self { method, url, absolute, server, secure, name, headers, body, wire })
    }

    /// For HTTP/2.
    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        request.method_mut().clone_from(&self.method);
        request.uri_mut().clone_from(&self.absolute);
        request.headers_mut().clone_from(&self.headers);
        request.headers_mut().remove(HOST);
        request.headers_mut().remove(CONNECTION);
        request
    }

    /// Where an answer leads to; `None`: nowhere.
    fn redirected(&self, answer: &Answer, proxied: bool) -> Option<Result<Self, String>> {
        let keeps_method = match answer.status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => false,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            _ => return None,
        };
        let location = answer.location.as_ref()?.to_str().ok()?;
        let Ok(url) = self.url.join(location) else {
            return Some(Err(format!("failed to parse Location header {location:?}")));
        };
        let mut headers = self.headers.clone();
        headers.remove(HOST);
        if url.host() != self.url.host() {
            headers.remove(AUTHORIZATION);
            headers.remove(COOKIE);
        }
        let method = if keeps_method || self.method == Method::HEAD { self.method.clone() } else { Method::GET };
        if !keeps_method {
            headers.remove(CONTENT_TYPE);
        }
        let body = if keeps_method { self.body.clone() } else { Bytes::new() };
        Some(Self::new(method, url, None, headers, body, proxied))
    }
}

/// Sends the requests of one worker.
#[derive(Debug)]
pub(crate) struct Http {
    common: Arc<Common>,
    connections: Vec<Connection>,
}

impl Http {
    /// Connects when the first request is sent.
    pub(crate) fn new(common: Arc<Common>) -> Self {
        Self { common, connections: Vec::new() }
    }

    /// Sends one request, and what redirects make of it.
    async fn follow(&mut self) -> Result<Outcome, Failure> {
        let common = Arc::clone(&self.common);
        let mut phases = Phases::default();
        let mut answer = self.exchange(&common, &common.first, &mut phases).await?;
        let mut bytes = answer.bytes;
        let mut last: Option<Template> = None;
        for hop in 0.. {
            if !common.redirects {
                break;
            }
            let next = match last.as_ref().unwrap_or(&common.first).redirected(&answer, common.proxy.is_some()) {
                None => break,
                Some(next) => next.map_err(Failure::other)?,
            };
            if hop == REDIRECTS {
                return Err(Failure::other(format!("stopped after {REDIRECTS} redirects")));
            }
            answer = self.exchange(&common, &next, &mut phases).await?;
            bytes += answer.bytes;
            last = Some(next);
        }
        Ok(Outcome { status: Some(answer.status.as_u16()), bytes, phases, ..Outcome::default() })
    }

    /// Sends one request on the connection that is kept, or on a new one.
    async fn exchange(&mut self, common: &Common, template: &Template, phases: &mut Phases) -> Result<Answer, Failure> {
        loop {
            let (mut connection, fresh) = match self.kept(template).await {
                Some(connection) => (connection, false),
                None => (self.connect(common, template, phases).await?, true),
            };
            let began = Instant::now();
            match connection.exchange(template).await {
                Ok(answer) => {
                    note(phases, began, &connection);
                    if common.keep_alive {
                        self.connections.truncate(KEPT - 1);
                        self.connections.push(connection);
                    }
                    return Ok(answer);
                }
                // A server may close a connection that is kept at any time; what it has not begun to answer is sent again.
                Err(error) if !fresh && error.unanswered && template.may_repeat(&error) => {}
                Err(error) => return Err(Failure::other(error.text)),
            }
        }
    }

    async fn kept(&mut self, template: &Template) -> Option<Connection> {
        let place = self.connections.iter().position(|kept| kept.leads_to(&template.server, template.secure))?;
        let mut connection = self.connections.swap_remove(place);
        connection.is_open().await.then_some(connection)
    }

    async fn connect(
        &mut self,
        common: &Common,
        template: &Template,
        phases: &mut Phases,
    ) -> Result<Connection, Failure> {
        let tls = template.secure.then(|| (Arc::clone(&common.tls), template.name.clone()));
        let route = Route { server: template.server.clone(), proxy: common.proxy.clone(), tls };
        let dialed = route.dial().await?;
        phases.dial += dialed.dial;
        phases.lookup += dialed.lookup;
        Connection::new(dialed, template.server.clone(), template.secure)
            .await
            .map_err(|error| Failure::other(error.text))
    }
}

impl Template {
    fn may_repeat(&self, error: &ExchangeError) -> bool {
        error.unsent
            || matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
    }
}

/// Adds up where the time went.
fn note(phases: &mut Phases, began: Instant, connection: &Connection) {
    let times = connection.times();
    let (wrote, read) = (times.wrote().unwrap_or(began), times.read().unwrap_or(began));
    phases.write += wrote.saturating_duration_since(began);
    phases.wait += read.saturating_duration_since(wrote);
    phases.read += if times.read().is_some() { read.elapsed() } else { Duration::ZERO };
}

/// Why there is no answer.
#[derive(Debug)]
struct Failure {
    text: String,
    unreachable: bool,
}

impl Failure {
    fn other(text: impl Into<String>) -> Self {
        Self { text: text.into(), unreachable: false }
    }
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        Self { text: error.to_string(), unreachable: true }
    }
}

impl Client for Http {
    async fn call(&mut self) -> Outcome {
        match self.follow().await {
            Ok(outcome) => outcome,
            Err(Failure { text, unreachable }) => {
                Outcome { unreachable, ..Outcome::failed(self.common.first.blame(&text)) }
            }
        }
    }

    fn timed_out(&mut self) -> Outcome {
        self.connections.clear();
        Outcome::failed(
            self.common.first.blame("context deadline exceeded (Client.Timeout exceeded while awaiting the answer)"),
        )
    }
}

impl Template {
    /// An error text with method and URL, without the password that may stand there.
    fn blame(&self, text: &str) -> String {
        let method = self.method.as_str();
        let (first, rest) = method.split_at_checked(1).unwrap_or((method, ""));
        let mut url = self.url.clone();
        if url.password().is_some() {
            // Fails where there is no host, and then there is no password either.
            let _ = url.set_password(Some("xxxxx"));
        }
        format!("{first}{} \"{url}\": {text}", rest.to_lowercase())
    }
}
