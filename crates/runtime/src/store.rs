//! What is kept of one watched kind.
//!
//! Objects that some Canary reads are kept as compact bytes, without managed fields; of the others only that they exist. A write's answer is put in at once,
//! so that nothing is decided on facts older than our own writes; what the watch brings later is taken only if it is newer.

use crate::slim::Slim;
use objects::ObjectRef;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Namespace and name.
pub(crate) type Place = (String, String);

/// How many deletions are remembered.
const GONE: usize = 1024;

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
#[derive(Debug)]
struct Kept {
    version: Option<u64>,
    bytes: Box<[u8]>,
    /// The same as a tree, as long as somebody looks at it.
    tree: Weak<Value>,
}

/// One object that is there.
#[derive(Debug)]
struct Slot {
    /// The list in which it was last seen to be there.
    seen_in: u64,
    /// None: nobody reads it.
    kept: Option<Kept>,
}

/// What is known about an object.
#[derive(Debug, PartialEq)]
pub(crate) enum Known {
    /// It is kept.
    Kept(Arc<Value>),
    /// It exists, but nobody read it before: it must be fetched once.
    Exists,
    /// There is none.
    Missing,
}

/// The objects of one kind.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// By namespace and name.
    slots: HashMap<Box<str>, HashMap<Box<str>, Slot>>,
    /// Versions at which objects were deleted by us or by the watch, so that late news do not bring them back.
    gone: HashMap<Place, u64>,
    /// The number of the newest list, and whether it is under way.
    list: u64,
    listing: bool,
    pub(crate) health: Health,
}

impl Store {
    fn slot(&self, namespace: &str, name: &str) -> Option<&Slot> {
        self.slots.get(namespace)?.get(name)
    }

    fn slot_mut(&mut self, namespace: &str, name: &str) -> Option<&mut Slot> {
        self.slots.get_mut(namespace)?.get_mut(name)
    }

    fn remove(&mut self, namespace: &str, name: &str) -> bool {
        let Some(slots) = self.slots.get_mut(namespace) else { return false };
        let was_there = slots.remove(name).is_some();
        if slots.is_empty() {
            self.slots.remove(namespace);
        }
        was_there
    }

    /// What is known about an object.
    pub(crate) fn known(&mut self, namespace: &str, name: &str) -> Known {
        match self.slot_mut(namespace, name).map(|slot| &mut slot.kept) {
            Some(Some(kept)) => Known::Kept(kept.tree.upgrade().unwrap_or_else(|| {
                // Written by us from a value, so it is one.
                let tree = Arc::new(serde_json::from_slice(&kept.bytes).unwrap_or_default());
                kept.tree = Arc::downgrade(&tree);
                tree
            })),
            Some(None) => Known::Exists,
            None => Known::Missing,
        }
    }

    /// Takes an object in. `wanted`: somebody reads it. True if what is kept changed.
    pub(crate) fn apply(&mut self, object: Slim, wanted: bool) -> bool {
        let Slim { namespace, name, version, bytes } = object;
        // A list that was begun after everything we know shows what is there now, even if its versions are lower: the server's data were restored.
        let (list, listing) = (self.list, self.listing);
        let listed = self.slot_mut(&namespace, &name).is_some_and(|slot| {
            let before = std::mem::replace(&mut slot.seen_in, list);
            listing && before != list
        });
        let place = (namespace, name);
        if let (Some(version), Some(gone)) = (version, self.gone.get(&place))
            && version <= *gone
        {
            return false;
        }
        self.gone.remove(&place);
        self.put(place, version, bytes, wanted, listed)
    }

    fn put(&mut self, place: Place, version: Option<u64>, bytes: Vec<u8>, wanted: bool, listed: bool) -> bool {
        let (namespace, name) = place;
        let list = self.list;
        let slots = match self.slots.get_mut(namespace.as_str()) {
            Some(slots) => slots,
            None => self.slots.entry(namespace.into()).or_default(),
        };
        let kept = || Kept { version, bytes: bytes.into(), tree: Weak::new() };
        let Some(slot) = slots.get_mut(name.as_str()) else {
            slots.insert(name.into(), Slot { seen_in: list, kept: wanted.then(kept) });
            return true;
        };
        if !wanted {
            slot.kept = None;
            return false;
        }
        let is_older = |old: &Kept| version.is_some() && old.version >= version && !(listed && old.version > version);
        if slot.kept.as_ref().is_some_and(is_older) {
            return false;
        }
        let new = kept();
        let changed = slot.kept.as_ref().is_none_or(|old| old.bytes != new.bytes);
        slot.kept = Some(new);
        changed
    }

    /// Hands in the tree of an object that was just taken in, so that it need not be parsed.
    pub(crate) fn set_tree(&mut self, tree: &Arc<Value>) {
        let text = |pointer| objects::paths::text(tree, pointer);
        if let Some(Slot { kept: Some(kept), .. }) = self.slot_mut(text("/metadata/namespace"), text("/metadata/name"))
            && kept.version.is_some()
            && kept.version == version(tree)
        {
            kept.tree = Arc::downgrade(tree);
        }
    }

