//! The whole HTTPRoute: as created, step by step, repaired, read back.

use super::*;
use crate::testing::{NAMESPACE, World, owner, rollout, rollout_with, yaml};
use api::Settings;
use objects::Change;
use rollout::{Affinity, Weight};

const BASE: &str = "provider: gatewayapi:v1\nservice: {port: 80, hosts: [shop.example], gatewayRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public, namespace: gateways}]}";
const AFFINITY: &str = "analysis: {interval: 15s, sessionAffinity: {cookieName: canary-ck, primaryCookieName: primary-ck, domain: shop.example, httpOnly: true}}";

/// A Canary with gateway, host and port, and with `more` merged into its spec.
fn canary(more: &str) -> Rollout {
    rollout(&merged(more))
}

fn merged(more: &str) -> String {
    let mut spec = yaml(BASE);
    objects::diff::apply_merge_patch(&mut spec, &yaml(if more.is_empty() { "{}" } else { more }));
    spec.to_string()
}

fn backend(name: &str, weight: i64) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight})
}

fn split(primary: i64, canary: i64) -> Value {
    json!([backend("cart-primary", primary), backend("cart-canary", canary)])
}

fn everything() -> Value {
    json!([{"path": {"type": "PathPrefix", "value": "/"}}])
}

fn percent(canary: i64) -> Routes {
    Routes::weighted(Weight::clipped(canary))
}

fn cookies(canary: Option<&str>, primary: Option<&str>, expired: Option<&str>) -> Affinity {
    let owned = |cookie: Option<&str>| cookie.map(str::to_owned);
    Affinity { canary: owned(canary), primary: owned(primary), expired: owned(expired) }
}

/// The world after the routes were rendered and written one after the other. Rendering again never plans anything.
fn after(router: &GatewayApi, rollout: &Rollout, mut world: World, steps: &[Routes]) -> World {
    for want in steps {
        let writes = router.render(rollout, &world.live, want).unwrap();
        world.apply(&writes);
        assert_eq!(router.render(rollout, &world.live, want).unwrap(), [], "again: {want:?}");
        let upkeep = Routes { affinity: None, ..want.clone() };
        assert_eq!(router.render(rollout, &world.live, &upkeep).unwrap(), [], "upkeep: {want:?}");
        assert_eq!(router.routes(rollout, &world.live).unwrap(), upkeep);
    }
    world
}

fn rules(world: &World) -> &Value {
    world.get(&HTTP_ROUTE_V1, "cart").pointer("/spec/rules").unwrap()
}

#[test]
fn names_are_served_by_the_right_version() {
    let serving = |provider: &str| crate::routers::router(provider).map(Router::name);
    assert_eq!(serving("gatewayapi:v1"), Some("gatewayapi:v1"));
    assert_eq!(serving("gatewayapi:v1alpha2"), Some("gatewayapi:v1"));
    assert_eq!(serving("gatewayapi"), Some("gatewayapi:v1"));
    assert_eq!(serving("gatewayapi:v1beta1"), Some("gatewayapi:v1beta1"));
}

#[test]
fn the_route_is_created_whole() {
    let rollout = canary("service: {timeout: 10s, backendTimeout: 5s}");
    let writes = V1.render(&rollout, &Snapshot::new(), &Routes::to_primary()).unwrap();
    let expected = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "cart",
            "namespace": NAMESPACE,
            "annotations": {
                "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
                "helm.toolkit.fluxcd.io/driftDetection": "disabled",
            },
            "ownerReferences": [owner()],
        },
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateways"}],
            "hostnames": ["shop.example"],
            "rules": [{
                "matches": everything(),
                "backendRefs": split(100, 0),
                "timeouts": {"request": "10s", "backendRequest": "5s"},
            }],
        },
    });
    assert_eq!(
        writes,
        [Write::create(HTTP_ROUTE_V1.object(NAMESPACE, "cart"), expected, "HTTPRoute cart.shop create error: ")
            .logging("HTTPRoute cart.shop created")]
    );
}

