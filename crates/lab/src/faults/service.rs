//! The service that does it: refusals instead of requests, answers that get lost, and watches that are read by us before the client reads them.

use super::{Cut, Fault, Faults, Verdict, WatchEnd};
use crate::failure::Failure;
use crate::request::{Call, Verb};
use crate::server::{BoxError, Disconnected};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use serde_json::json;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::broadcast;
use tokio::time::Instant;

/// A service whose requests and answers are disturbed.
#[derive(Debug)]
pub struct FaultService<Inner> {
    inner: Inner,
    faults: Faults,
}

impl<Inner> FaultService<Inner> {
    pub(super) fn new(inner: Inner, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

/// The body of an answer: the server's own, one that replaces it, or the events of a watch as far as they come through.
pub enum FaultBody<Real> {
    /// As it came from the server.
    Real(Pin<Box<Real>>),
    /// A refusal; none once it was read.
    Made(Option<Bytes>),
    /// A watch.
    Watched(BoxStream<'static, Result<Frame<Bytes>, BoxError>>),
}

impl<Real> fmt::Debug for FaultBody<Real> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Real(_) => "Real",
            Self::Made(_) => "Made",
            Self::Watched(_) => "Watched",
        })
    }
}

impl<Real> Body for FaultBody<Real>
where
    Real: Body<Data = Bytes>,
    Real::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Real(body) => {
                body.as_mut().poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Made(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Watched(frames) => frames.poll_next_unpin(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Real(body) => body.is_end_stream(),
            Self::Made(bytes) => bytes.is_none(),
            Self::Watched(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Real(body) => body.size_hint(),
            Self::Made(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Watched(_) => SizeHint::default(),
        }
    }
}

impl<Inner, Asked, Real> tower::Service<Request<Asked>> for FaultService<Inner>
where
    Inner: tower::Service<Request<Asked>, Response = Response<Real>>,
    Inner::Future: Send + 'static,
    Inner::Error: Into<BoxError> + 'static,
    Real: Body<Data = Bytes> + Send + 'static,
    Real::Error: Into<BoxError>,
{
    type Response = Response<FaultBody<Real>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Asked>) -> Self::Future {
        let call = Call::read(&request);
        if self.faults.is_dead() {
            return Box::pin(std::future::pending());
        }
        let verdict = self.faults.judge(&call);
        if let Some(refusal) = verdict.fate.as_ref().and_then(|fate| fate.refusal(&call)) {
            let retry_after = match verdict.fate {
                Some(Fault::TooManyRequests(seconds)) => Some(seconds),
                _ => None,
            };
            return Box::pin(async move {
                tokio::time::sleep(verdict.delay).await;
                Ok(refused(&refusal, retry_after))
            });
        }
        match verdict.fate {
            Some(Fault::Break) => {
                return Box::pin(async move {
                    tokio::time::sleep(verdict.delay).await;
                    Err(Disconnected.into())
                });
            }
            Some(Fault::Hang) => return Box::pin(std::future::pending()),
            _ => {}
        }
        // Services answer when they are polled, so this one waits as long as we do.
        let answer = self.inner.call(request);
        Box::pin(carry_out(answer, self.faults.clone(), call, verdict))
    }
}

/// Lets the request through, and does to its answer what was decided.
async fn carry_out<Answer, Error, Real>(
    answer: Answer,
    faults: Faults,
    call: Call,
    verdict: Verdict,
) -> Result<Response<FaultBody<Real>>, BoxError>
where
    Answer: Future<Output = Result<Response<Real>, Error>>,
    Error: Into<BoxError>,
    Real: Body<Data = Bytes> + Send + 'static,
    Real::Error: Into<BoxError>,
{
    if !verdict.delay.is_zero() {
        tokio::time::sleep(verdict.delay).await;
        if faults.is_dead() {
            return std::future::pending().await;
        }
    }
    let answer = answer.await.map_err(Into::into);
    if verdict.fate == Some(Fault::Kill) {
        faults.shared.dead.send_replace(true);
    }
    if faults.is_dead() || verdict.fate == Some(Fault::Silence) {
        return std::future::pending().await;
    }
    if verdict.fate == Some(Fault::LoseAnswer) {
        return Err(Disconnected.into());
    }
    let (head, body) = answer?.into_parts();
    let body = if call.verb == Verb::Watch && head.status.is_success() {
        FaultBody::Watched(Watched::new(Box::pin(body), faults, call, &verdict).frames())
    } else {
        FaultBody::Real(Box::pin(body))
    };
    Ok(Response::from_parts(head, body))
}

/// A refusal as the API server would have sent it.
fn refused<Real>(failure: &Failure, retry_after: Option<u32>) -> Response<FaultBody<Real>> {
    let text = failure.status().to_string();
    let mut response = Response::new(FaultBody::Made(Some(Bytes::from(text))));
    *response.status_mut() = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A watch that is read by us, and handed on.
struct Watched<Real> {
    body: Pin<Box<Real>>,
    faults: Faults,
    call: Call,
    cuts: broadcast::Receiver<Arc<Cut>>,
    lag: std::time::Duration,
    end: Option<(Instant, WatchEnd)>,
    /// What came, and when it is handed on.
    held: VecDeque<(Instant, Bytes)>,
    /// The server has ended the watch, properly or not.
    drained: Option<Result<(), BoxError>>,
    /// Whether what was handed on last ended a line: an ERROR event can come now.
    between_lines: bool,
    over: bool,
}

/// What comes next on a watch.
enum Next {
    Cut(WatchEnd),
    Due,
    Frame(Option<Result<Bytes, BoxError>>),
    Dead,
    Nothing,
}

impl<Real> Watched<Real>
where
    Real: Body<Data = Bytes> + Send + 'static,
    Real::Error: Into<BoxError>,
{
    fn new(body: Pin<Box<Real>>, faults: Faults, call: Call, verdict: &Verdict) -> Self {
        Self {
            body,
            cuts: faults.shared.cuts.subscribe(),
            faults,
            call,
            lag: verdict.lag,
            end: verdict.end.map(|(time, end)| (Instant::now() + time, end)),
            held: VecDeque::new(),
            drained: None,
            between_lines: true,
            over: false,
        }
    }

    fn frames(self) -> BoxStream<'static, Result<Frame<Bytes>, BoxError>> {
        futures::stream::unfold(self, |mut watch| async move {
            let frame = watch.next().await?;
            Some((frame.map(Frame::data), watch))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            if self.over {
                return None;
            }
            if self.held.is_empty()
                && let Some(end) = self.drained.take()
            {
                self.over = true;
                return end.err().map(Err);
            }
            match self.wait().await {
                Next::Dead => return std::future::pending().await,
                Next::Cut(end) => return self.finish(end),
                Next::Due => {
                    if let Some((_, bytes)) = self.held.pop_front() {
                        self.between_lines = bytes.ends_with(b"\n");
                        return Some(Ok(bytes));
                    }
                }
                Next::Frame(Some(Ok(bytes))) => self.held.push_back((Instant::now() + self.lag, bytes)),
                Next::Frame(Some(Err(error))) => self.drained = Some(Err(error)),
                Next::Frame(None) => self.drained = Some(Ok(())),
                Next::Nothing => {}
            }
        }
    }

    async fn wait(&mut self) -> Next {
        let due = self.held.front().map(|(at, _)| *at);
        if self.lag.is_zero() && due.is_some() && !self.faults.is_dead() {
            return Next::Due;
        }
        tokio::select! {
            biased;
            () = self.faults.died() => Next::Dead,
            cut = self.cuts.recv() => match cut {
                Ok(cut) if (cut.concerns)(&self.call) => {
                    let label = Fault::WatchEndsAfter { time: std::time::Duration::ZERO, end: cut.end }.label();
                    self.faults.note(label, self.call.to_string());
                    Next::Cut(cut.end)
                }
                // Too many at once to tell which: the next one is seen again.
                Ok(_) | Err(_) => Next::Nothing,
            },
            end = at(self.end) => Next::Cut(end),
            () = at(due.map(|due| (due, ()))) => Next::Due,
            frame = self.body.frame(), if self.drained.is_none() => Next::Frame(frame.map(|frame| {
                // A body of JSON has no trailers.
                frame.map(|frame| frame.into_data().unwrap_or_default()).map_err(Into::into)
            })),
        }
    }

    /// The last that the client sees.
    fn finish(&mut self, end: WatchEnd) -> Option<Result<Bytes, BoxError>> {
        self.over = true;
        match end {
            WatchEnd::Ends => None,
            WatchEnd::Expires if self.between_lines => {
                let status = Failure::expired("too old resource version: 1 (2)").status();
                let line = json!({"type": "ERROR", "object": status});
                Some(Ok(Bytes::from(format!("{line}\n"))))
            }
            WatchEnd::Breaks | WatchEnd::Expires => Some(Err(Disconnected.into())),
        }
    }
}

/// Waits for that moment; for ever if there is none.
async fn at<T>(moment: Option<(Instant, T)>) -> T {
    match moment {
        Some((moment, what)) => {
            tokio::time::sleep_until(moment).await;
            what
        }
        None => std::future::pending().await,
    }
}
