//! Tests of Deployments as targets: whole objects, texts, and what a second rendering does.

use super::*;
use crate::testing::{World, digest, fresh, now, owner, rollout, rollout_with, yaml};
use api::Settings;
use objects::hash::Generation;
use objects::kind::SECRET;
use objects::{Change, diff::apply_merge_patch};

/// The Deployment `cart` with two replicas, which uses the Secret `cart-secret`.
const CART: &str = "
    metadata:
      name: cart
      namespace: shop
      resourceVersion: '7'
      labels: {app.kubernetes.io/managed-by: keep-me, helm.toolkit.fluxcd.io/name: flux, team: shop}
      annotations:
        app.kubernetes.io/instance: keep-me-too
        deployment.kubernetes.io/revision: '4'
        kubectl.kubernetes.io/last-applied-configuration: '{}'
        kustomize.toolkit.fluxcd.io/checksum: abc
        note: for-the-first-copy
    spec:
      replicas: 2
      minReadySeconds: 5
      progressDeadlineSeconds: 60
      revisionHistoryLimit: 5
      newField: {unheard: of}
      paused: true
      strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0}}
      selector: {matchLabels: {app: cart, tier: front}}
      template:
        metadata:
          creationTimestamp: null
          labels: {app: cart, tier: front, x.toolkit.fluxcd.io/y: z}
          annotations: {flagger-id: old, prometheus.io/scrape: 'true'}
        spec:
          containers:
          - name: web
            image: demo:1
            ports: [{name: http, containerPort: 8080}, {name: grpc, containerPort: 9999}]
            env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: cart-secret, key: token}}}]
          topologySpreadConstraints: [{topologyKey: zone, labelSelector: {matchLabels: {app: cart}}}]
          newField: {unheard: of}
    ";

fn including() -> Settings {
    Settings { include_label_prefixes: vec!["app.kubernetes.io".to_owned()], ..Settings::default() }
}

fn world() -> World {
    World::new().with_yaml(&DEPLOYMENT, CART).with_config(
        &SECRET,
        yaml("metadata: {name: cart-secret, namespace: shop}"),
        digest("1", "Opaque"),
    )
}

/// The world after the primary was created.
fn initialised(rollout: &Rollout) -> World {
    let mut world = world();
    world.apply(&Deployment.create_primary(rollout, &world.live, &fresh(), None).unwrap());
    world
}

fn image(tag: &str) -> impl FnOnce(&mut Value) {
    let image = json!(format!("demo:{tag}"));
    move |object| *object.pointer_mut("/spec/template/spec/containers/0/image").unwrap() = image
}

fn scaled(replicas: i64) -> impl FnOnce(&mut Value) {
    move |object| paths::set(object, &["spec", "replicas"], json!(replicas))
}

fn hash(world: &World) -> String {
    hash::pod_template(&world.get(&DEPLOYMENT, "cart")["spec"]["template"], Generation::CURRENT)
}

fn promote(rollout: &Rollout, world: &World) -> Result<Vec<Write>, TargetError> {
    Deployment.promote(rollout, &world.live, &fresh(), &hash(world))
}

fn patches(writes: Result<Vec<Write>, TargetError>) -> Vec<(Value, String)> {
    let patch = |write: Write| match write.change {
        Change::Merge { patch, .. } => (patch, write.failure),
        other => panic!("{other:?}"),
    };
    writes.unwrap().into_iter().map(patch).collect()
}

fn scaling(to: i64, failure: &str) -> Vec<(Value, String)> {
    vec![(json!({"spec": {"replicas": to}}), failure.to_owned())]
}