#[test]
fn v1beta1_has_no_timeouts_and_no_cors() {
    let rollout = canary(
        "service: {timeout: 10s, corsPolicy: {allowOrigin: ['*']}, mirror: [{backendRef: {name: shadow, port: 80}}]}",
    );
    let world = after(&V1BETA1, &rollout, World::new(), &[Routes::to_primary(), percent(30)]);
    let route = world.get(&HTTP_ROUTE_V1BETA1, "cart");
    assert_eq!(route["apiVersion"], "gateway.networking.k8s.io/v1beta1");
    let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"group": "", "kind": "Service", "name": "shadow", "port": 80}}});
    assert_eq!(
        route["spec"]["rules"],
        json!([{"matches": everything(), "filters": [mirror], "backendRefs": split(70, 30)}])
    );
}

#[test]
fn routes_on_another_cluster_have_no_owner() {
    let elsewhere = rollout_with(&merged(""), Settings { own_routes: false, ..Settings::default() });
    let world = after(&V1, &elsewhere, World::new(), &[Routes::to_primary()]);
    assert_eq!(world.get(&HTTP_ROUTE_V1, "cart").pointer("/metadata/ownerReferences"), None);
}

#[test]
fn weights_mirror_and_back() {
    let rollout = canary("");
    let world = after(&V1, &rollout, World::new(), &[Routes::to_primary(), Routes::mirror()]);
    let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"group": "", "kind": "Service", "name": "cart-canary", "port": 80}}});
    assert_eq!(rules(&world), &json!([{"matches": everything(), "filters": [mirror], "backendRefs": split(100, 0)}]));
    let world = after(&V1, &rollout, world, &[percent(30), percent(60), percent(100)]);
    assert_eq!(rules(&world), &json!([{"matches": everything(), "backendRefs": split(0, 100)}]));
    let world = after(&V1, &rollout, world, &[Routes::to_primary()]);
    assert_eq!(rules(&world), &json!([{"matches": everything(), "backendRefs": split(100, 0)}]));
}

#[test]
fn a_mirror_of_the_users_is_not_ours() {
    let rollout = canary("service: {mirror: [{backendRef: {name: cart-canary, port: 80}}]}");
    after(&V1, &rollout, World::new(), &[Routes::to_primary(), Routes::mirror(), percent(10), Routes::to_primary()]);
}

#[test]
fn an_ab_test_sends_only_what_matches_to_the_canary() {
    let rollout = canary(
        "{service: {match: [{uri: {prefix: /api}}], timeout: 5s}, analysis: {iterations: 5, match: [{headers: {x-canary: {exact: insider}}}, {queryParams: {beta: {regex: '.+'}}}]}}",
    );
    let world = after(&V1, &rollout, World::new(), &[Routes::to_primary(), percent(100)]);
    let path = json!({"type": "PathPrefix", "value": "/api"});
    let expected = json!([
        {
            "matches": [
                {"path": path, "headers": [{"type": "Exact", "name": "x-canary", "value": "insider"}]},
                {"path": path, "queryParams": [{"type": "RegularExpression", "name": "beta", "value": ".+"}]},
            ],
            "backendRefs": split(0, 100),
            "timeouts": {"request": "5s"},
        },
        {"matches": [{"path": path}], "backendRefs": [backend("cart-primary", 100)], "timeouts": {"request": "5s"}},
    ]);
    assert_eq!(rules(&world), &expected);
    after(&V1, &rollout, world, &[Routes { mirrored: true, ..Routes::to_primary() }, Routes::to_primary()]);
}

