//! Life beside the numbered scenarios: what else happens in clusters.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_deleted_and_made_again_at_once() {
    let world = World::initialized("istio", steps(10, 20)).await;
    let old = world.get("canary", "cart")["metadata"]["uid"].clone();
    world.lab.delete("canary", "shop", "cart").unwrap();
    world.apply(canary("cart", "istio", steps(10, 20)));
    world.seconds(60).await;
    world.wait_for("Initialized").await;
    let new = world.get("canary", "cart")["metadata"]["uid"].clone();
    assert_ne!(old, new);
    for (kind, name) in [("deploy", "cart-primary"), ("service", "cart-canary"), ("virtualservice", "cart")] {
        assert_eq!(world.get(kind, name)["metadata"]["ownerReferences"][0]["uid"], new, "{kind} {name}");
    }
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    assert_eq!((world.image("cart-primary"), world.weights()), ("demo:2".to_owned(), (100, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_deleted_while_a_hook_hangs() {
    let world = World::initialized("istio", with_hook(steps(10, 20), "pre-rollout", "smoke")).await;
    world.net.hook("smoke", [Reply::Hang]);
    world.deploy("demo:2");
    world.wait_told("Starting canary analysis").await;
    world.lab.delete("canary", "shop", "cart").unwrap();
    world.seconds(60).await;
    assert!(
        world.try_get("deploy", "cart-primary").is_none() && world.try_get("service", "cart").is_none(),
        "nothing is made again"
    );
}

#[tokio::test(start_paused = true)]
async fn o_07_only_the_own_namespace() {
    let world = World::with(Setup { namespace: "shop".to_owned(), ..Setup::default() }).await;
    world.lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})).unwrap();
    for mut object in [secret("one"), deployment("cart", "demo:1"), canary("cart", "istio", steps(10, 20))] {
        object["metadata"]["namespace"] = json!("elsewhere");
        world.apply(object);
    }
    let world = world.ready(canary("cart", "istio", steps(10, 20))).await;
    world.seconds(30).await;
    assert_eq!(world.lab.get("canary", "elsewhere", "cart").unwrap()["status"], json!(null));
    let outside = world.requests(|entry| !entry.call.resource.is_empty() && entry.call.namespace != "shop");
    assert!(outside.is_empty(), "{outside:#?}");
}

#[tokio::test(start_paused = true)]
async fn replicas_of_the_primary_belong_to_whoever_scales_it() {
    let world = World::initialized("istio", steps(10, 20)).await;
    world.merge("deploy", "cart-primary", json!({"spec": {"replicas": 5}}));
    world.seconds(60).await;
    assert_eq!(world.replicas("cart-primary"), 5);
}

