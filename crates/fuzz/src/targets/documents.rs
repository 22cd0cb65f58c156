//! MetricTemplate and AlertProvider, with their Secrets, down to the request that is sent and what its answer means.
//!
//! An input is `{"template" or "provider": object, "secret": {key: text}, "canary": object, "answer": {"status", "body"}}`.

use super::{Outcome, Run, canary, law, tree, used, values_of};
use api::{AlertProvider, Canary, MetricTemplate, Rollout, Severity};
use providers::http::{Request, Response, Secret, SendError};
use providers::{alerts, metrics};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// No text that users see is longer: an event is cut at 1 KiB by the API server, a status at 1 MiB.
const LONGEST_REQUEST: usize = 8 << 20;

static TEMPLATES: &str = r#"
{metadata: {name: latency, namespace: test}, spec: {provider: {type: prometheus, address: "http://prometheus.test:9090", secretRef: {name: a}, insecureSkipVerify: true, headers: {X-Scope: [a, b]}}, query: 'histogram_quantile(0.99, sum(rate(x{ns="{{ namespace }}", d="{{ variables.direction }}"}[{{ interval }}])) by (le))'}}
---
{metadata: {name: errors, namespace: test}, spec: {provider: {type: prometheus, address: "https://user:password@prometheus.test/base?x=y"}, query: "{{ if eq name target }}1{{ else }}{{ printf \"%q\" service }}{{ end }}"}}
---
{metadata: {name: other, namespace: test}, spec: {provider: {type: datadog, address: "", region: eu, secretRef: {name: a}}, query: "avg:x{*}"}}
"#;

static PROVIDERS: &str = r#"
{metadata: {name: slack, namespace: test}, spec: {type: slack, channel: general, username: flagger, address: "https://hooks.slack.com/services/T/B/secret", proxy: "http://proxy:3128"}}
---
{metadata: {name: slack, namespace: test}, spec: {type: slack, channel: general, secretRef: {name: a}}}
---
{metadata: {name: teams, namespace: test}, spec: {type: msteams, address: "https://outlook.office.com/webhook/x"}}
---
{metadata: {name: discord, namespace: test}, spec: {type: discord, channel: "", address: "https://discord.com/api/webhooks/1/x"}}
---
{metadata: {name: rocket, namespace: test}, spec: {type: rocket, channel: general, username: a, address: "https://rocket.example.com/hooks/a"}}
---
{metadata: {name: gchat, namespace: test}, spec: {type: gchat, secretRef: {name: a}}}
"#;

fn around(key: &str, documents: &str, secret: &Value, bodies: &[&str]) -> Vec<Vec<u8>> {
    let canaries = values_of(canary::CANARIES);
    let seed = |(index, document): (usize, Value)| {
        let body = bodies.get(index % bodies.len()).copied().unwrap_or_default();
        let canary = canaries.get(index % canaries.len()).cloned().unwrap_or_default();
        let answer = json!({"status": 200, "body": body});
        json!({key: document, "secret": secret, "canary": canary, "answer": answer}).to_string().into_bytes()
    };
    values_of(documents).into_iter().enumerate().map(seed).collect()
}

pub(super) fn metric_seeds() -> Vec<Vec<u8>> {
    let secret = json!({"username": "a", "password": "b", "token": "c"});
    let value = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"100"]}]}}"#;
    around("template", TEMPLATES, &secret, &[value])
}

pub(super) fn alert_seeds() -> Vec<Vec<u8>> {
    let secret = json!({"address": "https://hooks.slack.com/services/T/B/secret", "token": "xoxb-1"});
    around("provider", PROVIDERS, &secret, &["ok", r#"{"ok":true}"#, r#"{"ok":false,"error":"invalid_auth"}"#])
}

struct Parts {
    tree: Value,
    secret: BTreeMap<String, Secret>,
    rollout: Rollout,
    answers: Vec<Result<Response, SendError>>,
}

fn parts(input: &[u8]) -> Option<Parts> {
    let mut tree = tree(input)?;
    let canary = api::decode::<Canary>(tree.get_mut("canary")?.take()).ok()?;
    let [settings, ..] = canary::settings();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let secret = tree.get("secret").and_then(Value::as_object);
    let secret = secret.into_iter().flatten().map(|(key, value)| (key.clone(), Secret::new(text(value)))).collect();
    let answer = tree.get("answer").unwrap_or(&Value::Null);
    let status = answer.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    let body = text(answer.get("body").unwrap_or(&Value::Null)).into_bytes();
    let response = Response { status: status.unwrap_or(500), retry_after: None, body, truncated: false };
    let broken = SendError { message: "connection refused".to_owned(), retriable: true };
    Some(Parts {
        rollout: Rollout::resolve(&canary, &settings),
        secret,
        answers: vec![Ok(response), Err(broken)],
        tree,
    })
}

pub(super) fn metric(input: &[u8]) -> Run {
    let Some(mut parts) = parts(input) else { return Ok(Outcome::Refused) };
    let template = parts.tree.get_mut("template").map(Value::take).unwrap_or_default();
    let Ok(template) = api::decode::<MetricTemplate>(template) else { return Ok(Outcome::Refused) };
    let rollout = &parts.rollout;
    let mut of_none = api::CanaryMetric::default();
    of_none.template_variables.insert("direction".to_owned(), "inbound".to_owned());
    for metric in rollout.analysis.metrics.iter().chain([&of_none]) {
        for secret in [None, Some(&parts.secret)] {
            sane(metrics::template_request(rollout, metric, &template, secret, Some("rev")).ok())?;
        }
        for check in super::outside::CHECKS {
            sane(metrics::builtin(rollout, metric, check, None).ok())?;
        }
        used(metrics::template_missing(rollout, metric, "gone"));
        used(metrics::secret_unreadable(rollout, metric, &template, "gone"));
    }
    for secret in [None, Some(&parts.secret)] {
        sane(metrics::template_probe(&template, secret).ok())?;
    }
    for answer in parts.answers {
        used(metrics::template_value(&template, answer.clone()));
        used(metrics::template_online(&template, answer));
    }
    Ok(Outcome::Read)
}

/// What is sent has a size that fits a request.
fn sane(request: Option<Request>) -> Result<(), String> {
    let length = request.map_or(0, |request| request.url.reveal().len() + request.body.map_or(0, |body| body.len()));
    law(length < LONGEST_REQUEST, || format!("a request of {length} bytes"))
}

pub(super) fn alert(input: &[u8]) -> Run {
    let Some(mut parts) = parts(input) else { return Ok(Outcome::Refused) };
    let provider = parts.tree.get_mut("provider").map(Value::take).unwrap_or_default();
    let Ok(provider) = api::decode::<AlertProvider>(provider) else { return Ok(Outcome::Refused) };
    let message = alerts::Message {
        canary: parts.rollout.name.clone(),
        namespace: parts.rollout.namespace.clone(),
        text: "New revision detected".to_owned(),
        fields: alerts::fields(&parts.rollout, true),
        severity: Severity::Error,
    };
    for secret in [None, Some(&parts.secret)] {
        let Ok(channel) = alerts::channel(&provider, secret) else { continue };
        let hidden = channel.address.reveal();
        law(hidden.len() < 20 || !format!("{channel:?}").contains(hidden), || "Debug shows the address".to_owned())?;
        used(alerts::announcement(&channel));
        sane(alerts::post(&channel, &message).ok().flatten())?;
        for answer in &parts.answers {
            used(alerts::outcome(&channel, answer.clone()));
        }
    }
    Ok(Outcome::Read)
}
