//! The objects, their versions and their recent history. Synchronous, behind one lock, and without rules: those are in `verbs`.
//!
//! One counter numbers all writes (`resourceVersion`). Each table keeps its last changes in a ring, which is what watches and consistent pages read.

use crate::resource::Registry;
use objects::paths;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// Namespace (empty for cluster-scoped objects) and name.
pub(crate) type Key = (String, String);

/// One write.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The version that this write made.
    pub version: u64,
    /// The object before; none: it was created.
    pub before: Option<Arc<Value>>,
    /// The object after, or as it was last, with this version, if `deleted`.
    pub after: Arc<Value>,
    /// Whether the object is gone.
    pub deleted: bool,
}

/// The changes that are asked for are no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compacted {
    /// The oldest version that can be asked for.
    pub oldest: u64,
}

/// An object that garbage collection should look at: its owners may be gone, or its deletion may go on.
pub(crate) type Chore = (String, Key);

/// The objects of one kind.
#[derive(Debug)]
struct Table {
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Change>,
    compacted: u64,
    changed: watch::Sender<u64>,
}

/// Everything that the API server knows.
#[derive(Debug)]
pub(crate) struct Store {
    version: u64,
    tables: HashMap<String, Table>,
    owned: HashMap<String, BTreeSet<(String, Key)>>,
    uids: HashMap<String, (String, Key)>,
    ring: usize,
    seed: u64,
    addresses: u32,
    changed: watch::Sender<u64>,
    /// Work for garbage collection, in the order in which it came up.
    pub chores: VecDeque<Chore>,
    /// The kinds that are served.
    pub registry: Registry,
}

impl Store {
    /// An empty store that keeps `ring` changes per kind. The same seed gives the same uids.
    pub(crate) fn new(ring: usize, seed: u64) -> Self {
        Self {
            version: 1,
            tables: HashMap::new(),
            owned: HashMap::new(),
            uids: HashMap::new(),
            ring,
            seed,
            addresses: 0,
            changed: watch::Sender::new(1),
            chores: VecDeque::new(),
            registry: Registry::default(),
        }
    }

    /// The version of the last write.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Tells of every write, with its version.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells of every write to one table.
    pub(crate) fn changed_in(&mut self, table: &str) -> watch::Receiver<u64> {
        self.table(table).changed.subscribe()
    }

    fn table(&mut self, name: &str) -> &mut Table {
        let version = self.version;
        self.tables.entry(name.to_owned()).or_insert_with(|| Table {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            compacted: 0,
            changed: watch::Sender::new(version),
        })
    }

    /// One object.
    pub(crate) fn get(&self, table: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.tables.get(table)?.objects.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// The objects of a table by namespace and name; of one namespace, or of all.
    pub(crate) fn list<'a>(
        &'a self,
        table: &str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        let start = (namespace.unwrap_or_default().to_owned(), String::new());
        self.tables
            .get(table)
            .into_iter()
            .flat_map(move |table| table.objects.range(start.clone()..))
            .take_while(move |((of, _), _)| namespace.is_none_or(|namespace| namespace == of))
            .map(|(_, object)| object)
    }

