//! What reaches Prometheus, for every observer, to the byte.

use crate::http::Request;
use crate::metrics::builtin;
use crate::testing::rollout;
use rollout::Check;

/// The query that reaches Prometheus, decoded.
fn sent(provider: &str, check: Check) -> String {
    let name = if check == Check::SuccessRate { "request-success-rate" } else { "request-duration" };
    let rollout = rollout(&format!(
        "{{provider: '{provider}', targetRef: {{name: cart-api}}, service: {{name: cart-svc}}, ingressRef: {{name: cart-in}}, \
         routeRef: {{name: cart-route}}, analysis: {{metrics: [{{name: {name}, interval: 2m}}]}}}}"
    ));
    decoded(&builtin(&rollout, &rollout.analysis.metrics[0], check, None).unwrap())
}

fn decoded(request: &Request) -> String {
    let query = request.url.reveal().split_once("?query=").unwrap().1.replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = query.as_str();
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}

#[test]
fn apisix_queries() {
    assert_eq!(
        sent("apisix", Check::SuccessRate),
        r#" sum( rate( apisix_http_status{ route=~"shop_cart-route-cart-api-canary_.+", code!~"5.." }[2m] ) ) / sum( rate( apisix_http_status{ route=~"shop_cart-route-cart-api-canary_.+" }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("apisix", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( apisix_http_latency_bucket{ type=~"request", route=~"shop_cart-route-cart-api-canary_.+" }[2m] ) ) by (le) )"#
    );
}

#[test]
fn appmesh_queries() {
    assert_eq!(
        sent("appmesh:v1beta2", Check::SuccessRate),
        r#" sum( rate( envoy_cluster_upstream_rq{ kubernetes_namespace="shop", kubernetes_pod_name=~"cart-api-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", envoy_response_code!~"5.*" }[2m] ) ) / sum( rate( envoy_cluster_upstream_rq{ kubernetes_namespace="shop", kubernetes_pod_name=~"cart-api-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("appmesh:v1beta2", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ kubernetes_namespace="shop", kubernetes_pod_name=~"cart-api-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[2m] ) ) by (le) )"#
    );
}

#[test]
fn contour_queries() {
    assert_eq!(
        sent("contour", Check::SuccessRate),
        r#" sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop_cart-svc-canary_[0-9a-zA-Z-]+", envoy_response_code!~"5.*" }[2m] ) ) / sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop_cart-svc-canary_[0-9a-zA-Z-]+", }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("contour", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ envoy_cluster_name=~"shop_cart-svc-canary_[0-9a-zA-Z-]+", }[2m] ) ) by (le) )"#
    );
}

#[test]
fn gloo_queries() {
    assert_eq!(
        sent("gloo", Check::SuccessRate),
        r#" sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop-cart-api-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+", envoy_response_code!~"5.*" }[2m] ) ) / sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop-cart-api-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+", }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("gloo", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ envoy_cluster_name=~"shop-cart-api-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+", }[2m] ) ) by (le) )"#
    );
}

#[test]
fn http_queries() {
    assert_eq!(
        sent("kubernetes", Check::SuccessRate),
        r#" sum( rate( http_request_duration_seconds_count{ kubernetes_namespace="shop", kubernetes_pod_name=~"cart-api-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", status!~"5.*" }[2m] ) ) / sum( rate( http_request_duration_seconds_count{ kubernetes_namespace="shop", kubernetes_pod_name=~"cart-api-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("kubernetes", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( http_request_duration_seconds_bucket{ kubernetes_namespace="shop", kubernetes_pod_name=~"cart-api-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[2m] ) ) by (le) )"#
    );
}

#[test]
fn istio_queries() {
    assert_eq!(
        sent("istio", Check::SuccessRate),
        r#" sum( rate( istio_requests_total{ reporter="destination", destination_workload_namespace="shop", destination_workload=~"cart-api", response_code!~"5.*" }[2m] ) ) / sum( rate( istio_requests_total{ reporter="destination", destination_workload_namespace="shop", destination_workload=~"cart-api" }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("istio", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( istio_request_duration_milliseconds_bucket{ reporter="destination", destination_workload_namespace="shop", destination_workload=~"cart-api" }[2m] ) ) by (le) )"#
    );
}

#[test]
fn knative_queries() {
    assert_eq!(
        sent("knative", Check::SuccessRate),
        r#" sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop/cart-route", envoy_response_code!~"5.*" }[2m] ) ) / sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop/cart-route", }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("knative", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ envoy_cluster_name=~"shop/cart-route", }[2m] ) ) by (le) )"#
    );
}

