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
    let present = live
        .find(&reference)
        .map_err(|error| RouterError::new(format!("service {name}.{namespace} get query error: {error}")))?;
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
mod tests {
    use super::*;
    use crate::testing::{World, owner, rollout};
    use objects::Change;

    const FULL: &str = "
        service:
          name: front
          port: 80
          portName: web
          targetPort: 9898
          appProtocol: http
          trafficDistribution: PreferClose
          apex: {labels: {team: a}, annotations: {x: apex}}
          primary: {labels: {team: p}}
          canary: {annotations: {x: canary}}";

    fn pods() -> Pods {
        Pods {
            label: "app".to_owned(),
            value: "cart".to_owned(),
            ports: vec![("http-metrics".to_owned(), 9797), ("grpc".to_owned(), 9999)],
        }
    }

    fn plain() -> Pods {
        Pods { ports: Vec::new(), ..pods() }
    }

    fn only(writes: &[Write]) -> &Write {
        let [write] = writes else { panic!("{writes:?}") };
        write
    }

    fn opt_out_and(more: Value) -> Value {
        let mut annotations = json!({"kustomize.toolkit.fluxcd.io/reconcile": "disabled", "helm.toolkit.fluxcd.io/driftDetection": "disabled"});
        objects::diff::apply_merge_patch(&mut annotations, &more);
        annotations
    }

    /// An apex Service of the user's, as the API server shows it.
    const ADOPTED: &str = "
        metadata:
          name: cart
          namespace: shop
          labels: {app: cart, keep: me}
          annotations: {keep: me}
        spec:
          type: NodePort
          clusterIP: 10.0.0.7
          sessionAffinity: ClientIP
          selector: {app: cart, tier: web}
          ports: [{name: http, protocol: TCP, port: 8080, targetPort: 9898, nodePort: 30123, appProtocol: h2c}]";

