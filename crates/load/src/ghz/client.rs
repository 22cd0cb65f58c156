//! Calls over HTTP/2: connections that workers share, one message out, the status back.
//!
//! Answers are counted and dropped, not decoded.

use super::status::{self, Status};
use crate::engine::Client;
use crate::net::Route;
use crate::record::{Outcome, Phases};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// An answer that is kept (of the server's reflection) is no longer than this.
const KEPT: usize = 16 * 1024 * 1024;

/// A message in its frame: not compressed, its length, its bytes.
pub(super) fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.extend_from_slice(&[0]);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed.freeze()
}

/// What all calls of a run have in common.
#[derive(Debug)]
pub(super) struct Call {
    /// `/package.Service/Method`.
    pub(super) path: String,
    /// Framed; sent in turn.
    pub(super) messages: Vec<Bytes>,
    pub(super) metadata: HeaderMap,
    pub(super) timeout: Option<Duration>,
}

/// One connection, opened when it is needed, and again when it was lost.
#[derive(Debug)]
pub(super) struct Channel {
    route: Route,
    authority: String,
    patience: Option<Duration>,
    open: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Channel {
    pub(super) fn new(route: Route, authority: String, patience: Option<Duration>) -> Self {
        Self { route, authority, patience, open: Mutex::new(None) }
    }

    /// The connection, and what it took if it is new.
    async fn sender(&self) -> Result<(SendRequest<Full<Bytes>>, Phases), Status> {
        let mut open = self.open.lock().await;
        if let Some(sender) = open.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), Phases::default()));
        }
        let failed = |cause: String| Status::new(status::UNAVAILABLE, format!("connection error: desc = \"{cause}\""));
        let dialing = |cause: String| failed(format!("transport: Error while dialing: {cause}"));
        let dial = self.route.dial();
        let dialed = match self.patience {
            Some(patience) => timeout(patience, dial).await.map_err(|_| dialing("i/o timeout".to_owned()))?,
            None => dial.await,
        };
        let dialed = dialed.map_err(|error| dialing(error.to_string()))?;
        let phases = Phases { dial: dialed.dial, lookup: dialed.lookup, ..Phases::default() };
        let io = TokioIo::new(dialed.stream);
        let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await.map_err(|e| failed(e.to_string()))?;
        // Its end is seen by the next call.
        tokio::spawn(async move { drop(driver.await) });
        *open = Some(sender.clone());
        Ok((sender, phases))
    }

    /// Where a method is.
    fn uri(&self, path: &str) -> Result<Uri, Status> {
        let scheme = if self.route.tls.is_some() { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(self.authority.as_str()).path_and_query(path).build();
        uri.map_err(|error| Status::new(status::INTERNAL, format!("the authority {:?}: {error}", self.authority)))
    }

    /// Makes one call and returns the bytes of its answer's messages, framed.
    pub(super) async fn ask(&self, path: &str, message: &[u8], metadata: &HeaderMap) -> Result<Bytes, Status> {
        let (mut sender, _) = self.sender().await?;
        let request = request(&self.uri(path)?, frame(message), metadata, None);
        let mut kept = BytesMut::new();
        exchange(&mut sender, request, |bytes| {
            if kept.len() < KEPT {
                kept.extend_from_slice(bytes);
            }
        })
        .await?;
        Ok(kept.freeze())
    }
}

fn request(uri: &Uri, body: Bytes, metadata: &HeaderMap, limit: Option<Duration>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    request.uri_mut().clone_from(uri);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(USER_AGENT, HeaderValue::from_static("ghz"));
    for (name, value) in metadata {
        headers.append(name, value.clone());
    }
    // At most eight digits, so milliseconds are good for a day.
    if let Some(limit) = limit.and_then(|limit| HeaderValue::from_str(&format!("{}m", limit.as_millis())).ok()) {
        headers.insert("grpc-timeout", limit);
    }
    request
}

/// Sends a request and reads its answer to the end.
async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    mut read: impl FnMut(&[u8]),
) -> Result<(), Status> {
    let lost = |error: hyper::Error| Status::new(status::UNAVAILABLE, broken(&error));
    sender.ready().await.map_err(lost)?;
    let mut response = sender.send_request(request).await.map_err(lost)?;
    if !response.status().is_success() {
        return Err(status::of_http(response.status()));
    }
    let mut ended = status::of_trailers(response.headers());
    let mut bytes = 0;
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.map_err(lost)?;
        if let Some(data) = frame.data_ref() {
            bytes += data.len();
            read(data);
        } else if let Some(trailers) = frame.trailers_ref() {
            ended = status::of_trailers(trailers);
        }
    }
    match ended {
        Some(Ok(())) if bytes == 0 => Err(Status::new(status::INTERNAL, "the answer has no message")),
        Some(result) => result,
        None => Err(Status::new(status::INTERNAL, "the answer ended without a status")),
    }
}

fn broken(error: &hyper::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// One worker.
#[derive(Debug)]
pub(super) struct Caller {
    channel: Arc<Channel>,
    call: Arc<Call>,
    sender: Option<(SendRequest<Full<Bytes>>, Uri)>,
    next: usize,
}

impl Caller {
    /// The messages of worker number `first` begin with this one.
    pub(super) fn new(channel: Arc<Channel>, call: Arc<Call>, first: usize) -> Self {
        Self { channel, call, sender: None, next: first }
    }

    async fn send(&mut self, phases: &mut Phases) -> Result<(), Status> {
        if self.sender.as_ref().is_none_or(|(sender, _)| sender.is_closed()) {
            let (sender, took) = self.channel.sender().await?;
            *phases = took;
            self.sender = Some((sender, self.channel.uri(&self.call.path)?));
        }
        let Some((sender, uri)) = &mut self.sender else { return Ok(()) };
        let place = self.next % self.call.messages.len().max(1);
        let message = self.call.messages.get(place).cloned().unwrap_or_default();
        self.next = self.next.wrapping_add(1);
        let request = request(uri, message, &self.call.metadata, self.call.timeout);
        exchange(sender, request, |_| ()).await
    }
}

impl Client for Caller {
    async fn call(&mut self) -> Outcome {
        let mut phases = Phases::default();
        match self.send(&mut phases).await {
            Ok(()) => Outcome { status: Some(status::OK), phases, ..Outcome::default() },
            Err(error) => Outcome {
                status: Some(error.code),
                unreachable: error.code == status::UNAVAILABLE,
                ..Outcome::failed(error.to_string())
            },
        }
    }

    fn timed_out(&mut self) -> Outcome {
        let error = Status::new(status::DEADLINE_EXCEEDED, "context deadline exceeded");
        Outcome { status: Some(error.code), ..Outcome::failed(error.to_string()) }
    }
}
