//! A VirtualService that somebody else made: what is kept of it when it is taken over, and how it is given back.
//!
//! The spec that was found is kept in an annotation, verbatim and once (I3, I22), unless `kubectl apply` has left its own. Foreign labels and annotations
//! stay (I16). What the Canary itself has created is collected with it and needs none of this.
//! Source: routing notes, sections 5.3, 5.4 and 5.8, K4.

use super::{reading, virtual_service};
use crate::metadata::{LAST_APPLIED, StringMap, TOOLKIT_OPT_OUT, owned_by, to_value};
use crate::routers::RouterError;
use api::Rollout;
use objects::paths::{annotation, annotations, labels, set};
use objects::{Snapshot, Write};
use serde_json::{Value, json};

/// Annotation with the spec that was found, as JSON.
const ORIGINAL: &str = "flagger.kubernetes.io/original-configuration";

/// Sets labels and annotations of `wanted`, which is to replace `present`. `drifted`: its spec is about to lose something.
pub(super) fn mark(
    rollout: &Rollout,
    present: &Value,
    drifted: bool,
    own_labels: StringMap,
    own_annotations: StringMap,
    wanted: &mut Value,
) {
    let owned = owned_by(present, rollout);
    let mut kept_labels = labels(present);
    let mut kept_annotations = annotations(present);
    if owned {
        kept_labels.clear();
        kept_annotations.retain(|key, _| key == LAST_APPLIED || key == ORIGINAL);
    }
    let stored = kept_annotations.contains_key(LAST_APPLIED) || kept_annotations.contains_key(ORIGINAL);
    if drifted && !stored && !is_ours(rollout, present) {
        let spec = present.get("spec").unwrap_or(&Value::Null);
        kept_annotations.insert(ORIGINAL.to_owned(), if spec.is_null() { "{}".to_owned() } else { spec.to_string() });
    }
    kept_labels.extend(own_labels);
    kept_annotations.extend(own_annotations);
    set(wanted, &["metadata", "labels"], to_value(&kept_labels));
    set(wanted, &["metadata", "annotations"], to_value(&kept_annotations));
}

/// Whether the Canary has created the object: told by the owner, or, where routes have none because they live on another API server, by the sides.
fn is_ours(rollout: &Rollout, present: &Value) -> bool {
    owned_by(present, rollout) || (!rollout.settings.own_routes && reading::routes(rollout, present).is_ok())
}

/// Gives the VirtualService back: the spec that was found, without our annotations. Nothing where there is no other owner.
pub(super) fn revert(rollout: &Rollout, live: &Snapshot) -> Result<Vec<Write>, RouterError> {
    let reference = virtual_service(rollout);
    let unseen = |error| RouterError::new(format!("{reference} get query error: {error}"));
    // What is gone need not be given back, and must not keep the Canary from going as well.
    let Some(present) = live.look(&reference).map_err(unseen)? else { return Ok(Vec::new()) };
    let unreadable = |key| RouterError::new(format!("{reference} failed to unMarshal annotation {key}"));
    let original = original(present).map_err(unreadable)?;
    if original.is_none() && is_ours(rollout, present) {
        return Ok(Vec::new());
    }
    let original = original.unwrap_or_default();
    let mut wanted = present.clone();
    if let Some(spec) = &original.spec {
        set(&mut wanted, &["spec"], restored(present, spec));
    }
    set(&mut wanted, &["metadata", "annotations", ORIGINAL], Value::Null);
    for (key, _) in TOOLKIT_OPT_OUT {
        let stored = original.annotations.get(key).map_or(Value::Null, |value| json!(value));
        set(&mut wanted, &["metadata", "annotations", key], stored);
    }
    let failure = format!("{reference} update error: ");
    Ok(Write::update(reference, present, &wanted, failure).into_iter().collect())
}

/// What is known of the object before it was taken over.
#[derive(Debug, Default)]
struct Original {
    spec: Option<Value>,
    annotations: StringMap,
}

