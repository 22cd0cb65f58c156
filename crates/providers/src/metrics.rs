//! Sources of metrics: the request that asks for a value, and the value that an answer holds.
//!
//! Three kinds of checks: the built-in ones ([`crate::observers`]) and inline queries ask the Prometheus of the command
//! line or of the Canary, the others ask the source that a MetricTemplate describes. Whether a value is good is decided
//! elsewhere; here it is found, or why there is none, in the words that events use. Source: metrics notes, sections 1
//! to 7.

mod prometheus;
mod render;

#[cfg(test)]
mod tests;

use crate::http::url::masked;
use crate::http::{Request, Response, Secret, SendError};
use crate::observers::observer;
use api::{CanaryMetric, MetricTemplate, MetricTemplateProvider, Rollout};
use render::render;
use rollout::{Check, MetricTrouble};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Alphabetical. A source exists when it is in this list.
pub static SOURCES: &[&dyn Source] = &[&prometheus::Prometheus];

/// Kinds that a MetricTemplate may name and that are not built yet.
const NOT_YET: [&str; 10] = [
    "cloudwatch",
    "datadog",
    "dynatrace",
    "externalmetrics",
    "graphite",
    "influxdb",
    "keptn",
    "newrelic",
    "splunk",
    "stackdriver",
];

/// Names of the two built-in metrics.
const SUCCESS_RATE: &str = "request-success-rate";
const DURATION: &str = "request-duration";

/// The window of a probe, which belongs to no metric.
const PROBE_INTERVAL: &str = "1m";

/// The longest time that fits a Go duration, in whole milliseconds.
const LONGEST_MILLISECONDS: f64 = 9_223_372_036_854.0;

/// What is asked, and whom.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The source as the MetricTemplate describes it.
    pub provider: &'a MetricTemplateProvider,
    /// The keys of its Secret; `None` without one.
    pub credentials: Option<&'a BTreeMap<String, Secret>>,
    /// The rendered query.
    pub text: &'a str,
    /// The window, a Go duration.
    pub interval: &'a str,
}

