//! S004: NGINX, five strategies for one application.

use crate::documents::*;
use crate::harness::*;
use lab::dataplane::split::Asked;
use serde_json::{Value, json};

const IMAGE: &str = "registry.example.com/tickets/tickets:5.1.0";
const NAME: &str = "tickets.tickets";

async fn world(strategy: &str) -> World {
    initialized(&tickets(strategy), "tickets", "tickets").await
}

fn request() -> Asked {
    Asked::get("tickets", "tickets", "/").with("Host", "tickets.example.com")
}

/// NGINX's own annotations of an Ingress, sorted.
fn annotations(world: &World, ingress: &str) -> Vec<String> {
    let all = world.get("ingress", ingress)["metadata"]["annotations"].clone();
    let mut own: Vec<String> = all
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            Some(format!("{}={}", key.strip_prefix("nginx.ingress.kubernetes.io/")?, value.as_str()?))
        })
        .collect();
    own.sort();
    own
}

/// Applies another strategy as `kubectl apply` does: what the new file does not say is gone.
fn switch(world: &World, strategy: &str) {
    let former = world.get("canary", "tickets")["spec"]["analysis"].clone();
    let mut spec = ticket(strategy)["spec"].clone();
    for key in former.as_object().unwrap().keys() {
        if spec["analysis"].get(key).is_none() {
            spec["analysis"][key] = Value::Null;
        }
    }
    world.edit(spec);
}

#[tokio::test(start_paused = true)]
async fn s004_01_hooks_reach_a_tester_in_another_namespace() {
    let world = world("1-weighted").await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 4").await;
    let sent = world.net.sent_to("http://flagger-loadtester.flagger-system/");
    assert!(sent.len() >= 2, "{sent:?}");
    assert!(sent.iter().all(|sent| sent.body["namespace"] == "tickets" && sent.body["name"] == "tickets"));
}

