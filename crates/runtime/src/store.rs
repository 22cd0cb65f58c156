//! What is kept of one watched kind.
//!
//! Objects that some Canary reads are kept as compact bytes, without managed fields; of the others only that they exist. A write's answer is put in at once,
//! so that nothing is decided on facts older than our own writes; what the watch brings later is taken only if it is newer.

use objects::ObjectRef;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Namespace and name.
pub(crate) type Place = (String, String);

/// Whether a kind can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Health {
    /// The first list is under way.
    #[default]
    Listing,
    /// It is complete and kept up to date.
    Ready,
    /// It cannot be had: the server's message.
    Failing(String),
}

/// One kept object.
#[derive(Debug, Clone)]
struct Kept {
    version: Option<u64>,
    bytes: Arc<[u8]>,
}

/// What is known about an object.
#[derive(Debug, PartialEq)]
pub(crate) enum Known {
    /// It is kept.
    Kept(Arc<[u8]>),
    /// It exists, but nobody read it before: it must be fetched once.
    Exists,
    /// There is none.
    Missing,
}

/// The objects of one kind.
#[derive(Debug, Default)]
pub(crate) struct Store {
    kept: HashMap<Place, Kept>,
    exists: HashSet<Place>,
    /// Versions at which objects were deleted by us or by the watch, so that late news do not bring them back.
    gone: HashMap<Place, u64>,
    relisting: HashSet<Place>,
    pub(crate) health: Health,
}

impl Store {
    /// What is known about an object.
    pub(crate) fn known(&self, namespace: &str, name: &str) -> Known {
        let place = (namespace.to_owned(), name.to_owned());
        match self.kept.get(&place) {
            Some(kept) => Known::Kept(Arc::clone(&kept.bytes)),
            None if self.exists.contains(&place) => Known::Exists,
            None => Known::Missing,
        }
    }

    /// Takes an object in. `wanted`: somebody reads it. True if what is kept changed.
    pub(crate) fn apply(&mut self, object: &Value, wanted: bool) -> bool {
        let place = place(object);
        let version = version(object);
        // A list that was begun after everything we know shows what is there now, even if its versions are lower: the server's data were restored.
        let listed = self.relisting.remove(&place);
        if let (Some(version), Some(gone)) = (version, self.gone.get(&place))
            && version <= *gone
        {
            return false;
        }
        self.gone.remove(&place);
        if !wanted {
            self.kept.remove(&place);
            return self.exists.insert(place);
        }
        if let Some(kept) = self.kept.get(&place)
            && version.is_some()
            && kept.version >= version
            && !(listed && kept.version > version)
        {
            return false;
        }
        let bytes: Arc<[u8]> = compact(object).into();
        self.exists.insert(place.clone());
        let changed = self.kept.get(&place).is_none_or(|kept| kept.bytes != bytes);
        self.kept.insert(place, Kept { version, bytes });
        changed
    }

    /// Takes note that an object is gone. True if it was known.
    pub(crate) fn delete(&mut self, namespace: &str, name: &str, at: Option<u64>) -> bool {
        let place = (namespace.to_owned(), name.to_owned());
        if let (Some(at), Some(kept)) = (at, self.kept.get(&place))
            && kept.version > Some(at)
        {
            return false;
        }
        self.relisting.remove(&place);
        if let Some(at) = at {
            if self.gone.len() > 4096 {
                self.gone.clear();
            }
            self.gone.insert(place.clone(), at);
        }
        self.kept.remove(&place);
        self.exists.remove(&place)
    }

    /// A read of an object said that there is none. What has come since is newer.
    pub(crate) fn vanish(&mut self, namespace: &str, name: &str) {
        let place = (namespace.to_owned(), name.to_owned());
        if !self.kept.contains_key(&place) {
            self.exists.remove(&place);
        }
    }

    /// Nobody reads this object any more.
    pub(crate) fn forget(&mut self, reference: &ObjectRef) {
        self.kept.remove(&(reference.namespace.clone(), reference.name.clone()));
    }

