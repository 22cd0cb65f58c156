//! What came back from the workloads: every request of the last minutes, and how many there were in all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long single requests are remembered. Queries cannot look further back.
pub const RETENTION: Duration = Duration::from_secs(600);

/// One request that a workload answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When the answer was there.
    pub at: Instant,
    /// Namespace of the workload.
    pub namespace: String,
    /// Name of the workload.
    pub workload: String,
    /// Status code.
    pub status: u16,
    /// From sending the request to the end of the answer.
    pub latency: Duration,
    /// The Ingress that it came through.
    pub ingress: Option<String>,
    /// Whether an NGINX canary took it.
    pub by_canary_ingress: bool,
}

impl Sample {
    /// Whether the server failed.
    pub fn failed(&self) -> bool {
        self.status >= 500
    }
}

/// How many requests a workload has answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub requests: u64,
    /// Those with a status of 500 and above.
    pub failed: u64,
}

impl Count {
    /// Percentage of requests that did not fail; `None` if there were none.
    pub fn success_rate(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "nobody sends 2^52 requests to a lab")]
        let (all, failed) = (self.requests as f64, self.failed as f64);
        (self.requests > 0).then(|| (all - failed) / all * 100.0)
    }

    pub(super) fn add(&mut self, failed: bool) {
        self.requests += 1;
        self.failed += u64::from(failed);
    }
}

/// All samples, shared between those who add and those who ask.
#[derive(Debug, Default)]
pub struct Samples {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    recent: VecDeque<Sample>,
    counts: BTreeMap<(String, String), Count>,
}

impl Samples {
    /// Adds one.
    pub fn add(&self, sample: Sample) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.counts.entry((sample.namespace.clone(), sample.workload.clone())).or_default().add(sample.failed());
        while inner.recent.front().is_some_and(|oldest| sample.at.duration_since(oldest.at) > RETENTION) {
            inner.recent.pop_front();
        }
        inner.recent.push_back(sample);
    }

    /// Requests per workload since the start, by name.
    pub fn counts(&self, namespace: &str) -> BTreeMap<String, Count> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner
            .counts
            .iter()
            .filter(|((of, _), _)| of == namespace)
            .map(|((_, name), count)| (name.clone(), *count))
            .collect()
    }

    /// Requests of a workload within the last `window`.
    pub fn within(&self, namespace: &str, workload: &str, window: Duration) -> Count {
        let now = Instant::now();
        let mut count = Count::default();
        self.visit(|sample| {
            if sample.namespace == namespace && sample.workload == workload && now.duration_since(sample.at) <= window {
                count.add(sample.failed());
            }
        });
        count
    }

    /// Shows every sample that is remembered, oldest first.
    pub fn visit(&self, mut visitor: impl FnMut(&Sample)) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).recent.iter().for_each(&mut visitor);
    }
}
