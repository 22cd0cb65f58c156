//! Whole rollouts of every strategy on every provider, to be disturbed: how each begins, when it is over, what it leaves behind, and a guard that looks after
//! every write whether whoever has traffic can serve it.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "tests"
)]

use crate::harness::*;
use api::{Canary, Rollout, Settings};
use lab::{Call, Intervention, Lab};
use objects::Snapshot;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Every provider that there is.
pub const PROVIDERS: [&str; 5] = ["istio", "gatewayapi:v1", "gatewayapi:v1beta1", "nginx", "kubernetes"];

/// How traffic is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Weighted,
    StepWeights,
    AbTesting,
    BlueGreen,
    BlueGreenMirrored,
    WeightedMirrored,
    Affinity,
    Skipped,
}

pub const WAYS: [Way; 8] = [
    Way::Weighted,
    Way::StepWeights,
    Way::AbTesting,
    Way::BlueGreen,
    Way::BlueGreenMirrored,
    Way::WeightedMirrored,
    Way::Affinity,
    Way::Skipped,
];

/// What is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    Initialisation,
    Promotion,
    Rollback,
    Deletion,
}

pub const STORIES: [Story; 4] = [Story::Initialisation, Story::Promotion, Story::Rollback, Story::Deletion];

/// One rollout.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub provider: &'static str,
    pub way: Way,
    pub story: Story,
}

impl Case {
    /// The rollouts of a provider: every story of every strategy that it has.
    pub fn of(provider: &'static str, way: Way) -> Vec<Self> {
        let has = match provider {
            "kubernetes" => matches!(way, Way::BlueGreen | Way::Skipped),
            "nginx" => {
                matches!(way, Way::Weighted | Way::StepWeights | Way::AbTesting | Way::BlueGreen | Way::Skipped)
            }
            _ => true,
        };
        // Without analysis nothing is rolled back.
        let tells = |story: &Story| has && !(way == Way::Skipped && *story == Story::Rollback);
        STORIES.into_iter().filter(tells).map(|story| Self { provider, way, story }).collect()
    }

    fn canary(&self) -> Value {
        let extra = match self.way {
            Way::Weighted => json!({"stepWeight": 25, "maxWeight": 50}),
            Way::StepWeights => json!({"stepWeights": [20, 60], "stepWeightPromotion": 50}),
            Way::AbTesting => json!({"iterations": 2, "match": [{"headers": {"x-beta": {"exact": "1"}}}]}),
            Way::BlueGreen => json!({"iterations": 2}),
            Way::BlueGreenMirrored => json!({"iterations": 2, "mirror": true}),
            Way::WeightedMirrored => json!({"stepWeight": 50, "maxWeight": 50, "mirror": true}),
            Way::Affinity => {
                json!({"stepWeight": 25, "maxWeight": 50, "sessionAffinity": {"cookieName": "side", "maxAge": 60}})
            }
            Way::Skipped => json!({"stepWeight": 50, "maxWeight": 50}),
        };
        let mut spec = analysis(extra);
        spec["metrics"] =
            json!([{"name": "quality", "interval": "1m", "query": "quality", "thresholdRange": {"min": 99}}]);
        spec["alerts"] = json!([{"name": "chat", "severity": "info", "providerRef": {"name": "chat"}}]);
        let spec = with_hook(spec, "post-rollout", "after");
        let mut canary = match self.provider {
            "nginx" => nginx_canary(spec),
            "istio" | "kubernetes" => canary("cart", self.provider, spec),
            provider => gateway_canary(provider, spec),
        };
        canary["spec"]["skipAnalysis"] = json!(self.way == Way::Skipped);
        canary["spec"]["revertOnDeletion"] = json!(self.story == Story::Deletion);
        canary
    }

    /// The cluster in which it takes place, up to the moment before.
    pub async fn stage(&self) -> World {
        let world = World::new().await;
        world.alert_provider("chat");
        world.apply(secret("one"));
        if self.provider == "nginx" {
            world.apply(ingress());
        }
        if self.story == Story::Deletion {
            world.apply(
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
                "spec": {"selector": {"app": "cart"}, "ports": [{"port": 8080}]}}),
            );
        }
        if self.story == Story::Initialisation {
            return world;
        }
        let world = world.ready(self.canary()).await;
        world.seconds(1).await;
        world
    }

    /// Begins.
    pub fn begin(&self, world: &World) {
        match self.story {
            Story::Initialisation => {
                world.apply(deployment("cart", "demo:1"));
                world.apply(self.canary());
            }
            Story::Promotion => world.deploy("demo:2"),
            Story::Rollback => {
                world.net.values("quality", &["10"]);
                world.deploy("demo:2");
            }
            Story::Deletion => world.lab.delete("canary", "shop", "cart").unwrap(),
        }
    }

    /// Whether it is over.
    pub fn is_over(&self, world: &World) -> bool {
        let Some(canary) = world.try_get("canary", "cart") else { return self.story == Story::Deletion };
        let phase = match self.story {
            Story::Initialisation => "Initialized",
            Story::Promotion => "Succeeded",
            Story::Rollback => "Failed",
            Story::Deletion => return false,
        };
        canary["status"]["phase"] == phase && canary["status"]["unannounced"].is_null()
    }

    /// Waits until it is over and nothing follows any more.
    pub async fn finish(&self, world: &World) {
        world.wait_until(&format!("{self:?} is over"), |world| self.is_over(world)).await;
        world.seconds(45).await;
    }
}

