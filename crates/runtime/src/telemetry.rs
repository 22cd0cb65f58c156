//! Prometheus metrics: those of the reference by name and label, and the controller's own.
//!
//! Label `name` is the target's name, as dashboards expect. Series of a Canary go with it.
//! Source: controller notes, section 18; operations notes, section 4.

use api::{Canary, Rollout};
use jiff::SignedDuration;
use objects::Change;
use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
    Registry, TextEncoder,
};
use rollout::{Gauges, Outcome};
use std::time::Duration;

/// Why an event or alert was given up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lost {
    /// An alert's receiver refused it or did not answer.
    Alert,
    /// More events about one Canary than the correlator lets through.
    Budget,
    /// A mistake of ours.
    Internal,
    /// More waited for one Canary than are kept.
    QueueFull,
    /// The API server does not want the event.
    Refused,
    /// The API server did not answer, several times.
    Unreachable,
    /// The event webhook refused it or did not answer.
    Webhook,
}

impl Lost {
    const ALL: [Self; 7] =
        [Self::Alert, Self::Budget, Self::Internal, Self::QueueFull, Self::Refused, Self::Unreachable, Self::Webhook];

    /// As label.
    fn reason(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Budget => "event budget",
            Self::Internal => "internal error",
            Self::QueueFull => "queue full",
            Self::Refused => "event refused",
            Self::Unreachable => "API server unreachable",
            Self::Webhook => "event webhook",
        }
    }
}

/// All metrics.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    info: GaugeVec,
    total: GaugeVec,
    status: GaugeVec,
    weight: GaugeVec,
    duration: HistogramVec,
    analysis: GaugeVec,
    successes: CounterVec,
    failures: CounterVec,
    looks: Histogram,
    queue: Gauge,
    writes: IntCounterVec,
    reads: IntCounter,
    requests: IntCounterVec,
    dropped: IntCounterVec,
    leader: Gauge,
}

impl Telemetry {
    /// Registers every metric. Fails only if two have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, labels: &[&str]| GaugeVec::new(Opts::new(name, help), labels);
        let outcome = ["name", "namespace", "deployment_strategy", "analysis_status"];
        let own = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let telemetry = Self {
            info: gauge(
                "flagger_info",
                "Flagger version and mesh provider information",
                &["version", "mesh_provider"],
            )?,
            total: gauge("flagger_canary_total", "Total number of canary object", &["namespace"])?,
            status: gauge("flagger_canary_status", "Last canary analysis result", &["name", "namespace"])?,
            weight: gauge(
                "flagger_canary_weight",
                "The virtual service destination weight current value",
                &["workload", "namespace"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new("flagger_canary_duration_seconds", "Seconds spent performing canary analysis."),
                &["name", "namespace"],
            )?,
            analysis: gauge(
                "flagger_canary_metric_analysis",
                "Last canary analysis result per metric",
                &["name", "namespace", "metric"],
            )?,
            successes: CounterVec::new(
                Opts::new("flagger_canary_successes_total", "Total number of canary successes"),
                &outcome,
            )?,
            failures: CounterVec::new(
                Opts::new("flagger_canary_failures_total", "Total number of canary failures"),
                &outcome,
            )?,
            looks: Histogram::with_opts(HistogramOpts::new(
                "flagger_look_duration_seconds",
                "Seconds from taking up a Canary to leaving it.",
            ))?,
            queue: Gauge::new("flagger_queue_depth", "Canaries that wait to be looked at, due or not.")?,
            writes: own("flagger_api_writes_total", "Writes to the API server.", &["verb", "outcome"])?,
            reads: IntCounter::new("flagger_api_reads_total", "Reads from the API server beside watches.")?,
            requests: own(
                "flagger_outgoing_requests_total",
                "Requests to hooks, metric servers and alert receivers.",
                &["purpose", "outcome"],
            )?,
            dropped: own(
                "flagger_notifications_dropped_total",
                "Events and alerts that could not be delivered.",
                &["reason"],
            )?,
            leader: Gauge::new("flagger_leader", "1 while this process looks after Canaries.")?,
            registry,
        };
        telemetry.register()?;
        // A series that begins with 1 has not increased, for Prometheus: the first loss would go unseen.
        for why in Lost::ALL {
            telemetry.dropped.with_label_values(&[why.reason()]);
        }
        Ok(telemetry)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        for gauges in [&self.info, &self.total, &self.status, &self.weight, &self.analysis] {
            self.registry.register(Box::new(gauges.clone()))?;
        }
        for counters in [&self.successes, &self.failures] {
            self.registry.register(Box::new(counters.clone()))?;
        }
        for counters in [&self.writes, &self.requests, &self.dropped] {
            self.registry.register(Box::new(counters.clone()))?;
        }
        self.registry.register(Box::new(self.duration.clone()))?;
        self.registry.register(Box::new(self.looks.clone()))?;
        self.registry.register(Box::new(self.queue.clone()))?;
        self.registry.register(Box::new(self.reads.clone()))?;
        self.registry.register(Box::new(self.leader.clone()))?;
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(())
    }

