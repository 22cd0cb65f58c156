//! What comes back from outside: answers of Prometheus and of hooks; and the addresses at which they are.

use super::{Outcome, Run, inputs, law, used};
use api::{AlertProvider, Canary, CanaryWebhook, Phase, Rollout};
use providers::http::{Response, SendError};
use providers::{alerts, hooks, metrics};
use rollout::{Check, Payload};
use serde_json::json;

/// Everything that an entry of `analysis.metrics` may stand for.
pub(super) const CHECKS: [Check; 4] = [Check::SuccessRate, Check::Duration, Check::Inline, Check::Template];

fn rollout() -> Rollout {
    let [settings, ..] = super::canary::settings();
    let mut canary = Canary::default();
    (canary.metadata.name, canary.metadata.namespace) = ("podinfo".to_owned(), "test".to_owned());
    Rollout::resolve(&canary, &settings)
}

fn response(status: u16, retry_after: Option<&str>, body: &[u8]) -> Response {
    Response { status, retry_after: retry_after.map(str::to_owned), body: body.to_vec(), truncated: false }
}

pub(super) fn prometheus_seeds() -> Vec<Vec<u8>> {
    inputs([
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1435781451.781,"99.5"]},{"metric":{},"value":[1,"100"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["a"]}"#,
        r#"{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"1"]}}"#,
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2,"NaN"]]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}"#,
        r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"+Inf"],"histogram":[1,{"count":"1"}]}]}}"#,
    ])
}

pub(super) fn prometheus(input: &[u8]) -> Run {
    let rollout = rollout();
    for status in [200, 400, 503] {
        let answer = || Ok(response(status, None, input));
        for check in CHECKS {
            if let Ok(value) = metrics::builtin_value(&rollout, check, answer()) {
                law(status == 200 || input.is_empty(), || format!("the value {value} of an answer with {status}"))?;
                used((api::number::shortest(value), api::number::two_decimals(value)));
                used(metrics::gauge_value(check, value));
            }
        }
        used(metrics::prometheus_online(answer()));
        used(response(status, None, input).shown());
    }
    Ok(Outcome::Read)
}

/// The first line is the status, the second `Retry-After`, the rest the body.
pub(super) fn hook_seeds() -> Vec<Vec<u8>> {
    inputs([
        "200\n\nok",
        "503\n30\nnot now",
        "429\nWed, 21 Oct 2026 07:28:00 GMT\n",
        "404\n\n404 page not found\n",
        "202\n0\n{\"a\": 1}",
    ])
}

pub(super) fn hook(input: &[u8]) -> Run {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (status, retry_after, body) = (text(), text(), text());
    let status = status.parse().unwrap_or(500);
    let hook = CanaryWebhook { url: "http://user:secret@host/x".to_owned(), retries: 3, ..CanaryWebhook::default() };
    let result = Ok(response(status, Some(&retry_after), body.as_bytes()));
    for number in [0, 2, 3, 64, u32::MAX] {
        match hooks::attempt(&hook, number, &result) {
            hooks::Attempt::Done(done) => {
                let text = done.err().unwrap_or_default();
                law(text.len() <= 8 << 10, || format!("a text of {} bytes", text.len()))?;
            }
            hooks::Attempt::Retry { after } => law(after.as_secs() <= 30, || format!("a wait of {after:?}"))?,
        }
    }
    used(response(status, None, body.as_bytes()).status_line());
    Ok(Outcome::Read)
}

pub(super) fn url_seeds() -> Vec<Vec<u8>> {
    inputs([
        "http://prometheus.monitoring:9090",
        "https://user:pa%20ss@host.example.com:8443/base/path?query=a%20b&c=d#fragment",
        "http://[2001:db8::1%25eth0]:80/",
        "https://hooks.slack.com/services/T00/B00/XXXX",
        "//host/path",
        "podinfo.test:9898",
        "http://grüße.example/世界?q=ü",
    ])
}

pub(super) fn url(input: &[u8]) -> Run {
    let text = String::from_utf8_lossy(input).into_owned();
    let rollout = rollout();
    let payload = Payload { phase: Phase::Progressing, applied: "a".to_owned(), tracked: None };
    for timeout in [None, Some("1s"), Some(text.as_str())] {
        let hook = CanaryWebhook { url: text.clone(), timeout: timeout.map(str::to_owned), ..CanaryWebhook::default() };
        if let Ok(request) = hooks::request(&rollout, &hook, &payload) {
            law(!request.timeout.is_zero(), || "no time for an answer".to_owned())?;
        }
        let refused = SendError { message: "refused".to_owned(), retriable: true };
        used(hooks::attempt(&hook, 0, &Err(refused)));
    }
    used(metrics::prometheus_probe(&text));
    for kind in ["slack", "msteams", "discord", "rocket", "gchat"] {
        let spec = json!({"type": kind, "address": text, "proxy": text, "channel": "a"});
        let provider = json!({"metadata": {"name": "a", "namespace": "test"}, "spec": spec});
        let provider: AlertProvider = api::decode(provider).map_err(|error| error.to_string())?;
        let Ok(channel) = alerts::channel(&provider, None) else { continue };
        used(alerts::announcement(&channel));
        let message = alerts::Message {
            canary: text.clone(),
            namespace: "test".to_owned(),
            text: text.clone(),
            fields: vec![(text.clone(), text.clone())],
            severity: api::Severity::Info,
        };
        used(alerts::post(&channel, &message));
    }
    Ok(Outcome::Read)
}
