//! Built-in queries for Traefik: metrics of the ingress, by service.
//!
//! Texts only. Source: metrics notes, section 4.

use super::Observer;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Traefik;

impl Observer for Traefik {
    fn name(&self) -> &'static str {
        "traefik"
    }

    fn serves(&self, provider: &str) -> bool {
        provider == "traefik"
    }

    fn success_rate(&self) -> &'static str {
        r#"
sum( rate( traefik_service_request_duration_seconds_bucket{
    service=~"{{ namespace }}-{{ target }}-canary-[0-9a-zA-Z-]+@kubernetescrd",
    code!~"5..",
    le="+Inf"
}[{{ interval }}] ) )
/ sum( rate( traefik_service_request_duration_seconds_bucket{
    service=~"{{ namespace }}-{{ target }}-canary-[0-9a-zA-Z-]+@kubernetescrd",
    le="+Inf"
}[{{ interval }}] ) )
* 100"#
    }

    fn duration(&self) -> &'static str {
        r#"
histogram_quantile(
0.99, sum( rate( traefik_service_request_duration_seconds_bucket{
    service=~"{{ namespace }}-{{ target }}-canary-[0-9a-zA-Z-]+@kubernetescrd"
}[{{ interval }}] ) ) by (le) ) * 1000"#
    }
}