#[test]
fn the_primary_is_a_copy_with_names_and_labels_of_its_own() {
    let rollout = rollout_with("", including());
    let writes = Deployment.create_primary(&rollout, &world().live, &fresh(), None).unwrap();
    let [secret, primary] = <[Write; 2]>::try_from(writes).unwrap();
    assert_eq!(secret.target, SECRET.object("shop", "cart-secret-primary"), "configs come first");
    assert_eq!(
        secret.failure,
        "createPrimaryDeployment failed: CreatePrimaryConfigs failed: creating secret cart-secret-primary.shop failed: "
    );
    assert_eq!(primary.failure, "createPrimaryDeployment failed: creating deployment cart-primary.shop failed: ");
    assert_eq!(primary.success.as_deref(), Some("Deployment cart-primary.shop created"));
    let Change::Create(object) = primary.change else { panic!() };
    assert_eq!(
        object,
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "cart-primary",
                "namespace": "shop",
                "labels": {"app": "cart-primary", "app.kubernetes.io/managed-by": "keep-me"},
                "annotations": {"app.kubernetes.io/instance": "keep-me-too", "note": "for-the-first-copy"},
                "ownerReferences": [owner()],
            },
            "spec": {
                "replicas": 2,
                "minReadySeconds": 5,
                "progressDeadlineSeconds": 60,
                "revisionHistoryLimit": 5,
                "newField": {"unheard": "of"},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
                "selector": {"matchLabels": {"app": "cart-primary"}},
                "template": {
                    "metadata": {
                        "labels": {"app": "cart-primary", "tier": "front"},
                        "annotations": {"flagger-id": "fresh-id", "prometheus.io/scrape": "true"},
                    },
                    "spec": {
                        "containers": [{
                            "name": "web",
                            "image": "demo:1",
                            "ports": [{"name": "http", "containerPort": 8080}, {"name": "grpc", "containerPort": 9999}],
                            "env": [{
                                "name": "TOKEN",
                                "valueFrom": {"secretKeyRef": {"name": "cart-secret-primary", "key": "token"}},
                            }],
                        }],
                        "topologySpreadConstraints": [
                            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "cart-primary"}}},
                        ],
                        "newField": {"unheard": "of"},
                    },
                },
            },
        })
    );
}

#[test]
fn without_prefixes_the_primary_has_only_the_selector_label() {
    let world = initialised(&rollout(""));
    assert_eq!(
        world.get(&DEPLOYMENT, "cart-primary").pointer("/metadata/labels"),
        Some(&json!({"app": "cart-primary"}))
    );
}

#[test]
fn a_new_primary_is_never_at_zero() {
    let replicas_of = |own: i64, minimum: Option<i64>| {
        let mut world = world().edit(&DEPLOYMENT, "cart", scaled(own));
        world.apply(&Deployment.create_primary(&rollout(""), &world.live, &fresh(), minimum).unwrap());
        replicas(world.get(&DEPLOYMENT, "cart-primary"))
    };
    assert_eq!(replicas_of(3, Some(5)), Some(3));
    assert_eq!(replicas_of(0, Some(5)), Some(5));
    assert_eq!(replicas_of(0, None), Some(1));
}

#[test]
fn a_primary_that_exists_is_not_created() {
    let rollout = rollout("");
    let world = initialised(&rollout).edit(&DEPLOYMENT, "cart", image("2"));
    assert_eq!(Deployment.create_primary(&rollout, &world.live, &fresh(), None), Ok(vec![]));
}

#[test]
fn what_keeps_the_primary_from_being_created_is_told() {
    let error =
        |world: World| Deployment.create_primary(&rollout(""), &world.live, &fresh(), None).unwrap_err().to_string();
    assert_eq!(
        error(World::new()),
        "createPrimaryDeployment failed: deployment cart.shop get query error: deployments.apps \"cart\" not found"
    );
    assert_eq!(
        error(world().edit(&DEPLOYMENT, "cart", |cart| paths::set(
            cart,
            &["spec", "selector"],
            yaml("matchLabels: {service: cart}")
        ))),
        "createPrimaryDeployment failed: getSelectorLabel failed: deployment cart.shop spec.selector.matchLabels must contain one of \
         [app name app.kubernetes.io/name]"
    );
    assert_eq!(
        error(World::new().with_yaml(&DEPLOYMENT, CART)),
        "createPrimaryDeployment failed: GetTargetConfigs failed: secret cart-secret.shop get query error: secret cart-secret.shop \
         get query error: secrets \"cart-secret\" not found"
    );
    let taken = world().with_config(&SECRET, yaml("metadata: {name: cart-secret-primary}"), digest("2", "Opaque"));
    assert_eq!(
        error(taken),
        "createPrimaryDeployment failed: CreatePrimaryConfigs failed: secret cart-secret-primary.shop exists with other data and \
         belongs to no Canary; remove it, or annotate secret cart-secret with flagger.app/config-tracking: disabled"
    );
}

