//! Everything that is no API server: Prometheus, hooks, receivers of events and alerts. Nothing leaves this process; answers are made up as told.

use super::role::{self, Role};
use super::tape::{Tape, What};
use super::watch::Watch;
use api::HookType;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lab::Lab;
use objects::paths::text;
use providers::http::{Request, Response, SendError};
use runtime::outbound::Outbound;
use serde_json::{Value, json};
use std::sync::Arc;

/// Where events are posted to by Canaries without event hooks. A name that can exist nowhere.
pub(super) const EVENTS: &str = "http://events.rehearsal.invalid/";

/// See the module.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) lab: Lab,
    pub(super) roles: Vec<Arc<Role>>,
    pub(super) tape: Arc<Tape>,
    pub(super) watch: Arc<Watch>,
}

fn response(status: u16, body: String) -> Response {
    Response { status, retry_after: None, body: body.into_bytes(), truncated: false }
}

/// The answer of Prometheus with one series, or with none.
fn prometheus(value: Option<f64>) -> Response {
    let result: Vec<Value> =
        value.map(|value| json!({"metric": {}, "value": [0, value.to_string()]})).into_iter().collect();
    response(200, json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string())
}

impl Net {
    fn answer(&self, request: &Request) -> Response {
        let url = request.url.reveal();
        let body: Value =
            request.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let of_canary = format!("{}.{}", text(&body, "/name"), text(&body, "/namespace"));
        if url == EVENTS {
            self.event(&of_canary, &body);
            return response(200, String::new());
        }
        if let Some(index) = role::mark_of(url) {
            return self.hook(&of_canary, index, &body);
        }
        if let Some(response) = self.metric(request) {
            return response;
        }
        if request.body.is_some() {
            self.alert(url, &body);
            return response(200, "ok".to_owned());
        }
        // The one other thing that is asked: whether a Prometheus is there.
        let address = role::bare(url);
        let address = address.split_once("/api/v1/").map_or(address.as_str(), |(address, _)| address).to_owned();
        self.tape.put_once("", What::Probe { address });
        prometheus(Some(1.0))
    }

    /// A metric's value. Where several metrics or Canaries ask the same, it is the turn of the one that was asked least.
    fn metric(&self, request: &Request) -> Option<Response> {
        let candidates =
            self.roles.iter().flat_map(|role| role.may_ask(request).into_iter().map(move |one| (role, one)));
        let (role, (index, _)) = candidates.min_by_key(|(_, (_, asked))| *asked)?;
        let (question, value, passed) = role.measured(index, self.tape.elapsed())?;
        self.tape.put(&role.full_name, What::Metric { name: question.metric.clone(), value, passed });
        Some(prometheus(value.map(|value| question.on_the_wire(value))))
    }

    fn event(&self, canary: &str, body: &Value) {
        let message = role::without_marks(text(body, "/metadata/eventMessage"));
        self.tape.put(canary, What::Event { r#type: text(body, "/metadata/eventType").to_owned(), message });
    }

    fn hook(&self, canary: &str, index: usize, body: &Value) -> Response {
        let role = self.roles.iter().find(|role| role.full_name == canary);
        let Some((role, (hook, status))) = role.and_then(|role| Some((role, role.called(index, self.tape.elapsed())?)))
        else {
            return response(404, "the rehearsal does not know this hook".to_owned());
        };
        let first = role.hooks.iter().position(|hook| hook.r#type == HookType::Event);
        if hook.r#type == HookType::Event && first == Some(index) {
            self.event(canary, body);
        }
        let (name, r#type, url) = (hook.name.clone(), hook.r#type.as_str().to_owned(), hook.url.clone());
        self.tape.put(canary, What::Hook { name, r#type, url, status });
        response(
            status,
            if status < 300 { String::new() } else { format!("status {status}, as told for this rehearsal") },
        )
    }

    /// An alert of any form: the receiver is told by name, since its address may be a secret as a whole.
    fn alert(&self, url: &str, body: &Value) {
        let receivers = self.lab.list("alertproviders.flagger.app", "");
        let known = receivers.iter().find(|one| self.address(one).is_some_and(|address| address == url));
        let receiver = known.map_or_else(
            || "an alert provider".to_owned(),
            |one| format!("{} ({})", text(one, "/metadata/name"), text(one, "/spec/type")),
        );
        let words = [
            "/attachments/0/text",
            "/text",
            "/content",
            "/sections/0/text",
            "/cards/0/sections/0/widgets/0/textParagraph/text",
            "/message",
        ];
        let message = words.into_iter().map(|pointer| text(body, pointer)).find(|text| !text.is_empty());
        let message = role::without_marks(message.unwrap_or_default());
        self.tape.put("", What::Alert { receiver, message });
    }

    /// Where an AlertProvider sends to: its own address, or that in its Secret.
    fn address(&self, provider: &Value) -> Option<String> {
        let (secret, namespace) = (text(provider, "/spec/secretRef/name"), text(provider, "/metadata/namespace"));
        let secret = self.lab.get("secrets", namespace, secret);
        let hidden = secret.and_then(|secret| BASE64.decode(text(&secret, "/data/address")).ok());
        let hidden = hidden.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|address| !address.is_empty());
        hidden.map(|address| address.trim_end().to_owned()).or_else(|| Some(text(provider, "/spec/address").to_owned()))
    }
}

#[async_trait]
impl Outbound for Net {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        // What happened before this request is put down before it.
        self.watch.look(&self.lab, &self.tape);
        Ok(self.answer(&request))
    }
}
