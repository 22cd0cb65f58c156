//! From the value of a metric to a verdict, with the texts that users know.
//!
//! Source: controller notes, sections 12.3 and 20; metrics notes, section 5.

use crate::plan::EventKind;
use crate::question::{Check, MetricTrouble};
use api::number::{shortest, two_decimals};
use api::{CanaryMetric, GoDuration, Rollout, Verdict};

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    /// For the status: what was measured, against which bound, and how it went.
    pub(crate) entry: api::Check,
    /// The event, if the check failed.
    pub(crate) complaint: Option<(EventKind, String)>,
}

/// A bound that a value breaks.
enum Breach {
    Below(f64),
    Above(f64),
}

/// Judges what a check found.
pub(crate) fn judge(rollout: &Rollout, observer: &str, metric: &CanaryMetric, check: Check, found: &Result<f64, MetricTrouble>) -> Judged {
    match found {
        Ok(value) => by_value(rollout, metric, check, *value),
        Err(trouble) => by_trouble(rollout, observer, metric, check, trouble),
    }
}

/// The complaint about an entry that names nothing to measure.
pub(crate) fn nothing_to_measure(metric: &CanaryMetric) -> Judged {
    let text = "Metric query failed for no usable metrics template and query were configured";
    failed(metric, None, Verdict::Error, EventKind::Error, text.to_owned())
}

fn by_value(rollout: &Rollout, metric: &CanaryMetric, check: Check, value: f64) -> Judged {
    let shown = match check {
        Check::Duration => milliseconds(value).to_string(),
        _ => two_decimals(value),
    };
    let Some(breach) = breach(metric, check, value) else {
        let entry = api::Check { metric: metric.name.clone(), value: Some(value), bound: bounds(metric, check), verdict: Verdict::Passed, message: None };
        return Judged { entry, complaint: None };
    };
    let (sign, bound) = match breach {
        Breach::Below(bound) => ("<", bound),
        Breach::Above(bound) => (">", bound),
    };
    let limit = match check {
        Check::Duration => milliseconds(bound).to_string(),
        _ => shortest(bound),
    };
    let name = rollout.full_name();
    let text = match check {
        Check::SuccessRate => format!("Halt {name} advancement success rate {shown}% {sign} {limit}%"),
        Check::Duration => format!("Halt {name} advancement request duration {shown} {sign} {limit}"),
        Check::Inline | Check::Template => format!("Halt {name} advancement {} {shown} {sign} {limit}", metric.name),
    };
    let mut judged = failed(metric, Some(value), Verdict::Failed, EventKind::Warning, text);
    judged.entry.bound = Some(format!("{sign} {limit}"));
    judged
}

/// The first bound that the value breaks; the lower one is looked at first, bounds themselves pass.
fn breach(metric: &CanaryMetric, check: Check, value: f64) -> Option<Breach> {
    // Durations are compared in whole milliseconds, on both sides.
    let unit = |number: f64| if check == Check::Duration { number.trunc() } else { number };
    let value = unit(value);
    match &metric.threshold_range {
        Some(range) => {
            let below = range.min.filter(|min| value < unit(*min)).map(Breach::Below);
            below.or_else(|| range.max.filter(|max| value > unit(*max)).map(Breach::Above))
        }
        None if check == Check::SuccessRate => (value < metric.threshold).then_some(Breach::Below(metric.threshold)),
        None => (value > unit(metric.threshold)).then_some(Breach::Above(metric.threshold)),
    }
}

/// The bounds of a metric in words, for the status.
fn bounds(metric: &CanaryMetric, check: Check) -> Option<String> {
    match &metric.threshold_range {
        Some(range) => match (range.min, range.max) {
            (Some(min), Some(max)) => Some(format!("{}..{}", shortest(min), shortest(max))),
            (Some(min), None) => Some(format!(">= {}", shortest(min))),
            (None, Some(max)) => Some(format!("<= {}", shortest(max))),
            (None, None) => None,
        },
        None if check == Check::SuccessRate => Some(format!(">= {}", shortest(metric.threshold))),
        None => Some(format!("<= {}", shortest(metric.threshold))),
    }
}

fn by_trouble(rollout: &Rollout, provider: &str, metric: &CanaryMetric, check: Check, trouble: &MetricTrouble) -> Judged {
    let (name, target) = (&metric.name, rollout.full_target());
    let (verdict, kind, text) = match (trouble, check) {
        (MetricTrouble::Setup(text), _) => (Verdict::Error, EventKind::Error, text.clone()),
        (MetricTrouble::NoValues(detail), Check::SuccessRate) => (
            Verdict::NoValues,
            EventKind::Warning,
            format!("Halt advancement no values found for {provider} metric {name} probably {target} is not receiving traffic: {detail}"),
        ),
        (MetricTrouble::NoValues(_), Check::Duration) => (
            Verdict::NoValues,
            EventKind::Warning,
            format!("Halt advancement no values found for {provider} metric {name} probably {target} is not receiving traffic"),
        ),
        (MetricTrouble::NoValues(_), Check::Inline) => {
            (Verdict::NoValues, EventKind::Warning, format!("Halt advancement no values found for metric: {name}"))
        }
        (MetricTrouble::NoValues(detail), Check::Template) => {
            (Verdict::NoValues, EventKind::Warning, format!("Halt advancement no values found for custom metric: {name}: {detail}"))
        }
        (MetricTrouble::Failed(detail), Check::SuccessRate | Check::Duration) => {
            (Verdict::Error, EventKind::Error, format!("Prometheus query failed: {detail}"))
        }
        (MetricTrouble::Failed(detail), Check::Inline) => (Verdict::Error, EventKind::Error, format!("Prometheus query failed for {name}: {detail}")),
        (MetricTrouble::Failed(detail), Check::Template) => (Verdict::Error, EventKind::Error, format!("Metric query failed for {name}: {detail}")),
    };
    failed(metric, None, verdict, kind, text)
}

fn failed(metric: &CanaryMetric, value: Option<f64>, verdict: Verdict, kind: EventKind, text: String) -> Judged {
    let entry = api::Check { metric: metric.name.clone(), value, bound: None, verdict, message: Some(text.clone()) };
    Judged { entry, complaint: Some((kind, text)) }
}

/// Milliseconds as a Go duration; what does not fit saturates, so that an infinite latency is too long and not too short.
fn milliseconds(value: f64) -> GoDuration {
    #[expect(clippy::cast_possible_truncation, reason = "float to integer saturates, and that is wanted")]
    let whole = value.trunc() as i64;
    GoDuration::from_millis(whole.clamp(i64::MIN / 1_000_000, i64::MAX / 1_000_000))
}
