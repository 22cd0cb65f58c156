//! What the router writes for whole Canaries, step by step, and that it reads back what it wrote.

use super::*;
use crate::routers::router;
use crate::testing::{NAMESPACE, World, owner, rollout, rollout_with, yaml};
use ::rollout::{Affinity, Weight};
use api::Settings;
use objects::Change;
use objects::kind::DEPLOYMENT;
use objects::paths::{set, text};
use serde_json::{Value, json};

/// A rollout and the world around it.
struct Bench {
    rollout: Rollout,
    world: World,
}

impl Bench {
    fn new(spec: &str) -> Self {
        Self { rollout: rollout(spec), world: World::new() }
    }

    /// After the first look of the router.
    fn initialised(spec: &str) -> Self {
        let mut bench = Self::new(spec);
        bench.route(&Routes::to_primary());
        bench
    }

    fn render(&self, want: &Routes) -> Vec<Write> {
        Istio.render(&self.rollout, &self.world.live, want).unwrap()
    }

    /// Renders and applies; what was wanted is read back, and rendering it again, as a step or as upkeep, plans nothing.
    fn route(&mut self, want: &Routes) -> &Value {
        self.route_loosely(want);
        let read = Istio.routes(&self.rollout, &self.world.live).unwrap();
        assert_eq!(read, Routes { affinity: None, ..want.clone() });
        assert_eq!(self.render(want), [], "the same step again");
        assert_eq!(self.render(&read), [], "upkeep");
        self.object()
    }

    fn route_loosely(&mut self, want: &Routes) -> &Value {
        let writes = self.render(want);
        self.world.apply(&writes);
        self.object()
    }

    fn object(&self) -> &Value {
        self.world.get(&VIRTUAL_SERVICE, "cart")
    }

    fn http(&self) -> &Value {
        &self.object()["spec"]["http"]
    }

    fn edit(self, change: impl FnOnce(&mut Value)) -> Self {
        Self { world: self.world.edit(&VIRTUAL_SERVICE, "cart", change), ..self }
    }

    /// The same objects after an edit of the Canary.
    fn respec(self, spec: &str) -> Self {
        Self { rollout: rollout(spec), ..self }
    }

    fn upkeep(&mut self) -> Vec<Write> {
        let read = Istio.routes(&self.rollout, &self.world.live).unwrap();
        let writes = self.render(&read);
        self.world.apply(&writes);
        assert_eq!(self.render(&read), []);
        writes
    }
}

fn weighted(canary: i64) -> Routes {
    Routes::weighted(Weight::clipped(canary))
}

fn sticky(canary: i64, cookie: &str, primary: Option<&str>) -> Routes {
    let affinity = Affinity { canary: Some(cookie.to_owned()), primary: primary.map(str::to_owned), expired: None };
    Routes { affinity: Some(affinity), ..weighted(canary) }
}

fn expired(cookie: Option<&str>) -> Routes {
    let affinity = Affinity { expired: cookie.map(str::to_owned), ..Affinity::default() };
    Routes { affinity: Some(affinity), ..weighted(0) }
}

/// The destinations of both sides.
fn sides(primary: i64, canary: i64) -> Value {
    json!([
        {"destination": {"host": "cart-primary"}, "weight": primary},
        {"destination": {"host": "cart-canary"}, "weight": canary},
    ])
}

const TOOLKIT: [&str; 2] = ["kustomize.toolkit.fluxcd.io/reconcile", "helm.toolkit.fluxcd.io/driftDetection"];

const FULL: &str = "
service:
  port: 80
  hosts: [app.example.com]
  gateways: [istio-system/public]
  timeout: 5s
  retries: {attempts: 3, perTryTimeout: 1s, retryOn: gateway-error}
  match: [{uri: {prefix: /api}}, {uri: {exact: /x}, method: {regex: GET|POST}}]
  rewrite: {uri: /, type: ReplaceFullPath}
  headers: {request: {add: {x-env: prod}}, response: {remove: [server]}}
  corsPolicy: {allowOrigins: [{exact: '*'}], allowMethods: [GET], allowCredentials: false, maxAge: 24h}
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, outlierDetection: {consecutive5xxErrors: 0, interval: 5m}}
";

