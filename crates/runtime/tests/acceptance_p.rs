//! Acceptance scenarios, section P: what the providers that are built write. Each test is named by its number.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn http(world: &World) -> Value {
    world.get("virtualservice", "cart")["spec"]["http"].clone()
}

#[tokio::test(start_paused = true)]
async fn is_01_init() {
    let mut object = canary("cart", "istio", steps(10, 30));
    object["spec"]["service"] = json!({
        "port": 8080, "hosts": ["cart.example.com"], "gateways": ["public"], "timeout": "5s",
        "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx"},
        "headers": {"request": {"add": {"x-a": "b"}}}, "rewrite": {"uri": "/"}, "match": [{"uri": {"prefix": "/cart"}}],
        "corsPolicy": {"allowOrigins": [{"exact": "https://example.com"}], "allowMethods": ["GET"]},
        "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}, "outlierDetection": {"splitExternalLocalOriginErrors": true, "consecutiveLocalOriginFailures": 3}},
    });
    let world = World::new().await.ready(object.clone()).await;
    for name in ["cart-primary", "cart-canary"] {
        let rule = world.get("destinationrule", name);
        assert_eq!(
            (&rule["spec"]["host"], &rule["spec"]["trafficPolicy"]),
            (&json!(name), &object["spec"]["service"]["trafficPolicy"])
        );
    }
    let service = world.get("virtualservice", "cart");
    assert_eq!(
        (&service["spec"]["hosts"], &service["spec"]["gateways"]),
        (&json!(["cart.example.com", "cart"]), &json!(["public"]))
    );
    assert_eq!(service["metadata"]["ownerReferences"][0]["name"], "cart");
    let routes = service["spec"]["http"].as_array().unwrap();
    assert_eq!(routes.len(), 1);
    for field in ["match", "rewrite", "timeout", "retries", "headers", "corsPolicy"] {
        assert_eq!(routes[0][field], object["spec"]["service"][field], "{field}");
    }
    assert_eq!(world.weights(), (100, 0));
    assert_eq!(routes[0]["route"][0]["destination"], json!({"host": "cart-primary"}), "no port");
}

#[tokio::test(start_paused = true)]
async fn is_02_weighted_with_custom_template() {
    let world = World::new().await;
    world.lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})).unwrap();
    world.apply(template(
        "istio-system",
        "latency",
        "latency{reporter=\"{{ variables.reporter }}\",ns=\"{{ namespace }}\"}[{{ interval }}]",
    ));
    let metrics = json!([{"name": "latency", "interval": "30s", "thresholdRange": {"max": 500},
        "templateRef": {"name": "latency", "namespace": "istio-system"}, "templateVariables": {"reporter": "destination"}}]);
    let world = world
        .ready(canary("cart", "istio", analysis(json!({"stepWeight": 10, "maxWeight": 30, "metrics": metrics}))))
        .await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    let asked = r#"latency{reporter="destination",ns="shop"}[30s]"#;
    assert!(world.net.queries().iter().any(|query| query.trim() == asked), "{:?}", world.net.queries());
    world.net.values("latency{", &["501"]);
    world.deploy("demo:3");
    world.wait_for("Failed").await;
    assert_eq!(world.told("W Halt cart.shop advancement latency 501.00 > 500"), 2);
}

