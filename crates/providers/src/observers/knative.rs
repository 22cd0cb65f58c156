//! Built-in queries for Knative: Envoy metrics of the Knative ingress, by revision.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Knative;

impl Observer for Knative {
    fn name(&self) -> &'static str {
        "knative"
    }

    fn serves(&self, provider: &str) -> bool {
        provider == "knative"
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( envoy_cluster_upstream_rq{
    envoy_cluster_name=~"{{ namespace }}/{{ route }}",
    envoy_response_code!~"5.*"
}[{{ interval }}] ) )
/ sum( rate( envoy_cluster_upstream_rq{
    envoy_cluster_name=~"{{ namespace }}/{{ route }}",
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{
    envoy_cluster_name=~"{{ namespace }}/{{ route }}",
}[{{ interval }}] ) ) by (le) )"#
    }
}
