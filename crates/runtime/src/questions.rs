//! Asking what a decision wants to know: hooks, metrics, whether metric servers are there.

use crate::keeper::Keeper;
use crate::notify::{call_hook, secret_data};
use crate::view::View;
use api::{CanaryMetric, MetricTemplate};
use objects::kind::{METRIC_TEMPLATE, SECRET};
use providers::hooks;
use providers::http::{Request, Response, Secret, SendError};
use providers::metrics::{self, Probe};
use rollout::{Answer, Check, MetricTrouble, Payload, Question};
use serde::Deserialize as _;
use std::collections::BTreeMap;
use tracing::debug;

impl Keeper {
    /// Finds one fact out.
    pub(crate) async fn answer(&self, view: &View, question: &Question) -> Answer {
        match question {
            Question::Hook { index, payload } => Answer::Hook(self.hook(view, *index, payload).await),
            Question::Metric { index, check } => match view.rollout.analysis.metrics.get(*index) {
                Some(metric) => Answer::Metric(self.metric(view, metric, *check).await),
                None => Answer::Metric(Err(MetricTrouble::Failed(format!("there is no metric {index}")))),
            },
            Question::Providers => Answer::Providers(self.providers(view).await),
        }
    }

    async fn hook(&self, view: &View, index: usize, payload: &Payload) -> Result<(), String> {
        let hook = view.rollout.analysis.webhooks.get(index).ok_or_else(|| format!("there is no hook {index}"))?;
        let request = hooks::request(&view.rollout, hook, payload)?;
        let outcome = call_hook(self.outbound.as_ref(), None, hook, request).await;
        self.telemetry.requested("hook", outcome.is_ok());
        outcome
    }

    async fn metric(&self, view: &View, metric: &CanaryMetric, check: Check) -> Result<f64, MetricTrouble> {
        let rollout = &view.rollout;
        let value = if check == Check::Template {
            let reference = metric.template_ref.clone().unwrap_or_default();
            let namespace = reference.namespace_or(&rollout.namespace).to_owned();
            let template = self
                .template(&namespace, &reference.name)
                .map_err(|error| metrics::template_missing(rollout, metric, &error))?;
            let credentials = self
                .credentials(&namespace, &template)
                .await
                .map_err(|error| metrics::secret_unreadable(rollout, metric, &template, &error))?;
            let request = metrics::template_request(rollout, metric, &template, credentials.as_ref(), None)?;
            metrics::template_value(&template, self.query(request).await)
        } else {
            let request = metrics::builtin(rollout, metric, check, None)?;
            metrics::builtin_value(rollout, check, self.query(request).await)
        }?;
        // Series of a Canary that is gone would stay.
        if self.is_alive(view) {
            self.telemetry.metric(rollout, &metric.name, metrics::gauge_value(check, value));
        }
        Ok(value)
    }

    async fn query(&self, request: Request) -> Result<Response, SendError> {
        let answer = self.outbound.send(request).await;
        self.telemetry.requested("metric", answer.is_ok());
        answer
    }

    fn template(&self, namespace: &str, name: &str) -> Result<MetricTemplate, String> {
        let found = self.world.state().find(&METRIC_TEMPLATE, namespace, name);
        let object = found.ok_or_else(|| METRIC_TEMPLATE.object(namespace, name).not_found())?;
        MetricTemplate::deserialize(&*object).map_err(|error| error.to_string())
    }

    async fn credentials(
        &self,
        namespace: &str,
        template: &MetricTemplate,
    ) -> Result<Option<BTreeMap<String, Secret>>, String> {
        let Some(reference) = &template.spec.provider.secret_ref else { return Ok(None) };
        self.telemetry.read();
        let secret = self
            .clusters
            .main
            .get(&SECRET.object(namespace, &reference.name))
            .await
            .map_err(|error| error.to_string())?;
        Ok(Some(secret_data(&secret)))
    }

    /// Whether every metric could be asked for; the first that could not is told.
    async fn providers(&self, view: &View) -> Result<(), String> {
        for probe in metrics::probes(&view.rollout) {
            match probe {
                Probe::Prometheus { url } => {
                    let request = metrics::prometheus_probe(&url)?;
                    metrics::prometheus_online(self.query(request).await)?;
                }
                Probe::Template { name, namespace } => self.probe_template(&namespace, &name).await?,
            }
        }
        debug!(canary = view.rollout.full_name(), "All metric providers are there");
        Ok(())
    }

    async fn probe_template(&self, namespace: &str, name: &str) -> Result<(), String> {
        let template = self
            .template(namespace, name)
            .map_err(|error| format!("metric template {name}.{namespace} error: {error}"))?;
        let credentials = self.credentials(namespace, &template).await.map_err(|error| {
            let secret =
                template.spec.provider.secret_ref.as_ref().map(|reference| reference.name.clone()).unwrap_or_default();
            format!("metric template {name}.{namespace} secret {secret} error: {error}")
        })?;
        let request = metrics::template_probe(&template, credentials.as_ref())?;
        metrics::template_online(&template, self.query(request).await)
    }
}
