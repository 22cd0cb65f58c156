//! What a run has seen: latencies, phases, statuses, errors. Plain numbers; no clock.
//!
//! Latencies go into a histogram with three digits, so that a day of load costs no more memory than a second; fastest, slowest and average are exact.

use crate::pace;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Different error texts that are told apart; servers choose a part of them.
const ERROR_TEXTS: usize = 200;
/// Under which all further errors are counted.
const OTHER_ERRORS: &str = "other errors";
/// Samples kept for listings, as many as `hey` keeps.
const SAMPLES: usize = 1_000_000;

/// What came of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// HTTP status or gRPC code; `None`: there was no answer.
    pub(crate) status: Option<u16>,
    /// What went wrong, in the words of the tool.
    pub(crate) error: Option<String>,
    /// Nobody listens there, or the name is unknown: trying again at once is useless.
    pub(crate) unreachable: bool,
    /// Bytes of the answer's body.
    pub(crate) bytes: u64,
    /// Where the time went.
    pub(crate) phases: Phases,
}

impl Outcome {
    /// A request without an answer.
    pub(crate) fn failed(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }
}

/// Where the time of one request went; zero for what did not happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Phases {
    /// Name lookup and connecting, TLS included.
    pub(crate) dial: Duration,
    /// Name lookup alone.
    pub(crate) lookup: Duration,
    /// Writing the request.
    pub(crate) write: Duration,
    /// From the request's last byte to the answer's first.
    pub(crate) wait: Duration,
    /// From the answer's first byte to its last.
    pub(crate) read: Duration,
}

/// One request, for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// As counted.
    pub(crate) latency: Duration,
    /// When it was sent, from the start of the run.
    pub(crate) sent: Duration,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// Exact extremes and sum of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    count: u64,
    sum: Duration,
    min: Duration,
    max: Duration,
}

impl Span {
    /// Counts one more.
    pub(crate) fn add(&mut self, time: Duration) {
        self.min = if self.count == 0 { time } else { self.min.min(time) };
        self.max = self.max.max(time);
        self.sum = self.sum.saturating_add(time);
        self.count += 1;
    }

    fn merge(&mut self, other: Self) {
        if other.count > 0 {
            self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
            self.max = self.max.max(other.max);
            self.sum = self.sum.saturating_add(other.sum);
            self.count += other.count;
        }
    }

    /// How many.
    pub(crate) fn count(self) -> u64 {
        self.count
    }

    /// The smallest; zero if there is none.
    pub(crate) fn min(self) -> Duration {
        self.min
    }

    /// The largest; zero if there is none.
    pub(crate) fn max(self) -> Duration {
        self.max
    }

    /// The mean; zero if there is none.
    pub(crate) fn average(self) -> Duration {
        let nanos = self.sum.as_nanos().checked_div(u128::from(self.count)).unwrap_or_default();
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// All phases of all requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spans {
    /// See [`Phases::dial`].
    pub(crate) dial: Span,
    /// See [`Phases::lookup`].
    pub(crate) lookup: Span,
    /// See [`Phases::write`].
    pub(crate) write: Span,
    /// See [`Phases::wait`].
    pub(crate) wait: Span,
    /// See [`Phases::read`].
    pub(crate) read: Span,
}

/// What the recorder counts and keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Every request, for a listing.
    pub(crate) samples: bool,
    /// Requests that failed count among the latencies.
    pub(crate) failed: bool,
    /// The first so many requests of the run are only counted as sent.
    pub(crate) skip: u64,
}

/// Everything that a summary is made of.
#[derive(Debug)]
pub(crate) struct Recorder {
    keep: Keep,
    histogram: Histogram<u64>,
    /// Latencies.
    pub(crate) latency: Span,
    /// Latencies of all requests, also of those that failed.
    pub(crate) all: Span,
    /// Phases.
    pub(crate) phases: Spans,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Requests without a good answer, by text.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Requests, finished in whatever way.
    pub(crate) sent: u64,
    /// How many of them were sent late.
    pub(crate) late: u64,
    /// Bytes of all bodies.
    pub(crate) bytes: u64,
    /// The first requests, if they are kept.
    pub(crate) samples: Vec<Sample>,
}

