//! Acceptance scenarios, section L: the life of a Canary, whatever the provider. Each test is named by its number.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn l_01_initialization_creates_the_primary_side() {
    let world = World::initialized("istio", steps(10, 30)).await;
    let primary = world.get("deploy", "cart-primary");
    assert_eq!(primary["spec"]["selector"]["matchLabels"], json!({"app": "cart-primary"}));
    assert_eq!(primary["spec"]["replicas"], 1);
    assert_eq!(primary["metadata"]["ownerReferences"][0]["kind"], "Canary");
    assert_eq!(primary["metadata"]["ownerReferences"][0]["controller"], true);
    assert_eq!(
        primary["spec"]["template"]["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"],
        "cart-secret-primary"
    );
    for (name, pods) in [("cart", "cart-primary"), ("cart-primary", "cart-primary"), ("cart-canary", "cart")] {
        let service = world.get("service", name);
        assert_eq!(service["spec"]["selector"], json!({"app": pods}), "{name}");
        assert_eq!(service["metadata"]["labels"], json!({"app": name}));
        assert_eq!(
            service["metadata"]["annotations"],
            json!({"kustomize.toolkit.fluxcd.io/reconcile": "disabled", "helm.toolkit.fluxcd.io/driftDetection": "disabled"})
        );
    }
    assert_eq!(world.get("secret", "cart-secret-primary")["data"], world.get("secret", "cart-secret")["data"]);
    assert_eq!(world.replicas("cart"), 0);
    let status = world.status();
    assert_eq!((&status["phase"], &status["canaryWeight"]), (&json!("Initialized"), &json!(0)));
    assert_eq!(status["lastAppliedSpec"], status["lastPromotedSpec"]);
    assert_eq!(world.story().last().unwrap(), "N Initialization done! cart.shop");
}

const TOOLKIT: [&str; 2] = ["helm.toolkit.fluxcd.io/driftDetection", "kustomize.toolkit.fluxcd.io/reconcile"];

/// Position of the first write of the operator that begins so.
fn position(world: &World, call: &str) -> usize {
    let log = world.lab.requests();
    let at = log
        .entries()
        .filter(|entry| entry.call.user_agent == "flagger")
        .position(|entry| entry.call.to_string().starts_with(call));
    at.unwrap_or_else(|| panic!("never: {call}\n{}", world.report()))
}

fn settings(change: impl FnOnce(&mut api::Settings)) -> Setup {
    let mut setup = Setup::default();
    change(&mut setup.settings);
    setup
}

#[tokio::test(start_paused = true)]
async fn l_02_order_protects_traffic() {
    let world = World::new().await;
    let mut slow = deployment("cart", "demo:1");
    slow["spec"]["template"]["metadata"]["annotations"]["sim/ready-after"] = json!("25");
    world.apply(secret("one"));
    world.apply(slow);
    world.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"selector": {"app": "cart"}, "ports": [{"port": 9000}]}}));
    world.apply(canary("cart", "istio", steps(10, 30)));
    world.seconds(15).await;
    assert_eq!(world.get("service", "cart")["spec"]["selector"], json!({"app": "cart"}), "the primary is not ready");
    assert_eq!(world.replicas("cart"), 1);
    assert!(world.try_get("virtualservice", "cart").is_none());
    world.assert_told("W cart-primary.shop not ready: waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available");
    world.wait_for("Initialized").await;
    let switched = position(&world, "patch services shop/cart");
    assert!(
        switched < position(&world, "patch deployments.apps shop/cart"),
        "clients are sent away before the pods go"
    );
    assert!(switched < position(&world, "create virtualservices.networking.istio.io shop"));
}

#[tokio::test(start_paused = true)]
async fn l_03_initialization_without_analysis_does_not_wait() {
    let world = World::new().await;
    let mut slow = deployment("cart", "demo:1");
    slow["spec"]["template"]["metadata"]["annotations"]["sim/ready-after"] = json!("40");
    world.apply(secret("one"));
    world.apply(slow);
    let mut canary = canary("cart", "istio", steps(10, 30));
    canary["spec"]["skipAnalysis"] = json!(true);
    world.apply(canary);
    world.seconds(2).await;
    assert_eq!((world.status()["phase"].as_str(), world.replicas("cart")), (Some("Initialized"), 0));
}

