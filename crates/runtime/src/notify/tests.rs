//! Order, retries, slow receivers and the bound of the queue, against receivers that are a table.

use super::*;
use crate::cluster::Cluster;
use crate::outbound::Outbound;
use api::{Canary, CanaryStatus, HookType, Phase, Settings, Severity};
use async_trait::async_trait;
use providers::http::{Response, SendError};
use rollout::Payload;
use serde_json::json;
use tokio::time::Instant;

/// Receivers: those at `slow` take an hour, those at `broken` fail twice.
#[derive(Debug, Default)]
struct Net(Mutex<Vec<(String, Value, Instant)>>);

impl Net {
    /// Texts that arrived at a URL with this in it.
    fn texts(&self, part: &str) -> Vec<String> {
        let text = |body: &Value| {
            let text = body.pointer("/metadata/eventMessage").or(body.pointer("/attachments/0/text"));
            text.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        self.0.lock().unwrap().iter().filter(|(url, ..)| url.contains(part)).map(|(_, body, _)| text(body)).collect()
    }
}

#[async_trait]
impl Outbound for Net {
    async fn send(&self, request: Request) -> Result<Response, SendError> {
        let url = request.url.reveal().to_owned();
        let body = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).unwrap();
        let earlier = {
            let mut sent = self.0.lock().unwrap();
            let earlier = sent.iter().filter(|(other, ..)| *other == url).count();
            sent.push((url.clone(), body, Instant::now()));
            earlier
        };
        if url.contains("slow") {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        let status = if url.contains("broken") && earlier < 2 { 500 } else { 200 };
        Ok(Response { status, retry_after: None, body: Vec::new(), truncated: false })
    }
}

struct Scene {
    lab: lab::Lab,
    net: Arc<Net>,
    telemetry: Arc<Telemetry>,
    courier: Courier,
}

fn scene() -> Scene {
    let base = Timestamp::constant(1_893_456_000, 0);
    let lab =
        lab::Lab::new(lab::Options { clock: Arc::new(lab::SimulatedClock::new(base)), ..lab::Options::default() });
    lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})).unwrap();
    let (net, telemetry) = (Arc::new(Net::default()), Arc::new(Telemetry::new().unwrap()));
    let clusters = Clusters::single(Cluster::new(kube::Client::new(lab.service_as("flagger"), "default")));
    let channel = Channel {
        kind: "slack".to_owned(),
        address: Secret::new("http://chat/hook"),
        token: None,
        username: "flagger".to_owned(),
        channel: "general".to_owned(),
        proxy: None,
    };
    let receivers = Receivers { event_webhook: None, notifier: Some(channel) };
    let outbound = Arc::<Net>::clone(&net);
    let courier = Courier::new(clusters, Arc::default(), outbound, Arc::clone(&telemetry), receivers);
    Scene { lab, net, telemetry, courier }
}

impl Scene {
    /// Tells an event of a Canary whose events go to that URL.
    fn tell(&self, name: &str, url: &str, message: &str) {
        let (key, object, rollout) = cast(name, url);
        let kind = EventKind::Normal;
        let event =
            Event { kind, message: message.to_owned(), payload: Payload::of(&CanaryStatus::default(), Phase::Failed) };
        self.courier.event(&key, &object, &rollout, &event, Timestamp::constant(1_893_456_000, 0));
    }

    fn events(&self) -> Vec<String> {
        let events = self.lab.list("events", "shop");
        events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }

    fn dropped(&self, reason: &str) -> String {
        let text = String::from_utf8(self.telemetry.exposition()).unwrap();
        let line = format!("flagger_notifications_dropped_total{{reason=\"{reason}\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line)).unwrap_or("0").to_owned()
    }
}

fn cast(name: &str, url: &str) -> (Key, Arc<Value>, Rollout) {
    let object = json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 1, "iterations": 1,
                "webhooks": [{"name": "told", "type": "event", "url": url, "retries": 3}]},
        },
    });
    let canary: Canary = serde_json::from_value(object.clone()).unwrap();
    let rollout = Rollout::resolve(&canary, &Arc::new(Settings::default()));
    assert_eq!(rollout.hooks(HookType::Event).count(), 1);
    (Key::new("shop", name), Arc::new(object), rollout)
}

