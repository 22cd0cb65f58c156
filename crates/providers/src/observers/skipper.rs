//! Built-in queries for Skipper: metrics of the ingress, by route; the duration is an average.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Skipper;

impl Observer for Skipper {
    fn name(&self) -> &'static str {
        "skipper"
    }

    fn serves(&self, provider: &str) -> bool {
        provider == "skipper"
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum(rate(skipper_response_duration_seconds_bucket{route=~"kube(ew)?_{{ namespace }}__{{ ingress }}_canary__.*__{{ service }}_canary(_[0-9]+)?",code!~"5..",le="+Inf"}[{{ interval }}]))
/ sum(rate(skipper_response_duration_seconds_bucket{route=~"kube(ew)?_{{ namespace }}__{{ ingress }}_canary__.*__{{ service }}_canary(_[0-9]+)?",le="+Inf"}[{{ interval }}]))
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
sum(rate(skipper_serve_route_duration_seconds_sum{route=~"kube(ew)?_{{ namespace }}__{{ ingress }}_canary__.*__{{ service }}_canary(_[0-9]+)?"}[{{ interval }}]))
/ sum(rate(skipper_serve_route_duration_seconds_count{route=~"kube(ew)?_{{ namespace }}__{{ ingress }}_canary__.*__{{ service }}_canary(_[0-9]+)?"}[{{ interval }}]))
* 1000"#
    }

    fn plain_names(&self) -> bool {
        true
    }
}