#[tokio::test(start_paused = true)]
async fn l_04_labels_and_annotations_by_prefix() {
    let world =
        World::with(settings(|settings| settings.include_label_prefixes = vec!["app.kubernetes.io".to_owned()])).await;
    let world = world.ready(canary("cart", "istio", steps(10, 30))).await;
    let primary = world.get("deploy", "cart-primary");
    assert_eq!(primary["metadata"]["labels"]["app.kubernetes.io/managed-by"], "keep-me");
    assert_eq!(primary["metadata"]["annotations"]["app.kubernetes.io/instance"], "keep-me-too");

    let world = World::initialized("istio", steps(10, 30)).await;
    let primary = world.get("deploy", "cart-primary");
    assert_eq!(primary["metadata"]["labels"], json!({"app": "cart-primary"}));
    assert_eq!(primary["metadata"]["annotations"]["app.kubernetes.io/instance"], "keep-me-too");
}

#[tokio::test(start_paused = true)]
async fn l_05_selector_label_choice() {
    for (label, setup) in [
        ("name", Setup::default()),
        ("app.kubernetes.io/name", Setup::default()),
        ("service", settings(|settings| settings.selector_labels = vec!["service".to_owned()])),
    ] {
        let world = World::with(setup).await;
        let mut target = deployment("cart", "demo:1");
        target["spec"]["selector"]["matchLabels"] = json!({label: "cart"});
        target["spec"]["template"]["metadata"]["labels"] = json!({label: "cart"});
        world.apply(secret("one"));
        world.apply(target);
        world.apply(canary("cart", "istio", steps(10, 30)));
        world.wait_for("Initialized").await;
        assert_eq!(
            world.get("deploy", "cart-primary")["spec"]["selector"]["matchLabels"],
            json!({label: "cart-primary"})
        );
    }
    let world = World::new().await;
    let mut target = deployment("cart", "demo:1");
    target["spec"]["selector"]["matchLabels"] = json!({"service": "cart"});
    target["spec"]["template"]["metadata"]["labels"] = json!({"service": "cart"});
    world.apply(target);
    world.apply(canary("cart", "istio", steps(10, 30)));
    world.seconds(60).await;
    let text = "getSelectorLabel failed: deployment cart.shop spec.selector.matchLabels must contain one of [app name app.kubernetes.io/name]";
    assert_eq!(world.story(), [format!("W {text}")]);
    assert_eq!(world.condition("Stalled").unwrap().2, text);
}

