//! `HorizontalPodAutoscaler`: the primary gets a copy that scales the primary.
//!
//! Reads and writes `autoscaling/v2`, whatever `autoscalerRef.apiVersion` says. Metrics are copied verbatim, also where they name the canary. The target's
//! own autoscaler is never written, since it rests by itself while the target has no replicas.
//! Source: workload notes, sections 8 and 8.1, quirks Q3 and Q34; API notes, quirk Q19;
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/>

use super::{Scaler, ScalerError};
use crate::access::{Access, WRITE};
use crate::metadata::{StringMap, by_prefix, drop_toolkit, owner_reference, to_value};
use crate::targets::Fresh;
use api::{AutoscalerReference, Rollout, ScalerReplicas};
use objects::kind::HORIZONTAL_POD_AUTOSCALER;
use objects::paths::{annotations, integer, labels, set};
use objects::{ObjectRef, Snapshot, Write};
use serde_json::{Value, json};

static KINDS: &[Access] = &[Access { kind: &HORIZONTAL_POD_AUTOSCALER, verbs: WRITE }];

/// Replicas where `minReplicas` is absent.
const DEFAULT_MINIMUM: i64 = 1;

/// Kubernetes' own autoscaler.
#[derive(Debug)]
pub struct HorizontalPodAutoscaler;

impl Scaler for HorizontalPodAutoscaler {
    fn kind(&self) -> &'static str {
        "HorizontalPodAutoscaler"
    }

    fn kinds(&self) -> &'static [Access] {
        KINDS
    }

    fn reads(&self, rollout: &Rollout, scaler: &AutoscalerReference) -> Vec<ObjectRef> {
        vec![source_of(rollout, scaler), primary_of(rollout, scaler)]
    }

    fn minimum(&self, rollout: &Rollout, scaler: &AutoscalerReference, live: &Snapshot) -> Option<i64> {
        let source = live.look_or_missing(&source_of(rollout, scaler))?;
        integer(source, "/spec/minReplicas").filter(|minimum| *minimum > DEFAULT_MINIMUM)
    }

    fn create_primary(
        &self,
        rollout: &Rollout,
        scaler: &AutoscalerReference,
        live: &Snapshot,
        _: &Fresh,
    ) -> Result<Vec<Write>, ScalerError> {
        let (source, primary) = both(rollout, scaler, live)?;
        Ok(if primary.is_some() { Vec::new() } else { vec![create(rollout, scaler, source)] })
    }

    fn update_primary(
        &self,
        rollout: &Rollout,
        scaler: &AutoscalerReference,
        live: &Snapshot,
        _: &Fresh,
    ) -> Result<Vec<Write>, ScalerError> {
        let (source, primary) = both(rollout, scaler, live)?;
        Ok(match primary {
            None => vec![create(rollout, scaler, source)],
            Some(primary) => update(rollout, scaler, source, primary).into_iter().collect(),
        })
    }

    fn pause(&self, _: &Rollout, _: &AutoscalerReference, _: &Snapshot) -> Result<Vec<Write>, ScalerError> {
        Ok(Vec::new())
    }

    fn resume(&self, _: &Rollout, _: &AutoscalerReference, _: &Snapshot) -> Result<Vec<Write>, ScalerError> {
        Ok(Vec::new())
    }
}

fn source_of(rollout: &Rollout, scaler: &AutoscalerReference) -> ObjectRef {
    HORIZONTAL_POD_AUTOSCALER.object(&rollout.namespace, &scaler.name)
}

fn primary_of(rollout: &Rollout, scaler: &AutoscalerReference) -> ObjectRef {
    HORIZONTAL_POD_AUTOSCALER.object(&rollout.namespace, &format!("{}-primary", scaler.name))
}

