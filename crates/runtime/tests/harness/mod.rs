//! The whole controller on a lab: a Kubernetes API in this process, simulated nodes and time, a table instead of the network.
#![allow(dead_code, unused_imports, reason = "every test file uses another part of it")]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    reason = "tests"
)]

pub mod fixtures;
pub mod net;

pub use fixtures::*;
pub use net::{Mortal, Net, Reply};

use api::Settings;
use jiff::Timestamp;
use lab::faults::Faults;
use lab::{Entry, Lab, Options, SimulatedClock, Verb};
use runtime::clock::Clock;
use runtime::cluster::Cluster;
use runtime::telemetry::Telemetry;
use runtime::{Clusters, Config, Operator, Receivers};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::Layer as _;

/// How long a test waits, in simulated time.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How to set up a world.
pub struct Setup {
    pub settings: Settings,
    pub crds: Vec<Value>,
    pub receivers: Receivers,
    /// The one namespace that is looked after; empty: all.
    pub namespace: String,
    /// Between the first operator and the lab, from the start.
    pub faults: Faults,
}

impl Default for Setup {
    fn default() -> Self {
        let receivers = Receivers { event_webhook: Some(net::EVENTS.to_owned()), notifier: None };
        Self {
            settings: Settings::default(),
            crds: istio_crds().into_iter().chain(gateway_crds()).collect(),
            receivers,
            namespace: String::new(),
            faults: Faults::default(),
        }
    }
}

/// A cluster with a running operator.
pub struct World {
    pub lab: Lab,
    pub net: Arc<Net>,
    pub telemetry: Arc<Telemetry>,
    /// Between the present operator and the lab.
    pub faults: Faults,
    /// The operators' wall clock, which can jump; the lab's does not.
    pub clock: Clock,
    /// Whom the questions are about: namespace and Canary ([`World::about`]).
    space: String,
    subject: String,
    config: Config,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// Second installations, which run as long as this lives.
    rivals: Vec<watch::Sender<bool>>,
    start: Instant,
    lives: usize,
}

