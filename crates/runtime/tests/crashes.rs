//! Restarts, conflicts and outages (for kills after every write see `kills.rs`, for other faults `faults.rs`): whatever the moment, the rollout ends as it
//! would have ended, and traffic never goes to a side that cannot serve it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use lab::{Call, Failure, Intervention, View};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Whoever gets traffic can serve it. Read at one moment, between two writes.
fn is_safe(view: &View<'_>) -> Result<(), String> {
    let Some(service) = view.get("virtualservice", "shop", "cart") else { return Ok(()) };
    let routes = service["spec"]["http"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|http| http["route"].as_array().into_iter().flatten());
    for route in routes.filter(|route| route["weight"].as_i64().unwrap_or(100) > 0) {
        let host = route["destination"]["host"].as_str().unwrap();
        let workload = if host == "cart-canary" { "cart" } else { "cart-primary" };
        let available = view
            .get("deploy", "shop", workload)
            .map_or(0, |one| one["status"]["availableReplicas"].as_i64().unwrap_or(0));
        let wanted =
            view.get("deploy", "shop", workload).map_or(0, |one| one["spec"]["replicas"].as_i64().unwrap_or(1));
        if available == 0 || wanted == 0 {
            return Err(format!("{host} has traffic, {wanted} replicas and {available} that serve"));
        }
    }
    Ok(())
}

/// Waits for a phase, and looks after every write whether traffic is safe.
async fn safely(world: &World, phase: &str) {
    world
        .wait_until(phase, |world| {
            let view = world.lab.wait_until(|view| {
                if let Err(why) = is_safe(view) {
                    panic!("{why}\n{}", world.report());
                }
                true
            });
            futures::executor::block_on(view);
            world.status()["phase"] == phase
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn o_04_a_restart_goes_on_at_the_same_weight() {
    let mut world = World::initialized("istio", steps(10, 50)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    world.restart().await;
    assert_eq!(world.weights(), (80, 20));
    safely(&world, "Succeeded").await;
    for weight in [10, 20, 30, 40, 50] {
        assert_eq!(world.told(&format!("canary weight {weight}")), 1);
    }
    assert_eq!(world.told("New revision detected!"), 1);
}

/// Answers requests of the operator with an error for a while.
struct Outage(Failure);

impl lab::Hook for Outage {
    fn before(&self, call: &Call) -> Intervention {
        if call.user_agent == "flagger" { Intervention::Fail(Box::new(self.0.clone())) } else { Intervention::Pass }
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_while() {
    for failure in [Failure::unavailable("etcd leader changed"), Failure::internal("boom"), Failure::expired("too old")]
    {
        let world = World::initialized("istio", steps(10, 50)).await;
        world.deploy("demo:2");
        world.wait_told("canary weight 20").await;
        world.lab.set_hook(Some(Arc::new(Outage(failure.clone()))));
        world.seconds(90).await;
        world.lab.set_hook(None);
        let before = tokio::time::Instant::now();
        safely(&world, "Succeeded").await;
        assert!(before.elapsed() < Duration::from_secs(180), "{failure:?}: {:?}", before.elapsed());
        assert_eq!((world.told("New revision"), world.told("canary weight 10")), (1, 1), "{}", world.report());
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_too_old_begin_again() {
    let world = World::initialized("istio", steps(10, 30)).await;
    world.seconds(200).await;
    world.lab.compact();
    world.deploy("demo:2");
    world.lab.compact();
    world.seconds(400).await;
    world.lab.compact();
    safely(&world, "Succeeded").await;
    assert_eq!(world.image("cart-primary"), "demo:2");
}

/// Somebody else writes the Canary just before each of the operator's writes to it.
struct Busy(lab::Lab, AtomicUsize);

impl lab::Hook for Busy {
    fn before(&self, call: &Call) -> Intervention {
        if call.user_agent == "flagger" && call.verb.writes() && call.resource == "canaries.flagger.app" {
            let count = self.1.fetch_add(1, Ordering::SeqCst);
            // Every other write meets a conflict.
            if count.is_multiple_of(2) {
                let patch = json!({"metadata": {"annotations": {"somebody": count.to_string()}}});
                self.0.merge("canary", "shop", "cart", &patch).unwrap();
            }
        }
        Intervention::Pass
    }
}

#[tokio::test(start_paused = true)]
async fn conflicts_on_the_canary_neither_repeat_nor_lose_a_step() {
    let world = World::initialized("istio", with_hook(steps(10, 50), "post-rollout", "after")).await;
    world.lab.set_hook(Some(Arc::new(Busy(world.lab.clone(), AtomicUsize::new(0)))));
    world.deploy("demo:2");
    safely(&world, "Succeeded").await;
    world.wait_told("Promotion completed!").await;
    let steps: Vec<String> = world.story().into_iter().filter(|line| line.contains("Advance")).collect();
    let expected: Vec<String> =
        [10, 20, 30, 40, 50].iter().map(|weight| format!("N Advance cart.shop canary weight {weight}")).collect();
    assert_eq!(steps, expected);
    assert_eq!(world.net.sent_to("hooks/after").len(), 1);
    assert_eq!(
        (world.told("New revision detected"), world.told("Promotion completed!"), world.told("failed after retries")),
        (1, 1, 0),
        "{}",
        world.report()
    );
}
