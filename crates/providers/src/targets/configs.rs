//! `ConfigMap`s and `Secret`s that a workload's pods use, and the primary's copies of them.
//!
//! Reads a pod spec (volumes, projected volumes, `env` and `envFrom` of containers and init containers) and the metadata and digests of what it refers to;
//! renders copies named `<config>-primary` and the pod spec that uses them. Never sees content: the shell digests it, and fetches it when a copy is
//! written. Not looked at: image pull secrets, ephemeral containers, `fileKeyRef` and other volume types that use secrets.

use super::TargetError;
use super::workload::under;
use crate::access::Access;
use crate::metadata::{self, CONFIG_TRACKING};
use api::Rollout;
use objects::kind::{CONFIG_MAP, SECRET};
use objects::{Absent, Change, ConfigDigest, Kind, ObjectRef, Snapshot, Write, paths};
use rollout::Configs;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Read, watched, created and replaced: a copy is written whole, since its content is not compared here but by digest.
const COPY: &[&str] = &["get", "list", "watch", "create", "update", "patch"];

/// What is done with `ConfigMap`s.
pub(super) const CONFIG_MAPS: Access = Access { kind: &CONFIG_MAP, verbs: COPY };
/// What is done with `Secret`s.
pub(super) const SECRETS: Access = Access { kind: &SECRET, verbs: COPY };

/// Types of Secrets that are tracked. Others, as service account tokens and registry logins, belong to the cluster rather than to a revision.
const SECRET_TYPES: [&str; 4] = ["Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls"];

/// One of the two kinds of configs. In this order they are scanned, copied and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    ConfigMap,
    Secret,
}

impl Family {
    fn kind(self) -> &'static Kind {
        match self {
            Self::ConfigMap => &CONFIG_MAP,
            Self::Secret => &SECRET,
        }
    }

    /// How keys of `status.trackedConfigs` and error texts call it.
    fn noun(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        }
    }
}

/// A config by family and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Config {
    family: Family,
    name: String,
}

impl Config {
    fn source(&self, rollout: &Rollout) -> ObjectRef {
        self.family.kind().object(&rollout.namespace, &self.name)
    }

    fn copy(&self, rollout: &Rollout) -> ObjectRef {
        self.family.kind().object(&rollout.namespace, &self.copy_name())
    }

    fn copy_name(&self) -> String {
        format!("{}-primary", self.name)
    }

    /// As in `status.trackedConfigs`: `configmap/name`.
    fn key(&self) -> String {
        format!("{}/{}", self.family.noun(), self.name)
    }
}

/// The configs of a target that are tracked: they exist, and nothing speaks against copying them. Sorted by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tracked(BTreeMap<Config, ConfigDigest>);

/// The objects whose state matters for the configs of this pod spec: what it refers to, and the copies. None where tracking is switched off.
pub(super) fn reads(rollout: &Rollout, pod_spec: &Value) -> Vec<ObjectRef> {
    if !rollout.settings.config_tracking {
        return Vec::new();
    }
    wanted(pod_spec).keys().flat_map(|config| [config.source(rollout), config.copy(rollout)]).collect()
}

impl Tracked {
    /// Finds the tracked ones among what a pod spec refers to; none where tracking is switched off. A required config that cannot be read is an error; an
    /// optional one only if the server cannot be asked, since a config that is taken for absent by mistake would look like a new revision.
    pub(super) fn of(rollout: &Rollout, live: &Snapshot, pod_spec: &Value) -> Result<Self, TargetError> {
        let mut tracked = BTreeMap::new();
        if rollout.settings.config_tracking {
            for (config, required) in wanted(pod_spec) {
                if let Some(digest) = resolve(rollout, live, &config, required)? {
                    tracked.insert(config, digest);
                }
            }
        }
        Ok(Self(tracked))
    }

