//! The user's manifests by kind and name, and as a snapshot that providers can read.
//!
//! What `render` and `validate` share. Objects without a namespace are in the one that was given on the command line. Secrets: `stringData` is put into
//! `data` as it stands, since only equality counts here. No defaults of the API server are filled in but those that decide what is rendered (`replicas`).

use crate::manifests::{Manifest, Problem};
use api::{Canary, Settings};
use objects::kind::{
    ALERT_PROVIDER, CANARY, CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, INGRESS, METRIC_TEMPLATE, SECRET,
    SERVICE,
};
use objects::{Kind, ObjectRef, Snapshot, checksum, paths};
use providers::{routers, scalers, services, targets};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(crate) struct Given {
    manifests: Vec<Manifest>,
    namespace: String,
    /// By namespace: a Canary sees nothing of others.
    snapshots: HashMap<Arc<str>, Snapshot>,
}

impl Given {
    /// These manifests; `namespace`: that of objects that name none.
    pub(crate) fn new(manifests: Vec<Manifest>, namespace: &str) -> Self {
        let mut given = Self { manifests, namespace: namespace.to_owned(), snapshots: HashMap::new() };
        given.snapshots = given.snapshots();
        given
    }

    /// All manifests, in the order in which they stand.
    pub(crate) fn all(&self) -> &[Manifest] {
        &self.manifests
    }

    /// The manifests of a kind, in any version and namespace.
    pub(crate) fn of(&self, kind: &Kind) -> impl Iterator<Item = &Manifest> {
        self.named(kind.group, kind.kind)
    }

    /// The same by group and name of the kind.
    pub(crate) fn named(&self, group: &str, kind: &str) -> impl Iterator<Item = &Manifest> {
        self.manifests.iter().filter(move |manifest| manifest.kind() == kind && self::group(manifest) == group)
    }

    /// One object.
    pub(crate) fn find(&self, kind: &Kind, namespace: &str, name: &str) -> Option<&Manifest> {
        self.of(kind).find(|manifest| manifest.name() == name && self.namespace_of(manifest) == namespace)
    }

    /// The namespace of an object.
    pub(crate) fn namespace_of<'a>(&'a self, manifest: &'a Manifest) -> &'a str {
        if manifest.namespace().is_empty() { &self.namespace } else { manifest.namespace() }
    }

    /// A Canary as the controller reads it. Error: the field that cannot be read.
    pub(crate) fn canary(&self, manifest: &Manifest) -> Result<Canary, Box<Problem>> {
        let read = self.read_canary(manifest, manifest.object.clone());
        read.map_err(|error| Box::new(unreadable(manifest, &error)))
    }

    /// The same without the fields that cannot be read, and what is wrong with those. `None`: nothing is left.
    pub(crate) fn canary_in_part(&self, manifest: &Manifest) -> (Option<Canary>, Vec<Problem>) {
        let (mut object, mut problems) = (manifest.object.clone(), Vec::new());
        loop {
            match self.read_canary(manifest, object.clone()) {
                Ok(canary) => return (Some(canary), problems),
                Err(error) => {
                    problems.push(unreadable(manifest, &error));
                    if !clear(&mut object, &error.path) {
                        return (None, problems);
                    }
                }
            }
        }
    }

    fn read_canary(&self, manifest: &Manifest, object: Value) -> Result<Canary, api::DecodeError> {
        let mut canary: Canary = api::decode(object)?;
        self.namespace_of(manifest).clone_into(&mut canary.metadata.namespace);
        // What the API server gives every object; owner references of one Canary are told from those of another by it.
        canary.metadata.uid.clear();
        canary.metadata.generation = 1;
        Ok(canary)
    }

    /// What the providers could read in a namespace if these manifests had been applied.
    pub(crate) fn snapshot(&self, namespace: &str) -> Snapshot {
        self.snapshots.get(namespace).cloned().unwrap_or_default()
    }

    fn snapshots(&self) -> HashMap<Arc<str>, Snapshot> {
        let mut snapshots: HashMap<Arc<str>, Snapshot> = HashMap::new();
        for manifest in &self.manifests {
            let Some(kind) = known(group(manifest), manifest.kind()) else { continue };
            let reference = kind.object(self.namespace_of(manifest), manifest.name());
            let snapshot = snapshots.entry(reference.namespace.clone()).or_default();
            let object = as_stored(kind, manifest.object.clone(), &reference);
            if *kind == CONFIG_MAP {
                snapshot.insert_digest(reference.clone(), Ok(checksum::digest_config_map(&object)));
            } else if *kind == SECRET {
                snapshot.insert_digest(reference.clone(), Ok(checksum::digest_secret(&object)));
            }
            snapshot.insert(reference, Arc::new(object));
        }
        snapshots
    }
}

/// The group of an object's kind; empty for the core group.
pub(crate) fn group(manifest: &Manifest) -> &str {
    manifest.api_version().rsplit_once('/').map_or("", |(group, _)| group)
}

/// The problem of an object that is no Canary, MetricTemplate or AlertProvider.
pub(crate) fn unreadable(manifest: &Manifest, error: &api::DecodeError) -> Problem {
    manifest.problem(&error.path, error.cause.to_string(), "correct the value")
}

/// Makes a field of a path such as `spec.analysis.stepWeights[1]` null. False: there is none, or it is null already.
fn clear(object: &mut Value, path: &str) -> bool {
    let mut place = object;
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        let inner = match part.strip_suffix(']') {
            Some(index) => index.parse::<usize>().ok().and_then(|index| place.get_mut(index)),
            None => place.get_mut(part),
        };
        let Some(inner) = inner else { return false };
        place = inner;
    }
    let had = !path.is_empty() && !place.is_null();
    *place = Value::Null;
    had
}

/// The settings of an operator whose default provider is this one.
pub(crate) fn settings(provider: &str) -> Arc<Settings> {
    Arc::new(Settings { mesh_provider: provider.to_owned(), ..Settings::default() })
}

/// The kind as providers know it; `None` for one that no provider reads.
fn known(group: &str, kind: &str) -> Option<&'static Kind> {
    let lists = targets::TARGETS
        .iter()
        .map(|target| target.kinds())
        .chain(scalers::SCALERS.iter().map(|scaler| scaler.kinds()))
        .chain(routers::ROUTERS.iter().map(|router| router.kinds()))
        .chain([services::KINDS]);
    let ours = [&CANARY, &METRIC_TEMPLATE, &ALERT_PROVIDER];
    let core = [&DEPLOYMENT, &SERVICE, &CONFIG_MAP, &SECRET, &HORIZONTAL_POD_AUTOSCALER, &INGRESS];
    lists
        .flatten()
        .map(|access| access.kind)
        .chain(ours)
        .chain(core)
        .find(|known| known.group == group && known.kind == kind)
}

/// The object as the API server would store it, as far as renderings depend on it.
fn as_stored(kind: &Kind, mut object: Value, reference: &ObjectRef) -> Value {
    paths::set(&mut object, &["metadata", "namespace"], json!(&*reference.namespace));
    if *kind == DEPLOYMENT && object.pointer("/spec/replicas").is_none() {
        paths::set(&mut object, &["spec", "replicas"], json!(1));
    }
    if *kind == SECRET {
        for (key, value) in paths::strings(&object, "/stringData") {
            paths::set(&mut object, &["data", &key], json!(value));
        }
        paths::set(&mut object, &["stringData"], Value::Null);
        if object.get("type").is_none() {
            paths::set(&mut object, &["type"], json!("Opaque"));
        }
    }
    object
}