    #[test]
    fn the_services_of_both_sides_are_created_canary_first() {
        let writes = ensure_sides(&rollout(FULL), &pods(), &World::new().live).unwrap();
        let [canary, primary] = writes.as_slice() else { panic!("{writes:?}") };
        let ports = json!([
            {"name": "web", "protocol": "TCP", "port": 80, "targetPort": 9898, "appProtocol": "http"},
            {"name": "http-metrics", "protocol": "TCP", "port": 9797, "targetPort": 9797},
            {"name": "grpc", "protocol": "TCP", "port": 9999, "targetPort": 9999},
        ]);
        let service = |metadata: Value, selects: &str| {
            Change::Create(json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"type": "ClusterIP", "selector": {"app": selects}, "ports": ports, "trafficDistribution": "PreferClose"},
            }))
        };
        let canary_metadata = json!({
            "name": "front-canary",
            "namespace": "shop",
            "labels": {"app": "front-canary"},
            "annotations": opt_out_and(json!({"x": "canary"})),
            "ownerReferences": [owner()],
        });
        let primary_metadata = json!({
            "name": "front-primary",
            "namespace": "shop",
            "labels": {"app": "front-primary", "team": "p"},
            "annotations": opt_out_and(json!({})),
            "ownerReferences": [owner()],
        });
        assert_eq!(canary.change, service(canary_metadata, "cart"));
        assert_eq!(primary.change, service(primary_metadata, "cart-primary"));
        assert_eq!(canary.failure, "reconcileService failed: service front-canary.shop create error: ");
        assert_eq!(canary.success.as_deref(), Some("Service front-canary.shop created"));
    }

    #[test]
    fn the_apex_selects_the_primary() {
        let rollout = rollout("service: {port: 9898, headless: true}");
        let writes = ensure_apex(&rollout, &plain(), &World::new().live).unwrap();
        assert_eq!(
            only(&writes).change,
            Change::Create(json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": "cart",
                    "namespace": "shop",
                    "labels": {"app": "cart"},
                    "annotations": opt_out_and(json!({})),
                    "ownerReferences": [owner()],
                },
                "spec": {
                    "type": "ClusterIP",
                    "clusterIP": "None",
                    "selector": {"app": "cart-primary"},
                    "ports": [{"name": "http", "protocol": "TCP", "port": 9898, "targetPort": 9898}],
                },
            }))
        );
    }

    #[test]
    fn ensuring_again_plans_nothing() {
        let rollout = rollout(FULL);
        let mut world = World::new();
        for _ in 0..2 {
            let writes = ensure_sides(&rollout, &pods(), &world.live).unwrap();
            world.apply(&writes);
            let writes = ensure_apex(&rollout, &pods(), &world.live).unwrap();
            world.apply(&writes);
        }
        assert_eq!(ensure_sides(&rollout, &pods(), &world.live), Ok(Vec::new()));
        assert_eq!(ensure_apex(&rollout, &pods(), &world.live), Ok(Vec::new()));
        let reversed = world.edit(&SERVICE, "front", |service| {
            service["spec"]["ports"].as_array_mut().unwrap().reverse();
            service["spec"]["clusterIP"] = json!("10.0.0.1");
        });
        assert_eq!(
            ensure_apex(&rollout, &pods(), &reversed.live),
            Ok(Vec::new()),
            "order of ports and foreign fields do not count"
        );
    }

    #[test]
    fn an_unset_target_port_is_the_port() {
        for unset in ["targetPort: 0, ", "targetPort: '0', ", "targetPort: '', ", ""] {
            let rollout = rollout(&format!("service: {{{unset}port: 80}}"));
            assert_eq!(target_port(&rollout), json!(80), "{unset}");
        }
        assert_eq!(target_port(&rollout("service: {port: 80, targetPort: http}")), json!("http"));
    }

    #[test]
    fn a_discovered_port_of_the_same_number_is_left_out() {
        let rollout = rollout("service: {port: 9797, targetPort: 9898}");
        assert_eq!(ports(&rollout, &pods(), &Value::Null).len(), 2);
    }

    #[test]
    fn a_service_of_the_users_is_taken_over_in_place() {
        let rollout = rollout("service: {port: 80, targetPort: 9898}");
        let mut world = World::new().with_yaml(&SERVICE, ADOPTED);
        let writes = ensure_apex(&rollout, &plain(), &world.live).unwrap();
        assert_eq!(only(&writes).failure, "reconcileService failed: service cart update error: ");
        assert_eq!(only(&writes).success.as_deref(), Some("Service cart updated"));
        world.apply(&writes);
        assert_eq!(
            *world.get(&SERVICE, "cart"),
            json!({
                "metadata": {
                    "name": "cart",
                    "namespace": "shop",
                    "labels": {"app": "cart", "keep": "me"},
                    "annotations": opt_out_and(json!({"keep": "me"})),
                    "resourceVersion": "2",
                },
                "spec": {
                    "type": "NodePort",
                    "clusterIP": "10.0.0.7",
                    "sessionAffinity": "ClientIP",
                    "selector": {"app": "cart-primary"},
                    "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 9898, "nodePort": 30123}],
                },
            })
        );
        assert_eq!(ensure_apex(&rollout, &plain(), &world.live), Ok(Vec::new()));
    }

    #[test]
    fn a_renamed_port_keeps_its_node_port() {
        let rollout = rollout("service: {port: 8080, targetPort: 9898, portName: web}");
        let mut world = World::new().with_yaml(&SERVICE, ADOPTED);
        world.apply(&ensure_apex(&rollout, &plain(), &world.live).unwrap());
        assert_eq!(
            world.get(&SERVICE, "cart")["spec"]["ports"],
            json!([{"name": "web", "protocol": "TCP", "port": 8080, "targetPort": 9898, "nodePort": 30123}])
        );
    }

    #[test]
    fn metadata_of_our_own_service_is_exactly_what_is_configured() {
        let spec = "service: {port: 80, apex: {labels: {team: a}}, unmanagedMetadata: {labels: [team], annotations: [mine, absent]}}";
        let rollout = rollout(spec);
        let mut world = World::new();
        world.apply(&ensure_apex(&rollout, &plain(), &world.live).unwrap());
        let mut world = world.edit(&SERVICE, "cart", |service| {
            service["metadata"]["labels"] = json!({"team": "b", "stray": "x", "app": "other"});
            service["metadata"]["annotations"]["mine"] = json!("kept");
            service["metadata"]["annotations"][LAST_APPLIED] = json!("{}");
        });
        world.apply(&ensure_apex(&rollout, &plain(), &world.live).unwrap());
        let service = world.get(&SERVICE, "cart");
        assert_eq!(service["metadata"]["labels"], json!({"team": "b", "app": "cart"}));
        assert_eq!(service["metadata"]["annotations"], opt_out_and(json!({"mine": "kept"})));
    }

    #[test]
    fn a_service_of_another_canary_keeps_its_metadata() {
        let rollout = rollout("service: {port: 80}");
        let mut world = World::new();
        world.apply(&ensure_apex(&rollout, &plain(), &world.live).unwrap());
        let world = world.edit(&SERVICE, "cart", |service| {
            service["metadata"]["ownerReferences"][0]["name"] = json!("other");
            service["metadata"]["labels"]["stray"] = json!("x");
        });
        assert_eq!(ensure_apex(&rollout, &plain(), &world.live), Ok(Vec::new()));
    }

    #[test]
    fn traffic_distribution_follows_on_our_own_services_only() {
        let near = rollout("service: {port: 80, trafficDistribution: PreferSameZone}");
        let mut world = World::new();
        world.apply(&ensure_apex(&rollout("service: {port: 80}"), &plain(), &world.live).unwrap());
        world.apply(&ensure_apex(&near, &plain(), &world.live).unwrap());
        assert_eq!(world.get(&SERVICE, "cart")["spec"]["trafficDistribution"], json!("PreferSameZone"));

        let mut world = World::new().with_yaml(&SERVICE, ADOPTED);
        world.apply(&ensure_apex(&near, &plain(), &world.live).unwrap());
        assert_eq!(world.get(&SERVICE, "cart")["spec"].get("trafficDistribution"), None);
    }

    #[test]
    fn kinds_whose_pods_we_do_not_select_get_no_services() {
        assert_eq!(ensure_sides(&rollout(""), &Pods::default(), &World::new().live), Ok(Vec::new()));
    }

    #[test]
    fn services_that_cannot_be_read_are_not_created() {
        let mut live = Snapshot::new();
        live.set_unavailable(SERVICE, "services is forbidden".to_owned());
        let error = ensure_apex(&rollout(""), &plain(), &live).unwrap_err();
        assert_eq!(error.to_string(), "reconcileService failed: service cart get query error: services is forbidden");
    }

    #[test]
    fn an_adopted_apex_is_given_back_as_it_was_stored() {
        let stored = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "cart", "annotations": {"helm.toolkit.fluxcd.io/driftDetection": "warn"}},
            "spec": {"type": "NodePort", "selector": {"app": "cart", "tier": "web"}, "ports": [{"name": "http", "port": 8080, "targetPort": 9898}]},
        });
        let rollout = rollout("service: {port: 80, targetPort: 9898}");
        let mut world = World::new().with_yaml(&SERVICE, ADOPTED).edit(&SERVICE, "cart", |service| {
            service["metadata"]["annotations"][LAST_APPLIED] = json!(stored.to_string());
        });
        world.apply(&ensure_apex(&rollout, &plain(), &world.live).unwrap());
        let writes = revert(&rollout, &plain(), &world.live).unwrap();
        assert_eq!(only(&writes).failure, "service cart update error: ");
        world.apply(&writes);
        let service = world.get(&SERVICE, "cart");
        assert_eq!(
            service["metadata"]["annotations"],
            json!({"keep": "me", "helm.toolkit.fluxcd.io/driftDetection": "warn", LAST_APPLIED: stored.to_string()})
        );
        assert_eq!(
            service["spec"],
            json!({
                "type": "NodePort",
                "clusterIP": "10.0.0.7",
                "sessionAffinity": "ClientIP",
                "selector": {"app": "cart", "tier": "web"},
                "ports": [{"name": "http", "port": 8080, "targetPort": 9898, "protocol": "TCP", "nodePort": 30123}],
            })
        );
        assert_eq!(revert(&rollout, &plain(), &world.live), Ok(Vec::new()));
    }

    #[test]
    fn an_adopted_apex_without_a_stored_original_selects_the_target_again() {
        let rollout = rollout("service: {port: 8080, targetPort: 9898}");
        let mut world = World::new().with_yaml(&SERVICE, ADOPTED);
        world.apply(&ensure_apex(&rollout, &plain(), &world.live).unwrap());
        let writes = revert(&rollout, &plain(), &world.live).unwrap();
        assert_eq!(only(&writes).failure, "reconcileService failed: service cart update error: ");
        world.apply(&writes);
        let service = world.get(&SERVICE, "cart");
        assert_eq!(service["metadata"]["annotations"], json!({"keep": "me"}));
        assert_eq!(service["spec"]["selector"], json!({"app": "cart"}));
        assert_eq!(service["spec"]["ports"][0]["nodePort"], json!(30123));
    }

    #[test]
    fn an_apex_of_any_canary_is_left_to_garbage_collection() {
        let rollout = rollout("");
        let mut world = World::new();
        world.apply(&ensure_apex(&rollout, &plain(), &world.live).unwrap());
        assert_eq!(revert(&rollout, &plain(), &world.live), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_reverted_is_told_in_the_usual_words() {
        let rollout = rollout("");
        let error = |world: &World| revert(&rollout, &plain(), &world.live).unwrap_err().to_string();
        assert_eq!(error(&World::new()), "service cart.shop get query error: services \"cart\" not found");
        let world = World::new().with_yaml(&SERVICE, ADOPTED).edit(&SERVICE, "cart", |service| {
            service["metadata"]["annotations"][LAST_APPLIED] = json!("[");
        });
        assert_eq!(
            error(&world),
            "router cart.shop failed to unMarshal annotation kubectl.kubernetes.io/last-applied-configuration"
        );
    }

    #[test]
    fn routes_get_the_metadata_of_the_apex_and_the_selector_label() {
        let given = rollout(
            "service: {port: 80, apex: {labels: {team: a}, annotations: {x: y}}, unmanagedMetadata: {labels: [stray]}}",
        );
        let (labels, annotations) = apex_metadata(&given, Some(&plain()));
        assert_eq!(json!(labels), json!({"team": "a", "app": "cart"}));
        assert_eq!(json!(annotations), opt_out_and(json!({"x": "y"})));

        let (labels, annotations) = apex_metadata(&rollout(""), Some(&plain()));
        assert_eq!(json!(labels), json!({}), "without the block there is no label (quirk Q20)");
        assert_eq!(json!(annotations), opt_out_and(json!({})));
    }
}
