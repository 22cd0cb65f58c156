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
pub(crate) fn judge(
    rollout: &Rollout,
    observer: &str,
    metric: &CanaryMetric,
    check: Check,
    found: &Result<f64, MetricTrouble>,
) -> Judged {
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
        let entry = api::Check {
            metric: metric.name.clone(),
            value: Some(value),
            bound: bounds(metric, check),
            verdict: Verdict::Passed,
            message: None,
        };
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

fn by_trouble(
    rollout: &Rollout,
    provider: &str,
    metric: &CanaryMetric,
    check: Check,
    trouble: &MetricTrouble,
) -> Judged {
    let (name, target) = (&metric.name, rollout.full_target());
    let (verdict, kind, text) = match (trouble, check) {
        (MetricTrouble::Setup(text), _) => (Verdict::Error, EventKind::Error, text.clone()),
        (MetricTrouble::NoValues(detail), Check::SuccessRate) => (
            Verdict::NoValues,
            EventKind::Warning,
            format!(
                "Halt advancement no values found for {provider} metric {name} probably {target} is not receiving traffic: {detail}"
            ),
        ),
        (MetricTrouble::NoValues(_), Check::Duration) => (
            Verdict::NoValues,
            EventKind::Warning,
            format!(
                "Halt advancement no values found for {provider} metric {name} probably {target} is not receiving traffic"
            ),
        ),
        (MetricTrouble::NoValues(_), Check::Inline) => {
            (Verdict::NoValues, EventKind::Warning, format!("Halt advancement no values found for metric: {name}"))
        }
        (MetricTrouble::NoValues(detail), Check::Template) => (
            Verdict::NoValues,
            EventKind::Warning,
            format!("Halt advancement no values found for custom metric: {name}: {detail}"),
        ),
        (MetricTrouble::Failed(detail), Check::SuccessRate | Check::Duration) => {
            (Verdict::Error, EventKind::Error, format!("Prometheus query failed: {detail}"))
        }
        (MetricTrouble::Failed(detail), Check::Inline) => {
            (Verdict::Error, EventKind::Error, format!("Prometheus query failed for {name}: {detail}"))
        }
        (MetricTrouble::Failed(detail), Check::Template) => {
            (Verdict::Error, EventKind::Error, format!("Metric query failed for {name}: {detail}"))
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rollout;
    use api::ThresholdRange;

    fn metric(threshold: f64, range: Option<(Option<f64>, Option<f64>)>) -> CanaryMetric {
        let threshold_range = range.map(|(min, max)| ThresholdRange { min, max });
        CanaryMetric { name: "m".to_owned(), threshold, threshold_range, ..CanaryMetric::default() }
    }

    fn complaint(metric: &CanaryMetric, check: Check, value: f64) -> Option<String> {
        judge(&rollout(), "istio", metric, check, &Ok(value)).complaint.map(|(_, text)| text)
    }

    #[test]
    fn bounds_themselves_pass() {
        let both = metric(7.0, Some((Some(1.0), Some(2.0))));
        assert_eq!(complaint(&both, Check::Template, 1.0), None);
        assert_eq!(complaint(&both, Check::Template, 2.0), None);
        assert_eq!(complaint(&both, Check::Template, 0.999).unwrap(), "Halt cart.shop advancement m 1.00 < 1");
        assert_eq!(complaint(&both, Check::Inline, 2.5).unwrap(), "Halt cart.shop advancement m 2.50 > 2");
        assert_eq!(
            complaint(&metric(7.0, Some((None, None))), Check::Template, f64::MAX),
            None,
            "the range wins over the threshold"
        );
    }

    #[test]
    fn a_threshold_is_a_lower_bound_of_success_and_an_upper_one_of_all_else() {
        let plain = metric(99.0, None);
        assert_eq!(complaint(&plain, Check::SuccessRate, 100.0), None);
        assert_eq!(
            complaint(&plain, Check::SuccessRate, 69.169).unwrap(),
            "Halt cart.shop advancement success rate 69.17% < 99%"
        );
        assert_eq!(complaint(&plain, Check::Template, 100.0).unwrap(), "Halt cart.shop advancement m 100.00 > 99");
        assert_eq!(complaint(&plain, Check::Inline, 3.0), None);
    }

    #[test]
    fn durations_are_compared_in_whole_milliseconds() {
        let limit = metric(0.0, Some((None, Some(500.9))));
        assert_eq!(complaint(&limit, Check::Duration, 500.99), None);
        assert_eq!(
            complaint(&limit, Check::Duration, 1515.4).unwrap(),
            "Halt cart.shop advancement request duration 1.515s > 500ms"
        );
        assert!(complaint(&limit, Check::Duration, f64::INFINITY).is_some(), "too long, not too short");
    }

    #[test]
    fn troubles_have_the_texts_that_users_know() {
        let told = |check, trouble| {
            let judged = judge(&rollout(), "istio", &metric(1.0, None), check, &Err(trouble));
            judged.complaint.unwrap()
        };
        let none = || MetricTrouble::NoValues("no values found".to_owned());
        let failed = || MetricTrouble::Failed("boom".to_owned());
        let (kind, text) = told(Check::Duration, none());
        assert_eq!(
            (kind, text.as_str()),
            (
                EventKind::Warning,
                "Halt advancement no values found for istio metric m probably cart.shop is not receiving traffic"
            )
        );
        assert_eq!(told(Check::Inline, none()).1, "Halt advancement no values found for metric: m");
        assert_eq!(
            told(Check::Template, none()).1,
            "Halt advancement no values found for custom metric: m: no values found"
        );
        assert_eq!(told(Check::SuccessRate, failed()), (EventKind::Error, "Prometheus query failed: boom".to_owned()));
        assert_eq!(told(Check::Inline, failed()).1, "Prometheus query failed for m: boom");
        assert_eq!(told(Check::Template, failed()).1, "Metric query failed for m: boom");
        let (kind, text) = nothing_to_measure(&metric(1.0, None)).complaint.unwrap();
        assert_eq!(
            (kind, text.as_str()),
            (EventKind::Error, "Metric query failed for no usable metrics template and query were configured")
        );
    }
}