#[tokio::test(start_paused = true)]
async fn l_06_port_discovery() {
    let world = World::new().await;
    let mut canary = canary("cart", "istio", steps(10, 30));
    canary["spec"]["service"] = json!({"port": 80, "targetPort": 8080, "portDiscovery": true});
    let world = world.ready(canary).await;
    for name in ["cart", "cart-canary", "cart-primary"] {
        let service = world.get("service", name);
        let ports: Vec<(&str, i64, i64)> = service["spec"]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| {
                (port["name"].as_str().unwrap(), port["port"].as_i64().unwrap(), port["targetPort"].as_i64().unwrap())
            })
            .collect();
        let mut sorted = ports.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [("grpc", 9999, 9999), ("http", 80, 8080), ("http-metrics", 9090, 9090)], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn l_07_service_customisation() {
    let world = World::new().await;
    let mut canary = canary("cart", "istio", steps(10, 30));
    canary["spec"]["service"] = json!({
        "port": 8080, "portName": "http-cart", "appProtocol": "http", "unmanagedMetadata": {"annotations": ["mine"], "labels": []},
        "apex": {"annotations": {"a": "1"}, "labels": {"l": "apex"}}, "canary": {"labels": {"l": "canary"}}, "primary": {"annotations": {"p": "1"}},
    });
    let world = world.ready(canary).await;
    assert_eq!(world.get("service", "cart")["metadata"]["labels"], json!({"app": "cart", "l": "apex"}));
    assert_eq!(world.get("service", "cart-canary")["metadata"]["labels"]["l"], "canary");
    assert_eq!(world.get("service", "cart-primary")["metadata"]["annotations"]["p"], "1");
    assert_eq!(world.get("virtualservice", "cart")["metadata"]["annotations"]["a"], "1");
    assert_eq!(world.get("service", "cart")["spec"]["ports"][0]["name"], "http-cart");
    assert_eq!(world.get("service", "cart")["spec"]["ports"][0]["appProtocol"], "http");
    world.merge("service", "cart", json!({"metadata": {"annotations": {"foreign": "1", "mine": "1"}}}));
    world.seconds(1).await;
    let annotations = world.get("service", "cart")["metadata"]["annotations"].clone();
    assert_eq!(
        (&annotations["foreign"], &annotations["mine"]),
        (&json!(null), &json!("1")),
        "taken back at once, but for what is unmanaged"
    );
    world.edit(json!({"service": {"apex": null}}));
    world.seconds(1).await;
    assert_eq!(world.get("service", "cart")["metadata"]["annotations"]["a"], json!(null));
    assert_eq!(world.get("service", "cart")["metadata"]["labels"], json!({"app": "cart"}));
}

#[tokio::test(start_paused = true)]
async fn l_08_adoption_of_an_existing_service() {
    let world = World::new().await;
    world.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop", "labels": {"mine": "yes"}},
        "spec": {"selector": {"app": "cart"}, "ports": [{"port": 9000}]}}));
    let world = world.ready(canary("cart", "istio", steps(10, 30))).await;
    let service = world.get("service", "cart");
    assert_eq!(service["spec"]["selector"], json!({"app": "cart-primary"}));
    assert_eq!(service["spec"]["ports"][0]["port"], 8080);
    assert_eq!(service["metadata"]["ownerReferences"], json!(null));
    assert_eq!(service["metadata"]["labels"], json!({"mine": "yes"}));
    let annotations = service["metadata"]["annotations"].as_object().unwrap();
    assert_eq!(
        annotations.keys().collect::<std::collections::BTreeSet<_>>(),
        TOOLKIT.map(str::to_owned).iter().collect()
    );
}

