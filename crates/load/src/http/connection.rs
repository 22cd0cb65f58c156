//! One connection, HTTP/1.1 or HTTP/2.

use super::Template;
use super::wire::Http1;
use crate::net::{Dialed, Endpoint, Times};
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error as _;
use std::sync::Arc;

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
    Http1(Http1),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Over a fresh stream, in the protocol that was agreed upon.
    pub(super) async fn new(dialed: Dialed, server: Endpoint, secure: bool) -> Result<Self, ExchangeError> {
        let Dialed { stream, times, http2, .. } = dialed;
        let protocol = if http2 {
            let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (sender, driver) = shaken.map_err(|error| ExchangeError::new(&error, true))?;
            // Its end is seen by the next request.
            tokio::spawn(async move { drop(driver.await) });
            Protocol::Http2(sender)
        } else {
            Protocol::Http1(Http1::new(stream))
        };
        Ok(Self { protocol, times, server, secure })
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
            Protocol::Http1(connection) => connection.is_open().await,
            Protocol::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request and reads the answer to its end.
    pub(super) async fn exchange(&mut self, template: &Template) -> Result<Answer, ExchangeError> {
        self.times.reset();
        match &mut self.protocol {
            Protocol::Http1(connection) => connection.exchange(&template.wire, template.method == Method::HEAD).await,
            Protocol::Http2(sender) => {
                let answer = read(sender.send_request(template.request())).await;
                answer.map_err(|error| ExchangeError::new(&error, self.times.read().is_none()))
            }
        }
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
        let text = match cause {
            Some(cause) => crate::net::reason(cause),
            None => error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
        };
        Self { text, unanswered, unsent: error.is_canceled() }
    }
}
