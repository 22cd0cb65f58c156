//! The three Kubernetes Services of a Canary: apex, primary, canary. All routers share them.
//!
//! Creates them, keeps their ports and selectors, and gives an adopted apex Service back. Of a Service that is not ours, only ports, selector and the two
//! opt-outs of Flux are touched. Which pods there are is told by the target ([`Pods`]); weights are not known here.
//! Source: notes on routing, section 3, quirks K1-K9 and G1-G3; API notes, section 2.4, quirks Q18, Q20, Q29;
//! <https://kubernetes.io/docs/concepts/services-networking/service/>

use crate::access::{Access, WRITE};
use crate::metadata::{LAST_APPLIED, StringMap, TOOLKIT_OPT_OUT, owner_reference, to_value, toolkit_opt_out};
use crate::routers::RouterError;
use crate::targets::{self, Pods};
use api::{CustomMetadata, IntOrString, Rollout};
use objects::diff::equivalent;
use objects::kind::SERVICE;
use objects::paths::{annotation, annotations, controller, integer, labels, list, set, text};
use objects::{ObjectRef, Snapshot, Write};
use serde_json::{Value, json};

/// What is done with Services.
pub static KINDS: &[Access] = &[Access { kind: &SERVICE, verbs: WRITE }];

/// The three Services: apex, canary, primary.
pub fn reads(rollout: &Rollout) -> Vec<ObjectRef> {
    [&rollout.apex, &rollout.canary_service, &rollout.primary_service].map(|name| reference(rollout, name)).to_vec()
}

/// The canary's and the primary's Service, in this order. Nothing where the pods are not selected by us.
pub fn ensure_sides(rollout: &Rollout, pods: &Pods, live: &Snapshot) -> Result<Vec<Write>, RouterError> {
    let canary = Side::canary(rollout, pods).ensure(rollout, pods, live)?;
    let primary = Side::primary(rollout, pods).ensure(rollout, pods, live)?;
    Ok(canary.into_iter().chain(primary).collect())
}

/// The apex Service, which selects the primary's pods.
pub fn ensure_apex(rollout: &Rollout, pods: &Pods, live: &Snapshot) -> Result<Vec<Write>, RouterError> {
    Ok(Side::apex(rollout, pods).ensure(rollout, pods, live)?.into_iter().collect())
}

/// Gives the apex Service back to its owner, if that is no Canary: selector and ports as `kubectl apply` stored them, else the target's pods and the
/// Canary's ports; without the opt-outs of Flux, unless the stored object has them.
pub fn revert(rollout: &Rollout, pods: &Pods, live: &Snapshot) -> Result<Vec<Write>, RouterError> {
    let (name, namespace) = (&rollout.apex, &rollout.namespace);
    let reference = reference(rollout, name);
    let unreadable = |error| RouterError::new(format!("service {name}.{namespace} get query error: {error}"));
    // What is gone need not be given back, and must not keep the Canary from going as well.
    let Some(present) = live.look(&reference).map_err(unreadable)? else { return Ok(Vec::new()) };
    if controller(present).is_some_and(|owner| text(owner, "/kind") == "Canary") {
        return Ok(Vec::new());
    }
    let (wanted, failure) = match annotation(present, LAST_APPLIED) {
        Some(stored) => (as_stored(rollout, present, stored)?, format!("service {name} update error: ")),
        None if pods.label.is_empty() => (without_opt_out(present, &json!({})), update_failure(name)),
        None => {
            let selector = json!({pods.label.as_str(): pods.value});
            (without_opt_out(&aligned(rollout, pods, present, selector), &json!({})), update_failure(name))
        }
    };
    let write = Write::update(reference, present, &wanted, failure);
    Ok(write.map(|write| write.logging(format!("Service {name} updated"))).into_iter().collect())
}

