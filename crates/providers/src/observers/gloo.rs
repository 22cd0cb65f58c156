//! Built-in queries for Gloo: Envoy metrics of the upstream of the canary's Service.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Gloo;

impl Observer for Gloo {
    fn name(&self) -> &'static str {
        "gloo"
    }

    fn serves(&self, provider: &str) -> bool {
        provider.starts_with("gloo")
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( envoy_cluster_upstream_rq{
    envoy_cluster_name=~"{{ namespace }}-{{ target }}-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+",
    envoy_response_code!~"5.*"
}[{{ interval }}] ) )
/ sum( rate( envoy_cluster_upstream_rq{
    envoy_cluster_name=~"{{ namespace }}-{{ target }}-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+",
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{
    envoy_cluster_name=~"{{ namespace }}-{{ target }}-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+",
}[{{ interval }}] ) ) by (le) )"#
    }
}