/// One kind of source.
pub trait Source: Debug + Sync {
    /// `spec.provider.type`.
    fn kind(&self) -> &'static str;
    /// The request for a value. An error means that the source is described badly.
    fn request(&self, query: &Query<'_>) -> Result<Request, String>;
    /// What to say when there is no response.
    fn unanswered(&self, error: &SendError) -> String {
        if error.is_broken_body() { error.message.clone() } else { format!("request failed: {error}") }
    }
    /// The value in a response.
    fn sample(&self, response: &Response) -> Result<f64, MetricTrouble>;
    /// The request that finds out whether the source can be asked. The text of the query is not looked at.
    fn probe(&self, query: &Query<'_>) -> Result<Request, String>;
    /// What the response to it says.
    fn is_online(&self, response: &Response) -> Result<(), String>;
}

/// Something that must answer before an analysis makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The Prometheus of the built-in queries.
    Prometheus {
        /// Its address.
        url: String,
    },
    /// The source of a MetricTemplate.
    Template {
        /// Name of the MetricTemplate.
        name: String,
        /// Its namespace.
        namespace: String,
    },
}

/// The request of a check against the Prometheus of the built-in queries. `revision`: the newest revision of a Knative
/// Service, which then is the route.
///
/// Errors: an address that is none (`Setup`), a query that cannot be rendered (`Failed`).
pub fn builtin(
    rollout: &Rollout,
    metric: &CanaryMetric,
    check: Check,
    revision: Option<&str>,
) -> Result<Request, MetricTrouble> {
    let url = metrics_server(rollout);
    let setup = |error| MetricTrouble::Setup(format!("Error building Prometheus client for {} {error}", masked(url)));
    prometheus_request(url, "").map_err(setup)?;
    let observer = observer(rollout);
    let (template, plain) = match check {
        Check::SuccessRate => (observer.success_rate(), observer.plain_names()),
        Check::Duration => (observer.duration(), observer.plain_names()),
        Check::Inline | Check::Template => (metric.query.as_deref().unwrap_or_default(), false),
    };
    let text = render(template, rollout, metric, revision, plain).map_err(|error| {
        MetricTrouble::Failed(if is_wrapped(rollout, check) {
            format!("rendering query failed: {error}")
        } else {
            error.to_string()
        })
    })?;
    prometheus_request(url, &text).map_err(setup)
}

/// The value of a check: percent, whole milliseconds (as many as fit a Go duration at most), or whatever an inline
/// query yields.
pub fn builtin_value(
    rollout: &Rollout,
    check: Check,
    answer: Result<Response, SendError>,
) -> Result<f64, MetricTrouble> {
    let value = value(&prometheus::Prometheus, answer).map_err(|trouble| match trouble {
        trouble if !is_wrapped(rollout, check) => trouble,
        MetricTrouble::NoValues(_) => MetricTrouble::NoValues(running_failed(&trouble)),
        trouble => MetricTrouble::Failed(running_failed(&trouble)),
    })?;
    if check != Check::Duration {
        return Ok(value);
    }
    let unit = if observer(rollout).duration_in_seconds() { 1000.0 } else { 1.0 };
    Ok((value * unit).trunc().clamp(-LONGEST_MILLISECONDS, LONGEST_MILLISECONDS))
}

/// The request of a check by MetricTemplate. `credentials`: the keys of its Secret, if it names one.
///
/// Errors (`Setup`, with the whole text of the event): a source that cannot be asked, a query that cannot be rendered.
pub fn template_request(
    rollout: &Rollout,
    metric: &CanaryMetric,
    template: &MetricTemplate,
    credentials: Option<&BTreeMap<String, Secret>>,
    revision: Option<&str>,
) -> Result<Request, MetricTrouble> {
    let name = full_name(template);
    let provider = &template.spec.provider;
    let bad_provider =
        |error| MetricTrouble::Setup(format!("Metric template {name} provider {} error: {error}", provider.kind));
    let source = source(&provider.kind).map_err(bad_provider)?;
    let query = Query { provider, credentials, text: "", interval: api::derived::metric_interval(metric) };
    let text = match render(&template.spec.query, rollout, metric, revision, false) {
        Ok(text) => text,
        Err(error) => {
            // A source that is described badly is told first.
            source.probe(&query).map_err(bad_provider)?;
            return Err(MetricTrouble::Setup(format!("Metric template {name} query render error: {error}")));
        }
    };
    source.request(&Query { text: &text, ..query }).map_err(bad_provider)
}

/// The value of a check by MetricTemplate.
pub fn template_value(template: &MetricTemplate, answer: Result<Response, SendError>) -> Result<f64, MetricTrouble> {
    value(source(&template.spec.provider.kind).map_err(MetricTrouble::Failed)?, answer)
}

/// The MetricTemplate of a metric cannot be read.
pub fn template_missing(rollout: &Rollout, metric: &CanaryMetric, error: &str) -> MetricTrouble {
    let (name, namespace) = template_of(rollout, metric).unwrap_or_default();
    MetricTrouble::Setup(format!("Metric template {name}.{namespace} error: {error}"))
}

/// The Secret of a MetricTemplate cannot be read.
pub fn secret_unreadable(
    rollout: &Rollout,
    metric: &CanaryMetric,
    template: &MetricTemplate,
    error: &str,
) -> MetricTrouble {
    let (name, namespace) = template_of(rollout, metric).unwrap_or_default();
    let secret =
        template.spec.provider.secret_ref.as_ref().map(|reference| reference.name.as_str()).unwrap_or_default();
    MetricTrouble::Setup(format!("Metric template {name}.{namespace} secret {secret} error: {error}"))
}

/// What must answer before the first analysis, in the order in which it is asked. Sources of inline queries are not
/// asked, nor is the template of a metric with a built-in name.
pub fn probes(rollout: &Rollout) -> Vec<Probe> {
    let probe = |metric: &CanaryMetric| match metric.name.as_str() {
        SUCCESS_RATE | DURATION => Some(Probe::Prometheus { url: metrics_server(rollout).to_owned() }),
        _ => template_of(rollout, metric).map(|(name, namespace)| Probe::Template { name, namespace }),
    };
    rollout.analysis.metrics.iter().filter_map(probe).collect()
}

/// The request that finds out whether a Prometheus is there.
pub fn prometheus_probe(url: &str) -> Result<Request, String> {
    let provider = prometheus_at(url);
    let probe = prometheus::Prometheus.probe(&Query { provider: &provider, credentials: None, text: "", interval: "" });
    probe.map_err(|error| format!("error building Prometheus client for {} {error}", masked(url)))
}

/// What the answer to it says.
pub fn prometheus_online(answer: Result<Response, SendError>) -> Result<(), String> {
    online(&prometheus::Prometheus, answer).map_err(|error| format!("prometheus not avaiable: {error}"))
}

/// The request that finds out whether the source of a MetricTemplate is there.
pub fn template_probe(
    template: &MetricTemplate,
    credentials: Option<&BTreeMap<String, Secret>>,
) -> Result<Request, String> {
    let provider = &template.spec.provider;
    let query = Query { provider, credentials, text: "", interval: PROBE_INTERVAL };
    let probe = source(&provider.kind).and_then(|source| source.probe(&query));
    probe.map_err(|error| format!("metric template {} provider {} error: {error}", full_name(template), provider.kind))
}

/// What the answer to it says.
pub fn template_online(template: &MetricTemplate, answer: Result<Response, SendError>) -> Result<(), String> {
    let kind = &template.spec.provider.kind;
    let online = source(kind).and_then(|source| online(source, answer));
    online.map_err(|error| format!("{kind} in metric template {} not avaiable: {error}", full_name(template)))
}

/// The value as the gauge `flagger_canary_metric_analysis` shows it: durations in seconds.
pub fn gauge_value(check: Check, value: f64) -> f64 {
    if check == Check::Duration { value / 1000.0 } else { value }
}

/// The source of a kind. What nobody knows, which only an old CRD lets through, is taken for Prometheus.
fn source(kind: &str) -> Result<&'static dyn Source, String> {
    if NOT_YET.contains(&kind) {
        return Err(format!("provider type {kind} is not supported by this version yet"));
    }
    Ok(SOURCES.iter().find(|source| source.kind() == kind).copied().unwrap_or(&prometheus::Prometheus))
}

