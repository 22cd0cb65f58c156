//! Built-in queries for Linkerd: metrics of the proxies in front of the target.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Linkerd;

impl Observer for Linkerd {
    fn name(&self) -> &'static str {
        "linkerd"
    }

    fn serves(&self, provider: &str) -> bool {
        provider.contains("linkerd")
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( response_total{
    namespace="{{ namespace }}",
    deployment=~"{{ target }}",
    classification!="failure",
    direction="inbound"
}[{{ interval }}] ) )
/ sum( rate( response_total{
    namespace="{{ namespace }}",
    deployment=~"{{ target }}",
    direction="inbound"
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( response_latency_ms_bucket{
    namespace="{{ namespace }}",
    deployment=~"{{ target }}",
    direction="inbound"
}[{{ interval }}] ) ) by (le) )"#
    }
}