#[test]
fn cookies_tie_clients_to_a_side() {
    let rollout = canary(AFFINITY);
    let running = |weight| Routes {
        affinity: Some(cookies(Some("canary-ck=AbCdEfGhIj"), Some("primary-ck=KlMnOpQrSt"), None)),
        ..percent(weight)
    };
    let world = after(&V1, &rollout, World::new(), &[Routes::to_primary(), running(10), running(20)]);
    let cookie =
        |pattern: &str| json!([{"headers": [{"type": "RegularExpression", "name": "Cookie", "value": pattern}]}]);
    let give = |value: &str| json!([{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "Set-Cookie", "value": value}]}}]);
    let mut weighted = split(80, 20);
    weighted[0]["filters"] = give("primary-ck=KlMnOpQrSt; Max-Age=15; Domain=shop.example; HttpOnly");
    weighted[1]["filters"] = give("canary-ck=AbCdEfGhIj; Max-Age=86400; Domain=shop.example; HttpOnly");
    let expected = json!([
        {"matches": cookie(".*canary-ck.*AbCdEfGhIj.*"), "backendRefs": split(0, 100)},
        {"matches": cookie(".*primary-ck.*KlMnOpQrSt.*"), "backendRefs": split(100, 0)},
        {"matches": everything(), "backendRefs": weighted},
    ]);
    assert_eq!(rules(&world), &expected);

    let over = Routes { affinity: Some(cookies(None, None, Some("canary-ck=AbCdEfGhIj"))), ..Routes::to_primary() };
    let world = after(&V1, &rollout, world, &[over]);
    let expected = json!([
        {
            "matches": cookie(".*canary-ck.*AbCdEfGhIj.*"),
            "filters": give("canary-ck=AbCdEfGhIj; Max-Age=-1; Domain=shop.example; HttpOnly"),
            "backendRefs": split(100, 0),
        },
        {"matches": everything(), "backendRefs": split(100, 0)},
    ]);
    assert_eq!(rules(&world), &expected);
    // The next run replaces that; nothing to take back leaves one rule.
    let nothing = Routes { affinity: Some(Affinity::default()), ..Routes::to_primary() };
    let world = after(&V1, &rollout, world, &[running(10), nothing]);
    assert_eq!(rules(&world), &json!([{"matches": everything(), "backendRefs": split(100, 0)}]));
}

#[test]
fn v1beta1_ties_clients_to_the_canary_only() {
    let rollout = canary(AFFINITY);
    let want = Routes { affinity: Some(cookies(Some("canary-ck=Ab"), Some("primary-ck=Kl"), None)), ..percent(10) };
    let world = after(&V1BETA1, &rollout, World::new(), &[want]);
    let rules = &world.get(&HTTP_ROUTE_V1BETA1, "cart")["spec"]["rules"];
    assert_eq!(rules.as_array().unwrap().len(), 2);
    assert_eq!(rules[1]["backendRefs"][0], backend("cart-primary", 90));
}

#[test]
fn taking_a_cookie_back_keeps_to_one_modifier_of_the_response() {
    let rollout = canary(
        "{service: {headers: {response: {add: {x-served-by: shop}}}, match: [{uri: {prefix: /api}, headers: {x-team: {exact: us}}}]}, analysis: {sessionAffinity: {cookieName: c}}}",
    );
    let over = Routes { affinity: Some(cookies(None, None, Some("c=xyz"))), ..Routes::to_primary() };
    let world = after(&V1, &rollout, World::new(), &[Routes::to_primary(), over]);
    let served = json!({"name": "x-served-by", "value": "shop"});
    let headers = json!([
        {"type": "RegularExpression", "name": "Cookie", "value": ".*c.*xyz.*"},
        {"type": "Exact", "name": "x-team", "value": "us"},
    ]);
    let expected = json!([
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/api"}, "headers": headers}],
            "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [served, {"name": "Set-Cookie", "value": "c=xyz; Max-Age=-1"}]}}],
            "backendRefs": split(100, 0),
        },
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/api"}, "headers": [{"type": "Exact", "name": "x-team", "value": "us"}]}],
            "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [served]}}],
            "backendRefs": split(100, 0),
        },
    ]);
    assert_eq!(rules(&world), &expected);
}

