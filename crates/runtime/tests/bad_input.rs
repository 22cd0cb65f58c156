//! What is missing, broken, slow or wrong: it is told once in the known words, nothing else is harmed, and the rollout goes on when the fault is gone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A second Canary beside the broken one: it is initialised and rolls out as if nothing were wrong.
async fn neighbour(world: &World) {
    world.apply(secret("one"));
    world.apply(deployment("other", "demo:1"));
    world.apply(canary("other", "kubernetes", iterations(2)));
    world.wait_for_of("other", "Initialized").await;
    world.deploy_to("other", "demo:2");
    world.wait_for_of("other", "Succeeded").await;
    assert_eq!(world.image("other-primary"), "demo:2");
}

/// Told exactly once, and written into the condition.
#[track_caller]
fn stalled(world: &World, text: &str) {
    assert_eq!(world.story().iter().filter(|line| line.contains(text)).count(), 1, "{text}\n{}", world.report());
    let (status, _, message) = world.condition("Stalled").unwrap_or_else(|| panic!("not stalled\n{}", world.report()));
    assert!(status == "True" && message.contains(text), "{message}");
    let events = world.kubernetes_events();
    assert!(events.iter().any(|(kind, message)| kind == "Warning" && message.contains(text)), "{events:?}");
}

#[track_caller]
fn mended(world: &World) {
    assert!(
        world.condition("Stalled").is_none() && world.condition("Ready").unwrap().0 == "True",
        "{}",
        world.report()
    );
}

