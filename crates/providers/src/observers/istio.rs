//! Built-in queries for Istio: metrics of the sidecars in front of the target; also for names that nobody knows.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Istio;

impl Observer for Istio {
    fn name(&self) -> &'static str {
        "istio"
    }

    fn serves(&self, provider: &str) -> bool {
        provider == "istio"
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( istio_requests_total{
    reporter="destination",
    destination_workload_namespace="{{ namespace }}",
    destination_workload=~"{{ target }}",
    response_code!~"5.*"
}[{{ interval }}] ) )
/ sum( rate( istio_requests_total{
    reporter="destination",
    destination_workload_namespace="{{ namespace }}",
    destination_workload=~"{{ target }}"
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( istio_request_duration_milliseconds_bucket{
    reporter="destination",
    destination_workload_namespace="{{ namespace }}",
    destination_workload=~"{{ target }}"
}[{{ interval }}] ) ) by (le) )"#
    }
}
