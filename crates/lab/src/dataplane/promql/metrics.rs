//! Under which names and labels the samples are known: as Istio, Linkerd, ingress-nginx and instrumented applications tell them.
//!
//! Source: the built-in queries in the notes on metrics, section 4.

use crate::dataplane::Sample;

/// One metric.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Units of latency in a second: 1000 for milliseconds.
    pub(super) per_second: f64,
    /// The labels of a sample; none at all if it is not told under this name.
    pub(super) labels: fn(&Sample) -> Labels,
}

pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Requests.
    Count,
    /// Sum of latencies.
    Sum,
    /// Buckets of latencies.
    Histogram,
}

/// By name.
pub(super) static METRICS: &[Metric] = &[
    Metric {
        name: "http_request_duration_seconds_bucket",
        shape: Shape::Histogram,
        per_second: 1.0,
        labels: application,
    },
    Metric { name: "http_request_duration_seconds_count", shape: Shape::Count, per_second: 1.0, labels: application },
    Metric { name: "http_request_duration_seconds_sum", shape: Shape::Sum, per_second: 1.0, labels: application },
    Metric {
        name: "istio_request_duration_milliseconds_bucket",
        shape: Shape::Histogram,
        per_second: 1000.0,
        labels: istio,
    },
    Metric {
        name: "istio_request_duration_milliseconds_count",
        shape: Shape::Count,
        per_second: 1000.0,
        labels: istio,
    },
    Metric { name: "istio_request_duration_milliseconds_sum", shape: Shape::Sum, per_second: 1000.0, labels: istio },
    Metric { name: "istio_requests_total", shape: Shape::Count, per_second: 1.0, labels: istio },
    Metric { name: "nginx_ingress_controller_requests", shape: Shape::Count, per_second: 1.0, labels: nginx },
    Metric {
        name: "nginx_ingress_controller_response_duration_seconds_count",
        shape: Shape::Count,
        per_second: 1.0,
        labels: nginx,
    },
    Metric {
        name: "nginx_ingress_controller_response_duration_seconds_sum",
        shape: Shape::Sum,
        per_second: 1.0,
        labels: nginx,
    },
    Metric { name: "response_latency_ms_bucket", shape: Shape::Histogram, per_second: 1000.0, labels: linkerd },
    Metric { name: "response_total", shape: Shape::Count, per_second: 1.0, labels: linkerd },
];

fn istio(sample: &Sample) -> Labels {
    vec![
        ("reporter", "destination".to_owned()),
        ("destination_workload_namespace", sample.namespace.clone()),
        ("destination_workload", sample.workload.clone()),
        ("response_code", sample.status.to_string()),
    ]
}

fn application(sample: &Sample) -> Labels {
    vec![
        ("kubernetes_namespace", sample.namespace.clone()),
        // As a Deployment names its pods: a hash of the template and five letters more.
        ("kubernetes_pod_name", format!("{}-5f6d7c8b9d-x2k4p", sample.workload)),
        ("status", sample.status.to_string()),
    ]
}

fn linkerd(sample: &Sample) -> Labels {
    vec![
        ("namespace", sample.namespace.clone()),
        ("deployment", sample.workload.clone()),
        ("direction", "inbound".to_owned()),
        ("classification", if sample.failed() { "failure" } else { "success" }.to_owned()),
    ]
}

fn nginx(sample: &Sample) -> Labels {
    let Some(ingress) = sample.ingress.clone() else { return Vec::new() };
    let canary = if sample.by_canary_ingress { sample.workload.clone() } else { String::new() };
    vec![
        ("namespace", sample.namespace.clone()),
        ("ingress", ingress),
        ("canary", canary),
        ("status", sample.status.to_string()),
    ]
}
