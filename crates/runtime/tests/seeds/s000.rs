//! S000: a pipeline from git with Istio. Messages to the chat and what happens when it goes wrong are in `s000_alerts`.

use crate::documents::*;
use crate::harness::*;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use lab::dataplane::split::Asked;
use serde_json::{Value, json};

const FRONTEND: &str = "frontend.prod";
const BACKEND: &str = "backend.prod";

/// Applies as Flux's kustomize-controller does: server-side, with force, under its own name and with its labels.
async fn sync(world: &World, objects: &[Value]) {
    let client = kube::Client::new(world.lab.service_as("kustomize-controller"), "default");
    for object in objects {
        let (group, version) = object["apiVersion"].as_str().unwrap().rsplit_once('/').unwrap_or(("", "v1"));
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap()));
        let api = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => kube::Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind),
            None => kube::Api::all_with(client.clone(), &kind),
        };
        let labels = json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "app.kubernetes.io/part-of": "shop"}}});
        let object = patched(object.clone(), labels);
        let name = object["metadata"]["name"].as_str().unwrap();
        api.patch(name, &PatchParams::apply("kustomize-controller").force(), &Patch::Apply(&object)).await.unwrap();
    }
}

/// The manifests with another image of the backend, as after a commit.
fn committed(image: &str) -> Vec<Value> {
    let mut objects = manifests("gitops-istio/apps");
    let backend =
        objects.iter_mut().find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == "backend");
    backend.unwrap()["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    objects
}

