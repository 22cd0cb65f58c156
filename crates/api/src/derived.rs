//! Values that follow from a spec alone: names, defaults, the next weight.
//!
//! Pure functions over the wire types; [`crate::Rollout`] is made of them. None of them fails: a value that cannot be
//! used has a default, as in the reference. Source: API notes, section 4.

use crate::canary::CanarySpec;
use crate::canary::analysis::{CanaryAnalysis, CanaryMetric, SessionAffinity};
use crate::duration::{DurationError, GoDuration};
use crate::rollout::Strategy;

/// All of the traffic, in percent.
pub const TOTAL_WEIGHT: i64 = 100;
/// Period of the analysis when none is given, or none that can be read.
pub const DEFAULT_INTERVAL: GoDuration = GoDuration::from_secs(60);
/// Least period of the analysis.
pub const MIN_INTERVAL: GoDuration = GoDuration::from_secs(10);
/// Seconds that a workload may take to become ready.
pub const DEFAULT_PROGRESS_DEADLINE_SECONDS: i64 = 600;
/// Window of a metric's query.
pub const DEFAULT_METRIC_INTERVAL: &str = "1m";
/// Life of a session cookie in seconds.
pub const DEFAULT_COOKIE_MAX_AGE: i64 = 86_400;

impl CanarySpec {
    /// The analysis that counts: `analysis`, or else the block of the former name.
    pub fn analysis(&self) -> Option<&CanaryAnalysis> {
        self.analysis.as_ref().or(self.canary_analysis.as_ref())
    }
}

/// Name of the service that clients use, and base of the other two.
pub fn apex(spec: &CanarySpec) -> &str {
    spec.service.name.as_deref().unwrap_or(&spec.target_ref.name)
}

/// Name of the primary's service.
pub fn primary_service(spec: &CanarySpec) -> String {
    primary_name(apex(spec))
}

/// Name of the canary's service.
pub fn canary_service(spec: &CanarySpec) -> String {
    format!("{}-canary", apex(spec))
}

/// Name of the primary workload; `service.name` plays no part in it.
pub fn primary_workload(spec: &CanarySpec) -> String {
    primary_name(&spec.target_ref.name)
}

/// Name of the primary's copy of a workload, scaler, ConfigMap or Secret.
pub fn primary_name(name: &str) -> String {
    format!("{name}-primary")
}

/// The provider that counts, given the operator's.
pub fn provider<'a>(spec: &'a CanarySpec, default: &'a str) -> &'a str {
    spec.provider.as_deref().unwrap_or(default)
}

/// Whether the target is a Knative Service.
pub fn is_knative(spec: &CanarySpec) -> bool {
    spec.target_ref.kind == "Service" && spec.target_ref.api_version == "serving.knative.dev/v1"
}

/// Period of the analysis: 60 s when absent or unreadable, never below 10 s.
pub fn interval(spec: &CanarySpec) -> GoDuration {
    let text = spec.analysis().map(|analysis| analysis.interval.as_str()).unwrap_or_default();
    text.parse().unwrap_or(DEFAULT_INTERVAL).max(MIN_INTERVAL)
}

/// Failed rounds of checks that end a rollout, at least 1.
pub fn threshold(spec: &CanarySpec) -> i64 {
    spec.analysis().map(|analysis| analysis.threshold).filter(|threshold| *threshold > 0).unwrap_or(1)
}

/// Percentage of the primary's pods that must be available; 0 is possible.
pub fn primary_ready_threshold(spec: &CanarySpec) -> i64 {
    spec.analysis().and_then(|analysis| analysis.primary_ready_threshold).unwrap_or(100)
}

/// Percentage of the canary's pods that must be available; 0 is possible.
pub fn canary_ready_threshold(spec: &CanarySpec) -> i64 {
    spec.analysis().and_then(|analysis| analysis.canary_ready_threshold).unwrap_or(100)
}

/// Number of pods that must be available out of `replicas`, for a percentage; fractions are cut off.
pub fn required_pods(replicas: i32, percent: i64) -> i32 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the reference computes in float32, and its truncation decides at the edges; `as` saturates"
    )]
    let required = (replicas as f32 * (percent as f32 / 100.0)) as i32;
    required
}

/// Seconds that a workload may take to become ready; 0 is possible.
pub fn progress_deadline_seconds(spec: &CanarySpec) -> i64 {
    spec.progress_deadline_seconds.unwrap_or(DEFAULT_PROGRESS_DEADLINE_SECONDS)
}

/// Window of a metric's query. Templates get the default too (quirk Q10).
pub fn metric_interval(metric: &CanaryMetric) -> &str {
    metric.interval.as_deref().unwrap_or(DEFAULT_METRIC_INTERVAL)
}

