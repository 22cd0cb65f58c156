//! How often the objects of one Canary may be repaired: at once as a rule, with pauses where somebody undoes every repair.
//!
//! A budget of rounds in which something was written, refilled with time. Rollouts, and any number of single edits, stay far below it.

use std::time::Duration;
use tokio::time::Instant;

/// Rounds that may follow one another.
const BURST: u32 = 20;
/// Time until there may be one more.
const REFILL: Duration = Duration::from_secs(10);

/// What was repaired lately.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    spent: u32,
    since: Option<Instant>,
}

impl Repairs {
    /// How long to wait before the next repair; `None`: it may be made now.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Duration> {
        self.refill(now);
        let since = self.since?;
        (self.spent >= BURST).then(|| REFILL.saturating_sub(now.duration_since(since)))
    }

    /// A round was spent.
    pub(crate) fn count(&mut self, now: Instant) {
        self.refill(now);
        self.since.get_or_insert(now);
        self.spent = self.spent.saturating_add(1);
    }

    fn refill(&mut self, now: Instant) {
        while let Some(since) = self.since {
            let next = since + REFILL;
            if next > now {
                return;
            }
            self.spent = self.spent.saturating_sub(1);
            self.since = (self.spent > 0).then_some(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_every_ten_seconds() {
        let (mut repairs, start) = (Repairs::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(repairs.due(start), None);
            repairs.count(start);
        }
        assert_eq!(repairs.due(start), Some(REFILL));
        assert_eq!(repairs.due(start + Duration::from_secs(4)), Some(Duration::from_secs(6)));
        let later = start + REFILL;
        assert_eq!(repairs.due(later), None);
        repairs.count(later);
        assert_eq!(repairs.due(later), Some(REFILL));
        // After a long rest everything is there again.
        let rested = start + Duration::from_secs(3600);
        for _ in 0..BURST {
            assert_eq!(repairs.due(rested), None);
            repairs.count(rested);
        }
    }
}
