//! Built-in queries for Open Service Mesh: metrics of the sidecars in front of the target.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Osm;

impl Observer for Osm {
    fn name(&self) -> &'static str {
        "osm"
    }

    fn serves(&self, provider: &str) -> bool {
        provider == "osm"
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( osm_request_total{
    destination_namespace="{{ namespace }}",
    destination_kind="Deployment",
    destination_name="{{ target }}",
    response_code!~"5.*"
}[{{ interval }}] ) )
/ sum( rate( osm_request_total{
    destination_namespace="{{ namespace }}",
    destination_kind="Deployment",
    destination_name="{{ target }}"
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( osm_request_duration_ms_bucket{
    destination_namespace="{{ namespace }}",
    destination_kind="Deployment",
    destination_name="{{ target }}"
}[{{ interval }}] ) ) by (le) )"#
    }
}
