//! The one clock.
//!
//! Decisions take `now` as an argument; this is where it comes from. Timers are tokio's, so that a paused tokio clock drives everything in tests.

use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Wall-clock time.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's.
    System,
    /// Simulated: `base` at the moment `start`, and then as tokio's clock goes, but for jumps.
    Simulated {
        /// Wall-clock time at `start`.
        base: Timestamp,
        /// Tokio's time at `base`.
        start: Instant,
        /// Sum of the jumps so far, in seconds; clones share it.
        jumps: Arc<AtomicI64>,
    },
}

impl Clock {
    /// A clock that begins at `base` now and follows tokio's time.
    pub fn simulated(base: Timestamp) -> Self {
        Self::Simulated { base, start: Instant::now(), jumps: Arc::default() }
    }

    /// Sets a simulated clock and all its clones forward (or back) by that many seconds, as an administrator or a time server does. The system's is left
    /// alone.
    pub fn jump(&self, seconds: i64) {
        if let Self::Simulated { jumps, .. } = self {
            jumps.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    /// Now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Simulated { base, start, jumps } => {
                let passed = SignedDuration::try_from(start.elapsed()).unwrap_or_default();
                let jumped = SignedDuration::from_secs(jumps.load(Ordering::SeqCst));
                base.checked_add(passed.saturating_add(jumped)).unwrap_or(*base)
            }
        }
    }

    /// Tokio's moment for a wall-clock time; at once for the past.
    pub fn instant(&self, time: Timestamp) -> Instant {
        let wait = Duration::try_from(time.duration_since(self.now())).unwrap_or_default();
        let now = Instant::now();
        now.checked_add(wait).unwrap_or(now)
    }
}
