//! Weights, times, metrics, hooks.

use super::assert_findings;
use crate::breaking::Broken;

#[test]
fn weights_that_overshoot_say_which() {
    let broken = Broken::of("istio-weighted").replace("canary.yaml", "stepWeight: 10", "stepWeight: 30");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:38: warning: spec.analysis.stepWeight: leads to the weights 30, 60, the last of them above maxWeight 50; set maxWeight to 30 or 60 [overshooting-weights]",
        ],
    );
}

#[test]
fn weights_that_descend_never_end() {
    let broken = Broken::of("catalog").replace("canary.yaml", "[2, 5, 10, 20, 40]", "[40, 20]");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:28: error: spec.analysis.stepWeights: from weight 40 the next step is -20: the release never ends; set stepWeight above 0, or stepWeights that ascend [stuck-weights]",
        ],
    );
}

#[test]
fn a_threshold_of_zero_counts_as_one() {
    let broken = Broken::of("kubernetes-blue-green").replace("canary.yaml", "threshold: 2", "threshold: 0");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:19: warning: spec.analysis.threshold: 0 counts as 1: the first failed check ends the release; write the number of failed checks that ends it [threshold-zero]",
        ],
    );
}

#[test]
fn an_interval_may_be_too_short() {
    let broken = Broken::of("kubernetes-blue-green").replace("canary.yaml", "interval: 30s", "interval: 5s");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:18: warning: spec.analysis.interval: 5s is shorter than the controller waits, which is 10s; write 10s or more [short-interval]",
        ],
    );
}

#[test]
fn an_interval_may_be_unreadable() {
    let broken = Broken::of("kubernetes-blue-green").replace("canary.yaml", "interval: 30s", "interval: 30sec");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:18: warning: spec.analysis.interval: time: unknown unit \"sec\" in duration \"30sec\"; 60s is used instead; write it like 30s, 1m30s or 2h [duration]",
        ],
    );
}

#[test]
fn bounds_that_nothing_can_keep() {
    let broken = Broken::of("catalog").replace("canary.yaml", "min: 99.5", "min: 99.5\n        max: 90");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:32: error: spec.analysis.metrics[0].thresholdRange: min 99.5 is above max 90: no value passes; exchange them, or keep one of them [metric-bounds]",
        ],
    );
}

#[test]
fn a_success_rate_as_a_fraction() {
    let broken = Broken::of("istio-weighted").replace("canary.yaml", "min: 99", "min: 0.99");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:45: warning: spec.analysis.metrics[0].thresholdRange.min: 0.99 means 0.99 %: success rates are in percent; write 99 if that is meant [metric-unit]",
        ],
    );
}

#[test]
fn a_built_in_metric_misspelt() {
    let broken = Broken::of("istio-weighted").replace("canary.yaml", "request-success-rate", "request-sucess-rate");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:42: error: spec.analysis.metrics[0].name: request-sucess-rate is not built in, and there is no templateRef; did you mean request-success-rate? [metric-source]",
        ],
    );
}

#[test]
fn a_variable_that_the_query_needs() {
    let broken = Broken::of("istio-ab-testing").replace(
        "canary.yaml",
        "        name: slow-requests\n      templateVariables:\n        reporter:",
        "        name: slow-requests\n      templateVariables:\n        reporters:",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:45: error: spec.analysis.metrics[1].templateVariables: the query of MetricTemplate slow-requests needs the variable `reporter`; there is reporters: give it that name [template-variable]",
            "./canary.yaml:46: warning: spec.analysis.metrics[1].templateVariables.reporters: MetricTemplate slow-requests does not use it; remove it, or correct its name [unused-variable]",
        ],
    );
}

#[test]
fn a_function_that_there_is_not() {
    let broken = Broken::of("catalog").replace("latency.yaml", "{{ ingress }}", "{{ ingres }}");
    assert_findings(
        &broken,
        1,
        &[
            "./latency.yaml:15: error: spec.query: line 4 of the query: function \"ingres\" not defined; did you mean ingress? [template-syntax]",
        ],
    );
}

#[test]
fn a_template_that_cannot_be_read() {
    let broken = Broken::of("catalog").replace("latency.yaml", "{{ ingress }}", "{{ ingress }");
    assert_findings(
        &broken,
        1,
        &[
            "./latency.yaml:15: error: spec.query: line 4 of the query: unexpected \"}\" in operand; correct the template, see https://pkg.go.dev/text/template [template-syntax]",
        ],
    );
}

#[test]
fn a_metric_source_without_scheme() {
    let broken = Broken::of("catalog").replace(
        "latency.yaml",
        "http://prometheus.monitoring:9090",
        "prometheus.monitoring:9090",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./latency.yaml:10: error: spec.provider.address: is neither http:// nor https://; write it like http://prometheus.monitoring:9090 [metric-provider]",
        ],
    );
}

#[test]
fn a_template_of_another_name() {
    let broken = Broken::of("catalog").replace(
        "canary.yaml",
        "        name: latency\n    webhooks",
        "        name: latencies\n    webhooks",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:39: warning: spec.analysis.metrics[1].templateRef.name: there is no MetricTemplate latencies in the namespace catalog among the manifests; did you mean latency? [missing-template]",
        ],
    );
}

#[test]
fn a_hook_without_scheme() {
    let broken = Broken::of("istio-weighted").replace(
        "canary.yaml",
        "http://release-calendar.shop/checkout/may-start",
        "release-calendar.shop/checkout/may-start",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:54: error: spec.analysis.webhooks[0].url: is neither http:// nor https://; write it like http://service.namespace/path [hook-request]",
        ],
    );
}

#[test]
fn a_hook_with_a_timeout_that_is_none() {
    let broken = Broken::of("istio-weighted").replace("canary.yaml", "timeout: 30s", "timeout: 30sec");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:60: error: spec.analysis.webhooks[1].timeout: time: unknown unit \"sec\" in duration \"30sec\"; write it like 5s or 1m [hook-request]",
        ],
    );
}

#[test]
fn an_analysis_that_checks_nothing() {
    let broken = Broken::of("kubernetes-blue-green")
        .replace(
            "canary.yaml",
            "    - name: reconciliation-test\n      type: pre-rollout",
            "    - name: reconciliation-test\n      type: event",
        )
        .replace("canary.yaml", "    - name: bookings\n", "    - name: bookings\n      type: event\n")
        .replace("canary.yaml", "      type: confirm-promotion", "      type: post-rollout");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:17: warning: spec.analysis: has neither metrics nor hooks that could end a release; add metrics or webhooks, or set spec.skipAnalysis: true if that is meant [no-checks]",
        ],
    );
}
