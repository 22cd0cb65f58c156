//! Acceptance scenarios, section S: strategies and scaling. Each test is named by its number.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use serde_json::{Value, json};

fn ab() -> Value {
    analysis(json!({"iterations": 5, "match": [{"headers": {"x-canary": {"exact": "insider"}}}]}))
}

/// Weights of primary and canary in a route of the VirtualService.
fn route(world: &World, at: usize) -> Vec<(String, i64)> {
    let routes = world.get("virtualservice", "cart")["spec"]["http"][at]["route"].clone();
    let pair = |one: &Value| (one["destination"]["host"].as_str().unwrap().to_owned(), one["weight"].as_i64().unwrap());
    routes.as_array().unwrap().iter().map(pair).collect()
}

fn split(primary: i64, canary: i64) -> Vec<(String, i64)> {
    vec![("cart-primary".to_owned(), primary), ("cart-canary".to_owned(), canary)]
}

#[tokio::test(start_paused = true)]
async fn s_01_ab_testing() {
    let world = World::initialized("istio", ab()).await;
    world.deploy("demo:2");
    world.wait_told("iteration 1/5").await;
    assert_eq!(route(&world, 0), split(0, 100), "those who match");
    assert_eq!(route(&world, 1)[0].0, "cart-primary", "everybody else");
    assert_eq!(world.status()["canaryWeight"], 0);
    world.assert_exposed(r#"flagger_canary_weight{namespace="shop",workload="cart"} 100"#);
    world.wait_for("Succeeded").await;
    let story = world.story_since("Starting canary analysis");
    let iterations: Vec<String> = (1..=5).map(|at| format!("N Advance cart.shop canary iteration {at}/5")).collect();
    assert_eq!(story[..5], iterations);
    assert_eq!(route(&world, 0), split(100, 0));
    world.assert_told("N Routing all traffic to primary");
    world.assert_exposed(r#"flagger_canary_successes_total{analysis_status="completed",deployment_strategy="ab-testing",name="cart",namespace="shop"} 1"#);
}

#[tokio::test(start_paused = true)]
async fn s_02_ab_rollback() {
    let world = World::initialized("istio", ab()).await;
    world.deploy("demo:2");
    world.wait_told("iteration 2/5").await;
    world.net.values("istio_requests_total", &["10"]);
    world.wait_for("Failed").await;
    assert_eq!((route(&world, 0), world.replicas("cart")), (split(100, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn s_03_blue_green_with_a_mesh() {
    let world = World::initialized("istio", iterations(5)).await;
    world.deploy("demo:2");
    world.wait_told("iteration 5/5").await;
    assert_eq!(world.weights(), (100, 0));
    world.wait_told("Routing all traffic to canary").await;
    assert_eq!((world.weights(), world.status()["iterations"].as_i64()), ((0, 100), Some(6)));
    world.wait_for("Succeeded").await;
    let story: Vec<String> =
        world.story_since("iteration 5/5").into_iter().filter(|line| !line.contains("not ready")).collect();
    assert_eq!(
        story,
        [
            "N Routing all traffic to canary",
            "N Copying cart.shop template spec to cart-primary.shop",
            "N Routing all traffic to primary",
            "N Promotion completed! Scaling down cart.shop",
        ]
    );
    assert_eq!(world.weights(), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn s_04_blue_green_without_a_mesh() {
    let world = World::initialized("kubernetes", iterations(3)).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    assert_eq!((world.told("iteration 3/3"), world.told("Routing")), (1, 0));
    assert!(world.try_get("virtualservice", "cart").is_none());

    let spec = analysis(json!({"stepWeight": 10, "match": [{"headers": {"x": {"exact": "1"}}}]}));
    let world = World::initialized("kubernetes", spec).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    world.assert_told("W A/B testing is not supported when using the kubernetes provider");
    world.assert_told("W Progressive traffic is not supported when using the kubernetes provider");
    world.assert_told("W Setting canaryAnalysis.iterations: 10");
    assert_eq!(world.told("iteration 10/10"), 1);
}

#[tokio::test(start_paused = true)]
async fn s_05_mirroring_with_iterations() {
    let spec = analysis(json!({"iterations": 3, "mirror": true, "mirrorWeight": 40}));
    let world = World::initialized("istio", spec.clone()).await;
    world.deploy("demo:2");
    for at in 1..=3 {
        world.wait_told(&format!("iteration {at}/3")).await;
        let http = world.get("virtualservice", "cart")["spec"]["http"][0].clone();
        assert_eq!(
            (&http["mirror"]["host"], &http["mirrorPercentage"]["value"]),
            (&json!("cart-canary"), &json!(40)),
            "{http}"
        );
        assert_eq!(world.weights(), (100, 0));
    }
    world.wait_told("N Stop traffic mirroring and route all traffic to canary").await;
    assert_eq!(
        (world.weights(), &world.get("virtualservice", "cart")["spec"]["http"][0]["mirror"]),
        ((0, 100), &json!(null))
    );
    world.wait_for("Succeeded").await;

    let world = World::initialized("istio", spec).await;
    world.net.values("istio_requests_total", &["10"]);
    world.deploy("demo:2");
    world.wait_for("Failed").await;
    assert_eq!(
        world.get("virtualservice", "cart")["spec"]["http"][0]["mirror"],
        json!(null),
        "it goes with a rollback"
    );
}

#[tokio::test(start_paused = true)]
async fn s_06_mirroring_before_the_first_step() {
    let spec = analysis(json!({"stepWeight": 10, "maxWeight": 30, "mirror": true}));
    let world = World::initialized("istio", spec.clone()).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 0").await;
    assert_eq!(world.get("virtualservice", "cart")["spec"]["http"][0]["mirror"]["host"], "cart-canary");
    world.wait_told("canary weight 10").await;
    assert_eq!(
        (world.weights(), &world.get("virtualservice", "cart")["spec"]["http"][0]["mirror"]),
        ((90, 10), &json!(null))
    );
    world.wait_for("Succeeded").await;
    // Others have the mirror step at most once as well.
    let world = World::new().await;
    world.apply(ingress());
    let world = world.ready(nginx_canary(spec)).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    assert!(world.told("canary weight 0") <= 1);
}

fn scaled(mut canary: Value, more: &Value) -> Value {
    canary["spec"]["autoscalerRef"] =
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "cart"});
    for (key, value) in more.as_object().unwrap() {
        canary["spec"]["autoscalerRef"][key] = value.clone();
    }
    canary
}

fn utilisation(world: &World, name: &str) -> i64 {
    world.get("hpa", name)["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"].as_i64().unwrap()
}

#[tokio::test(start_paused = true)]
async fn s_08_horizontal_pod_autoscaler() {
    let world = World::new().await;
    world.apply(hpa("cart"));
    let world = world.ready(scaled(canary("cart", "istio", steps(10, 20)), &json!({}))).await;
    let (own, primary) = (world.get("hpa", "cart")["spec"].clone(), world.get("hpa", "cart-primary")["spec"].clone());
    assert_eq!(primary["scaleTargetRef"]["name"], "cart-primary");
    assert_eq!(
        (&primary["minReplicas"], &primary["maxReplicas"], &primary["metrics"]),
        (&own["minReplicas"], &own["maxReplicas"], &own["metrics"])
    );
    let mut metrics = own["metrics"].clone();
    metrics[0]["resource"]["target"]["averageUtilization"] = json!(50);
    world.merge("hpa", "cart", json!({"spec": {"metrics": metrics}}));
    world.seconds(60).await;
    assert_eq!(utilisation(&world, "cart-primary"), 99, "not before a rollout");
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    assert_eq!(world.replicas("cart"), 2, "as few as the autoscaler wants");
    world.wait_for("Succeeded").await;
    assert_eq!((utilisation(&world, "cart-primary"), world.replicas("cart")), (50, 0));
    assert!(world.try_get("hpa", "cart").is_some());
}

#[tokio::test(start_paused = true)]
async fn s_08_replicas_of_the_primary_only() {
    let world = World::new().await;
    world.apply(hpa("cart"));
    let more = json!({"primaryScalerReplicas": {"minReplicas": 3, "maxReplicas": 5}});
    let world = world.ready(scaled(canary("cart", "istio", steps(10, 20)), &more)).await;
    let primary = world.get("hpa", "cart-primary")["spec"].clone();
    assert_eq!((&primary["minReplicas"], &primary["maxReplicas"]), (&json!(3), &json!(5)));
}

/// What this version cannot do is refused, not half done.
async fn refused(canary: Value, text: &str) {
    let world = World::new().await;
    world.apply(secret("one"));
    let before = world.apply(deployment("cart", "demo:1"));
    world.apply(canary);
    world.seconds(120).await;
    assert_eq!(world.story(), [format!("W {text}")]);
    assert_eq!(world.condition("Stalled").unwrap().2, text);
    assert_eq!(world.get("deploy", "cart")["spec"], before["spec"], "nothing is touched");
    assert!(world.try_get("deploy", "cart-primary").is_none() && world.lab.list("service", "shop").is_empty());
}

#[tokio::test(start_paused = true)]
async fn s_09_keda_is_refused_while_there_is_no_scaler_for_it() {
    let canary = scaled(
        canary("cart", "istio", steps(10, 20)),
        &json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "cart-so"}),
    );
    refused(canary, "autoscaler kind ScaledObject is not supported by this version, nothing is changed").await;
}

#[tokio::test(start_paused = true)]
async fn s_10_and_s_11_other_targets_are_refused_while_they_are_not_built() {
    for kind in ["DaemonSet", "Service"] {
        let mut canary = canary("cart", "istio", steps(10, 20));
        canary["spec"]["targetRef"]["kind"] = json!(kind);
        refused(canary, &format!("target kind {kind} is not supported by this version, nothing is changed")).await;
    }
}
