//! Labels, annotations and owner references of generated objects.
//!
//! What is copied from a target to its generated objects, what marks an object as ours, and what keeps Flux from it. Pure functions over
//! maps of strings; nothing here knows a kind.

use api::{Rollout, Settings};
pub use objects::paths::StringMap;
use serde_json::{Value, json};

/// Annotation on the primary's pods: a new random value with every copy, so that pods restart also when only a config changed.
pub const ID: &str = "flagger-id";
/// Annotation in which `kubectl apply` keeps what was applied; wrong on any copy.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation in which the Deployment controller counts its revisions; wrong on any copy.
pub const DEPLOYMENT_REVISION: &str = "deployment.kubernetes.io/revision";
/// Annotation on a ConfigMap or Secret: a value that starts with `disable` keeps it from being tracked and copied.
pub const CONFIG_TRACKING: &str = "flagger.app/config-tracking";
/// The annotations that keep Flux from reverting what a rollout does to a generated object.
pub const TOOLKIT_OPT_OUT: [(&str, &str); 2] =
    [("kustomize.toolkit.fluxcd.io/reconcile", "disabled"), ("helm.toolkit.fluxcd.io/driftDetection", "disabled")];

/// The group of our kinds and its current version, as owner references name it.
const API_VERSION: &str = "flagger.app/v1beta1";
const KIND: &str = "Canary";

/// Whether a label or annotation tells a Flux controller that the object is its own: never copied to a generated object.
pub fn is_toolkit_key(key: &str) -> bool {
    key.contains("toolkit.fluxcd.io")
}

/// All entries but those of Flux.
pub fn drop_toolkit(map: &StringMap) -> StringMap {
    keep(map, |key| !is_toolkit_key(key))
}

/// The entries that `-include-label-prefix` lets through: `*` matches all keys, another non-empty item those that start with it (plain text, not a
/// path), an empty item none. Entries of Flux never.
pub fn by_prefix(map: &StringMap, settings: &Settings) -> StringMap {
    let included = |key: &str| {
        settings
            .include_label_prefixes
            .iter()
            .any(|prefix| prefix == "*" || (!prefix.is_empty() && key.starts_with(prefix.as_str())))
    };
    keep(map, |key| !is_toolkit_key(key) && included(key))
}

/// The labels with the selector label's value replaced by the primary's, without those of Flux.
pub fn primary_labels(map: &StringMap, label: &str, value: &str) -> StringMap {
    let mut labels = drop_toolkit(map);
    labels.insert(label.to_owned(), value.to_owned());
    labels
}

/// The annotations of the primary's pods: those of the target's without those of Flux, with a new [`ID`].
pub fn pod_annotations(map: &StringMap, id: &str) -> StringMap {
    let mut annotations = drop_toolkit(map);
    annotations.insert(ID.to_owned(), id.to_owned());
    annotations
}

/// The annotations [`TOOLKIT_OPT_OUT`] as a map.
pub fn toolkit_opt_out() -> StringMap {
    TOOLKIT_OPT_OUT.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The owner reference of every generated object: the Canary is its controller, and deleting the Canary collects it.
pub fn owner_reference(rollout: &Rollout) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": rollout.name,
        "uid": rollout.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// The owner references of an object of which other Canaries may have a share: ours as controller, then the present ones that are not ours, as mere
/// owners. One of a deleted Canary of the same name is replaced.
pub fn shared_owner_references(rollout: &Rollout, live: Option<&Value>) -> Vec<Value> {
    let others = live.into_iter().flat_map(owners).filter(|owner| !is_ours(owner, rollout)).map(|owner| {
        let mut owner = owner.clone();
        objects::paths::set(&mut owner, &["controller"], json!(false));
        owner
    });
    std::iter::once(owner_reference(rollout)).chain(others).collect()
}

/// Whether this Canary is an owner of the object. Told by kind and name, as the reference does, so that what a deleted Canary of the same name has left
/// counts as ours.
pub fn owned_by(object: &Value, rollout: &Rollout) -> bool {
    owners(object).any(|owner| is_ours(owner, rollout))
}

/// Whether any Canary is an owner of the object.
pub fn owned_by_canary(object: &Value) -> bool {
    owners(object).any(is_canary)
}

/// A map of strings as JSON; `Null` when empty, so that it can be given to [`objects::paths::set`] and leaves nothing behind.
pub fn to_value(map: &StringMap) -> Value {
    if map.is_empty() { Value::Null } else { json!(map) }
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    objects::paths::list(object, "/metadata/ownerReferences")
}

fn is_canary(owner: &Value) -> bool {
    owner.get("kind").and_then(Value::as_str) == Some(KIND)
}

fn is_ours(owner: &Value, rollout: &Rollout) -> bool {
    is_canary(owner) && owner.get("name").and_then(Value::as_str) == Some(rollout.name.as_str())
}

fn keep(map: &StringMap, wanted: impl Fn(&str) -> bool) -> StringMap {
    map.iter().filter(|(key, _)| wanted(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> StringMap {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn including(prefixes: &[&str]) -> Settings {
        Settings {
            include_label_prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
            ..Settings::default()
        }
    }

    fn sample() -> StringMap {
        map(&[
            ("app", "cart"),
            ("app.kubernetes.io/name", "cart"),
            ("kustomize.toolkit.fluxcd.io/name", "apps"),
            ("team", "shop"),
        ])
    }

    #[test]
    fn what_flux_owns_is_never_copied() {
        assert_eq!(
            drop_toolkit(&sample()),
            map(&[("app", "cart"), ("app.kubernetes.io/name", "cart"), ("team", "shop")])
        );
        assert!(is_toolkit_key("helm.toolkit.fluxcd.io/driftDetection"));
    }

    #[test]
    fn prefixes_let_through_what_starts_with_them() {
        assert_eq!(
            by_prefix(&sample(), &including(&["app.kubernetes.io"])),
            map(&[("app.kubernetes.io/name", "cart")])
        );
        assert_eq!(
            by_prefix(&sample(), &including(&["app", "team"])),
            map(&[("app", "cart"), ("app.kubernetes.io/name", "cart"), ("team", "shop")])
        );
        assert_eq!(by_prefix(&sample(), &including(&["*"])), drop_toolkit(&sample()));
        assert_eq!(by_prefix(&sample(), &including(&[""])), map(&[]));
        assert_eq!(by_prefix(&sample(), &including(&[])), map(&[]));
        // Items are not trimmed.
        assert_eq!(by_prefix(&sample(), &including(&[" team"])), map(&[]));
    }

    #[test]
    fn the_primary_differs_in_its_selector_label_and_its_id() {
        assert_eq!(
            primary_labels(&sample(), "app", "cart-primary"),
            map(&[("app", "cart-primary"), ("app.kubernetes.io/name", "cart"), ("team", "shop")])
        );
        assert_eq!(
            pod_annotations(&map(&[("flagger-id", "old"), ("scrape", "true"), ("x.toolkit.fluxcd.io/y", "z")]), "new"),
            map(&[("flagger-id", "new"), ("scrape", "true")])
        );
    }
}