#[tokio::test(start_paused = true)]
async fn generated_objects_that_are_deleted_come_back_at_once() {
    let world = World::initialized("istio", steps(10, 50)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    for (kind, name) in [
        ("service", "cart-canary"),
        ("virtualservice", "cart"),
        ("destinationrule", "cart-canary"),
        ("service", "cart"),
    ] {
        world.lab.delete(kind, "shop", name).unwrap();
        world.seconds(1).await;
        assert!(world.try_get(kind, name).is_some(), "{kind} {name}");
    }
    assert_eq!(world.weights(), (80, 20), "with the weights of the rollout");
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_is_deleted_in_a_rollout_gets_traffic_again_only_when_it_is_ready() {
    let world = World::initialized("istio", steps(10, 50)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    world.lab.delete("deploy", "shop", "cart-primary").unwrap();
    world.wait_for("Succeeded").await;
    assert_eq!((world.image("cart-primary"), world.weights()), ("demo:2".to_owned(), (100, 0)));
}

#[tokio::test(start_paused = true)]
async fn o_10_a_rollout_that_the_reference_has_begun_goes_on() {
    let mut world = World::initialized("istio", steps(10, 50)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    world.stop().await;
    let status = world.status();
    let promoted =
        status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Promoted").unwrap().clone();
    let known = [
        "phase",
        "failedChecks",
        "canaryWeight",
        "iterations",
        "trackedConfigs",
        "lastAppliedSpec",
        "lastPromotedSpec",
        "lastTransitionTime",
        "conditions",
    ];
    let mut old = json!({"conditions": [promoted]});
    for key in status.as_object().unwrap().keys().filter(|key| !known.contains(&key.as_str())) {
        old[key] = Value::Null;
    }
    world.lab.merge_status("canary", "shop", "cart", &json!({"status": old})).unwrap();
    world.lab.take_requests();
    world.reborn().await;
    world.wait_for("Succeeded").await;
    assert_eq!(world.story_since("canary weight 20")[0], "N Advance cart.shop canary weight 30");
    assert_eq!(world.told("Restarting"), 0);
}

#[tokio::test(start_paused = true)]
async fn kstatus_conditions_can_be_switched_off() {
    let mut setup = Setup::default();
    setup.settings.kstatus_conditions = false;
    let world = World::with(setup).await.ready(canary("cart", "istio", steps(10, 20))).await;
    assert!(world.condition("Ready").is_none() && world.condition("Promoted").is_some());
}

#[tokio::test(start_paused = true)]
async fn l_26b_a_fix_is_rolled_out_once_the_primary_is_ready_again() {
    let world = World::initialized("istio", steps(10, 50)).await;
    // At rest, the primary breaks.
    world.merge(
        "deploy",
        "cart-primary",
        json!({"spec": {"template": {"metadata": {"annotations": {"sim/ready-after": "never"}}}}}),
    );
    world.seconds(120).await;
    world.deploy("demo:2");
    world.seconds(120).await;
    assert_ne!(world.status()["phase"], "Failed", "the change is not swallowed\n{}", world.report());
    world.merge(
        "deploy",
        "cart-primary",
        json!({"spec": {"template": {"metadata": {"annotations": {"sim/ready-after": null}}}}}),
    );
    world.wait_for("Succeeded").await;
    assert_eq!(world.image("cart-primary"), "demo:2");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_flaps_does_not_flood_the_events() {
    let world = World::initialized("istio", steps(10, 20)).await;
    world.net.values("istio_requests_total", &["100"]);
    world.deploy("demo:missing");
    for round in 0..100 {
        world
            .lab
            .merge_status("deploy", "shop", "cart", &json!({"status": {"unavailableReplicas": round % 3}}))
            .unwrap();
        world.pass(Duration::from_millis(300)).await;
    }
    assert!(world.told("not ready") <= 6, "{}", world.report());
    assert!(world.writes_to("events").len() < 20);
}

#[tokio::test(start_paused = true)]
async fn forty_canaries_side_by_side() {
    let world = World::new().await;
    world.apply(secret("one"));
    let names: Vec<String> = (0..40).map(|at| format!("app{at}")).collect();
    for name in &names {
        world.apply(deployment(name, "demo:1"));
        world.apply(canary(name, "istio", steps(20, 40)));
    }
    for name in &names {
        world.wait_for_of(name, "Initialized").await;
    }
    let before = tokio::time::Instant::now();
    for name in &names {
        world.deploy_to(name, "demo:2");
    }
    for name in &names {
        world.wait_for_of(name, "Succeeded").await;
    }
    assert!(before.elapsed() < Duration::from_secs(60), "as long as one alone: {:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_service_name_that_is_edited() {
    let world = World::initialized("istio", steps(10, 20)).await;
    world.edit(json!({"service": {"name": "basket"}}));
    world.seconds(5).await;
    for name in ["basket", "basket-primary", "basket-canary"] {
        assert!(world.try_get("service", name).is_some(), "{name}\n{}", world.report());
    }
    assert!(world.try_get("virtualservice", "basket").is_some());
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
}

/// As in the reference (Q25): the deadline counts from when the canary became unavailable, whichever revision that was. A fix that comes late has only what
/// is left of it; the same fix is tried again with the next change.
#[tokio::test(start_paused = true)]
async fn a_fix_has_what_the_broken_revision_has_left_of_the_deadline() {
    let world = World::initialized("istio", steps(10, 20)).await;
    world.seconds(5).await;
    world.deploy("demo:missing");
    world.seconds(50).await;
    let mut containers = world.get("deploy", "cart")["spec"]["template"]["spec"]["containers"].clone();
    containers[0]["image"] = json!("demo:2");
    world.merge("deploy", "cart", json!({"spec": {"template": {"metadata": {"annotations": {"sim/ready-after": "30"}}, "spec": {"containers": containers}}}}));
    world.wait_for("Failed").await;
    world.assert_told("N New revision detected! Restarting analysis for cart.shop");
    world.seconds(5).await;
    world.merge("deploy", "cart", json!({"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}));
    world.wait_for("Succeeded").await;
}
