//! The VirtualService of a Canary: hosts, gateways, rules, metadata.
//!
//! Serves creation, the taking over of one that somebody else made, repair and steps alike: weights come from the routes that are wanted, so a repair in
//! the middle of a rollout keeps them (I1). Fields of its spec that are not named here stay (G1).
//! Source: routing notes, sections 5.2 to 5.4 and 5.6.

use super::{VIRTUAL_SERVICE, virtual_service};
use super::{adoption, is_tcp, reading, rules};
use crate::metadata::{StringMap, owner_reference, to_value};
use crate::routers::RouterError;
use crate::services::route_metadata;
use api::Rollout;
use objects::diff::equivalent;
use objects::paths::set;
use objects::{Snapshot, Write};
use rollout::Routes;
use serde_json::{Value, json};

/// Creates the VirtualService or brings it to the wanted routes; nothing where nothing differs.
pub(super) fn ensure(rollout: &Rollout, live: &Snapshot, want: &Routes) -> Result<Option<Write>, RouterError> {
    let reference = virtual_service(rollout);
    if rollout.service.delegation && !(rollout.service.hosts.is_empty() && rollout.service.gateways.is_empty()) {
        let text = format!("{reference} cannot have hosts and gateways when delegation enabled");
        return Err(failed(&text));
    }
    let (labels, annotations) = route_metadata(rollout, live)?;
    let Some(present) = live.look_or_missing(&reference) else {
        let object = fresh(rollout, want, &labels, &annotations)?;
        let failure = failed(&format!("{reference} create error: ")).0;
        let created = format!("{reference} created");
        return Ok(Some(Write::create(reference, object, failure).logging(created)));
    };
    let drifted = has_drifted(rollout, present)?;
    let mut wanted = present.clone();
    set(&mut wanted, &["spec"], spec(rollout, present, want)?);
    adoption::mark(rollout, present, drifted, labels, annotations, &mut wanted);
    // A step touches the rules alone and is known by another text than a repair.
    if drifted || !equivalent(metadata(&wanted), metadata(present)) {
        let failure = failed(&format!("{reference} update error: ")).0;
        let updated = format!("{reference} updated");
        return Ok(Write::update(reference, present, &wanted, failure).map(|write| write.logging(updated)));
    }
    let failure = format!("{reference} update failed: ");
    Ok(Write::update(reference, present, &wanted, failure))
}

fn metadata(object: &Value) -> &Value {
    object.get("metadata").unwrap_or(&Value::Null)
}

fn failed(text: &str) -> RouterError {
    RouterError::new(format!("reconcileVirtualService failed: {text}"))
}

fn fresh(rollout: &Rollout, want: &Routes, labels: &StringMap, annotations: &StringMap) -> Result<Value, RouterError> {
    let mut object = json!({
        "apiVersion": VIRTUAL_SERVICE.api_version(),
        "kind": VIRTUAL_SERVICE.kind,
        "metadata": {"name": rollout.apex, "namespace": rollout.namespace},
        "spec": spec(rollout, &Value::Null, want)?,
    });
    set(&mut object, &["metadata", "labels"], to_value(labels));
    set(&mut object, &["metadata", "annotations"], to_value(annotations));
    if rollout.settings.own_routes {
        set(&mut object, &["metadata", "ownerReferences"], json!([owner_reference(rollout)]));
    }
    Ok(object)
}

/// Whether the spec differs from what it should be in more than weights, mirror and cookies.
fn has_drifted(rollout: &Rollout, present: &Value) -> Result<bool, RouterError> {
    let routes = reading::routes(rollout, present).unwrap_or_default();
    let upheld = spec(rollout, present, &routes)?;
    Ok(!equivalent(present.get("spec").unwrap_or(&Value::Null), &upheld))
}

/// `spec`, with what the present one has besides.
fn spec(rollout: &Rollout, present: &Value, want: &Routes) -> Result<Value, RouterError> {
    let live = reading::rules(rollout, present);
    let (kept, dropped, rules) = if is_tcp(rollout) {
        ("tcp", "http", rules::tcp(rollout, live, want))
    } else {
        ("http", "tcp", rules::http(rollout, live, want)?)
    };
    let mut spec = present.get("spec").cloned().unwrap_or_else(|| json!({}));
    set(&mut spec, &["hosts"], json!(hosts(rollout)));
    set(&mut spec, &["gateways"], gateways(rollout));
    set(&mut spec, &[dropped], Value::Null);
    set(&mut spec, &[kept], Value::Array(rules));
    Ok(spec)
}

/// The hosts of the Canary; also the apex, unless it is among them or all hosts are. None with delegation: the delegating VirtualService has them.
fn hosts(rollout: &Rollout) -> Vec<&str> {
    let service = &rollout.service;
    if service.delegation {
        return Vec::new();
    }
    let mut hosts: Vec<&str> = service.hosts.iter().map(String::as_str).collect();
    if !hosts.iter().any(|host| *host == rollout.apex || *host == "*") {
        hosts.push(&rollout.apex);
    }
    hosts
}

fn gateways(rollout: &Rollout) -> Value {
    let service = &rollout.service;
    match (service.delegation, service.gateways.is_empty()) {
        (true, _) => Value::Null,
        (false, true) => json!(["mesh"]),
        (false, false) => json!(service.gateways),
    }
}