#[test]
fn drift_is_repaired_with_the_weights_and_cookies_of_the_run() {
    let rollout = canary(AFFINITY);
    let want = Routes { affinity: Some(cookies(Some("canary-ck=Ab"), Some("primary-ck=Kl"), None)), ..percent(40) };
    let world = after(&V1, &rollout, World::new(), &[want]);
    let before = world.get(&HTTP_ROUTE_V1, "cart")["spec"].clone();
    let mut world = world.edit(&HTTP_ROUTE_V1, "cart", |route| {
        set(route, &["spec", "hostnames"], json!(["evil.example"]));
        set(route, &["metadata", "labels"], json!({"foreign": "label"}));
        set(route, &["metadata", "annotations", "kustomize.toolkit.fluxcd.io/reconcile"], Value::Null);
        set(route, &["metadata", "annotations", "policy.example/checked"], json!("yes"));
        let rules = route.pointer_mut("/spec/rules").unwrap().as_array_mut().unwrap();
        rules[2]["matches"] = json!([{"path": {"type": "Exact", "value": "/only"}}]);
        rules[2]["backendRefs"].as_array_mut().unwrap().push(backend("third", 1));
        rules.push(json!({"backendRefs": [backend("foreign", 1)]}));
    });
    let live = V1.routes(&rollout, &world.live).unwrap();
    assert_eq!(live, percent(40));
    let writes = V1.render(&rollout, &world.live, &live).unwrap();
    assert_eq!(
        writes.iter().map(|write| write.success.as_deref()).collect::<Vec<_>>(),
        [Some("HTTPRoute cart.shop updated")]
    );
    assert_eq!(writes[0].failure, "HTTPRoute cart.shop update error: ");
    world.apply(&writes);
    let route = world.get(&HTTP_ROUTE_V1, "cart");
    assert_eq!(route["spec"], before);
    assert_eq!(route.pointer("/metadata/labels"), None);
    let annotations = json!({"helm.toolkit.fluxcd.io/driftDetection": "disabled", "kustomize.toolkit.fluxcd.io/reconcile": "disabled", "policy.example/checked": "yes"});
    assert_eq!(route["metadata"]["annotations"], annotations);
}

#[test]
fn an_edit_of_the_canary_reaches_the_route_in_the_middle_of_a_run() {
    let world = after(&V1, &canary(""), World::new(), &[percent(30)]);
    let edited = canary("service: {timeout: 3s, port: 8080}");
    let world = after(&V1, &edited, world, &[percent(30)]);
    let rule = &rules(&world)[0];
    assert_eq!(rule["timeouts"], json!({"request": "3s"}));
    assert_eq!((&rule["backendRefs"][1]["port"], &rule["backendRefs"][1]["weight"]), (&json!(8080), &json!(30)));
    // Without timeouts again, they go.
    let world = after(&V1, &canary(""), world, &[percent(30)]);
    assert_eq!(rules(&world)[0].get("timeouts"), None);
}

#[test]
fn session_affinity_that_is_switched_off_takes_its_rules_along() {
    let on = canary(AFFINITY);
    let want = Routes { affinity: Some(cookies(Some("canary-ck=Ab"), None, None)), ..percent(40) };
    let world = after(&V1, &on, World::new(), &[want]);
    let world = after(&V1, &canary(""), world, &[percent(40)]);
    assert_eq!(rules(&world), &json!([{"matches": everything(), "backendRefs": split(60, 40)}]));
}

#[test]
fn nobody_is_kept_on_a_canary_without_traffic() {
    let rollout = canary(AFFINITY);
    let want = Routes { affinity: Some(cookies(Some("canary-ck=Ab"), Some("primary-ck=Kl"), None)), ..percent(40) };
    let mut world = after(&V1, &rollout, World::new(), &[want]);
    world.apply(&V1.render(&rollout, &world.live, &Routes::to_primary()).unwrap());
    let canary_weights: Vec<_> =
        rules(&world).as_array().unwrap().iter().map(|rule| rule["backendRefs"][1]["weight"].clone()).collect();
    assert_eq!(canary_weights, [json!(0), json!(0)]);
}