    /// The checksums, by key as in `status.trackedConfigs`.
    pub(super) fn checksums(&self) -> Configs {
        let legacy = |(config, digest): (&Config, &ConfigDigest)| Some((config.key(), digest.legacy.clone()?));
        Configs {
            checksums: self.0.iter().map(|(config, digest)| (config.key(), digest.checksum.clone())).collect(),
            legacy: self.0.iter().filter_map(legacy).collect(),
        }
    }

    /// Makes a copied pod spec use the copies.
    pub(super) fn rewrite(&self, pod_spec: &mut Value) {
        for reference in references(pod_spec) {
            if let Some(name) = pod_spec.pointer_mut(&reference.pointer)
                && self.0.contains_key(&reference.config)
            {
                *name = Value::from(reference.config.copy_name());
            }
        }
    }

    /// Whether all copies have the content of their source.
    pub(super) fn are_copied(&self, rollout: &Rollout, live: &Snapshot) -> bool {
        self.0
            .iter()
            .all(|(config, digest)| live.digest(&config.copy(rollout)).is_ok_and(|copy| same_content(copy, digest)))
    }

    /// The copies that are missing or differ in content, labels or owners.
    pub(super) fn copies(&self, rollout: &Rollout, live: &Snapshot) -> Result<Vec<Write>, TargetError> {
        let copies = self.0.iter().filter_map(|(config, digest)| copy(rollout, live, config, digest).transpose());
        under("CreatePrimaryConfigs failed: ", copies.collect())
    }
}

/// The config's digest if it is tracked.
fn resolve(
    rollout: &Rollout,
    live: &Snapshot,
    config: &Config,
    required: bool,
) -> Result<Option<ConfigDigest>, TargetError> {
    let source = config.source(rollout);
    let (object, digest) = match live.find(&source).and_then(|object| Ok((object, live.digest(&source)?))) {
        Ok(found) => found,
        Err(Absent::NotFound(_)) if !required => return Ok(None),
        Err(absent) => {
            // Users know this text with its prefix twice.
            let prefix = format!("{} {}.{} get query error: ", config.family.noun(), config.name, rollout.namespace);
            return Err(TargetError::new(format!("GetTargetConfigs failed: {prefix}{prefix}{absent}")));
        }
    };
    let foreign = config.family == Family::Secret && !SECRET_TYPES.contains(&digest.secret_type.as_str());
    let opted_out = paths::annotation(object, CONFIG_TRACKING).is_some_and(|value| value.starts_with("disable"));
    Ok((!foreign && !opted_out).then(|| digest.clone()))
}

fn same_content(left: &ConfigDigest, right: &ConfigDigest) -> bool {
    left.checksum == right.checksum && left.secret_type == right.secret_type
}

/// The write that makes the copy what its source is, `None` where it is.
fn copy(
    rollout: &Rollout,
    live: &Snapshot,
    config: &Config,
    digest: &ConfigDigest,
) -> Result<Option<Write>, TargetError> {
    let (source, target) = (config.source(rollout), config.copy(rollout));
    let (noun, full_name) = (config.family.noun(), format!("{}.{}", target.name, target.namespace));
    let unreadable = |absent: Absent| TargetError::new(format!("{noun} {full_name} get query failed : {absent}"));
    let present = match live.look(&target).map_err(unreadable)? {
        Some(object) => Some((object, live.digest(&target).map_err(unreadable)?)),
        None => None,
    };
    let same = present.is_some_and(|(_, copy)| same_content(copy, digest));
    if let Some((object, _)) = present
        && !same
        && !metadata::owned_by_canary(object)
    {
        return Err(TargetError::new(format!(
            "{noun} {full_name} exists with other data and belongs to no Canary; remove it, or annotate {noun} {} with {CONFIG_TRACKING}: disabled",
            config.name
        )));
    }
    let labels = live.find(&source).map(paths::labels).unwrap_or_default();
    let envelope = envelope(rollout, config, &labels, present.map(|(object, _)| object));
    if same && present.is_some_and(|(object, _)| same_metadata(object, &envelope)) {
        return Ok(None);
    }
    let verb = if present.is_some() { "updating" } else { "creating" };
    Ok(Some(Write {
        change: Change::CopyContent { from: source, envelope, exists: present.is_some() },
        failure: format!("{verb} {noun} {full_name} failed: "),
        success: Some(format!("{} {} synced", config.family.kind().kind, target.name)),
        target,
    }))
}

