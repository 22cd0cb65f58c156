//! The one clock.
//!
//! Decisions take `now` as an argument; this is where it comes from. Timers are tokio's, so that a paused tokio clock drives everything in tests.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::time::Instant;

/// Wall-clock time.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The system's.
    System,
    /// Simulated: `base` at the moment `start`, and then as tokio's clock goes.
    Simulated {
        /// Wall-clock time at `start`.
        base: Timestamp,
        /// Tokio's time at `base`.
        start: Instant,
    },
}

impl Clock {
    /// A clock that begins at `base` now and follows tokio's time.
    pub fn simulated(base: Timestamp) -> Self {
        Self::Simulated { base, start: Instant::now() }
    }

    /// Now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Simulated { base, start } => {
                base.checked_add(SignedDuration::try_from(start.elapsed()).unwrap_or_default()).unwrap_or(base)
            }
        }
    }

    /// Tokio's moment for a wall-clock time; at once for the past.
    pub fn instant(self, time: Timestamp) -> Instant {
        let wait = Duration::try_from(time.duration_since(self.now())).unwrap_or_default();
        let now = Instant::now();
        now.checked_add(wait).unwrap_or(now)
    }
}