impl Recorder {
    /// Nothing seen yet.
    pub(crate) fn new(keep: Keep) -> anyhow::Result<Self> {
        let histogram = Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3)?;
        Ok(Self {
            keep,
            histogram,
            latency: Span::default(),
            all: Span::default(),
            phases: Spans::default(),
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            sent: 0,
            late: 0,
            bytes: 0,
            samples: Vec::new(),
        })
    }

    /// Counts request number `n` of the run, which was `due`, `sent` and `done` at these offsets from the start.
    pub(crate) fn add(&mut self, n: u64, due: Option<Duration>, sent: Duration, done: Duration, outcome: Outcome) {
        if n < self.keep.skip {
            return;
        }
        let latency = pace::latency(due, sent, done);
        self.sent += 1;
        self.late += u64::from(pace::is_late(due, sent));
        self.bytes += outcome.bytes;
        self.all.add(latency);
        if let Some(status) = outcome.status {
            *self.statuses.entry(status).or_default() += 1;
        }
        if outcome.error.is_none() || self.keep.failed {
            self.latency.add(latency);
            self.histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
            self.phases.add(outcome.phases);
        }
        if let Some(error) = &outcome.error {
            self.count_error(error, 1);
        }
        if self.keep.samples && self.samples.len() < SAMPLES {
            self.samples.push(Sample { latency, sent, outcome });
        }
    }

    fn count_error(&mut self, text: &str, times: u64) {
        let known = self.errors.contains_key(text) || self.errors.len() < ERROR_TEXTS;
        *self.errors.entry(if known { text } else { OTHER_ERRORS }.to_owned()).or_default() += times;
    }

    /// Adds what another thread has seen.
    pub(crate) fn merge(&mut self, other: Self) {
        // Both have the same bounds; a histogram that does not fit would be a mistake of ours and costs only the distribution.
        let _ = self.histogram.add(&other.histogram);
        self.latency.merge(other.latency);
        self.all.merge(other.all);
        self.phases.merge(&other.phases);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (error, count) in &other.errors {
            self.count_error(error, *count);
        }
        self.sent += other.sent;
        self.late += other.late;
        self.bytes += other.bytes;
        self.samples.extend(other.samples);
        self.samples.sort_by_key(|sample| sample.sent);
        self.samples.truncate(SAMPLES);
    }

    /// The latency that this percentage of requests does not exceed, to three digits.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        let value = Duration::from_nanos(self.histogram.value_at_percentile(percent));
        value.clamp(self.latency.min(), self.latency.max())
    }

    /// Eleven marks from the fastest to the slowest, evenly spread, each with the number of latencies up to it and above the one before; nothing if there
    /// are no latencies.
    pub(crate) fn buckets(&self) -> Vec<(Duration, u64)> {
        if self.latency.count() == 0 {
            return Vec::new();
        }
        let (fastest, slowest) = (self.latency.min(), self.latency.max());
        let mark = |n: u32| if n == 10 { slowest } else { fastest + slowest.saturating_sub(fastest) * n / 10 };
        let mut buckets: Vec<(Duration, u64)> = (0..=10).map(|n| (mark(n), 0)).collect();
        for step in self.histogram.iter_recorded() {
            // The least of what three digits do not tell apart, so that the fastest is not above its own mark.
            let value = Duration::from_nanos(self.histogram.lowest_equivalent(step.value_iterated_to()));
            let value = value.clamp(fastest, slowest);
            if let Some((_, count)) = buckets.iter_mut().find(|(mark, _)| value <= *mark) {
                *count += step.count_at_value();
            }
        }
        buckets
    }
}

impl Spans {
    fn add(&mut self, phases: Phases) {
        self.dial.add(phases.dial);
        self.lookup.add(phases.lookup);
        self.write.add(phases.write);
        self.wait.add(phases.wait);
        self.read.add(phases.read);
    }

    fn merge(&mut self, other: &Self) {
        self.dial.merge(other.dial);
        self.lookup.merge(other.lookup);
        self.write.merge(other.write);
        self.wait.merge(other.wait);
        self.read.merge(other.read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn ok() -> Outcome {
        Outcome { status: Some(200), bytes: 3, ..Outcome::default() }
    }

    fn filled(latencies: impl IntoIterator<Item = u64>) -> Recorder {
        let mut recorder = Recorder::new(Keep::default()).unwrap();
        for latency in latencies {
            recorder.add(0, None, ms(7), ms(7 + latency), ok());
        }
        recorder
    }

    #[test]
    fn extremes_are_exact_and_percentiles_have_three_digits() {
        let recorder = filled(1..=1000);
        assert_eq!((recorder.latency.min(), recorder.latency.max()), (ms(1), ms(1000)));
        assert_eq!(recorder.latency.average(), Duration::from_micros(500_500));
        for (percent, wanted) in [(10.0, 100), (50.0, 500), (99.0, 990), (100.0, 1000)] {
            let found = recorder.percentile(percent);
            assert!(found.abs_diff(ms(wanted)) <= ms(wanted) / 900, "{percent}: {found:?}");
        }
    }

    #[test]
    fn every_latency_is_in_one_bucket() {
        let buckets = filled(1..=1000).buckets();
        assert_eq!(buckets.len(), 11);
        assert_eq!((buckets[0].0, buckets[10].0), (ms(1), ms(1000)));
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 1000);
        assert!(buckets[1..].iter().all(|(_, count)| (98..=102).contains(count)), "{buckets:?}");
        assert_eq!(buckets[0].1, 1, "the fastest: {buckets:?}");
        let one = filled([5]).buckets();
        assert_eq!(one.iter().map(|(_, count)| count).sum::<u64>(), 1, "all marks are equal: {one:?}");
        assert!(filled([]).buckets().is_empty());
    }

    #[test]
    fn two_threads_are_one_run() {
        let mut one = filled(1..=500);
        one.merge(filled(501..=1000));
        assert_eq!((one.latency.min(), one.latency.max(), one.sent, one.bytes), (ms(1), ms(1000), 1000, 3000));
        assert_eq!(one.percentile(50.0).as_millis(), 500);
        assert_eq!(one.statuses, BTreeMap::from([(200, 1000)]));
        let mut none = filled([]);
        none.merge(filled([4]));
        assert_eq!(none.latency.min(), ms(4), "a thread that saw nothing does not make it zero");
    }

    #[test]
    fn failures_are_counted_apart() {
        let mut recorder = filled([10]);
        recorder.add(0, None, ms(0), ms(9000), Outcome::failed("refused"));
        recorder.add(0, None, ms(0), ms(9000), Outcome::failed("refused"));
        assert_eq!((recorder.sent, recorder.latency.count(), recorder.latency.max()), (3, 1, ms(10)));
        assert_eq!(recorder.errors, BTreeMap::from([("refused".to_owned(), 2)]));
    }

    #[test]
    fn a_server_cannot_fill_the_memory_with_error_texts() {
        let mut recorder = filled([]);
        for n in 0..10_000 {
            recorder.add(0, None, ms(0), ms(1), Outcome::failed(format!("error {n}")));
        }
        assert_eq!(recorder.errors.len(), ERROR_TEXTS + 1);
        assert_eq!(recorder.errors.values().sum::<u64>(), 10_000);
        assert_eq!(recorder.errors[OTHER_ERRORS], 9_800);
    }
}