#[test]
fn a_canary_gets_two_destination_rules_and_a_virtual_service() {
    let bench = Bench::new(FULL);
    let writes = bench.render(&Routes::to_primary());
    let created: Vec<(&str, Option<&str>, &str)> =
        writes.iter().map(|write| (&*write.target.name, write.success.as_deref(), write.failure.as_str())).collect();
    assert_eq!(
        created,
        [
            (
                "cart-canary",
                Some("DestinationRule cart-canary.shop created"),
                "reconcileDestinationRule failed: DestinationRule cart-canary.shop create error: "
            ),
            (
                "cart-primary",
                Some("DestinationRule cart-primary.shop created"),
                "reconcileDestinationRule failed: DestinationRule cart-primary.shop create error: "
            ),
            (
                "cart",
                Some("VirtualService cart.shop created"),
                "reconcileVirtualService failed: VirtualService cart.shop create error: "
            ),
        ]
    );
    let [Change::Create(rule), _, Change::Create(service)] =
        [&writes[0], &writes[1], &writes[2]].map(|write| &write.change)
    else {
        panic!("{writes:?}")
    };
    assert_eq!(
        *rule,
        json!({
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "DestinationRule",
            "metadata": {"name": "cart-canary", "namespace": "shop", "ownerReferences": [owner()]},
            "spec": {
                "host": "cart-canary",
                "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}, "outlierDetection": {"consecutive5xxErrors": 0, "interval": "5m"}},
            },
        })
    );
    assert_eq!(
        *service,
        json!({
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "VirtualService",
            "metadata": {
                "name": "cart",
                "namespace": "shop",
                "annotations": {TOOLKIT[0]: "disabled", TOOLKIT[1]: "disabled"},
                "ownerReferences": [owner()],
            },
            "spec": {
                "hosts": ["app.example.com", "cart"],
                "gateways": ["istio-system/public"],
                "http": [{
                    "match": [{"uri": {"prefix": "/api"}}, {"uri": {"exact": "/x"}, "method": {"regex": "GET|POST"}}],
                    "rewrite": {"uri": "/"},
                    "timeout": "5s",
                    "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "gateway-error"},
                    "corsPolicy": {"allowOrigins": [{"exact": "*"}], "allowMethods": ["GET"], "maxAge": "24h", "allowCredentials": false},
                    "headers": {"request": {"add": {"x-env": "prod"}}, "response": {"remove": ["server"]}},
                    "route": sides(100, 0),
                }],
            },
        })
    );
}

#[test]
fn without_owner_references_across_clusters() {
    let settings = Settings { own_routes: false, ..Settings::default() };
    let mut bench = Bench { rollout: rollout_with("", settings), world: World::new() };
    bench.route(&Routes::to_primary());
    assert!(bench.object().pointer("/metadata/ownerReferences").is_none());
    // What was created without an owner is no find: there is nothing of before to store or to give back.
    let mut bench = bench.edit(|object| set(object, &["spec", "gateways"], json!(["elsewhere"])));
    bench.upkeep();
    assert_eq!(bench.object()["metadata"]["annotations"], json!({TOOLKIT[0]: "disabled", TOOLKIT[1]: "disabled"}));
    assert_eq!(Istio.revert(&bench.rollout, &bench.world.live), Ok(Vec::new()));
}

#[test]
fn the_apex_is_a_host_unless_it_is_there_or_all_are() {
    let hosts = |hosts: &str| {
        let bench = Bench::initialised(&format!("service: {{hosts: {hosts}}}"));
        bench.object()["spec"]["hosts"].clone()
    };
    assert_eq!(hosts("[]"), json!(["cart"]));
    assert_eq!(hosts("[cart, a.example.com]"), json!(["cart", "a.example.com"]));
    assert_eq!(hosts("['*']"), json!(["*"]));
    assert_eq!(hosts("[cart.shop.svc.cluster.local]"), json!(["cart.shop.svc.cluster.local", "cart"]));
}

