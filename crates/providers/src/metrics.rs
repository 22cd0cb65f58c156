//! Sources of metrics: the request that asks for a value, and the value that an answer holds.

pub mod prometheus;

use crate::http::{Request, Response, Secret, SendError};
use api::{CanaryMetric, MetricTemplate, MetricTemplateProvider, Rollout};
use rollout::{Check, MetricTrouble};
use std::collections::BTreeMap;
use std::fmt::Debug;

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

const LATER: &str = "not built yet";

/// The request of a check against the Prometheus of the built-in queries.
pub fn builtin(rollout: &Rollout, metric: &CanaryMetric, check: Check, revision: Option<&str>) -> Result<Request, MetricTrouble> {
    let _ = (rollout, metric, check, revision);
    Err(MetricTrouble::Failed(LATER.to_owned()))
}

/// The value of a check: percent, milliseconds, or whatever an inline query yields.
pub fn builtin_value(rollout: &Rollout, check: Check, answer: Result<Response, SendError>) -> Result<f64, MetricTrouble> {
    let _ = (rollout, check, answer);
    Err(MetricTrouble::Failed(LATER.to_owned()))
}

/// The request of a check by MetricTemplate.
pub fn template_request(
    rollout: &Rollout,
    metric: &CanaryMetric,
    template: &MetricTemplate,
    credentials: Option<&BTreeMap<String, Secret>>,
    revision: Option<&str>,
) -> Result<Request, MetricTrouble> {
    let _ = (rollout, metric, template, credentials, revision);
    Err(MetricTrouble::Failed(LATER.to_owned()))
}

/// The value of a check by MetricTemplate.
pub fn template_value(template: &MetricTemplate, answer: Result<Response, SendError>) -> Result<f64, MetricTrouble> {
    let _ = (template, answer);
    Err(MetricTrouble::Failed(LATER.to_owned()))
}

/// The MetricTemplate of a metric cannot be read.
pub fn template_missing(rollout: &Rollout, metric: &CanaryMetric, error: &str) -> MetricTrouble {
    let _ = (rollout, metric);
    MetricTrouble::Setup(error.to_owned())
}

/// The Secret of a MetricTemplate cannot be read.
pub fn secret_unreadable(rollout: &Rollout, metric: &CanaryMetric, template: &MetricTemplate, error: &str) -> MetricTrouble {
    let _ = (rollout, metric, template);
    MetricTrouble::Setup(error.to_owned())
}

/// What must answer, in the order in which it is asked.
pub fn probes(rollout: &Rollout) -> Vec<Probe> {
    let _ = rollout;
    Vec::new()
}

/// The request that finds out whether a Prometheus is there.
pub fn prometheus_probe(url: &str) -> Result<Request, String> {
    let _ = url;
    Err(LATER.to_owned())
}

/// What the answer to it says.
pub fn prometheus_online(answer: Result<Response, SendError>) -> Result<(), String> {
    let _ = answer;
    Err(LATER.to_owned())
}

/// The request that finds out whether the source of a MetricTemplate is there.
pub fn template_probe(template: &MetricTemplate, credentials: Option<&BTreeMap<String, Secret>>) -> Result<Request, String> {
    let _ = (template, credentials);
    Err(LATER.to_owned())
}

/// What the answer to it says.
pub fn template_online(template: &MetricTemplate, answer: Result<Response, SendError>) -> Result<(), String> {
    let _ = (template, answer);
    Err(LATER.to_owned())
}

/// The value as the gauge `flagger_canary_metric_analysis` shows it: durations in seconds.
pub fn gauge_value(check: Check, value: f64) -> f64 {
    if check == Check::Duration { value / 1000.0 } else { value }
}
