//! Whole Services as they are created, what is repaired, what is left to the user, and the way back.

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

fn opt_out_and(more: &Value) -> Value {
    let mut annotations = json!({"kustomize.toolkit.fluxcd.io/reconcile": "disabled", "helm.toolkit.fluxcd.io/driftDetection": "disabled"});
    objects::diff::apply_merge_patch(&mut annotations, more);
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
        "annotations": opt_out_and(&json!({"x": "canary"})),
        "ownerReferences": [owner()],
    });
    let primary_metadata = json!({
        "name": "front-primary",
        "namespace": "shop",
        "labels": {"app": "front-primary", "team": "p"},
        "annotations": opt_out_and(&json!({})),
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
                "annotations": opt_out_and(&json!({})),
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
                "annotations": opt_out_and(&json!({"keep": "me"})),
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
    assert_eq!(service["metadata"]["annotations"], opt_out_and(&json!({"mine": "kept"})));
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
    assert_eq!(revert(&rollout, &plain(), &World::new().live), Ok(Vec::new()), "what is gone need not be given back");
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
    assert_eq!(json!(annotations), opt_out_and(&json!({"x": "y"})));

    let (labels, annotations) = apex_metadata(&rollout(""), Some(&plain()));
    assert_eq!(json!(labels), json!({}), "without the block there is no label (quirk Q20)");
    assert_eq!(json!(annotations), opt_out_and(&json!({})));
}

#[test]
fn routers_find_the_selector_label_from_the_target() {
    let given = rollout("service: {port: 80, apex: {labels: {team: a}}}");
    let world = World::new().with_yaml(
        &objects::kind::DEPLOYMENT,
        "{metadata: {name: cart}, spec: {selector: {matchLabels: {name: web}}, template: {spec: {containers: []}}}}",
    );
    let (labels, _) = route_metadata(&given, &world.live).unwrap();
    assert_eq!(json!(labels), json!({"team": "a", "name": "cart"}));

    let gone = route_metadata(&given, &World::new().live).unwrap_err();
    assert!(gone.to_string().contains("deployments.apps \"cart\" not found"), "{gone}");
    assert!(route_metadata(&rollout(""), &World::new().live).is_ok(), "without the block nobody asks for the target");
}