#[test]
fn destinations_have_a_port_where_requests_come_from_a_gateway() {
    let port = |service: &str| {
        let mut bench = Bench::initialised(&format!("{{service: {service}, analysis: {{mirror: true}}}}"));
        bench.route(&Routes::mirror());
        let rule = &bench.http()[0];
        let port = rule["route"][1]["destination"].get("port").cloned();
        assert_eq!(rule["mirror"].get("port").cloned(), port, "the mirror has the same");
        port
    };
    assert_eq!(port("{portDiscovery: true}"), None);
    assert_eq!(port("{portDiscovery: true, gateways: [mesh, istio-system/gw]}"), None);
    assert_eq!(port("{gateways: [istio-system/gw]}"), None);
    assert_eq!(port("{portDiscovery: true, gateways: [istio-system/gw, mesh]}"), Some(json!({"number": 80})));
    assert_eq!(port("{portDiscovery: true, delegation: true}"), Some(json!({"number": 80})));
}

#[test]
fn a_step_changes_the_weights_and_nothing_else() {
    let mut bench = Bench::initialised("");
    let writes = bench.render(&weighted(30));
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].failure, "VirtualService cart.shop update failed: ");
    assert_eq!(writes[0].success, None);
    let Change::Merge { patch, version } = &writes[0].change else { panic!("{writes:?}") };
    assert_eq!(*patch, json!({"spec": {"http": [{"route": sides(70, 30)}]}}));
    assert_eq!(version.as_deref(), Some("1"));
    for weight in [30, 100, 0] {
        bench.route(&weighted(weight));
    }
}

#[test]
fn ab_testing_matches_first_and_leaves_the_others_to_the_primary() {
    let mut bench = Bench::initialised(
        "analysis: {iterations: 2, match: [{headers: {x-canary: {exact: insider}}}, {headers: {cookie: {regex: '^canary$'}}}]}",
    );
    bench.route(&weighted(100));
    let insiders =
        json!([{"headers": {"x-canary": {"exact": "insider"}}}, {"headers": {"cookie": {"regex": "^canary$"}}}]);
    assert_eq!(
        *bench.http(),
        json!([
            {"match": insiders, "route": sides(0, 100)},
            {"route": [{"destination": {"host": "cart-primary"}, "weight": 0}]},
        ])
    );
    bench.route(&Routes::to_primary());
    assert_eq!(bench.http()[1]["route"], json!([{"destination": {"host": "cart-primary"}, "weight": 100}]));
}

#[test]
fn ab_conditions_narrow_the_matches_of_the_service() {
    let bench = Bench::initialised(
        "
service:
  match: [{uri: {prefix: /api}, headers: {x-tenant: {exact: a}, x-user: {prefix: b}}, sourceLabels: {app: web}}]
analysis:
  iterations: 2
  match:
  - {headers: {x-user: {exact: insider}}, sourceLabels: {tier: front}}
  - {queryParams: {beta: {exact: 'yes'}}}
",
    );
    let service = json!([{
        "uri": {"prefix": "/api"},
        "headers": {"x-tenant": {"exact": "a"}, "x-user": {"prefix": "b"}},
        "sourceLabels": {"app": "web"},
    }]);
    assert_eq!(
        bench.http()[0]["match"],
        json!([
            {
                "uri": {"prefix": "/api"},
                "headers": {"x-tenant": {"exact": "a"}, "x-user": {"exact": "insider"}},
                "sourceLabels": {"app": "web", "tier": "front"},
            },
            {
                "uri": {"prefix": "/api"},
                "headers": {"x-tenant": {"exact": "a"}, "x-user": {"prefix": "b"}},
                "queryParams": {"beta": {"exact": "yes"}},
                "sourceLabels": {"app": "web"},
            },
        ])
    );
    assert_eq!(bench.http()[1]["match"], service);
}

