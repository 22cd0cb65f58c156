//! Acceptance scenarios, section L, from the end of a Canary on: deletion, conditions, what the schema refuses. Each test is named by its number.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn l_33_deletion_without_revert() {
    let world = World::initialized("istio", steps(10, 30)).await;
    world.lab.delete("canary", "shop", "cart").unwrap();
    world.seconds(30).await;
    for (kind, name) in [
        ("deploy", "cart-primary"),
        ("service", "cart"),
        ("service", "cart-canary"),
        ("virtualservice", "cart"),
        ("secret", "cart-secret-primary"),
    ] {
        assert!(world.try_get(kind, name).is_none(), "{kind} {name} is still there");
    }
    assert_eq!(world.replicas("cart"), 0);
    let text = String::from_utf8(world.telemetry.exposition()).unwrap();
    assert!(!text.contains(r#"flagger_canary_status{name="cart""#), "its series go with it");
}

#[tokio::test(start_paused = true)]
async fn l_34_deletion_with_revert() {
    let world = World::new().await;
    world.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"selector": {"app": "cart"}, "ports": [{"port": 9000}]}}));
    let mut object = canary("cart", "istio", steps(10, 30));
    object["spec"]["revertOnDeletion"] = json!(true);
    let world = world.ready(object).await;
    assert_eq!(world.get("canary", "cart")["metadata"]["finalizers"], json!(["finalizer.flagger.app"]));
    world.lab.delete("canary", "shop", "cart").unwrap();
    world.wait_told("Terminating").await;
    assert_eq!(
        world.get("service", "cart")["spec"]["selector"]["app"],
        "cart-primary",
        "not before the target is ready"
    );
    world.wait_until("it is gone", |world| world.try_get("canary", "cart").is_none()).await;
    assert_eq!(
        (world.replicas("cart"), &world.get("service", "cart")["spec"]["selector"]),
        (1, &json!({"app": "cart"}))
    );
    assert_eq!(
        world.story_since("Initialization done"),
        ["N Terminating canary cart.shop", "N Terminated canary cart.shop"]
    );
    world.seconds(5).await;
    assert!(world.try_get("deploy", "cart-primary").is_none());
}

#[tokio::test(start_paused = true)]
async fn l_34_a_target_that_does_not_become_ready_keeps_the_finalizer() {
    let mut object = canary("cart", "istio", steps(10, 30));
    object["spec"]["revertOnDeletion"] = json!(true);
    let world = World::new().await.ready(object).await;
    world.edit(json!({"suspend": true}));
    world.deploy("demo:missing");
    world.lab.delete("canary", "shop", "cart").unwrap();
    world.seconds(300).await;
    assert!(world.try_get("canary", "cart").is_some() && world.try_get("deploy", "cart-primary").is_some());
    world.deploy("demo:3");
    world.wait_until("it is gone", |world| world.try_get("canary", "cart").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn l_35_turning_revert_off() {
    let mut object = canary("cart", "istio", steps(10, 30));
    object["spec"]["revertOnDeletion"] = json!(true);
    let world = World::new().await.ready(object).await;
    world.edit(json!({"revertOnDeletion": false}));
    world.seconds(1).await;
    assert_eq!(world.get("canary", "cart")["metadata"]["finalizers"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn l_36_conditions_over_time() {
    let world = World::initialized("istio", steps(20, 20)).await;
    let mut seen = vec![world.condition("Promoted").unwrap()];
    world.deploy("demo:2");
    world
        .wait_until("it is promoted", |world| {
            let now = world.condition("Promoted").unwrap();
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            world.status()["phase"] == "Succeeded"
        })
        .await;
    let short: Vec<String> = seen.iter().map(|(status, reason, _)| format!("{status}/{reason}")).collect();
    assert_eq!(
        short,
        ["True/Initialized", "Unknown/Progressing", "Unknown/Promoting", "Unknown/Finalising", "True/Succeeded"]
    );
}

#[tokio::test(start_paused = true)]
async fn l_37_old_api_version_in_autoscaler_ref() {
    let world = World::new().await;
    world.apply(hpa("cart"));
    let mut object = canary("cart", "istio", steps(10, 30));
    object["spec"]["autoscalerRef"] =
        json!({"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler", "name": "cart"});
    let world = world.ready(object).await;
    assert_eq!(world.get("hpa", "cart-primary")["spec"]["scaleTargetRef"]["name"], "cart-primary");
}

#[tokio::test(start_paused = true)]
async fn l_38_metric_provider_availability() {
    let world = World::new().await;
    world.net.metric("vector(1)", [Reply::Broken("dial tcp: connection refused", true)]);
    let world = world.ready(canary("cart", "istio", steps(10, 30))).await;
    assert!(
        world.story()[0].starts_with("W Error checking metric providers: prometheus not avaiable: "),
        "{}",
        world.report()
    );
}

#[tokio::test(start_paused = true)]
async fn l_39_crd_validation() {
    let world = World::new().await;
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut object = canary("cart", "istio", steps(10, 30));
        change(&mut object["spec"]);
        world.lab.create(object).is_err()
    };
    assert!(refused(&|spec| spec["analysis"] = json!(null)));
    assert!(refused(&|spec| spec["analysis"]["iterations"] = json!(3)));
    assert!(refused(&|spec| spec["provider"] = json!("mine")));
    assert!(refused(&|spec| spec["targetRef"]["kind"] = json!("StatefulSet")));
    assert!(refused(&|spec| spec["analysis"]["webhooks"] = json!([{"name": "x"}])));
    assert!(refused(&|spec| spec["analysis"]["interval"] = json!("soon")));
    assert!(!refused(&|_| {}));
}
