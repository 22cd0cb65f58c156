//! Built-in queries for HTTP: metrics that the application itself exports.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Http;

impl Observer for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn serves(&self, provider: &str) -> bool {
        provider == "kubernetes" || provider.starts_with("gatewayapi")
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( http_request_duration_seconds_count{
    kubernetes_namespace="{{ namespace }}",
    kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)",
    status!~"5.*"
}[{{ interval }}] ) )
/ sum( rate( http_request_duration_seconds_count{
    kubernetes_namespace="{{ namespace }}",
    kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( http_request_duration_seconds_bucket{
    kubernetes_namespace="{{ namespace }}",
    kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"
}[{{ interval }}] ) ) by (le) )"#
    }

    fn duration_in_seconds(&self) -> bool {
        true
    }

    // Only the success rate, and only here: the text of the error goes into events as it is.
    fn bare_success_rate_errors(&self) -> bool {
        true
    }
}