#[test]
fn tcp_services_have_weights_alone() {
    let mut bench = Bench::initialised(
        "{service: {appProtocol: TCP, timeout: 5s, match: [{port: 9898, uri: {prefix: /}}, {uri: {prefix: /}}]}, \
         analysis: {sessionAffinity: {cookieName: c1}, mirror: true, match: [{headers: {x: {exact: y}}}]}}",
    );
    bench.route(&weighted(30));
    assert_eq!(bench.object()["spec"]["tcp"], json!([{"match": [{"port": 9898}, {}], "route": sides(70, 30)}]));
    assert!(bench.http().is_null());
    // The kind of rules follows the Canary; the weights of the other kind are not read.
    let mut bench = bench.respec("");
    let missing = Istio.routes(&bench.rollout, &bench.world.live).unwrap_err();
    assert_eq!(missing.0, "VirtualService cart.shop does not contain routes for cart-primary and cart-canary");
    bench.route(&Routes::to_primary());
    assert!(bench.object()["spec"].get("tcp").is_none());
}

#[test]
fn the_mirror_is_on_the_rule_that_is_read() {
    let mut bench = Bench::initialised("analysis: {mirror: true, mirrorWeight: 40, sessionAffinity: {cookieName: c1}}");
    let mirror = Routes { mirrored: true, ..expired(Some("c1=old")) };
    bench.route(&mirror);
    assert_eq!(bench.http().as_array().unwrap().len(), 2);
    assert!(bench.http()[0].get("mirror").is_none());
    assert_eq!(
        bench.http()[1],
        json!({"route": sides(100, 0), "mirror": {"host": "cart-canary"}, "mirrorPercentage": {"value": 40}})
    );
    bench.route(&sticky(10, "c1=new", None));
    assert!(bench.http()[1].get("mirror").is_none() && bench.http()[1].get("mirrorPercentage").is_none());
}

#[test]
fn a_mirror_to_somewhere_else_is_left_alone() {
    let mut bench =
        Bench::initialised("").edit(|object| object["spec"]["http"][0]["mirror"] = json!({"host": "shadow"}));
    assert_eq!(bench.render(&Routes::to_primary()), []);
    bench.route(&weighted(10));
    assert_eq!(bench.http()[0]["mirror"], json!({"host": "shadow"}));
}

const STICKY: &str =
    "analysis: {interval: 1m, sessionAffinity: {cookieName: c1, primaryCookieName: p1, maxAge: 21600}}";

#[test]
fn cookies_tie_clients_to_a_side_while_the_canary_has_traffic() {
    let mut bench = Bench::initialised(STICKY);
    bench.route(&sticky(10, "c1=LpsIaLdoNZ", Some("p1=ApvLdqCoMF")));
    assert_eq!(
        *bench.http(),
        json!([
            {"match": [{"headers": {"Cookie": {"regex": ".*c1.*LpsIaLdoNZ.*"}}}], "route": sides(0, 100)},
            {"match": [{"headers": {"Cookie": {"regex": ".*p1.*ApvLdqCoMF.*"}}}], "route": sides(100, 0)},
            {"route": [
                {
                    "destination": {"host": "cart-primary"},
                    "weight": 90,
                    "headers": {"response": {"add": {"Set-Cookie": "p1=ApvLdqCoMF; Max-Age=60"}}},
                },
                {
                    "destination": {"host": "cart-canary"},
                    "weight": 10,
                    "headers": {"response": {"add": {"Set-Cookie": "c1=LpsIaLdoNZ; Max-Age=21600"}}},
                },
            ]},
        ])
    );
    bench.route(&sticky(100, "c1=LpsIaLdoNZ", Some("p1=ApvLdqCoMF")));
    bench.route(&expired(Some("c1=LpsIaLdoNZ")));
    assert_eq!(
        *bench.http(),
        json!([
            {
                "match": [{"headers": {"Cookie": {"regex": ".*c1.*LpsIaLdoNZ.*"}}}],
                "headers": {"response": {"add": {"Set-Cookie": "c1=LpsIaLdoNZ; Max-Age=-1"}}},
                "route": sides(100, 0),
            },
            {"route": sides(100, 0)},
        ])
    );
}