#[test]
fn kuma_queries() {
    assert_eq!(
        sent("kuma", Check::SuccessRate),
        r#" sum( rate( envoy_cluster_upstream_rq{ service=~"cart-api-canary_shop_svc_[0-9a-zA-Z-]+", envoy_response_code!~"5.*" }[2m] ) ) / sum( rate( envoy_cluster_upstream_rq{ service=~"cart-api-canary_shop_svc_[0-9a-zA-Z-]+", }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("kuma", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ service=~"cart-api-canary_shop_svc_[0-9a-zA-Z-]+", }[2m] ) ) by (le) )"#
    );
}

#[test]
fn linkerd_queries() {
    assert_eq!(
        sent("linkerd", Check::SuccessRate),
        r#" sum( rate( response_total{ namespace="shop", deployment=~"cart-api", classification!="failure", direction="inbound" }[2m] ) ) / sum( rate( response_total{ namespace="shop", deployment=~"cart-api", direction="inbound" }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("linkerd", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( response_latency_ms_bucket{ namespace="shop", deployment=~"cart-api", direction="inbound" }[2m] ) ) by (le) )"#
    );
}

#[test]
fn nginx_queries() {
    assert_eq!(
        sent("nginx", Check::SuccessRate),
        r#" sum( rate( nginx_ingress_controller_requests{ namespace="shop", ingress="cart-in", canary!="", status!~"5.*" }[2m] ) ) / sum( rate( nginx_ingress_controller_requests{ namespace="shop", ingress="cart-in", canary!="" }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("nginx", Check::Duration),
        r#" sum( rate( nginx_ingress_controller_response_duration_seconds_sum{ namespace="shop", ingress="cart-in", canary!="" }[2m] ) ) / sum( rate( nginx_ingress_controller_response_duration_seconds_count{ namespace="shop", ingress="cart-in", canary!="" }[2m] ) ) * 1000"#
    );
}

#[test]
fn osm_queries() {
    assert_eq!(
        sent("osm", Check::SuccessRate),
        r#" sum( rate( osm_request_total{ destination_namespace="shop", destination_kind="Deployment", destination_name="cart-api", response_code!~"5.*" }[2m] ) ) / sum( rate( osm_request_total{ destination_namespace="shop", destination_kind="Deployment", destination_name="cart-api" }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("osm", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( osm_request_duration_ms_bucket{ destination_namespace="shop", destination_kind="Deployment", destination_name="cart-api" }[2m] ) ) by (le) )"#
    );
}

#[test]
fn skipper_queries() {
    assert_eq!(
        sent("skipper", Check::SuccessRate),
        r#" sum(rate(skipper_response_duration_seconds_bucket{route=~"kube(ew)?_shop__cart_in_canary__.*__cart_svc_canary(_[0-9]+)?",code!~"5..",le="+Inf"}[2m])) / sum(rate(skipper_response_duration_seconds_bucket{route=~"kube(ew)?_shop__cart_in_canary__.*__cart_svc_canary(_[0-9]+)?",le="+Inf"}[2m])) * 100"#
    );
    assert_eq!(
        sent("skipper", Check::Duration),
        r#" sum(rate(skipper_serve_route_duration_seconds_sum{route=~"kube(ew)?_shop__cart_in_canary__.*__cart_svc_canary(_[0-9]+)?"}[2m])) / sum(rate(skipper_serve_route_duration_seconds_count{route=~"kube(ew)?_shop__cart_in_canary__.*__cart_svc_canary(_[0-9]+)?"}[2m])) * 1000"#
    );
}

#[test]
fn traefik_queries() {
    assert_eq!(
        sent("traefik", Check::SuccessRate),
        r#" sum( rate( traefik_service_request_duration_seconds_bucket{ service=~"shop-cart-api-canary-[0-9a-zA-Z-]+@kubernetescrd", code!~"5..", le="+Inf" }[2m] ) ) / sum( rate( traefik_service_request_duration_seconds_bucket{ service=~"shop-cart-api-canary-[0-9a-zA-Z-]+@kubernetescrd", le="+Inf" }[2m] ) ) * 100"#
    );
    assert_eq!(
        sent("traefik", Check::Duration),
        r#" histogram_quantile( 0.99, sum( rate( traefik_service_request_duration_seconds_bucket{ service=~"shop-cart-api-canary-[0-9a-zA-Z-]+@kubernetescrd" }[2m] ) ) by (le) ) * 1000"#
    );
}
