//! The two ways in: a `tower::Service` in memory, and HTTP/1.1 on a listener. Both hand whole requests to `respond`.

use crate::failure::Failure;
use crate::lab::Inner;
use crate::request::{Call, Entry, Intervention};
use crate::respond::respond;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Errors of bodies, as hyper and tower hand them around.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Longest body of a request, in bytes; as on a real API server.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// A hook broke the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection was broken on purpose")]
pub struct Disconnected;

/// An answer before it becomes an HTTP response.
pub(crate) struct Answer {
    status: u16,
    media: &'static str,
    warnings: Vec<String>,
    body: LabBody,
}

impl Answer {
    /// A JSON document.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        let mut text = value.to_string();
        text.push('\n');
        Self { status, media: "application/json", warnings: Vec::new(), body: LabBody::Full(Some(Bytes::from(text))) }
    }

    /// A `Status`.
    pub(crate) fn refusal(failure: &Failure) -> Self {
        Self::json(failure.code, &failure.status())
    }

    /// Plain text.
    pub(crate) fn text(status: u16, text: &'static str) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", text.as_bytes())
    }

    /// Something else.
    pub(crate) fn bytes(status: u16, media: &'static str, bytes: &'static [u8]) -> Self {
        Self { status, media, warnings: Vec::new(), body: LabBody::Full(Some(Bytes::from_static(bytes))) }
    }

    /// Lines of JSON, as they come.
    pub(crate) fn stream(lines: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self { status: 200, media: "application/json", warnings: Vec::new(), body: LabBody::Stream(lines.boxed()) }
    }

    /// Adds warnings for people.
    pub(crate) fn warning(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    fn into_response(self) -> Response<LabBody> {
        let mut response = Response::new(self.body);
        *response.status_mut() =
            http::StatusCode::from_u16(self.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        for warning in self.warnings {
            let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
                headers.append(http::header::WARNING, value);
            }
        }
        response
    }
}

/// The body of an answer: one document, or the lines of a watch.
pub enum LabBody {
    /// One document; none once it was read.
    Full(Option<Bytes>),
    /// The lines of a watch.
    Stream(BoxStream<'static, Bytes>),
}

impl std::fmt::Debug for LabBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Stream(_) => "Stream",
        })
    }
}

impl Body for LabBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(lines) => lines.poll_next_unpin(context).map(|line| line.map(|line| Ok(Frame::data(line)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// Answers one request, with hook and log.
async fn handle(lab: Arc<Inner>, request: Request<Bytes>) -> Result<Response<LabBody>, BoxError> {
    let call = Call::read(&request);
    let hook = lab.hook();
    let before = hook.as_ref().map_or(Intervention::Pass, |hook| hook.before(&call));
    let answer = match before {
        Intervention::Pass => respond(&lab, &call, &request),
        Intervention::Delay(time) => {
            tokio::time::sleep(time).await;
            respond(&lab, &call, &request)
        }
        Intervention::Fail(failure) => Answer::refusal(&failure),
        Intervention::Disconnect => return disconnect(&lab, call),
    };
    let after = hook.as_ref().map_or(Intervention::Pass, |hook| hook.after(&call, answer.status));
    let answer = match after {
        Intervention::Pass => answer,
        Intervention::Delay(time) => {
            tokio::time::sleep(time).await;
            answer
        }
        Intervention::Fail(failure) => Answer::refusal(&failure),
        Intervention::Disconnect => return disconnect(&lab, call),
    };
    lab.record(Entry { time: lab.clock().now(), call, status: answer.status });
    Ok(answer.into_response())
}

fn disconnect(lab: &Inner, call: Call) -> Result<Response<LabBody>, BoxError> {
    lab.record(Entry { time: lab.clock().now(), call, status: 0 });
    Err(Box::new(Disconnected))
}

/// The API server as a service in memory, e.g. for `kube::Client::new(lab.service(), "default")`.
#[derive(Debug, Clone)]
pub struct LabService {
    lab: Arc<Inner>,
    user_agent: Option<HeaderValue>,
}

impl LabService {
    pub(crate) fn new(lab: Arc<Inner>, user_agent: Option<&str>) -> Self {
        Self { lab, user_agent: user_agent.and_then(|text| HeaderValue::from_str(text).ok()) }
    }
}

impl<B> tower::Service<Request<B>> for LabService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<LabBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let lab = Arc::clone(&self.lab);
        if let Some(agent) = &self.user_agent {
            request.headers_mut().entry(http::header::USER_AGENT).or_insert_with(|| agent.clone());
        }
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let bytes = match Limited::new(body, BODY_LIMIT).collect().await {
                Ok(body) => body.to_bytes(),
                Err(error) if error.is::<LengthLimitError>() => {
                    return Ok(Answer::refusal(&Failure::too_large(BODY_LIMIT)).into_response());
                }
                Err(error) => return Err(error),
            };
            handle(lab, Request::from_parts(head, bytes)).await
        })
    }
}

/// The API server on a listener. Dropping it closes the listener and all connections.
#[derive(Debug)]
pub struct Server {
    url: String,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(lab: Arc<Inner>, listener: TcpListener) -> std::io::Result<Self> {
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { url, task: tokio::spawn(accept(lab, listener)) })
    }

    /// `http://ADDRESS:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig for this server, as YAML; for `kubectl --kubeconfig` and the like.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\nclusters:\n- name: lab\n  cluster:\n    server: {}\nusers:\n- name: lab\n  user: {{}}\n\
             contexts:\n- name: lab\n  context:\n    cluster: lab\n    user: lab\n",
            self.url
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(lab: Arc<Inner>, listener: TcpListener) {
    // Ends the connections when the task is aborted.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        while connections.try_join_next().is_some() {}
        let service = hyper_util::service::TowerToHyperService::new(LabService::new(Arc::clone(&lab), None));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        connections.spawn(async move { drop(connection.await) });
    }
}