#[test]
fn without_a_cookie_to_take_back_there_is_one_rule() {
    let mut bench = Bench::initialised(STICKY);
    bench.route(&expired(None));
    assert_eq!(*bench.http(), json!([{"route": sides(100, 0)}]));
}

#[test]
fn cookie_rules_are_as_narrow_as_the_service_and_taking_back_stays_on_its_rule() {
    let mut bench = Bench::initialised(
        "
service:
  match: [{uri: {prefix: /api}, headers: {x-tenant: {exact: a}}}]
  timeout: 5s
  headers: {response: {add: {x-by: cart}}}
analysis: {sessionAffinity: {cookieName: c1, domain: example.com, path: /api, secure: true}}
",
    );
    bench.route(&expired(Some("c1=old")));
    let matches = json!([{"uri": {"prefix": "/api"}, "headers": {"x-tenant": {"exact": "a"}}}]);
    let narrow = json!([{"uri": {"prefix": "/api"}, "headers": {"x-tenant": {"exact": "a"}, "Cookie": {"regex": ".*c1.*old.*"}}}]);
    let taken_back = "c1=old; Max-Age=-1; Domain=example.com; Path=/api; Secure";
    assert_eq!(
        *bench.http(),
        json!([
            {
                "match": narrow,
                "timeout": "5s",
                "headers": {"response": {"add": {"x-by": "cart", "Set-Cookie": taken_back}}},
                "route": sides(100, 0),
            },
            {"match": matches, "timeout": "5s", "headers": {"response": {"add": {"x-by": "cart"}}}, "route": sides(100, 0)},
        ])
    );
}

#[test]
fn the_interval_must_be_a_duration_for_the_primarys_cookie() {
    let bench =
        Bench::initialised("analysis: {interval: soon, sessionAffinity: {cookieName: c1, primaryCookieName: p1}}");
    let error = Istio.render(&bench.rollout, &bench.world.live, &sticky(10, "c1=a", Some("p1=b"))).unwrap_err();
    assert_eq!(error.0, "failed to parse canary interval: time: invalid duration \"soon\"");
}

#[test]
fn a_repair_keeps_weights_mirror_and_cookies() {
    let mut bench = Bench::initialised(STICKY);
    bench.route(&sticky(30, "c1=abc", Some("p1=xyz")));
    let before = bench.http().clone();
    let bench = bench.edit(|object| {
        set(object, &["spec", "hosts"], json!(["cart", "stray.example.com"]));
        object["spec"]["http"][2]["timeout"] = json!("1s");
        object["spec"]["http"]
            .as_array_mut()
            .unwrap()
            .insert(0, json!({"route": [{"destination": {"host": "stray"}}]}));
    });
    let mut bench = bench;
    let writes = bench.upkeep();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].failure, "reconcileVirtualService failed: VirtualService cart.shop update error: ");
    assert_eq!(writes[0].success.as_deref(), Some("VirtualService cart.shop updated"));
    assert_eq!(bench.object()["spec"], json!({"hosts": ["cart"], "gateways": ["mesh"], "http": before}));
    // An object of the Canary's own has no original.
    assert_eq!(bench.object()["metadata"]["annotations"], json!({TOOLKIT[0]: "disabled", TOOLKIT[1]: "disabled"}));

    let mut mirrored = Bench::initialised("analysis: {mirror: true}");
    mirrored.route(&Routes::mirror());
    let mut mirrored = mirrored.edit(|object| object["spec"]["http"][0]["timeout"] = json!("1s"));
    mirrored.upkeep();
    assert_eq!(*mirrored.http(), json!([{"route": sides(100, 0), "mirror": {"host": "cart-canary"}}]));
}

#[test]
fn an_edit_of_the_canary_reaches_the_route_in_the_middle_of_a_rollout() {
    let mut bench = Bench::initialised("service: {match: [{uri: {prefix: /}}], timeout: 1s}");
    bench.route(&weighted(30));
    let mut bench = bench
        .respec("{service: {match: [{uri: {prefix: /}}], timeout: 9s}, analysis: {sessionAffinity: {cookieName: c1}}}");
    bench.upkeep();
    assert_eq!(
        *bench.http(),
        json!([{"match": [{"uri": {"prefix": "/"}}], "timeout": "9s", "route": sides(70, 30)}]),
        "a rule with a match is no cookie rule (I6)"
    );
}