#[tokio::test(start_paused = true)]
async fn events_and_alerts_of_a_canary_arrive_in_order_also_after_retries() {
    let scene = scene();
    scene.tell("a", "http://broken", "one");
    let alert = Alert { severity: Severity::Info, message: "two".to_owned(), with_fields: false };
    let (key, _, rollout) = cast("a", "http://broken");
    scene.courier.alert(&key, &rollout, &alert);
    scene.tell("a", "http://broken", "three");
    let start = Instant::now();
    scene.courier.flushed().await;
    assert_eq!(scene.net.texts("broken"), ["one", "one", "one", "three"]);
    let sent = scene.net.0.lock().unwrap();
    let order: Vec<(&str, u64)> = sent.iter().map(|(url, _, at)| (url.as_str(), (*at - start).as_secs())).collect();
    assert_eq!(
        order,
        [
            ("http://broken", 0),
            ("http://broken", 1),
            ("http://broken", 3),
            ("http://chat/hook", 3),
            ("http://broken", 3)
        ]
    );
    assert_eq!(scene.dropped("event webhook"), "0");
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_holds_up_its_own_canary_only() {
    let scene = scene();
    scene.tell("a", "http://slow", "one");
    scene.tell("a", "http://slow", "two");
    scene.tell("b", "http://fast", "three");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.net.texts("slow"), ["one"]);
    assert_eq!(scene.net.texts("fast"), ["three"]);
    assert!(tokio::time::timeout(Duration::from_secs(60), scene.courier.flushed()).await.is_err());
    scene.courier.flushed().await;
    assert_eq!(scene.net.texts("slow"), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_before_a_retry_is_nobodys_turn() {
    let scene = scene();
    for at in 0..=CONCURRENCY {
        scene.tell(&format!("c{at}"), &format!("http://broken/{at}"), "x");
    }
    scene.tell("last", "http://fast", "y");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(scene.net.texts("fast"), ["y"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_and_counts() {
    let scene = scene();
    scene.tell("a", "http://slow", "first");
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Two jobs each: one for the API server, one for the receiver.
    for at in 0..LONGEST_QUEUE {
        scene.tell("a", "http://slow", &at.to_string());
    }
    assert_eq!(scene.dropped("queue full"), LONGEST_QUEUE.to_string());
    scene.tell("b", "http://fast", "another");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.net.texts("fast"), ["another"]);
}

/// An API server that cannot be reached for a while.
struct Outage(Mutex<usize>);

impl lab::Hook for Outage {
    fn before(&self, call: &lab::Call) -> lab::Intervention {
        let mut left = self.0.lock().unwrap();
        if *left == 0 || call.user_agent != "flagger" {
            return lab::Intervention::Pass;
        }
        *left -= 1;
        lab::Intervention::Disconnect
    }
}

#[tokio::test(start_paused = true)]
async fn events_wait_for_the_api_server_for_two_minutes() {
    let scene = scene();
    scene.lab.set_hook(Some(Arc::new(Outage(Mutex::new(3)))));
    scene.tell("a", "http://fast", "late");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(scene.events().is_empty());
    scene.courier.flushed().await;
    assert_eq!(scene.events(), ["late"]);
    scene.lab.set_hook(Some(Arc::new(Outage(Mutex::new(usize::MAX)))));
    scene.tell("a", "http://fast", "lost");
    scene.courier.flushed().await;
    assert_eq!(scene.dropped("API server unreachable"), "1");
    assert_eq!(scene.net.texts("fast"), ["late", "lost"], "receivers are told nevertheless");
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_gone_leaves_nothing_behind() {
    let scene = scene();
    scene.tell("a", "http://fast", "Terminated canary");
    let (key, ..) = cast("a", "http://fast");
    scene.courier.forget(&key);
    scene.courier.flushed().await;
    assert_eq!(scene.events(), ["Terminated canary"]);
    assert!(scene.courier.inner.correlators.lock().unwrap().len() == 0);
    assert!(!format!("{:?}", scene.courier.inner.receivers).contains("chat"));
}