/// The copy without content. Annotations and finalizers are not copied, but those that somebody has put on the copy stay.
fn envelope(rollout: &Rollout, config: &Config, labels: &metadata::StringMap, live: Option<&Value>) -> Value {
    let kind = config.family.kind();
    let mut envelope = json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "metadata": {"name": config.copy_name(), "namespace": rollout.namespace},
    });
    let kept = |key: &str| live.and_then(|object| object.pointer("/metadata")?.get(key)).cloned().unwrap_or_default();
    paths::set(
        &mut envelope,
        &["metadata", "labels"],
        metadata::to_value(&metadata::by_prefix(labels, &rollout.settings)),
    );
    paths::set(&mut envelope, &["metadata", "annotations"], kept("annotations"));
    paths::set(&mut envelope, &["metadata", "finalizers"], kept("finalizers"));
    paths::set(
        &mut envelope,
        &["metadata", "ownerReferences"],
        Value::from(metadata::shared_owner_references(rollout, live)),
    );
    envelope
}

fn same_metadata(live: &Value, envelope: &Value) -> bool {
    ["/metadata/labels", "/metadata/ownerReferences"].iter().all(|pointer| {
        let at = |object: &Value| object.pointer(pointer).cloned().unwrap_or_default();
        objects::diff::equivalent(&at(live), &at(envelope))
    })
}

/// What a pod spec refers to, and whether the pods need it: it is required if any reference requires it, as the kubelet sees it.
fn wanted(pod_spec: &Value) -> BTreeMap<Config, bool> {
    references(pod_spec).into_iter().fold(BTreeMap::new(), |mut wanted, reference| {
        *wanted.entry(reference.config).or_default() |= reference.required;
        wanted
    })
}

/// A place in a pod spec that names a config.
struct Reference {
    config: Config,
    required: bool,
    /// Where the name stands.
    pointer: String,
}

/// All places of a pod spec that name a config.
fn references(pod_spec: &Value) -> Vec<Reference> {
    let mut scan = Scan { pod_spec, found: Vec::new() };
    for volume in scan.places("/volumes") {
        scan.note(&volume, "configMap", Family::ConfigMap, "name");
        scan.note(&volume, "secret", Family::Secret, "secretName");
        for source in scan.places(&format!("{volume}/projected/sources")) {
            scan.note(&source, "configMap", Family::ConfigMap, "name");
            scan.note(&source, "secret", Family::Secret, "name");
        }
    }
    for container in ["/containers", "/initContainers"].iter().flat_map(|list| scan.places(list)).collect::<Vec<_>>() {
        for variable in scan.places(&format!("{container}/env")) {
            scan.note_either(&format!("{variable}/valueFrom"), "configMapKeyRef", "secretKeyRef");
        }
        for source in scan.places(&format!("{container}/envFrom")) {
            scan.note_either(&source, "configMapRef", "secretRef");
        }
    }
    scan.found
}

struct Scan<'a> {
    pod_spec: &'a Value,
    found: Vec<Reference>,
}

