//! What the router writes for each strategy, what it reads back, and what it leaves alone.

use super::*;
use crate::testing::{World, owner, rollout, rollout_with};
use api::Settings;
use objects::Change;

const APEX: &str = "
    metadata:
      name: front
      namespace: shop
      labels: {app: cart, team: web}
      annotations:
        nginx.ingress.kubernetes.io/proxy-read-timeout: '30'
        nginx.ingress.kubernetes.io/canary-weight: '7'
        kubectl.kubernetes.io/last-applied-configuration: '{}'
        example.com/keep: 'yes'
    spec:
      ingressClassName: nginx
      tls: [{hosts: [app.example.com], secretName: front-tls}]
      defaultBackend: {service: {name: landing, port: {number: 80}}}
      rules:
      - host: app.example.com
        http:
          paths:
          - {path: /, pathType: Prefix, backend: {service: {name: cart, port: {number: 80}}}}
          - {path: /docs, pathType: Prefix, backend: {service: {name: docs, port: {number: 80}}}}
      - host: docs.example.com
        http:
          paths:
          - {path: /, pathType: Prefix, backend: {service: {name: docs, port: {number: 80}}}}
          - {path: /files, pathType: Prefix, backend: {resource: {kind: Bucket, name: files}}}
      - host: empty.example.com
      - http:
          paths:
          - {path: /cart, pathType: Exact, backend: {service: {name: cart, port: {name: http}}}}";

const WEIGHTED: &str = "ingressRef: {apiVersion: networking.k8s.io/v1, kind: Ingress, name: front}";
const AB: &str = "
    ingressRef: {name: front}
    analysis: {iterations: 3, match: [{headers: {x-canary: {exact: insider}}}, {headers: {cookie: {exact: canary}}}]}";
const MIRRORED: &str = "{ingressRef: {name: front}, analysis: {iterations: 3, mirror: true}}";
const STICKY: &str = "
    ingressRef: {name: front}
    analysis:
      sessionAffinity: {cookieName: canary, domain: example.com, path: /app, sameSite: Lax, secure: true, partitioned: true}";

const TARGET: &str = "http://cart-canary.shop.svc.cluster.local:80$request_uri";

fn world() -> World {
    World::new().with_yaml(&INGRESS, APEX)
}

/// Renders and applies.
fn route(world: &mut World, rollout: &Rollout, want: &Routes) -> Vec<Write> {
    let writes = Nginx.render(rollout, &world.live, want).expect("it renders");
    world.apply(&writes);
    assert_eq!(Nginx.render(rollout, &world.live, want), Ok(Vec::new()), "rendering again plans nothing");
    writes
}

/// With the user's Ingress as it is in [`world`].
fn abilities(rollout: &Rollout) -> Abilities {
    Nginx.abilities(rollout, &world().live)
}

fn weighted(percent: i64) -> Routes {
    Routes::weighted(Weight::clipped(percent))
}

/// The canary Ingress's annotations besides those that it always has.
fn marks(world: &World) -> Value {
    let mut marks = world.get(&INGRESS, "front-canary")["metadata"]["annotations"].clone();
    for (key, value) in always().as_object().unwrap() {
        assert_eq!(marks.as_object_mut().unwrap().remove(key).as_ref(), Some(value), "{key}");
    }
    marks
}

fn always() -> Value {
    json!({
        "example.com/keep": "yes",
        "helm.toolkit.fluxcd.io/driftDetection": "disabled",
        "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
        "nginx.ingress.kubernetes.io/canary": "true",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "30",
    })
}

fn nginx(marks: &Value) -> Value {
    let prefixed = marks
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (format!("nginx.ingress.kubernetes.io/{key}"), value.clone()));
    Value::Object(prefixed.collect())
}

fn canary_spec_of_apex() -> Value {
    json!({
        "ingressClassName": "nginx",
        "tls": [{"hosts": ["app.example.com"], "secretName": "front-tls"}],
        "rules": [
            {"host": "app.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "cart-canary", "port": {"number": 80}}}},
            ]}},
            {"http": {"paths": [
                {"path": "/cart", "pathType": "Exact", "backend": {"service": {"name": "cart-canary", "port": {"name": "http"}}}},
            ]}},
        ],
    })
}