/// Whether a ready revision is promoted without analysis.
pub fn skip_analysis(spec: &CanarySpec) -> bool {
    spec.analysis().is_none() || spec.skip_analysis
}

/// Weight at which a revision is promoted, in percent. A `maxWeight` above 100 is taken as written.
pub fn max_weight(analysis: &CanaryAnalysis) -> i64 {
    match analysis.step_weights.last() {
        Some(last) => TOTAL_WEIGHT.min(*last),
        None if analysis.max_weight > 0 => analysis.max_weight,
        None => TOTAL_WEIGHT,
    }
}

/// What is added to `weight` in the next step, in percent. 0: no progress at all; negative where `stepWeights`
/// descends; from a weight that is not in the list, all that is left.
pub fn next_step(analysis: &CanaryAnalysis, weight: i64) -> i64 {
    let steps = &analysis.step_weights;
    let (Some(first), false) = (steps.first(), analysis.step_weight > 0) else {
        return analysis.step_weight;
    };
    let left = TOTAL_WEIGHT.saturating_sub(weight);
    if left == 0 {
        return 1;
    }
    let next = match weight {
        0 => Some(first),
        _ => steps.windows(2).find_map(|pair| pair.first().filter(|step| **step == weight).and(pair.last())),
    };
    next.map_or(left, |next| left.min(next.saturating_sub(weight)))
}

/// How traffic moves, by the spec.
pub fn strategy(spec: &CanarySpec) -> Strategy {
    match spec.analysis() {
        Some(analysis) if analysis.iterations > 0 && !analysis.matches.is_empty() => Strategy::AbTesting,
        Some(analysis) if analysis.iterations > 0 => Strategy::BlueGreen,
        _ => Strategy::Weighted,
    }
}

/// Life of the canary's cookie in seconds.
pub fn cookie_max_age(affinity: &SessionAffinity) -> i64 {
    if affinity.max_age == 0 { DEFAULT_COOKIE_MAX_AGE } else { affinity.max_age }
}

