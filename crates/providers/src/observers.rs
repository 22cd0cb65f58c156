//! Built-in queries, by provider: what `request-success-rate` and `request-duration` ask Prometheus.
//!
//! One file for each provider with metrics of its own; all of them are two texts. Which one serves a Canary follows
//! from its provider and from the default one, as users know it from the texts of events. Does not render and does not
//! ask: see [`crate::metrics`]. Source: metrics notes, sections 3 and 4.

mod apisix;
mod appmesh;
mod contour;
mod gloo;
mod http;
mod istio;
mod knative;
mod kuma;
mod linkerd;
mod nginx;
mod osm;
mod skipper;
mod traefik;

#[cfg(test)]
mod queries;

use api::Rollout;
use std::fmt::Debug;

/// The built-in queries of one provider.
pub trait Observer: Debug + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Whether these queries are for a provider, given without the suffix `:service`.
    fn serves(&self, provider: &str) -> bool;
    /// The query for the share of requests that succeed, in percent: a template. White space at the beginning reaches
    /// Prometheus as one space.
    fn success_rate(&self) -> &'static str;
    /// The query for the time that requests take: a template. In milliseconds, if
    /// [`duration_in_seconds`](Self::duration_in_seconds) says nothing else.
    fn duration(&self) -> &'static str;
    /// The duration comes in seconds.
    fn duration_in_seconds(&self) -> bool {
        false
    }
    /// Characters of names other than letters, digits and `_` are written as `_`.
    fn plain_names(&self) -> bool {
        false
    }
    /// Errors of the success rate are told without saying which step failed.
    fn bare_success_rate_errors(&self) -> bool {
        false
    }
}

/// Alphabetical. An observer exists when it is in this list; the first that serves a provider is taken.
pub static OBSERVERS: &[&dyn Observer] = &[
    &apisix::Apisix,
    &appmesh::AppMesh,
    &contour::Contour,
    &gloo::Gloo,
    &http::Http,
    &istio::Istio,
    &knative::Knative,
    &kuma::Kuma,
    &linkerd::Linkerd,
    &nginx::Nginx,
    &osm::Osm,
    &skipper::Skipper,
    &traefik::Traefik,
];

/// What follows the provider where the target is a Service that never changes by itself.
const SERVICE: &str = ":service";

/// The provider as texts of events name it, with `:service` where the target is a Kubernetes Service.
pub fn label(rollout: &Rollout) -> String {
    let suffix = if rollout.target.kind == "Service" && !is_knative(rollout) { SERVICE } else { "" };
    format!("{}{suffix}", provider(rollout))
}

/// The built-in queries for a Canary; Istio's for a provider that nobody knows.
pub fn observer(rollout: &Rollout) -> &'static dyn Observer {
    let label = label(rollout);
    let provider = label.strip_suffix(SERVICE).unwrap_or(&label);
    OBSERVERS.iter().find(|observer| observer.serves(provider)).copied().unwrap_or(&istio::Istio)
}

/// The Canary's provider, else the default one. Under Linkerd the proxies of the mesh see all traffic, whoever splits
/// it.
fn provider(rollout: &Rollout) -> &str {
    let mesh = rollout.settings.mesh_provider.as_str();
    match rollout.own_provider.as_str() {
        "" if mesh.contains("crossover") => "crossover",
        "" => mesh,
        _ if mesh.contains("linkerd") => "linkerd",
        own => own,
    }
}

fn is_knative(rollout: &Rollout) -> bool {
    rollout.target.api_version == "serving.knative.dev/v1"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rollout_with;
    use api::Settings;

    /// Label and observer of a Canary.
    fn chosen(mesh: &str, spec: &str) -> (String, &'static str) {
        let rollout = rollout_with(spec, Settings { mesh_provider: mesh.to_owned(), ..Settings::default() });
        (label(&rollout), observer(&rollout).name())
    }

    fn pair(label: &str, observer: &'static str) -> (String, &'static str) {
        (label.to_owned(), observer)
    }

    #[test]
    fn observers_are_sorted_and_unique() {
        let names: Vec<_> = OBSERVERS.iter().map(|observer| observer.name()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }

    #[test]
    fn no_provider_has_two_observers() {
        for provider in [
            "apisix",
            "appmesh:v1beta2",
            "gatewayapi:v1",
            "gloo",
            "kubernetes",
            "linkerd",
            "smi:linkerd",
            "traefik",
            "istio",
        ] {
            let serving: Vec<_> = OBSERVERS.iter().filter(|observer| observer.serves(provider)).collect();
            assert_eq!(serving.len(), 1, "{provider}: {serving:?}");
        }
    }

    #[test]
    fn the_canary_chooses_before_the_operator() {
        assert_eq!(chosen("nginx", ""), pair("nginx", "nginx"));
        assert_eq!(chosen("nginx", "provider: gatewayapi:v1beta1"), pair("gatewayapi:v1beta1", "http"));
        assert_eq!(chosen("istio", "provider: kubernetes"), pair("kubernetes", "http"));
        assert_eq!(chosen("appmesh:v1beta2", ""), pair("appmesh:v1beta2", "appmesh"));
        assert_eq!(chosen("something:crossover", ""), pair("crossover", "istio"));
        assert_eq!(chosen("something", ""), pair("something", "istio"));
    }

    #[test]
    fn linkerd_sees_the_traffic_of_whatever_splits_it() {
        assert_eq!(chosen("linkerd", "provider: gatewayapi:v1beta1"), pair("linkerd", "linkerd"));
        assert_eq!(chosen("smi:linkerd", ""), pair("smi:linkerd", "linkerd"));
        assert_eq!(chosen("istio", "provider: smi:linkerd"), pair("smi:linkerd", "linkerd"));
    }

    #[test]
    fn a_service_as_target_shows_in_texts_but_not_in_queries() {
        let service = "{provider: kubernetes, targetRef: {apiVersion: v1, kind: Service}}";
        assert_eq!(chosen("istio", service), pair("kubernetes:service", "http"));
        let knative = "{provider: knative, targetRef: {apiVersion: serving.knative.dev/v1, kind: Service}}";
        assert_eq!(chosen("istio", knative), pair("knative", "knative"));
    }
}