    /// A list begins: what it does not bring is gone.
    pub(crate) fn begin_list(&mut self) {
        // All news older than the list have come.
        self.gone.clear();
        self.relisting = self.exists.clone();
    }

    /// The list is complete. Returns what is gone.
    pub(crate) fn end_list(&mut self) -> Vec<Place> {
        let lost: Vec<Place> = std::mem::take(&mut self.relisting).into_iter().collect();
        for place in &lost {
            self.kept.remove(place);
            self.exists.remove(place);
        }
        self.health = Health::Ready;
        lost
    }
}

fn place(object: &Value) -> Place {
    (
        objects::paths::text(object, "/metadata/namespace").to_owned(),
        objects::paths::text(object, "/metadata/name").to_owned(),
    )
}

/// The version of an object as a number. Versions are opaque by the letter and numbers in fact; one that is no number is taken as newer.
pub(crate) fn version(object: &Value) -> Option<u64> {
    objects::paths::text(object, "/metadata/resourceVersion").parse().ok()
}

/// The object as bytes, without what nobody reads.
fn compact(object: &Value) -> Vec<u8> {
    let mut slim = object.clone();
    objects::paths::set(&mut slim, &["metadata", "managedFields"], Value::Null);
    slim.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, version: &str) -> Value {
        json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": version, "managedFields": [{"manager": "x"}]}})
    }

    #[test]
    fn late_news_do_not_undo_our_own_write() {
        let mut store = Store::default();
        assert!(store.apply(&object("a", "7"), true));
        assert!(!store.apply(&object("a", "6"), true), "older than our write");
        assert!(
            matches!(store.known("n", "a"), Known::Kept(bytes) if !String::from_utf8_lossy(&bytes).contains("managedFields"))
        );
        assert!(!store.delete("n", "a", Some(5)));
        assert!(store.delete("n", "a", Some(8)));
        assert!(!store.apply(&object("a", "7"), true), "deleted since");
        assert_eq!(store.known("n", "a"), Known::Missing);
        assert!(store.apply(&object("a", "9"), true), "created again");
    }

    #[test]
    fn what_nobody_reads_is_only_known_to_exist() {
        let mut store = Store::default();
        store.apply(&object("a", "1"), false);
        assert_eq!(store.known("n", "a"), Known::Exists);
        assert_eq!(store.known("n", "b"), Known::Missing);
    }

    #[test]
    fn a_list_after_a_restore_counts_though_its_versions_are_lower() {
        let mut store = Store::default();
        for name in ["a", "b"] {
            store.apply(&object(name, "50"), true);
        }
        store.apply(&object("c", "50"), true);
        store.delete("n", "c", Some(51));
        store.begin_list();
        assert!(store.apply(&object("b", "60"), true), "our own write while the list is under way");
        assert!(store.apply(&object("a", "7"), true));
        assert!(!store.apply(&object("b", "8"), true), "the list is older than our write");
        assert!(store.apply(&object("c", "9"), true), "deleted, and restored");
        store.end_list();
        assert!(!store.apply(&object("a", "6"), true), "afterwards versions count again");
    }

    #[test]
    fn a_read_that_finds_nothing_does_not_undo_newer_news() {
        let mut store = Store::default();
        store.apply(&object("a", "1"), false);
        store.vanish("n", "a");
        assert_eq!(store.known("n", "a"), Known::Missing);
        store.apply(&object("a", "5"), true);
        store.vanish("n", "a");
        assert!(matches!(store.known("n", "a"), Known::Kept(_)));
    }

    #[test]
    fn a_new_list_drops_what_it_does_not_bring() {
        let mut store = Store::default();
        store.apply(&object("a", "1"), true);
        store.apply(&object("b", "2"), true);
        store.begin_list();
        store.apply(&object("b", "3"), true);
        assert_eq!(store.end_list(), vec![("n".to_owned(), "a".to_owned())]);
        assert_eq!(store.known("n", "a"), Known::Missing);
        assert_eq!(store.health, Health::Ready);
    }
}