#[tokio::test(start_paused = true)]
async fn s004_02_the_class_of_the_ingress_is_copied() {
    let world = world("1-weighted").await;
    let copy = world.get("ingress", "tickets-canary");
    assert_eq!(copy["spec"]["ingressClassName"], "nginx");
    assert_eq!(copy["metadata"]["annotations"]["kubernetes.io/ingress.class"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn s004_03_what_is_applied_and_what_is_generated() {
    let world = world("1-weighted").await;
    for (kind, name) in [
        ("deploy", "tickets"),
        ("hpa", "tickets"),
        ("ingress", "tickets"),
        ("deploy", "tickets-primary"),
        ("hpa", "tickets-primary"),
        ("service", "tickets"),
        ("service", "tickets-canary"),
        ("service", "tickets-primary"),
        ("ingress", "tickets-canary"),
    ] {
        let owner = world.get(kind, name)["metadata"]["ownerReferences"][0]["kind"].clone();
        let applied = ["deploy", "hpa", "ingress"].contains(&kind) && name == "tickets";
        assert_eq!(owner, if applied { Value::Null } else { json!("Canary") }, "{kind} {name}");
    }
    assert_eq!(world.get("hpa", "tickets-primary")["spec"]["scaleTargetRef"]["name"], "tickets-primary");
}

#[tokio::test(start_paused = true)]
async fn s004_04_weighted_for_25_minutes() {
    let mut objects = tickets("1-weighted");
    // As the article has it; the example has today's.
    objects.last_mut().unwrap()["spec"]["autoscalerRef"]["apiVersion"] = json!("autoscaling/v2beta2");
    let world = initialized(&objects, "tickets", "tickets").await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 2").await;
    let took = seconds_of(world.wait_told("Copying")).await;
    assert!((1499..=1501).contains(&took), "interval times maxWeight by stepWeight: {took} s");
    world.wait_for("Succeeded").await;
    let story = gist(world.story_since("Pre-rollout check acceptance-test passed"));
    assert_eq!(story[..25], weights(NAME, (2..=50).step_by(2)));
    assert_eq!(
        story[25..],
        [
            "N Copying tickets.tickets template spec to tickets-primary.tickets",
            "N Advance tickets.tickets primary weight 100",
            "N Promotion completed! Scaling down tickets.tickets",
        ],
        "and back in one step"
    );
    // The way back takes interval times threshold.
    world.net.values("nginx_ingress_controller_requests", &["90"]);
    world.deploy("registry.example.com/tickets/tickets:5.2.0");
    world.wait_for("Progressing").await;
    world.wait_told("W Halt tickets.tickets advancement success rate 90.00% < 99%").await;
    let took = seconds_of(world.wait_for("Failed")).await;
    assert!((539..=601).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn s004_05_another_speed_in_the_middle_of_a_release() {
    let world = world("1-weighted").await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 4").await;
    switch(&world, "1b-weighted-faster");
    let took = seconds_of(world.wait_told("canary weight 9")).await;
    assert!(took <= 11, "the new interval counts at once: {took} s");
    let took = seconds_of(world.wait_told("canary weight 14")).await;
    assert!((9..=11).contains(&took), "{took} s");
    world.wait_for("Succeeded").await;
    assert_eq!((world.told("Restarting"), world.told("Starting canary analysis")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn s004_06_ab_test() {
    let world = world("2-ab-test").await;
    world.deploy(IMAGE);
    world.wait_told("iteration 1/10").await;
    assert_eq!(
        annotations(&world, "tickets-canary"),
        [
            "canary-by-cookie=tickets-preview",
            "canary-by-header-value=true",
            "canary-by-header=x-canary",
            "canary-weight=0",
            "canary=true"
        ]
    );
    for (asked, to) in [
        (request().with("x-canary", "true"), 100),
        (request().with("x-canary", "false"), 0),
        (request().with("Cookie", "tickets-preview=always"), 100),
        (request().with("Cookie", "tickets-preview=true"), 0),
        (request(), 0),
    ] {
        assert_eq!(share(&world, &asked, "tickets-canary"), to, "{asked:?}");
    }
    world.wait_for("Succeeded").await;
    assert_eq!(gist(world.story_since("Pre-rollout check"))[..10], rounds(NAME, 10));
    assert_eq!(annotations(&world, "tickets-canary"), ["canary-weight=0", "canary=true"]);
    // `exact: "true"`, as in the article, is a cookie of the name `true`.
    let mut matches = ticket("2-ab-test")["spec"]["analysis"]["match"].clone();
    matches[1]["headers"]["cookie"]["exact"] = json!("true");
    world.edit(json!({"analysis": {"match": matches}}));
    world.deploy("registry.example.com/tickets/tickets:5.2.0");
    world.wait_until("the test runs", |world| world.told("iteration 1/10") == 2).await;
    assert_eq!(world.nginx("canary-by-cookie"), "true");
    assert_eq!(share(&world, &request().with("Cookie", "true=always"), "tickets-canary"), 100);
}

#[tokio::test(start_paused = true)]
async fn s004_07_blue_green_with_mirroring() {
    let world = world("3-blue-green-mirroring").await;
    world.deploy(IMAGE);
    world.wait_told("iteration 1/10").await;
    let seen = ask(&world, &request());
    assert_eq!(
        (seen.service.as_str(), seen.mirror.as_deref()),
        ("tickets", Some("tickets-canary")),
        "users are served by the primary"
    );
    assert_eq!(world.nginx("canary-weight"), "0");
    world.wait_for("Succeeded").await;
    assert_eq!(gist(world.story_since("Pre-rollout check"))[..10], rounds(NAME, 10));
    assert_eq!((annotations(&world, "tickets"), world.image("tickets-primary")), (vec![], IMAGE.to_owned()));
    assert!(world.net.queries().iter().all(|query| query.contains("vector(1)")), "only hooks decide");
}

#[tokio::test(start_paused = true)]
async fn s004_08_blue_green() {
    let world = world("4-blue-green").await;
    world.deploy(IMAGE);
    world.wait_told("iteration 10/10").await;
    assert_eq!(share(&world, &request(), "tickets-canary"), 0);
    world.wait_told("Routing all traffic to canary").await;
    assert_eq!(share(&world, &request(), "tickets-canary"), 100);
    world.wait_for("Succeeded").await;
    let story = gist(world.story_since("Pre-rollout check acceptance-test passed"));
    assert_eq!(story[..10], rounds(NAME, 10));
    assert_eq!(
        story[10..],
        [
            "N Routing all traffic to canary",
            "N Copying tickets.tickets template spec to tickets-primary.tickets",
            "N Routing all traffic to primary",
            "N Promotion completed! Scaling down tickets.tickets",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn s004_09_session_affinity() {
    let world = world("5-session-affinity").await;
    world.deploy(IMAGE);
    world.wait_told("canary weight 10").await;
    let pinned =
        |value: &str| share(&world, &request().with("Cookie", &format!("tickets-side={value}")), "tickets-canary");
    assert_eq!((pinned("always"), pinned("never"), share(&world, &request(), "tickets-canary")), (100, 0, 10));
    let warned: Vec<String> = world.story().into_iter().filter(|line| line.contains("sessionAffinity")).collect();
    assert_eq!(warned.len(), 1, "what NGINX cannot do by itself is said once: {warned:?}");
    assert_eq!(world.condition("Unsupported").unwrap().0, "True");
    world.wait_for("Succeeded").await;
    let steps: Vec<String> = world.story().into_iter().filter(|line| line.contains("Advance")).collect();
    assert_eq!(steps, weights(NAME, (2..=50).step_by(2)));
    assert_eq!(annotations(&world, "tickets-canary"), ["canary-weight=0", "canary=true"]);
}

#[tokio::test(start_paused = true)]
async fn s004_10_five_strategies_in_turn_leave_nothing_of_each_other() {
    let files = [
        "1-weighted",
        "1b-weighted-faster",
        "2-ab-test",
        "3-blue-green-mirroring",
        "4-blue-green",
        "5-session-affinity",
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/nginx-strategies");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.sort();
    assert_eq!(names, files.map(|file| format!("{file}.yaml")), "all that there are");
    let world = world(files[0]).await;
    for (number, file) in (2..).zip(files) {
        switch(&world, file);
        let image = format!("registry.example.com/tickets/tickets:{number}");
        world.deploy(&image);
        world.wait_for("Progressing").await;
        world.wait_for("Succeeded").await;
        assert_eq!((world.image("tickets-primary"), world.replicas("tickets")), (image, 0), "{file}");
        assert_eq!(annotations(&world, "tickets-canary"), ["canary-weight=0", "canary=true"], "{file}");
        assert_eq!(annotations(&world, "tickets"), [""; 0], "{file}");
    }
}

#[tokio::test(start_paused = true)]
async fn s004_11_a_test_in_bash_and_load_by_the_public_host() {
    let world = world("1b-weighted-faster").await;
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    let test = &world.net.commanded("grep token")[0];
    assert_eq!(
        test.body["metadata"],
        json!({"type": "bash", "cmd": "curl -sd 'test' http://tickets-canary.tickets/token | grep token"})
    );
    assert_eq!(world.net.commanded("grep token").len(), 1, "once, before the first user");
    let load = world.net.commanded("http://tickets.example.com/");
    assert_eq!(load[0].body["metadata"], json!({"cmd": "hey -z 1m -q 10 -c 2 http://tickets.example.com/"}));
    assert!(load.len() >= 10, "{}", load.len());
}

#[tokio::test(start_paused = true)]
async fn s004_12_without_metrics_the_hooks_decide() {
    for metrics in [Value::Null, json!([])] {
        let world = world("4-blue-green").await;
        world.edit(json!({"analysis": {"metrics": metrics}}));
        world.deploy(IMAGE);
        world.wait_for("Succeeded").await;
        world.net.command("hey", [Reply::status(500)]);
        world.deploy("registry.example.com/tickets/tickets:5.2.0");
        world.wait_for("Failed").await;
        assert_eq!(world.told("W Halt tickets.tickets advancement external check load-test failed"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn s004_13_reports_in_slack() {
    let world = world("1b-weighted-faster").await;
    world.deploy(IMAGE);
    world.wait_told("Promotion completed!").await;
    world.seconds(1).await;
    assert_eq!(
        chatted(&world),
        [
            "New Deployment detected, initialization completed.",
            "New revision detected, progressing canary analysis.",
            "Canary analysis completed successfully, promotion finished.",
        ]
    );
    let fields = world.net.sent_to(CHAT)[1].body["attachments"][0]["fields"].clone();
    let field =
        |title: &str| fields.as_array().unwrap().iter().find(|field| field["title"] == title).unwrap()["value"].clone();
    assert_eq!(
        (field("Target"), field("Traffic routing")),
        (json!("Deployment/tickets.tickets"), json!("Weight step: 5 max: 50"))
    );
}

#[tokio::test(start_paused = true)]
async fn s004_14_a_plain_deployment_can_be_handed_back() {
    let mut objects = tickets("1b-weighted-faster");
    objects.last_mut().unwrap()["spec"]["revertOnDeletion"] = json!(true);
    objects
        .push(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "tickets", "namespace": "tickets"},
        "spec": {"selector": {"app": "tickets"}, "ports": [{"port": 80, "targetPort": "http"}]}}));
    let world = initialized(&objects, "tickets", "tickets").await;
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    world.lab.delete("canary", "tickets", "tickets").unwrap();
    world.wait_until("it is gone", |world| world.try_get("canary", "tickets").is_none()).await;
    world.seconds(5).await;
    assert!(world.replicas("tickets") >= 1 && world.image("tickets") == IMAGE);
    assert_eq!(world.get("service", "tickets")["spec"]["selector"], json!({"app": "tickets"}));
    assert!(
        world.try_get("ingress", "tickets-canary").is_none() && world.try_get("deploy", "tickets-primary").is_none()
    );
    assert_eq!(share(&world, &request(), "tickets"), 100, "users are served by it");
}