    /// `flagger_info`.
    pub fn set_info(&self, version: &str, mesh_provider: &str) {
        self.info.with_label_values(&[version, mesh_provider]).set(1.0);
    }

    /// Whether this process leads.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(f64::from(u8::from(leads)));
    }

    /// The text exposition (format 0.0.4).
    pub fn exposition(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory does not fail; should it, what was written so far is served.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }

    pub(crate) fn canaries(&self, namespace: &str, count: usize) {
        self.total.with_label_values(&[namespace]).set(small(count));
    }

    pub(crate) fn queue_depth(&self, depth: usize) {
        self.queue.set(small(depth));
    }

    pub(crate) fn looked(&self, took: Duration) {
        self.looks.observe(took.as_secs_f64());
    }

    pub(crate) fn wrote(&self, change: &Change, done: bool) {
        let verb = match change {
            Change::Create(_) | Change::CopyContent { exists: false, .. } => "create",
            Change::Merge { .. } => "patch",
            Change::CopyContent { exists: true, .. } => "update",
            Change::Delete => "delete",
        };
        self.writes.with_label_values(&[verb, if done { "done" } else { "failed" }]).inc();
    }

    pub(crate) fn read(&self) {
        self.reads.inc();
    }

    pub(crate) fn requested(&self, purpose: &str, done: bool) {
        self.requests.with_label_values(&[purpose, if done { "answered" } else { "failed" }]).inc();
    }

    pub(crate) fn dropped(&self, why: Lost) {
        self.dropped.with_label_values(&[why.reason()]).inc();
    }

    pub(crate) fn gauges(&self, rollout: &Rollout, gauges: &Gauges, took: SignedDuration) {
        let (name, namespace) = (rollout.target.name.as_str(), rollout.namespace.as_str());
        if let Some(status) = gauges.status {
            self.status.with_label_values(&[name, namespace]).set(f64::from(status));
        }
        if let Some((primary, canary)) = gauges.weights {
            self.weight.with_label_values(&[rollout.primary.as_str(), namespace]).set(percent(primary));
            self.weight.with_label_values(&[name, namespace]).set(percent(canary));
        }
        if gauges.analysed {
            self.duration.with_label_values(&[name, namespace]).observe(took.as_secs_f64());
        }
    }

    pub(crate) fn metric(&self, rollout: &Rollout, metric: &str, value: f64) {
        self.analysis.with_label_values(&[rollout.target.name.as_str(), rollout.namespace.as_str(), metric]).set(value);
    }

    pub(crate) fn count(&self, rollout: &Rollout, outcome: Outcome) {
        let (counter, status) = match outcome {
            Outcome::Succeeded => (&self.successes, "completed"),
            Outcome::Skipped => (&self.successes, "skipped"),
            Outcome::Failed => (&self.failures, "completed"),
        };
        counter
            .with_label_values(&[
                rollout.target.name.as_str(),
                rollout.namespace.as_str(),
                rollout.strategy.label(),
                status,
            ])
            .inc();
    }

    /// A Canary is gone, and its series with it. `left`: Canaries that remain in its namespace.
    pub(crate) fn forget(&self, canary: &Canary, left: usize) {
        let (name, namespace) = (canary.spec.target_ref.name.as_str(), canary.metadata.namespace.as_str());
        self.total.with_label_values(&[namespace]).set(small(left));
        // A series that was never made cannot be removed, and that is fine.
        let _ = self.status.remove_label_values(&[name, namespace]);
        let _ = self.weight.remove_label_values(&[name, namespace]);
        let _ = self.weight.remove_label_values(&[format!("{name}-primary").as_str(), namespace]);
        let _ = self.duration.remove_label_values(&[name, namespace]);
        for metric in canary.spec.analysis().into_iter().flat_map(|analysis| &analysis.metrics) {
            let _ = self.analysis.remove_label_values(&[name, namespace, metric.name.as_str()]);
        }
        let strategy = api::derived::strategy(&canary.spec).label();
        for status in ["completed", "skipped"] {
            let _ = self.successes.remove_label_values(&[name, namespace, strategy, status]);
            let _ = self.failures.remove_label_values(&[name, namespace, strategy, status]);
        }
    }
}

fn small(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

fn percent(weight: i64) -> f64 {
    i32::try_from(weight).map_or(0.0, f64::from)
}
