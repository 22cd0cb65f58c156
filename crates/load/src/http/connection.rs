//! One connection, HTTP/1.1 or HTTP/2, driven by whoever sends a request on it.

use crate::net::{Dialed, Endpoint, Timed, Times};
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error as _;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

type Body = Full<Bytes>;
type Io = TokioIo<Timed>;

/// What is kept of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) location: Option<HeaderValue>,
    pub(super) bytes: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct ExchangeError {
    pub(super) text: String,
    /// Nothing of an answer has come.
    pub(super) unanswered: bool,
    /// The request has not left.
    pub(super) unsent: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    protocol: Protocol,
    times: Arc<Times>,
    server: Endpoint,
    secure: bool,
}

#[derive(Debug)]
enum Protocol {
    Http1 { sender: http1::SendRequest<Body>, driver: Pin<Box<http1::Connection<Io, Body>>>, ended: bool },
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    /// Over a fresh stream, in the protocol that was agreed upon.
    pub(super) async fn new(dialed: Dialed, server: Endpoint, secure: bool) -> Result<Self, ExchangeError> {
        let Dialed { stream, times, http2, .. } = dialed;
        let failed = |error: hyper::Error| ExchangeError::new(&error, true);
        let io = TokioIo::new(stream);
        let protocol = if http2 {
            let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await.map_err(failed)?;
            // Its end is seen by the next request.
            tokio::spawn(async move { drop(driver.await) });
            Protocol::Http2(sender)
        } else {
            let (sender, driver) =
                http1::Builder::new().title_case_headers(true).handshake(io).await.map_err(failed)?;
            Protocol::Http1 { sender, driver: Box::pin(driver), ended: false }
        };
        Ok(Self { protocol, times, server, secure })
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.protocol, Protocol::Http2(_))
    }

    pub(super) fn leads_to(&self, server: &Endpoint, secure: bool) -> bool {
        self.secure == secure && self.server == *server
    }

    pub(super) fn times(&self) -> &Times {
        &self.times
    }

    /// Whether another request can be sent on it.
    pub(super) async fn is_open(&mut self) -> bool {
        match &mut self.protocol {
            Protocol::Http2(sender) => sender.ready().await.is_ok(),
            Protocol::Http1 { sender, driver, ended } => {
                poll_fn(|cx| {
                    if !*ended {
                        *ended = driver.as_mut().poll(cx).is_ready();
                    }
                    if *ended { Poll::Ready(false) } else { sender.poll_ready(cx).map(|ready| ready.is_ok()) }
                })
                .await
            }
        }
    }

    /// Sends a request and reads the answer to its end.
    pub(super) async fn exchange(&mut self, request: Request<Body>) -> Result<Answer, ExchangeError> {
        self.times.reset();
        let result = match &mut self.protocol {
            Protocol::Http2(sender) => read(sender.send_request(request)).await,
            Protocol::Http1 { sender, driver, ended } => {
                let mut answer = pin!(read(sender.send_request(request)));
                poll_fn(|cx| {
                    // The answer before the connection (it hands over the request) and after it (it may have come at once).
                    if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                        return Poll::Ready(answer);
                    }
                    if *ended {
                        return Poll::Pending;
                    }
                    *ended = driver.as_mut().poll(cx).is_ready();
                    answer.as_mut().poll(cx)
                })
                .await
            }
        };
        result.map_err(|error| ExchangeError::new(&error, self.times.read().is_none()))
    }
}

async fn read(response: impl Future<Output = hyper::Result<Response<Incoming>>>) -> hyper::Result<Answer> {
    let mut response = response.await?;
    let mut bytes = 0;
    while let Some(frame) = response.body_mut().frame().await {
        bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(Answer { status: response.status(), location: response.headers_mut().remove(LOCATION), bytes })
}

impl ExchangeError {
    fn new(error: &hyper::Error, unanswered: bool) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
        let text = if error.is_parse() {
            format!("malformed HTTP response: {error}")
        } else if let Some(cause) = cause {
            crate::net::reason(cause)
        } else if error.is_incomplete_message() {
            if unanswered { "EOF".to_owned() } else { "unexpected EOF".to_owned() }
        } else {
            error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
        };
        Self { text, unanswered, unsent: error.is_canceled() }
    }
}
