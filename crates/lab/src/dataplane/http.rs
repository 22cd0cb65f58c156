//! HTTP on loopback: listening, answering, asking. HTTP/1.1, a connection per request on the asking side.

use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Longest body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// How long an exchange may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// What a server answers.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("connecting to {0} failed")]
    Connect(SocketAddr, #[source] io::Error),
    #[error("the exchange with {0} broke off")]
    Broken(SocketAddr, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer from {0} in time")]
    Late(SocketAddr),
}

/// A listener on loopback, on a port that the system picks.
pub(super) async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Answers requests until it is dropped, and drops all connections with it.
pub(super) async fn serve<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Accepting fails when there are no descriptors left; some come back as connections end.
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                connections.spawn(converse(stream, handler.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    // Small answers must not wait for more to send.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // A client that goes away is its own business.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Sends one request to an address and reads the whole answer.
pub(super) async fn exchange(
    to: SocketAddr,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Bytes>, ExchangeError> {
    tokio::time::timeout(DEADLINE, attempt(to, method, path, headers, body))
        .await
        .map_err(|_| ExchangeError::Late(to))?
}

async fn attempt(
    to: SocketAddr,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Bytes>, ExchangeError> {
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| ExchangeError::Broken(to, error);
    let stream = TcpStream::connect(to).await.map_err(|error| ExchangeError::Connect(to, error))?;
    stream.set_nodelay(true).map_err(|error| ExchangeError::Connect(to, error))?;
    let mut request =
        Request::builder().method(method).uri(path).body(Full::new(body)).map_err(|error| broken(error.into()))?;
    *request.headers_mut() = headers;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
    let talk = async move {
        let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(broken)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    // The connection must be driven while the answer is waited for; its end is that of the exchange, or an error that the sender tells.
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        answer = &mut talk => answer,
        _ = connection => talk.await,
    }
}

/// An answer in plain text.
pub(super) fn plain(status: StatusCode, text: impl Into<String>) -> Answer {
    finish(Response::builder().status(status), text.into())
}

/// Puts the body to an answer; a header that cannot be sent makes it a 500.
pub(super) fn finish(builder: ::http::response::Builder, body: impl Into<Bytes>) -> Answer {
    builder.body(Full::new(body.into())).unwrap_or_else(|error| {
        let mut answer = Response::new(Full::new(Bytes::from(error.to_string())));
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        answer
    })
}
