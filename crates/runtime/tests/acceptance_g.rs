//! Acceptance scenarios, section G: gates, hooks, events and alerts. Each test is named by its number.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use serde_json::{Value, json};

/// A world with receivers of alerts of every severity, named by it.
async fn with_alerts(mut spec: Value) -> World {
    let world = World::new().await;
    let severities = ["error", "warn", "info"];
    for name in severities {
        world.alert_provider(name);
    }
    spec["alerts"] =
        severities.iter().map(|name| json!({"name": name, "severity": name, "providerRef": {"name": name}})).collect();
    world.ready(canary("cart", "istio", spec)).await
}

#[tokio::test(start_paused = true)]
async fn g_01_confirm_rollout_closed() {
    let world = with_alerts(with_hook(steps(10, 30), "confirm-rollout", "gate")).await;
    world.net.hook_says("gate", 403, "Forbidden");
    world.deploy("demo:2");
    world.wait_for("Waiting").await;
    world.seconds(60).await;
    assert_eq!(world.story_since("Initialization done"), ["W Halt cart.shop advancement waiting for approval gate"]);
    assert_eq!(world.alerts("warn"), ["Canary is waiting for approval."]);
    assert_eq!(world.replicas("cart"), 0);
    let (status, reason, message) = world.condition("Promoted").unwrap();
    assert_eq!((status.as_str(), reason.as_str(), message.as_str()), ("Unknown", "Waiting", "Waiting for approval."));
    let asked = world.net.sent_to("hooks/gate");
    assert_eq!(
        (&asked[0].body["phase"], &asked.last().unwrap().body["phase"]),
        (&json!("Initialized"), &json!("Waiting"))
    );
    assert!((6..=8).contains(&asked.len()), "once an interval: {}", asked.len());
    // Another address: asked at once or an interval later.
    let mut hooks = world.get("canary", "cart")["spec"]["analysis"]["webhooks"].clone();
    hooks[0]["url"] = json!("http://hooks/approve");
    world.edit(json!({"analysis": {"webhooks": hooks}}));
    world.wait_for("Succeeded").await;
    assert_eq!(
        world.story_since("waiting for approval")[..2],
        ["N Confirm-rollout check gate passed", "N New revision detected! Scaling up cart.shop"]
    );
}

#[tokio::test(start_paused = true)]
async fn g_01_a_muted_gate_sends_no_alert() {
    let mut spec = with_hook(steps(10, 30), "confirm-rollout", "gate");
    spec["webhooks"][0]["muteAlert"] = json!(true);
    let world = with_alerts(spec).await;
    world.net.hook_says("gate", 403, "");
    world.deploy("demo:2");
    world.wait_for("Waiting").await;
    assert!(world.alerts("warn").is_empty());
}

#[tokio::test(start_paused = true)]
async fn g_03_confirm_promotion() {
    let world = with_alerts(with_hook(with_hook(steps(10, 20), "confirm-promotion", "gate"), "rollout", "load")).await;
    world.net.hook_says("gate", 403, "");
    world.deploy("demo:2");
    world.wait_for("WaitingPromotion").await;
    let (checks, queries) = (world.net.sent_to("hooks/load").len(), world.net.queries().len());
    world.seconds(60).await;
    assert!(
        world.net.sent_to("hooks/load").len() >= checks + 5 && world.net.queries().len() >= queries + 5,
        "the checks go on"
    );
    assert_eq!(
        (world.weights(), world.status()["canaryWeight"].as_i64(), world.status()["iterations"].as_i64()),
        ((80, 20), Some(0), Some(-1))
    );
    assert_eq!(world.alerts("warn"), ["Canary promotion is waiting for approval."]);
    assert_eq!(world.told("Halt cart.shop advancement waiting for promotion approval gate"), 1);
    world.net.hook_says("gate", 200, "");
    world.wait_for("Succeeded").await;
    assert_eq!(
        world.story_since("waiting for promotion approval")[..2],
        ["N Confirm-promotion check gate passed", "N Copying cart.shop template spec to cart-primary.shop"]
    );
}

