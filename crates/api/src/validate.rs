//! Checks of a Canary that the schema cannot make, and that need no cluster.
//!
//! Run before every decision, not only when a Canary is first seen: a spec that was edited into something forbidden
//! must not run (quirk Q2). The texts are those of the reference; they are shown as `invalid canary spec: <text>`.
//! Not here: what depends on a provider's abilities, which the provider says itself.
//! Source: API notes, section 9.1 and quirks Q1, Q28; metrics notes, quirk 20.

use crate::canary::{Canary, CanarySpec};
use crate::derived;
use crate::meta::NamespacedReference;
use crate::rollout::Settings;

/// Why a Canary cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is no spec, or nothing in it to roll out.
    #[error("spec.targetRef.name must be set")]
    NoTarget,
    /// Something in another namespace is referred to, and the operator must not look there.
    #[error("can't access {what} {name}.{namespace}, cross-namespace references are blocked")]
    CrossNamespace {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// A Knative Service with a provider that cannot route to it.
    #[error("can't use {provider} provider with Knative Service as target")]
    KnativeTarget {
        /// The effective provider.
        provider: String,
    },
    /// The provider for Knative with another kind of target.
    #[error("can't use {api_version}/{kind} as target if provider is set to knative")]
    KnativeProvider {
        /// Group and version of the target.
        api_version: String,
        /// Kind of the target.
        kind: String,
    },
    /// Knative scales by itself.
    #[error("can't use autoscaler with Knative Service")]
    KnativeAutoscaler,
    /// The two cookies would overwrite each other.
    #[error("can't use the same cookie name for both primary and cookie name; please update them to be different")]
    SameCookieName,
}

/// Checks a Canary; the first thing that is wrong is told.
pub fn validate(canary: &Canary, settings: &Settings) -> Result<(), SpecError> {
    let spec = &canary.spec;
    if spec.target_ref.name.is_empty() {
        return Err(SpecError::NoTarget);
    }
    if settings.no_cross_namespace_refs {
        references_stay_in(&canary.metadata.namespace, spec)?;
    }
    knative_is_among_its_own(spec, derived::provider(spec, &settings.mesh_provider))?;
    cookies_differ(spec)
}

fn references_stay_in(own: &str, spec: &CanarySpec) -> Result<(), SpecError> {
    if let Some(upstream) = &spec.upstream_ref {
        stays_in(own, "gloo upstream", &upstream.name, upstream.namespace.as_deref().unwrap_or(own))?;
    }
    let Some(analysis) = spec.analysis() else { return Ok(()) };
    let check =
        |what, reference: &NamespacedReference| stays_in(own, what, &reference.name, reference.namespace_or(own));
    for template in analysis.metrics.iter().filter_map(|metric| metric.template_ref.as_ref()) {
        check("metric template", template)?;
    }
    for alert in &analysis.alerts {
        check("alert provider", &alert.provider_ref)?;
    }
    Ok(())
}

fn stays_in(own: &str, what: &'static str, name: &str, namespace: &str) -> Result<(), SpecError> {
    if namespace == own {
        return Ok(());
    }
    Err(SpecError::CrossNamespace { what, name: name.to_owned(), namespace: namespace.to_owned() })
}

/// The effective provider counts, so that the operator's default serves Knative too (quirk Q28).
fn knative_is_among_its_own(spec: &CanarySpec, provider: &str) -> Result<(), SpecError> {
    match (derived::is_knative(spec), provider == "knative") {
        (true, false) => Err(SpecError::KnativeTarget { provider: provider.to_owned() }),
        (false, true) => Err(SpecError::KnativeProvider {
            api_version: spec.target_ref.api_version.clone(),
            kind: spec.target_ref.kind.clone(),
        }),
        (true, true) if spec.autoscaler_ref.is_some() => Err(SpecError::KnativeAutoscaler),
        _ => Ok(()),
    }
}

