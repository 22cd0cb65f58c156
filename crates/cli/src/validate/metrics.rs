//! Metrics of a Canary, and the templates behind them.

use super::case::Case;
use super::finding::Report;
use super::hooks::not_http;
use super::rules::{
    DEPRECATED_FIELD, METRIC_BOUNDS, METRIC_INTERVAL, METRIC_NAME, METRIC_PROVIDER, METRIC_SOURCE, METRIC_UNBOUNDED,
    METRIC_UNIT, MISSING_SECRET, SCHEMA, TEMPLATE_SYNTAX, TEMPLATE_VARIABLE, UNSUPPORTED, UNUSED_VARIABLE,
};
use super::words::{enumeration, nearest};
use crate::given::{self, Given};
use crate::manifests::{Manifest, Problem};
use api::{CanaryMetric, GoDuration, MetricTemplate};
use gotemplate::Template;
use objects::kind::{METRIC_TEMPLATE, SECRET};
use objects::paths;
use providers::http::Secret;
use providers::metrics;
use rollout::{Check, MetricTrouble};
use std::collections::BTreeMap;

const SUCCESS_RATE: &str = "request-success-rate";
const DURATION_METRIC: &str = "request-duration";
/// What queries may call.
const FUNCTIONS: [&str; 8] = ["name", "namespace", "target", "service", "ingress", "route", "interval", "variables"];
/// What the end of an error says about a variable that is not set.
const NO_ENTRY: &str = "map has no entry for key \"";

/// Every metric of a Canary.
pub(super) fn check(case: &Case<'_>, report: &mut Report) {
    if let Some(text) = case.rollout.metrics_server.as_deref().and_then(not_http) {
        case.add(
            report,
            &METRIC_PROVIDER,
            "spec.metricsServer",
            text,
            "write it like http://prometheus.monitoring:9090",
        );
    }
    for (index, metric) in case.rollout.analysis.metrics.iter().enumerate() {
        let at = format!("spec.analysis.metrics[{index}]");
        bounds(case, metric, &at, report);
        source(case, metric, &at, report);
        if let Some(Err(error)) = metric.interval.as_deref().map(str::parse::<GoDuration>) {
            let advice = "write it like 30s, 1m or 2h";
            case.add(report, &METRIC_INTERVAL, &format!("{at}.interval"), error.to_string(), advice);
        }
    }
}

fn is_built_in(metric: &CanaryMetric) -> bool {
    [SUCCESS_RATE, DURATION_METRIC].contains(&metric.name.as_str())
}

fn bounds(case: &Case<'_>, metric: &CanaryMetric, at: &str, report: &mut Report) {
    let (path, rate) = (format!("{at}.thresholdRange"), metric.name == SUCCESS_RATE);
    let Some(range) = &metric.threshold_range else {
        if metric.threshold == 0.0 {
            let what = if rate { "every value passes" } else { "every value above 0 fails" };
            let message = format!("has no bounds: {what}");
            case.add(report, &METRIC_UNBOUNDED, at, message, "add thresholdRange with min, max or both");
        } else {
            let bound = if rate { "min" } else { "max" };
            let message = "threshold is the former way to say it";
            let advice = format!("write `thresholdRange: {{{bound}: {}}}`", metric.threshold);
            case.add(report, &DEPRECATED_FIELD, &format!("{at}.threshold"), message, advice);
        }
        return;
    };
    match (range.min, range.max) {
        (None, None) => {
            case.add(report, &METRIC_UNBOUNDED, &path, "is empty: every value passes", "add min, max or both");
        }
        (Some(min), Some(max)) if min > max => {
            let message = format!("min {min} is above max {max}: no value passes");
            case.add(report, &METRIC_BOUNDS, &path, message, "exchange them, or keep one of them");
        }
        (Some(min), _) if rate && min > 100.0 => {
            let message = format!("min {min} is above 100 %, which no success rate is");
            case.add(report, &METRIC_BOUNDS, &format!("{path}.min"), message, "write a percentage, such as 99");
        }
        (Some(min), _) if rate && min > 0.0 && min <= 1.0 => {
            let message = format!("{min} means {min} %: success rates are in percent");
            case.add(
                report,
                &METRIC_UNIT,
                &format!("{path}.min"),
                message,
                format!("write {} if that is meant", min * 100.0),
            );
        }
        (_, Some(max)) if metric.name == DURATION_METRIC && max > 0.0 && max < 5.0 => {
            let message = format!("{max} means {max} ms: durations are in milliseconds");
            case.add(
                report,
                &METRIC_UNIT,
                &format!("{path}.max"),
                message,
                format!("write {} if that is meant", max * 1000.0),
            );
        }
        _ => {}
    }
}

