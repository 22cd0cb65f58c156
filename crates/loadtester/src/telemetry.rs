//! Prometheus metrics of the load tester. The reference has none but those of its process; all of these are additions.

use crate::gates::Gates;
use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};
use std::time::Duration;

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It did what it was to do.
    Succeeded,
    /// It did not.
    Failed,
    /// The same runs already.
    Skipped,
    /// Too many run already.
    Refused,
}

impl Fate {
    fn label(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
        }
    }
}

/// All metrics.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    tasks: IntCounterVec,
    running: IntGaugeVec,
    durations: HistogramVec,
    gates: IntGaugeVec,
}

impl Telemetry {
    /// Registers every metric. Fails only if two have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let seconds = vec![0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
        let telemetry = Self {
            tasks: IntCounterVec::new(
                Opts::new("loadtester_tasks_total", "Tasks by type and what became of them."),
                &["type", "result"],
            )?,
            running: IntGaugeVec::new(Opts::new("loadtester_tasks_running", "Tasks that run now."), &["type"])?,
            durations: HistogramVec::new(
                HistogramOpts::new("loadtester_task_duration_seconds", "How long tasks took.").buckets(seconds),
                &["type"],
            )?,
            gates: IntGaugeVec::new(
                Opts::new("loadtester_gate_open", "Gates that were ever set: 1 for open, 0 for closed."),
                &["gate"],
            )?,
            registry,
        };
        telemetry.registry.register(Box::new(telemetry.tasks.clone()))?;
        telemetry.registry.register(Box::new(telemetry.running.clone()))?;
        telemetry.registry.register(Box::new(telemetry.durations.clone()))?;
        telemetry.registry.register(Box::new(telemetry.gates.clone()))?;
        #[cfg(target_os = "linux")]
        telemetry.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(telemetry)
    }

    /// A task begins.
    pub fn begin(&self, kind: &str) {
        self.running.with_label_values(&[kind]).inc();
    }

    /// A task that had begun has ended.
    pub fn end(&self, kind: &str, fate: Fate, took: Duration) {
        self.running.with_label_values(&[kind]).dec();
        self.durations.with_label_values(&[kind]).observe(took.as_secs_f64());
        self.count(kind, fate);
    }

    /// A task has ended, or does not begin.
    pub fn count(&self, kind: &str, fate: Fate) {
        self.tasks.with_label_values(&[kind, fate.label()]).inc();
    }

    /// The text exposition, format 0.0.4.
    pub fn exposition(&self, gates: &Gates) -> Vec<u8> {
        self.gates.reset();
        for (key, open) in gates.all() {
            self.gates.with_label_values(&[&key]).set(i64::from(open));
        }
        let mut text = Vec::new();
        // Writing to memory does not fail, and the metrics are well-formed.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}
