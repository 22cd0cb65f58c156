//! Prometheus, hooks and receivers of the soak: they answer from what the cluster says, and keep nothing.
//!
//! A target whose image is called bad has bad metrics. Everything may hang or fail for a while.

use async_trait::async_trait;
use lab::Lab;
use lab::faults::Faults;
use providers::http::{Request, Response, SendError};
use runtime::outbound::Outbound;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What is wrong with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    MetricsHang,
    MetricsFail,
    HooksHang,
    HooksFail,
    ReceiversHang,
}

#[derive(Debug, Default)]
struct State {
    /// Hooks that say no, or, of type `rollback`, yes.
    held: HashSet<String>,
    trouble: Option<(Trouble, Instant)>,
    /// How often what was answered.
    counts: BTreeMap<&'static str, usize>,
}

/// See the module.
#[derive(Debug)]
pub struct Net {
    pub lab: Lab,
    state: Mutex<State>,
}

impl Net {
    pub fn new(lab: Lab) -> Self {
        Self { lab, state: Mutex::default() }
    }

    /// Turns the hook of that name over: a gate is closed, a rollback asked for, or what was turned before is given back.
    pub fn turn(&self, hook: &str) {
        let mut state = self.state.lock().unwrap();
        if !state.held.remove(hook) {
            state.held.insert(hook.to_owned());
        }
    }

    pub fn trouble(&self, trouble: Trouble, time: Duration) {
        self.state.lock().unwrap().trouble = Some((trouble, Instant::now() + time));
    }

    /// All gates are open, nobody wants to roll back, everybody answers.
    pub fn calm(&self) {
        let mut state = self.state.lock().unwrap();
        state.held.clear();
        state.trouble = None;
    }

    pub fn take_counts(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut self.state.lock().unwrap().counts)
    }

    /// The answer; none: it hangs.
    fn answer(&self, url: &str) -> Option<Result<Response, SendError>> {
        let metrics = url.contains("/api/v1/query");
        let hook = url.strip_prefix("http://hooks/");
        let mut state = self.state.lock().unwrap();
        let trouble = state.trouble.filter(|(_, until)| *until > Instant::now()).map(|(trouble, _)| trouble);
        let text = |status: u16, body: &str| {
            Some(Ok(Response { status, retry_after: None, body: body.as_bytes().to_vec(), truncated: false }))
        };
        let (what, answer) = match (trouble, hook) {
            (Some(Trouble::MetricsHang), _) if metrics => ("metrics hang", None),
            (Some(Trouble::HooksHang), Some(_)) => ("hooks hang", None),
            (Some(Trouble::ReceiversHang), None) if !metrics => ("receivers hang", None),
            (Some(Trouble::MetricsFail), _) if metrics => ("metrics fail", text(500, "")),
            (Some(Trouble::HooksFail), Some(_)) => {
                ("hooks fail", Some(Err(SendError { message: "connection refused".to_owned(), retriable: true })))
            }
            (_, Some(name)) => {
                let yes = state.held.contains(name) == name.ends_with("/rollback");
                ("hooks", text(if yes { 200 } else { 403 }, ""))
            }
            _ if metrics => ("metrics", text(200, &self.measure(url))),
            _ => ("notifications", text(200, "")),
        };
        *state.counts.entry(what).or_default() += 1;
        answer
    }

    fn measure(&self, url: &str) -> String {
        let name = url.find("app-").and_then(|at| url.get(at..at + 7)).unwrap_or_default();
        let namespace = url.find("shop-").and_then(|at| url.get(at..at + 6)).unwrap_or_default();
        let target = self.lab.get("deploy", namespace, name);
        let image = target.map(|target| target["spec"]["template"]["spec"]["containers"][0]["image"].to_string());
        let bad = image.is_some_and(|image| image.contains("bad"));
        let value = if bad { "10" } else { "100" };
        json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, value]}]}})
            .to_string()
    }
}

/// The network as one process sees it: nothing it says after its death is heard.
#[derive(Debug)]
pub struct Line {
    pub net: Arc<Net>,
    pub faults: Faults,
}

#[async_trait]
impl Outbound for Line {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        if !self.faults.is_dead()
            && let Some(answer) = self.net.answer(request.url.reveal())
        {
            return answer;
        }
        tokio::time::sleep(request.timeout).await;
        Err(SendError { message: "context deadline exceeded".to_owned(), retriable: !self.faults.is_dead() })
    }
}