/// Whom to ask, and what.
fn source(case: &Case<'_>, metric: &CanaryMetric, at: &str, report: &mut Report) {
    let query = metric.query.as_deref().filter(|query| !query.is_empty());
    if query.is_some() {
        let message = "inline queries are the former way to say it";
        case.add(
            report,
            &DEPRECATED_FIELD,
            &format!("{at}.query"),
            message,
            "make a MetricTemplate and name it in templateRef",
        );
    }
    match (is_built_in(metric), &metric.template_ref) {
        (true, Some(template)) => {
            let message = format!("{} is built in, and template {} is asked as well", metric.name, template.name);
            case.add(report, &METRIC_NAME, &format!("{at}.name"), message, "give the metric another name");
        }
        (false, None) if query.is_none() => {
            let message = format!("{} is not built in, and there is no templateRef", metric.name);
            let advice = match nearest(&metric.name, [SUCCESS_RATE, DURATION_METRIC]) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("add templateRef, or take {SUCCESS_RATE} or {DURATION_METRIC}"),
            };
            case.add(report, &METRIC_SOURCE, &format!("{at}.name"), message, advice);
        }
        _ => {}
    }
    let checks = [(metric.name == SUCCESS_RATE, Check::SuccessRate), (metric.name == DURATION_METRIC, Check::Duration)];
    let checks = checks.into_iter().chain([(query.is_some(), Check::Inline)]).filter(|(asked, _)| *asked);
    for (_, check) in checks {
        if let Err(MetricTrouble::Setup(text) | MetricTrouble::Failed(text)) =
            metrics::builtin(&case.rollout, metric, check, None)
        {
            let inline = check == Check::Inline;
            let (rule, path) = if inline && !text.contains("Prometheus client") {
                (&TEMPLATE_SYNTAX, format!("{at}.query"))
            } else {
                (&METRIC_PROVIDER, "spec.metricsServer".to_owned())
            };
            case.add(report, rule, &path, text, "correct it");
        }
    }
    template(case, metric, at, report);
}

/// The template of a metric with the metric's variables.
fn template(case: &Case<'_>, metric: &CanaryMetric, at: &str, report: &mut Report) {
    let Some(reference) = &metric.template_ref else { return };
    let namespace = reference.namespace_or(&case.rollout.namespace);
    let Some(manifest) = case.given.find(&METRIC_TEMPLATE, namespace, &reference.name) else { return };
    let Ok(template) = read(case.given, manifest) else { return };
    let query = &template.spec.query;
    // What is wrong with the template in itself is told there, once.
    if Template::parse(query, &FUNCTIONS).is_err() {
        return;
    }
    let path = format!("{at}.templateVariables");
    for key in metric.template_variables.keys().filter(|key| !query.contains(key.as_str())) {
        let message = format!("MetricTemplate {} does not use it", reference.name);
        case.add(report, &UNUSED_VARIABLE, &format!("{path}.{key}"), message, "remove it, or correct its name");
    }
    let keys = credentials(case.given, &template);
    let request = metrics::template_request(&case.rollout, metric, &template, keys.as_ref(), None);
    let Err(MetricTrouble::Setup(text)) = request else { return };
    let Some((_, missing)) = text.split_once(NO_ENTRY) else {
        // What is wrong with the source is told at the template; what is left is the query.
        if text.contains(" query render error: ") {
            case.add(report, &TEMPLATE_SYNTAX, &format!("{at}.templateRef"), text, "correct the query of the template");
        }
        return;
    };
    let key = missing.trim_end_matches('"');
    let known: Vec<&str> = metric.template_variables.keys().map(String::as_str).collect();
    let message = format!("the query of MetricTemplate {} needs the variable `{key}`", reference.name);
    let advice = match nearest(key, known.iter().copied()) {
        Some(meant) => format!("there is {meant}: give it that name"),
        None => format!("add `{key}` to templateVariables"),
    };
    let has_variables = !metric.template_variables.is_empty();
    case.add(report, &TEMPLATE_VARIABLE, if has_variables { &path } else { at }, message, advice);
}

