//! S000, the end: releases that are taken back, and who hears of it.

use crate::documents::*;
use crate::harness::*;
use lab::dataplane::split::Asked;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn s000_18_rollback_at_the_threshold() {
    let world = frontend().await;
    world.edit(json!({"analysis": {"threshold": 2}}));
    world.deploy("registry.example.com/web/frontend:1.4.1");
    world.wait_told("iteration 3/12").await;
    world.net.values("istio_requests_total", &["69.169", "61.394"]);
    world.wait_for("Failed").await;
    assert_eq!(
        world.story_since("iteration 3/12"),
        [
            "W Halt frontend.prod advancement success rate 69.17% < 99%",
            "W Halt frontend.prod advancement success rate 61.39% < 99%",
            "W Rolling back frontend.prod failed checks threshold reached 2",
            "W Canary failed! Scaling down frontend.prod",
        ]
    );
    assert_eq!((world.replicas("frontend"), world.status()["failedChecks"].as_i64()), (0, Some(0)));
    let insider = Asked::get("prod", "frontend", "/").with("Cookie", "type=insider");
    assert_eq!(share(&world, &insider, "frontend-primary"), 100);
    assert_eq!(world.image("frontend-primary"), "registry.example.com/web/frontend:1.4.0");
}

#[tokio::test(start_paused = true)]
async fn s000_19_the_chat_hears_of_the_beginning_and_the_end() {
    let mut without = setup();
    without.receivers.notifier = None;
    let mut world = initialized_with(without, &manifests("gitops-istio/apps"), "prod", "backend").await;
    world.wait_for_of("frontend", "Initialized").await;
    let specs = |kind: &str, world: &World| {
        world.lab.list(kind, "prod").iter().map(|object| object["spec"].clone()).collect::<Vec<_>>()
    };
    let objects = |world: &World| ["deploy", "service", "virtualservice", "hpa"].map(|kind| specs(kind, world));
    let before = objects(&world);
    world.upgrade(|_, receivers| receivers.notifier = Some(chat("slack"))).await;
    assert_eq!(objects(&world), before, "the values of the chat change nothing else");
    world.deploy("registry.example.com/web/backend:1.4.1");
    world.wait_told("Promotion completed!").await;
    world.net.values("istio_requests_total", &["1"]);
    world.deploy("registry.example.com/web/backend:1.4.2");
    world.wait_for("Failed").await;
    world.seconds(1).await;
    assert_eq!(
        chatted(&world),
        [
            "New revision detected, progressing canary analysis.",
            "Canary analysis completed successfully, promotion finished.",
            "New revision detected, progressing canary analysis.",
            "Failed checks threshold reached 10",
        ]
    );
    let sent = &world.net.sent_to(CHAT)[0].body;
    assert_eq!((&sent["username"], &sent["channel"]), (&json!("flagger"), &json!("general")));
    assert_eq!(sent["attachments"][0]["author_name"], "backend.prod");
    // With the values from the start, the initialisation is told too.
    let world = backend().await;
    world.wait_until("it is told", |world| !chatted(world).is_empty()).await;
    assert_eq!(chatted(&world)[0], "New Deployment detected, initialization completed.");
}

#[tokio::test(start_paused = true)]
async fn s000_20_the_chat_hears_of_pods_that_do_not_start() {
    let world = backend().await;
    // The pods from before are gone.
    world.seconds(30).await;
    let why = "canary deployment backend.prod not ready: waiting for rollout to finish: 0 of 2 (readyThreshold 100%) updated replicas are available";
    world.merge(
        "deploy",
        "backend",
        json!({"spec": {"progressDeadlineSeconds": 600, "template": {"metadata": {"annotations": {"sim/ready-after": "never"}}}}}),
    );
    world.wait_for("Failed").await;
    world.assert_told(&format!("W Rolling back backend.prod progress deadline exceeded {why}"));
    world.assert_told("W Canary failed! Scaling down backend.prod");
    world.seconds(1).await;
    assert_eq!(chatted(&world).last().unwrap(), &format!("Progress deadline exceeded {why}"));
    assert_eq!((world.replicas("backend"), world.weights()), (0, (100, 0)));
}

/// The rule itself is tried with promtool (`monitoring/alerts.test.yaml`).
#[tokio::test(start_paused = true)]
async fn s000_21_a_failed_release_shows_in_the_metric_of_the_alert_rule() {
    let world = backend().await;
    world.assert_exposed(r#"flagger_canary_status{name="backend",namespace="prod"} 1"#);
    world.net.values("istio_requests_total", &["1"]);
    world.deploy("registry.example.com/web/backend:1.4.1");
    world.wait_for("Failed").await;
    world.seconds(60).await;
    world.assert_exposed(r#"flagger_canary_status{name="backend",namespace="prod"} 2"#);
    world.net.values("istio_requests_total", &["100"]);
    world.deploy("registry.example.com/web/backend:1.4.2");
    world.wait_for("Progressing").await;
    world.assert_exposed(r#"flagger_canary_status{name="backend",namespace="prod"} 0"#);
    world.wait_for("Succeeded").await;
    world.assert_exposed(r#"flagger_canary_status{name="backend",namespace="prod"} 1"#);
}