#[test]
fn the_canary_ingress_has_the_apex_rules_and_no_traffic() {
    let writes = Nginx.render(&rollout(WEIGHTED), &world().live, &Routes::to_primary()).unwrap();
    let [write] = writes.as_slice() else { panic!("{writes:?}") };
    let mut annotations = always();
    annotations["nginx.ingress.kubernetes.io/canary-weight"] = json!("0");
    assert_eq!(
        write.change,
        Change::Create(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": "front-canary",
                "namespace": "shop",
                "labels": {"app": "cart", "team": "web"},
                "annotations": annotations,
                "ownerReferences": [owner()],
            },
            "spec": canary_spec_of_apex(),
        }))
    );
    assert_eq!(write.failure, "ingress front-canary.shop create error: ");
    assert_eq!(write.success.as_deref(), Some("Ingress front-canary.shop created"));
}

#[test]
fn an_ingress_without_any_metadata_will_do() {
    let bare = "{metadata: {name: front}, spec: {rules: [{http: {paths: [{backend: {service: {name: cart}}}]}}]}}";
    let settings = Settings { own_routes: false, ..Settings::default() };
    let rollout = rollout_with(WEIGHTED, settings);
    let mut world = World::new().with_yaml(&INGRESS, bare);
    route(&mut world, &rollout, &weighted(10));
    let metadata = &world.get(&INGRESS, "front-canary")["metadata"];
    assert_eq!(metadata.get("labels"), None);
    assert_eq!(metadata.get("ownerReferences"), None, "mesh and workloads live on different API servers");

    let mut world =
        world.edit(&INGRESS, "front-canary", |canary| set(canary, &["metadata", "annotations"], Value::Null));
    assert_eq!(Nginx.routes(&rollout, &world.live), Ok(Routes::to_primary()));
    route(&mut world, &rollout, &weighted(10));
    assert_eq!(Nginx.routes(&rollout, &world.live), Ok(weighted(10)));
}

#[test]
fn weights_are_written_and_read_back() {
    let rollout = rollout(WEIGHTED);
    let mut world = world();
    for percent in [0, 10, 100, 55, 0] {
        route(&mut world, &rollout, &weighted(percent));
        assert_eq!(marks(&world), nginx(&json!({"canary-weight": percent.to_string()})));
        assert_eq!(Nginx.routes(&rollout, &world.live), Ok(weighted(percent)));
    }
}

#[test]
fn moving_traffic_patches_one_annotation() {
    let rollout = rollout(WEIGHTED);
    let mut world = world();
    route(&mut world, &rollout, &Routes::to_primary());
    let writes = route(&mut world, &rollout, &weighted(20));
    let [write] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(
        write.change,
        Change::Merge {
            patch: json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/canary-weight": "20"}}}),
            version: Some("1".to_owned()),
        }
    );
    assert_eq!(write.failure, "ingress front-canary.shop update error ");
    assert_eq!(write.success, None);
}

#[test]
fn the_prefix_of_the_annotations_is_configurable() {
    let settings = Settings { ingress_annotations_prefix: "custom.example.io".to_owned(), ..Settings::default() };
    let rollout = rollout_with(WEIGHTED, settings);
    let mut world = world();
    route(&mut world, &rollout, &weighted(50));
    let annotations = &world.get(&INGRESS, "front-canary")["metadata"]["annotations"];
    assert_eq!(annotations["custom.example.io/canary"], json!("true"));
    assert_eq!(annotations["custom.example.io/canary-weight"], json!("50"));
    assert_eq!(Nginx.routes(&rollout, &world.live), Ok(weighted(50)));
}