#[test]
fn no_rule_sends_clients_to_a_canary_that_is_at_rest() {
    let mut bench = Bench::initialised(STICKY);
    bench.route(&sticky(30, "c1=abc", Some("p1=xyz")));
    bench.route_loosely(&Routes::to_primary());
    let hosts_at_canary: Vec<&Value> = bench
        .http()
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| reading::weight(rule, "cart-canary") != Some(0))
        .collect();
    assert_eq!(hosts_at_canary, [] as [&Value; 0]);
    assert!(!bench.http().to_string().contains("c1"), "{}", bench.http());
}

#[test]
fn fields_that_are_nobodys_here_survive_steps_and_repairs() {
    let bench = Bench::initialised("").edit(|object| {
        set(object, &["spec", "exportTo"], json!(["."]));
        object["spec"]["http"][0]["statPrefix"] = json!("cart");
        set(object, &["metadata", "labels", "stray"], json!("yes"));
    });
    let mut bench = Bench {
        world: bench.world.edit(&DESTINATION_RULE, "cart-canary", |rule| {
            set(rule, &["spec", "exportTo"], json!(["."]));
            set(rule, &["spec", "subsets"], json!([{"name": "v1"}]));
            set(rule, &["metadata", "labels"], json!({"team": "a"}));
        }),
        ..bench
    };
    bench.upkeep();
    bench.route(&weighted(50));
    assert_eq!(bench.object()["spec"]["exportTo"], json!(["."]));
    assert_eq!(bench.http()[0]["statPrefix"], "cart");
    // Labels of what the Canary has made are the Canary's.
    assert!(bench.object()["metadata"].get("labels").is_none());
    let rule = bench.world.get(&DESTINATION_RULE, "cart-canary");
    assert_eq!(rule["spec"], json!({"host": "cart-canary", "exportTo": ["."]}));
    assert_eq!(rule["metadata"]["labels"], json!({"team": "a"}));
}

#[test]
fn empty_fields_that_somebody_wrote_are_no_difference() {
    let bench = Bench::initialised("").edit(|object| {
        object["spec"]["http"][0]["match"] = json!([]);
        object["spec"]["http"][0]["headers"] = json!({"request": {"add": {}}});
        set(object, &["metadata", "labels"], json!({}));
    });
    assert_eq!(bench.render(&Routes::to_primary()), []);
}

#[test]
fn delegation_leaves_hosts_and_gateways_to_the_other() {
    let bench = Bench::initialised("service: {delegation: true}");
    assert_eq!(bench.object()["spec"], json!({"hosts": [], "http": [{"route": sides(100, 0)}]}));
    // Turned on later, it empties both (I18).
    let mut bench = Bench::initialised("").respec("service: {delegation: true}");
    bench.upkeep();
    assert_eq!(bench.object()["spec"], json!({"hosts": [], "http": [{"route": sides(100, 0)}]}));
    let both = Bench::new("service: {delegation: true, hosts: [a.example.com]}");
    let error = Istio.render(&both.rollout, &both.world.live, &Routes::to_primary()).unwrap_err();
    assert_eq!(
        error.0,
        "reconcileVirtualService failed: VirtualService cart.shop cannot have hosts and gateways when delegation enabled"
    );
}

#[test]
fn the_apex_metadata_is_on_the_virtual_service() {
    let mut bench = Bench::new("service: {apex: {labels: {team: a}, annotations: {x: y}}}");
    let target = yaml(
        "{metadata: {name: cart}, spec: {selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart}}, spec: {containers: []}}}}",
    );
    bench.world = bench.world.with(&DEPLOYMENT, target);
    bench.route(&Routes::to_primary());
    assert_eq!(bench.object()["metadata"]["labels"], json!({"app": "cart", "team": "a"}));
    assert_eq!(
        bench.object()["metadata"]["annotations"],
        json!({TOOLKIT[0]: "disabled", TOOLKIT[1]: "disabled", "x": "y"})
    );
}

