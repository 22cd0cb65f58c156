//! A client-side limit on requests to an API server: a token bucket as a tower layer.
//!
//! One token per request; `burst` tokens at most, refilled at `rate` per second. Whoever finds the bucket empty waits. Watches cost one token each time they
//! are opened.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};

/// What a client does by default, in requests per second and requests at once.
const DEFAULT: (u32, u32) = (5, 10);

/// Rate and burst as on the command line: 0 means the default, a negative rate means no limit.
pub fn limit(qps: i64, burst: i64) -> Option<Limit> {
    if qps < 0 {
        return None;
    }
    let or = |value: i64, default: u32| {
        u32::try_from(value).map_or(u32::MAX, |value| if value == 0 { default } else { value })
    };
    // A negative burst makes no sense; it becomes the default.
    let burst = or(burst.max(0), DEFAULT.1);
    let bucket =
        Bucket { rate: f64::from(or(qps, DEFAULT.0)), burst: f64::from(burst), tokens: f64::from(burst), at: None };
    Some(Limit { bucket: Arc::new(Mutex::new(bucket)) })
}

/// The layer. Clones share one bucket.
#[derive(Debug, Clone)]
pub struct Limit {
    bucket: Arc<Mutex<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    rate: f64,
    burst: f64,
    /// May be negative: tokens that waiting requests have taken in advance, which keeps their order.
    tokens: f64,
    at: Option<Instant>,
}

impl Bucket {
    /// Takes a token, and says how long to wait until it is there.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        if let Some(at) = self.at {
            self.tokens = (self.tokens + now.duration_since(at).as_secs_f64() * self.rate).min(self.burst);
        }
        self.at = Some(now);
        self.tokens -= 1.0;
        (self.tokens < 0.0).then(|| Duration::from_secs_f64(-self.tokens / self.rate))
    }
}

impl<Inner> Layer<Inner> for Limit {
    type Service = Limited<Inner>;

    fn layer(&self, inner: Inner) -> Limited<Inner> {
        Limited { inner, bucket: Arc::clone(&self.bucket), turn: Turn::None }
    }
}

/// A service whose requests wait for a token.
pub struct Limited<Inner> {
    inner: Inner,
    bucket: Arc<Mutex<Bucket>>,
    turn: Turn,
}

/// Where the next request is.
enum Turn {
    /// No token yet.
    None,
    /// The token comes when the time is over.
    Waiting(Pin<Box<Sleep>>),
    /// It has a token.
    Taken,
}

impl<Inner: Service<Request>, Request> Service<Request> for Limited<Inner> {
    type Response = Inner::Response;
    type Error = Inner::Error;
    type Future = Inner::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        loop {
            match &mut self.turn {
                Turn::None => {
                    let wait = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
                    self.turn = wait.map_or(Turn::Taken, |wait| Turn::Waiting(Box::pin(tokio::time::sleep(wait))));
                }
                Turn::Waiting(sleep) => match sleep.as_mut().poll(context) {
                    Poll::Ready(()) => self.turn = Turn::Taken,
                    Poll::Pending => return Poll::Pending,
                },
                Turn::Taken => return self.inner.poll_ready(context),
            }
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.turn = Turn::None;
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::ServiceExt;

    /// Milliseconds at which `count` requests, all made at once, go out.
    async fn times(qps: i64, burst: i64, count: usize) -> Vec<u128> {
        let start = Instant::now();
        let service =
            tower::service_fn(move |()| async move { Ok::<_, std::convert::Infallible>(start.elapsed().as_millis()) });
        let mut limited = limit(qps, burst).unwrap().layer(service);
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(limited.ready().await.unwrap().call(()).await.unwrap());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let times = times(10, 3, 6).await;
        assert_eq!(times.iter().take(3).collect::<Vec<_>>(), [&0, &0, &0]);
        for (time, expected) in times.iter().skip(3).zip([100, 200, 300]) {
            assert!(time.abs_diff(expected) <= 2, "{times:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn zero_means_the_default_and_negative_no_limit() {
        let times = times(0, 0, 11).await;
        assert_eq!(times.get(9), Some(&0));
        assert!(times.last().unwrap().abs_diff(200) <= 2, "{times:?}");
        assert!(limit(-1, 10).is_none());
    }
}