/// Labels and annotations of generated routing objects: those of `service.apex`, the opt-outs of Flux, and, where `service.apex` is given at all, the
/// selector label with the apex' name. Users select on that label, and have it only because the reference shares one map between the Service and the
/// route (quirk Q20); the live values of unmanaged keys, which leak the same way there, stay on the Service.
pub fn apex_metadata(rollout: &Rollout, pods: Option<&Pods>) -> (StringMap, StringMap) {
    let Some(apex) = &rollout.service.apex else { return (StringMap::new(), toolkit_opt_out()) };
    let mut labels = apex.labels.clone();
    if let Some(pods) = pods.filter(|pods| !pods.label.is_empty()) {
        labels.insert(pods.label.clone(), rollout.apex.clone());
    }
    (labels, with_opt_out(apex.annotations.clone()))
}

/// [`apex_metadata`] for routers, which are given only the live objects: the selector label is found from the target. A target that cannot be read is an
/// error, with the target's own text: without it, the label would vanish from the routes.
pub fn route_metadata(rollout: &Rollout, live: &Snapshot) -> Result<(StringMap, StringMap), RouterError> {
    if rollout.service.apex.is_none() {
        return Ok(apex_metadata(rollout, None));
    }
    let target = targets::target(&rollout.target.api_version, &rollout.target.kind);
    let pods = target.map(|target| target.pods(rollout, live)).transpose();
    let pods = pods.map_err(|error| RouterError::new(error.to_string()))?.flatten();
    Ok(apex_metadata(rollout, pods.as_ref()))
}

/// One of the three Services.
struct Side<'a> {
    name: &'a str,
    /// Value of the selector label on its pods.
    pods: String,
    metadata: Option<&'a CustomMetadata>,
}

impl<'a> Side<'a> {
    fn apex(rollout: &'a Rollout, pods: &Pods) -> Self {
        Self { name: &rollout.apex, pods: format!("{}-primary", pods.value), metadata: rollout.service.apex.as_ref() }
    }

    fn primary(rollout: &'a Rollout, pods: &Pods) -> Self {
        let metadata = rollout.service.primary.as_ref();
        Self { name: &rollout.primary_service, pods: format!("{}-primary", pods.value), metadata }
    }

    fn canary(rollout: &'a Rollout, pods: &Pods) -> Self {
        Self { name: &rollout.canary_service, pods: pods.value.clone(), metadata: rollout.service.canary.as_ref() }
    }

    fn ensure(&self, rollout: &Rollout, pods: &Pods, live: &Snapshot) -> Result<Option<Write>, RouterError> {
        if pods.label.is_empty() {
            return Ok(None);
        }
        let (name, namespace) = (self.name, &rollout.namespace);
        let reference = reference(rollout, name);
        let present = live.look(&reference).map_err(|error| {
            RouterError::new(format!("reconcileService failed: service {name} get query error: {error}"))
        })?;
        Ok(match present {
            None => {
                let failure = format!("reconcileService failed: service {name}.{namespace} create error: ");
                let write = Write::create(reference, self.fresh(rollout, pods), failure);
                Some(write.logging(format!("Service {name}.{namespace} created")))
            }
            Some(present) => {
                let wanted = self.updated(rollout, pods, present);
                Write::update(reference, present, &wanted, update_failure(name))
                    .map(|write| write.logging(format!("Service {name} updated")))
            }
        })
    }