impl World {
    /// With the CRDs of Istio and the Gateway API, and nothing in namespace `shop`.
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let base = Timestamp::constant(1_893_456_000, 0);
        let lab = Lab::new(Options { clock: Arc::new(SimulatedClock::new(base)), ..Options::default() });
        for crd in api::crd::all().iter().chain(&setup.crds) {
            lab.create(crd.clone()).unwrap();
        }
        lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})).unwrap();
        let (net, telemetry) = (Arc::new(Net::default()), Arc::new(Telemetry::new().unwrap()));
        let (faults, clock) = (setup.faults, Clock::simulated(base));
        let config = Config {
            clusters: clusters(&lab, "flagger", &faults),
            namespace: setup.namespace,
            settings: Arc::new(setup.settings),
            clock: clock.clone(),
            outbound: Arc::new(Mortal { net: Arc::clone(&net), faults: faults.clone() }),
            receivers: setup.receivers,
            telemetry: Arc::clone(&telemetry),
        };
        let (stop, task) = run(config.clone()).await;
        let (space, subject, start) = ("shop".to_owned(), "cart".to_owned(), Instant::now());
        Self {
            lab,
            net,
            telemetry,
            faults,
            clock,
            space,
            subject,
            config,
            stop,
            task,
            rivals: Vec::new(),
            start,
            lives: 1,
        }
    }

    /// From here on the namespace is not `shop` and the Canary not `cart`, but these. The namespace is made if there is none.
    pub fn about(&mut self, namespace: &str, canary: &str) {
        (self.space, self.subject) = (namespace.to_owned(), canary.to_owned());
        self.namespace(namespace);
    }

    /// Makes a namespace, if there is none.
    pub fn namespace(&self, name: &str) {
        if self.lab.get("namespaces", "", name).is_none() {
            self.lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).unwrap();
        }
    }

    /// W and C, initialised.
    pub async fn initialized(provider: &str, analysis: Value) -> Self {
        Self::new().await.ready(canary("cart", provider, analysis)).await
    }

    /// W and this Canary `cart`, initialised.
    pub async fn ready(self, canary: Value) -> Self {
        self.apply(secret("one"));
        self.apply(deployment("cart", "demo:1"));
        self.apply(canary);
        self.wait_for("Initialized").await;
        self
    }

    /// As [`World::initialized`], and `demo:2` has come as far as the phase.
    pub async fn rolling(provider: &str, analysis: Value, phase: &str) -> Self {
        let world = Self::initialized(provider, analysis).await;
        world.deploy("demo:2");
        world.wait_for(phase).await;
        world
    }

    /// Stops the operator as SIGTERM does and starts another one.
    pub async fn restart(&mut self) {
        self.stop.send_replace(true);
        tokio::time::sleep(Duration::from_secs(4)).await;
        (self.stop, self.task) = run(self.config.clone()).await;
    }

    /// As [`World::restart`], with other settings and receivers, as after an upgrade of the chart.
    pub async fn upgrade(&mut self, change: impl FnOnce(&mut Settings, &mut Receivers)) {
        let mut settings = (*self.config.settings).clone();
        change(&mut settings, &mut self.config.receivers);
        self.config.settings = Arc::new(settings);
        self.restart().await;
    }

    /// Stops the operator as SIGTERM does; [`World::reborn`] starts another one.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.seconds(4).await;
    }

    /// Ends the operator as SIGKILL does: nothing of it reaches anybody any more. [`World::reborn`] starts another one.
    pub fn kill(&self) {
        self.faults.kill();
        self.task.abort();
    }

    /// Starts another operator, which knows nothing, under another name, as after a crash. It meets no faults. Nothing stops the old one if it was not
    /// killed: the lab must refuse it then ([`World::name`]).
    pub async fn reborn(&mut self) {
        self.lives += 1;
        self.faults = Faults::default();
        self.config.clusters = clusters(&self.lab, &self.name(), &self.faults);
        self.config.outbound = Arc::new(Mortal { net: Arc::clone(&self.net), faults: self.faults.clone() });
        (self.stop, self.task) = run(self.config.clone()).await;
    }

    /// Starts another operator beside the present one, as a second installation does.
    pub async fn rival(&mut self) {
        let clusters = clusters(&self.lab, "rival", &Faults::default());
        let (stop, _task) = run(Config { clusters, ..self.config.clone() }).await;
        self.rivals.push(stop);
    }

    /// The user agent of the present operator.
    pub fn name(&self) -> String {
        if self.lives == 1 { "flagger".to_owned() } else { format!("flagger-{}", self.lives) }
    }

    pub fn apply(&self, object: Value) -> Arc<Value> {
        self.lab.apply(&object).unwrap()
    }

    pub fn merge(&self, kind: &str, name: &str, patch: Value) {
        self.lab.merge(kind, &self.space, name, &patch).unwrap();
    }

    /// Edits the Canary `cart`.
    pub fn edit(&self, spec: Value) {
        self.merge("canary", &self.subject, json!({"spec": spec}));
    }

    /// A new image for `cart`; `demo:missing` never becomes ready.
    pub fn deploy(&self, image: &str) {
        self.deploy_to(&self.subject, image);
    }

    pub fn deploy_to(&self, name: &str, image: &str) {
        let mut containers = self.get("deploy", name)["spec"]["template"]["spec"]["containers"].clone();
        containers[0]["image"] = json!(image);
        let ready_after = if image == "demo:missing" { json!("never") } else { Value::Null };
        let template =
            json!({"metadata": {"annotations": {"sim/ready-after": ready_after}}, "spec": {"containers": containers}});
        self.merge("deploy", name, json!({"spec": {"template": template}}));
    }

    /// Waits for the phase of `cart`.
    pub async fn wait_for(&self, phase: &str) {
        self.wait_for_of(&self.subject, phase).await;
    }

    pub async fn wait_for_of(&self, canary: &str, phase: &str) {
        self.wait_until(&format!("{canary} is {phase}"), |world| world.status_of(canary)["phase"] == phase).await;
    }

    /// Waits until an event with this text in it was told.
    pub async fn wait_told(&self, part: &str) {
        self.wait_until(&format!("somebody says {part:?}"), |world| {
            world.net.told().iter().any(|told| told.line.contains(part))
        })
        .await;
    }

    /// Waits until the condition holds and everything else that happens at that moment has happened.
    pub async fn wait_until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let (mut objects, mut net) = (self.lab.changed(), self.net.changed());
        loop {
            objects.mark_unchanged();
            net.mark_unchanged();
            if condition(self) {
                break;
            }
            tokio::select! {
                _ = objects.changed() => {}
                _ = net.changed() => {}
                () = tokio::time::sleep_until(deadline) => panic!("waited in vain until {what}\n{}", self.report()),
            }
        }
        self.pass(Duration::from_millis(1)).await;
    }

    /// Lets simulated time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// What the present operator knows to be forbidden.
    pub fn forbidden(&self) -> Vec<String> {
        self.config.clusters.main.permissions().missing()
    }

    pub async fn seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds)).await;
    }

    /// What is known, for the message of a failed test.
    pub fn report(&self) -> String {
        let told: Vec<String> = self.net.told().iter().map(|told| format!("{}: {}", told.canary, told.line)).collect();
        let requests = self.lab.requests();
        let last: Vec<String> = requests
            .entries()
            .rev()
            .filter(|entry| entry.call.verb.writes() || entry.status >= 400)
            .take(15)
            .map(|entry| format!("{} {}", entry.call, entry.status))
            .collect();
        format!(
            "after {:?}, {}\n{}\nstatus {:#}\nlast requests:\n{}",
            self.start.elapsed(),
            self.faults.report(),
            told.join("\n"),
            self.status(),
            last.join("\n")
        )
    }

    pub fn try_get(&self, kind: &str, name: &str) -> Option<Arc<Value>> {
        self.lab.get(kind, &self.space, name)
    }

    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> Arc<Value> {
        self.try_get(kind, name).unwrap_or_else(|| panic!("there is no {kind} {name}\n{}", self.report()))
    }

    pub fn status(&self) -> Value {
        self.status_of(&self.subject)
    }

    pub fn status_of(&self, canary: &str) -> Value {
        self.try_get("canary", canary).map(|object| object["status"].clone()).unwrap_or_default()
    }

    /// Status, reason and message of a condition.
    pub fn condition(&self, kind: &str) -> Option<(String, String, String)> {
        let status = self.status();
        let one = status["conditions"].as_array()?.iter().find(|one| one["type"] == kind)?;
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    /// Weights of primary and canary in the last route of the VirtualService `cart`.
    pub fn weights(&self) -> (i64, i64) {
        let service = self.get("virtualservice", &self.subject);
        let route = service["spec"]["http"].as_array().unwrap().last().unwrap()["route"].clone();
        let weight = |side: &str| {
            route
                .as_array()
                .unwrap()
                .iter()
                .find(|one| one["destination"]["host"] == format!("{}-{side}", self.subject))
                .map_or(0, |one| one["weight"].as_i64().unwrap_or(100))
        };
        (weight("primary"), weight("canary"))
    }

    /// Weights of primary and canary in the last rule of the HTTPRoute `cart`.
    pub fn gateway_weights(&self) -> (i64, i64) {
        let route = self.get("httproute", "cart");
        let backends = route["spec"]["rules"].as_array().unwrap().last().unwrap()["backendRefs"].clone();
        let weight = |name: &str| {
            backends
                .as_array()
                .unwrap()
                .iter()
                .find(|one| one["name"] == name)
                .map_or(0, |one| one["weight"].as_i64().unwrap_or(1))
        };
        (weight("cart-primary"), weight("cart-canary"))
    }

    /// An annotation `nginx.ingress.kubernetes.io/NAME` of the canary Ingress; empty: there is none.
    pub fn nginx(&self, name: &str) -> String {
        let annotation = self.get("ingress", &format!("{}-canary", self.subject))["metadata"]["annotations"]
            [format!("nginx.ingress.kubernetes.io/{name}")]
        .clone();
        annotation.as_str().unwrap_or_default().to_owned()
    }

    pub fn replicas(&self, deployment: &str) -> i64 {
        self.get("deploy", deployment)["spec"]["replicas"].as_i64().unwrap()
    }

    pub fn image(&self, deployment: &str) -> String {
        self.get("deploy", deployment)["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Events of `cart`, in order: `N text` and `W text`.
    pub fn story(&self) -> Vec<String> {
        self.story_of(&self.subject)
    }

    pub fn story_of(&self, canary: &str) -> Vec<String> {
        self.net.told().into_iter().filter(|told| told.canary == canary).map(|told| told.line).collect()
    }

    /// The story since a line that contains this text (the last such line), without it.
    pub fn story_since(&self, part: &str) -> Vec<String> {
        let story = self.story();
        let at = story
            .iter()
            .rposition(|line| line.contains(part))
            .unwrap_or_else(|| panic!("nobody says {part:?}\n{}", self.report()));
        story[at + 1..].to_vec()
    }

    /// How many lines of the story contain this text.
    pub fn told(&self, part: &str) -> usize {
        self.story().iter().filter(|line| line.contains(part)).count()
    }

    #[track_caller]
    pub fn assert_told(&self, line: &str) {
        assert!(self.story().iter().any(|told| told == line), "nobody says {line:?}\n{}", self.report());
    }

    /// Events as Kubernetes objects: type and message.
    pub fn kubernetes_events(&self) -> Vec<(String, String)> {
        let text = |object: &Value, key: &str| object[key].as_str().unwrap_or_default().to_owned();
        self.lab.list("events", &self.space).iter().map(|event| (text(event, "type"), text(event, "message"))).collect()
    }

    /// Texts of the alerts that reached `http://alerts/NAME`.
    pub fn alerts(&self, name: &str) -> Vec<String> {
        let text = |sent: &net::Sent| sent.body["attachments"][0]["text"].as_str().unwrap_or_default().to_owned();
        self.net.sent_to(&format!("http://alerts/{name}")).iter().map(text).collect()
    }

    /// A receiver of alerts with that name, for `analysis.alerts`.
    pub fn alert_provider(&self, name: &str) {
        self.apply(json!({"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"type": "slack", "channel": "general", "username": "flagger", "address": format!("http://alerts/{name}")}}));
    }

    /// A line of the metrics.
    #[track_caller]
    pub fn assert_exposed(&self, line: &str) {
        let text = String::from_utf8(self.telemetry.exposition()).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("flagger_canary")).collect();
        assert!(lines.contains(&line), "{line} is not among\n{}", lines.join("\n"));
    }

    /// What the operator wrote to a kind since the log was emptied.
    pub fn writes_to(&self, resource: &str) -> Vec<String> {
        self.lab
            .requests()
            .entries()
            .filter(|entry| entry.call.verb.writes() && entry.call.resource == resource)
            .map(|entry| entry.call.to_string())
            .collect()
    }

    /// Requests of the operator that are no watch and no list that a watch begins with.
    pub fn requests(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<String> {
        let log = self.lab.requests();
        log.entries()
            .filter(|entry| entry.call.user_agent == "flagger" && wanted(entry))
            .map(|entry| format!("{} {}", entry.call, entry.status))
            .collect()
    }
}

pub fn is_read(entry: &Entry) -> bool {
    matches!(entry.call.verb, Verb::Get | Verb::Other)
}

fn clusters(lab: &Lab, name: &str, faults: &Faults) -> Clusters {
    Clusters::single(Cluster::new(kube::Client::new(faults.layer(lab.service_as(name)), "default")))
}

async fn run(config: Config) -> (watch::Sender<bool>, JoinHandle<()>) {
    let mut operator = Operator::new(config);
    operator.sync().await.unwrap();
    let (stop, stopped) = watch::channel(false);
    (stop, tokio::spawn(operator.run(stopped)))
}