#[test]
fn what_the_server_fills_in_is_no_drift() {
    let rollout = canary(
        "{service: {gatewayRefs: [{name: public}], match: [{headers: {x-team: {exact: us}}}, {method: {exact: GET}}], corsPolicy: {allowOrigin: ['*']}}, analysis: {sessionAffinity: {cookieName: c}}}",
    );
    let want = Routes { affinity: Some(cookies(Some("c=xyz"), None, None)), ..percent(20) };
    let world = after(&V1, &rollout, World::new(), std::slice::from_ref(&want));
    let mut world = world.edit(&HTTP_ROUTE_V1, "cart", |route| {
        route["spec"]["parentRefs"] =
            json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}]);
        for rule in route.pointer_mut("/spec/rules").unwrap().as_array_mut().unwrap() {
            for entry in rule["matches"].as_array_mut().unwrap() {
                entry["path"] = json!({"type": "PathPrefix", "value": "/"});
            }
            rule["filters"][0]["cors"]["maxAge"] = json!(5);
            rule["from-a-newer-api"] = json!("default");
        }
    });
    for same in [want.clone(), percent(20)] {
        assert_eq!(V1.render(&rollout, &world.live, &same).unwrap(), []);
    }
    world.apply(&V1.render(&rollout, &world.live, &percent(30)).unwrap());
    assert_eq!(rules(&world)[1]["from-a-newer-api"], "default");
}

#[test]
fn a_route_that_is_there_is_taken_over() {
    let foreign = "{metadata: {name: cart, labels: {team: shop}, annotations: {owner: me}}, spec: {parentRefs: [{name: old}], hostnames: [old.example], rules: [{backendRefs: [{name: cart, port: 80}]}]}}";
    let rollout = canary("service: {apex: {labels: {tier: web}, annotations: {a: b}}}");
    let target = "{metadata: {name: cart}, spec: {selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart}}}}}";
    let world = World::new().with_yaml(&objects::kind::DEPLOYMENT, target).with_yaml(&HTTP_ROUTE_V1, foreign);
    assert_eq!(V1.routes(&rollout, &world.live).unwrap(), Routes::to_primary());
    let world = after(&V1, &rollout, world, &[Routes::to_primary()]);
    let route = world.get(&HTTP_ROUTE_V1, "cart");
    assert_eq!(route["metadata"]["labels"], json!({"app": "cart", "tier": "web"}));
    assert_eq!(route["metadata"]["annotations"]["owner"], "me");
    assert_eq!(route["metadata"]["annotations"]["a"], "b");
    assert_eq!(route.pointer("/metadata/ownerReferences"), None);
    assert_eq!(route["spec"]["hostnames"], json!(["shop.example"]));
    assert_eq!(rules(&world), &json!([{"matches": everything(), "backendRefs": split(100, 0)}]));
}

#[test]
fn only_what_differs_is_sent() {
    let rollout = canary("");
    let world = after(&V1, &rollout, World::new(), &[Routes::to_primary()]);
    let writes = V1.render(&rollout, &world.live, &percent(5)).unwrap();
    let patch = json!({"spec": {"rules": [{"matches": everything(), "backendRefs": split(95, 5)}]}});
    assert_eq!(writes[0].change, Change::Merge { patch, version: Some("1".to_owned()) });
    // A step is told by an event, not by the log.
    assert_eq!(writes[0].success, None);
}

/// A route with this status of its parents, at generation 2.
fn reported(parents: &str) -> World {
    let world = after(&V1, &canary(""), World::new(), &[percent(30)]);
    let edit = |route: &mut Value| {
        set(route, &["metadata", "generation"], json!(2));
        set(route, &["status", "parents"], yaml(parents));
    };
    world.edit(&HTTP_ROUTE_V1, "cart", edit)
}

fn report(section: &str, status: &str, generation: i64) -> String {
    format!(
        "[{{parentRef: {{group: gateway.networking.k8s.io, kind: Gateway, name: public, namespace: gateways{section}}}, \
         conditions: [{{type: ResolvedRefs, status: 'False'}}, {{type: Accepted, status: '{status}', observedGeneration: {generation}}}]}}]"
    )
}