    /// The Service as it is created.
    fn fresh(&self, rollout: &Rollout, pods: &Pods) -> Value {
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": self.name,
                "namespace": rollout.namespace,
                "labels": self.labels(pods),
                "annotations": self.annotations(),
                "ownerReferences": [owner_reference(rollout)],
            },
            "spec": {
                "type": "ClusterIP",
                "selector": self.selector(pods),
                "ports": ports(rollout, pods, &Value::Null),
            },
        });
        set(&mut service, &["spec", "trafficDistribution"], traffic_distribution(rollout));
        if rollout.service.headless {
            set(&mut service, &["spec", "clusterIP"], json!("None"));
        }
        service
    }

    /// The live Service as it should be. Its type, addresses and whatever else was set stay (quirk K2). One that is not ours keeps its metadata too, but is
    /// taken away from Flux with the first change.
    fn updated(&self, rollout: &Rollout, pods: &Pods, present: &Value) -> Value {
        let mut wanted = aligned(rollout, pods, present, self.selector(pods));
        if owned(present, rollout) {
            let unmanaged = rollout.service.unmanaged_metadata.clone().unwrap_or_default();
            let annotations = with_live(self.annotations(), &annotations(present), &unmanaged.annotations);
            let labels = with_live(self.labels(pods), &labels(present), &unmanaged.labels);
            set(&mut wanted, &["metadata", "annotations"], to_value(&annotations));
            set(&mut wanted, &["metadata", "labels"], to_value(&labels));
            set(&mut wanted, &["spec", "trafficDistribution"], traffic_distribution(rollout));
        } else if !equivalent(present, &wanted) {
            set(&mut wanted, &["metadata", "annotations"], to_value(&with_opt_out(annotations(present))));
        }
        wanted
    }

    /// The block's labels; the selector label always holds the name of the Service, not the value on the pods (quirk K8).
    fn labels(&self, pods: &Pods) -> StringMap {
        let mut labels = self.metadata.map(|block| block.labels.clone()).unwrap_or_default();
        labels.insert(pods.label.clone(), self.name.to_owned());
        labels
    }

    fn annotations(&self) -> StringMap {
        with_opt_out(self.metadata.map(|block| block.annotations.clone()).unwrap_or_default())
    }

    fn selector(&self, pods: &Pods) -> Value {
        json!({pods.label.as_str(): self.pods})
    }
}

fn reference(rollout: &Rollout, name: &str) -> ObjectRef {
    SERVICE.object(&rollout.namespace, name)
}

fn update_failure(name: &str) -> String {
    format!("reconcileService failed: service {name} update error: ")
}

/// Ours is what has this Canary as its controller, told by kind and name (quirk K6).
fn owned(service: &Value, rollout: &Rollout) -> bool {
    controller(service).is_some_and(|owner| text(owner, "/kind") == "Canary" && text(owner, "/name") == rollout.name)
}

fn with_opt_out(mut annotations: StringMap) -> StringMap {
    annotations.extend(toolkit_opt_out());
    annotations
}

/// The map, with the live values of the keys that somebody else looks after.
fn with_live(mut map: StringMap, live: &StringMap, unmanaged: &[String]) -> StringMap {
    map.extend(unmanaged.iter().filter_map(|key| Some((key.clone(), live.get(key)?.clone()))));
    map
}

fn traffic_distribution(rollout: &Rollout) -> Value {
    rollout.service.traffic_distribution.as_deref().filter(|text| !text.is_empty()).map_or(Value::Null, Value::from)
}

/// The live Service with our ports and that selector.
fn aligned(rollout: &Rollout, pods: &Pods, present: &Value, selector: Value) -> Value {
    let mut wanted = present.clone();
    set_ports(&mut wanted, ports(rollout, pods, present));
    set(&mut wanted, &["spec", "selector"], selector);
    wanted
}

/// Replaces the ports, unless they differ in nothing but their order.
fn set_ports(service: &mut Value, ports: Vec<Value>) {
    let live: Vec<Value> = list(service, "/spec/ports").cloned().collect();
    if !equivalent(&Value::Array(in_order(live)), &Value::Array(in_order(ports.clone()))) {
        set(service, &["spec", "ports"], Value::Array(ports));
    }
}

fn in_order(mut ports: Vec<Value>) -> Vec<Value> {
    ports.sort_by_cached_key(|port| (integer(port, "/port"), text(port, "/name").to_owned()));
    ports
}