#[tokio::test(start_paused = true)]
async fn is_03_three_strategies_on_one_canary() {
    let world = World::initialized("istio", steps(10, 20)).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    world.edit(json!({"service": {"portName": "http-cart"}, "analysis": {"stepWeight": null, "maxWeight": null, "iterations": 3}}));
    world.deploy("demo:3");
    world.wait_for("Progressing").await;
    world.wait_for("Succeeded").await;
    assert_eq!(world.get("service", "cart-canary")["spec"]["ports"][0]["name"], "http-cart");
    world.edit(json!({"analysis": {"match": [{"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}}]}, "service": {"match": [{"uri": {"prefix": "/a"}}]}}));
    world.deploy("demo:4");
    world.wait_told("canary iteration 1/3").await;
    world.wait_until("there are two routes", |world| http(world).as_array().unwrap().len() == 2).await;
    let routes = http(&world);
    assert_eq!(routes[0]["match"][0]["headers"]["cookie"]["regex"], "^(.*?;)?(type=insider)(;.*)?$");
    assert_eq!(routes[0]["match"][0]["uri"]["prefix"], "/a", "merged with the service's");
    assert_eq!(routes[1]["route"].as_array().unwrap().len(), 1);
    world.wait_for("Succeeded").await;
    assert_eq!(world.image("cart-primary"), "demo:4");
}

#[tokio::test(start_paused = true)]
async fn is_04_adopt_and_revert() {
    let world = World::new().await;
    world.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"selector": {"app": "cart"}, "ports": [{"port": 8080}]}}));
    let own = json!({"hosts": ["shop.example.com"], "gateways": ["mine"], "http": [{"retries": {"attempts": 7}, "route": [{"destination": {"host": "cart"}}]}]});
    world.apply(json!({"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": {"name": "cart", "namespace": "shop"}, "spec": own}));
    let mut object = canary("cart", "istio", steps(10, 30));
    object["spec"]["revertOnDeletion"] = json!(true);
    let world = world.ready(object).await;
    let taken = world.get("virtualservice", "cart");
    assert_eq!(world.weights(), (100, 0));
    let kept: Value = serde_json::from_str(
        taken["metadata"]["annotations"]["flagger.kubernetes.io/original-configuration"].as_str().unwrap(),
    )
    .unwrap();
    assert_eq!(kept, own);
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    world.lab.delete("canary", "shop", "cart").unwrap();
    world.wait_until("it is gone", |world| world.try_get("canary", "cart").is_none()).await;
    world.seconds(5).await;
    assert_eq!(world.get("virtualservice", "cart")["spec"], own);
    assert_eq!(
        (&world.get("service", "cart")["spec"]["selector"], world.replicas("cart")),
        (&json!({"app": "cart"}), 1)
    );
}

fn affinity() -> Value {
    analysis(
        json!({"stepWeight": 10, "maxWeight": 20, "sessionAffinity": {"cookieName": "c1", "primaryCookieName": "p1", "secure": true}}),
    )
}

#[tokio::test(start_paused = true)]
async fn is_05_session_affinity() {
    let world = World::initialized("istio", affinity()).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    let status = world.status();
    let (cookie, primary) =
        (status["sessionAffinityCookie"].as_str().unwrap(), status["primarySessionAffinityCookie"].as_str().unwrap());
    let (id, primary_id) = (cookie.strip_prefix("c1=").unwrap(), primary.strip_prefix("p1=").unwrap());
    assert!(id.len() == 10 && id.bytes().all(|letter| letter.is_ascii_alphabetic()));
    let routes = http(&world);
    assert_eq!(routes.as_array().unwrap().len(), 3);
    assert_eq!(routes[0]["match"][0]["headers"]["Cookie"]["regex"], format!(".*c1.*{id}.*"));
    assert_eq!(routes[1]["match"][0]["headers"]["Cookie"]["regex"], format!(".*p1.*{primary_id}.*"));
    let headers = |at: usize| routes[2]["route"][at]["headers"]["response"]["add"]["Set-Cookie"].clone();
    assert_eq!(headers(1), format!("c1={id}; Max-Age=86400; Secure"));
    assert_eq!(headers(0), format!("p1={primary_id}; Max-Age=10; Secure"));
    assert_eq!(world.weights(), (90, 10));
    let cookie = cookie.to_owned();
    world.wait_told("canary weight 20").await;
    assert_eq!(world.status()["sessionAffinityCookie"], cookie, "one for the whole rollout");
    world.wait_for("Succeeded").await;
    assert_eq!(world.status()["previousSessionAffinityCookie"], cookie);
    let routes = http(&world);
    assert_eq!(routes[0]["match"][0]["headers"]["Cookie"]["regex"], format!(".*c1.*{id}.*", id = &cookie[3..]));
    assert_eq!(routes[0]["headers"]["response"]["add"]["Set-Cookie"], format!("{cookie}; Max-Age=-1; Secure"));
}

#[tokio::test(start_paused = true)]
async fn is_05_the_same_name_for_both_cookies_is_refused() {
    let world = World::initialized("istio", affinity()).await;
    // A schema with rules refuses it already; a server without them lets it in.
    let edit = json!({"spec": {"analysis": {"sessionAffinity": {"primaryCookieName": "c1"}}}});
    if world.lab.merge("canary", "shop", "cart", &edit).is_ok() {
        world.seconds(1).await;
        world.assert_told(
            "W invalid canary spec: can't use the same cookie name for both primary and cookie name; please update them to be different",
        );
    }
}

#[tokio::test(start_paused = true)]
async fn is_07_delegation() {
    let world = World::new().await;
    let mut object = canary("cart", "istio", steps(10, 30));
    object["spec"]["service"] = json!({"port": 8080, "portDiscovery": true, "delegation": true});
    let world = world.ready(object).await;
    let spec = world.get("virtualservice", "cart")["spec"].clone();
    assert!(
        spec["hosts"].as_array().is_none_or(Vec::is_empty) && spec["gateways"].as_array().is_none_or(Vec::is_empty)
    );
    assert_eq!(spec["http"][0]["route"][0]["destination"]["port"]["number"], 8080);
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    world.edit(json!({"service": {"hosts": ["x.example.com"]}}));
    world.seconds(1).await;
    world.assert_told("W reconcileVirtualService failed: VirtualService cart.shop cannot have hosts and gateways when delegation enabled");
}

#[tokio::test(start_paused = true)]
async fn is_08_tcp() {
    let mut object = canary("cart", "istio", steps(10, 20));
    object["spec"]["service"]["appProtocol"] = json!("tcp");
    let world = World::new().await.ready(object).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    let spec = world.get("virtualservice", "cart")["spec"].clone();
    assert_eq!(
        (spec["tcp"][0]["route"][0]["weight"].as_i64(), spec["tcp"][0]["route"][1]["weight"].as_i64()),
        (Some(90), Some(10)),
        "{spec}"
    );
    assert!(spec["http"].as_array().is_none_or(Vec::is_empty));
}

#[tokio::test(start_paused = true)]
async fn manual_edits_of_routes_are_taken_back_with_the_weights_of_the_rollout() {
    let world = World::initialized("istio", steps(10, 50)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    let mut routes = http(&world);
    routes[0]["timeout"] = json!("99s");
    world.merge("virtualservice", "cart", json!({"spec": {"http": routes}, "metadata": {"labels": {"mine": "1"}}}));
    world.seconds(1).await;
    assert_eq!((&http(&world)[0]["timeout"], world.weights()), (&json!(null), (80, 20)));
    world.wait_for("Succeeded").await;
    assert_eq!(world.told("canary weight 10"), 1, "nothing starts over");
}

#[tokio::test(start_paused = true)]
async fn is_11_remote_control_plane_without_owner_references() {
    let mut setup = Setup::default();
    setup.settings.own_routes = false;
    let world = World::with(setup).await.ready(canary("cart", "istio", steps(10, 20))).await;
    assert_eq!(world.get("virtualservice", "cart")["metadata"]["ownerReferences"], json!(null));
    assert_eq!(world.get("service", "cart-primary")["metadata"]["ownerReferences"][0]["name"], "cart");
}

fn backends(world: &World, rule: usize) -> Value {
    world.get("httproute", "cart")["spec"]["rules"][rule]["backendRefs"].clone()
}

#[tokio::test(start_paused = true)]
async fn gw_01_weighted_and_rollback() {
    let world = World::new()
        .await
        .ready(gateway_canary("gatewayapi:v1", analysis(json!({"stepWeight": 10, "maxWeight": 50}))))
        .await;
    let spec = world.get("httproute", "cart")["spec"].clone();
    assert_eq!((&spec["hostnames"], &spec["parentRefs"][0]["name"]), (&json!(["cart.example.com"]), &json!("entry")));
    assert_eq!(spec["parentRefs"][0]["namespace"], "infra");
    assert_eq!(spec["rules"].as_array().unwrap().len(), 1);
    assert_eq!(spec["rules"][0]["matches"], json!([{"path": {"type": "PathPrefix", "value": "/"}}]));
    assert_eq!((backends(&world, 0)[0]["port"].as_i64(), world.gateway_weights()), (Some(8080), (100, 0)));
    world.deploy("demo:2");
    world.wait_told("canary weight 50").await;
    assert_eq!(world.gateway_weights(), (50, 50));
    world.wait_for("Succeeded").await;
    assert_eq!(world.gateway_weights(), (100, 0));
    world.net.values("http_request_duration_seconds_count", &["10"]);
    world.deploy("demo:3");
    world.wait_for("Failed").await;
    assert_eq!((world.gateway_weights(), world.replicas("cart")), ((100, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn gw_01_missing_gateway_refs() {
    let world = World::new().await;
    world.apply(secret("one"));
    world.apply(deployment("cart", "demo:1"));
    world.apply(canary("cart", "gatewayapi:v1", steps(10, 20)));
    world.wait_told("W GatewayRefs must be specified when using Gateway API as a provider.").await;
}

#[tokio::test(start_paused = true)]
async fn gw_02_not_accepted() {
    let world = World::new().await.ready(gateway_canary("gatewayapi:v1", steps(10, 30))).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    let accepted = |status: &str| {
        let route = world.get("httproute", "cart");
        let parent = json!({"parentRef": route["spec"]["parentRefs"][0], "controllerName": "x",
            "conditions": [{"type": "Accepted", "status": status, "observedGeneration": route["metadata"]["generation"]}]});
        world.lab.merge_status("httproute", "shop", "cart", &json!({"status": {"parents": [parent]}})).unwrap();
    };
    accepted("False");
    world.seconds(60).await;
    assert_eq!(world.gateway_weights(), (90, 10), "{}", world.report());
    let text = "W HTTPRoute cart.shop parent entry is not ready (status: False, observed generation: ";
    assert_eq!(world.told(text), 1, "{}", world.report());
    accepted("True");
    world.wait_told("canary weight 20").await;
}

#[tokio::test(start_paused = true)]
async fn gw_03_ab_testing() {
    let spec = analysis(json!({"iterations": 2, "match": [{"headers": {"x-canary": {"exact": "insider"}}}]}));
    let world = World::new().await.ready(gateway_canary("gatewayapi:v1", spec)).await;
    world.deploy("demo:2");
    world.wait_told("iteration 1/2").await;
    let rules = world.get("httproute", "cart")["spec"]["rules"].clone();
    assert_eq!(rules[0]["matches"][0]["headers"][0], json!({"name": "x-canary", "type": "Exact", "value": "insider"}));
    let canary =
        backends(&world, 0).as_array().unwrap().iter().find(|one| one["name"] == "cart-canary").cloned().unwrap();
    assert_eq!(canary["weight"], 100);
    assert!(backends(&world, 1).as_array().unwrap().iter().all(|one| one["name"] == "cart-primary"));
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn gw_04_session_affinity() {
    let world = World::new().await.ready(gateway_canary("gatewayapi:v1", affinity())).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 10").await;
    let rules = world.get("httproute", "cart")["spec"]["rules"].clone();
    let cookie = world.status()["sessionAffinityCookie"].as_str().unwrap().to_owned();
    let sticky = &rules[0]["matches"][0]["headers"][0];
    assert_eq!((&sticky["type"], &sticky["name"]), (&json!("RegularExpression"), &json!("Cookie")));
    assert!(sticky["value"].as_str().unwrap().contains(&cookie[3..]));
    assert!(
        rules.to_string().contains("ResponseHeaderModifier")
            && rules.to_string().contains(&format!("{cookie}; Max-Age=86400")),
        "{rules:#}"
    );
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn gw_05_mirroring() {
    let world = World::new()
        .await
        .ready(gateway_canary("gatewayapi:v1", analysis(json!({"iterations": 3, "mirror": true}))))
        .await;
    world.deploy("demo:2");
    world.wait_told("iteration 2/3").await;
    let filters = world.get("httproute", "cart")["spec"]["rules"][0]["filters"].clone();
    let mirror = filters.as_array().unwrap().iter().find(|filter| filter["type"] == "RequestMirror").cloned().unwrap();
    assert_eq!(mirror["requestMirror"]["backendRef"]["name"], "cart-canary");
    world.wait_for("Succeeded").await;
    assert!(!world.get("httproute", "cart")["spec"].to_string().contains("RequestMirror"));
}

#[tokio::test(start_paused = true)]
async fn gw_06_route_customisation() {
    let mut object = gateway_canary("gatewayapi:v1", steps(10, 20));
    object["spec"]["service"]["timeout"] = json!("5s");
    object["spec"]["service"]["headers"] = json!({"request": {"add": {"x-a": "b"}}});
    object["spec"]["service"]["rewrite"] = json!({"uri": "/new", "type": "ReplacePrefixMatch"});
    let world = World::new().await.ready(object).await;
    let rule = world.get("httproute", "cart")["spec"]["rules"][0].clone();
    assert_eq!(rule["timeouts"], json!({"request": "5s"}));
    let kinds: Vec<&str> =
        rule["filters"].as_array().unwrap().iter().map(|filter| filter["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"RequestHeaderModifier") && kinds.contains(&"URLRewrite"), "{kinds:?}");
    world.merge("httproute", "cart", json!({"metadata": {"annotations": {"other.controller/seen": "1"}}}));
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    assert_eq!(world.get("httproute", "cart")["metadata"]["annotations"]["other.controller/seen"], "1");
}

#[tokio::test(start_paused = true)]
async fn gw_07_built_in_checks() {
    let metrics = json!([{"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}}, {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500}}]);
    let world = World::new()
        .await
        .ready(gateway_canary("gatewayapi:v1", analysis(json!({"stepWeight": 50, "metrics": metrics}))))
        .await;
    world.net.values("http_request_duration_seconds_bucket", &["1.515"]);
    world.deploy("demo:2");
    world.wait_told("W Halt cart.shop advancement request duration 1.515s > 500ms").await;
    assert!(world.net.queries().iter().any(|query| query.contains("http_request_duration_seconds_count")));
}

#[tokio::test(start_paused = true)]
async fn ld_01_gateway_api_of_a_service_and_a_canary_without_target() {
    let world = World::new().await;
    world.apply(template("shop", "success", "success_rate"));
    let metrics = json!([{"name": "success", "interval": "1m", "threshold": 5, "templateRef": {"name": "success"}}]);
    let mut object = canary(
        "cart",
        "gatewayapi:v1beta1",
        analysis(json!({"stepWeight": 10, "maxWeight": 50, "metrics": metrics, "threshold": 3})),
    );
    object["spec"]["service"]["gatewayRefs"] =
        json!([{"name": "cart", "namespace": "shop", "group": "core", "kind": "Service", "port": 80}]);
    world.net.values("success_rate", &["1"]);
    let mut orphan = object.clone();
    orphan["metadata"]["name"] = json!("cart2");
    orphan["spec"]["targetRef"]["name"] = json!("cart2");
    world.apply(orphan);
    let world = world.ready(object).await;
    let parent = world.get("httproute", "cart")["spec"]["parentRefs"][0].clone();
    assert_eq!((&parent["kind"], &parent["port"]), (&json!("Service"), &json!(80)));
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    world.net.values("success_rate", &["6"]);
    world.deploy("demo:3");
    world.wait_for("Failed").await;
    assert_eq!(world.told("W Halt cart.shop advancement success 6.00 > 5"), 3);
    assert_eq!(
        world.story_of("cart2"),
        [r#"W deployment cart2.shop get query error: deployments.apps "cart2" not found"#]
    );
    assert!(world.try_get("service", "cart2").is_none() && world.try_get("httproute", "cart2").is_none());
}

#[tokio::test(start_paused = true)]
async fn ld_04_inline_query() {
    let metrics = json!([{"name": "404s percentage", "interval": "1m", "query": "rate(404)", "threshold": 3}]);
    let world = World::initialized("istio", analysis(json!({"stepWeight": 10, "metrics": metrics}))).await;
    world.net.values("rate(404)", &["6.2"]);
    world.deploy("demo:2");
    world.wait_for("Failed").await;
    assert_eq!(world.told("W Halt cart.shop advancement 404s percentage 6.20 > 3"), 2);
}

#[tokio::test(start_paused = true)]
async fn ng_01_init() {
    let world = World::new().await;
    world.apply(ingress());
    let world = world.ready(nginx_canary(steps(20, 40))).await;
    let canary = world.get("ingress", "cart-canary");
    assert_eq!(canary["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"], "cart-canary");
    assert_eq!(canary["metadata"]["annotations"]["mine"], "1");
    assert_eq!((world.nginx("canary"), world.nginx("canary-weight")), ("true".to_owned(), "0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn ng_01_errors() {
    for (reference, backend, text) in
        [("", "cart", "ingress selector is empty"), ("cart", "other", "backend cart not found in ingress cart")]
    {
        let world = World::new().await;
        let mut ingress = ingress();
        ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = json!(backend);
        world.apply(ingress);
        world.apply(secret("one"));
        world.apply(deployment("cart", "demo:1"));
        let mut object = nginx_canary(steps(20, 40));
        object["spec"]["ingressRef"]["name"] = json!(reference);
        world.apply(object);
        world.wait_told(text).await;
        assert_ne!(world.status()["phase"], "Initialized");
    }
}

#[tokio::test(start_paused = true)]
async fn ng_02_weighted() {
    let world = World::new().await;
    world.apply(ingress());
    let world = world.ready(nginx_canary(steps(20, 40))).await;
    let own = world.get("ingress", "cart");
    world.deploy("demo:2");
    for weight in ["20", "40"] {
        world.wait_told(&format!("canary weight {weight}")).await;
        assert_eq!(world.nginx("canary-weight"), weight);
    }
    world.wait_for("Succeeded").await;
    assert_eq!(world.nginx("canary-weight"), "0");
    assert!(Arc::ptr_eq(&own, &world.get("ingress", "cart")), "the user's Ingress is not written");
}

#[tokio::test(start_paused = true)]
async fn ng_03_ab_testing() {
    let world = World::new().await;
    world.apply(ingress());
    let spec = analysis(json!({"iterations": 2, "match": [{"headers": {"x-user": {"exact": "insider"}}}]}));
    let world = world.ready(nginx_canary(spec)).await;
    world.deploy("demo:2");
    world.wait_told("iteration 1/2").await;
    assert_eq!(
        (world.nginx("canary-by-header"), world.nginx("canary-by-header-value")),
        ("x-user".to_owned(), "insider".to_owned())
    );
    world.wait_for("Succeeded").await;
    assert_eq!(world.nginx("canary-by-header"), "");
}

#[tokio::test(start_paused = true)]
async fn ng_04_and_ng_05_failure_and_retry() {
    let world = World::new().await;
    world.apply(ingress());
    world.apply(template("shop", "latency", "latency"));
    let metrics = json!([{"name": "latency", "interval": "1m", "thresholdRange": {"max": 0.5}, "templateRef": {"name": "latency"}}]);
    world.net.values("latency", &["1.2"]);
    let world =
        world.ready(nginx_canary(analysis(json!({"stepWeight": 20, "maxWeight": 40, "metrics": metrics})))).await;
    world.deploy("demo:2");
    world.wait_for("Failed").await;
    assert_eq!(world.told("W Halt cart.shop advancement latency 1.20 > 0.5"), 2);
    assert_eq!(world.nginx("canary-weight"), "0");
    world.deploy("demo:1");
    world.seconds(60).await;
    assert_eq!(world.status()["phase"], "Failed");
    world.net.values("latency", &["0.2"]);
    world.deploy("demo:3");
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn k8_01_deployment() {
    let world = World::new().await;
    world.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart-svc", "namespace": "shop"},
        "spec": {"selector": {"app": "cart"}, "ports": [{"port": 8080}]}}));
    let mut object = canary(
        "cart",
        "kubernetes",
        with_hook(with_hook(iterations(5), "confirm-rollout", "gate"), "pre-rollout", "smoke"),
    );
    object["spec"]["service"]["name"] = json!("cart-svc");
    let world = world.ready(object).await;
    let service = world.get("service", "cart-svc");
    assert_eq!(service["spec"]["selector"], json!({"app": "cart-primary"}));
    assert_eq!(service["metadata"]["annotations"]["helm.toolkit.fluxcd.io/driftDetection"], "disabled");
    assert!(
        world.try_get("service", "cart-svc-canary").is_some() && world.try_get("service", "cart-svc-primary").is_some()
    );
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    assert_eq!(
        (
            world.told("Confirm-rollout check gate passed"),
            world.told("Pre-rollout check smoke passed"),
            world.told("iteration 5/5")
        ),
        (1, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn k8_05_404_template() {
    let world = World::new().await;
    world.apply(template("shop", "not-found", "404s"));
    let metrics = json!([{"name": "404s percentage", "interval": "1m", "thresholdRange": {"max": 5}, "templateRef": {"name": "not-found"}}]);
    world.net.values("404s", &["6.2"]);
    let world = world.ready(canary("cart", "kubernetes", analysis(json!({"iterations": 5, "metrics": metrics})))).await;
    world.deploy("demo:2");
    world.wait_for("Failed").await;
    assert_eq!(world.told("W Halt cart.shop advancement 404s percentage 6.20 > 5"), 2);
    assert_eq!(world.replicas("cart"), 0);
}