/// What was stored in the annotations, or the annotation that holds something else.
fn original(present: &Value) -> Result<Option<Original>, &'static str> {
    let parsed = |key| annotation(present, key).map(|stored| as_map(stored).ok_or(key)).transpose();
    if let Some(applied) = parsed(LAST_APPLIED)? {
        let spec = applied.get("spec").cloned().unwrap_or_else(|| json!({}));
        return Ok(Some(Original { spec: Some(spec), annotations: annotations(&applied) }));
    }
    let spec = parsed(ORIGINAL)?;
    Ok(spec.map(|spec| Original { spec: Some(spec), annotations: StringMap::new() }))
}

fn as_map(stored: &str) -> Option<Value> {
    serde_json::from_str(stored).ok().filter(Value::is_object)
}

/// The stored spec. What a rollout never touches stays as it is now, since it may have been set later, or be missing in what an older release stored.
fn restored(present: &Value, stored: &Value) -> Value {
    let mut spec = present.get("spec").cloned().unwrap_or_else(|| json!({}));
    for key in ["hosts", "gateways", "http", "tcp"] {
        set(&mut spec, &[key], Value::Null);
    }
    for (key, value) in stored.as_object().into_iter().flatten() {
        set(&mut spec, &[key], value.clone());
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::super::{Istio, VIRTUAL_SERVICE};
    use super::*;
    use crate::routers::Router;
    use crate::testing::{World, rollout, yaml};
    use ::rollout::{Routes, Weight};
    use api::HttpMatchRequest;

    /// A VirtualService of the user's, as it was found.
    fn found() -> Value {
        yaml(
            "
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata:
  name: cart
  namespace: shop
  labels: {app.kubernetes.io/managed-by: Helm}
  annotations: {meta.helm.sh/release-name: cart}
spec:
  gateways: [istio-system/own]
  hosts: [own.example.com]
  exportTo: ['.']
  http:
  - name: main
    retries: {attempts: 2, retryRemoteLocalities: true}
    route: [{destination: {host: cart}}]
  tls: [{match: [{port: 443, sniHosts: [own.example.com]}]}]
",
        )
    }

    fn taken_over(object: Value) -> (Rollout, World) {
        let rollout = rollout("revertOnDeletion: true");
        let mut world = World::new().with(&VIRTUAL_SERVICE, object);
        for routes in [Routes::to_primary(), Routes::weighted(Weight::clipped(30)), Routes::to_primary()] {
            let writes = Istio.render(&rollout, &world.live, &routes).unwrap();
            world.apply(&writes);
        }
        (rollout, world)
    }

    fn give_back(rollout: &Rollout, world: &mut World) -> Vec<Write> {
        let writes = Istio.revert(rollout, &world.live).unwrap();
        world.apply(&writes);
        assert_eq!(Istio.revert(rollout, &world.live), Ok(Vec::new()), "again");
        writes
    }

    #[test]
    fn a_found_route_is_taken_over_with_its_original_and_foreign_metadata_kept() {
        let (_, world) = taken_over(found());
        let object = world.get(&VIRTUAL_SERVICE, "cart");
        assert_eq!(
            object["spec"],
            json!({
                "hosts": ["cart"],
                "gateways": ["mesh"],
                "exportTo": ["."],
                "tls": [{"match": [{"port": 443, "sniHosts": ["own.example.com"]}]}],
                "http": [{"route": [
                    {"destination": {"host": "cart-primary"}, "weight": 100},
                    {"destination": {"host": "cart-canary"}, "weight": 0},
                ]}],
            })
        );
        assert_eq!(
            object["metadata"]["annotations"],
            json!({
                "meta.helm.sh/release-name": "cart",
                "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
                "helm.toolkit.fluxcd.io/driftDetection": "disabled",
                ORIGINAL: found()["spec"].to_string(),
            })
        );
        assert_eq!(object["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "Helm"}));
        assert!(object.pointer("/metadata/ownerReferences").is_none());
    }

    #[test]
    fn a_found_route_is_given_back_as_it_was() {
        let (rollout, mut world) = taken_over(found());
        let writes = give_back(&rollout, &mut world);
        assert_eq!(writes[0].failure, "VirtualService cart.shop update error: ");
        let mut object = world.get(&VIRTUAL_SERVICE, "cart").clone();
        set(&mut object, &["metadata", "resourceVersion"], Value::Null);
        assert_eq!(object, found());
    }

    #[test]
    fn the_original_is_stored_once() {
        let (mut rollout, mut world) = taken_over(found());
        let stored = annotations(world.get(&VIRTUAL_SERVICE, "cart")).remove(ORIGINAL);
        assert!(stored.is_some());
        rollout.service.matches = vec![HttpMatchRequest { port: 80, ..HttpMatchRequest::default() }];
        let writes = Istio.render(&rollout, &world.live, &Routes::to_primary()).unwrap();
        assert_eq!(writes.len(), 1);
        world.apply(&writes);
        assert_eq!(annotations(world.get(&VIRTUAL_SERVICE, "cart")).remove(ORIGINAL), stored);
    }

    #[test]
    fn what_kubectl_has_applied_is_the_original() {
        let mut applied = found();
        let flux = "kustomize.toolkit.fluxcd.io/reconcile";
        set(&mut applied, &["metadata", "annotations", flux], json!("disabled"));
        let mut object = applied.clone();
        set(&mut object, &["metadata", "annotations", LAST_APPLIED], json!(applied.to_string()));
        let (rollout, mut world) = taken_over(object.clone());
        let kept = annotations(world.get(&VIRTUAL_SERVICE, "cart"));
        assert_eq!(kept.get(LAST_APPLIED), Some(&applied.to_string()));
        assert!(!kept.contains_key(ORIGINAL));
        give_back(&rollout, &mut world);
        let mut given = world.get(&VIRTUAL_SERVICE, "cart").clone();
        set(&mut given, &["metadata", "resourceVersion"], Value::Null);
        assert_eq!(given, object, "the user's own opt-out of Flux stays");
    }

    #[test]
    fn what_an_older_release_has_stored_takes_nothing_away() {
        let mut object = found();
        let old = r#"{"hosts":["own.example.com"],"http":[{"route":[{"destination":{"host":"cart"},"weight":0}]}]}"#;
        set(&mut object, &["metadata", "annotations", ORIGINAL], json!(old));
        let (rollout, mut world) = taken_over(object);
        give_back(&rollout, &mut world);
        assert_eq!(
            world.get(&VIRTUAL_SERVICE, "cart")["spec"],
            json!({
                "exportTo": ["."],
                "tls": [{"match": [{"port": 443, "sniHosts": ["own.example.com"]}]}],
                "hosts": ["own.example.com"],
                "http": [{"route": [{"destination": {"host": "cart"}, "weight": 0}]}],
            })
        );
    }

    #[test]
    fn what_cannot_be_given_back_is_said() {
        let rollout = rollout("");
        let revert = |world: &World| Istio.revert(&rollout, &world.live).unwrap_err().0;
        assert_eq!(Istio.revert(&rollout, &World::new().live), Ok(Vec::new()), "what is gone need not be given back");
        for key in [ORIGINAL, LAST_APPLIED] {
            let mut object = found();
            set(&mut object, &["metadata", "annotations", key], json!("no map"));
            let world = World::new().with(&VIRTUAL_SERVICE, object);
            assert_eq!(revert(&world), format!("VirtualService cart.shop failed to unMarshal annotation {key}"));
        }
    }

    #[test]
    fn what_the_canary_has_made_is_not_given_back() {
        let rollout = rollout("");
        let mut world = World::new();
        let writes = Istio.render(&rollout, &world.live, &Routes::to_primary()).unwrap();
        world.apply(&writes);
        assert_eq!(Istio.revert(&rollout, &world.live), Ok(Vec::new()));
    }

    #[test]
    fn a_found_route_that_was_right_already_loses_only_our_annotations() {
        let mut object = found();
        let split = json!([{"route": [
            {"destination": {"host": "cart-primary"}, "weight": 100},
            {"destination": {"host": "cart-canary"}, "weight": 0},
        ]}]);
        set(&mut object, &["spec"], json!({"hosts": ["cart"], "gateways": ["mesh"], "http": split}));
        let (rollout, mut world) = taken_over(object.clone());
        assert!(!annotations(world.get(&VIRTUAL_SERVICE, "cart")).contains_key(ORIGINAL));
        give_back(&rollout, &mut world);
        assert_eq!(annotations(world.get(&VIRTUAL_SERVICE, "cart")), annotations(&object));
    }
}
