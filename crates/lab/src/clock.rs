//! Where the lab's time stamps come from: a clock given at construction, never the wall behind somebody's back.
//!
//! Delays are not here: whoever waits does so through `tokio::time`, so that paused tokio time drives waits and, with [`SimulatedClock`], stamps alike.

use jiff::{SignedDuration, Timestamp};
use std::fmt::Debug;

/// The current time, for stamps (`creationTimestamp`, conditions, the request log).
pub trait Clock: Debug + Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one Clock that asks the machine")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A base time plus what has passed on tokio's clock since construction. Under `tokio::time::pause()` it moves only with simulated time.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedClock {
    base: Timestamp,
    start: tokio::time::Instant,
}

impl SimulatedClock {
    /// A clock that shows `base` now.
    pub fn new(base: Timestamp) -> Self {
        Self { base, start: tokio::time::Instant::now() }
    }
}

impl Default for SimulatedClock {
    /// 2030-01-01T00:00:00Z: a round number that no test mistakes for today.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_893_456_000, 0))
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.start.elapsed()).unwrap_or(SignedDuration::MAX);
        self.base.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}

/// A time as Kubernetes writes it: whole seconds in UTC, e.g. `2030-01-01T00:00:00Z`.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn simulated_time_moves_with_tokio() {
        let clock = SimulatedClock::default();
        assert_eq!(stamp(clock.now()), "2030-01-01T00:00:00Z");
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(stamp(clock.now()), "2030-01-01T00:01:30Z");
    }
}
