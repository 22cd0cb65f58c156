//! Built-in queries for App Mesh: Envoy metrics of the sidecars of the canary's pods.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct AppMesh;

impl Observer for AppMesh {
    fn name(&self) -> &'static str {
        "appmesh"
    }

    fn serves(&self, provider: &str) -> bool {
        provider.starts_with("appmesh")
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( envoy_cluster_upstream_rq{
    kubernetes_namespace="{{ namespace }}",
    kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)",
    envoy_response_code!~"5.*"
}[{{ interval }}] ) )
/ sum( rate( envoy_cluster_upstream_rq{
    kubernetes_namespace="{{ namespace }}",
    kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{
    kubernetes_namespace="{{ namespace }}",
    kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"
}[{{ interval }}] ) ) by (le) )"#
    }
}