impl Scan<'_> {
    /// Pointers to the elements of a list.
    fn places(&self, list: &str) -> Vec<String> {
        (0..paths::list(self.pod_spec, list).count()).map(|index| format!("{list}/{index}")).collect()
    }

    /// Notes the config named at `<place>/<field>/<key>`, if there is one. True if the field is there.
    fn note(&mut self, place: &str, field: &str, family: Family, key: &str) -> bool {
        let Some(reference) = self.pod_spec.pointer(&format!("{place}/{field}")).filter(|value| value.is_object())
        else {
            return false;
        };
        let name = reference.get(key).and_then(Value::as_str).unwrap_or_default();
        if !name.is_empty() {
            let required = reference.get("optional").and_then(Value::as_bool) != Some(true);
            let config = Config { family, name: name.to_owned() };
            self.found.push(Reference { config, required, pointer: format!("{place}/{field}/{key}") });
        }
        true
    }

    /// The same for an element that names either a `ConfigMap` or a `Secret`; the former wins.
    fn note_either(&mut self, place: &str, config_map: &str, secret: &str) {
        if !self.note(place, config_map, Family::ConfigMap, "name") {
            self.note(place, secret, Family::Secret, "name");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, digest, owner, rollout, rollout_with, yaml};
    use api::Settings;

    fn pod_spec() -> Value {
        yaml(
            "
            volumes:
            - {name: plain, emptyDir: {}}
            - {name: a, configMap: {name: volume-map, optional: true}}
            - {name: b, secret: {secretName: volume-secret}}
            - name: c
              projected:
                sources:
                - configMap: {name: projected-map}
                - secret: {name: projected-secret, optional: false}
                - serviceAccountToken: {path: token}
            containers:
            - name: web
              env:
              - {name: A, value: b}
              - {name: B, valueFrom: {configMapKeyRef: {name: env-map, key: a, optional: true}}}
              - {name: C, valueFrom: {secretKeyRef: {name: env-secret, key: a, optional: true}}}
              - {name: D, valueFrom: {configMapKeyRef: {name: env-map, key: b}}}
              - {name: E, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
              envFrom:
              - {prefix: X_, configMapRef: {name: from-map}}
              - {secretRef: {name: from-secret}}
            initContainers:
            - name: init
              env: [{name: A, valueFrom: {secretKeyRef: {name: init-secret, key: a}}}]
            imagePullSecrets: [{name: login}]
            ",
        )
    }

    /// Keys, and whether they are required.
    fn named(entries: &[(&str, bool)]) -> BTreeMap<String, bool> {
        entries.iter().map(|(key, required)| ((*key).to_owned(), *required)).collect()
    }

    #[test]
    fn all_places_are_scanned_and_any_requirement_counts() {
        let found: BTreeMap<_, _> =
            wanted(&pod_spec()).into_iter().map(|(config, required)| (config.key(), required)).collect();
        assert_eq!(
            found,
            named(&[
                ("configmap/env-map", true),
                ("configmap/from-map", true),
                ("configmap/projected-map", true),
                ("configmap/volume-map", false),
                ("secret/env-secret", false),
                ("secret/from-secret", true),
                ("secret/init-secret", true),
                ("secret/projected-secret", true),
                ("secret/volume-secret", true),
            ])
        );
    }

    fn spec_with(kind: &str, name: &str, optional: bool) -> Value {
        yaml(&format!("containers: [{{name: web, envFrom: [{{{kind}: {{name: {name}, optional: {optional}}}}}]}}]"))
    }

    fn config(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop"}})
    }

    fn keys(world: &World, pod_spec: &Value) -> Result<Vec<String>, String> {
        let tracked = Tracked::of(&rollout(""), &world.live, pod_spec).map_err(|error| error.to_string())?;
        Ok(tracked.checksums().checksums.into_keys().collect())
    }

    #[test]
    fn what_is_required_must_be_readable() {
        let text = "GetTargetConfigs failed: configmap a.shop get query error: configmap a.shop get query error: configmaps \"a\" not found";
        assert_eq!(keys(&World::new(), &spec_with("configMapRef", "a", false)), Err(text.to_owned()));
        assert_eq!(keys(&World::new(), &spec_with("secretRef", "a", true)), Ok(vec![]));
    }

    #[test]
    fn an_optional_config_is_absent_only_if_the_server_says_so() {
        let mut world = World::new();
        world.live.set_unavailable(SECRET, "secrets is forbidden".to_owned());
        let text = "GetTargetConfigs failed: secret a.shop get query error: secret a.shop get query error: secrets is forbidden";
        assert_eq!(keys(&world, &spec_with("secretRef", "a", true)), Err(text.to_owned()));
        // Seen, but its content could not be read.
        let mut world = World::new().with(&CONFIG_MAP, config("a"));
        world.live.insert_digest(CONFIG_MAP.object("shop", "a"), Err("timeout".to_owned()));
        let text =
            "GetTargetConfigs failed: configmap a.shop get query error: configmap a.shop get query error: timeout";
        assert_eq!(keys(&world, &spec_with("configMapRef", "a", true)), Err(text.to_owned()));
    }

    #[test]
    fn opted_out_configs_and_foreign_types_of_secrets_are_not_tracked() {
        let tracked = |annotation: &str, secret_type: &str| {
            let mut object = config("a");
            paths::set(&mut object, &["metadata", "annotations", CONFIG_TRACKING], json!(annotation));
            let world = World::new().with_config(&SECRET, object, digest("1", secret_type));
            keys(&world, &spec_with("secretRef", "a", false)).unwrap() == ["secret/a"]
        };
        assert!(tracked("enabled", "Opaque"));
        assert!(tracked("Disabled", "kubernetes.io/tls"));
        assert!(!tracked("disabled", "Opaque"));
        assert!(!tracked("disable", "Opaque"));
        assert!(!tracked("enabled", "kubernetes.io/service-account-token"));
    }

    #[test]
    fn a_checksum_by_the_old_formula_is_told_beside_the_new_one() {
        let old = ConfigDigest { legacy: Some("old".to_owned()), ..digest("new", "") };
        let world = World::new().with_config(&CONFIG_MAP, config("a"), old).with_config(
            &SECRET,
            config("b"),
            digest("b", "Opaque"),
        );
        let spec = yaml("volumes: [{name: a, configMap: {name: a}}, {name: b, secret: {secretName: b}}]");
        let configs = Tracked::of(&rollout(""), &world.live, &spec).unwrap().checksums();
        assert_eq!(json!(configs.checksums), json!({"configmap/a": "new", "secret/b": "b"}));
        assert_eq!(json!(configs.legacy), json!({"configmap/a": "old"}));
    }

    #[test]
    fn tracked_names_are_rewritten_and_others_stay() {
        let world = World::new().with_config(&CONFIG_MAP, config("env-map"), digest("1", "")).with_config(
            &SECRET,
            config("volume-secret"),
            digest("2", "Opaque"),
        );
        let spec = yaml(
            "
            volumes: [{name: b, secret: {secretName: volume-secret}}, {name: c, secret: {secretName: missing, optional: true}}]
            initContainers: [{name: init, envFrom: [{configMapRef: {name: env-map}}]}]
            ",
        );
        let mut copy = spec.clone();
        Tracked::of(&rollout(""), &world.live, &spec).unwrap().rewrite(&mut copy);
        assert_eq!(
            copy,
            yaml(
                "
                volumes: [{name: b, secret: {secretName: volume-secret-primary}}, {name: c, secret: {secretName: missing, optional: true}}]
                initContainers: [{name: init, envFrom: [{configMapRef: {name: env-map-primary}}]}]
                "
            )
        );
    }

    #[test]
    fn without_tracking_nothing_is_read() {
        let off = rollout_with("", Settings { config_tracking: false, ..Settings::default() });
        assert_eq!(reads(&off, &pod_spec()), []);
        assert_eq!(Tracked::of(&off, &World::new().live, &pod_spec()), Ok(Tracked::default()));
        let on = reads(&rollout(""), &spec_with("secretRef", "a", true));
        assert_eq!(on, [SECRET.object("shop", "a"), SECRET.object("shop", "a-primary")]);
    }

    /// The writes that copy the Secret `a` (content `1`, label `team: shop`, other metadata).
    fn copies(world: World) -> (World, Result<Vec<Write>, String>) {
        let rollout =
            rollout_with("", Settings { include_label_prefixes: vec!["team".to_owned()], ..Settings::default() });
        let source = yaml("metadata: {name: a, namespace: shop, labels: {team: shop, app: cart}, annotations: {b: c}}");
        let world = world.with_config(&SECRET, source, digest("1", "Opaque"));
        let tracked = Tracked::of(&rollout, &world.live, &spec_with("secretRef", "a", false)).unwrap();
        let writes = tracked.copies(&rollout, &world.live).map_err(|error| error.to_string());
        (world, writes)
    }

    fn with_copy(metadata: &str, checksum: &str) -> World {
        let mut object = yaml(&format!("metadata: {metadata}"));
        paths::set(&mut object, &["metadata", "name"], json!("a-primary"));
        World::new().with_config(&SECRET, object, digest(checksum, "Opaque"))
    }

    fn single(writes: Result<Vec<Write>, String>) -> (Value, bool, String, String) {
        let [write] = <[Write; 1]>::try_from(writes.unwrap()).unwrap();
        let Change::CopyContent { envelope, exists, .. } = write.change else { panic!("{write:?}") };
        (envelope, exists, write.failure, write.success.unwrap())
    }

    #[test]
    fn a_missing_copy_is_created_and_then_left_alone() {
        let (mut world, writes) = copies(World::new());
        world.apply(writes.as_deref().unwrap());
        let (envelope, exists, failure, success) = single(writes);
        assert_eq!(
            envelope,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {
                "name": "a-primary", "namespace": "shop", "labels": {"team": "shop"}, "ownerReferences": [owner()],
            }})
        );
        assert!(!exists);
        assert_eq!(failure, "CreatePrimaryConfigs failed: creating secret a-primary.shop failed: ");
        assert_eq!(success, "Secret a-primary synced");
        assert_eq!(copies(world).1, Ok(vec![]));
    }

    #[test]
    fn a_copy_is_renewed_and_shared_with_other_canaries() {
        let metadata = "{labels: {old: label}, annotations: {seen: by-a-tool}, ownerReferences: [
            {apiVersion: flagger.app/v1beta1, kind: Canary, name: basket, uid: u1, controller: true, blockOwnerDeletion: true},
            {apiVersion: flagger.app/v1beta1, kind: Canary, name: cart, uid: stale, controller: false}]}";
        let (mut world, writes) = copies(with_copy(metadata, "0"));
        world.apply(writes.as_deref().unwrap());
        let (envelope, exists, failure, _) = single(writes);
        let mut basket = owner();
        objects::diff::apply_merge_patch(&mut basket, &json!({"name": "basket", "uid": "u1", "controller": false}));
        assert_eq!(
            envelope.get("metadata").unwrap(),
            &json!({
                "name": "a-primary", "namespace": "shop", "labels": {"team": "shop"}, "annotations": {"seen": "by-a-tool"},
                "ownerReferences": [owner(), basket],
            })
        );
        assert!(exists);
        assert_eq!(failure, "CreatePrimaryConfigs failed: updating secret a-primary.shop failed: ");
        assert_eq!(copies(world).1, Ok(vec![]));
    }

    #[test]
    fn an_object_of_the_user_is_adopted_if_equal_and_never_overwritten() {
        let (_, writes) = copies(with_copy("{}", "1"));
        assert_eq!(single(writes).0.pointer("/metadata/ownerReferences"), Some(&json!([owner()])));
        assert_eq!(
            copies(with_copy("{}", "0")).1,
            Err("CreatePrimaryConfigs failed: secret a-primary.shop exists with other data and belongs to no Canary; remove it, or annotate \
                 secret a with flagger.app/config-tracking: disabled"
                .to_owned())
        );
    }

    #[test]
    fn a_copy_that_cannot_be_read_is_not_guessed() {
        let mut world = with_copy("{}", "0");
        world.live.insert_digest(SECRET.object("shop", "a-primary"), Err("timeout".to_owned()));
        assert_eq!(
            copies(world).1,
            Err("CreatePrimaryConfigs failed: secret a-primary.shop get query failed : timeout".to_owned())
        );
    }
}
