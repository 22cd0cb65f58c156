//! Helpers for the tests of all families: fixtures written as YAML, and a small world that takes writes as an API server would.
//!
//! Test code only. The world knows merge patches and versions, and fails where a server would refuse; it does no defaulting and runs no controllers.

use crate::targets::Fresh;
use api::{Canary, Rollout, Settings};
use objects::diff::apply_merge_patch;
use objects::paths::{set, text};
use objects::{Change, ConfigDigest, Kind, ObjectRef, Snapshot, Write};
use serde_json::{Value, json};
use std::sync::Arc;

/// The namespace of all fixtures.
pub(crate) const NAMESPACE: &str = "shop";

/// A JSON value written as YAML.
pub(crate) fn yaml(text: &str) -> Value {
    serde_yaml_ng::from_str(text).expect("the fixture is YAML")
}

/// The Canary `cart` in `shop` (uid `cart-uid`), resolved with the default settings. `spec`: its spec as YAML; `targetRef` defaults to the Deployment
/// `cart`, `service.port` to 80.
pub(crate) fn rollout(spec: &str) -> Rollout {
    rollout_with(spec, Settings::default())
}

/// The same with other settings.
pub(crate) fn rollout_with(spec: &str, settings: Settings) -> Rollout {
    let mut whole = json!({
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"},
        "service": {"port": 80},
        "analysis": {"interval": "1m", "threshold": 5, "stepWeight": 10, "maxWeight": 50},
    });
    apply_merge_patch(&mut whole, &yaml(if spec.trim().is_empty() { "{}" } else { spec }));
    let canary: Canary = serde_json::from_value(json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "cart", "namespace": NAMESPACE, "uid": "cart-uid", "generation": 1},
        "spec": whole,
    }))
    .expect("the fixture is a Canary");
    Rollout::resolve(&canary, &Arc::new(settings))
}

/// What the shell gives to renderings: the id `fresh-id` and the time 2026-07-14T10:00:00Z.
pub(crate) fn fresh() -> Fresh {
    Fresh { id: "fresh-id".to_owned(), now: now() }
}

/// 2026-07-14T10:00:00Z.
pub(crate) fn now() -> jiff::Timestamp {
    "2026-07-14T10:00:00Z".parse().expect("a time")
}

/// A digest of a config without `binaryData`.
pub(crate) fn digest(checksum: &str, secret_type: &str) -> ConfigDigest {
    ConfigDigest { checksum: checksum.to_owned(), legacy: None, secret_type: secret_type.to_owned() }
}

/// The owner reference of what the fixture Canary `cart` generates.
pub(crate) fn owner() -> Value {
    json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "cart", "uid": "cart-uid", "controller": true, "blockOwnerDeletion": true})
}

/// A snapshot that is filled and changed step by step.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// What providers read.
    pub(crate) live: Snapshot,
}

impl World {
    /// An empty world.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces an object; its name is taken from its metadata, its namespace too where it has one.
    pub(crate) fn with(mut self, kind: &'static Kind, mut object: Value) -> Self {
        let reference = reference(kind, &object);
        if text(&object, "/metadata/resourceVersion").is_empty() {
            set(&mut object, &["metadata", "resourceVersion"], json!("1"));
        }
        self.live.insert(reference, Arc::new(object));
        self
    }

    /// The same for YAML.
    pub(crate) fn with_yaml(self, kind: &'static Kind, object: &str) -> Self {
        self.with(kind, yaml(object))
    }

    /// Adds a ConfigMap or Secret with what is known of its content.
    pub(crate) fn with_config(mut self, kind: &'static Kind, object: Value, digest: ConfigDigest) -> Self {
        self.live.insert_digest(reference(kind, &object), Ok(digest));
        self.with(kind, object)
    }

    /// Changes an object in place.
    pub(crate) fn edit(mut self, kind: &'static Kind, name: &str, change: impl FnOnce(&mut Value)) -> Self {
        let mut object = self.get(kind, name).clone();
        change(&mut object);
        self.live.insert(kind.object(NAMESPACE, name), Arc::new(object));
        self
    }

    /// An object that must be there.
    pub(crate) fn get(&self, kind: &'static Kind, name: &str) -> &Value {
        self.live.find(&kind.object(NAMESPACE, name)).expect("the object exists")
    }

    /// Carries out writes, one after the other. Fails where a server would: creating what exists, patching what is missing or has changed.
    pub(crate) fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            self.apply_one(write);
        }
    }

    fn apply_one(&mut self, write: &Write) {
        let reference = &write.target;
        match &write.change {
            Change::Create(object) => {
                assert!(self.live.look_or_missing(reference).is_none(), "{reference} exists already");
                self.store(reference, object.clone());
            }
            Change::Merge { patch, version } => {
                let mut object = self.live.find(reference).expect("what is patched exists").clone();
                if let Some(version) = version {
                    assert_eq!(version, text(&object, "/metadata/resourceVersion"), "{reference} has changed since");
                }
                apply_merge_patch(&mut object, patch);
                self.store(reference, object);
            }
            Change::CopyContent { from, envelope, exists } => {
                assert_eq!(*exists, self.live.look_or_missing(reference).is_some(), "{reference}");
                let digest = self.live.digest(from).expect("the source has been read").clone();
                self.live.insert_digest(reference.clone(), Ok(digest));
                self.store(reference, envelope.clone());
            }
            Change::Delete => self.live.remove(reference),
        }
    }

    fn store(&mut self, reference: &ObjectRef, mut object: Value) {
        let version = self
            .live
            .look_or_missing(reference)
            .map_or(0, |live| text(live, "/metadata/resourceVersion").parse().unwrap_or(0));
        set(&mut object, &["metadata", "resourceVersion"], json!((version + 1).to_string()));
        self.live.insert(reference.clone(), Arc::new(object));
    }
}

fn reference(kind: &'static Kind, object: &Value) -> ObjectRef {
    let namespace = text(object, "/metadata/namespace");
    kind.object(if namespace.is_empty() { NAMESPACE } else { namespace }, text(object, "/metadata/name"))
}

/// The values that a CRD allows for the text of which `example` is one.
pub(crate) fn allowed_values(crd: &Value, example: &str) -> Vec<String> {
    let own = crd.get("enum").and_then(Value::as_array).filter(|values| values.contains(&json!(example)));
    if let Some(values) = own {
        return values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let children: Vec<&Value> = match crd {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    children
        .into_iter()
        .map(|child| allowed_values(child, example))
        .find(|values| !values.is_empty())
        .unwrap_or_default()
}
