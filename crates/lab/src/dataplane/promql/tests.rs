//! The built-in queries, over a few requests.

use super::*;
use crate::dataplane::Sample;

const SUCCESS_RATE: &str = " sum( rate( istio_requests_total{ reporter=\"destination\", destination_workload_namespace=\"test\", destination_workload=~\"shop\", response_code!~\"5.*\" }[30s] ) ) / sum( rate( istio_requests_total{ reporter=\"destination\", destination_workload_namespace=\"test\", destination_workload=~\"shop\" }[30s] ) ) * 100";
const DURATION: &str = " histogram_quantile( 0.99, sum( rate( istio_request_duration_milliseconds_bucket{ reporter=\"destination\", destination_workload_namespace=\"test\", destination_workload=~\"shop\" }[30s] ) ) by (le) )";

/// (workload, status, latency in ms)
fn samples(seen: &[(&str, u16, u64)]) -> Samples {
    let samples = Samples::default();
    for (workload, status, latency) in seen {
        samples.add(Sample {
            at: Instant::now(),
            namespace: "test".to_owned(),
            workload: (*workload).to_owned(),
            status: *status,
            latency: Duration::from_millis(*latency),
            ingress: Some("web".to_owned()),
            by_canary_ingress: *workload == "shop",
        });
    }
    samples
}

fn ask(query: &str, samples: &Samples) -> Option<f64> {
    evaluate(query, samples).unwrap().map(|value| (value * 1e6).round() / 1e6)
}

#[tokio::test(start_paused = true)]
async fn success_rate_counts_the_workload_alone() {
    let seen =
        samples(&[("shop", 200, 1), ("shop", 500, 1), ("shop", 404, 1), ("shop", 200, 1), ("shop-primary", 500, 1)]);
    assert_eq!(ask(SUCCESS_RATE, &seen), Some(75.0));
}

#[tokio::test(start_paused = true)]
async fn duration_is_the_slowest_but_for_one_percent() {
    let seen: Vec<_> = (1..=200).map(|latency| ("shop", 200, latency)).collect();
    assert_eq!(ask(DURATION, &samples(&seen)), Some(198.0));
    assert_eq!(ask(DURATION, &samples(&[("shop", 200, 7)])), Some(7.0));
}

#[tokio::test(start_paused = true)]
async fn without_traffic_there_is_no_result() {
    for query in [SUCCESS_RATE, DURATION] {
        assert_eq!(ask(query, &samples(&[("shop-primary", 200, 1)])), None, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_asked_window_counts() {
    let seen = samples(&[("shop", 500, 900)]);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(ask(SUCCESS_RATE, &seen), None, "nothing happened in the last half minute");
    seen.add(Sample { at: Instant::now(), status: 200, latency: Duration::from_millis(3), ..first(&seen) });
    assert_eq!(ask(SUCCESS_RATE, &seen), Some(100.0));
    assert_eq!(ask(DURATION, &seen), Some(3.0));
}

fn first(samples: &Samples) -> Sample {
    let mut found = None;
    samples.visit(|sample| found = found.take().or_else(|| Some(sample.clone())));
    found.unwrap()
}

#[tokio::test(start_paused = true)]
async fn other_meshes_ask_in_their_own_words() {
    let seen = samples(&[("shop", 200, 100), ("shop", 500, 300), ("shop-primary", 200, 1), ("shop-primary", 200, 1)]);
    let pods = "kubernetes_namespace=\"test\", kubernetes_pod_name=~\"shop-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\"";
    let nginx = "namespace=\"test\", ingress=\"web\", canary!=\"\"";
    let linkerd = "namespace=\"test\", deployment=~\"shop\", direction=\"inbound\"";
    let table = [
        (
            format!(
                "sum(rate(http_request_duration_seconds_count{{ {pods}, status!~\"5.*\" }}[1m])) / sum(rate(http_request_duration_seconds_count{{ {pods} }}[1m])) * 100"
            ),
            50.0,
        ),
        (
            format!(
                "histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket{{ {pods} }}[1m])) by (le))"
            ),
            0.3,
        ),
        (
            format!(
                "sum(rate(nginx_ingress_controller_requests{{ {nginx}, status!~\"5.*\" }}[1m])) / sum(rate(nginx_ingress_controller_requests{{ {nginx} }}[1m])) * 100"
            ),
            50.0,
        ),
        (
            format!(
                "sum(rate(nginx_ingress_controller_response_duration_seconds_sum{{ {nginx} }}[1m])) / sum(rate(nginx_ingress_controller_response_duration_seconds_count{{ {nginx} }}[1m])) * 1000"
            ),
            200.0,
        ),
        (
            format!(
                "sum(rate(response_total{{ {linkerd}, classification!=\"failure\", }}[1m])) / sum(rate(response_total{{ {linkerd} }}[1m])) * 100"
            ),
            50.0,
        ),
        (format!("histogram_quantile(0.99, sum by (le) (rate(response_latency_ms_bucket{{ {linkerd} }}[1m])))"), 300.0),
        ("100 - (1 + 2) * 3".to_owned(), 91.0),
        ("vector(1)".to_owned(), 1.0),
        ("sum(rate(istio_requests_total[1m0s])) * 60".to_owned(), 4.0),
    ];
    for (query, wanted) in table {
        assert_eq!(ask(&query, &seen), Some(wanted), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_is_refused_in_words() {
    let table = [
        ("avg(rate(istio_requests_total[1m]))", "the function avg is not supported by the lab"),
        ("sum(rate(up[1m]))", "the metric \"up\" is not supported by the lab"),
        ("istio_requests_total", "the metric istio_requests_total outside of rate() is not supported by the lab"),
        ("sum(rate(istio_requests_total[soon]))", "parse error: not a valid duration string: \"soon\""),
        ("sum(rate(istio_requests_total[1m])", "parse error: expected ) at \"\""),
        ("", "parse error: expected an expression at \"\""),
        ("1 2", "parse error: expected the end at \"2\""),
    ];
    for (query, wanted) in table {
        assert_eq!(evaluate(query, &Samples::default()).unwrap_err().to_string(), wanted);
    }
}