/// The target's autoscaler and, if it is there, the primary's.
fn both<'a>(
    rollout: &Rollout,
    scaler: &AutoscalerReference,
    live: &'a Snapshot,
) -> Result<(&'a Value, Option<&'a Value>), ScalerError> {
    let namespace = &rollout.namespace;
    let source = live.find(&source_of(rollout, scaler)).map_err(|error| {
        ScalerError(format!("HorizontalPodAutoscaler {}.{namespace} get query error: {error}", scaler.name))
    })?;
    let primary = primary_of(rollout, scaler);
    let found = live.look(&primary).map_err(|error| {
        ScalerError(format!("HorizontalPodAutoscaler v2 {}.{namespace} get query failed: {error}", primary.name))
    })?;
    Ok((source, found))
}

fn create(rollout: &Rollout, scaler: &AutoscalerReference, source: &Value) -> Write {
    let target = primary_of(rollout, scaler);
    let mut object = json!({
        "apiVersion": HORIZONTAL_POD_AUTOSCALER.api_version(),
        "kind": HORIZONTAL_POD_AUTOSCALER.kind,
        "metadata": {"name": &*target.name, "namespace": &*target.namespace, "ownerReferences": [owner_reference(rollout)]},
        "spec": {"scaleTargetRef": source.pointer("/spec/scaleTargetRef")},
    });
    set(&mut object, &["spec", "scaleTargetRef", "name"], json!(rollout.primary));
    for (field, value) in bounds_and_metrics(scaler, source) {
        set(&mut object, &["spec", field], value);
    }
    set(&mut object, &["metadata", "labels"], to_value(&drop_toolkit(&labels(source))));
    let annotations = by_prefix(&annotations(source), &rollout.settings);
    set(&mut object, &["metadata", "annotations"], to_value(&annotations));
    let name = format!("HorizontalPodAutoscaler v2 {}.{}", target.name, target.namespace);
    Write::create(target, object, format!("creating {name} failed: ")).logging(format!("{name} created"))
}

/// Bounds, metrics and behavior become the source's; `scaleTargetRef` and what else is there stay. Of the metadata, what `-include-label-prefix` lets
/// through is added and nothing removed, since the labels copied at creation would go with it (quirk Q3).
fn update(rollout: &Rollout, scaler: &AutoscalerReference, source: &Value, primary: &Value) -> Option<Write> {
    let mut wanted = primary.clone();
    for (field, value) in bounds_and_metrics(scaler, source) {
        if field != "minReplicas"
            || minimum(&value) != minimum(primary.pointer("/spec/minReplicas").unwrap_or(&Value::Null))
        {
            set(&mut wanted, &["spec", field], value);
        }
    }
    let merged = |mut own: StringMap, source: &StringMap| {
        own.extend(by_prefix(source, &rollout.settings));
        to_value(&own)
    };
    set(&mut wanted, &["metadata", "labels"], merged(labels(primary), &labels(source)));
    set(&mut wanted, &["metadata", "annotations"], merged(annotations(primary), &annotations(source)));
    let target = primary_of(rollout, scaler);
    let name = format!("HorizontalPodAutoscaler v2 {}.{}", target.name, target.namespace);
    let write = Write::update(target, primary, &wanted, format!("updating {name} failed: "))?;
    Some(write.logging(format!("{name} updated")))
}

fn minimum(value: &Value) -> i64 {
    integer(value, "").unwrap_or(DEFAULT_MINIMUM)
}

