//! Our three kinds: fields, values, versions.

use super::assert_findings;
use crate::breaking::Broken;

#[test]
fn a_misspelt_field_is_recognised() {
    let broken = Broken::of("istio-weighted").replace("canary.yaml", "stepWeight: 10", "stepWieght: 10");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:35: error: spec.analysis: says no strategy; add stepWeight or stepWeights for a weighted release, iterations for A/B tests and blue/green [analysis-kind]",
            "./canary.yaml:38: error: spec.analysis.stepWieght: `spec.analysis` has no field `stepWieght`; did you mean stepWeight? [unknown-field]",
        ],
    );
}

#[test]
fn a_number_in_quotes_is_told() {
    let broken = Broken::of("istio-weighted").replace("canary.yaml", "threshold: 3", "threshold: '3'");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:37: error: spec.analysis.threshold: is a text, but must be a number; write it without quotes: 3 [schema]",
        ],
    );
}

#[test]
fn a_value_that_is_not_allowed_is_compared_with_those_that_are() {
    let broken = Broken::of("catalog").replace("canary.yaml", "provider: nginx", "provider: nginxx");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:7: error: spec.provider: there is no `nginxx`; did you mean nginx? There is apisix, appmesh, appmesh:v1beta2, contour, gatewayapi:v1, gatewayapi:v1beta1, gloo, istio, knative, kubernetes, kuma, linkerd, nginx, osm, skipper, smi:v1alpha1, smi:v1alpha2, smi:v1alpha3 and traefik [schema]",
        ],
    );
}

#[test]
fn a_field_at_the_wrong_depth_is_told_where_it_belongs() {
    let broken = Broken::of("istio-weighted").replace(
        "canary.yaml",
        "    - name: request-success-rate\n      interval: 1m\n      thresholdRange:\n",
        "    - name: request-success-rate\n      thresholdRange:\n        interval: 1m\n",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:44: error: spec.analysis.metrics[0].thresholdRange.interval: `spec.analysis.metrics[0].thresholdRange` has no field `interval`; it belongs to spec.analysis.metrics[]; mind the indentation [unknown-field]",
        ],
    );
}

#[test]
fn an_analysis_needs_one_strategy() {
    let broken = Broken::of("istio-weighted")
        .replace("canary.yaml", "stepWeight: 10", "stepWeight: 10\n    iterations: 10")
        .replace("canary.yaml", "    maxWeight: 50\n    stepWeightPromotion: 25\n", "");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:35: error: spec.analysis: has iterations and stepWeight, of which there may be one; keep stepWeight or stepWeights for a weighted release, iterations for A/B tests and blue/green [analysis-kind]",
        ],
    );
}

#[test]
fn the_former_name_of_the_analysis_is_known() {
    let broken = Broken::of("kubernetes-blue-green").replace("canary.yaml", "  analysis:", "  canaryAnalysis:");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:17: error: spec.canaryAnalysis: `spec` has no field `canaryAnalysis`; rename it to analysis [unknown-field]",
        ],
    );
}

#[test]
fn a_former_version_is_known() {
    let broken = Broken::of("kubernetes-blue-green").replace("canary.yaml", "v1beta1", "v1alpha3");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:1: error: apiVersion: flagger.app/v1alpha3 is not served; write flagger.app/v1beta1 [api-version]",
        ],
    );
}

#[test]
fn an_alert_of_a_severity_that_there_is_not() {
    let broken = Broken::of("istio-weighted").replace("canary.yaml", "severity: info", "severity: warning");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:81: error: spec.analysis.alerts[0].severity: there is no `warning`; there is info, warn and error [schema]",
        ],
    );
}

#[test]
fn a_receiver_without_address() {
    let broken = Broken::of("istio-weighted").replace("alerts.yaml", "  secretRef:\n    name: chat\n", "");
    assert_findings(
        &broken,
        1,
        &["./alerts.yaml:14: error: spec: has neither address nor secretRef; add one of them [schema]"],
    );
}

#[test]
fn a_secret_without_the_address() {
    let broken = Broken::of("istio-weighted").replace("alerts.yaml", "  address: https", "  url: https");
    assert_findings(
        &broken,
        1,
        &[
            "./alerts.yaml:19: error: spec.secretRef.name: Secret chat has no key `address`, and there is no spec.address; add the URL of the receiver to one of them [alert-address]",
        ],
    );
}

#[test]
fn a_match_in_two_ways() {
    let broken = Broken::of("istio-ab-testing").replace(
        "canary.yaml",
        "          regex: .*Firefox/.*",
        "          regex: .*Firefox/.*\n          exact: a",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:25: error: spec.analysis.match[0].headers.user-agent: has 2 of exact, prefix, suffix, regex; keep one of them [schema]",
        ],
    );
}

#[test]
fn yaml_that_is_none_ends_with_2() {
    let broken =
        Broken::of("istio-weighted").replace("canary.yaml", "  provider: istio", "  provider: istio\n\tfoo: bar");
    assert_findings(
        &broken,
        2,
        &[
            "./canary.yaml:7: error: this is no YAML: while scanning a plain scalar, found a tab; look at this line and the one before for indentation, a missing colon, or a value that needs quotes [unreadable-input]",
        ],
    );
}

/// Numbers of the schema may be fractions where the controller has none.
#[test]
fn all_fields_that_cannot_be_read_are_told_and_the_rest_is_checked() {
    let broken = Broken::of("catalog")
        .replace("canary.yaml", "targetPort: http", "targetPort: 99999999999")
        .replace("canary.yaml", "threshold: 4", "threshold: 1.5")
        .replace("canary.yaml", "max: 0.5", "max: 0.5\n        min: 3");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:23: error: spec.service.targetPort: 99999999999 is out of range; correct the value [schema]",
            "./canary.yaml:26: error: spec.analysis.threshold: 1.5 is not a whole number; correct the value [schema]",
            "./canary.yaml:36: error: spec.analysis.metrics[1].thresholdRange: min 3 is above max 0.5: no value passes; exchange them, or keep one of them [metric-bounds]",
        ],
    );
}
