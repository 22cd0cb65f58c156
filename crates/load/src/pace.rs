//! When requests are due: a fixed plan, made before the first one is sent.
//!
//! Pure arithmetic over offsets from the start of the run. What is due does not move when answers are slow: that is what keeps coordinated omission visible
//! (the time a request waits for its turn belongs to its latency).
//! Source: Gil Tene, "How NOT to Measure Latency"; <https://github.com/giltene/wrk2>.

use std::time::Duration;

/// A request is late when it is sent more than this after its time.
pub(crate) const LATE: Duration = Duration::from_millis(10);

/// Longer times are as good as none, and what is added to them must not run over.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A constant rate over all workers, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Nanoseconds between two requests; `None`: as fast as answers come.
    every_ns: Option<f64>,
}

impl Pace {
    /// A rate in requests per second; zero, less or not a number means none.
    pub(crate) fn per_second(rate: f64) -> Self {
        Self { every_ns: (rate.is_finite() && rate > 0.0).then(|| 1e9 / rate) }
    }

    /// Whether there is a rate.
    pub(crate) fn is_set(self) -> bool {
        self.every_ns.is_some()
    }

    /// When request number `n` (from 0) is due. Counted from the start each time, so that errors do not add up.
    #[expect(clippy::cast_precision_loss, reason = "2^53 requests are not reached")]
    pub(crate) fn due(self, n: u64) -> Option<Duration> {
        self.every_ns.map(|every| nanos(every * n as f64))
    }

    /// How many requests are due before `time`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, which is what is meant; a run of 2^53 ns is 104 days"
    )]
    pub(crate) fn due_before(self, time: Duration) -> u64 {
        // The small share forgives what division lost: ten a second are 10 in a second, not 11.
        self.every_ns.map_or(0, |every| (time.as_nanos() as f64 / every - 1e-6).ceil().max(0.0) as u64)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, after 584 years")]
fn nanos(ns: f64) -> Duration {
    Duration::from_nanos(ns as u64)
}

/// The latency of a request: from the moment it was due, or from the moment it was sent if that was earlier (waking up is exact to a millisecond, so
/// requests leave up to that much before their time). Without a rate it counts from the sending. All are offsets from the start.
pub(crate) fn latency(due: Option<Duration>, sent: Duration, done: Duration) -> Duration {
    done.saturating_sub(due.map_or(sent, |due| due.min(sent)))
}

/// Whether a request was sent too long after its time.
pub(crate) fn is_late(due: Option<Duration>, sent: Duration) -> bool {
    due.is_some_and(|due| sent.saturating_sub(due) > LATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn due_times_do_not_drift() {
        let pace = Pace::per_second(3.0);
        assert_eq!(pace.due(0), Some(ms(0)));
        let hour = pace.due(3 * 3600).unwrap();
        assert!(hour.abs_diff(ms(3_600_000)) < Duration::from_micros(1), "{hour:?}");
    }

    #[test]
    fn as_many_are_due_as_the_rate_says() {
        for (rate, time, due) in [(10.0, 1000, 10), (3.0, 1000, 3), (20.0, 60_000, 1200), (0.5, 1000, 1), (7.0, 0, 0)] {
            assert_eq!(Pace::per_second(rate).due_before(ms(time)), due, "{rate}/s in {time} ms");
        }
    }

    #[test]
    fn no_rate_is_no_plan() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let pace = Pace::per_second(rate);
            assert!(!pace.is_set());
            assert_eq!((pace.due(5), pace.due_before(ms(1000))), (None, 0));
        }
    }

    #[test]
    fn waiting_for_the_turn_counts() {
        assert_eq!(latency(Some(ms(100)), ms(2100), ms(2105)), ms(2005), "sent two seconds late");
        assert_eq!(latency(Some(ms(100)), ms(99), ms(104)), ms(5), "sent a little early");
        assert_eq!(latency(None, ms(99), ms(104)), ms(5));
        assert!(is_late(Some(ms(100)), ms(111)) && !is_late(Some(ms(100)), ms(110)) && !is_late(None, ms(111)));
    }
}