#[tokio::test(start_paused = true)]
async fn l_09_happy_promotion() {
    let world = World::initialized("istio", with_hook(steps(10, 30), "pre-rollout", "smoke")).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    assert_eq!(
        world.story_since("Initialization done!"),
        [
            "N New revision detected! Scaling up cart.shop",
            "W canary deployment cart.shop not ready: waiting for rollout to finish: observed deployment generation less than desired generation",
            "N Starting canary analysis for cart.shop",
            "N Pre-rollout check smoke passed",
            "N Advance cart.shop canary weight 10",
            "N Advance cart.shop canary weight 20",
            "N Advance cart.shop canary weight 30",
            "N Copying cart.shop template spec to cart-primary.shop",
            "W cart-primary.shop not ready: waiting for rollout to finish: observed deployment generation less than desired generation",
            "N Routing all traffic to primary",
            "N Promotion completed! Scaling down cart.shop",
        ]
    );
    assert_eq!(
        (world.image("cart-primary"), world.replicas("cart"), world.weights()),
        ("demo:2".to_owned(), 0, (100, 0))
    );
    let id = world.get("deploy", "cart-primary")["spec"]["template"]["metadata"]["annotations"]["flagger-id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
    assert_eq!(world.status()["lastAppliedSpec"], world.status()["lastPromotedSpec"]);
    let promoted = world.condition("Promoted").unwrap();
    assert_eq!((promoted.0.as_str(), promoted.1.as_str()), ("True", "Succeeded"));
    world.assert_exposed(r#"flagger_canary_successes_total{analysis_status="completed",deployment_strategy="canary",name="cart",namespace="shop"} 1"#);
    world.assert_exposed(r#"flagger_canary_status{name="cart",namespace="shop"} 1"#);
    let events = world.kubernetes_events();
    assert!(events.contains(&("Normal".to_owned(), "Advance cart.shop canary weight 20".to_owned())), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn l_10_to_l_12_steps() {
    for (spec, expected) in [
        (steps(20, 50), vec![20, 40, 60]),
        (analysis(json!({"stepWeight": 40})), vec![40, 80, 100]),
        (analysis(json!({"stepWeights": [1, 2, 10, 80]})), vec![1, 2, 10, 80]),
        (analysis(json!({"stepWeights": [1, 2, 10, 200]})), vec![1, 2, 10, 100]),
        (analysis(json!({"stepWeights": [10, 20, 30, 40, 50, 60], "maxWeight": 50})), vec![10, 20, 30, 40, 50, 60]),
    ] {
        let world = World::initialized("istio", spec).await;
        world.deploy("demo:2");
        world.wait_for("Succeeded").await;
        let told: Vec<String> = world.story().into_iter().filter(|line| line.contains("Advance")).collect();
        let expected: Vec<String> =
            expected.into_iter().map(|weight| format!("N Advance cart.shop canary weight {weight}")).collect();
        assert_eq!(told, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn l_12_staged_promotion() {
    let world = World::initialized("istio", analysis(json!({"stepWeight": 100, "stepWeightPromotion": 50}))).await;
    world.deploy("demo:2");
    world.wait_told("primary weight 50").await;
    assert_eq!(
        (world.weights(), world.status()["phase"].as_str(), world.status()["canaryWeight"].as_i64()),
        ((50, 50), Some("Promoting"), Some(50))
    );
    world.wait_told("primary weight 100").await;
    assert_eq!((world.weights(), world.status()["phase"].as_str()), ((100, 0), Some("Finalising")));
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn l_13_metric_failure_and_rollback() {
    let mut spec = steps(10, 30);
    spec["alerts"] = json!([{"name": "all", "severity": "error", "providerRef": {"name": "errors"}}]);
    let world = World::new().await;
    world.alert_provider("errors");
    let world = world.ready(canary("cart", "istio", spec)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    world.net.values("istio_requests_total", &["69.169"]);
    world.wait_told("Halt cart.shop").await;
    assert_eq!((world.weights(), world.status()["failedChecks"].as_i64()), ((90, 10), Some(1)));
    world.wait_for("Failed").await;
    assert_eq!(
        world.story_since("canary weight 10"),
        [
            "W Halt cart.shop advancement success rate 69.17% < 99%",
            "W Halt cart.shop advancement success rate 69.17% < 99%",
            "W Rolling back cart.shop failed checks threshold reached 2",
            "W Canary failed! Scaling down cart.shop",
        ]
    );
    let status = world.status();
    assert_eq!(
        (world.weights(), world.replicas("cart"), status["failedChecks"].as_i64(), status["canaryWeight"].as_i64()),
        ((100, 0), 0, Some(0), Some(0))
    );
    assert_eq!(
        world.condition("Promoted").unwrap(),
        ("False".to_owned(), "Failed".to_owned(), "Canary analysis failed, Deployment scaled to zero.".to_owned())
    );
    assert_ne!(status["lastAppliedSpec"], status["lastPromotedSpec"]);
    world.assert_exposed(r#"flagger_canary_failures_total{analysis_status="completed",deployment_strategy="canary",name="cart",namespace="shop"} 1"#);
    world.assert_exposed(r#"flagger_canary_status{name="cart",namespace="shop"} 2"#);
    assert_eq!(world.alerts("errors"), ["Failed checks threshold reached 2"]);
    assert_eq!(world.image("cart-primary"), "demo:1");
}

#[tokio::test(start_paused = true)]
async fn l_14_failed_checks_accumulate() {
    let world = World::initialized("istio", steps(10, 50)).await;
    world.net.values("istio_requests_total", &["50", "100", "50"]);
    world.deploy("demo:2");
    world.wait_for("Failed").await;
    assert_eq!((world.told("Advance"), world.told("Halt")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn l_15_and_l_16_texts_of_failed_checks() {
    let metrics = json!([
        {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500}},
        {"name": "errors", "interval": "1m", "query": "sum(errors_total)", "thresholdRange": {"max": 5}},
        {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}},
    ]);
    let world =
        World::initialized("istio", analysis(json!({"stepWeight": 10, "threshold": 9, "metrics": metrics}))).await;
    world.net.values("histogram_quantile", &["1515", "50"]);
    world.net.values("errors_total", &["6.2", "1"]);
    world.net.metric("istio_requests_total", [net::series(&[]), Reply::Value("100")]);
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    let halts: Vec<String> = world.story().into_iter().filter(|line| line.contains("Halt")).collect();
    assert_eq!(
        halts,
        [
            "W Halt cart.shop advancement request duration 1.515s > 500ms",
            "W Halt cart.shop advancement errors 6.20 > 5",
            "W Halt advancement no values found for istio metric request-success-rate probably cart.shop is not receiving traffic: running query failed: no values found",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn l_17_retry_after_failure() {
    let world = World::initialized("istio", steps(10, 30)).await;
    world.net.values("istio_requests_total", &["50"]);
    world.deploy("demo:2");
    world.wait_for("Failed").await;
    let primary = world.get("deploy", "cart-primary")["spec"].clone();
    world.deploy("demo:1");
    world.seconds(120).await;
    assert_eq!(world.status()["phase"], "Failed", "the promoted revision is no news");
    assert_eq!(world.get("deploy", "cart-primary")["spec"], primary);
    world.deploy("demo:2");
    world.wait_for("Progressing").await;
    world.wait_for("Failed").await;
    world.net.values("istio_requests_total", &["100"]);
    world.merge("deploy", "cart", json!({"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}));
    world.wait_for("Succeeded").await;
    assert_eq!(world.image("cart-primary"), "demo:2");
}

#[tokio::test(start_paused = true)]
async fn l_18_change_during_analysis_restarts() {
    let world = World::initialized("istio", with_hook(steps(10, 50), "pre-rollout", "smoke")).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    world.deploy("demo:3");
    world.wait_told("Restarting").await;
    assert_eq!(
        (world.weights(), world.status()["canaryWeight"].as_i64(), world.status()["phase"].as_str()),
        ((100, 0), Some(0), Some("Progressing"))
    );
    world.assert_told("N New revision detected! Restarting analysis for cart.shop");
    world.wait_for("Succeeded").await;
    let since = world.story_since("Restarting");
    assert!(
        since.contains(&"N Pre-rollout check smoke passed".to_owned())
            && since.contains(&"N Advance cart.shop canary weight 10".to_owned()),
        "{since:?}"
    );
    assert_eq!(world.image("cart-primary"), "demo:3");
}

#[tokio::test(start_paused = true)]
async fn l_19_revert_to_the_promoted_spec_is_no_restart() {
    let world = World::initialized("istio", steps(10, 50)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    world.deploy("demo:1");
    world.wait_for("Succeeded").await;
    assert_eq!((world.told("Restarting"), world.image("cart-primary")), (0, "demo:1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn l_20_config_change_triggers() {
    let world = World::initialized("istio", steps(10, 50)).await;
    let token = |name: &str| world.get("secret", name)["data"]["token"].clone();
    let one = token("cart-secret");
    world.apply(secret("two"));
    world.wait_told("canary weight 20").await;
    assert_eq!(token("cart-secret-primary"), one, "the primary keeps the old one");
    world.apply(secret("three"));
    world.wait_told("Restarting").await;
    world.wait_for("Succeeded").await;
    assert_eq!(token("cart-secret-primary"), token("cart-secret"));
}

#[tokio::test(start_paused = true)]
async fn l_21_config_tracking_opt_outs() {
    let world = World::new().await;
    let mut secret = secret("one");
    secret["metadata"]["annotations"] = json!({"flagger.app/config-tracking": "disabled"});
    let world = {
        world.apply(secret);
        world
    };
    world.apply(deployment("cart", "demo:1"));
    world.apply(canary("cart", "istio", steps(10, 30)));
    world.wait_for("Initialized").await;
    assert!(world.try_get("secret", "cart-secret-primary").is_none());
    let env = |world: &World| {
        world.get("deploy", "cart-primary")["spec"]["template"]["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"].clone()
    };
    assert_eq!(env(&world), "cart-secret");
    world.merge("secret", "cart-secret", json!({"stringData": {"token": "two"}}));
    world.seconds(120).await;
    assert_eq!(world.status()["phase"], "Initialized");

    let world = World::with(settings(|settings| settings.config_tracking = false))
        .await
        .ready(canary("cart", "istio", steps(10, 30)))
        .await;
    assert_eq!(env(&world), "cart-secret");
}

#[tokio::test(start_paused = true)]
async fn l_21_a_mandatory_config_that_is_missing() {
    let world = World::new().await;
    world.apply(deployment("cart", "demo:1"));
    world.apply(canary("cart", "istio", steps(10, 30)));
    world.seconds(30).await;
    assert!(world.try_get("deploy", "cart-primary").is_none());
    let text = r#"GetTargetConfigs failed: secret cart-secret.shop get query error: secret cart-secret.shop get query error: secrets "cart-secret" not found"#;
    assert_eq!(world.story(), [format!("W createPrimaryDeployment failed: {text}")]);
    world.apply(secret("one"));
    world.wait_for("Initialized").await;
}

fn skipping(mut canary: serde_json::Value) -> serde_json::Value {
    canary["spec"]["skipAnalysis"] = json!(true);
    canary
}

#[tokio::test(start_paused = true)]
async fn l_22_skip_analysis() {
    let spec = with_hook(with_hook(steps(10, 30), "pre-rollout", "smoke"), "post-rollout", "after");
    let mut spec = with_hook(spec, "rollout", "load");
    spec["alerts"] = json!([{"name": "all", "severity": "info", "providerRef": {"name": "infos"}}]);
    let world = World::new().await;
    world.alert_provider("infos");
    let world = world.ready(skipping(canary("cart", "istio", spec))).await;
    let queries = world.net.queries().len();
    world
        .wait_until("the primary is ready", |world| world.get("deploy", "cart-primary")["status"]["readyReplicas"] == 1)
        .await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    let story = world.story_since("New revision detected!");
    assert_eq!(
        story.iter().filter(|line| !line.contains("not ready")).collect::<Vec<_>>(),
        [
            "N Copying cart.shop template spec to cart-primary.shop",
            "N Post-rollout check after passed",
            "N Promotion completed! Canary analysis was skipped for cart.shop",
        ]
    );
    assert_eq!(world.net.sent_to("hooks/after")[0].body["phase"], "Succeeded");
    assert!(world.net.sent_to("hooks/smoke").is_empty() && world.net.sent_to("hooks/load").is_empty());
    assert_eq!(world.net.queries().len(), queries);
    assert_eq!(world.alerts("infos").last().unwrap(), "Canary analysis was skipped, promotion finished.");
    world.assert_exposed(r#"flagger_canary_successes_total{analysis_status="skipped",deployment_strategy="canary",name="cart",namespace="shop"} 1"#);
}

#[tokio::test(start_paused = true)]
async fn l_22_skipping_ends_a_running_analysis() {
    let world = World::initialized("istio", steps(10, 30)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    world.edit(json!({"skipAnalysis": true}));
    world.wait_for("Succeeded").await;
    assert_eq!((world.weights(), world.image("cart-primary")), ((100, 0), "demo:2".to_owned()));
    world.assert_told("N Promotion completed! Canary analysis was skipped for cart.shop");
}

#[tokio::test(start_paused = true)]
async fn l_23_skip_analysis_with_a_bad_image() {
    let world = World::initialized("istio", steps(10, 30)).await;
    world.edit(json!({"skipAnalysis": true}));
    world.deploy("demo:missing");
    world.wait_for("Failed").await;
    assert_eq!(
        (world.image("cart-primary"), world.replicas("cart-primary"), world.replicas("cart")),
        ("demo:1".to_owned(), 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn l_24_canary_never_becomes_ready() {
    // The Deployment's own deadline comes first, or that of the Canary.
    let exceeded = r#"deployment "cart" exceeded its progress deadline"#;
    let unavailable = "waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available";
    for (deployment, canary, why) in [(300, 600, exceeded), (600, 300, unavailable)] {
        let mut spec = steps(10, 30);
        spec["alerts"] = json!([{"name": "all", "severity": "error", "providerRef": {"name": "errors"}}]);
        let world = World::new().await;
        world.alert_provider("errors");
        let world = world.ready(self::canary("cart", "istio", spec)).await;
        world.merge("deploy", "cart", json!({"spec": {"progressDeadlineSeconds": deployment}}));
        world.merge("canary", "cart", json!({"spec": {"progressDeadlineSeconds": canary}}));
        // The pods from before are gone then.
        world.seconds(1).await;
        world.deploy("demo:missing");
        world.wait_for("Failed").await;
        let why = format!("canary deployment cart.shop not ready: {why}");
        let story = world.story();
        assert_eq!(
            story[story.len() - 3..],
            [
                format!("W {why}"),
                format!("W Rolling back cart.shop progress deadline exceeded {why}"),
                "W Canary failed! Scaling down cart.shop".to_owned()
            ]
        );
        assert_eq!(world.alerts("errors"), [format!("Progress deadline exceeded {why}")]);
        assert_eq!(world.replicas("cart"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn l_25_primary_unhealthy_during_analysis() {
    let world = World::initialized("istio", steps(10, 50)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    world
        .lab
        .merge_status(
            "deploy",
            "shop",
            "cart-primary",
            &json!({"status": {"availableReplicas": 0, "readyReplicas": 0}}),
        )
        .unwrap();
    world.seconds(1).await;
    assert_eq!(
        (world.told("cart-primary.shop not ready"), world.status()["failedChecks"].as_i64()),
        (2, Some(0)),
        "{}",
        world.report()
    );
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn l_26_primary_fails_during_promotion() {
    let world = World::initialized("istio", with_hook(steps(10, 20), "post-rollout", "after")).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    // The same image starts for the canary, but not any more for the primary.
    world.lab.set_hook(Some(std::sync::Arc::new(BreakPrimary(world.lab.clone()))));
    world.wait_for("Failed").await;
    world.lab.set_hook(None);
    assert_eq!(
        (world.weights(), world.replicas("cart"), world.status()["canaryWeight"].as_i64()),
        ((0, 100), 1, Some(100)),
        "{}",
        world.report()
    );
    let text = "Promotion of cart.shop failed, primary not ready: ";
    assert_eq!(world.told(text), 1);
    assert_eq!(world.net.sent_to("hooks/after")[0].body["phase"], "Failed");
    world.assert_exposed(r#"flagger_canary_failures_total{analysis_status="completed",deployment_strategy="canary",name="cart",namespace="shop"} 1"#);

    // L-26b: a fix waits while nobody but the canary serves.
    world.deploy("demo:3");
    world.seconds(60).await;
    assert_eq!((world.weights(), world.replicas("cart") > 0), ((0, 100), true), "{}", world.report());
    assert_ne!(world.status()["phase"], "Progressing");
}

/// As soon as the primary gets a new template, its pods never become ready.
struct BreakPrimary(lab::Lab);

impl lab::Hook for BreakPrimary {
    fn after(&self, call: &lab::Call, _status: u16) -> lab::Intervention {
        if call.to_string() == "patch deployments.apps shop/cart-primary" {
            let patch = json!({"spec": {"template": {"metadata": {"annotations": {"sim/ready-after": "never"}}}}});
            self.0.merge("deploy", "shop", "cart-primary", &patch).unwrap();
        }
        lab::Intervention::Pass
    }
}

#[tokio::test(start_paused = true)]
async fn l_27_ready_thresholds() {
    let world = World::initialized("istio", steps(10, 20)).await;
    world.edit(json!({"analysis": {"primaryReadyThreshold": 50}}));
    world.merge("deploy", "cart-primary", json!({"spec": {"replicas": 4}}));
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    let available = |number: i64| {
        let status = json!({"status": {"replicas": 4, "updatedReplicas": 4, "readyReplicas": number, "availableReplicas": number}});
        world.lab.merge_status("deploy", "shop", "cart-primary", &status).unwrap();
    };
    // For as long as the nodes take to put it right.
    available(1);
    world.pass(std::time::Duration::from_millis(5)).await;
    world.assert_told("W cart-primary.shop not ready: waiting for rollout to finish: 1 of 2 (readyThreshold 50%) updated replicas are available");
    assert_eq!(world.condition("Ready").unwrap().0, "Unknown");
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn l_28_suspend() {
    let world = World::initialized("istio", steps(10, 50)).await;
    world.edit(json!({"suspend": true}));
    world.deploy("demo:2");
    world.merge("service", "cart", json!({"spec": {"selector": {"app": "mine"}}}));
    world.seconds(60).await;
    assert_eq!(world.story_since("Initialization done"), ["N skipping canary run as object is suspended"], "told once");
    assert_eq!(world.get("service", "cart")["spec"]["selector"]["app"], "mine");
    world.edit(json!({"suspend": false}));
    world.wait_told("canary weight 20").await;
    assert_eq!(world.get("service", "cart")["spec"]["selector"]["app"], "cart-primary");
    world.edit(json!({"suspend": true}));
    world.seconds(300).await;
    assert_eq!((world.weights(), world.replicas("cart")), ((80, 20), 1));
    world.edit(json!({"suspend": false}));
    world.wait_for("Succeeded").await;
    assert_eq!(world.story_since("is suspended")[0], "N Advance cart.shop canary weight 30");
}

#[tokio::test(start_paused = true)]
async fn l_30_interval_change() {
    let mut spec = steps(10, 50);
    spec["interval"] = json!("5m");
    let world = World::initialized("istio", spec).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    world.edit(json!({"analysis": {"interval": "10s"}}));
    let before = tokio::time::Instant::now();
    world.wait_told("canary weight 20").await;
    assert!(before.elapsed() < std::time::Duration::from_secs(15), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn l_31_replica_change_without_autoscaler() {
    let world = World::initialized("istio", steps(10, 20)).await;
    world.merge(
        "deploy",
        "cart",
        json!({"spec": {"replicas": 4, "template": {"metadata": {"annotations": {"more": "1"}}}}}),
    );
    world.wait_told("canary weight 10").await;
    assert_eq!(world.replicas("cart"), 4);
    world.wait_for("Succeeded").await;
    assert_eq!((world.replicas("cart-primary"), world.replicas("cart")), (4, 0));
    world.deploy("demo:3");
    world.wait_told("Scaling up").await;
    world.wait_for("Progressing").await;
    assert_eq!(world.replicas("cart"), 4, "as many as the primary has");
}

#[tokio::test(start_paused = true)]
async fn l_32_affinity_rewrite() {
    let world = World::new().await;
    let mut target = deployment("cart", "demo:1");
    let term = |key: &str| json!({"topologyKey": "zone", "labelSelector": {"matchExpressions": [{"key": key, "operator": "In", "values": ["cart"]}]}});
    target["spec"]["template"]["spec"]["affinity"] =
        json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("app"), term("other")]}});
    target["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "cart", "other": "cart"}}}]);
    world.apply(secret("one"));
    world.apply(target);
    world.apply(canary("cart", "istio", steps(10, 30)));
    world.wait_for("Initialized").await;
    let spec = world.get("deploy", "cart-primary")["spec"]["template"]["spec"].clone();
    let terms = &spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let values = |at: usize| terms[at]["labelSelector"]["matchExpressions"][0]["values"].clone();
    assert_eq!((values(0), values(1)), (json!(["cart-primary"]), json!(["cart"])));
    assert_eq!(
        spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        json!({"app": "cart-primary", "other": "cart"})
    );
}