/// A MetricTemplate in itself.
pub(super) fn check_template(given: &Given, manifest: &Manifest, report: &mut Report) {
    let template = match read(given, manifest) {
        Ok(template) => template,
        Err(problem) => return report.add(&SCHEMA, manifest, &problem.path, problem.message, problem.advice),
    };
    syntax(manifest, &template.spec.query, report);
    let keys = credentials(given, &template);
    if let (Some(reference), None) = (&template.spec.provider.secret_ref, &keys) {
        let message = format!("there is no Secret {} in the template's namespace among the manifests", reference.name);
        let advice = "give its manifest with -f too, or make sure that the cluster has it";
        return report.missing(&MISSING_SECRET, manifest, "spec.provider.secretRef.name", message, advice);
    }
    let address = template.spec.provider.address.as_deref().filter(|address| !address.is_empty());
    let unusable = metrics::template_probe(&template, keys.as_ref()).err();
    if let Some(text) = unusable.or_else(|| address.and_then(not_http)) {
        let text = text.rsplit_once(" error: ").map_or(text.as_str(), |(_, end)| end).to_owned();
        let (rule, path, advice) = if text.contains("not supported") {
            (&UNSUPPORTED, "spec.provider.type", "take prometheus, or wait for a later version")
        } else if text.contains("credentials") {
            (&METRIC_PROVIDER, "spec.provider.secretRef.name", "the Secret needs a token, or username and password")
        } else {
            (&METRIC_PROVIDER, "spec.provider.address", "write it like http://prometheus.monitoring:9090")
        };
        report.add(rule, manifest, path, text, advice);
    }
}

fn read(given: &Given, manifest: &Manifest) -> Result<MetricTemplate, Box<Problem>> {
    let mut template: MetricTemplate =
        api::decode(manifest.object.clone()).map_err(|error| Box::new(given::unreadable(manifest, &error)))?;
    given.namespace_of(manifest).clone_into(&mut template.metadata.namespace);
    Ok(template)
}

/// The keys of the template's Secret; their values do not matter here.
fn credentials(given: &Given, template: &MetricTemplate) -> Option<BTreeMap<String, Secret>> {
    let reference = template.spec.provider.secret_ref.as_ref()?;
    let secret = given.find(&SECRET, &template.metadata.namespace, &reference.name)?;
    let keys = ["/data", "/stringData"].into_iter().flat_map(|field| paths::strings(&secret.object, field).into_keys());
    Some(keys.map(|key| (key, Secret::new("given"))).collect())
}

/// The query as a template, with the line where it breaks.
fn syntax(manifest: &Manifest, query: &str, report: &mut Report) {
    let Err(error) = Template::parse(query, &FUNCTIONS) else { return };
    let path = "spec.query";
    let unknown = error.reason.strip_prefix("function \"").and_then(|rest| rest.strip_suffix("\" not defined"));
    let advice = match unknown {
        Some(name) => match nearest(name, FUNCTIONS) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("there is {}; your own are {{{{ variables.{name} }}}}", enumeration(FUNCTIONS)),
        },
        None => "correct the template, see https://pkg.go.dev/text/template".to_owned(),
    };
    let problem = manifest.problem(path, format!("line {} of the query: {}", error.line, error.reason), advice);
    // A block scalar begins in the line below its key; other forms may fold lines, so the key's line is the best there is.
    let first = manifest.line_of(path);
    let line = if query.contains('\n') { first.saturating_add(error.line) } else { first };
    report.add_at_line(&TEMPLATE_SYNTAX, manifest, line, problem);
}
