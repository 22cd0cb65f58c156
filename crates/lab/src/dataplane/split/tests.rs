//! Requests and the sides they go to.

use super::*;
use crate::dataplane::testing::Fixed;

const SERVICE: &str = "{kind: Service, metadata: {name: shop, namespace: test}, spec: {selector: {app: shop}}}";

fn virtual_service(http: &str) -> Fixed {
    let route = format!(
        "{{kind: VirtualService, metadata: {{name: shop, namespace: test}}, spec: {{hosts: [shop], http: {http}}}}}"
    );
    Fixed::of(&[SERVICE, &route])
}

fn http_route(rules: &str) -> Fixed {
    let route = format!("{{kind: HTTPRoute, metadata: {{name: shop, namespace: test}}, spec: {{rules: {rules}}}}}");
    Fixed::of(&[SERVICE, &route])
}

fn ingress(canary: &str) -> Fixed {
    let rules = |service: &str| {
        format!(
            "[{{host: shop.example.com, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {service}}}}}}}]}}}}]"
        )
    };
    let user =
        format!("{{kind: Ingress, metadata: {{name: web, namespace: test}}, spec: {{rules: {}}}}}", rules("shop"));
    let annotations: Vec<String> = std::iter::once("canary: \"true\"".to_owned())
        .chain(canary.split(", ").filter(|text| !text.is_empty()).map(str::to_owned))
        .map(|text| format!("nginx.ingress.kubernetes.io/{text}"))
        .collect();
    let ours = format!(
        "{{kind: Ingress, metadata: {{name: web-canary, namespace: test, annotations: {{{}}}}}, spec: {{rules: {}}}}}",
        annotations.join(", "),
        rules("shop-canary")
    );
    Fixed::of(&[SERVICE, &user, &ours])
}

fn get(path: &str) -> Asked {
    Asked::get("test", "shop", path)
}

fn service(objects: &Fixed, asked: &Asked) -> String {
    way(objects, &mut Spread::default(), asked).unwrap().service
}

/// How many of a hundred requests go to the canary.
fn share(objects: &Fixed, asked: &Asked) -> usize {
    let mut spread = Spread::default();
    (0..100).filter(|_| way(objects, &mut spread, asked).unwrap().service == "shop-canary").count()
}

const WEIGHTED: &str =
    "[{route: [{destination: {host: shop-primary}, weight: 90}, {destination: {host: shop-canary}, weight: 10}]}]";

/// A route for any host is that of the Service that is called, if it has its name; one that names the Service comes to the same.
#[test]
fn a_route_for_any_host() {
    let route = |name: &str| {
        format!(
            "{{kind: VirtualService, metadata: {{name: {name}, namespace: test}}, spec: {{hosts: [\"*\"], http: {WEIGHTED}}}}}"
        )
    };
    assert_eq!(share(&Fixed::of(&[SERVICE, &route("shop")]), &get("/")), 10);
    assert_eq!(share(&Fixed::of(&[SERVICE, &route("other")]), &get("/")), 0);
}

#[test]
fn ten_percent_are_ten_of_a_hundred_whoever_routes() {
    assert_eq!(share(&virtual_service(WEIGHTED), &get("/")), 10);
    assert_eq!(
        share(
            &http_route("[{backendRefs: [{name: shop-primary, weight: 90}, {name: shop-canary, weight: 10}]}]"),
            &get("/")
        ),
        10
    );
    assert_eq!(share(&ingress("canary-weight: \"10\""), &get("/")), 10);
    assert_eq!(share(&ingress("canary-weight: \"10\", canary-weight-total: \"1000\""), &get("/")), 1);
}

#[test]
fn without_a_route_the_service_answers() {
    assert_eq!(way(&Fixed::of(&[SERVICE]), &mut Spread::default(), &get("/")), Ok(Way::to("shop")));
    let nobody = way(&Fixed::default(), &mut Spread::default(), &get("/")).unwrap_err();
    assert_eq!((nobody.status(), nobody.to_string().as_str()), (404, "there is no Service shop.test"));
}

#[test]
fn istio_sends_those_who_match_to_the_canary() {
    let objects = virtual_service(
        "[{match: [{headers: {x-user: {exact: insider}}}, {headers: {Cookie: {regex: '^(.*?;)?(type=insider)(;.*)?$'}}}],
           route: [{destination: {host: shop-primary}, weight: 0}, {destination: {host: shop-canary}, weight: 100}]},
          {route: [{destination: {host: shop-primary}, weight: 0}]}]",
    );
    assert_eq!(service(&objects, &get("/").with("X-User", "insider")), "shop-canary");
    assert_eq!(service(&objects, &get("/").with("cookie", "a=b;type=insider")), "shop-canary");
    assert_eq!(service(&objects, &get("/").with("X-User", "insiders")), "shop-primary");
    assert_eq!(service(&objects, &get("/")), "shop-primary");
}

#[test]
fn every_condition_of_an_element_must_hold() {
    let objects = virtual_service(
        "[{match: [{uri: {prefix: /API}, ignoreUriCase: true, method: {exact: GET}, queryParams: {beta: {exact: yes}}, withoutHeaders: {x-no: {}}}],
           route: [{destination: {host: shop-canary.test.svc.cluster.local}}]},
          {route: [{destination: {host: shop-primary}}]}]"
            .replace("yes", "'yes'")
            .as_str(),
    );
    let all = get("/api/x?beta=yes");
    assert_eq!(service(&objects, &all), "shop-canary");
    assert_eq!(service(&objects, &all.clone().with("x-no", "1")), "shop-primary");
    assert_eq!(service(&objects, &get("/api/x?beta=no")), "shop-primary");
    assert_eq!(service(&objects, &get("/other?beta=yes")), "shop-primary");
    assert_eq!(service(&objects, &Asked { method: "POST".to_owned(), ..all }), "shop-primary");
}