#[tokio::test(start_paused = true)]
async fn g_03_a_canary_that_waits_for_its_promotion_can_fail() {
    let world = World::initialized("istio", with_hook(steps(10, 20), "confirm-promotion", "gate")).await;
    world.net.hook_says("gate", 403, "");
    world.deploy("demo:2");
    world.wait_for("WaitingPromotion").await;
    world.net.values("istio_requests_total", &["1"]);
    world.wait_for("Failed").await;
    assert_eq!(world.weights(), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn g_03_blue_green_repeats_the_last_iteration() {
    let world = World::initialized("istio", with_hook(iterations(3), "confirm-promotion", "gate")).await;
    world.net.hook_says("gate", 403, "");
    world.deploy("demo:2");
    world.wait_for("WaitingPromotion").await;
    world.seconds(60).await;
    assert!(world.told("Advance cart.shop canary iteration 3/3") > 2, "{}", world.report());
    world.net.hook_says("gate", 200, "");
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn g_04_confirm_traffic_increase() {
    let world = with_alerts(with_hook(steps(10, 30), "confirm-traffic-increase", "gate")).await;
    world.net.hook("gate", [Reply::status(200), Reply::status(403)]);
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    world.seconds(45).await;
    assert_eq!(
        (world.weights(), world.status()["failedChecks"].as_i64(), world.status()["phase"].as_str()),
        ((90, 10), Some(0), Some("Progressing"))
    );
    assert!(world.told("W Halt cart.shop advancement waiting for traffic increase approval gate") >= 4);
    assert_eq!(world.alerts("warn"), ["Canary traffic increase is waiting for approval."]);
    world.net.hook_says("gate", 200, "");
    world.wait_for("Succeeded").await;
    world.assert_told("N Confirm-traffic-increase check gate passed");
}

#[tokio::test(start_paused = true)]
async fn g_05_pre_rollout_failing() {
    for status in [400, 500] {
        let world = World::initialized("istio", with_hook(steps(10, 30), "pre-rollout", "smoke")).await;
        world.net.hook_says("smoke", status, "boom");
        world.deploy("demo:2");
        world.wait_for("Failed").await;
        assert_eq!(
            world.told("W Halt cart.shop advancement pre-rollout check smoke failed boom"),
            2,
            "{}",
            world.report()
        );
        assert_eq!((world.told("Advance"), world.alerts("x").len()), (0, 0));
        assert_eq!(world.writes_to("virtualservices.networking.istio.io").len(), 1, "no traffic moved");
    }
}

#[tokio::test(start_paused = true)]
async fn g_06_rollout_hook_failing() {
    let world = World::initialized("istio", with_hook(steps(10, 30), "", "load")).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    let queries = world.net.queries().len();
    world.net.hook_says("load", 400, "no load");
    world.wait_told("W Halt cart.shop advancement external check load failed no load").await;
    assert_eq!((world.net.queries().len(), world.status()["failedChecks"].as_i64()), (queries, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn g_07_post_rollout() {
    let world = World::initialized("istio", with_hook(steps(10, 10), "post-rollout", "after")).await;
    world.deploy("demo:2");
    world.wait_told("N Post-rollout check after passed").await;
    assert_eq!(world.net.sent_to("hooks/after")[0].body["phase"], "Succeeded");
    world.wait_told("Promotion completed!").await;
    world.net.hook_says("after", 400, "oh");
    world.net.values("istio_requests_total", &["1"]);
    world.deploy("demo:3");
    world.wait_told("W Post-rollout hook after failed oh").await;
    assert_eq!(world.net.sent_to("hooks/after").last().unwrap().body["phase"], "Failed");
    assert_eq!(world.status()["phase"], "Failed");
}

#[tokio::test(start_paused = true)]
async fn g_08_rollback_hook() {
    let world = with_alerts(with_hook(steps(10, 50), "rollback", "undo")).await;
    world.net.hook_says("undo", 403, "");
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    world.net.hook_says("undo", 200, "");
    world.wait_for("Failed").await;
    assert_eq!(
        world.story_since("canary weight 20"),
        [
            "W Rollback check undo passed",
            "W Rolling back cart.shop manual webhook invoked",
            "W Canary failed! Scaling down cart.shop"
        ]
    );
    world.assert_told("N Rollback hook undo not signaling a rollback");
    assert_eq!(world.alerts("warn"), ["Rolling back manual webhook invoked"]);
    assert_eq!((world.weights(), world.replicas("cart")), ((100, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn g_08_the_rollback_hook_is_asked_while_the_gate_is_closed() {
    let world =
        World::initialized("istio", with_hook(with_hook(steps(10, 50), "rollback", "undo"), "confirm-rollout", "gate"))
            .await;
    world.net.hook_says("gate", 403, "");
    world.net.hook_says("undo", 403, "");
    world.deploy("demo:2");
    world.wait_for("Waiting").await;
    world.net.hook_says("undo", 200, "");
    world.wait_for("Failed").await;
}

#[tokio::test(start_paused = true)]
async fn g_09_status_codes() {
    for (status, passes) in
        [(200, true), (201, true), (202, true), (204, false), (404, false), (501, false), (429, false)]
    {
        let world = World::initialized("istio", with_hook(steps(10, 10), "pre-rollout", "smoke")).await;
        world.net.hook_says("smoke", status, "");
        world.deploy("demo:2");
        world.wait_for(if passes { "Succeeded" } else { "Failed" }).await;
    }
    let mut spec = with_hook(steps(10, 10), "pre-rollout", "smoke");
    spec["webhooks"][0]["retries"] = json!(3);
    let world = World::initialized("istio", spec).await;
    world.net.hook(
        "smoke",
        [Reply::status(500), Reply::Broken("connection refused", true), Reply::status(503), Reply::status(200)],
    );
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    let at: Vec<u64> =
        world.net.sent_to("hooks/smoke").windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs()).collect();
    assert_eq!(at, [1, 2, 4], "growing pauses");
    world.net.hook("smoke", [Reply::Broken("connection refused", true)]);
    world.deploy("demo:3");
    world.wait_for("Failed").await;
    world.assert_told(
        r#"W Halt cart.shop advancement pre-rollout check smoke failed POST http://hooks/smoke giving up after 4 attempt(s): Post "http://hooks/smoke": connection refused"#,
    );
}

#[tokio::test(start_paused = true)]
async fn g_10_payload() {
    let mut spec = with_hook(steps(10, 10), "pre-rollout", "smoke");
    spec["webhooks"][0]["metadata"] = json!({"who": "me"});
    let world = World::initialized("istio", spec).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    world.deploy("demo:3");
    world.wait_told("New revision").await;
    world.wait_for("Progressing").await;
    world.wait_for("Succeeded").await;
    let sent = world.net.sent_to("hooks/smoke");
    let body = &sent[0].body;
    assert_eq!(
        body.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["name", "namespace", "phase", "checksum", "metadata"]
    );
    assert_eq!(
        (&body["name"], &body["namespace"], &body["phase"], &body["metadata"]),
        (&json!("cart"), &json!("shop"), &json!("Progressing"), &json!({"who": "me"}))
    );
    assert!(sent[0].headers.contains(&("Content-Type".to_owned(), "application/json".to_owned())));
    assert_ne!(body["checksum"], sent[1].body["checksum"], "another revision");
}

#[tokio::test(start_paused = true)]
async fn g_11_event_webhook() {
    let world = World::initialized("istio", steps(10, 10)).await;
    let last = world.net.told().last().unwrap().payload.clone();
    assert_eq!(last["metadata"]["eventMessage"], "Initialization done! cart.shop");
    assert_eq!(last["metadata"]["eventType"], "Normal");
    assert!(last["metadata"]["timestamp"].as_str().unwrap().starts_with("18934560"), "milliseconds: {last}");

    let mut spec = with_hook(steps(10, 10), "event", "events-of-mine");
    spec["webhooks"][0]["metadata"] = json!({"team": "a", "eventType": "Mine"});
    let world = World::initialized("istio", spec).await;
    assert!(world.net.told().is_empty(), "instead of the global one");
    let last = world.net.sent_to("events-of-mine").last().unwrap().body.clone();
    assert_eq!((&last["metadata"]["team"], &last["metadata"]["eventType"]), (&json!("a"), &json!("Normal")));
}

#[tokio::test(start_paused = true)]
async fn g_12_alert_severities() {
    let world = with_alerts(steps(10, 10)).await;
    assert_eq!((world.alerts("info").len(), world.alerts("warn").len(), world.alerts("error").len()), (1, 0, 0));
    world.net.values("istio_requests_total", &["1"]);
    world.deploy("demo:2");
    world.wait_for("Failed").await;
    for name in ["info", "warn", "error"] {
        assert_eq!(world.alerts(name).last().unwrap(), "Failed checks threshold reached 2", "{name}");
    }
    // Left empty it is info.
    let world = World::new().await;
    world.alert_provider("all");
    let mut spec = steps(10, 10);
    spec["alerts"] = json!([{"name": "all", "providerRef": {"name": "all"}}]);
    let world = world.ready(canary("cart", "istio", spec)).await;
    assert_eq!(world.alerts("all"), ["New Deployment detected, initialization completed."]);
}

#[tokio::test(start_paused = true)]
async fn g_13_alert_routing() {
    let mut setup = Setup::default();
    setup.settings.cluster_name = "east".to_owned();
    setup.receivers.notifier = Some(providers::alerts::Channel {
        kind: "slack".to_owned(),
        address: providers::http::Secret::new("http://alerts/global"),
        token: None,
        username: "flagger".to_owned(),
        channel: "general".to_owned(),
        proxy: None,
    });
    let world = World::with(setup).await;
    world.alert_provider("plain");
    world.apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "address", "namespace": "shop"},
        "stringData": {"address": "http://alerts/secret", "token": "abc"}}));
    world.apply(json!({"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "secret", "namespace": "shop"},
        "spec": {"type": "slack", "channel": "general", "username": "flagger", "address": "http://alerts/wrong", "secretRef": {"name": "address"}}}));
    let mut spec = steps(10, 10);
    spec["alerts"] = json!([
        {"name": "a", "severity": "info", "providerRef": {"name": "missing"}},
        {"name": "b", "severity": "info", "providerRef": {"name": "secret"}},
        {"name": "c", "severity": "info", "providerRef": {"name": "plain"}},
    ]);
    let world = world.ready(canary("cart", "istio", spec)).await;
    assert_eq!(
        (
            world.alerts("plain").len(),
            world.alerts("secret").len(),
            world.alerts("wrong").len(),
            world.alerts("global").len()
        ),
        (1, 1, 0, 0)
    );
    let sent = &world.net.sent_to("alerts/secret")[0];
    assert!(
        sent.headers.iter().any(|(name, value)| name == "Authorization" && value == "Bearer abc"),
        "{:?}",
        sent.headers
    );
    let fields: Vec<&str> = sent.body["attachments"][0]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["title"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["Cluster", "Target", "Failed checks threshold", "Progress deadline", "Traffic routing"]);
    world.edit(json!({"analysis": {"alerts": null}}));
    world.deploy("demo:2");
    world.wait_told("Promotion completed!").await;
    assert_eq!((world.alerts("global").len(), world.alerts("plain").len()), (2, 1));
}