fn cookies_differ(spec: &CanarySpec) -> Result<(), SpecError> {
    let affinity = spec.analysis().and_then(|analysis| analysis.session_affinity.as_ref());
    match affinity {
        Some(affinity) if affinity.primary_cookie_name.as_deref().unwrap_or_default() == affinity.cookie_name => {
            Err(SpecError::SameCookieName)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Checks a Canary `test/podinfo`; the text of what is wrong.
    fn check(mut spec: Value, settings: &Settings) -> Option<String> {
        if let (Some(spec), Some(default)) = (spec.as_object_mut(), deployment().as_object()) {
            for (key, value) in default {
                spec.entry(key).or_insert_with(|| value.clone());
            }
        }
        let object = json!({"metadata": {"name": "podinfo", "namespace": "test"}, "spec": spec});
        let canary: Canary = serde_json::from_value(object).unwrap();
        validate(&canary, settings).err().map(|error| error.to_string())
    }

    fn deployment() -> Value {
        json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}})
    }

    fn knative() -> Value {
        json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "podinfo"})
    }

    fn blocked() -> Settings {
        Settings { no_cross_namespace_refs: true, ..Settings::default() }
    }

    #[test]
    fn a_canary_without_spec_is_told_what_is_missing() {
        for object in [json!({}), json!({"spec": null}), json!({"spec": {}})] {
            let canary: Canary = serde_json::from_value(object).unwrap();
            assert_eq!(validate(&canary, &Settings::default()), Err(SpecError::NoTarget));
        }
        assert_eq!(check(json!({}), &blocked()), None, "no analysis is no error: it is skipped");
    }

    #[test]
    fn references_to_other_namespaces_can_be_blocked() {
        let upstream = |namespace: Value| json!({"upstreamRef": {"name": "up", "namespace": namespace}});
        let text = "can't access gloo upstream up.other, cross-namespace references are blocked";
        assert_eq!(check(upstream(json!("other")), &blocked()).as_deref(), Some(text));
        assert_eq!(check(upstream(json!("other")), &Settings::default()), None);
        for own in [json!("test"), json!(""), json!(null)] {
            assert_eq!(check(upstream(own), &blocked()), None);
        }
    }

    #[test]
    fn templates_and_alert_providers_are_checked_in_the_analysis_that_counts() {
        for block in ["analysis", "canaryAnalysis"] {
            let template = json!({"name": "m", "templateRef": {"name": "t", "namespace": "other"}});
            let own = json!({"name": "m", "templateRef": {"name": "t", "namespace": "test"}});
            assert_eq!(
                check(json!({block: {"metrics": [{"name": "plain"}, own, template]}}), &blocked()).as_deref(),
                Some("can't access metric template t.other, cross-namespace references are blocked")
            );
            let alert = json!({"name": "a", "providerRef": {"name": "p", "namespace": "other"}});
            assert_eq!(
                check(json!({block: {"alerts": [alert]}}), &blocked()).as_deref(),
                Some("can't access alert provider p.other, cross-namespace references are blocked")
            );
        }
    }

    #[test]
    fn knative_targets_and_the_knative_provider_need_each_other() {
        let settings = Settings::default();
        let of_default = Settings { mesh_provider: "knative".to_owned(), ..Settings::default() };
        assert_eq!(check(json!({"provider": "knative", "targetRef": knative()}), &settings), None);
        assert_eq!(check(json!({"targetRef": knative()}), &of_default), None);
        assert_eq!(
            check(json!({"provider": "istio", "targetRef": knative()}), &settings).as_deref(),
            Some("can't use istio provider with Knative Service as target")
        );
        assert_eq!(
            check(json!({"provider": "knative"}), &settings).as_deref(),
            Some("can't use apps/v1/Deployment as target if provider is set to knative")
        );
        let scaled = json!({"provider": "knative", "targetRef": knative(),
            "autoscalerRef": {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo"}});
        assert_eq!(check(scaled, &settings).as_deref(), Some("can't use autoscaler with Knative Service"));
        // A plain Service is not Knative's.
        let plain = json!({"targetRef": {"apiVersion": "v1", "kind": "Service", "name": "podinfo"}});
        assert_eq!(check(plain, &settings), None);
    }

    #[test]
    fn the_two_cookies_have_different_names() {
        let affinity = |value: Value| check(json!({"analysis": {"sessionAffinity": value}}), &Settings::default());
        let text =
            "can't use the same cookie name for both primary and cookie name; please update them to be different";
        assert_eq!(affinity(json!({"cookieName": "a", "primaryCookieName": "a"})).as_deref(), Some(text));
        assert_eq!(affinity(json!({})).as_deref(), Some(text));
        assert_eq!(affinity(json!({"cookieName": "a", "primaryCookieName": "b"})), None);
        assert_eq!(affinity(json!({"cookieName": "a"})), None);
    }
}