#[test]
fn promotion_replaces_what_is_copied_and_keeps_the_rest() {
    let rollout = rollout_with("", including());
    let mut world = initialised(&rollout)
        .edit(&DEPLOYMENT, "cart-primary", |primary| {
            let foreign = "
                metadata:
                  annotations: {deployment.kubernetes.io/revision: '3'}
                  finalizers: [keep]
                spec:
                  paused: true
                  foreign: {field: kept}
                  template: {metadata: {annotations: {restarted: by-hand}, foreign: kept}, spec: {foreign: {field: dropped}}}
                ";
            apply_merge_patch(primary, &yaml(foreign));
        })
        .edit(&DEPLOYMENT, "cart", |cart| {
            image("2")(cart);
            apply_merge_patch(
                cart,
                &yaml(
                    "
                    metadata: {labels: {app.kubernetes.io/managed-by: somebody-else}}
                    spec: {replicas: 4, minReadySeconds: null, strategy: {type: Recreate, rollingUpdate: null},
                           template: {metadata: {annotations: {flagger-id: null, extra: note}}}}
                    ",
                ),
            );
        });
    let writes = promote(&rollout, &world).unwrap();
    assert_eq!(writes.len(), 1, "the copy of the Secret is as it should be: {writes:?}");
    assert_eq!(writes[0].failure, "updating deployment cart-primary.shop template spec failed: ");
    let Change::Merge { patch, version } = &writes[0].change else { panic!() };
    assert_eq!(version.as_deref(), Some("1"));
    assert_eq!(
        patch,
        &yaml(
            "
            metadata:
              annotations: {note: null}
              labels: {app.kubernetes.io/managed-by: somebody-else}
            spec:
              replicas: 4
              minReadySeconds: null
              strategy: {type: Recreate, rollingUpdate: null}
              template:
                metadata: {annotations: {extra: note, restarted: null}}
                spec:
                  foreign: null
                  containers:
                  - name: web
                    image: demo:2
                    ports: [{name: http, containerPort: 8080}, {name: grpc, containerPort: 9999}]
                    env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: cart-secret-primary, key: token}}}]
            "
        )
    );
    world.apply(&writes);
    assert!(Deployment.primary(&rollout, &world.live, now()).current);
}

#[test]
fn promotion_restarts_the_primary_by_a_new_id_also_when_only_a_config_changed() {
    let rollout = rollout("");
    let mut world = initialised(&rollout);
    world.live.insert_digest(SECRET.object("shop", "cart-secret"), Ok(digest("2", "Opaque")));
    let newer = Fresh { id: "newer-id".to_owned(), ..fresh() };
    let writes = Deployment.promote(&rollout, &world.live, &newer, &hash(&world)).unwrap();
    assert_eq!(writes[0].target, SECRET.object("shop", "cart-secret-primary"));
    assert_eq!(
        writes[0].failure,
        "updating deployment cart-primary.shop template spec failed: CreatePrimaryConfigs failed: updating secret \
         cart-secret-primary.shop failed: "
    );
    let Change::Merge { patch, .. } = &writes[1].change else { panic!() };
    assert_eq!(
        patch.pointer("/spec"),
        Some(&json!({"template": {"metadata": {"annotations": {"flagger-id": "newer-id"}}}}))
    );
}

