//! Random days: whatever users and clusters do, traffic never goes to a side that cannot serve it, and in calm weather the last revision is rolled out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use lab::{Call, Intervention, Lab};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Looks after every write of an operator whether traffic is safe; lets only one operator in, and none during an outage.
struct Guard {
    lab: Lab,
    name: Mutex<String>,
    violations: Mutex<Vec<String>>,
}

impl Guard {
    fn set(&self, name: &str) {
        name.clone_into(&mut self.name.lock().unwrap());
    }

    /// Weights above zero need somebody who serves.
    fn check(&self, call: &Call) {
        let Some(service) = self.lab.get("virtualservice", "shop", "cart") else { return };
        let routes = service["spec"]["http"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|http| http["route"].as_array().into_iter().flatten());
        for route in routes.filter(|route| route["weight"].as_i64().unwrap_or(100) > 0) {
            let workload = if route["destination"]["host"] == "cart-canary" { "cart" } else { "cart-primary" };
            let Some(live) = self.lab.get("deploy", "shop", workload) else { continue };
            let (wanted, available) = (
                live["spec"]["replicas"].as_i64().unwrap_or(1),
                live["status"]["availableReplicas"].as_i64().unwrap_or(0),
            );
            if wanted == 0 || available == 0 {
                self.violations.lock().unwrap().push(format!(
                    "after {call}: {workload} has weight {}, wants {wanted}, has {available}",
                    route["weight"]
                ));
            }
        }
    }
}

impl lab::Hook for Guard {
    fn before(&self, call: &Call) -> Intervention {
        if call.user_agent == *self.name.lock().unwrap() { Intervention::Pass } else { Intervention::Disconnect }
    }

    fn after(&self, call: &Call, _status: u16) -> Intervention {
        if call.verb.writes() {
            self.check(call);
        }
        Intervention::Pass
    }
}

/// A small generator: the same seed makes the same day.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn happen(world: &mut World, guard: &Guard, dice: &mut Dice, diary: &mut Vec<String>) {
    let what = dice.roll(14);
    let (coin, number) = (dice.roll(2) == 0, dice.roll(5));
    diary.push(format!("{what}/{coin}/{number}"));
    match what {
        0..=3 => world.deploy(&format!("demo:{number}")),
        4 => world.deploy("demo:missing"),
        5 => world.net.values("istio_requests_total", &[if coin { "100" } else { "10" }]),
        6 => world.net.hook_says("gate", if coin { 200 } else { 403 }, ""),
        7 => world.net.hook_says("undo", if coin { 200 } else { 403 }, ""),
        8 => world.edit(json!({"suspend": coin})),
        9 => world.edit(json!({"skipAnalysis": coin})),
        10 => drop(world.apply(secret(&number.to_string()))),
        11 => {
            let objects = [
                ("virtualservice", "cart"),
                ("service", "cart-canary"),
                ("service", "cart"),
                ("destinationrule", "cart-primary"),
                ("secret", "cart-secret-primary"),
            ];
            let (kind, name) = objects[usize::try_from(number).unwrap()];
            // It may be gone still.
            let _ = world.lab.delete(kind, "shop", name);
        }
        12 => {
            guard.set("nobody");
            world.seconds(number * 5).await;
            guard.set(&world.name());
        }
        _ => {
            guard.set("flagger-next");
            world.lab.set_hook(None);
            world.stop().await;
            world.reborn().await;
        }
    }
    world.seconds(dice.roll(40)).await;
}

async fn day(seed: u64, spec: Value, promotion: &str) {
    let spec = with_hook(with_hook(spec, promotion, "gate"), "rollback", "undo");
    let mut world = World::initialized("istio", spec).await;
    world.net.hook_says("undo", 403, "");
    let guard =
        Arc::new(Guard { lab: world.lab.clone(), name: Mutex::new(world.name()), violations: Mutex::default() });
    world.lab.set_hook(Some(Arc::<Guard>::clone(&guard)));
    let (mut dice, mut diary) = (Dice(seed), Vec::new());
    for _ in 0..30 {
        happen(&mut world, &guard, &mut dice, &mut diary).await;
        guard.set(&world.name());
        world.lab.set_hook(Some(Arc::<Guard>::clone(&guard)));
        let violations = guard.violations.lock().unwrap().clone();
        assert!(violations.is_empty(), "seed {seed}, {diary:?}: {violations:#?}\n{}", world.report());
    }
    world.net.values("istio_requests_total", &["100"]);
    world.net.hook_says("gate", 200, "");
    world.net.hook_says("undo", 403, "");
    world.edit(json!({"suspend": false, "skipAnalysis": false}));
    // A revision that comes while another one is overdue is judged by the other's clock (spec, Q25), so the first may fail.
    world.deploy("demo:calm");
    world.seconds(180).await;
    world.deploy("demo:last");
    world
        .wait_until(&format!("the last revision is rolled out (seed {seed}, {diary:?})"), |world| {
            world.status()["phase"] == "Succeeded" && world.image("cart-primary") == "demo:last"
        })
        .await;
    world.seconds(60).await;
    world.lab.take_requests();
    world.seconds(300).await;
    let name = world.name();
    let log = world.lab.requests();
    let idle: Vec<String> = log
        .entries()
        .filter(|entry| entry.call.user_agent == name && entry.call.verb.writes())
        .map(|entry| entry.call.to_string())
        .collect();
    assert!(idle.is_empty(), "seed {seed}, {diary:?}: {idle:?}\n{}", world.report());
    assert_eq!((world.weights(), world.replicas("cart")), ((100, 0), 0), "seed {seed}, {diary:?}\n{}", world.report());
    let violations = guard.violations.lock().unwrap().clone();
    assert!(violations.is_empty(), "seed {seed}, {diary:?}: {violations:#?}\n{}", world.report());
}

#[tokio::test(start_paused = true)]
async fn random_days_of_weighted_rollouts() {
    for seed in 0..8 {
        day(seed, steps(20, 60), "confirm-promotion").await;
    }
}

#[tokio::test(start_paused = true)]
async fn random_days_of_staged_promotions() {
    for seed in 100..105 {
        day(seed, analysis(json!({"stepWeight": 50, "stepWeightPromotion": 30})), "confirm-traffic-increase").await;
    }
}

#[tokio::test(start_paused = true)]
async fn random_days_of_blue_green() {
    for seed in 200..204 {
        day(seed, iterations(3), "confirm-rollout").await;
    }
}

#[tokio::test(start_paused = true)]
async fn random_days_of_ab_testing() {
    let spec = analysis(json!({"iterations": 3, "match": [{"headers": {"x": {"exact": "1"}}}]}));
    for seed in 300..304 {
        day(seed, spec.clone(), "confirm-promotion").await;
    }
}