#[test]
fn drift_is_repaired_and_keeps_the_weight() {
    let rollout = rollout(WEIGHTED);
    let mut world = world();
    route(&mut world, &rollout, &weighted(30));
    let mut world = world
        .edit(&INGRESS, "front", |apex| {
            apex["spec"]["rules"][0]["http"]["paths"][0]["path"] = json!("/shop");
            let annotations = apex["metadata"]["annotations"].as_object_mut().unwrap();
            annotations.remove("nginx.ingress.kubernetes.io/proxy-read-timeout");
            annotations.insert("nginx.ingress.kubernetes.io/proxy-send-timeout".to_owned(), json!("60"));
            annotations.insert("field.cattle.io/publicEndpoints".to_owned(), json!("[front]"));
        })
        .edit(&INGRESS, "front-canary", |canary| {
            canary["metadata"]["annotations"]["foreign.example.com/note"] = json!("stays");
            canary["metadata"]["annotations"]["field.cattle.io/publicEndpoints"] = json!("[canary]");
            canary["metadata"]["labels"]["foreign"] = json!("stays");
        });
    let live = Nginx.routes(&rollout, &world.live).unwrap();
    let writes = route(&mut world, &rollout, &live);
    let [write] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(write.failure, "ingress front-canary.shop update error: ");
    assert_eq!(write.success.as_deref(), Some("Ingress front-canary updated"));

    let canary = world.get(&INGRESS, "front-canary");
    assert_eq!(canary["spec"]["rules"][0]["http"]["paths"][0]["path"], json!("/shop"));
    assert_eq!(canary["metadata"]["labels"], json!({"app": "cart", "team": "web", "foreign": "stays"}));
    assert_eq!(
        canary["metadata"]["annotations"],
        json!({
            "example.com/keep": "yes",
            "field.cattle.io/publicEndpoints": "[canary]",
            "foreign.example.com/note": "stays",
            "helm.toolkit.fluxcd.io/driftDetection": "disabled",
            "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
            "nginx.ingress.kubernetes.io/canary": "true",
            "nginx.ingress.kubernetes.io/canary-weight": "30",
            "nginx.ingress.kubernetes.io/proxy-send-timeout": "60",
        })
    );
}

#[test]
fn a_canary_ingress_that_is_not_ours_keeps_its_annotations() {
    let rollout = rollout(WEIGHTED);
    let mut world = world().with_yaml(
        &INGRESS,
        "{metadata: {name: front-canary, annotations: {nginx.ingress.kubernetes.io/load-balance: ewma}}, spec: {rules: []}}",
    );
    route(&mut world, &rollout, &weighted(30));
    assert_eq!(marks(&world), nginx(&json!({"canary-weight": "30", "load-balance": "ewma"})));
    assert_eq!(world.get(&INGRESS, "front-canary")["spec"], canary_spec_of_apex());
}

#[test]
fn matching_requests_go_to_the_canary() {
    let rollout = rollout(AB);
    let mut world = world();
    route(&mut world, &rollout, &Routes::to_primary());
    assert_eq!(marks(&world), nginx(&json!({"canary-weight": "0"})));
    route(&mut world, &rollout, &weighted(100));
    assert_eq!(
        marks(&world),
        nginx(&json!({
            "canary-by-cookie": "canary",
            "canary-by-header": "x-canary",
            "canary-by-header-value": "insider",
            "canary-weight": "0",
        }))
    );
    assert_eq!(Nginx.routes(&rollout, &world.live), Ok(weighted(100)));
    route(&mut world, &rollout, &Routes::to_primary());
    assert_eq!(marks(&world), nginx(&json!({"canary-weight": "0"})));
    assert_eq!(Nginx.routes(&rollout, &world.live), Ok(Routes::to_primary()));
    assert_eq!(abilities(&rollout).missing, [""; 0]);
}

#[test]
fn a_match_that_changes_leaves_nothing_behind() {
    let mut world = world();
    route(&mut world, &rollout(AB), &weighted(100));
    let pattern = rollout(
        "{ingressRef: {name: front}, analysis: {iterations: 3, match: [{headers: {x-user: {suffix: '@a.b'}}}]}}",
    );
    route(&mut world, &pattern, &weighted(100));
    assert_eq!(
        marks(&world),
        nginx(&json!({"canary-by-header": "x-user", "canary-by-header-pattern": "@a\\.b$", "canary-weight": "0"}))
    );
}

#[test]
fn a_match_with_step_weights_reads_back_the_step() {
    let rollout = rollout("{ingressRef: {name: front}, analysis: {match: [{headers: {x-canary: {exact: insider}}}]}}");
    let mut world = world();
    for percent in [10, 20, 100, 60, 0] {
        route(&mut world, &rollout, &weighted(percent));
        assert_eq!(Nginx.routes(&rollout, &world.live), Ok(weighted(percent)));
        let weight = &marks(&world)["nginx.ingress.kubernetes.io/canary-weight"];
        assert_eq!(*weight, json!("0"), "requests that do not match never go to the canary");
    }
    assert_eq!(marks(&world), nginx(&json!({"canary-weight": "0"})));
    assert_eq!(
        abilities(&rollout).missing,
        [
            "step weights are not supported with analysis.match when using the nginx provider, all matching requests go to the canary from the first step"
        ]
    );
}

