//! S001: how it works: target, analysis, status, the end of a Canary. The Services and routes are in `s001_service`.

use crate::documents::*;
use crate::harness::*;
use serde_json::{Value, json};

const IMAGE: &str = "registry.example.com/weather/forecast:3.1.0";
const NAME: &str = "forecast.weather";

async fn minimal() -> World {
    initialized(&forecast("minimal"), "weather", "forecast").await
}

async fn full() -> World {
    initialized(&forecast("full"), "weather", "forecast").await
}

/// Every reason of the condition `Promoted` that is seen until the phase comes, with its status.
async fn reasons(world: &World, phase: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let until = |world: &World| {
        if let Some((status, reason, _)) = world.condition("Promoted") {
            let now = format!("{reason} {status}");
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
        world.status()["phase"] == phase
    };
    world.wait_until(phase, until).await;
    seen
}

#[tokio::test(start_paused = true)]
async fn s001_01_the_shortest_canary() {
    let world = minimal().await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 5").await;
    let took = seconds_of(world.wait_told("Copying")).await;
    assert!((599..=601).contains(&took), "ten steps, a minute each: {took} s");
    world.wait_for("Succeeded").await;
    assert_eq!(gist(world.story_since("Starting canary analysis"))[..10], weights(NAME, (5..=50).step_by(5)));
    assert!(world.net.commanded("hey -z 1m -q 10 -c 2 http://forecast-canary.weather:9898/").len() >= 10);
    let asked = world.net.queries();
    assert!(asked.iter().any(|query| query.contains("istio_requests_total") && query.contains("[1m]")), "{asked:?}");
    assert!(asked.iter().any(|query| query.contains("istio_request_duration_milliseconds_bucket")), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn s001_02_two_providers_in_one_cluster() {
    let mut world = World::with(setup()).await;
    apply(&world, &catalog());
    world.about("weather", "forecast");
    apply(&world, &forecast("minimal"));
    world.wait_for("Initialized").await;
    world.wait_for_of("forecast", "Initialized").await;
    let status = |world: &World| world.lab.get("canary", "catalog", "catalog").unwrap()["status"].clone();
    world.wait_until("both are initialised", |world| status(world)["phase"] == "Initialized").await;
    world.deploy(IMAGE);
    let template = json!({"spec": {"template": {"metadata": {"annotations": {"release": "2"}}}}});
    world.lab.merge("deploy", "catalog", "catalog", &template).unwrap();
    let both = |world: &World| {
        world.status()["canaryWeight"].as_i64() > Some(0) && status(world)["canaryWeight"].as_i64() > Some(0)
    };
    world.wait_until("both are on their way", both).await;
    assert!(world.weights().1 > 0, "the one by Istio, which is the controller's own provider");
    let ingress = world.lab.get("ingress", "catalog", "catalog-canary").unwrap();
    assert_ne!(
        ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"], "0",
        "the other by NGINX"
    );
    world.wait_for("Succeeded").await;
    world.wait_until("both succeed", |world| status(world)["phase"] == "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn s001_03_the_primary_is_named_after_the_target_and_its_autoscaler() {
    let mut objects = forecast("minimal");
    for object in &mut objects {
        if object["kind"] == "HorizontalPodAutoscaler" {
            object["metadata"]["name"] = json!("by-load");
        }
        if object["kind"] == "Canary" {
            object["spec"]["autoscalerRef"]["name"] = json!("by-load");
        }
    }
    let world = initialized(&objects, "weather", "forecast").await;
    assert_eq!(
        world.get("deploy", "forecast-primary")["spec"]["template"]["metadata"]["labels"]["app"],
        "forecast-primary"
    );
    assert_eq!(world.get("hpa", "by-load-primary")["spec"]["scaleTargetRef"]["name"], "forecast-primary");
}

#[tokio::test(start_paused = true)]
async fn s001_04_the_api_version_of_an_autoscaler_of_old() {
    let mut objects = forecast("minimal");
    objects.last_mut().unwrap()["spec"]["autoscalerRef"]["apiVersion"] = json!("autoscaling/v2beta2");
    let world = initialized(&objects, "weather", "forecast").await;
    let copy = world.get("hpa", "forecast-primary");
    assert_eq!((&copy["apiVersion"], &copy["spec"]["maxReplicas"]), (&json!("autoscaling/v2"), &json!(3)));
}

#[tokio::test(start_paused = true)]
async fn s001_05_bounds_for_the_autoscaler_of_the_primary() {
    let world = full().await;
    let bounds = |name: &str| {
        let spec = world.get("hpa", name)["spec"].clone();
        (spec["minReplicas"].as_i64().unwrap(), spec["maxReplicas"].as_i64().unwrap())
    };
    assert_eq!((bounds("forecast"), bounds("forecast-primary")), ((1, 3), (2, 5)));
    assert_eq!(
        world.get("hpa", "forecast-primary")["spec"]["metrics"],
        world.get("hpa", "forecast")["spec"]["metrics"]
    );
}

#[tokio::test(start_paused = true)]
async fn s001_06_the_primary_serves_and_changes_of_the_target_are_analysed() {
    let world = minimal().await;
    assert_eq!((world.weights(), world.replicas("forecast")), ((100, 0), 0));
    let copy = |world: &World| world.get("configmap", "forecast-primary")["data"]["days"].clone();
    world.merge("configmap", "forecast", json!({"data": {"days": "10"}}));
    world.wait_told("canary weight 5").await;
    assert_eq!(copy(&world), "7", "the primary keeps what it has until the promotion");
    world.wait_for("Succeeded").await;
    assert_eq!(copy(&world), "10");
}

#[tokio::test(start_paused = true)]
async fn s001_07_the_label_of_the_pods() {
    for (label, known) in [
        ("app", ""),
        ("name", ""),
        ("app.kubernetes.io/name", ""),
        ("my-app-label", "my-app-label"),
        ("my-app-label", ""),
    ] {
        let mut setup = setup();
        if !known.is_empty() {
            setup.settings.selector_labels = vec![known.to_owned()];
        }
        let mut objects = forecast("minimal");
        let target = objects.iter_mut().find(|object| object["kind"] == "Deployment").unwrap();
        target["spec"]["selector"]["matchLabels"] = json!({label: "forecast"});
        target["spec"]["template"]["metadata"]["labels"] = json!({label: "forecast"});
        let mut world = World::with(setup).await;
        world.about("weather", "forecast");
        apply(&world, &objects);
        if label == "my-app-label" && known.is_empty() {
            world.wait_told("W getSelectorLabel failed: deployment forecast.weather spec.selector.matchLabels must contain one of [app name app.kubernetes.io/name]").await;
            continue;
        }
        world.wait_for("Initialized").await;
        let primary = world.get("deploy", "forecast-primary");
        assert_eq!(primary["spec"]["selector"]["matchLabels"], json!({label: "forecast-primary"}));
        assert_eq!(world.get("service", "forecast-canary")["spec"]["selector"], json!({label: "forecast"}));
    }
}

#[tokio::test(start_paused = true)]
async fn s001_08_copies_of_config_and_what_is_not_copied() {
    let world = minimal().await;
    let references = |world: &World| {
        let container = world.get("deploy", "forecast-primary")["spec"]["template"]["spec"]["containers"][0].clone();
        let maps = container["envFrom"].as_array().unwrap().iter();
        let mut names: Vec<Value> = maps.map(|from| from["configMapRef"]["name"].clone()).collect();
        names.push(container["env"][0]["valueFrom"]["secretKeyRef"]["name"].clone());
        names
    };
    assert_eq!(references(&world), ["forecast-primary", "places", "forecast-station-primary"]);
    assert!(world.try_get("configmap", "places-primary").is_none(), "it says that it is not tracked");
    world.merge("configmap", "places", json!({"data": {"places": "Oslo"}}));
    world.seconds(300).await;
    assert_eq!(world.status()["phase"], "Initialized");

    let mut setup = setup();
    setup.settings.config_tracking = false;
    let world = initialized_with(setup, &forecast("minimal"), "weather", "forecast").await;
    assert_eq!(references(&world), ["forecast", "places", "forecast-station"], "none is, if the controller says so");
    assert!(world.try_get("configmap", "forecast-primary").is_none());
}

#[tokio::test(start_paused = true)]
async fn s001_09_traffic_waits_while_pods_are_added() {
    let world = minimal().await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 10").await;
    // The autoscaler wants more pods.
    world.merge("deploy", "forecast-primary", json!({"spec": {"replicas": 3}}));
    world.wait_told("W forecast-primary.weather not ready: waiting for rollout to finish: ").await;
    let status = world.status();
    assert_eq!((status["canaryWeight"].as_i64(), status["failedChecks"].as_i64()), (Some(10), Some(0)));
    world.merge("deploy", "forecast", json!({"spec": {"replicas": 3}}));
    world.wait_told("canary weight 15").await;
    assert_eq!((world.status()["failedChecks"].as_i64(), world.told("Halt")), (Some(0), 0));
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn s001_10_autoscalers_follow_a_release_or_are_left_alone() {
    let world = minimal().await;
    let most = |world: &World| world.get("hpa", "forecast-primary")["spec"]["maxReplicas"].clone();
    world.merge("hpa", "forecast", json!({"spec": {"maxReplicas": 9}}));
    world.seconds(600).await;
    assert_eq!(
        (world.status()["phase"].as_str(), most(&world)),
        (Some("Initialized"), json!(3)),
        "no release, no change"
    );
    world.deploy(IMAGE);
    world.wait_told("canary weight 50").await;
    assert_eq!(most(&world), 3, "not before the promotion");
    world.wait_for("Succeeded").await;
    assert_eq!(most(&world), 9);
    // Two autoscalers of the user's own, and no reference.
    let mut objects = forecast("minimal");
    let canary = objects.last_mut().unwrap()["spec"].as_object_mut().unwrap();
    canary.remove("autoscalerRef");
    let mut own = manifest("how-it-works/app/autoscaler.yaml", "HorizontalPodAutoscaler");
    own["metadata"]["name"] = json!("forecast-primary");
    own["spec"]["scaleTargetRef"]["name"] = json!("forecast-primary");
    objects.insert(0, own);
    let world = initialized(&objects, "weather", "forecast").await;
    let before = world.lab.list("hpa", "weather");
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    assert_eq!(world.lab.list("hpa", "weather"), before);
}

#[tokio::test(start_paused = true)]
async fn s001_11_the_progress_deadline() {
    // The Deployment's own deadline is later, so that the Canary's decides: ten minutes, or what it says.
    for (given, least) in [(Value::Null, 600), (json!(60), 60)] {
        let mut objects = forecast("minimal");
        objects.last_mut().unwrap()["spec"]["progressDeadlineSeconds"] = given;
        let world = initialized(&objects, "weather", "forecast").await;
        world.merge("deploy", "forecast", json!({"spec": {"progressDeadlineSeconds": 3600}}));
        // The pods from before are gone.
        world.seconds(30).await;
        world.deploy("registry.example.com/weather/forecast:none");
        world.merge(
            "deploy",
            "forecast",
            json!({"spec": {"template": {"metadata": {"annotations": {"sim/ready-after": "never"}}}}}),
        );
        let took = seconds_of(world.wait_for("Failed")).await;
        assert!((least..least + 15).contains(&took), "{took} s instead of {least}\n{}", world.report());
        assert_eq!(world.told("W Rolling back forecast.weather progress deadline exceeded"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn s001_16_the_shape_of_the_status() {
    let world = minimal().await;
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    world.seconds(1).await;
    let status = world.status();
    for (field, value) in [("canaryWeight", 0), ("failedChecks", 0), ("iterations", 0)] {
        assert_eq!(status[field], value, "{field}");
    }
    assert!(status["lastAppliedSpec"].is_string() && status["lastAppliedSpec"] == status["lastPromotedSpec"]);
    let conditions = status["conditions"].as_array().unwrap();
    let promoted = conditions.iter().find(|one| one["type"] == "Promoted").unwrap().as_object().unwrap();
    let mut fields: Vec<&str> = promoted.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["lastTransitionTime", "lastUpdateTime", "message", "reason", "status", "type"]);
    assert_eq!(promoted["message"], "Canary analysis completed successfully, promotion finished.");
    assert_eq!((&promoted["reason"], &promoted["status"]), (&json!("Succeeded"), &json!("True")));
    for time in [&promoted["lastTransitionTime"], &promoted["lastUpdateTime"], &status["lastTransitionTime"]] {
        assert!(
            time.as_str().unwrap().parse::<jiff::Timestamp>().is_ok() && time.as_str().unwrap().ends_with('Z'),
            "{time}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s001_17_every_reason_is_reached() {
    let world = full().await;
    // The gate of the example is asked at the beginning and before the promotion.
    let mut gates = world.get("canary", "forecast")["spec"]["analysis"]["webhooks"].clone();
    gates[0]["url"] = json!("http://hooks/start");
    gates[4]["url"] = json!("http://hooks/promote");
    gates[3]["url"] = json!("http://hooks/end");
    world.edit(json!({"analysis": {"webhooks": gates}}));
    for (hook, status) in [("start", 403), ("promote", 403), ("end", 403)] {
        world.net.hook_says(hook, status, "");
    }
    let mut seen = vec![];
    world.deploy(IMAGE);
    seen.extend(reasons(&world, "Waiting").await);
    world.net.hook_says("start", 200, "");
    seen.extend(reasons(&world, "WaitingPromotion").await);
    world.net.hook_says("promote", 200, "");
    seen.extend(reasons(&world, "Succeeded").await);
    world.net.values("istio_requests_total", &["1"]);
    world.deploy("registry.example.com/weather/forecast:3.2.0");
    seen.extend(reasons(&world, "Failed").await);
    let status = world.status();
    assert_ne!(status["lastAppliedSpec"], status["lastPromotedSpec"], "what failed is not what was promoted");
    world.lab.delete("canary", "weather", "forecast").unwrap();
    seen.extend(reasons(&world, "Terminating").await);
    seen.dedup();
    for wanted in [
        "Initialized True",
        "Waiting Unknown",
        "Progressing Unknown",
        "WaitingPromotion Unknown",
        "Promoting Unknown",
        "Finalising Unknown",
        "Succeeded True",
        "Failed False",
        "Terminating Unknown",
    ] {
        assert!(seen.iter().any(|one| one == wanted), "{wanted} is not among {seen:?}");
    }
    // The first one of all.
    let mut world = World::with(setup()).await;
    world.about("weather", "forecast");
    apply(&world, &forecast("minimal"));
    assert!(reasons(&world, "Initialized").await.contains(&"Initializing Unknown".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn s001_19_deletion() {
    // As it is, what the user had stays as the last release left it.
    let world = minimal().await;
    world.lab.delete("canary", "weather", "forecast").unwrap();
    world.seconds(30).await;
    assert!(world.try_get("canary", "forecast").is_none() && world.try_get("deploy", "forecast-primary").is_none());
    assert_eq!(world.replicas("forecast"), 0);
    // With `revertOnDeletion`, as in the long example, the target serves again before the Canary is gone.
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "forecast", "namespace": "weather"},
        "spec": {"selector": {"app": "forecast"}, "ports": [{"port": 9898}]}});
    let mut objects = forecast("full");
    objects.push(service);
    let world = initialized(&objects, "weather", "forecast").await;
    let primary = world.replicas("forecast-primary");
    world.lab.delete("canary", "weather", "forecast").unwrap();
    world.wait_until("it is gone", |world| world.try_get("canary", "forecast").is_none()).await;
    assert_eq!(
        world.story_since("Initialization done!"),
        ["N Terminating canary forecast.weather", "N Terminated canary forecast.weather"]
    );
    assert_eq!(
        (world.replicas("forecast"), &world.get("service", "forecast")["spec"]["selector"]),
        (primary, &json!({"app": "forecast"}))
    );
    // Without deleting anything, `skipAnalysis` ends the analysis.
    let world = minimal().await;
    world.edit(json!({"skipAnalysis": true}));
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    world.assert_told("N Promotion completed! Canary analysis was skipped for forecast.weather");
}

#[tokio::test(start_paused = true)]
async fn s001_20_the_long_canary_is_kept_whole_and_obeyed() {
    let world = full().await;
    let wanted = manifest("how-it-works/full.yaml", "Canary")["spec"].clone();
    assert_eq!(world.get("canary", "forecast")["spec"], wanted, "no field of it is pruned or made up");
    let mut hooks = wanted["analysis"]["webhooks"].clone();
    // A rollback hook that says yes ends the release.
    hooks[3]["url"] = json!("http://hooks/end");
    world.edit(json!({"analysis": {"webhooks": hooks}}));
    world.net.hook_says("end", 403, "");
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    let story = gist(world.story_since("Initialization done!"));
    let place =
        |text: &str| story.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {story:#?}"));
    let order = [
        "Confirm-rollout check may-it-start passed",
        "New revision detected!",
        "Pre-rollout check acceptance-test passed",
        "canary weight 10",
        "canary weight 50",
        "Confirm-promotion check may-it-be-promoted passed",
        "Copying",
        "primary weight 75",
        "primary weight 100",
        "Post-rollout check tell-the-newspaper passed",
        "Promotion completed!",
    ];
    let places: Vec<usize> = order.into_iter().map(place).collect();
    assert!(places.is_sorted(), "{places:?} {story:#?}");
    assert!(world.told("Rollback hook must-it-end not signaling a rollback") >= 5, "asked in each round");
}

#[tokio::test(start_paused = true)]
async fn s001_21_each_round_calls_hooks_then_asks_metrics_and_the_end_is_told() {
    let mut objects = forecast("full");
    let on_call = objects.iter_mut().find(|object| object["kind"] == "AlertProvider").unwrap();
    on_call["spec"]["address"] = json!("http://alerts/on-call");
    // Nobody wants to end it.
    objects.last_mut().unwrap()["spec"]["analysis"]["webhooks"][3]["url"] = json!("http://hooks/end");
    let world = initialized(&objects, "weather", "forecast").await;
    world.net.hook_says("end", 403, "");
    world.net.command("hey", [Reply::status(200), Reply::Text(500, "no load".to_owned()), Reply::status(200)]);
    world.deploy(IMAGE);
    world.wait_told("W Halt forecast.weather advancement external check load-test failed").await;
    let queries = world.net.queries().len();
    assert_eq!(world.status()["failedChecks"], 1, "a hook that fails counts, and no metric is asked then");
    world.wait_told("canary weight 30").await;
    assert!(world.net.queries().len() > queries);
    world.net.values("istio_requests_total", &["1"]);
    world.wait_for("Failed").await;
    world.assert_told("W Rolling back forecast.weather failed checks threshold reached 5");
    world.seconds(1).await;
    assert_eq!(
        world.alerts("on-call"),
        [
            "New Deployment detected, initialization completed.",
            "New revision detected, progressing canary analysis.",
            "Failed checks threshold reached 5"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn s001_22_suspended() {
    let world = minimal().await;
    world.edit(json!({"suspend": true}));
    world.deploy(IMAGE);
    world.merge("configmap", "forecast", json!({"data": {"days": "3"}}));
    world.merge("service", "forecast", json!({"spec": {"selector": {"app": "mine"}}}));
    world.seconds(300).await;
    assert_eq!((world.status()["phase"].as_str(), world.told("New revision")), (Some("Initialized"), 0));
    assert_eq!(world.get("service", "forecast")["spec"]["selector"]["app"], "mine", "nothing is corrected");
    world.edit(json!({"suspend": false}));
    world.wait_told("canary weight 15").await;
    world.edit(json!({"suspend": true}));
    let routes = world.get("virtualservice", "forecast");
    world.seconds(3600).await;
    assert_eq!(
        (world.get("virtualservice", "forecast"), world.replicas("forecast")),
        (routes, 1),
        "paused, not disturbed"
    );
    world.edit(json!({"suspend": false}));
    world.wait_for("Succeeded").await;
    assert_eq!(world.story_since("is suspended")[0], "N Advance forecast.weather canary weight 20");
}