    /// The objects of a table as they were at a version.
    pub(crate) fn list_at(
        &self,
        table: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Value>>, Compacted> {
        let mut objects: BTreeMap<Key, Arc<Value>> =
            self.list(table, namespace).map(|object| (key_of(object), Arc::clone(object))).collect();
        let changes: Vec<_> = self.changes(table, version)?.collect();
        for change in changes.into_iter().rev() {
            let key = key_of(&change.after);
            if namespace.is_some_and(|namespace| namespace != key.0) {
                continue;
            }
            match &change.before {
                Some(before) => objects.insert(key, Arc::clone(before)),
                None => objects.remove(&key),
            };
        }
        Ok(objects.into_values().collect())
    }

    /// The changes of a table after a version, oldest first.
    pub(crate) fn changes(
        &self,
        table: &str,
        after: u64,
    ) -> Result<impl DoubleEndedIterator<Item = &Change>, Compacted> {
        let table = self.tables.get(table);
        let oldest = table.map_or(0, |table| table.compacted);
        if after < oldest {
            return Err(Compacted { oldest });
        }
        let history = table.map(|table| {
            let start = table.history.partition_point(|change| change.version <= after);
            table.history.range(start..)
        });
        Ok(history.into_iter().flatten())
    }

    /// Writes an object that has a name: gives it the next version and remembers the change.
    pub(crate) fn put(&mut self, table: &str, mut object: Value) -> Arc<Value> {
        self.version += 1;
        paths::set(&mut object, &["metadata", "resourceVersion"], json!(self.version.to_string()));
        let object = Arc::new(object);
        let key = key_of(&object);
        let before = self.table(table).objects.insert(key.clone(), Arc::clone(&object));
        if let Some(before) = &before {
            self.forget(table, &key, before);
        }
        self.uids.insert(uid(&object).to_owned(), (table.to_owned(), key.clone()));
        let mut suspect = is_deleted(&object);
        for owner in paths::list(&object, "/metadata/ownerReferences") {
            let owner = paths::text(owner, "/uid");
            suspect |= !self.uids.contains_key(owner);
            self.owned.entry(owner.to_owned()).or_default().insert((table.to_owned(), key.clone()));
        }
        if suspect {
            self.chores.push_back((table.to_owned(), key));
        }
        self.record(table, Change { version: self.version, before, after: Arc::clone(&object), deleted: false });
        object
    }

    /// Takes an object away. The answer is the object as it was last, with the version of its deletion.
    pub(crate) fn remove(&mut self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = (namespace.to_owned(), name.to_owned());
        let before = self.table(table).objects.remove(&key)?;
        self.forget(table, &key, &before);
        self.version += 1;
        let mut last = Value::clone(&before);
        paths::set(&mut last, &["metadata", "resourceVersion"], json!(self.version.to_string()));
        let last = Arc::new(last);
        self.assign_chores(table, namespace, &last);
        self.record(
            table,
            Change { version: self.version, before: Some(before), after: Arc::clone(&last), deleted: true },
        );
        Some(last)
    }

    /// Whom the end of an object concerns: its dependents, and the owner, namespace or definition that is being deleted and waits for it.
    fn assign_chores(&mut self, table: &str, namespace: &str, gone: &Value) {
        let waiting = |store: &Self, table: &str, key: &Key| {
            store.get(table, &key.0, &key.1).is_some_and(|object| is_deleted(object))
        };
        let dependents = self.owned_by(uid(gone));
        let owners = paths::list(gone, "/metadata/ownerReferences")
            .filter_map(|owner| self.uids.get(paths::text(owner, "/uid")).cloned());
        let home = ("namespaces".to_owned(), (String::new(), namespace.to_owned()));
        let definition =
            ("customresourcedefinitions.apiextensions.k8s.io".to_owned(), (String::new(), table.to_owned()));
        let concerned: Vec<_> =
            owners.chain([home, definition]).filter(|(table, key)| waiting(self, table, key)).collect();
        self.chores.extend(dependents.into_iter().chain(concerned));
    }

    fn forget(&mut self, table: &str, key: &Key, object: &Value) {
        self.uids.remove(uid(object));
        for owner in paths::list(object, "/metadata/ownerReferences") {
            let owner = paths::text(owner, "/uid");
            if let Some(owned) = self.owned.get_mut(owner) {
                owned.remove(&(table.to_owned(), key.clone()));
                if owned.is_empty() {
                    self.owned.remove(owner);
                }
            }
        }
    }

    fn record(&mut self, table: &str, change: Change) {
        let (ring, version) = (self.ring, self.version);
        let table = self.table(table);
        table.history.push_back(change);
        while table.history.len() > ring {
            table.compacted = table.history.pop_front().map_or(table.compacted, |change| change.version);
        }
        table.changed.send_replace(version);
        self.changed.send_replace(version);
    }

    /// Forgets the history, as etcd's compaction does: whoever watches from an older version gets 410. Watches that have seen the last change go on.
    pub(crate) fn compact(&mut self) {
        let version = self.version;
        for table in self.tables.values_mut() {
            table.compacted = table.history.back().map_or(table.compacted, |change| change.version);
            table.history.clear();
            table.changed.send_replace(version);
        }
    }

    /// Drops an empty table: its watchers end.
    pub(crate) fn drop_table(&mut self, table: &str) {
        self.tables.remove(table);
    }

    /// The objects that name that uid as an owner, as (table, key).
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<(String, Key)> {
        self.owned.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Whether an object with that uid exists.
    pub(crate) fn exists(&self, uid: &str) -> bool {
        self.uids.contains_key(uid)
    }

    /// The tables that hold objects in a namespace.
    pub(crate) fn contents(&self, namespace: &str) -> Vec<(String, Key)> {
        let start = (namespace.to_owned(), String::new());
        let mut contents: Vec<_> = self
            .tables
            .iter()
            .flat_map(|(name, table)| {
                let keys = table.objects.range(start.clone()..).take_while(|((of, _), _)| of == namespace);
                keys.map(move |(key, _)| (name.clone(), key.clone()))
            })
            .collect();
        contents.sort_unstable();
        contents
    }

    /// Numbers of objects by table.
    pub(crate) fn sizes(&self) -> BTreeMap<String, usize> {
        self.tables.iter().map(|(name, table)| (name.clone(), table.objects.len())).collect()
    }

    /// The next pseudo-random number (splitmix64): the same run gives the same names and uids.
    pub(crate) fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A new uid.
    pub(crate) fn new_uid(&mut self) -> String {
        let bits = (u128::from(self.random()) << 64) | u128::from(self.random());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
    }

    /// Five characters, as `generateName` appends them.
    pub(crate) fn suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut number = self.random();
        let mut next = || {
            let letter = usize::try_from(number % 27).ok().and_then(|at| LETTERS.get(at)).copied().unwrap_or(b'x');
            number /= 27;
            char::from(letter)
        };
        (0..5).map(|_| next()).collect()
    }

    /// A number that no address has had yet, from 1.
    pub(crate) fn next_address(&mut self) -> u32 {
        self.addresses += 1;
        self.addresses
    }
}

/// Whether the object's deletion was asked for.
pub(crate) fn is_deleted(object: &Value) -> bool {
    !paths::text(object, "/metadata/deletionTimestamp").is_empty()
}

/// Namespace and name of an object.
pub(crate) fn key_of(object: &Value) -> Key {
    (paths::text(object, "/metadata/namespace").to_owned(), paths::text(object, "/metadata/name").to_owned())
}

/// `metadata.uid`.
pub(crate) fn uid(object: &Value) -> &str {
    paths::text(object, "/metadata/uid")
}

/// `metadata.resourceVersion` as a number; 0 if there is none.
pub(crate) fn version_of(object: &Value) -> u64 {
    paths::text(object, "/metadata/resourceVersion").parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, value: u64) -> Value {
        json!({"metadata": {"namespace": "test", "name": name, "uid": name}, "value": value})
    }

    #[test]
    fn old_versions_can_be_listed_until_they_are_compacted() {
        let mut store = Store::new(3, 0);
        store.put("t", object("a", 1));
        let then = store.version();
        store.put("t", object("a", 2));
        store.put("t", object("b", 1));
        store.remove("t", "test", "a");
        let old = store.list_at("t", None, then).unwrap();
        assert_eq!(old.iter().map(|one| &one["value"]).collect::<Vec<_>>(), [1]);
        store.put("t", object("c", 1));
        assert_eq!(store.list_at("t", None, then).unwrap_err(), Compacted { oldest: then + 1 });
        assert!(store.list_at("t", None, then + 1).is_ok());
    }

    #[test]
    fn names_are_the_same_in_every_run() {
        let mut store = Store::new(3, 7);
        let first = (store.new_uid(), store.suffix());
        let mut again = Store::new(3, 7);
        assert_eq!(first, (again.new_uid(), again.suffix()));
        assert_ne!(first.1, again.suffix());
    }
}
