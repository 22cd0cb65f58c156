//! Times, thresholds and weights of an analysis.

use super::case::Case;
use super::finding::Report;
use super::rules::{
    DUPLICATE_NAME, DURATION, IGNORED_FIELD, NO_CHECKS, OVERSHOOTING_WEIGHTS, SHORT_INTERVAL, STUCK_WEIGHTS,
    THRESHOLD_ZERO, WEIGHT_RANGE,
};
use api::{GoDuration, HookType, Rollout, Strategy, derived};
use std::collections::BTreeMap;

/// More steps than any release has.
const MOST_STEPS: usize = 200;

/// Everything about the course of a release.
pub(super) fn check(case: &Case<'_>, report: &mut Report) {
    if !case.rollout.has_analysis || case.rollout.skip_analysis {
        return;
    }
    interval(case, report);
    let given = case.manifest.object.pointer("/spec/analysis/threshold").is_some();
    if given && case.rollout.analysis.threshold <= 0 {
        let message =
            format!("{} counts as 1: the first failed check ends the release", case.rollout.analysis.threshold);
        case.add(
            report,
            &THRESHOLD_ZERO,
            "spec.analysis.threshold",
            message,
            "write the number of failed checks that ends it",
        );
    }
    weights(case, report);
    no_checks(case, report);
    duplicates(case, report);
}

fn interval(case: &Case<'_>, report: &mut Report) {
    let (path, text) = ("spec.analysis.interval", case.rollout.analysis.interval.as_str());
    if text.is_empty() {
        return;
    }
    match text.parse::<GoDuration>() {
        Err(error) => {
            let message = format!("{error}; 60s is used instead");
            case.add(report, &DURATION, path, message, "write it like 30s, 1m30s or 2h");
        }
        Ok(interval) if interval < derived::MIN_INTERVAL => {
            let message = format!("{text} is shorter than the controller waits, which is 10s");
            case.add(report, &SHORT_INTERVAL, path, message, "write 10s or more");
        }
        Ok(_) => {}
    }
}

/// The weights of a release, and whether they lead to its end.
fn weights(case: &Case<'_>, report: &mut Report) {
    let (rollout, analysis) = (&case.rollout, &case.rollout.analysis);
    range(case, report);
    let has = |key: &str| case.manifest.object.pointer(&format!("/spec/analysis/{key}")).is_some();
    if rollout.strategy != Strategy::Weighted {
        for key in ["maxWeight", "stepWeightPromotion"].into_iter().filter(|key| has(key)) {
            let message = "has no effect: with iterations nothing moves by weights".to_owned();
            case.add(report, &IGNORED_FIELD, &format!("spec.analysis.{key}"), message, "remove it");
        }
        return;
    }
    if let (Some(last), true) = (analysis.step_weights.last(), has("maxWeight")) {
        let message = format!("has no effect: the last of stepWeights, {last}, is where the release ends");
        case.add(report, &IGNORED_FIELD, "spec.analysis.maxWeight", message, "remove it");
    }
    // Without any strategy the schema says so.
    if !has("stepWeight") && !has("stepWeights") {
        return;
    }
    let path = if analysis.step_weights.is_empty() { "spec.analysis.stepWeight" } else { "spec.analysis.stepWeights" };
    match course(rollout) {
        Err((weight, step)) => {
            let message = format!("from weight {weight} the next step is {step}: the release never ends");
            case.add(report, &STUCK_WEIGHTS, path, message, "set stepWeight above 0, or stepWeights that ascend");
        }
        Ok(weights) => {
            let (last, max) = (weights.last().copied().unwrap_or_default(), derived::max_weight(analysis));
            if last > max && analysis.step_weights.is_empty() {
                let shown: Vec<String> = weights.iter().map(ToString::to_string).collect();
                let step = analysis.step_weight;
                let message =
                    format!("leads to the weights {}, the last of them above maxWeight {max}", shown.join(", "));
                let below = max.checked_div(step).unwrap_or_default().saturating_mul(step);
                let fitting = [below, last].into_iter().filter(|weight| *weight > 0).map(|weight| weight.to_string());
                let advice = format!("set maxWeight to {}", fitting.collect::<Vec<_>>().join(" or "));
                case.add(report, &OVERSHOOTING_WEIGHTS, path, message, advice);
            }
        }
    }
}

/// The weights one after the other; or the weight from which there is no way, and the step there.
fn course(rollout: &Rollout) -> Result<Vec<i64>, (i64, i64)> {
    let max = derived::max_weight(&rollout.analysis).clamp(1, derived::TOTAL_WEIGHT);
    let (mut weight, mut weights) = (0_i64, Vec::new());
    while weight < max {
        let step = derived::next_step(&rollout.analysis, weight);
        if step <= 0 || weights.len() > MOST_STEPS {
            return Err((weight, step));
        }
        weight = weight.saturating_add(step).min(derived::TOTAL_WEIGHT);
        weights.push(weight);
    }
    // At the end the controller looks at the next step once more.
    match derived::next_step(&rollout.analysis, weight) {
        step if step <= 0 => Err((weight, step)),
        _ => Ok(weights),
    }
}

fn range(case: &Case<'_>, report: &mut Report) {
    let analysis = &case.rollout.analysis;
    let single = [
        ("maxWeight", analysis.max_weight),
        ("stepWeight", analysis.step_weight),
        ("stepWeightPromotion", analysis.step_weight_promotion),
        ("mirrorWeight", analysis.mirror_weight),
    ];
    let single = single.into_iter().map(|(key, weight)| (key.to_owned(), weight));
    let listed = analysis.step_weights.iter().enumerate().map(|(at, weight)| (format!("stepWeights[{at}]"), *weight));
    for (key, weight) in single.chain(listed).filter(|(_, weight)| !(0..=derived::TOTAL_WEIGHT).contains(weight)) {
        let message = format!("{weight} is no percentage");
        case.add(report, &WEIGHT_RANGE, &format!("spec.analysis.{key}"), message, "write 0 to 100");
    }
}

fn no_checks(case: &Case<'_>, report: &mut Report) {
    let analysis = &case.rollout.analysis;
    let decides = |kind: HookType| !matches!(kind, HookType::Event | HookType::PostRollout | HookType::Unknown);
    if analysis.metrics.is_empty() && !analysis.webhooks.iter().any(|hook| decides(hook.kind)) {
        let message = "has neither metrics nor hooks that could end a release";
        let advice = "add metrics or webhooks, or set spec.skipAnalysis: true if that is meant";
        case.add(report, &NO_CHECKS, "spec.analysis", message, advice);
    }
}

fn duplicates(case: &Case<'_>, report: &mut Report) {
    let analysis = &case.rollout.analysis;
    let lists: [(&str, Vec<&str>); 3] = [
        ("metrics", analysis.metrics.iter().map(|metric| metric.name.as_str()).collect()),
        ("webhooks", analysis.webhooks.iter().map(|hook| hook.name.as_str()).collect()),
        ("alerts", analysis.alerts.iter().map(|alert| alert.name.as_str()).collect()),
    ];
    for (list, names) in lists {
        let mut seen = BTreeMap::new();
        for (index, name) in names.into_iter().enumerate() {
            if let Some(first) = seen.get(name) {
                let path = format!("spec.analysis.{list}[{index}].name");
                let message = format!("`{name}` is the name of {list}[{first}] too");
                case.add(report, &DUPLICATE_NAME, &path, message, "give each its own name");
            } else {
                seen.insert(name, index);
            }
        }
    }
}
