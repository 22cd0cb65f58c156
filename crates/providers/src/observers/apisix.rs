//! Built-in queries for APISIX: metrics of the APISIX Prometheus plugin, by route and upstream.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Apisix;

impl Observer for Apisix {
    fn name(&self) -> &'static str {
        "apisix"
    }

    fn serves(&self, provider: &str) -> bool {
        provider == "apisix"
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( apisix_http_status{
    route=~"{{ namespace }}_{{ route }}-{{ target }}-canary_.+",
    code!~"5.."
}[{{ interval }}] ) )
/ sum( rate( apisix_http_status{
    route=~"{{ namespace }}_{{ route }}-{{ target }}-canary_.+"
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( apisix_http_latency_bucket{
    type=~"request",
    route=~"{{ namespace }}_{{ route }}-{{ target }}-canary_.+"
}[{{ interval }}] ) ) by (le) )"#
    }
}