#[test]
fn a_match_that_cannot_be_expressed_is_told() {
    let half = rollout(
        "{ingressRef: {name: front}, analysis: {iterations: 3, match: [{headers: {x-b: {exact: y}, x-a: {exact: x}}, queryParams: {q: {exact: z}}}]}}",
    );
    let limits = abilities(&half);
    assert!(limits.matches);
    assert_eq!(
        limits.missing,
        ["analysis.match is not fully supported when using the nginx provider, ignored: header x-b, queryParams"]
    );
    let none =
        rollout("{ingressRef: {name: front}, analysis: {iterations: 3, match: [{queryParams: {q: {exact: z}}}]}}");
    assert!(!abilities(&none).matches);
    let mut world = world();
    route(&mut world, &none, &weighted(100));
    assert_eq!(Nginx.routes(&none, &world.live), Ok(weighted(100)), "it runs as blue/green, and is read back so");
}

#[test]
fn requests_are_mirrored_by_the_users_ingress() {
    let rollout = rollout(MIRRORED);
    let mut world = world();
    route(&mut world, &rollout, &Routes::to_primary());
    let before = world.get(&INGRESS, "front").clone();
    let writes = route(&mut world, &rollout, &Routes::mirror());
    let [write] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(
        write.change,
        Change::Merge {
            patch: json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/mirror-target": TARGET}}}),
            version: Some("1".to_owned()),
        }
    );
    assert_eq!(write.failure, "ingress front.shop update error: ");
    assert_eq!(marks(&world), nginx(&json!({"canary-weight": "0"})), "the canary Ingress does not take it over");
    assert_eq!(Nginx.routes(&rollout, &world.live), Ok(Routes::mirror()));

    route(&mut world, &rollout, &weighted(100));
    assert_eq!(Nginx.routes(&rollout, &world.live), Ok(weighted(100)));
    assert_eq!(world.get(&INGRESS, "front")["metadata"]["annotations"], before["metadata"]["annotations"]);
}

#[test]
fn a_mirror_follows_the_port() {
    let mut world = world();
    route(&mut world, &rollout(MIRRORED), &Routes::mirror());
    let moved = rollout("{ingressRef: {name: front}, service: {port: 8080}, analysis: {iterations: 3, mirror: true}}");
    assert_eq!(Nginx.routes(&moved, &world.live), Ok(Routes::mirror()));
    route(&mut world, &moved, &Routes::mirror());
    assert_eq!(
        annotation(world.get(&INGRESS, "front"), "nginx.ingress.kubernetes.io/mirror-target"),
        Some("http://cart-canary.shop.svc.cluster.local:8080$request_uri")
    );
}

#[test]
fn a_mirror_of_the_users_stays_and_is_told() {
    let rollout = rollout(MIRRORED);
    let mut world = world().edit(&INGRESS, "front", |apex| {
        apex["metadata"]["annotations"]["nginx.ingress.kubernetes.io/mirror-target"] =
            json!("https://audit.example.com$request_uri");
    });
    let abilities = Nginx.abilities(&rollout, &world.live);
    assert!(!abilities.mirrors, "the rollout goes on without");
    assert_eq!(
        abilities.missing,
        [
            "mirror is not possible while ingress front mirrors requests to somewhere else, remove its annotation nginx.ingress.kubernetes.io/mirror-target to have them mirrored to the canary"
        ]
    );
    assert_eq!(Nginx.abilities(&crate::testing::rollout(WEIGHTED), &world.live).missing, [""; 0], "nobody asked");

    let before = world.get(&INGRESS, "front").clone();
    for want in [Routes::to_primary(), weighted(100), Routes::to_primary()] {
        route(&mut world, &rollout, &want);
        assert_eq!(Nginx.routes(&rollout, &world.live), Ok(want));
    }
    assert_eq!(route(&mut world, &rollout, &Routes::mirror()), [], "not even when it is asked to");
    assert_eq!(Nginx.routes(&rollout, &world.live), Ok(Routes::to_primary()));
    assert_eq!(Nginx.revert(&rollout, &world.live), Ok(Vec::new()));
    assert_eq!(*world.get(&INGRESS, "front"), before);
}

#[test]
fn our_own_mirror_does_not_stand_in_the_way() {
    let rollout = rollout(MIRRORED);
    let mut world = world();
    route(&mut world, &rollout, &Routes::mirror());
    let abilities = Nginx.abilities(&rollout, &world.live);
    assert_eq!((abilities.mirrors, abilities.missing), (true, Vec::new()));
    assert!(Nginx.abilities(&rollout, &World::new().live).mirrors, "an Ingress that is not there yet has no mirror");
}

