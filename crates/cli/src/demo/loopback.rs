//! The controller's HTTP client in the demo: goes nowhere but to loopback, and past no proxy of the environment.
//!
//! Hooks, metrics and alerts of the demo's Canary are all in this process; a request for any other place is a mistake, and refused.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use providers::http::{Method, Request, Response, SendError};
use runtime::outbound::Outbound;
use tokio::net::TcpStream;

/// Longest body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// Sends requests to this machine only.
#[derive(Debug)]
pub(super) struct Loopback;

#[async_trait]
impl Outbound for Loopback {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let limit = request.timeout;
        let late = || SendError { message: "no answer in time".to_owned(), retriable: true };
        tokio::time::timeout(limit, exchange(request)).await.map_err(|_| late())?
    }
}

async fn exchange(request: Request) -> Result<Response, SendError> {
    let failed = |error: &dyn std::error::Error| SendError { message: runtime::cluster::chain(error), retriable: true };
    let refused = |message: String| SendError { message, retriable: false };
    let uri: http::Uri = request.url.reveal().parse().map_err(|error| refused(format!("invalid URL: {error}")))?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let address: std::net::SocketAddr =
        authority.parse().map_err(|_| refused(format!("{authority} is not on this machine")))?;
    if !address.ip().is_loopback() {
        return Err(refused(format!("{authority} is not on this machine")));
    }
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
    };
    let mut builder = http::Request::builder().method(method).uri(path).header(http::header::HOST, authority);
    for (name, value) in &request.headers {
        builder = builder.header(name.as_str(), value.reveal());
    }
    let body = Full::new(Bytes::from(request.body.unwrap_or_default()));
    let outgoing = builder.body(body).map_err(|error| refused(error.to_string()))?;
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(outgoing).await.map_err(|error| failed(&error))?;
    let status = response.status().as_u16();
    let body =
        Limited::new(response.into_body(), BODY_LIMIT).collect().await.map_err(|error| failed(error.as_ref()))?;
    connection.abort();
    Ok(Response { status, retry_after: None, body: body.to_bytes().to_vec(), truncated: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use providers::http::Secret;
    use std::time::Duration;

    #[tokio::test]
    async fn nothing_leaves_this_machine() {
        for url in ["http://192.0.2.1:80/", "http://example.com/", "https://[2001:db8::1]:443/x"] {
            let request = Request {
                method: Method::Get,
                url: Secret::new(url),
                headers: Vec::new(),
                body: None,
                timeout: Duration::from_secs(5),
                insecure: false,
                proxy: None,
                max_redirects: 0,
            };
            let error = Loopback.send(request).await.unwrap_err();
            assert!(error.message.ends_with("is not on this machine") && !error.retriable, "{url}: {error}");
        }
    }
}