#[test]
fn a_parent_that_does_not_take_the_route_halts_the_run() {
    let read = |world: &World| V1.routes(&canary(""), &world.live).map_err(|error| error.to_string());
    assert_eq!(read(&reported(&report("", "True", 2))), Ok(percent(30)));
    assert_eq!(read(&reported("[]")), Ok(percent(30)));
    // Another listener's opinion does not count.
    assert_eq!(read(&reported(&report(", sectionName: https", "False", 2))), Ok(percent(30)));
    assert_eq!(
        read(&reported(&report("", "False", 2))).unwrap_err(),
        "HTTPRoute cart.shop parent public is not ready (status: False, observed generation: 2, current generation: 2)"
    );
    assert_eq!(
        read(&reported(&report("", "True", 1))).unwrap_err(),
        "HTTPRoute cart.shop parent public is not ready (status: True, observed generation: 1, current generation: 2)"
    );
}

#[test]
fn v1beta1_does_not_ask_whether_the_route_is_taken() {
    let refused = reported(&report("", "False", 2)).get(&HTTP_ROUTE_V1, "cart").clone();
    let world = World::new().with(&HTTP_ROUTE_V1BETA1, refused);
    assert_eq!(V1BETA1.routes(&canary(""), &world.live).unwrap(), percent(30));
}

#[test]
fn an_absent_weight_is_the_servers_default() {
    let route = "{metadata: {name: cart}, spec: {rules: [{backendRefs: [{name: cart-primary, weight: 99}, {name: cart-canary}]}]}}";
    let world = World::new().with_yaml(&HTTP_ROUTE_V1, route);
    assert_eq!(V1.routes(&canary(""), &world.live).unwrap(), percent(1));
}

#[test]
fn errors_have_the_texts_users_know() {
    let render =
        |rollout: &Rollout| V1.render(rollout, &Snapshot::new(), &Routes::to_primary()).unwrap_err().to_string();
    assert_eq!(render(&rollout("")), "GatewayRefs must be specified when using Gateway API as a provider.");
    let matching = "Invalid request matching selectors: Gateway API doesn't support the specified header matching selector: map[x:{Exact: Prefix:a Suffix: Regex:}]\n";
    assert_eq!(render(&canary("service: {match: [{headers: {x: {prefix: a}}}]}")), matching);
    assert_eq!(render(&canary("analysis: {match: [{headers: {x: {prefix: a}}}]}")), matching);
    let missing = V1.routes(&canary(""), &Snapshot::new()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "HTTPRoute cart.shop get error: httproutes.gateway.networking.k8s.io \"cart\" not found"
    );
    let interval = canary("analysis: {interval: 10sec, sessionAffinity: {cookieName: c, primaryCookieName: p}}");
    let want = Routes { affinity: Some(cookies(Some("c=x"), Some("p=y"), None)), ..percent(10) };
    let error = V1.render(&interval, &Snapshot::new(), &want).unwrap_err();
    assert_eq!(error.to_string(), "failed to parse canary interval: time: unknown unit \"sec\" in duration \"10sec\"");
}

#[test]
fn without_the_api_creating_the_route_tells_why() {
    let mut live = Snapshot::new();
    live.set_unavailable(HTTP_ROUTE_V1, "the server could not find the requested resource".to_owned());
    let writes = V1.render(&canary(""), &live, &Routes::to_primary()).unwrap();
    assert!(matches!(writes[0].change, Change::Create(_)));
    let error = V1.routes(&canary(""), &live).unwrap_err().to_string();
    assert_eq!(error, "HTTPRoute cart.shop get error: the server could not find the requested resource");
}

#[test]
fn affinity_is_offered_where_it_works() {
    let (plain, tested) = (
        canary(AFFINITY),
        canary(&format!("{AFFINITY}\n").replace("{interval", "{match: [{headers: {x: {exact: a}}}], interval")),
    );
    let none = Snapshot::new();
    assert_eq!(V1.abilities(&plain, &none).affinity, AffinityAbility::Both);
    assert_eq!(V1BETA1.abilities(&plain, &none).affinity, AffinityAbility::Canary);
    assert_eq!(V1.abilities(&tested, &none).affinity, AffinityAbility::None);
    assert!(
        V1.abilities(&plain, &none).mirrors
            && V1.abilities(&plain, &none).shifts
            && V1.abilities(&plain, &none).matches
    );
    assert_eq!(V1.revert(&plain, &Snapshot::new()).unwrap(), []);
}