#[test]
fn istio_mirrors_and_hands_out_cookies() {
    let objects = virtual_service(
        "[{mirror: {host: shop-canary}, mirrorPercentage: {value: 25}, headers: {response: {add: {x-rule: a}}},
           route: [{destination: {host: shop-primary}, weight: 100, headers: {response: {add: {Set-Cookie: p=1}}}}, {destination: {host: shop-canary}, weight: 0}]}]",
    );
    let mut spread = Spread::default();
    let ways: Vec<Way> = (0..100).map(|_| way(&objects, &mut spread, &get("/")).unwrap()).collect();
    assert!(ways.iter().all(|way| way.service == "shop-primary"));
    assert_eq!(ways.iter().filter(|way| way.mirror.as_deref() == Some("shop-canary")).count(), 25);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(ways[0].response_headers, [header("x-rule", "a"), header("Set-Cookie", "p=1")]);
}

#[test]
fn requests_without_rule_or_destination_go_nowhere() {
    let nowhere = |objects: &Fixed| way(objects, &mut Spread::default(), &get("/")).unwrap_err();
    let zero = nowhere(&virtual_service(
        "[{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0}]}]",
    ));
    assert_eq!(
        (zero.status(), zero.to_string().as_str()),
        (503, "VirtualService shop.test has no destination with a weight above 0")
    );
    let none = nowhere(&virtual_service("[{match: [{uri: {exact: /x}}], route: [{destination: {host: a}}]}]"));
    assert_eq!(
        (none.status(), none.to_string().as_str()),
        (404, "no rule of VirtualService shop.test matches the request")
    );
}

#[test]
fn the_most_specific_rule_of_an_httproute_wins() {
    let objects = http_route(
        "[{matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: shop-primary}]},
          {matches: [{path: {type: PathPrefix, value: /}, headers: [{name: X-User, value: insider}]}], backendRefs: [{name: shop-canary}]},
          {matches: [{path: {type: Exact, value: /pinned}}], backendRefs: [{name: shop-pinned}]},
          {matches: [{path: {type: PathPrefix, value: /}, headers: [{name: Cookie, type: RegularExpression, value: '.*c.*abc.*'}]}], backendRefs: [{name: shop-sticky}]}]",
    );
    assert_eq!(service(&objects, &get("/cart")), "shop-primary");
    assert_eq!(service(&objects, &get("/cart").with("x-user", "insider")), "shop-canary");
    assert_eq!(service(&objects, &get("/pinned").with("x-user", "insider")), "shop-pinned");
    assert_eq!(service(&objects, &get("/cart").with("cookie", "c=abc")), "shop-sticky");
}

#[test]
fn a_match_without_path_is_as_specific_as_the_root() {
    let objects = http_route(
        "[{matches: [{headers: [{name: X-User, value: insider}]}], backendRefs: [{name: shop-canary}]},
          {matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: shop-primary}]}]",
    );
    assert_eq!(service(&objects, &get("/").with("x-user", "insider")), "shop-canary");
    assert_eq!(service(&objects, &get("/")), "shop-primary");
}

#[test]
fn an_httproute_mirrors_and_hands_out_cookies() {
    let objects = http_route(
        "[{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: shop-canary}}}],
           backendRefs: [{name: shop-primary, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: Set-Cookie, value: p=1}]}}]}]}]",
    );
    let way = way(&objects, &mut Spread::default(), &get("/")).unwrap();
    assert_eq!(way.mirror.as_deref(), Some("shop-canary"));
    assert_eq!(way.response_headers, [("Set-Cookie".to_owned(), "p=1".to_owned())]);
}

#[test]
fn prefixes_end_where_elements_of_the_path_do() {
    let objects = http_route(
        "[{matches: [{path: {type: PathPrefix, value: /cart}}], backendRefs: [{name: shop-cart}]}, {backendRefs: [{name: shop-rest}]}]",
    );
    assert_eq!(service(&objects, &get("/cart/1")), "shop-cart");
    assert_eq!(service(&objects, &get("/cart")), "shop-cart");
    assert_eq!(service(&objects, &get("/cartoon")), "shop-rest");
}

#[test]
fn nginx_asks_header_then_cookie_then_weight() {
    let plain = ingress("canary-by-header: X-Canary, canary-by-cookie: vip, canary-weight: \"0\"");
    assert_eq!(service(&plain, &get("/").with("x-canary", "always")), "shop-canary");
    assert_eq!(service(&plain, &get("/").with("x-canary", "never").with("cookie", "vip=always")), "shop");
    assert_eq!(service(&plain, &get("/").with("x-canary", "maybe").with("cookie", "a=b; vip=always")), "shop-canary");
    assert_eq!(service(&plain, &get("/")), "shop");
    let value = ingress("canary-by-header: X-Canary, canary-by-header-value: insider, canary-weight: \"100\"");
    assert_eq!(share(&value, &get("/").with("x-canary", "insider")), 100);
    assert_eq!(share(&value, &get("/").with("x-canary", "never")), 100, "another value leaves it to the weight");
    let pattern = ingress("canary-by-header: X-Canary, canary-by-header-pattern: ^in.*");
    assert_eq!(service(&pattern, &get("/").with("x-canary", "insider")), "shop-canary");
    assert_eq!(service(&pattern, &get("/").with("x-canary", "outsider")), "shop");
}

#[test]
fn nginx_tells_which_ingress_and_which_side() {
    let found = way(&ingress("canary-weight: \"100\""), &mut Spread::default(), &get("/")).unwrap();
    assert_eq!((found.ingress.as_deref(), found.by_canary_ingress), (Some("web"), true));
}