/// Texts of outcomes.
const OUTCOMES: [&str; 8] = [
    "Initialization done",
    "initialization completed",
    "romotion ",
    "Rolling back",
    "Failed checks threshold",
    "Canary failed!",
    "Post-rollout",
    "Terminated",
];

/// What a rollout leaves behind.
#[derive(Debug, PartialEq)]
pub struct Legacy {
    /// By kind and name, without what differs from run to run.
    pub objects: BTreeMap<String, Value>,
    /// Outcomes as the event webhook was told, in order.
    pub told: Vec<String>,
    /// Outcomes as Kubernetes events, each as often as it is counted.
    pub events: Vec<String>,
    /// Alerts about outcomes, in order.
    pub alerts: Vec<String>,
    /// Calls of the post-rollout hook.
    pub hooked: usize,
}

impl Legacy {
    pub fn of(world: &World) -> Self {
        let is_outcome = |text: &String| OUTCOMES.iter().any(|part| text.contains(part));
        let mut objects = BTreeMap::new();
        for kind in
            ["deploy", "service", "virtualservice", "destinationrule", "httproute", "ingress", "secret", "canary"]
        {
            for object in world.lab.list(kind, "shop") {
                let name = format!("{kind} {}", object["metadata"]["name"].as_str().unwrap());
                let mut object = masked(&object);
                if kind == "deploy" {
                    // What is said about pods names them; whether they serve is the guard's.
                    object["status"] = Value::Null;
                }
                objects.insert(name, object);
            }
        }
        let mut events = Vec::new();
        for event in world.lab.list("events", "shop") {
            let message = event["message"].as_str().unwrap().to_owned();
            let count = usize::try_from(event["count"].as_u64().unwrap_or(1)).unwrap();
            events.extend(std::iter::repeat_n(message, if event["type"].is_string() { count } else { 0 }));
        }
        events.retain(is_outcome);
        events.sort();
        Self {
            objects,
            told: world.story().into_iter().filter(is_outcome).collect(),
            events,
            alerts: world.alerts("chat").into_iter().filter(is_outcome).collect(),
            hooked: world.net.sent_to("hooks/after").len(),
        }
    }

    /// What differs, for people; nothing if nothing does.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for name in self.objects.keys().chain(other.objects.keys()) {
            let object = |objects: &BTreeMap<String, Value>| objects.get(name).cloned().unwrap_or_default();
            compare(name, &object(&self.objects), &object(&other.objects), &mut found);
        }
        for (what, one, two) in [
            ("told", &self.told, &other.told),
            ("events", &self.events, &other.events),
            ("alerts", &self.alerts, &other.alerts),
        ] {
            if one != two {
                found.push(format!("{what}:\n  {one:?}\n  {two:?}"));
            }
        }
        if self.hooked != other.hooked {
            found.push(format!("hook: {} and {} times", self.hooked, other.hooked));
        }
        found.dedup();
        found
    }
}

fn compare(path: &str, one: &Value, two: &Value, found: &mut Vec<String>) {
    match (one, two) {
        (Value::Object(first), Value::Object(second)) => {
            for key in first.keys().chain(second.keys().filter(|key| !first.contains_key(*key))) {
                compare(&format!("{path}/{key}"), &one[key], &two[key], found);
            }
        }
        _ if one != two => found.push(format!("{path}: {one} but {two}")),
        _ => {}
    }
}

/// Without identities, times, versions and dice.
fn masked(value: &Value) -> Value {
    const MASKED: [&str; 13] = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "generation",
        "observedGeneration",
        "lastTransitionTime",
        "lastUpdateTime",
        "time",
        "flagger-id",
        "clusterIP",
        "clusterIPs",
        "lastChecks",
    ];
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !MASKED.contains(&key.as_str()));
            let entry = |(key, value): (&String, &Value)| {
                let cookie = key.ends_with("SessionAffinityCookie") || key == "sessionAffinityCookie";
                let value = match key.as_str() {
                    _ if cookie && value.is_string() => json!("cookie"),
                    "configDigests" => without_versions(value),
                    _ => masked(value),
                };
                (key.clone(), value)
            };
            Value::Object(kept.map(entry).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(masked).collect()),
        // `side=abc...` of session affinity.
        Value::String(text) if text.contains("side=") => json!("a cookie"),
        other => other.clone(),
    }
}