fn value(source: &dyn Source, answer: Result<Response, SendError>) -> Result<f64, MetricTrouble> {
    let response = answer.map_err(|error| MetricTrouble::Failed(source.unanswered(&error)))?;
    source.sample(&response)
}

fn online(source: &dyn Source, answer: Result<Response, SendError>) -> Result<(), String> {
    let response = answer.map_err(|error| format!("running query failed: {}", source.unanswered(&error)))?;
    source.is_online(&response)
}

/// The trouble of a query that had no result.
fn no_values() -> MetricTrouble {
    MetricTrouble::NoValues("no values found".to_owned())
}

fn running_failed(trouble: &MetricTrouble) -> String {
    let (MetricTrouble::NoValues(text) | MetricTrouble::Failed(text) | MetricTrouble::Setup(text)) = trouble;
    format!("running query failed: {text}")
}

/// Whether errors of a check say which step failed.
fn is_wrapped(rollout: &Rollout, check: Check) -> bool {
    match check {
        Check::SuccessRate => !observer(rollout).bare_success_rate_errors(),
        Check::Duration => true,
        Check::Inline | Check::Template => false,
    }
}

/// The Prometheus of built-in and inline queries.
fn metrics_server(rollout: &Rollout) -> &str {
    rollout.metrics_server.as_deref().unwrap_or(&rollout.settings.metrics_server)
}

fn prometheus_at(url: &str) -> MetricTemplateProvider {
    MetricTemplateProvider {
        kind: "prometheus".to_owned(),
        address: Some(url.to_owned()),
        ..MetricTemplateProvider::default()
    }
}

fn prometheus_request(url: &str, text: &str) -> Result<Request, String> {
    let provider = prometheus_at(url);
    prometheus::Prometheus.request(&Query { provider: &provider, credentials: None, text, interval: "" })
}

/// Name and namespace of the MetricTemplate that a metric names.
fn template_of(rollout: &Rollout, metric: &CanaryMetric) -> Option<(String, String)> {
    let reference = metric.template_ref.as_ref()?;
    Some((reference.name.clone(), reference.namespace_or(&rollout.namespace).to_owned()))
}

fn full_name(template: &MetricTemplate) -> String {
    format!("{}.{}", template.metadata.name, template.metadata.namespace)
}