#[test]
fn an_empty_selector_is_not_the_same_as_none() {
    let rollout = rollout("");
    let mut world = initialised(&rollout).edit(&DEPLOYMENT, "cart", |cart| {
        paths::set(
            cart,
            &["spec", "template", "spec", "topologySpreadConstraints"],
            yaml("[{topologyKey: zone, labelSelector: {}}]"),
        );
    });
    world.apply(&promote(&rollout, &world).unwrap());
    world = world.edit(&DEPLOYMENT, "cart", |cart| {
        paths::set(cart, &["spec", "template", "spec", "topologySpreadConstraints"], yaml("[{topologyKey: zone}]"));
    });
    let newer = Fresh { id: "newer-id".to_owned(), ..fresh() };
    world.apply(&Deployment.promote(&rollout, &world.live, &newer, &hash(&world)).unwrap());
    assert_eq!(
        world.get(&DEPLOYMENT, "cart-primary").pointer("/spec/template/spec/topologySpreadConstraints"),
        Some(&yaml("[{topologyKey: zone}]"))
    );
}

#[test]
fn an_autoscaled_primary_keeps_its_replicas_and_none_takes_over_zero() {
    let promoted = |spec: &str, own: i64| {
        let rollout = rollout(spec);
        let mut world = initialised(&rollout).edit(&DEPLOYMENT, "cart", |cart| {
            image("2")(cart);
            scaled(own)(cart);
        });
        world.apply(&promote(&rollout, &world).unwrap());
        replicas(world.get(&DEPLOYMENT, "cart-primary"))
    };
    let autoscaled = "autoscalerRef: {apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, name: cart}";
    assert_eq!(promoted("", 4), Some(4));
    assert_eq!(promoted(autoscaled, 4), Some(2));
    assert_eq!(promoted("", 0), Some(2));
}

#[test]
fn only_the_revision_that_passed_is_promoted() {
    let rollout = rollout("");
    let before = initialised(&rollout);
    let passed = hash(&before);
    let after = before.edit(&DEPLOYMENT, "cart", image("2"));
    assert_eq!(Deployment.promote(&rollout, &after.live, &fresh(), &passed), Err(TargetError::Changed));
}

#[test]
fn a_promotion_without_primary_is_told() {
    assert_eq!(
        promote(&rollout(""), &world()).unwrap_err().to_string(),
        "updating deployment cart-primary.shop template spec failed: deployment cart-primary.shop get query error: deployments.apps \
         \"cart-primary\" not found"
    );
    let mut world = initialised(&rollout(""));
    world.live.remove(&SECRET.object("shop", "cart-secret"));
    assert_eq!(
        promote(&rollout(""), &world).unwrap_err().to_string(),
        "updating deployment cart-primary.shop template spec failed: GetTargetConfigs failed: secret cart-secret.shop get query error: \
         secret cart-secret.shop get query error: secrets \"cart-secret\" not found"
    );
}

#[test]
fn the_target_goes_to_zero_once() {
    let down = |own| Deployment.scale_down(&rollout(""), &world().edit(&DEPLOYMENT, "cart", scaled(own)).live);
    assert_eq!(patches(down(2)), scaling(0, "deployment cart.shop patch query error: "));
    assert_eq!(down(0), Ok(vec![]));
    assert_eq!(
        Deployment.scale_down(&rollout(""), &World::new().live).unwrap_err().to_string(),
        "deployment cart.shop get query error: deployments.apps \"cart\" not found"
    );
}