#[test]
fn reading_says_what_is_wrong() {
    let mut bench = Bench::new("");
    let error = Istio.routes(&bench.rollout, &bench.world.live).unwrap_err();
    assert_eq!(
        error.0,
        "VirtualService cart.shop get query error virtualservices.networking.istio.io \"cart\" not found"
    );
    bench.world.live.set_unavailable(VIRTUAL_SERVICE, "the server could not find the requested resource".to_owned());
    let error = Istio.routes(&bench.rollout, &bench.world.live).unwrap_err();
    assert_eq!(error.0, "VirtualService cart.shop get query error the server could not find the requested resource");
    // Without the API, creating yields the server's own message.
    assert!(matches!(bench.render(&Routes::to_primary())[2].change, Change::Create(_)));
}

#[test]
fn the_last_rule_with_the_canary_is_read() {
    let bench = Bench::initialised("").edit(|object| {
        object["spec"]["http"] = json!([
            {"route": sides(10, 90)},
            {"route": sides(80, 20)},
            {"route": [{"destination": {"host": "cart-primary"}, "weight": 100}]},
        ]);
    });
    assert_eq!(Istio.routes(&bench.rollout, &bench.world.live), Ok(weighted(20)));
    let empty = bench.edit(|object| object["spec"]["http"] = json!([{"route": sides(0, 0)}]));
    assert_eq!(
        Istio.routes(&empty.rollout, &empty.world.live).unwrap_err().0,
        "VirtualService cart.shop does not contain routes for cart-primary and cart-canary"
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    let abilities = |spec: &str| Istio.abilities(&rollout(spec), &Snapshot::new());
    let all = "analysis: {mirror: true, match: [{headers: {x: {exact: y}}}], sessionAffinity: {cookieName: c1}}";
    let tcp = abilities(&format!("{{service: {{appProtocol: tcp}}, {all}}}"));
    assert_eq!((tcp.shifts, tcp.matches, tcp.mirrors, tcp.affinity), (true, false, false, AffinityAbility::None));
    assert_eq!(
        tcp.missing,
        [
            "Session affinity is not supported for TCP services",
            "Traffic mirroring is not supported for TCP services",
            "Request matching is not supported for TCP services",
        ]
    );
    let ab = abilities(all);
    assert_eq!((ab.matches, ab.mirrors, ab.affinity), (true, false, AffinityAbility::None));
    assert_eq!(
        ab.missing,
        [
            "Session affinity is not supported together with analysis.match",
            "Traffic mirroring is not supported together with analysis.match",
        ]
    );
    let plain = abilities("analysis: {mirror: true, sessionAffinity: {cookieName: c1}}");
    assert_eq!((plain.mirrors, plain.affinity, plain.missing), (true, AffinityAbility::Both, Vec::new()));
    assert_eq!(abilities("service: {appProtocol: http}").affinity, AffinityAbility::None);
}

#[test]
fn unknown_providers_are_istio_and_known_ones_are_not() {
    for provider in ["istio", "", "smi", "smi:istio", "my-mesh", "Contour"] {
        assert_eq!(router(provider).map(Router::name), Some("istio"), "{provider}");
    }
    for provider in
        ["contour", "linkerd", "appmesh", "appmesh:v1beta1", "gloo:x", "smi:v1alpha1:istio", "gatewayapi:v1alpha2"]
    {
        assert!(!Istio.serves(provider), "{provider}");
    }
}

#[test]
fn what_is_read_is_what_is_written() {
    let bench = Bench::initialised("");
    let mut names: Vec<String> = bench.world.live.iter().map(|(reference, _)| reference.to_string()).collect();
    let mut reads: Vec<String> = Istio.reads(&bench.rollout).iter().map(ToString::to_string).collect();
    names.sort();
    reads.sort();
    assert_eq!(names, reads);
    assert_eq!(text(bench.object(), "/metadata/namespace"), NAMESPACE);
}