#[tokio::test(start_paused = true)]
async fn s000_02_everything_in_any_order_converges() {
    let mut world = World::with(Setup { crds: Vec::new(), ..setup() }).await;
    world.about("prod", "backend");
    let of = |kinds: &[&str]| -> Vec<Value> {
        manifests("gitops-istio/apps")
            .into_iter()
            .filter(|object| kinds.contains(&object["kind"].as_str().unwrap()))
            .collect()
    };
    apply(&world, &of(&["Canary"]));
    world.wait_told(r#"W deployment backend.prod get query error: deployments.apps "backend" not found"#).await;
    apply(&world, &of(&["Deployment"]));
    world.wait_told(r#"configmaps "backend" not found"#).await;
    apply(&world, &of(&["ConfigMap"]));
    world.wait_told(r#"horizontalpodautoscalers.autoscaling "backend" not found"#).await;
    apply(&world, &of(&["HorizontalPodAutoscaler"]));
    world.wait_told("W reconcileDestinationRule failed: DestinationRule backend-canary.prod create error: the server could not find the requested resource").await;
    assert_eq!(world.condition("Stalled").unwrap().0, "True", "{}", world.report());
    assert_eq!(world.replicas("backend"), 1, "the target serves while there are no routes");
    for definition in istio_crds() {
        world.apply(definition);
    }
    for canary in ["backend", "frontend"] {
        world.wait_for_of(canary, "Initialized").await;
        assert_eq!(world.story_of(canary).last().unwrap(), &format!("N Initialization done! {canary}.prod"));
    }
}

#[tokio::test(start_paused = true)]
async fn s000_03_an_upgrade_of_the_release_does_not_disturb_canaries() {
    let mut world = backend().await;
    world.deploy("registry.example.com/web/backend:1.4.1");
    world.wait_told("canary weight 15").await;
    let before = world.get("virtualservice", "backend");
    world.upgrade(|_, receivers| receivers.notifier = Some(chat("msteams"))).await;
    assert_eq!(world.get("virtualservice", "backend"), before, "the routes are not written");
    assert_eq!(world.status()["phase"], "Progressing");
    world.wait_for("Succeeded").await;
    assert_eq!(
        gist(world.story_since("canary weight 15"))[..7],
        weights(BACKEND, (20..=50).step_by(5)),
        "{}",
        world.report()
    );
    assert_eq!(world.told("Starting canary analysis"), 1);
}

#[tokio::test(start_paused = true)]
async fn s000_04_git_is_applied_again_and_again() {
    let mut setup = setup();
    setup.settings.include_label_prefixes = vec!["*".to_owned()];
    let mut world = World::with(setup).await;
    world.about("prod", "backend");
    sync(&world, &manifests("gitops-istio/apps")).await;
    world.wait_for("Initialized").await;
    world.wait_for_of("frontend", "Initialized").await;
    for (kind, name) in [("service", "backend"), ("service", "backend-canary"), ("virtualservice", "backend")] {
        let annotations = world.get(kind, name)["metadata"]["annotations"].clone();
        assert_eq!(annotations["kustomize.toolkit.fluxcd.io/reconcile"], "disabled", "{kind} {name}");
        assert_eq!(annotations["helm.toolkit.fluxcd.io/driftDetection"], "disabled", "{kind} {name}");
    }
    let labels = world.get("deploy", "backend-primary")["metadata"]["labels"].clone();
    assert_eq!(labels["app.kubernetes.io/part-of"], "shop");
    assert!(!labels.to_string().contains("toolkit.fluxcd.io"), "Flux would take it for its own and prune it: {labels}");

    // Idle: neither side changes anything.
    world.lab.take_requests();
    let target = world.get("deploy", "backend")["spec"].clone();
    for _ in 0..10 {
        world.seconds(30).await;
        sync(&world, &manifests("gitops-istio/apps")).await;
    }
    assert_eq!((world.replicas("backend"), &world.get("deploy", "backend")["spec"]), (0, &target));
    let writes = world.requests(|entry| entry.call.verb.writes());
    assert_eq!(writes, [""; 0], "the controller writes nothing");

    // A release, while the same is applied every ten seconds.
    let git = committed("registry.example.com/web/backend:1.4.1");
    let mut seen = Vec::new();
    for _ in 0..60 {
        sync(&world, &git).await;
        world.seconds(10).await;
        if seen.last() != Some(&world.weights().1) {
            seen.push(world.weights().1);
        }
        if world.status()["phase"] == "Progressing" && world.weights().1 > 0 {
            assert!(world.replicas("backend") > 0, "a side with traffic has pods");
        }
    }
    assert_eq!(seen, [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 0], "{}", world.report());
    assert_eq!(world.status()["phase"], "Succeeded");
    assert_eq!(
        (world.replicas("backend"), world.image("backend-primary")),
        (0, "registry.example.com/web/backend:1.4.1".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn s000_05_what_is_generated() {
    let world = frontend().await;
    for app in ["frontend", "backend"] {
        world.wait_for_of(app, "Initialized").await;
        for (kind, suffix) in [
            ("deploy", "-primary"),
            ("hpa", "-primary"),
            ("service", ""),
            ("service", "-canary"),
            ("service", "-primary"),
            ("virtualservice", ""),
            ("destinationrule", "-canary"),
            ("destinationrule", "-primary"),
        ] {
            let object = world.get(kind, &format!("{app}{suffix}"));
            assert_eq!(object["metadata"]["ownerReferences"][0]["name"], app, "{kind} {app}{suffix}");
        }
    }
    assert!(world.try_get("configmap", "backend-primary").is_some());
}

#[tokio::test(start_paused = true)]
async fn s000_07_all_traffic_to_the_primary_and_the_target_at_zero() {
    let world = backend().await;
    assert_eq!((world.weights(), world.replicas("backend"), world.replicas("backend-primary")), ((100, 0), 0, 1));
    assert_eq!(share(&world, &Asked::get("prod", "backend", "/"), "backend-primary"), 100);
    assert_eq!(world.get("service", "backend")["spec"]["selector"], json!({"app": "backend-primary"}));
}

#[tokio::test(start_paused = true)]
async fn s000_08_pods_config_maps_and_secrets_trigger() {
    let supplier = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "backend-supplier", "namespace": "prod"}, "stringData": {"token": "one"}});
    let mut objects = manifests("gitops-istio/apps");
    objects.push(supplier);
    let world = initialized(&objects, "prod", "backend").await;
    let mut containers = world.get("deploy", "backend")["spec"]["template"]["spec"]["containers"].clone();
    containers[0]["command"] = json!(["backend", "--verbose"]);
    let changes = [
        ("deploy", "backend", json!({"spec": {"template": {"spec": {"containers": containers}}}})),
        ("configmap", "backend", json!({"data": {"stock.yaml": "reserveFor: 20m\n"}})),
        ("secret", "backend-supplier", json!({"stringData": {"token": "two"}})),
    ];
    for (number, (kind, name, change)) in (1..).zip(changes) {
        world.merge(kind, name, change);
        world.wait_until("there is a new revision", |world| world.told("New revision detected!") == number).await;
        world.wait_for("Succeeded").await;
    }
    assert_eq!(world.get("configmap", "backend-primary")["data"]["stock.yaml"], "reserveFor: 20m\n");
    assert_eq!(
        world.get("secret", "backend-supplier-primary")["data"],
        world.get("secret", "backend-supplier")["data"]
    );
    world.seconds(300).await;
    assert_eq!(world.told("New revision detected!"), 3, "nothing else does");
}

#[tokio::test(start_paused = true)]
async fn s000_09_a_hook_makes_the_traffic_of_an_idle_application() {
    let world = backend().await;
    world.deploy("registry.example.com/web/backend:1.4.1");
    world.wait_for("Succeeded").await;
    let load = world.net.commanded("http://backend-canary.prod:9898/");
    assert!(load.len() >= 10, "once in each round: {}", load.len());
    assert_eq!(load[0].url, "http://flagger-loadtester.prod/");
    assert_eq!(
        (&load[0].body["name"], &load[0].body["namespace"], &load[0].body["phase"]),
        (&json!("backend"), &json!("prod"), &json!("Progressing"))
    );
    // Without requests there are no metrics, and that is said.
    world.net.metric("istio_requests_total", [net::series(&[])]);
    world.deploy("registry.example.com/web/backend:1.4.2");
    world.wait_for("Failed").await;
    let text = "W Halt advancement no values found for istio metric request-success-rate probably backend.prod is not receiving traffic: running query failed: no values found";
    assert_eq!(world.told(text), 10, "{}", world.report());
}

#[tokio::test(start_paused = true)]
async fn s000_10_a_release_step_by_step() {
    let world = backend().await;
    world.deploy("registry.example.com/web/backend:1.4.1");
    world.wait_for("Succeeded").await;
    let story = gist(world.story_since("Initialization done!"));
    let mut expected = vec![
        "N New revision detected! Scaling up backend.prod".to_owned(),
        "N Starting canary analysis for backend.prod".to_owned(),
    ];
    expected.extend(weights(BACKEND, (5..=50).step_by(5)));
    expected.push("N Copying backend.prod template spec to backend-primary.prod".to_owned());
    expected.push("N Routing all traffic to primary".to_owned());
    expected.push("N Promotion completed! Scaling down backend.prod".to_owned());
    assert_eq!(story, expected);
    // `kubectl describe` shows events. The client library's way: the first ten of a kind by themselves, then one that stands for the rest, with the last text.
    let events = world.kubernetes_events();
    let mut texts = expected.iter().map(|line| line.split_once(' ').unwrap().1);
    let shown = texts.by_ref().take_while(|text| events.iter().any(|(_, message)| message == text)).count();
    assert!(shown >= 7, "{shown} of {events:?}");
    assert!(events.iter().any(|(_, message)| message.starts_with("(combined from similar events): ")), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn s000_12_another_change_starts_the_analysis_again() {
    let world = backend().await;
    world.deploy("registry.example.com/web/backend:1.4.1");
    world.wait_told("canary weight 15").await;
    world.deploy("registry.example.com/web/backend:1.4.2");
    world.wait_told("N New revision detected! Restarting analysis for backend.prod").await;
    assert_eq!((world.weights(), world.status()["canaryWeight"].as_i64()), ((100, 0), Some(0)));
    world.wait_for("Succeeded").await;
    let steps: Vec<String> =
        gist(world.story_since("Restarting")).into_iter().filter(|line| line.contains("Advance")).collect();
    assert_eq!(steps, weights(BACKEND, (5..=50).step_by(5)));
    assert_eq!(world.image("backend-primary"), "registry.example.com/web/backend:1.4.2");
}

#[tokio::test(start_paused = true)]
async fn s000_13_an_ab_test_of_two_minutes() {
    let world = frontend().await;
    world.deploy("registry.example.com/web/frontend:1.4.1");
    world.wait_told("iteration 1/12").await;
    let took = seconds_of(world.wait_told("Copying frontend.prod")).await;
    assert!((119..=121).contains(&took), "twelve rounds of ten seconds: {took} s");
    world.wait_for("Succeeded").await;
    assert_eq!(gist(world.story_since("Starting canary analysis"))[..12], rounds(FRONTEND, 12));
    assert_eq!(world.image("frontend-primary"), "registry.example.com/web/frontend:1.4.1");
}

/// An object of that time has its analysis under `canaryAnalysis`. A server with today's definitions takes none, but may have kept one.
#[tokio::test(start_paused = true)]
async fn s000_13_a_kept_object_of_old_harms_nobody() {
    let world = backend().await;
    let name = "canaries.flagger.app";
    let mut versions = world.lab.get("crd", "", name).unwrap()["spec"]["versions"].clone();
    versions[0]["schema"]["openAPIV3Schema"] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    world.lab.merge("crd", "", name, &json!({"spec": {"versions": versions}})).unwrap();
    let mut old =
        patched(manifest("gitops-istio/apps/frontend/canary.yaml", "Canary"), json!({"metadata": {"name": "old"}}));
    old["spec"]["targetRef"]["name"] = json!("old");
    let analysis = old["spec"].as_object_mut().unwrap().remove("analysis").unwrap();
    old["spec"]["canaryAnalysis"] = analysis;
    world.lab.create(old).unwrap();
    world.seconds(60).await;
    world.deploy("registry.example.com/web/backend:1.4.1");
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn s000_14_expressions_of_the_user_pass_unchanged() {
    let matches = json!([
        {"headers": {"User-agent": {"regex": r"^(?!.*Chrome)(?=.*\bSafari\b).*$"}}},
        {"headers": {"Cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}},
    ]);
    let world = frontend().await;
    world.edit(json!({"analysis": {"match": matches}}));
    world.deploy("registry.example.com/web/frontend:1.4.1");
    world.wait_told("iteration 1/12").await;
    let routes = world.get("virtualservice", "frontend")["spec"]["http"].clone();
    assert_eq!(routes[0]["match"], matches, "the data plane decides what it makes of them");
    for text in [
        "W analysis.match[0].headers.User-agent never matches: Istio wants names of headers in lower case",
        "W analysis.match[0].headers.User-agent is refused by Istio: `(?=` is not known to RE2",
        "W analysis.match[1].headers.Cookie never matches: Istio wants names of headers in lower case",
    ] {
        assert_eq!(world.told(text.trim_start_matches("W ")), 1, "{text}: {}", world.report());
        world.assert_told(text);
    }
}

#[tokio::test(start_paused = true)]
async fn s000_16_the_weight_of_an_ab_test_is_zero_in_the_status_and_100_in_the_metric() {
    let world = frontend().await;
    world.wait_for_of("backend", "Initialized").await;
    world.deploy_to("backend", "registry.example.com/web/backend:1.4.1");
    world.wait_for_of("backend", "Succeeded").await;
    world.deploy("registry.example.com/web/frontend:1.4.1");
    world.wait_told("iteration 3/12").await;
    assert_eq!((&world.status()["phase"], &world.status()["canaryWeight"]), (&json!("Progressing"), &json!(0)));
    world.assert_exposed(r#"flagger_canary_weight{namespace="prod",workload="frontend"} 100"#);
    assert_eq!(
        (&world.status_of("backend")["phase"], &world.status_of("backend")["canaryWeight"]),
        (&json!("Succeeded"), &json!(0))
    );
    world.assert_exposed(r#"flagger_canary_weight{namespace="prod",workload="backend"} 0"#);
}

#[tokio::test(start_paused = true)]
async fn s000_17_only_insiders_meet_the_new_version() {
    let world = frontend().await;
    world.deploy("registry.example.com/web/frontend:1.4.1");
    world.wait_told("iteration 1/12").await;
    let get = || Asked::get("prod", "frontend", "/status/500");
    let safari = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15";
    let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36";
    for (asked, to) in [
        (get().with("Cookie", "type=insider"), "frontend-canary"),
        (get().with("Cookie", "lang=en;type=insider;theme=dark"), "frontend-canary"),
        (get().with("Cookie", "type=insiders"), "frontend-primary"),
        (get().with("User-Agent", safari), "frontend-canary"),
        (get().with("User-Agent", chrome), "frontend-primary"),
        (get(), "frontend-primary"),
    ] {
        assert_eq!(share(&world, &asked, to), 100, "{asked:?}");
    }
    // What they meet is what is measured.
    world.net.values("istio_requests_total", &["69.169"]);
    world.wait_told("W Halt frontend.prod advancement success rate 69.17% < 99%").await;
    let query = world.net.queries().into_iter().rfind(|query| query.contains("istio_requests_total")).unwrap();
    assert!(
        query.contains(r#"destination_workload_namespace="prod""#)
            && query.contains(r#"destination_workload=~"frontend""#),
        "{query}"
    );
}
