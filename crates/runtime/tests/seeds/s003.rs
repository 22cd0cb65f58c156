//! S003: NGINX, the bundled Prometheus, a latency of one's own, Microsoft Teams.

use crate::documents::*;
use crate::harness::*;
use lab::dataplane::split::Asked;
use serde_json::{Value, json};

const IMAGE: &str = "registry.example.com/catalog/catalog:2026.4";
const NAME: &str = "catalog.catalog";

async fn world() -> World {
    initialized(&catalog(), "catalog", "catalog").await
}

fn request() -> Asked {
    Asked::get("catalog", "catalog", "/").with("Host", "catalog.example.com")
}

#[tokio::test(start_paused = true)]
async fn s003_01_four_strategies_by_name() {
    for (file, strategy) in [
        ("1b-weighted-faster", "canary"),
        ("2-ab-test", "ab-testing"),
        ("3-blue-green-mirroring", "blue-green"),
        ("4-blue-green", "blue-green"),
    ] {
        let world = initialized(&tickets(file), "tickets", "tickets").await;
        world.deploy("registry.example.com/tickets/tickets:5.1.0");
        world.wait_for("Succeeded").await;
        world.seconds(1).await;
        world.assert_exposed(&format!(
            r#"flagger_canary_successes_total{{analysis_status="completed",deployment_strategy="{strategy}",name="tickets",namespace="tickets"}} 1"#
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn s003_02_what_is_asked_about_nginx() {
    let world = world().await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 10").await;
    let queries = world.net.queries();
    let query = queries.iter().find(|query| query.contains("nginx_ingress_controller_requests")).unwrap();
    for part in [r#"namespace="catalog""#, r#"ingress="catalog""#, r#"canary!="""#, "[1m]"] {
        assert!(query.contains(part), "{part}: {query}");
    }
}

#[tokio::test(start_paused = true)]
async fn s003_05_an_ingress_with_its_class_as_an_annotation_before_there_is_a_service() {
    let mut world = World::with(setup()).await;
    world.about("catalog", "catalog");
    apply(&world, &manifests("nginx-latency/ingress.yaml"));
    let own = world.get("ingress", "catalog");
    assert!(world.try_get("service", "catalog").is_none());
    apply(&world, &catalog());
    world.wait_for("Initialized").await;
    assert!(world.try_get("service", "catalog").is_some());
    let copy = world.get("ingress", "catalog-canary");
    let annotations = &copy["metadata"]["annotations"];
    assert_eq!(annotations["kubernetes.io/ingress.class"], "nginx");
    assert_eq!(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"], "15");
    assert_eq!((world.nginx("canary"), world.nginx("canary-weight")), ("true".to_owned(), "0".to_owned()));
    assert_eq!(copy["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"], "catalog-canary");
    assert_eq!(copy["spec"]["rules"][0]["host"], own["spec"]["rules"][0]["host"]);
    assert_eq!(world.get("ingress", "catalog")["spec"], own["spec"], "the user's is not changed");
}

#[tokio::test(start_paused = true)]
async fn s003_06_any_domain_in_the_command_of_a_hook() {
    let world = world().await;
    let mut hooks = world.get("canary", "catalog")["spec"]["analysis"]["webhooks"].clone();
    let command = "hey -z 1m -q 10 -c 2 http://my-own.hosts.example/?a=b&c=<d>";
    hooks[1]["metadata"]["cmd"] = json!(command);
    world.edit(json!({"analysis": {"webhooks": hooks}}));
    world.deploy(IMAGE);
    world.wait_told("canary weight 10").await;
    assert_eq!(world.net.commanded("my-own.hosts.example")[0].body["metadata"]["cmd"], command);
}

#[tokio::test(start_paused = true)]
async fn s003_07_in_any_order_users_meet_the_primary() {
    let mut orders = [catalog(), catalog()];
    orders[1].reverse();
    for objects in orders {
        let world = initialized(&objects, "catalog", "catalog").await;
        assert_eq!(share(&world, &request(), "catalog"), 100, "its pods are the primary's");
        assert_eq!(world.get("service", "catalog")["spec"]["selector"], json!({"app": "catalog-primary"}));
    }
}

#[tokio::test(start_paused = true)]
async fn s003_08_and_s003_09_the_same_image_is_no_release() {
    let world = world().await;
    let (before, status) = (world.story(), world.status());
    world.deploy("registry.example.com/catalog/catalog:2026.3");
    world.seconds(300).await;
    assert_eq!((world.story(), world.status()), (before, status));
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    // What the primary runs, once more; also after something else was put back before anybody could see it.
    world.deploy(IMAGE);
    world.seconds(300).await;
    assert_eq!(world.told("New revision detected!"), 1);
}

#[tokio::test(start_paused = true)]
async fn s003_10_five_percent_more_every_ten_seconds() {
    let world = world().await;
    world.deploy(IMAGE);
    for weight in (5..=50).step_by(5) {
        let took = seconds_of(world.wait_told(&format!("canary weight {weight}"))).await;
        assert_eq!(
            (world.nginx("canary-weight"), world.status()["canaryWeight"].as_i64()),
            (weight.to_string(), Some(weight))
        );
        assert!(weight == 5 || (9..=11).contains(&took), "{weight}: {took} s");
    }
    world.wait_for("Succeeded").await;
    assert_eq!(gist(world.story_since("Pre-rollout check"))[..10], weights(NAME, (5..=50).step_by(5)));
}

#[tokio::test(start_paused = true)]
async fn s003_11_six_steps() {
    let world = world().await;
    let canary = |world: &World| share(world, &request(), "catalog-canary");
    // 1: one version.
    assert_eq!((canary(&world), world.replicas("catalog")), (0, 0));
    world.deploy(IMAGE);
    // 2: a few users; 3: more of them; 4: half.
    for (weight, users) in [(5, 5), (25, 25), (50, 50)] {
        world.wait_told(&format!("canary weight {weight}")).await;
        assert_eq!((canary(&world), world.image("catalog-primary").ends_with(":2026.3")), (users, true));
    }
    // 5: all have it, from where the old one was; 6: the pods in between go.
    world.wait_told("Routing all traffic to primary").await;
    assert_eq!((canary(&world), world.image("catalog-primary")), (0, IMAGE.to_owned()));
    world.wait_for("Succeeded").await;
    assert_eq!(world.replicas("catalog"), 0);
}

#[tokio::test(start_paused = true)]
async fn s003_12_ten_failed_checks_and_back() {
    let world = world().await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 15").await;
    world.net.values("nginx_ingress_controller_requests", &["42"]);
    let took = seconds_of(world.wait_for("Failed")).await;
    assert!((89..=111).contains(&took), "interval times threshold: {took} s");
    assert_eq!(world.told("W Halt catalog.catalog advancement success rate 42.00% < 99%"), 10, "{}", world.report());
    world.assert_told("W Rolling back catalog.catalog failed checks threshold reached 10");
    assert_eq!((world.nginx("canary-weight"), world.replicas("catalog")), ("0".to_owned(), 0));
}

#[tokio::test(start_paused = true)]
async fn s003_13_an_acceptance_test_before_the_first_user() {
    let world = world().await;
    world.net.command("grep token", [Reply::Text(400, "exit status 1".to_owned()), Reply::Hang, Reply::status(200)]);
    world.net.command("hey", [Reply::Hang]);
    world.deploy(IMAGE);
    world.wait_told("W Halt catalog.catalog advancement pre-rollout check acceptance-test failed exit status 1").await;
    assert_eq!((world.nginx("canary-weight"), world.told("Advance")), ("0".to_owned(), 0));
    let hook = &world.net.commanded("grep token")[0];
    assert_eq!(
        hook.body["metadata"],
        json!({"cmd": "curl -sd 'test' http://catalog-canary/token | grep token", "type": "bash"})
    );
    world.wait_until("it is asked again", |world| world.net.commanded("grep token").len() == 2).await;
    let took = seconds_of(world.wait_told("pre-rollout check acceptance-test failed POST")).await;
    assert!((29..=31).contains(&took), "the hook's own limit: {took} s");
    world.wait_told("N Pre-rollout check acceptance-test passed").await;
    world.wait_told("canary weight 5").await;
    world.wait_until("the load test is called", |world| !world.net.commanded("hey").is_empty()).await;
    let took = seconds_of(world.wait_told("external check load-test failed")).await;
    assert!((4..=6).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn s003_14_a_latency_of_ones_own() {
    let world = world().await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 10").await;
    let asked: Vec<_> = world.net.sent_to("http://flagger-prometheus.ingress-nginx:9090/api/v1/query");
    assert!(!asked.is_empty());
    let query =
        world.net.queries().into_iter().find(|query| query.contains("http_request_duration_seconds_bucket")).unwrap();
    for part in
        [r#"kubernetes_namespace="catalog""#, r#"kubernetes_pod_name=~"catalog-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)""#, "}[1m]"]
    {
        assert!(query.contains(part), "{part}: {query}");
    }
    world.net.values("http_request_duration_seconds_bucket", &["0.8"]);
    world.wait_for("Failed").await;
    assert_eq!(world.told("W Halt catalog.catalog advancement latency 0.80 > 0.5"), 10);
}

/// Clients that do not ask for strict validation have the field pruned; kubectl refuses it, which is tested with kubectl.
#[tokio::test(start_paused = true)]
async fn s003_15_an_interval_in_the_wrong_place_is_pruned_and_is_a_minute() {
    let mut world = World::with(setup()).await;
    world.about("catalog", "catalog");
    let (canaries, others): (Vec<_>, Vec<_>) = catalog().into_iter().partition(|object| object["kind"] == "Canary");
    apply(&world, &others);
    let mut canary = canaries[0].clone();
    let metric = &mut canary["spec"]["analysis"]["metrics"][1];
    metric.as_object_mut().unwrap().remove("interval");
    metric["thresholdRange"]["interval"] = json!("1m");
    world.lab.create(canary).unwrap();
    world.wait_for("Initialized").await;
    assert_eq!(world.get("canary", "catalog")["spec"]["analysis"]["metrics"][1]["thresholdRange"], json!({"max": 0.5}));
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    let query =
        world.net.queries().into_iter().find(|query| query.contains("http_request_duration_seconds_bucket")).unwrap();
    assert!(query.contains("}[1m]"), "{query}");
}

#[tokio::test(start_paused = true)]
async fn s003_16_new_metrics_are_no_release_and_count_in_the_next_one() {
    let mut objects = catalog();
    let whole = manifest("nginx-latency/canary.yaml", "Canary");
    for object in &mut objects {
        if object["kind"] == "Canary" {
            object["spec"]["analysis"]["metrics"].as_array_mut().unwrap().pop();
        }
    }
    let world = initialized(&objects, "catalog", "catalog").await;
    let hash = world.status()["lastAppliedSpec"].clone();
    world.apply(whole);
    world.seconds(300).await;
    assert_eq!((world.status()["phase"].as_str(), &world.status()["lastAppliedSpec"]), (Some("Initialized"), &hash));
    assert_eq!(world.told("New revision"), 0);
    world.net.values("http_request_duration_seconds_bucket", &["0.8"]);
    world.deploy(IMAGE);
    world.wait_told("W Halt catalog.catalog advancement latency 0.80 > 0.5").await;
}

/// The card as Teams gets it.
fn card(world: &World, text: &str) -> Value {
    let sent = world.net.sent_to(CHAT);
    let found = sent.iter().find(|sent| sent.body.to_string().contains(text));
    found.unwrap_or_else(|| panic!("{text}: {sent:?}")).body.clone()
}

#[tokio::test(start_paused = true)]
async fn s003_17_and_s003_19_cards_in_teams() {
    let mut world = world().await;
    let before = world.get("ingress", "catalog-canary");
    world.upgrade(|_, receivers| receivers.notifier = Some(chat("msteams"))).await;
    assert_eq!(world.get("ingress", "catalog-canary"), before);
    world.deploy(IMAGE);
    world.wait_told("canary weight 10").await;
    world.net.values("http_request_duration_seconds_bucket", &["0.8"]);
    world.wait_for("Failed").await;
    world.seconds(1).await;
    let begun = card(&world, "New revision detected, progressing canary analysis.");
    assert_eq!((&begun["@type"], &begun["themeColor"]), (&json!("MessageCard"), &json!("0076D7")));
    let section = &begun["sections"][0];
    assert_eq!(section["activityTitle"], "New revision detected, progressing canary analysis.");
    assert_eq!(section["activitySubtitle"], NAME);
    let facts: Vec<&str> =
        section["facts"].as_array().unwrap().iter().map(|fact| fact["name"].as_str().unwrap()).collect();
    assert_eq!(facts, ["Target", "Failed checks threshold", "Progress deadline", "Traffic routing"]);
    let failed = card(&world, "Failed checks threshold reached 10");
    assert_eq!((&failed["themeColor"], &failed["sections"][0]["activitySubtitle"]), (&json!("FF0000"), &json!(NAME)));
}

#[tokio::test(start_paused = true)]
async fn s003_20_a_prometheus_of_ones_own() {
    let mut objects = catalog();
    for object in &mut objects {
        if object["kind"] == "Canary" {
            object["spec"]["metricsServer"] = json!("http://prometheus.elsewhere:9090");
        }
    }
    let world = initialized(&objects, "catalog", "catalog").await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 10").await;
    assert!(!world.net.sent_to("http://prometheus.elsewhere:9090/api/v1/query").is_empty());
}
