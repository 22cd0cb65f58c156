//! Built-in queries for NGINX: metrics of ingress-nginx for the canary Ingress; the duration is an average.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Nginx;

impl Observer for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn serves(&self, provider: &str) -> bool {
        provider == "nginx"
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( nginx_ingress_controller_requests{
    namespace="{{ namespace }}",
    ingress="{{ ingress }}",
    canary!="",
    status!~"5.*"
}[{{ interval }}] ) )
/ sum( rate( nginx_ingress_controller_requests{
    namespace="{{ namespace }}",
    ingress="{{ ingress }}",
    canary!=""
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
sum( rate( nginx_ingress_controller_response_duration_seconds_sum{
    namespace="{{ namespace }}",
    ingress="{{ ingress }}",
    canary!=""
}[{{ interval }}] ) )
/ sum( rate( nginx_ingress_controller_response_duration_seconds_count{
    namespace="{{ namespace }}",
    ingress="{{ ingress }}",
    canary!=""
}[{{ interval }}] ) )
* 1000"#
    }
}