/// The ports of all three Services: the main one, then the discovered ones. Each is written onto its counterpart on the live Service (`present`, `Null` for
/// a new one), so that node ports and fields that are not ours survive.
fn ports(rollout: &Rollout, pods: &Pods, present: &Value) -> Vec<Value> {
    let service = &rollout.service;
    let number = i64::from(service.port);
    let name = service.port_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("http");
    let protocol = service.app_protocol.as_deref().filter(|protocol| !protocol.is_empty());
    let main = json!({"name": name, "protocol": "TCP", "port": number, "targetPort": target_port(rollout), "appProtocol": protocol});
    // A Service cannot have one number twice; the reference asks for it and is refused for ever (workload notes, quirk Q33).
    let discovered = pods.ports.iter().filter(|(_, port)| *port != number).map(
        |(name, port)| json!({"name": name, "protocol": "TCP", "port": port, "targetPort": port, "appProtocol": null}),
    );
    let wanted: Vec<Value> = std::iter::once(main).chain(discovered).collect();
    wanted.iter().map(|port| onto_live(port, &wanted, present)).collect()
}

/// `targetPort`, by default the port: unset, 0, `"0"` and the empty text mean the same (quirk Q29).
fn target_port(rollout: &Rollout) -> Value {
    match &rollout.service.target_port {
        Some(IntOrString::Int(number)) if *number != 0 => json!(number),
        Some(IntOrString::Text(name)) if !name.is_empty() && name != "0" => json!(name),
        _ => json!(rollout.service.port),
    }
}

/// A port with what its counterpart has besides. A `null` removes.
fn onto_live(port: &Value, wanted: &[Value], present: &Value) -> Value {
    let mut merged = counterpart(port, wanted, present).cloned().unwrap_or_else(|| json!({}));
    for (key, value) in port.as_object().into_iter().flatten() {
        set(&mut merged, &[key], value.clone());
    }
    merged
}

/// The live port of the same name, else the one of the same number that no other wanted port is named after.
fn counterpart<'a>(port: &Value, wanted: &[Value], present: &'a Value) -> Option<&'a Value> {
    let by_name = list(present, "/spec/ports").find(|live| text(live, "/name") == text(port, "/name"));
    by_name.or_else(|| {
        let is_free = |live: &&Value| !wanted.iter().any(|other| text(other, "/name") == text(live, "/name"));
        list(present, "/spec/ports").filter(is_free).find(|live| integer(live, "/port") == integer(port, "/port"))
    })
}

/// The live Service with selector and ports of the one that `kubectl apply` stored.
fn as_stored(rollout: &Rollout, present: &Value, stored: &str) -> Result<Value, RouterError> {
    let stored: Value = serde_json::from_str(stored).ok().filter(Value::is_object).ok_or_else(|| {
        let (name, namespace) = (&rollout.apex, &rollout.namespace);
        RouterError::new(format!("router {name}.{namespace} failed to unMarshal annotation {LAST_APPLIED}"))
    })?;
    let mut wanted = without_opt_out(present, &stored);
    set(&mut wanted, &["spec", "selector"], stored.pointer("/spec/selector").cloned().unwrap_or_default());
    let ports: Vec<Value> = list(&stored, "/spec/ports").map(|port| with_defaults(port, &stored, present)).collect();
    if !ports.is_empty() {
        set_ports(&mut wanted, ports);
    }
    Ok(wanted)
}

/// A stored port with what the API server would fill in, so that a port that is there already is recognised.
fn with_defaults(port: &Value, stored: &Value, present: &Value) -> Value {
    let all: Vec<Value> = list(stored, "/spec/ports").cloned().collect();
    let node_port = counterpart(port, &all, present).and_then(|live| live.get("nodePort"));
    let defaults =
        [("protocol", Some(json!("TCP"))), ("targetPort", port.get("port").cloned()), ("nodePort", node_port.cloned())];
    let mut whole = port.clone();
    for (key, value) in defaults {
        if let Some(value) = value.filter(|_| port.get(key).is_none_or(Value::is_null)) {
            set(&mut whole, &[key], value);
        }
    }
    whole
}

/// The Service without the opt-outs of Flux, unless `original` has them: they would keep Flux away for ever (quirk K4).
fn without_opt_out(service: &Value, original: &Value) -> Value {
    let mut wanted = service.clone();
    for (key, _) in TOOLKIT_OPT_OUT {
        let value = annotation(original, key).map_or(Value::Null, Value::from);
        set(&mut wanted, &["metadata", "annotations", key], value);
    }
    wanted
}

#[cfg(test)]
mod tests;
