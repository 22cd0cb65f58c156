//! A limit on how long an API server may take to begin its answer, as a tower layer.
//!
//! A connection that died silently would otherwise hold a request, and the Canary behind it, until the system notices. Watches are left alone: their answer
//! begins when something happens, and the watcher has a limit of its own.

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::Body;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{BoxError, Layer, Service};

/// As long as an API server itself gives a request.
const LIMIT: Duration = Duration::from_secs(60);

/// There was no answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer from the Kubernetes API within {} s", LIMIT.as_secs())]
pub struct Late;

/// The layer.
#[derive(Debug, Clone, Copy)]
pub struct Deadline;

impl<Inner> Layer<Inner> for Deadline {
    type Service = Bounded<Inner>;

    fn layer(&self, inner: Inner) -> Bounded<Inner> {
        Bounded(inner)
    }
}

/// A service whose answers must begin in time.
#[derive(Debug, Clone)]
pub struct Bounded<Inner>(Inner);

impl<Inner, Answer> Service<Request<Body>> for Bounded<Inner>
where
    Inner: Service<Request<Body>, Response = Response<Answer>, Error = BoxError>,
    Inner::Future: Send + 'static,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Answer>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let watches =
            request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("watch=")));
        let answer = self.0.call(request);
        Box::pin(async move {
            if watches {
                return answer.await;
            }
            tokio::time::timeout(LIMIT, answer).await.unwrap_or_else(|_| Err(Late.into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::ServiceExt;

    /// What becomes of a request whose answer takes that long.
    async fn ask(uri: &str, seconds: u64) -> Result<(), String> {
        let service = tower::service_fn(move |_: Request<Body>| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, BoxError>(Response::new(()))
        });
        let request = Request::get(uri).body(Body::empty()).unwrap();
        Deadline.layer(service).oneshot(request).await.map(|_| ()).map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_becomes_an_error_but_not_on_watches() {
        assert_eq!(ask("/api/v1/pods", 59).await, Ok(()));
        assert_eq!(ask("/api/v1/pods", 61).await, Err("no answer from the Kubernetes API within 60 s".to_owned()));
        assert_eq!(ask("/api/v1/pods?limit=1&watch=true", 300).await, Ok(()));
    }
}