#[test]
fn the_target_comes_up_as_its_scaler_or_primary_says() {
    let up = |spec: &str, own: i64, primary: Option<i64>, minimum: Option<i64>| {
        let mut world = world().edit(&DEPLOYMENT, "cart", scaled(own));
        if let Some(replicas) = primary {
            let primary = yaml(&format!("{{metadata: {{name: cart-primary}}, spec: {{replicas: {replicas}}}}}"));
            world = world.with(&DEPLOYMENT, primary);
        }
        patches(Deployment.scale_up(&rollout(spec), &world.live, minimum))
    };
    let to = |number: i64| scaling(number, &format!("scaling up cart.shop to {number} failed: "));
    let autoscaled = "autoscalerRef: {apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, name: cart}";
    assert_eq!(up("", 3, Some(5), None), []);
    assert_eq!(up("", 0, Some(5), None), to(5));
    assert_eq!(up("", 0, Some(0), None), to(1));
    assert_eq!(up("", 0, None, None), to(1), "a missing primary counts as one replica");
    assert_eq!(up(autoscaled, 0, Some(5), Some(3)), to(3));
    assert_eq!(up(autoscaled, 0, Some(5), None), to(1));
}

#[test]
fn the_target_is_given_back_with_the_replicas_of_its_primary() {
    let rollout = rollout("");
    let revert = |world: &World| Deployment.revert(&rollout, &world.live, None);
    let resting = initialised(&rollout).edit(&DEPLOYMENT, "cart", scaled(0));
    assert_eq!(patches(revert(&resting)), scaling(2, "scale failed: scaling cart.shop to 2 failed: "));
    assert_eq!(revert(&initialised(&rollout)), Ok(vec![]));
    let alone = world().edit(&DEPLOYMENT, "cart", scaled(0));
    assert_eq!(patches(revert(&alone)), scaling(1, "ScaleFromZero failed: scaling up cart.shop to 1 failed: "));
    assert_eq!(
        revert(&World::new()).unwrap_err().to_string(),
        "deployment cart.shop get query error: deployments.apps \"cart\" not found"
    );
}

#[test]
fn the_target_is_seen_with_its_hash_readiness_and_scale() {
    let rollout = rollout("");
    let world = world();
    let seen = Deployment.target(&rollout, &world.live, &[&hash(&world)], now()).unwrap();
    assert_eq!(seen.revision.hash, hash(&world));
    assert_eq!((seen.revision.older.len(), seen.revision.comparable, seen.scaled_down), (0, true, false));
    assert_eq!(
        seen.readiness,
        Err(Trouble::passing(
            "canary deployment cart.shop not ready: waiting for rollout to finish: 0 out of 2 new replicas have been updated"
        ))
    );
    let resting = world.edit(&DEPLOYMENT, "cart", scaled(0));
    let seen = Deployment.target(&rollout, &resting.live, &[], now()).unwrap();
    assert!(seen.scaled_down && seen.readiness.is_ok() && seen.revision.older.is_empty());
}

#[test]
fn older_formulas_are_tried_only_where_the_current_one_is_unknown() {
    let world = world();
    let older = hash::pod_template(&world.get(&DEPLOYMENT, "cart")["spec"]["template"], Generation::V31);
    let revision = |stored: &[&str]| Deployment.target(&rollout(""), &world.live, stored, now()).unwrap().revision;
    assert!(revision(&[&older, ""]).older.contains(&older));
    assert_eq!(revision(&[""]).older, [""; 0]);
    assert_eq!(revision(&["other", &hash(&world)]).older, [""; 0]);
}

#[test]
fn images_decide_where_hashes_cannot_be_compared() {
    let rollout = rollout("");
    let world = initialised(&rollout);
    let compare = |world: &World, stored: &[&str]| {
        let revision = Deployment.target(&rollout, &world.live, stored, now()).unwrap().revision;
        (revision.comparable, revision.same_images)
    };
    assert_eq!(compare(&world, &["v2:0123456789abcdef"]), (false, true));
    let changed = world.edit(&DEPLOYMENT, "cart", image("2"));
    assert_eq!(compare(&changed, &["v2:0123456789abcdef"]), (false, false));
    let pasted = changed.edit(&DEPLOYMENT, "cart", |cart| {
        paths::set(cart, &["spec", "template", "metadata", "creationTimestamp"], json!("2026-01-01T00:00:00Z"));
    });
    assert_eq!(compare(&pasted, &["5f5f5f5f5"]), (false, false));
    assert_eq!(compare(&pasted, &[&hash(&pasted)]), (true, false), "our own hash of it is as good as any");
}