#[tokio::test(start_paused = true)]
async fn a_canary_before_its_target() {
    let world = World::new().await;
    world.apply(canary("cart", "istio", steps(10, 20)));
    neighbour(&world).await;
    stalled(&world, r#"deployment cart.shop get query error: deployments.apps "cart" not found"#);
    world.apply(deployment("cart", "demo:1"));
    let before = tokio::time::Instant::now();
    world.wait_for("Initialized").await;
    assert!(before.elapsed() < Duration::from_secs(2), "the target wakes it: {:?}", before.elapsed());
    mended(&world);
}

#[tokio::test(start_paused = true)]
async fn a_canary_before_the_crds_of_its_mesh() {
    let world = World::with(Setup { crds: Vec::new(), ..Setup::default() }).await;
    world.apply(secret("one"));
    world.apply(deployment("cart", "demo:1"));
    world.apply(canary("cart", "istio", steps(10, 20)));
    neighbour(&world).await;
    world.seconds(120).await;
    assert_eq!(world.replicas("cart"), 1, "the target keeps its pods while there is no route\n{}", world.report());
    stalled(&world, "the server could not find the requested resource");
    for crd in istio_crds() {
        world.apply(crd);
    }
    let before = tokio::time::Instant::now();
    world.wait_for("Initialized").await;
    assert!(before.elapsed() < Duration::from_secs(120), "{:?}", before.elapsed());
    mended(&world);
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn a_canary_before_its_ingress() {
    let world = World::new().await;
    world.apply(secret("one"));
    world.apply(deployment("cart", "demo:1"));
    world.apply(nginx_canary(steps(20, 40)));
    neighbour(&world).await;
    stalled(&world, r#"ingresses.networking.k8s.io "cart" not found"#);
    assert_eq!(world.replicas("cart"), 1);
    world.apply(ingress());
    world.wait_for("Initialized").await;
    mended(&world);
}

#[tokio::test(start_paused = true)]
async fn a_canary_before_its_autoscaler() {
    let world = World::new().await;
    world.apply(secret("one"));
    world.apply(deployment("cart", "demo:1"));
    let mut object = canary("cart", "istio", steps(10, 20));
    object["spec"]["autoscalerRef"] =
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "cart"});
    world.apply(object);
    neighbour(&world).await;
    stalled(&world, r#"horizontalpodautoscalers.autoscaling "cart" not found"#);
    world.apply(hpa("cart"));
    world.wait_for("Initialized").await;
    mended(&world);
    assert!(world.try_get("hpa", "cart-primary").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_deleted_in_the_middle() {
    let world = World::initialized("istio", steps(10, 50)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    let target = world.get("deploy", "cart");
    world.lab.delete("deploy", "shop", "cart").unwrap();
    world.seconds(60).await;
    stalled(&world, r#"deployment cart.shop get query error: deployments.apps "cart" not found"#);
    assert_eq!((world.image("cart-primary"), world.replicas("cart-primary")), ("demo:1".to_owned(), 1));
    let mut again = deployment("cart", "demo:2");
    again["spec"]["template"] = target["spec"]["template"].clone();
    world.apply(again);
    world.wait_for("Succeeded").await;
    assert_eq!(world.image("cart-primary"), "demo:2");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_spec_at_creation_and_by_edit() {
    let mut setup = Setup::default();
    setup.settings.no_cross_namespace_refs = true;
    let world = World::with(setup).await;
    let foreign = json!([{"name": "x", "interval": "1m", "templateRef": {"name": "x", "namespace": "elsewhere"}}]);
    world.apply(secret("one"));
    let before = world.apply(deployment("cart", "demo:1"));
    world.apply(canary("cart", "istio", analysis(json!({"stepWeight": 10, "maxWeight": 50, "metrics": foreign}))));
    neighbour(&world).await;
    let text = "invalid canary spec: can't access metric template x.elsewhere, cross-namespace references are blocked";
    stalled(&world, text);
    assert_eq!(world.get("deploy", "cart")["spec"], before["spec"]);
    assert!(world.try_get("deploy", "cart-primary").is_none() && world.try_get("service", "cart").is_none());
    let good = analysis(json!({}))["metrics"].clone();
    world.edit(json!({"analysis": {"metrics": good}}));
    world.wait_for("Initialized").await;
    mended(&world);

    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    world.edit(json!({"analysis": {"metrics": foreign}}));
    let (writes, weights) = (world.writes_to("virtualservices.networking.istio.io").len(), world.weights());
    world.seconds(300).await;
    assert_eq!(world.told(text), 2, "{}", world.report());
    assert_eq!(world.condition("Stalled").unwrap().1, "InvalidSpec");
    assert_eq!(
        (world.writes_to("virtualservices.networking.istio.io").len(), world.weights(), world.replicas("cart")),
        (writes, weights, 1)
    );
    world.edit(json!({"analysis": {"metrics": good}}));
    world.wait_for("Succeeded").await;
    assert_eq!(world.told("canary weight 10"), 1, "it goes on where it was");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_not_built() {
    let world = World::new().await;
    world.apply(secret("one"));
    let before = world.apply(deployment("cart", "demo:1"));
    world.apply(canary("cart", "kuma", steps(10, 20)));
    neighbour(&world).await;
    stalled(&world, "provider kuma is not supported by this version, nothing is changed");
    assert_eq!(world.get("deploy", "cart")["spec"], before["spec"]);
    assert!(world.try_get("deploy", "cart-primary").is_none() && world.try_get("service", "cart").is_none());
    world.edit(json!({"provider": "istio"}));
    world.wait_for("Initialized").await;
    mended(&world);
    // By edit, in the middle of a rollout.
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    world.edit(json!({"provider": "kuma"}));
    world.seconds(120).await;
    assert_eq!((world.weights(), world.replicas("cart"), world.condition("Stalled").is_some()), ((90, 10), 1, true));
    world.edit(json!({"provider": "istio"}));
    world.wait_for("Succeeded").await;
}

/// A Canary whose template is this; what its first check says.
async fn complaint(metric: Value, template: Option<Value>) -> String {
    let world = World::new().await;
    if let Some(template) = template {
        world.apply(template);
    }
    let world = world
        .ready(canary("cart", "istio", analysis(json!({"stepWeight": 10, "maxWeight": 20, "metrics": [metric]}))))
        .await;
    world.deploy("demo:2");
    world.wait_for("Failed").await;
    assert_eq!((world.weights(), world.image("cart-primary")), ((100, 0), "demo:1".to_owned()));
    let halts: Vec<String> = world.story_since("canary weight 10").into_iter().collect();
    assert_eq!(halts[0], halts[1], "the same at both checks");
    halts[0].clone()
}

#[tokio::test(start_paused = true)]
async fn templates_that_do_not_parse_or_do_not_exist() {
    let metric = json!({"name": "x", "interval": "1m", "thresholdRange": {"max": 1}, "templateRef": {"name": "x"}});
    let text = complaint(metric.clone(), Some(template("shop", "x", "sum({{ target "))).await;
    assert_eq!(
        text,
        "W Metric template x.shop query render error: template parsing failed: template: tmpl:1: unclosed action"
    );
    let text = complaint(metric.clone(), Some(template("shop", "x", "{{ nonsense }}"))).await;
    assert!(text.contains(r#"function "nonsense" not defined"#), "{text}");
    let text = complaint(metric, None).await;
    assert_eq!(text, r#"W Metric template x.shop error: metrictemplates.flagger.app "x" not found"#);
    let inline = json!({"name": "y", "interval": "1m", "thresholdRange": {"max": 1}, "query": "sum({{ target "});
    let text = complaint(inline, None).await;
    assert!(text.starts_with("W Prometheus query failed for y: "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_template_that_is_mended_in_the_middle() {
    let world = World::new().await;
    world.apply(template("shop", "x", "{{ nonsense }}"));
    let metric = json!({"name": "x", "interval": "1m", "thresholdRange": {"max": 100}, "templateRef": {"name": "x"}});
    let spec = analysis(json!({"stepWeight": 10, "maxWeight": 20, "threshold": 5, "metrics": [metric]}));
    let world = world.ready(canary("cart", "istio", spec)).await;
    world.deploy("demo:2");
    world.wait_told("nonsense").await;
    world.apply(template("shop", "x", "fine"));
    world.wait_for("Succeeded").await;
}

/// Every fault costs one failed check, and the rollout goes on with the next good answer.
#[tokio::test(start_paused = true)]
async fn prometheus_with_faults() {
    let faults: [(Reply, &str); 9] = [
        (
            Reply::Broken("dial tcp 10.0.0.1:9090: connect: connection refused", true),
            "W Prometheus query failed: running query failed: request failed: dial tcp 10.0.0.1:9090: connect: connection refused",
        ),
        (Reply::Hang, "W Prometheus query failed: running query failed: request failed: context deadline exceeded"),
        (
            Reply::Text(503, "overloaded".to_owned()),
            "W Prometheus query failed: running query failed: error response: Status 503 Service Unavailable: overloaded",
        ),
        (
            Reply::Text(200, "<html>".to_owned()),
            "W Prometheus query failed: running query failed: error unmarshaling result: ",
        ),
        (
            Reply::Value("NaN"),
            "W Halt advancement no values found for istio metric request-success-rate probably cart.shop is not receiving traffic: ",
        ),
        (
            net::series(&[]),
            "W Halt advancement no values found for istio metric request-success-rate probably cart.shop is not receiving traffic: ",
        ),
        (Reply::Value("-Inf"), "W Halt cart.shop advancement success rate -Inf% < 99%"),
        (net::series(&["100", "42"]), "W Halt cart.shop advancement success rate 42.00% < 99%"),
        (Reply::Value("many"), "W Prometheus query failed: running query failed: "),
    ];
    for (fault, text) in faults {
        let world = World::initialized("istio", steps(10, 30)).await;
        world.net.metric("istio_requests_total", [Reply::Value("100"), fault.clone(), Reply::Value("100")]);
        world.deploy("demo:2");
        world.wait_for("Succeeded").await;
        let wrong: Vec<String> = world
            .story_since("Starting canary")
            .into_iter()
            .filter(|line| line.starts_with('W') && !line.contains("not ready"))
            .collect();
        assert!(wrong.len() == 1 && wrong[0].starts_with(text), "{fault:?}: {wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_infinity_is_no_failure_and_slow_answers_are_waited_for() {
    let world = World::initialized("istio", steps(10, 30)).await;
    world.net.metric(
        "istio_requests_total",
        [Reply::Value("+Inf"), Reply::Slow(Duration::from_secs(4), Box::new(Reply::Value("100")))],
    );
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    assert_eq!(world.told("Halt"), 0);
}

#[tokio::test(start_paused = true)]
async fn hooks_that_hang_hold_up_nobody_else() {
    let mut spec = with_hook(steps(10, 10), "pre-rollout", "smoke");
    spec["webhooks"][0]["timeout"] = json!("30s");
    let world = World::initialized("istio", spec).await;
    world.net.hook("smoke", [Reply::Hang, Reply::status(200)]);
    world.deploy("demo:2");
    world.wait_told("Starting canary analysis").await;
    let before = tokio::time::Instant::now();
    world.apply(deployment("other", "demo:1"));
    world.apply(canary("other", "kubernetes", iterations(1)));
    world.wait_for_of("other", "Initialized").await;
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    world.wait_told("Halt cart.shop advancement pre-rollout check smoke failed POST http://hooks/smoke giving up after 1 attempt(s)").await;
    assert!(before.elapsed() < Duration::from_secs(32), "{:?}", before.elapsed());
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn hooks_that_redirect_for_ever_or_fail_once() {
    let mut spec = with_hook(steps(10, 10), "pre-rollout", "smoke");
    spec["webhooks"][0]["retries"] = json!(2);
    let world = World::initialized("istio", spec).await;
    world.net.hook("smoke", [Reply::Broken("too many redirects", false), Reply::status(500), Reply::status(200)]);
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    assert_eq!(world.net.sent_to("hooks/smoke").len(), 3, "a redirect loop is not tried again by itself");
    let halts: Vec<String> = world.story().into_iter().filter(|line| line.contains("Halt")).collect();
    assert!(halts.len() == 1 && halts[0].ends_with("too many redirects"), "{halts:?}");
}

#[tokio::test(start_paused = true)]
async fn receivers_of_events_that_hang_hold_nothing_up() {
    let mut setup = Setup::default();
    setup.receivers.event_webhook = Some("http://hooks/events".to_owned());
    let world = World::with(setup).await;
    world.net.hook("events", [Reply::Hang]);
    let world = world.ready(canary("cart", "istio", steps(10, 20))).await;
    world.deploy("demo:2");
    let before = tokio::time::Instant::now();
    world.wait_for("Succeeded").await;
    assert!(before.elapsed() < Duration::from_secs(45), "{:?}", before.elapsed());
}

/// Refuses writes to one kind, as a webhook or RBAC does.
struct Refuse(&'static str);

impl lab::Hook for Refuse {
    fn before(&self, call: &lab::Call) -> lab::Intervention {
        if call.verb.writes() && call.resource == self.0 {
            lab::Intervention::Fail(Box::new(lab::Failure::forbidden(
                "virtualservices",
                "networking.istio.io",
                "cart",
                "admission webhook denied the request",
            )))
        } else {
            lab::Intervention::Pass
        }
    }
}

#[tokio::test(start_paused = true)]
async fn writes_that_are_refused_are_told_and_tried_again() {
    let world = World::initialized("istio", steps(10, 20)).await;
    world.lab.set_hook(Some(Arc::new(Refuse("virtualservices.networking.istio.io"))));
    world.deploy("demo:2");
    world.seconds(120).await;
    stalled(&world, "admission webhook denied the request");
    assert_eq!(world.weights(), (100, 0));
    world.lab.set_hook(None);
    world.wait_for("Succeeded").await;
    mended(&world);
}