    /// Takes note that an object is gone. True if it was known.
    pub(crate) fn delete(&mut self, namespace: &str, name: &str, at: Option<u64>) -> bool {
        if let Some(Slot { kept: Some(kept), .. }) = self.slot(namespace, name)
            && at.is_some()
            && kept.version > at
        {
            return false;
        }
        if let Some(at) = at {
            if self.gone.len() > GONE {
                self.gone.clear();
            }
            self.gone.insert((namespace.to_owned(), name.to_owned()), at);
        }
        self.remove(namespace, name)
    }

    /// A read of an object said that there is none. What has come since is newer.
    pub(crate) fn vanish(&mut self, namespace: &str, name: &str) {
        if self.slot(namespace, name).is_some_and(|slot| slot.kept.is_none()) {
            self.remove(namespace, name);
        }
    }

    /// Nobody reads this object any more.
    pub(crate) fn forget(&mut self, reference: &ObjectRef) {
        if let Some(slot) = self.slot_mut(&reference.namespace, &reference.name) {
            slot.kept = None;
        }
    }

    /// Objects that are kept, and places at which something is known to be or to have been.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let slots = || self.slots.values().flat_map(HashMap::values);
        (slots().filter(|slot| slot.kept.is_some()).count(), slots().count() + self.gone.len())
    }

    /// A list begins: what it does not bring is gone.
    pub(crate) fn begin_list(&mut self) {
        // All news older than the list have come.
        self.gone.clear();
        self.list += 1;
        self.listing = true;
    }

    /// The list is complete. Returns what is gone.
    pub(crate) fn end_list(&mut self) -> Vec<Place> {
        let mut missing = Vec::new();
        if std::mem::take(&mut self.listing) {
            let list = self.list;
            for (namespace, slots) in &mut self.slots {
                slots.retain(|name, slot| {
                    let there = slot.seen_in == list;
                    if !there {
                        missing.push((namespace.to_string(), name.to_string()));
                    }
                    there
                });
                slots.shrink_to_fit();
            }
            self.slots.retain(|_, slots| !slots.is_empty());
        }
        self.health = Health::Ready;
        missing
    }
}

/// The version of an object as a number, see [`Slim::version`].
pub(crate) fn version(object: &Value) -> Option<u64> {
    objects::paths::text(object, "/metadata/resourceVersion").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, version: &str) -> Slim {
        Slim::of(
            &objects::kind::SERVICE,
            &json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": version, "managedFields": [{"manager": "x"}]}}),
        )
    }

    #[test]
    fn late_news_do_not_undo_our_own_write() {
        let mut store = Store::default();
        assert!(store.apply(object("a", "7"), true));
        assert!(!store.apply(object("a", "6"), true), "older than our write");
        assert!(matches!(store.known("n", "a"), Known::Kept(tree) if !tree.to_string().contains("managedFields")));
        assert!(!store.delete("n", "a", Some(5)));
        assert!(store.delete("n", "a", Some(8)));
        assert!(!store.apply(object("a", "7"), true), "deleted since");
        assert_eq!(store.known("n", "a"), Known::Missing);
        assert!(store.apply(object("a", "9"), true), "created again");
    }

    #[test]
    fn what_nobody_reads_is_only_known_to_exist() {
        let mut store = Store::default();
        store.apply(object("a", "1"), false);
        assert_eq!(store.known("n", "a"), Known::Exists);
        assert_eq!(store.known("n", "b"), Known::Missing);
    }

    #[test]
    fn a_list_after_a_restore_counts_though_its_versions_are_lower() {
        let mut store = Store::default();
        for name in ["a", "b"] {
            store.apply(object(name, "50"), true);
        }
        store.apply(object("c", "50"), true);
        store.delete("n", "c", Some(51));
        store.begin_list();
        assert!(store.apply(object("b", "60"), true), "our own write while the list is under way");
        assert!(store.apply(object("a", "7"), true));
        assert!(!store.apply(object("b", "8"), true), "the list is older than our write");
        assert!(store.apply(object("c", "9"), true), "deleted, and restored");
        store.end_list();
        assert!(!store.apply(object("a", "6"), true), "afterwards versions count again");
    }

    #[test]
    fn a_read_that_finds_nothing_does_not_undo_newer_news() {
        let mut store = Store::default();
        store.apply(object("a", "1"), false);
        store.vanish("n", "a");
        assert_eq!(store.known("n", "a"), Known::Missing);
        store.apply(object("a", "5"), true);
        store.vanish("n", "a");
        assert!(matches!(store.known("n", "a"), Known::Kept(_)));
    }

    #[test]
    fn a_new_list_drops_what_it_does_not_bring() {
        let mut store = Store::default();
        store.apply(object("a", "1"), true);
        store.apply(object("b", "2"), true);
        store.begin_list();
        store.apply(object("b", "3"), true);
        assert_eq!(store.end_list(), vec![("n".to_owned(), "a".to_owned())]);
        assert_eq!(store.known("n", "a"), Known::Missing);
        assert_eq!(store.health, Health::Ready);
    }
}
