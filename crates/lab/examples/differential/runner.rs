//! Sends the requests of a scenario to a server, real or lab, and collects its masked answers.

use crate::masks::Masks;
use crate::scenario::{Answer, Scenario, Step, Until};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest wait for what a step waits for. On the lab this is simulated time.
const PATIENCE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(100);

/// Runs a scenario in a new namespace of that name. The answers stand in the order of the steps; if one cannot go on, it ends with an answer of status 0
/// that says why.
pub async fn run(client: &Client, scenario: &Scenario, namespace: &str) -> Vec<Answer> {
    let mut run = Run { client, variables: variables(namespace), masks: Masks::new(&scenario.replace, namespace) };
    let mut answers = Vec::new();
    let begin = Step { send: "POST /api/v1/namespaces".to_owned(), ..Step::default() };
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    if let Err(why) = run.step(&Step { body: Some(body), ..begin.clone() }).await {
        answers.push(broken(&begin, &why));
        return answers;
    }
    for step in &scenario.steps {
        match run.step(step).await {
            Ok(answer) => answers.push(answer),
            Err(why) => {
                answers.push(broken(step, &why));
                break;
            }
        }
    }
    answers
}

fn broken(step: &Step, why: &str) -> Answer {
    Answer { to: step.send.clone(), status: 0, media: None, warnings: Vec::new(), body: json!(why) }
}

fn variables(namespace: &str) -> BTreeMap<String, String> {
    let home = |api: &str| format!("{api}/namespaces/{namespace}");
    let table = [
        ("NS", namespace.to_owned()),
        ("core", home("/api/v1")),
        ("apps", home("/apis/apps/v1")),
        ("flagger", home("/apis/flagger.app/v1beta1")),
        ("hpa", home("/apis/autoscaling/v2")),
        ("net", home("/apis/networking.k8s.io/v1")),
        ("crds", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned()),
    ];
    table.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

struct Run<'a> {
    client: &'a Client,
    variables: BTreeMap<String, String>,
    masks: Masks,
}

/// An answer as it came.
struct Raw {
    status: u16,
    media: String,
    warnings: Vec<String>,
    body: Value,
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Result<Answer, String> {
        let start = tokio::time::Instant::now();
        let raw = loop {
            let raw = self.send(&step.send, step.body.as_ref(), &step.headers).await?;
            if step.until.as_ref().is_none_or(|until| holds(until, &raw)) {
                break raw;
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("waited in vain, the last answer is {} {}", raw.status, raw.body));
            }
            tokio::time::sleep(PAUSE).await;
        };
        for (name, pointer) in &step.keep {
            let value = raw.body.pointer(pointer).and_then(Value::as_str);
            let value = value.ok_or_else(|| format!("no text at {pointer} to keep: {} {}", raw.status, raw.body))?;
            self.variables.insert(name.clone(), value.to_owned());
        }
        let mut body = raw.body;
        Masks::hide(&mut body, step.mask.keys());
        let warnings = raw.warnings.iter().map(|text| self.masks.text(text)).collect();
        Ok(Answer {
            to: step.send.clone(),
            status: raw.status,
            media: Some(raw.media).filter(|media| media != "application/json"),
            warnings,
            body: self.masks.body(body),
        })
    }

    async fn send(&self, what: &str, body: Option<&Value>, headers: &BTreeMap<String, String>) -> Result<Raw, String> {
        let request = self.request(what, body, headers)?;
        let exchange = async { collect(self.client.send(request).await.map_err(|why| why.to_string())?).await };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| Err("no answer, or a watch without end".to_owned()))
    }

    fn request(
        &self,
        what: &str,
        body: Option<&Value>,
        headers: &BTreeMap<String, String>,
    ) -> Result<Request<Body>, String> {
        let (method, path) = what.split_once(' ').ok_or("no METHOD PATH")?;
        let (method, media) = match method {
            "MERGE" => ("PATCH", "application/merge-patch+json"),
            "JSON" => ("PATCH", "application/json-patch+json"),
            "STRATEGIC" => ("PATCH", "application/strategic-merge-patch+json"),
            "APPLY" => ("PATCH", "application/apply-patch+yaml"),
            other => (other, "application/json"),
        };
        let text = match body {
            None => String::new(),
            Some(Value::String(text)) => self.fill(text)?,
            Some(json) => self.fill(&json.to_string())?,
        };
        let mut all = BTreeMap::from([("user-agent".to_owned(), "differ/1.0".to_owned())]);
        if body.is_some() {
            all.insert("content-type".to_owned(), media.to_owned());
        }
        all.extend(headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())));
        let method = Method::from_bytes(method.as_bytes()).map_err(|why| why.to_string())?;
        let mut request = Request::builder().method(method).uri(self.fill(path)?);
        for (name, value) in &all {
            request = request.header(name, value);
        }
        request.body(Body::from(text.into_bytes())).map_err(|why| why.to_string())
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for (name, value) in &self.variables {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        if text.contains("${") { Err(format!("an unknown variable in {text}")) } else { Ok(text) }
    }
}

async fn collect(response: Response<Body>) -> Result<Raw, String> {
    let status = response.status().as_u16();
    let texts = |name: &str| {
        let values = response.headers().get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect::<Vec<_>>()
    };
    let media = texts("content-type").join(", ");
    let warnings = texts("warning");
    let bytes = response.into_body().collect().await.map_err(|why| why.to_string())?.to_bytes();
    Ok(Raw { status, media, warnings, body: read(&String::from_utf8_lossy(&bytes)) })
}

/// One JSON value, a list of the JSON lines of a watch, or the text itself.
fn read(text: &str) -> Value {
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    match lines.as_deref() {
        Ok([one]) if one.get("object").is_none() => one.clone(),
        Ok(events) => json!(events),
        Err(_) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}

fn holds(until: &Until, raw: &Raw) -> bool {
    match until {
        Until::Status(status) => raw.status == *status,
        Until::Values(values) => {
            values.iter().all(|(pointer, wanted)| raw.body.pointer(pointer).unwrap_or(&Value::Null) == wanted)
        }
    }
}