/// What is known of configs begins with a version each.
fn without_versions(digests: &Value) -> Value {
    let digest = |value: &Value| value.as_str().and_then(|text| Some(text.split_once(' ')?.1.to_owned()));
    digests.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), json!(digest(value)))).collect()
}

/// Looks after every write whether whoever has traffic can serve it, with the providers' own eyes.
pub struct Guard {
    lab: Lab,
    /// Without analysis an initialisation does not wait for the primary, as documented.
    hasty: bool,
    broken: Mutex<Vec<String>>,
}

impl Guard {
    pub fn set(world: &World, case: &Case) -> Arc<Self> {
        let hasty = case.way == Way::Skipped && case.story == Story::Initialisation;
        let guard = Arc::new(Self { lab: world.lab.clone(), hasty, broken: Mutex::default() });
        world.lab.set_hook(Some(Arc::<Self>::clone(&guard)));
        guard
    }

    pub fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap().clone()
    }

    fn serves(&self, workload: &str) -> Option<bool> {
        let live = self.lab.get("deploy", "shop", workload)?;
        let wanted = live["spec"]["replicas"].as_i64().unwrap_or(1);
        Some(wanted > 0 && live["status"]["availableReplicas"].as_i64().unwrap_or(0) > 0)
    }

    fn check(&self) -> Result<(), String> {
        // While there is no apex Service clients reach nobody by it, whatever we do.
        let Some(apex) = self.lab.get("service", "shop", "cart") else { return Ok(()) };
        let Some(canary) = self.lab.get("canary", "shop", "cart") else { return Ok(()) };
        let canary: Canary = serde_json::from_value((*canary).clone()).unwrap();
        let rollout = Rollout::resolve(&canary, &Arc::new(Settings::default()));
        let router = providers::routers::router(&rollout.provider).unwrap();
        let mut live = Snapshot::new();
        for reference in router.reads(&rollout) {
            if let Some(object) = self.lab.get(&reference.kind.resource(), &reference.namespace, &reference.name) {
                live.insert(reference, object);
            }
        }
        let (mut to_primary, mut to_canary) = (false, false);
        match router.routes(&rollout, &live) {
            Ok(found) if router.abilities(&rollout, &live).shifts => {
                to_canary = !found.canary.is_zero();
                to_primary = found.canary.percent() < 100 || !rollout.analysis.matches.is_empty();
            }
            // No routes (yet, or any more): the Service's pods get everything.
            _ => match apex["spec"]["selector"]["app"].as_str() {
                Some("cart-primary") => to_primary = true,
                _ => to_canary = true,
            },
        }
        for (sends, workload) in [(to_primary, "cart-primary"), (to_canary, "cart")] {
            if sends && self.serves(workload) != Some(true) {
                return Err(format!("{workload} has traffic and cannot serve it"));
            }
        }
        Ok(())
    }
}

impl lab::Hook for Guard {
    fn after(&self, call: &Call, _status: u16) -> Intervention {
        if !self.hasty
            && call.verb.writes()
            && call.resource != "events"
            && let Err(why) = self.check()
        {
            self.broken.lock().unwrap().push(format!("after {call}: {why}"));
        }
        Intervention::Pass
    }
}

/// The operator's writes so far, also those that it made under earlier names.
pub fn writes(world: &World) -> Vec<String> {
    let log = world.lab.requests();
    let own = log.entries().filter(|entry| entry.call.user_agent.starts_with("flagger") && entry.call.verb.writes());
    own.map(|entry| format!("{} {}", entry.call, entry.status)).collect()
}

/// A rollout that nobody disturbs: what it leaves behind, and the writes that it takes.
pub async fn undisturbed(case: &Case) -> (Legacy, Vec<String>) {
    let world = case.stage().await;
    let guard = Guard::set(&world, case);
    world.lab.take_requests();
    case.begin(&world);
    case.finish(&world).await;
    assert_eq!(guard.broken(), Vec::<String>::new(), "{case:?} undisturbed\n{}", world.report());
    let legacy = Legacy::of(&world);
    assert!(!legacy.told.is_empty() && !legacy.events.is_empty(), "{case:?}: {legacy:?}");
    (legacy, writes(&world))
}
