//! S002: a cluster made by one command, with an A/B test that two metric templates decide.

use crate::documents::*;
use crate::harness::*;
use lab::dataplane::split::Asked;
use serde_json::json;

const IMAGE: &str = "registry.example.com/web/frontend:3.1.1";
const NAME: &str = "frontend.prod";

/// The share of requests that fail, by the template.
const ERRORS: &str = "100 - 100 * sum";

async fn frontend() -> World {
    let world = initialized(&bootstrapped(), "prod", "frontend").await;
    world.net.values(ERRORS, &["0.2"]);
    world
}

#[tokio::test(start_paused = true)]
async fn s002_02_the_order_of_the_bootstrap() {
    // Definitions of the mesh come last here, as if its operator were slow.
    let mut world = World::with(Setup { crds: Vec::new(), ..setup() }).await;
    world.about("prod", "frontend");
    let objects: Vec<_> = bootstrapped().into_iter().filter(|object| object["kind"] != "Gateway").collect();
    apply(&world, &objects);
    world.wait_told("W reconcileDestinationRule failed").await;
    for definition in istio_crds() {
        world.apply(definition);
    }
    for canary in ["frontend", "backend"] {
        world.wait_for_of(canary, "Initialized").await;
    }
    world.net.values(ERRORS, &["0.2"]);
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn s002_04_what_starts_an_analysis_and_what_starts_it_again() {
    let mut world = frontend().await;
    world.deploy(IMAGE);
    world.wait_told("iteration 3/12").await;
    world.deploy("registry.example.com/web/frontend:3.1.2");
    world.wait_told("N New revision detected! Restarting analysis for frontend.prod").await;
    world.wait_for("Succeeded").await;
    assert_eq!(world.told("Pre-rollout check conformance-test passed"), 2);
    assert_eq!(world.told("iteration 1/12"), 2);
    world.about("prod", "backend");
    world.merge("configmap", "backend", json!({"data": {"stock.yaml": "reserveFor: 1h\n"}}));
    world.wait_told("N New revision detected! Scaling up backend.prod").await;
}

#[tokio::test(start_paused = true)]
async fn s002_05_the_tester_is_called_in_each_round() {
    let world = frontend().await;
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    let load = world.net.commanded("hey -z 1m -q 10 -c 2 -H 'Cookie: type=insider'");
    assert!(load.len() >= 12, "{}", load.len());
    assert!(load.iter().all(|sent| sent.url == "http://flagger-loadtester.prod/"));
}

#[tokio::test(start_paused = true)]
async fn s002_07_firefox_or_insiders_for_two_minutes() {
    let world = frontend().await;
    world.deploy(IMAGE);
    world.wait_told("iteration 1/12").await;
    let rules = world.get("virtualservice", "frontend")["spec"]["http"][0]["match"].clone();
    assert_eq!(
        rules,
        manifest("gitops-flux-bootstrap/apps/frontend.yaml", "Canary")["spec"]["analysis"]["match"],
        "either is enough"
    );
    let get = || Asked::get("prod", "frontend", "/");
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0";
    for (asked, to) in [
        (get().with("User-Agent", firefox), "frontend-canary"),
        (get().with("Cookie", "type=insider"), "frontend-canary"),
        (get().with("User-Agent", "curl/8.5.0"), "frontend-primary"),
        (get(), "frontend-primary"),
    ] {
        assert_eq!(share(&world, &asked, to), 100, "{asked:?}");
    }
    let took = seconds_of(world.wait_told("Copying")).await;
    assert!((119..=121).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn s002_08_what_the_log_says() {
    let world = frontend().await;
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    let story = world.story_since("Initialization done!");
    assert!(
        story[1].starts_with("W canary deployment frontend.prod not ready: waiting for rollout to finish: "),
        "{story:?}"
    );
    let mut expected = vec![
        "N New revision detected! Scaling up frontend.prod".to_owned(),
        "N Starting canary analysis for frontend.prod".to_owned(),
        "N Pre-rollout check conformance-test passed".to_owned(),
    ];
    expected.extend(rounds(NAME, 12));
    expected.push("N Copying frontend.prod template spec to frontend-primary.prod".to_owned());
    expected.push("N Routing all traffic to primary".to_owned());
    expected.push("N Promotion completed! Scaling down frontend.prod".to_owned());
    assert!(
        story.iter().any(|line| line.starts_with("W frontend-primary.prod not ready: waiting for rollout to finish: ")),
        "{story:?}"
    );
    assert_eq!(gist(story), expected);
}

#[tokio::test(start_paused = true)]
async fn s002_10_templates_of_another_namespace() {
    let world = frontend().await;
    world.deploy(IMAGE);
    world.wait_for("Succeeded").await;
    let queries = world.net.queries();
    for part in ["100 - 100 * sum(rate(istio_requests_total", "histogram_quantile(0.99, sum by (le)"] {
        let query = queries.iter().find(|query| query.contains(part)).unwrap_or_else(|| panic!("{part}: {queries:?}"));
        for piece in [r#"destination_workload_namespace="prod""#, r#"destination_workload="frontend""#, "}[30s]"] {
            assert!(query.contains(piece), "{piece}: {query}");
        }
    }
    assert!(!world.net.sent_to("flagger-prometheus.istio-system:9090").is_empty());
    // The same is refused where namespaces must not refer to each other.
    let mut setup = setup();
    setup.settings.no_cross_namespace_refs = true;
    let mut world = World::with(setup).await;
    world.about("prod", "frontend");
    apply(&world, &bootstrapped());
    world.wait_told("cross-namespace references are blocked").await;
    assert!(world.try_get("deploy", "frontend-primary").is_none());
}

#[tokio::test(start_paused = true)]
async fn s002_11_and_s002_12_rollback_by_the_templates() {
    let world = frontend().await;
    world.deploy(IMAGE);
    world.wait_told("iteration 1/12").await;
    world.net.values(ERRORS, &["31"]);
    world.wait_told("W Halt frontend.prod advancement error-rate 31.00 > 1").await;
    world.net.values(ERRORS, &["0.2"]);
    world.net.values("histogram_quantile(0.99", &["2000"]);
    world.wait_told("W Halt frontend.prod advancement latency 2000.00 > 500").await;
    world.wait_for("Failed").await;
    assert_eq!(world.told("W Halt frontend.prod advancement"), 10, "{}", world.report());
    let story = world.story();
    assert_eq!(
        story[story.len() - 2..],
        [
            "W Rolling back frontend.prod failed checks threshold reached 10",
            "W Canary failed! Scaling down frontend.prod"
        ]
    );
    assert_eq!(
        (world.replicas("frontend"), world.image("frontend-primary")),
        (0, "registry.example.com/web/frontend:1.4.0".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn s002_13_other_sources_of_metrics() {
    let world = frontend().await;
    let template = |kind: &str| {
        let change = json!({"metadata": {"name": format!("by-{kind}")}, "spec": {"provider": {"type": kind}}});
        patched(manifests("gitops-flux-bootstrap/apps/metrics.yaml").remove(0), change)
    };
    for kind in ["prometheus", "datadog", "cloudwatch"] {
        world.lab.create(template(kind)).unwrap_or_else(|refusal| panic!("{kind}: {refusal}"));
    }
    let refusal = world.lab.create(template("crystal-ball")).unwrap_err().to_string();
    assert!(refusal.contains("spec.provider.type") && refusal.contains("crystal-ball"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn s002_14_messages_to_slack() {
    let world = frontend().await;
    world.wait_for_of("backend", "Initialized").await;
    world.deploy(IMAGE);
    world.wait_told("Promotion completed!").await;
    world.net.values(ERRORS, &["31"]);
    world.deploy("registry.example.com/web/frontend:3.1.2");
    world.wait_for("Failed").await;
    // The pods from before are gone.
    world.seconds(30).await;
    world.net.values(ERRORS, &["0"]);
    world.merge(
        "deploy",
        "frontend",
        json!({"spec": {"progressDeadlineSeconds": 600, "template": {"metadata": {"annotations": {"sim/ready-after": "never"}}}}}),
    );
    world.wait_for("Progressing").await;
    world.wait_for("Failed").await;
    world.seconds(1).await;
    let said = chatted(&world);
    let (first, rest) = said.split_at(2);
    assert_eq!(first, ["New Deployment detected, initialization completed."; 2], "one for each application");
    assert_eq!(
        rest,
        [
            "New revision detected, progressing canary analysis.",
            "Canary analysis completed successfully, promotion finished.",
            "New revision detected, progressing canary analysis.",
            "Failed checks threshold reached 10",
            "New revision detected, progressing canary analysis.",
            "Progress deadline exceeded canary deployment frontend.prod not ready: waiting for rollout to finish: 0 of 2 (readyThreshold 100%) updated replicas are available",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn s002_15_every_canary_its_own_receivers() {
    let kinds = ["slack", "msteams", "discord", "rocket"];
    let mut objects = bootstrapped();
    for kind in kinds {
        objects.push(json!({"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": kind, "namespace": "prod"},
            "spec": {"type": kind, "channel": "releases", "username": "flagger", "address": format!("http://alerts/{kind}")}}));
    }
    let alerts: Vec<_> =
        kinds.map(|kind| json!({"name": kind, "severity": "info", "providerRef": {"name": kind}})).into();
    let canary = objects
        .iter_mut()
        .find(|object| object["kind"] == "Canary" && object["metadata"]["name"] == "frontend")
        .unwrap();
    canary["spec"]["analysis"]["alerts"] = json!(alerts);
    let world = initialized(&objects, "prod", "frontend").await;
    world.wait_for_of("backend", "Initialized").await;
    world.seconds(1).await;
    let text = "New Deployment detected, initialization completed.";
    for kind in kinds {
        let sent = world.net.sent_to(&format!("http://alerts/{kind}"));
        assert_eq!(sent.len(), 1, "{kind}");
        assert!(
            sent[0].body.to_string().contains(text) && sent[0].body.to_string().contains(NAME),
            "{kind}: {}",
            sent[0].body
        );
    }
    assert_eq!(chatted(&world), [text], "the common chat hears of the backend, which has none of its own");
}