/// Life of the primary's cookie in seconds: the period of the analysis as written, without the default and the least
/// value that it otherwise has.
pub fn primary_cookie_max_age(analysis: &CanaryAnalysis) -> Result<i64, DurationError> {
    analysis.interval.parse().map(GoDuration::as_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(value: Value) -> CanarySpec {
        serde_json::from_value(value).unwrap()
    }

    fn analysis(value: Value) -> CanaryAnalysis {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn names_follow_the_service_and_workloads_the_target() {
        let plain = spec(json!({"targetRef": {"name": "podinfo"}}));
        assert_eq!(apex(&plain), "podinfo");
        let named = spec(json!({"targetRef": {"name": "podinfo"}, "service": {"name": "web"}}));
        assert_eq!(apex(&named), "web");
        assert_eq!(primary_service(&named), "web-primary");
        assert_eq!(canary_service(&named), "web-canary");
        assert_eq!(primary_workload(&named), "podinfo-primary");
        let empty = spec(json!({"targetRef": {"name": "podinfo"}, "service": {"name": ""}}));
        assert_eq!(apex(&empty), "podinfo");
    }

    #[test]
    fn intervals_have_a_default_and_a_least_value() {
        for (text, seconds) in [
            ("", 60),
            ("10sec", 60),
            ("5sec", 60),
            ("1d", 60),
            ("-1h", 10),
            ("500ms", 10),
            ("10ms", 10),
            ("1m30s", 90),
            ("1.5m", 90),
            ("1h", 3600),
        ] {
            assert_eq!(
                interval(&spec(json!({"analysis": {"interval": text}}))),
                GoDuration::from_secs(seconds),
                "{text}"
            );
        }
        assert_eq!(interval(&spec(json!({}))), DEFAULT_INTERVAL);
    }

    #[test]
    fn the_former_name_of_the_analysis_is_used_where_the_new_one_is_absent() {
        let old = spec(json!({"canaryAnalysis": {"interval": "30s", "threshold": 7}}));
        assert_eq!((interval(&old), threshold(&old)), (GoDuration::from_secs(30), 7));
        assert!(!skip_analysis(&old));
        let both = spec(json!({"analysis": {"threshold": 3}, "canaryAnalysis": {"threshold": 7}}));
        assert_eq!(threshold(&both), 3);
    }

    #[test]
    fn numbers_have_defaults_and_explicit_zeros_are_kept_where_they_count() {
        let nothing = spec(json!({}));
        assert_eq!(threshold(&nothing), 1);
        assert_eq!((primary_ready_threshold(&nothing), canary_ready_threshold(&nothing)), (100, 100));
        assert_eq!(progress_deadline_seconds(&nothing), 600);
        assert!(skip_analysis(&nothing));
        let zeros = spec(json!({"progressDeadlineSeconds": 0,
            "analysis": {"threshold": 0, "primaryReadyThreshold": 0, "canaryReadyThreshold": 0}}));
        assert_eq!(threshold(&zeros), 1);
        assert_eq!((primary_ready_threshold(&zeros), canary_ready_threshold(&zeros)), (0, 0));
        assert_eq!(progress_deadline_seconds(&zeros), 0);
        assert_eq!(threshold(&spec(json!({"analysis": {"threshold": -2}}))), 1);
    }

    #[test]
    fn required_pods_are_cut_off() {
        assert_eq!(required_pods(4, 50), 2);
        assert_eq!(required_pods(3, 50), 1);
        assert_eq!(required_pods(4, 0), 0);
        assert_eq!(required_pods(5, 100), 5);
    }

    #[test]
    fn max_weight_is_that_of_the_last_step() {
        assert_eq!(max_weight(&analysis(json!({}))), 100);
        assert_eq!(max_weight(&analysis(json!({"maxWeight": 50}))), 50);
        assert_eq!(max_weight(&analysis(json!({"maxWeight": 150}))), 150);
        assert_eq!(max_weight(&analysis(json!({"maxWeight": 50, "stepWeights": [1, 2, 10, 80]}))), 80);
        assert_eq!(max_weight(&analysis(json!({"stepWeights": [1, 120]}))), 100);
    }

    #[test]
    fn steps_go_from_one_listed_weight_to_the_next() {
        let constant = analysis(json!({"stepWeight": 10, "stepWeights": [1, 2]}));
        assert_eq!(next_step(&constant, 40), 10);
        assert_eq!(next_step(&analysis(json!({})), 0), 0);
        let listed = analysis(json!({"stepWeights": [1, 2, 10, 80]}));
        let steps: Vec<_> = [0, 1, 2, 10, 80, 100].map(|weight| next_step(&listed, weight)).to_vec();
        assert_eq!(steps, [1, 1, 8, 70, 20, 1]);
        // Not in the list: everything at once. Descending: backwards.
        assert_eq!(next_step(&listed, 5), 95);
        assert_eq!(next_step(&analysis(json!({"stepWeights": [50, 20, 80]})), 50), -30);
        assert_eq!(next_step(&analysis(json!({"stepWeights": [120]})), 0), 100);
    }

    #[test]
    fn the_strategy_follows_from_iterations_and_match() {
        let of = |value: Value| strategy(&spec(value));
        assert_eq!(of(json!({})), Strategy::Weighted);
        assert_eq!(of(json!({"analysis": {}})), Strategy::Weighted);
        assert_eq!(of(json!({"analysis": {"maxWeight": 50, "stepWeight": 10}})), Strategy::Weighted);
        assert_eq!(of(json!({"analysis": {"stepWeights": [10, 20]}})), Strategy::Weighted);
        assert_eq!(of(json!({"analysis": {"iterations": 10}})), Strategy::BlueGreen);
        let headers = json!([{"headers": {"x": {"exact": "y"}}}]);
        assert_eq!(of(json!({"analysis": {"iterations": 10, "match": headers}})), Strategy::AbTesting);
        assert_eq!(of(json!({"analysis": {"stepWeight": 10, "match": headers}})), Strategy::Weighted);
    }

    #[test]
    fn cookies_live_a_day_and_the_primarys_as_long_as_an_interval() {
        let affinity = |value: Value| serde_json::from_value::<SessionAffinity>(value).unwrap();
        assert_eq!(cookie_max_age(&affinity(json!({"cookieName": "a"}))), 86_400);
        assert_eq!(cookie_max_age(&affinity(json!({"cookieName": "a", "maxAge": 0}))), 86_400);
        assert_eq!(cookie_max_age(&affinity(json!({"cookieName": "a", "maxAge": 21_600}))), 21_600);
        assert_eq!(primary_cookie_max_age(&analysis(json!({"interval": "5.5s"}))), Ok(5));
        let error = primary_cookie_max_age(&analysis(json!({"interval": "5sec"}))).unwrap_err();
        assert_eq!(error.to_string(), r#"time: unknown unit "sec" in duration "5sec""#);
    }

    #[test]
    fn metrics_ask_for_one_minute_templates_too() {
        let metric: CanaryMetric = serde_json::from_value(json!({"name": "a", "templateRef": {"name": "t"}})).unwrap();
        assert_eq!(metric_interval(&metric), "1m");
    }
}
