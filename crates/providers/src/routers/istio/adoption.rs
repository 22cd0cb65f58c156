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
    let present =
        live.find(&reference).map_err(|error| RouterError::new(format!("{reference} get query error: {error}")))?;
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
