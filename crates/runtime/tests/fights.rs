//! Others who write what we write: the controller takes its objects back, but does not spend the API server on it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use lab::{Call, Intervention};
use serde_json::json;
use std::sync::Arc;

/// Puts its own annotation back as soon as the operator has removed it.
struct Stubborn(lab::Lab, &'static str, &'static str);

impl lab::Hook for Stubborn {
    fn after(&self, call: &Call, _status: u16) -> Intervention {
        if call.user_agent == "flagger" && call.verb.writes() && call.resource == self.1 {
            let patch = json!({"metadata": {"annotations": {"somebody/else": call.path.len().to_string()}, "labels": {"theirs": "yes"}}});
            self.0.merge(self.1, "shop", self.2, &patch).unwrap();
        }
        Intervention::Pass
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_fights_for_a_label() {
    for (resource, name) in [("services", "cart-canary"), ("virtualservices.networking.istio.io", "cart")] {
        let world = World::initialized("istio", steps(10, 20)).await;
        world.seconds(60).await;
        world.lab.set_hook(Some(Arc::new(Stubborn(world.lab.clone(), resource, name))));
        world.lab.take_requests();
        world.lab.merge(resource, "shop", name, &json!({"metadata": {"labels": {"theirs": "yes"}}})).unwrap();
        world.seconds(60).await;
        let writes = world.requests(|entry| entry.call.verb.writes()).len();
        println!("{resource}: {writes} writes in a minute");
        assert!((1..=60).contains(&writes), "{resource}: {writes} writes in a minute");
        world.deploy("demo:2");
        world.wait_for("Succeeded").await;
    }
}

#[tokio::test(start_paused = true)]
async fn l_29_two_canaries_on_one_target() {
    let world = World::initialized("istio", steps(10, 20)).await;
    let mut twin = canary("twin", "istio", steps(10, 20));
    twin["spec"]["targetRef"]["name"] = json!("cart");
    twin["spec"]["service"] = json!({"port": 9090, "apex": {"labels": {"twin": "yes"}}});
    world.apply(twin);
    world.seconds(60).await;
    world.lab.take_requests();
    world.seconds(60).await;
    let writes = world.requests(|entry| entry.call.verb.writes()).len();
    println!("two Canaries on one target: {writes} writes in a minute");
    assert!(writes <= 120, "{writes} writes in a minute");
}

#[tokio::test(start_paused = true)]
async fn s003_18_a_second_installation_is_noticed() {
    let mut world = World::initialized("istio", steps(10, 50)).await;
    world.rival().await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    let warning = "Somebody else keeps writing the status of cart.shop: is another installation of Flagger looking after namespace shop?";
    let told = world.told(warning);
    assert!((1..=2).contains(&told), "each tells it once: {}", world.report());
    // One alone has nothing to say about its own writes, nor about those of its earlier lives.
    let mut alone = World::initialized("istio", steps(10, 50)).await;
    alone.restart().await;
    alone.deploy("demo:2");
    alone.wait_for("Succeeded").await;
    // Nor about a person who edits the status.
    let patch = json!({"status": {"failedChecks": 1}});
    alone.lab.merge_status("canary", "shop", "cart", &patch).unwrap();
    alone.seconds(60).await;
    assert_eq!(alone.told("Somebody else"), 0, "{}", alone.report());
}
