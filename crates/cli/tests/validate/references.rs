//! What is referred to and missing, names, bounds, and what is left.

use super::assert_findings;
use crate::breaking::Broken;

#[test]
fn a_spec_that_the_controller_refuses() {
    let broken = Broken::with_app("gateway-api", "session-affinity.yaml").replace(
        "canary.yaml",
        "primaryCookieName: reviews-primary",
        "primaryCookieName: reviews-canary",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:31: error: spec.analysis.sessionAffinity: can't use the same cookie name for both primary and cookie name; please update them to be different; name the two cookies differently [invalid-spec]",
        ],
    );
}

#[test]
fn fields_with_a_successor() {
    let broken = Broken::of("catalog")
        .replace("canary.yaml", "    apiVersion: autoscaling/v2\n", "    apiVersion: autoscaling/v2beta2\n")
        .replace("canary.yaml", "      thresholdRange:\n        min: 99.5\n", "      threshold: 99.5\n");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:17: warning: spec.autoscalerRef.apiVersion: autoscaling/v2beta2 is taken for autoscaling/v2; write autoscaling/v2 [deprecated-field]",
            "./canary.yaml:32: warning: spec.analysis.metrics[0].threshold: threshold is the former way to say it; write `thresholdRange: {min: 99.5}` [deprecated-field]",
        ],
    );
}

#[test]
fn a_receiver_that_is_missing() {
    let broken = Broken::of("istio-weighted").replace(
        "alerts.yaml",
        "kind: AlertProvider\nmetadata:\n  name: chat",
        "kind: AlertProvider\nmetadata:\n  name: chats",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:83: warning: spec.analysis.alerts[0].providerRef.name: there is no AlertProvider chat in the namespace shop among the manifests; did you mean chats? [missing-alert-provider]",
        ],
    );
}

#[test]
fn a_secret_of_a_receiver_that_is_missing() {
    let broken = Broken::of("istio-weighted").replace(
        "alerts.yaml",
        "kind: Secret\nmetadata:\n  name: chat",
        "kind: Secret\nmetadata:\n  name: chat-address",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./alerts.yaml:19: warning: spec.secretRef.name: there is no Secret chat in the provider's namespace among the manifests; give its manifest with -f too, or make sure that the cluster has it [missing-secret]",
        ],
    );
}

#[test]
fn an_ingress_that_is_missing() {
    let broken = Broken::of("catalog").replace(
        "catalog.yaml",
        "kind: Ingress\nmetadata:\n  name: catalog",
        "kind: Ingress\nmetadata:\n  name: catalog-public",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:15: warning: spec.ingressRef.name: there is no Ingress catalog in the namespace catalog among the manifests; did you mean catalog-public? [missing-ingress]",
        ],
    );
}

#[test]
fn a_gateway_that_is_missing() {
    let broken =
        Broken::of("istio-weighted").replace("gateway.yaml", "metadata:\n  name: shop", "metadata:\n  name: shopping");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:24: warning: spec.service.gateways[0]: there is no Gateway shop in the namespace shop among the manifests; give its manifest with -f too, or make sure that the cluster has it [missing-gateway]",
        ],
    );
}

#[test]
fn an_autoscaler_of_another_workload() {
    let broken = Broken::of("catalog").replace(
        "catalog.yaml",
        "    kind: Deployment\n    name: catalog\n",
        "    kind: Deployment\n    name: catalogue\n",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./catalog.yaml:45: error: spec.scaleTargetRef: scales Deployment catalogue, but the target of Canary catalog is Deployment catalog; correct the name here, or autoscalerRef in the Canary [autoscaler-target]",
        ],
    );
}

#[test]
fn a_name_that_becomes_too_long() {
    let broken = Broken::of("kubernetes-blue-green").replace(
        "canary.yaml",
        "  service:\n",
        "  service:\n    name: a-service-whose-name-is-so-long-that-nothing-fits-behind-it\n",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:14: error: spec.service.name: `a-service-whose-name-is-so-long-that-nothing-fits-behind-it-primary` has 67 characters; set spec.service.name to one of 55 at most [long-name]",
        ],
    );
}

#[test]
fn a_weight_that_is_no_percentage() {
    let broken = Broken::of("istio-weighted").replace("canary.yaml", "maxWeight: 50", "maxWeight: 150");
    assert_findings(
        &broken,
        0,
        &["./canary.yaml:39: warning: spec.analysis.maxWeight: 150 is no percentage; write 0 to 100 [weight-range]"],
    );
}

#[test]
fn a_maximum_beside_a_list_of_weights() {
    let broken =
        Broken::of("catalog").replace("canary.yaml", "    threshold: 4\n", "    threshold: 4\n    maxWeight: 30\n");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:27: warning: spec.analysis.maxWeight: has no effect: the last of stepWeights, 40, is where the release ends; remove it [ignored-field]",
        ],
    );
}

#[test]
fn a_template_under_a_built_in_name() {
    let broken = Broken::of("catalog")
        .replace("canary.yaml", "    - name: latency", "    - name: request-duration")
        .replace("canary.yaml", "max: 0.5", "max: 500");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:34: warning: spec.analysis.metrics[1].name: request-duration is built in, and template latency is asked as well; give the metric another name [metric-name]",
        ],
    );
}

#[test]
fn a_metric_without_bounds() {
    let broken = Broken::of("catalog").replace("canary.yaml", "      thresholdRange:\n        max: 0.5\n", "");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:34: warning: spec.analysis.metrics[1]: has no bounds: every value above 0 fails; add thresholdRange with min, max or both [metric-unbounded]",
        ],
    );
}

#[test]
fn a_metric_with_a_window_that_is_none() {
    let broken = Broken::of("catalog").replace("canary.yaml", "interval: 2m", "interval: 2minutes");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:35: error: spec.analysis.metrics[1].interval: time: unknown unit \"minutes\" in duration \"2minutes\"; write it like 30s, 1m or 2h [metric-interval]",
        ],
    );
}

#[test]
fn two_hooks_of_one_name() {
    let broken =
        Broken::of("kubernetes-blue-green").replace("canary.yaml", "name: bookings", "name: reconciliation-test");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:30: warning: spec.analysis.webhooks[1].name: `reconciliation-test` is the name of webhooks[0] too; give each its own name [duplicate-name]",
        ],
    );
}

#[test]
fn a_match_that_cannot_be_rendered() {
    let broken = Broken::with_app("gateway-api", "weighted.yaml").replace("canary.yaml", "  service:\n", "  service:\n    match:\n    - headers:\n        x-a:\n          regex: '['\n      queryParams:\n        q:\n          prefix: a\n");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:19: error: spec.service.match: Invalid request matching selectors: Gateway API doesn't support the specified query matching selector: map[q:{Exact: Prefix:a Suffix: Regex:}]; correct what it names [cannot-render]",
        ],
    );
}

#[test]
fn a_kind_that_there_is_not() {
    let broken = Broken::of("kubernetes-blue-green").replace("canary.yaml", "kind: Canary", "kind: Canaries");
    assert_findings(
        &broken,
        1,
        &["./canary.yaml:2: error: kind: there is no kind Canaries; did you mean Canary? [api-version]"],
    );
}