/// The four fields of the spec that follow the source, with the Canary's own bounds where it has some. `Null`: absent.
fn bounds_and_metrics(scaler: &AutoscalerReference, source: &Value) -> [(&'static str, Value); 4] {
    let of_source = |field: &str| source.pointer(&format!("/spec/{field}")).cloned().unwrap_or_default();
    let ScalerReplicas { min_replicas, max_replicas } = scaler.primary_scaler_replicas.clone().unwrap_or_default();
    [
        ("minReplicas", min_replicas.map_or_else(|| of_source("minReplicas"), Value::from)),
        ("maxReplicas", max_replicas.map_or_else(|| of_source("maxReplicas"), Value::from)),
        ("metrics", of_source("metrics")),
        ("behavior", of_source("behavior")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, fresh, owner, rollout, rollout_with};
    use api::Settings;
    use objects::Change;

    const SCALED: &str =
        "autoscalerRef: {apiVersion: autoscaling/v2beta2, kind: HorizontalPodAutoscaler, name: cart-hpa}";
    const SOURCE: &str = "
        metadata:
          name: cart-hpa
          namespace: shop
          labels: {app: cart, kustomize.toolkit.fluxcd.io/name: apps}
          annotations: {example.com/note: x}
        spec:
          scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: cart}
          minReplicas: 2
          maxReplicas: 4
          metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 99}}}]
          behavior: {scaleDown: {stabilizationWindowSeconds: 60}}";

    fn hpa() -> &'static dyn Scaler {
        super::super::scaler("HorizontalPodAutoscaler").expect("it is in the list")
    }

    fn updated(rollout: &Rollout, world: &World) -> Vec<Write> {
        let scaler = rollout.autoscaler.as_ref().expect("it has an autoscaler");
        hpa().update_primary(rollout, scaler, &world.live, &fresh()).expect("it renders")
    }

    fn created(rollout: &Rollout, world: &World) -> Vec<Write> {
        let scaler = rollout.autoscaler.as_ref().expect("it has an autoscaler");
        hpa().create_primary(rollout, scaler, &world.live, &fresh()).expect("it renders")
    }

    #[test]
    fn the_primary_gets_a_copy_that_scales_the_primary() {
        let writes = created(&rollout(SCALED), &World::new().with_yaml(&HORIZONTAL_POD_AUTOSCALER, SOURCE));
        let [write] = writes.as_slice() else { panic!("{writes:?}") };
        assert_eq!(
            write.change,
            Change::Create(json!({
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "cart-hpa-primary", "namespace": "shop", "labels": {"app": "cart"}, "ownerReferences": [owner()]},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart-primary"},
                    "minReplicas": 2,
                    "maxReplicas": 4,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99}}}],
                    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
                },
            }))
        );
        assert_eq!(write.failure, "creating HorizontalPodAutoscaler v2 cart-hpa-primary.shop failed: ");
        assert_eq!(write.success.as_deref(), Some("HorizontalPodAutoscaler v2 cart-hpa-primary.shop created"));
    }

    #[test]
    fn a_change_reaches_the_primary_only_by_an_update() {
        let rollout = rollout(SCALED);
        let mut world = World::new().with_yaml(&HORIZONTAL_POD_AUTOSCALER, SOURCE);
        world.apply(&updated(&rollout, &world));
        let world = &mut world.edit(&HORIZONTAL_POD_AUTOSCALER, "cart-hpa", |source| {
            source["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] = json!(50);
            set(source, &["spec", "behavior"], Value::Null);
        });
        assert_eq!(created(&rollout, world), []);
        let writes = updated(&rollout, world);
        let [write] = writes.as_slice() else { panic!("{writes:?}") };
        assert_eq!(
            write.change,
            Change::Merge {
                patch: json!({"spec": {
                    "behavior": null,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
                }}),
                version: Some("1".to_owned()),
            }
        );
        assert_eq!(write.failure, "updating HorizontalPodAutoscaler v2 cart-hpa-primary.shop failed: ");
        assert_eq!(write.success.as_deref(), Some("HorizontalPodAutoscaler v2 cart-hpa-primary.shop updated"));
        world.apply(&writes);
        assert_eq!(updated(&rollout, world), [], "an annotation of the source is no difference (quirk Q3)");
    }

    #[test]
    fn the_bounds_of_the_canary_win_each_by_itself() {
        let bounds = |text: &str| {
            let spec = format!(
                "{{autoscalerRef: {{kind: HorizontalPodAutoscaler, name: cart-hpa, primaryScalerReplicas: {text}}}}}"
            );
            let mut world = World::new().with_yaml(&HORIZONTAL_POD_AUTOSCALER, SOURCE);
            world.apply(&updated(&rollout(&spec), &world));
            let spec = &world.get(&HORIZONTAL_POD_AUTOSCALER, "cart-hpa-primary")["spec"];
            (spec["minReplicas"].clone(), spec["maxReplicas"].clone())
        };
        assert_eq!(bounds("{minReplicas: 3}"), (json!(3), json!(4)));
        assert_eq!(bounds("{maxReplicas: 5}"), (json!(2), json!(5)));
        assert_eq!(bounds("{minReplicas: 3, maxReplicas: 5}"), (json!(3), json!(5)));
    }

    #[test]
    fn an_absent_minimum_is_one() {
        let rollout = rollout(SCALED);
        let mut world = World::new().with_yaml(&HORIZONTAL_POD_AUTOSCALER, SOURCE);
        world.apply(&updated(&rollout, &world));
        let mut world = world.edit(&HORIZONTAL_POD_AUTOSCALER, "cart-hpa", |source| {
            set(source, &["spec", "minReplicas"], Value::Null);
        });
        let scaler = rollout.autoscaler.as_ref().unwrap();
        assert_eq!(hpa().minimum(&rollout, scaler, &world.live), None);
        world.apply(&updated(&rollout, &world));
        let world = world.edit(&HORIZONTAL_POD_AUTOSCALER, "cart-hpa-primary", |primary| {
            // The API server's default.
            set(primary, &["spec", "minReplicas"], json!(1));
        });
        assert_eq!(updated(&rollout, &world), []);
    }

    #[test]
    fn the_minimum_is_told_when_it_is_more_than_one() {
        let rollout = rollout(SCALED);
        let scaler = rollout.autoscaler.as_ref().unwrap();
        let world = World::new().with_yaml(&HORIZONTAL_POD_AUTOSCALER, SOURCE);
        assert_eq!(hpa().minimum(&rollout, scaler, &world.live), Some(2));
        assert_eq!(hpa().minimum(&rollout, scaler, &World::new().live), None);
    }

    #[test]
    fn metadata_that_is_let_through_is_added_and_none_removed() {
        let settings = Settings { include_label_prefixes: vec!["example.com".to_owned()], ..Settings::default() };
        let rollout = rollout_with(SCALED, settings);
        let mut world = World::new().with_yaml(&HORIZONTAL_POD_AUTOSCALER, SOURCE);
        world.apply(&created(&rollout, &world));
        assert_eq!(
            world.get(&HORIZONTAL_POD_AUTOSCALER, "cart-hpa-primary")["metadata"]["annotations"],
            json!({"example.com/note": "x"})
        );
        let mut world = world.edit(&HORIZONTAL_POD_AUTOSCALER, "cart-hpa", |source| {
            source["metadata"]["annotations"] = json!({"example.com/note": "y", "other": "z"});
            source["metadata"]["labels"] = json!({"team": "b"});
        });
        world.apply(&updated(&rollout, &world));
        let primary = &world.get(&HORIZONTAL_POD_AUTOSCALER, "cart-hpa-primary")["metadata"];
        assert_eq!(primary["annotations"], json!({"example.com/note": "y"}));
        assert_eq!(primary["labels"], json!({"app": "cart"}));
    }

    #[test]
    fn the_targets_autoscaler_is_never_written() {
        let rollout = rollout(SCALED);
        let scaler = rollout.autoscaler.as_ref().unwrap();
        let world = World::new().with_yaml(&HORIZONTAL_POD_AUTOSCALER, SOURCE);
        assert_eq!(hpa().pause(&rollout, scaler, &world.live), Ok(Vec::new()));
        assert_eq!(hpa().resume(&rollout, scaler, &world.live), Ok(Vec::new()));
    }

    #[test]
    fn a_missing_autoscaler_is_told_in_the_usual_words() {
        let rollout = rollout(SCALED);
        let scaler = rollout.autoscaler.as_ref().unwrap();
        let error = hpa().create_primary(&rollout, scaler, &World::new().live, &fresh()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "HorizontalPodAutoscaler cart-hpa.shop get query error: horizontalpodautoscalers.autoscaling \"cart-hpa\" not found"
        );
    }
}
