//! What is known of the objects around one Canary at one moment.
//!
//! The shell fills a snapshot from its caches (tests fill it by hand); providers read it. Looking something up costs nothing and never waits.
//! `ConfigMaps` and Secrets are not kept with their content: a snapshot holds their metadata and a [`ConfigDigest`].

use crate::kind::{CONFIG_MAP, Kind, ObjectRef, SECRET};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Why an object cannot be had. The text is the API server's own message, since users see it in events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// There is no such object.
    #[error("{0}")]
    NotFound(String),
    /// Its kind cannot be read: no such API, no permission, or not listed yet.
    #[error("{0}")]
    Unavailable(String),
}

impl Absent {
    /// True if the server says that there is no such object (and not that it could not be asked).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }
}

/// A ConfigMap or Secret without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDigest {
    /// Checksum of the content (`checksum`), 16 hexadecimal digits.
    pub checksum: String,
    /// Checksum by the reference's formula where that differs (objects with `binaryData`).
    pub legacy: Option<String>,
    /// `type` of a Secret; empty for `ConfigMaps`.
    pub secret_type: String,
}

/// Objects by reference, kinds that cannot be read, and digests of configs.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    objects: HashMap<ObjectRef, Arc<Value>>,
    digests: HashMap<ObjectRef, Result<ConfigDigest, String>>,
    unavailable: BTreeMap<Kind, String>,
}

impl Snapshot {
    /// An empty world, in which every kind can be read.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces an object.
    pub fn insert(&mut self, reference: ObjectRef, object: Arc<Value>) {
        self.objects.insert(reference, object);
    }

    /// Adds what is known of a config's content: its digest, or why it could not be read.
    pub fn insert_digest(&mut self, reference: ObjectRef, digest: Result<ConfigDigest, String>) {
        self.digests.insert(reference, digest);
    }

    /// Says that a kind cannot be read, with the API server's message.
    pub fn set_unavailable(&mut self, kind: Kind, why: String) {
        self.unavailable.insert(kind, why);
    }

    /// Removes an object.
    pub fn remove(&mut self, reference: &ObjectRef) {
        self.objects.remove(reference);
        self.digests.remove(reference);
    }

    /// The object, or why there is none.
    pub fn find(&self, reference: &ObjectRef) -> Result<&Value, Absent> {
        match self.objects.get(reference) {
            Some(object) => Ok(object.as_ref()),
            None => match self.unavailable.get(reference.kind) {
                Some(why) => Err(Absent::Unavailable(why.clone())),
                None => Err(Absent::NotFound(reference.not_found())),
            },
        }
    }

    /// The object, `None` if there is none, or why its kind cannot be read.
    pub fn look(&self, reference: &ObjectRef) -> Result<Option<&Value>, Absent> {
        match self.find(reference) {
            Ok(object) => Ok(Some(object)),
            Err(Absent::NotFound(_)) => Ok(None),
            Err(unavailable) => Err(unavailable),
        }
    }

    /// Like [`Self::look`], but where a kind is not served at all, its objects are taken as missing, so that creating them yields the server's own message.
    pub fn look_or_missing(&self, reference: &ObjectRef) -> Option<&Value> {
        self.objects.get(reference).map(AsRef::as_ref)
    }

    /// The digest of a ConfigMap or Secret.
    pub fn digest(&self, reference: &ObjectRef) -> Result<&ConfigDigest, Absent> {
        debug_assert!(*reference.kind == CONFIG_MAP || *reference.kind == SECRET);
        self.find(reference)?;
        match self.digests.get(reference) {
            Some(Ok(digest)) => Ok(digest),
            Some(Err(why)) => Err(Absent::Unavailable(why.clone())),
            None => Err(Absent::Unavailable(format!("{reference} has not been read yet"))),
        }
    }

    /// All objects, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectRef, &Value)> {
        self.objects.iter().map(|(reference, object)| (reference, object.as_ref()))
    }
}