#[test]
fn a_share_cannot_be_mirrored() {
    let share = rollout("{ingressRef: {name: front}, analysis: {iterations: 3, mirror: true, mirrorWeight: 20}}");
    assert!(abilities(&share).mirrors);
    assert_eq!(
        abilities(&share).missing,
        ["mirrorWeight 20 is not supported when using the nginx provider, all requests are mirrored"]
    );
    let all = rollout("{ingressRef: {name: front}, analysis: {iterations: 3, mirror: true, mirrorWeight: 100}}");
    assert_eq!(abilities(&all).missing, [""; 0]);
}

#[test]
fn clients_are_tied_by_cookies_while_the_canary_has_traffic() {
    let rollout = rollout(STICKY);
    let mut world = world();
    for percent in [10, 30, 100] {
        route(&mut world, &rollout, &weighted(percent));
        assert_eq!(
            marks(&world),
            nginx(&json!({
                "affinity": "cookie",
                "affinity-canary-behavior": "sticky",
                "canary-by-cookie": "canary",
                "canary-weight": percent.to_string(),
                "session-cookie-domain": "example.com",
                "session-cookie-max-age": "86400",
                "session-cookie-name": "canary",
                "session-cookie-partitioned": "true",
                "session-cookie-path": "/app",
                "session-cookie-samesite": "Lax",
                "session-cookie-secure": "true",
            }))
        );
        assert_eq!(Nginx.routes(&rollout, &world.live), Ok(weighted(percent)));
    }
    route(&mut world, &rollout, &Routes::to_primary());
    assert_eq!(marks(&world), nginx(&json!({"canary-weight": "0"})));
    assert_eq!(Nginx.routes(&rollout, &world.live), Ok(Routes::to_primary()));
}

