//! Built-in queries for Kuma: Envoy metrics of the canary's service in the mesh.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Kuma;

impl Observer for Kuma {
    fn name(&self) -> &'static str {
        "kuma"
    }

    fn serves(&self, provider: &str) -> bool {
        provider == "kuma"
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( envoy_cluster_upstream_rq{
    service=~"{{ target }}-canary_{{ namespace }}_svc_[0-9a-zA-Z-]+",
    envoy_response_code!~"5.*"
}[{{ interval }}] ) )
/ sum( rate( envoy_cluster_upstream_rq{
    service=~"{{ target }}-canary_{{ namespace }}_svc_[0-9a-zA-Z-]+",
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{
    service=~"{{ target }}-canary_{{ namespace }}_svc_[0-9a-zA-Z-]+",
}[{{ interval }}] ) ) by (le) )"#
    }
}
