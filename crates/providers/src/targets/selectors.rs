//! The selector label of a workload, and label selectors within its pods' scheduling rules.
//!
//! Reads `spec.selector.matchLabels` and rewrites `topologySpreadConstraints` and `podAntiAffinity` of a copied pod spec. `matchExpressions` of the
//! workload's own selector, `podAffinity`, `nodeAffinity`, `namespaceSelector` and the lists of label keys are not looked at, as in the reference.

use super::TargetError;
use api::Rollout;
use objects::paths;
use serde_json::{Map, Value};

/// The label by which the pods of a workload are told apart from those of its primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector {
    /// Its key, e.g. `app`.
    pub(super) label: String,
    /// Its value on the target's pods.
    pub(super) value: String,
}

impl Selector {
    /// The first of `-selector-labels` that `spec.selector.matchLabels` has. `noun`: how texts call the kind, e.g. `deployment`.
    pub(super) fn of(workload: &Value, noun: &str, rollout: &Rollout) -> Result<Self, TargetError> {
        let labels = paths::strings(workload, "/spec/selector/matchLabels");
        let candidates = &rollout.settings.selector_labels;
        candidates
            .iter()
            .find_map(|label| Some(Self { label: label.clone(), value: labels.get(label)?.clone() }))
            .ok_or_else(|| {
                TargetError::new(format!(
                    "getSelectorLabel failed: {noun} {} spec.selector.matchLabels must contain one of [{}]",
                    rollout.full_target(),
                    candidates.join(" ")
                ))
            })
    }

    /// The label's value on the primary's pods.
    pub(super) fn primary_value(&self) -> String {
        primary(&self.value)
    }
}

/// Makes the scheduling rules of a copied pod spec about the primary's pods where they are about the target's: those that name the target under one of
/// `-selector-labels`. Compared with the *name* of the target, not with the label's value; of an expression only the first such value is replaced.
pub(super) fn rewrite_scheduling(pod_spec: &mut Value, rollout: &Rollout) {
    for constraint in elements(pod_spec, "/topologySpreadConstraints") {
        rewrite(constraint, "/labelSelector", rollout);
    }
    let anti_affinity = "/affinity/podAntiAffinity";
    for term in elements(pod_spec, &format!("{anti_affinity}/preferredDuringSchedulingIgnoredDuringExecution")) {
        rewrite(term, "/podAffinityTerm/labelSelector", rollout);
    }
    for term in elements(pod_spec, &format!("{anti_affinity}/requiredDuringSchedulingIgnoredDuringExecution")) {
        rewrite(term, "/labelSelector", rollout);
    }
}

fn rewrite(holder: &mut Value, selector: &str, rollout: &Rollout) {
    let Some(selector) = holder.pointer_mut(selector) else { return };
    let (keys, name) = (&rollout.settings.selector_labels, rollout.target.name.as_str());
    for expression in elements(selector, "/matchExpressions") {
        if keys.iter().any(|key| paths::text(expression, "/key") == key) {
            rename(elements(expression, "/values"), name);
        }
    }
    if let Some(labels) = selector.pointer_mut("/matchLabels").and_then(Value::as_object_mut) {
        rewrite_labels(labels, keys, name);
    }
}

fn rewrite_labels(labels: &mut Map<String, Value>, keys: &[String], name: &str) {
    for key in keys {
        rename(labels.get_mut(key), name);
    }
}

/// Replaces the first of the values that is this name by the primary's.
fn rename<'a>(values: impl IntoIterator<Item = &'a mut Value>, name: &str) {
    if let Some(value) = values.into_iter().find(|value| value.as_str() == Some(name)) {
        *value = Value::from(primary(name));
    }
}

fn primary(name: &str) -> String {
    format!("{name}-primary")
}

fn elements<'a>(value: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.pointer_mut(pointer).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default().iter_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rollout, rollout_with, yaml};
    use api::Settings;

    fn workload(labels: &str) -> Value {
        yaml(&format!("spec: {{selector: {{matchLabels: {labels}}}}}"))
    }

    fn selected(labels: &str, settings: Settings) -> Result<(String, String), String> {
        let rollout = rollout_with("", settings);
        Selector::of(&workload(labels), "deployment", &rollout)
            .map(|selector| (selector.label.clone(), selector.primary_value()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_configured_label_wins_whatever_its_value() {
        let found = |label: &str, value: &str| Ok((label.to_owned(), value.to_owned()));
        let both = "{app.kubernetes.io/name: shop, name: basket}";
        assert_eq!(selected(both, Settings::default()), found("name", "basket-primary"));
        assert_eq!(
            selected("{app.kubernetes.io/name: shop}", Settings::default()),
            found("app.kubernetes.io/name", "shop-primary")
        );
        let service = Settings { selector_labels: vec!["service".to_owned()], ..Settings::default() };
        assert_eq!(selected("{app: cart, service: cart}", service), found("service", "cart-primary"));
    }

    #[test]
    fn a_workload_without_such_a_label_is_told() {
        assert_eq!(
            selected("{service: cart}", Settings::default()).unwrap_err(),
            "getSelectorLabel failed: deployment cart.shop spec.selector.matchLabels must contain one of [app name app.kubernetes.io/name]"
        );
    }

    #[test]
    fn scheduling_rules_follow_the_primary() {
        let mut spec = yaml(
            "
            topologySpreadConstraints:
            - topologyKey: zone
              labelSelector: {matchLabels: {app: cart, tier: cart, name: other}}
            affinity:
              podAffinity:
                requiredDuringSchedulingIgnoredDuringExecution:
                - labelSelector: {matchLabels: {app: cart}}
              podAntiAffinity:
                preferredDuringSchedulingIgnoredDuringExecution:
                - weight: 100
                  podAffinityTerm:
                    labelSelector:
                      matchExpressions:
                      - {key: app, operator: In, values: [web, cart, cart]}
                      - {key: tier, operator: In, values: [cart]}
                requiredDuringSchedulingIgnoredDuringExecution:
                - namespaceSelector: {matchLabels: {app: cart}}
                  labelSelector:
                    matchLabels: {app.kubernetes.io/name: cart}
                    matchExpressions: [{key: name, operator: NotIn, values: [cart]}]
            ",
        );
        rewrite_scheduling(&mut spec, &rollout(""));
        assert_eq!(
            spec,
            yaml(
                "
                topologySpreadConstraints:
                - topologyKey: zone
                  labelSelector: {matchLabels: {app: cart-primary, tier: cart, name: other}}
                affinity:
                  podAffinity:
                    requiredDuringSchedulingIgnoredDuringExecution:
                    - labelSelector: {matchLabels: {app: cart}}
                  podAntiAffinity:
                    preferredDuringSchedulingIgnoredDuringExecution:
                    - weight: 100
                      podAffinityTerm:
                        labelSelector:
                          matchExpressions:
                          - {key: app, operator: In, values: [web, cart-primary, cart]}
                          - {key: tier, operator: In, values: [cart]}
                    requiredDuringSchedulingIgnoredDuringExecution:
                    - namespaceSelector: {matchLabels: {app: cart}}
                      labelSelector:
                        matchLabels: {app.kubernetes.io/name: cart-primary}
                        matchExpressions: [{key: name, operator: NotIn, values: [cart-primary]}]
                "
            )
        );
    }
}