#[test]
fn what_ties_clients_is_told_until_the_users_ingress_has_it() {
    let rollout =
        rollout("{ingressRef: {name: front}, analysis: {sessionAffinity: {cookieName: canary, maxAge: 21600}}}");
    let prefix = "nginx.ingress.kubernetes.io";
    let told = |lacking: &str| {
        format!(
            "sessionAffinity is not fully supported when using the nginx provider: requests with the cookie canary=always go to the canary and those with canary=never to the primary, so either let the application set that cookie, or let ingress-nginx keep clients where they are by adding to ingress front the annotations {lacking}"
        )
    };
    assert_eq!(abilities(&rollout).affinity, AffinityAbility::None);
    let (affinity, age, name) = (
        format!("{prefix}/affinity: cookie"),
        format!("{prefix}/session-cookie-max-age: 21600"),
        format!("{prefix}/session-cookie-name: canary"),
    );
    assert_eq!(abilities(&rollout).missing, [told(&format!("{affinity}, {age}, {name}"))]);
    assert_eq!(Nginx.abilities(&rollout, &World::new().live).missing, abilities(&rollout).missing);

    let world = world().edit(&INGRESS, "front", |apex| {
        let annotations = apex["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.insert(format!("{prefix}/affinity"), json!("cookie"));
        annotations.insert(format!("{prefix}/session-cookie-name"), json!("canary"));
    });
    assert_eq!(Nginx.abilities(&rollout, &world.live).missing, [told(&age)]);
    let world = world.edit(&INGRESS, "front", |apex| {
        apex["metadata"]["annotations"][format!("{prefix}/session-cookie-max-age")] = json!("21600");
    });
    assert_eq!(Nginx.abilities(&rollout, &world.live).missing, [""; 0]);
}

#[test]
fn a_match_that_is_added_to_affinity_keeps_the_weight() {
    let sticky = rollout("{ingressRef: {name: front}, analysis: {sessionAffinity: {cookieName: canary}}}");
    let tested = rollout(
        "{ingressRef: {name: front}, analysis: {sessionAffinity: {cookieName: canary}, match: [{headers: {cookie: {exact: canary}}}]}}",
    );
    let mut world = world();
    route(&mut world, &sticky, &weighted(30));
    assert_eq!(Nginx.routes(&tested, &world.live), Ok(weighted(30)), "pinning is no A/B test at 100");
    route(&mut world, &tested, &weighted(30));
    assert_eq!(Nginx.routes(&tested, &world.live), Ok(weighted(30)));
    let mut expected = nginx(&json!({"canary-by-cookie": "canary", "canary-weight": "0"}));
    expected["flagger.app/canary-weight"] = json!("30");
    assert_eq!(marks(&world), expected);
}

#[test]
fn affinity_that_cannot_be_had_is_told() {
    let primary = rollout(
        "{ingressRef: {name: front}, analysis: {sessionAffinity: {cookieName: canary, primaryCookieName: primary, httpOnly: true}}}",
    );
    assert_eq!(
        abilities(&primary).missing.last().map(String::as_str),
        Some("primaryCookieName is not supported when using the nginx provider")
    );
    let ab = rollout(
        "{ingressRef: {name: front}, analysis: {iterations: 3, match: [{headers: {x: {exact: y}}}], sessionAffinity: {cookieName: canary}}}",
    );
    assert_eq!(
        abilities(&ab).missing,
        ["sessionAffinity is not supported with analysis.match when using the nginx provider"]
    );
}

#[test]
fn switching_strategies_leaves_nothing_of_the_last_one() {
    let mut world = world();
    route(&mut world, &rollout(WEIGHTED), &Routes::to_primary());
    let rest = world.get(&INGRESS, "front-canary")["metadata"]["annotations"].clone();
    for spec in [WEIGHTED, AB, MIRRORED, STICKY] {
        let rollout = rollout(spec);
        route(&mut world, &rollout, &Routes::mirror());
        route(&mut world, &rollout, &weighted(40));
        // Another strategy before the weight is back.
        route(&mut world, &crate::testing::rollout(WEIGHTED), &Routes::to_primary());
        assert_eq!(world.get(&INGRESS, "front-canary")["metadata"]["annotations"], rest, "{spec}");
    }
}

#[test]
fn reverting_ends_the_mirror_and_rests_what_is_not_ours() {
    let rollout = rollout(MIRRORED);
    let mut world = world();
    route(&mut world, &rollout, &Routes::mirror());
    let writes = Nginx.revert(&rollout, &world.live).unwrap();
    let [write] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(
        write.change,
        Change::Merge {
            patch: json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/mirror-target": null}}}),
            version: Some("2".to_owned()),
        }
    );
    world.apply(&writes);
    assert_eq!(Nginx.revert(&rollout, &world.live), Ok(Vec::new()));

    let settings = Settings { own_routes: false, ..Settings::default() };
    let foreign = rollout_with(AB, settings);
    let mut world = super::tests::world();
    route(&mut world, &foreign, &weighted(100));
    let writes = Nginx.revert(&foreign, &world.live).unwrap();
    world.apply(&writes);
    assert_eq!(marks(&world), nginx(&json!({"canary-weight": "0"})));
    assert_eq!(Nginx.revert(&crate::testing::rollout(""), &World::new().live), Ok(Vec::new()));
}

#[test]
fn errors_have_the_usual_words() {
    let rollout = rollout(WEIGHTED);
    let render = |rollout: &Rollout, world: &World| {
        Nginx.render(rollout, &world.live, &Routes::to_primary()).unwrap_err().to_string()
    };
    assert_eq!(render(&crate::testing::rollout(""), &world()), "ingress selector is empty");
    assert_eq!(Nginx.reads(&crate::testing::rollout("")), Vec::new());
    assert_eq!(
        render(&rollout, &World::new()),
        "ingress front.shop get query error: ingresses.networking.k8s.io \"front\" not found"
    );
    let elsewhere = world().edit(&INGRESS, "front", |apex| apex["spec"]["rules"] = json!([{"host": "a.example.com"}]));
    assert_eq!(render(&rollout, &elsewhere), "backend cart not found in ingress front");

    let routes = |world: &World| Nginx.routes(&rollout, &world.live).unwrap_err().to_string();
    assert_eq!(
        routes(&world()),
        "ingress front-canary.shop get query error: ingresses.networking.k8s.io \"front-canary\" not found"
    );
    let mut world = world();
    route(&mut world, &rollout, &weighted(10));
    let with_weight = |text: &str| {
        world.clone().edit(&INGRESS, "front-canary", |canary| {
            canary["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"] = json!(text);
        })
    };
    assert_eq!(
        routes(&with_weight("ten")),
        "failed to convert ten to int: strconv.Atoi: parsing \"ten\": invalid syntax"
    );
    assert_eq!(
        routes(&with_weight("99999999999999999999")),
        "failed to convert 99999999999999999999 to int: strconv.Atoi: parsing \"99999999999999999999\": value out of range"
    );
}