#[test]
fn the_primary_is_seen_with_what_it_runs() {
    let rollout = rollout("");
    let see = |world: &World| Deployment.primary(&rollout, &world.live, now());
    let missing = see(&world());
    assert!(!missing.exists && !missing.serving && !missing.current);
    assert_eq!(
        missing.readiness,
        Err(Trouble::missing(
            "deployment cart-primary.shop get query error: deployments.apps \"cart-primary\" not found"
        ))
    );
    let world = initialised(&rollout);
    let new = see(&world);
    assert!(new.exists && !new.serving && new.current);
    assert_eq!(
        new.readiness,
        Err(Trouble::passing(
            "cart-primary.shop not ready: waiting for rollout to finish: 0 out of 2 new replicas have been updated"
        ))
    );
    let ready = world.edit(&DEPLOYMENT, "cart-primary", |primary| {
        let status = "{replicas: 2, updatedReplicas: 2, availableReplicas: 2}";
        paths::set(primary, &["status"], yaml(status));
        // What a server or a webhook fills in is no difference.
        paths::set(primary, &["spec", "template", "spec", "dnsPolicy"], json!("ClusterFirst"));
    });
    assert_eq!(see(&ready), Primary { exists: true, readiness: Ok(()), serving: true, current: true });
    assert!(!see(&ready.clone().edit(&DEPLOYMENT, "cart", image("2"))).current);
    let mut other_config = ready;
    other_config.live.insert_digest(SECRET.object("shop", "cart-secret"), Ok(digest("2", "Opaque")));
    assert!(!see(&other_config).current);
}

#[test]
fn configs_and_pods_are_told() {
    let world = world();
    assert_eq!(
        Deployment.configs(&rollout(""), &world.live).unwrap().unwrap().checksums,
        [("secret/cart-secret".to_owned(), "1".to_owned())].into()
    );
    let off = rollout_with("", Settings { config_tracking: false, ..Settings::default() });
    assert_eq!(Deployment.configs(&off, &world.live), Ok(None));
    assert_eq!(
        Deployment.configs(&rollout(""), &World::new().live).unwrap_err().to_string(),
        "GetTargetConfigs failed: deployment cart.shop get query error: deployments.apps \"cart\" not found"
    );
    let pods = |spec: &str| Deployment.pods(&rollout(spec), &world.live).unwrap().unwrap();
    assert_eq!(pods(""), Pods { label: "app".to_owned(), value: "cart".to_owned(), ports: Vec::new() });
    assert_eq!(pods("service: {targetPort: http, portDiscovery: true}").ports, [("grpc".to_owned(), 9999)]);
}

#[test]
fn without_tracking_the_primary_uses_the_targets_configs() {
    let rollout = rollout_with("", Settings { config_tracking: false, ..Settings::default() });
    let mut world = World::new().with_yaml(&DEPLOYMENT, CART);
    assert_eq!(
        Deployment.reads(&rollout, &world.live),
        [DEPLOYMENT.object("shop", "cart"), DEPLOYMENT.object("shop", "cart-primary")]
    );
    world.apply(&Deployment.create_primary(&rollout, &world.live, &fresh(), None).unwrap());
    let name = "/spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef/name";
    assert_eq!(world.get(&DEPLOYMENT, "cart-primary").pointer(name), Some(&json!("cart-secret")));
}

#[test]
fn the_target_its_primary_and_their_configs_are_read() {
    assert_eq!(
        Deployment.reads(&rollout(""), &world().live),
        [
            DEPLOYMENT.object("shop", "cart"),
            DEPLOYMENT.object("shop", "cart-primary"),
            SECRET.object("shop", "cart-secret"),
            SECRET.object("shop", "cart-secret-primary"),
        ]
    );
}
