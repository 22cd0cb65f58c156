//! Everything that is known, and who wants to know it: stores by kind, Canaries, readers, queue.
//!
//! Watches put facts in, workers take snapshots out. One mutex guards all of it; it is never held across an `await`.

use crate::queue::{Key, Queue};
use crate::repairs::Repairs;
use crate::rivals::Rivals;
use crate::slim::{Slim, by_metadata};
use crate::store::{Health, Known, Store};
use api::Canary;
use objects::kind::{ALERT_PROVIDER, METRIC_TEMPLATE};
use objects::{ConfigDigest, Kind, ObjectRef, Snapshot};
use rollout::Memory;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// One Canary.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As last seen.
    pub(crate) object: Box<[u8]>,
    /// Its version.
    pub(crate) version: Option<u64>,
    /// The same, decoded.
    pub(crate) canary: Arc<Canary>,
    /// What is remembered between decisions.
    pub(crate) memory: Memory,
    /// The objects it reads, sorted.
    pub(crate) reads: Box<[ObjectRef]>,
    /// Failures in a row, for the time until the next try.
    pub(crate) failures: u32,
    /// How often its objects were repaired lately.
    pub(crate) repairs: Repairs,
    /// Whether somebody else writes its status.
    pub(crate) rivals: Rivals,
}

/// A config's digest, for one version of it.
type Digest = (String, Result<ConfigDigest, String>);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) canaries: HashMap<Key, Entry>,
    /// How many there are, by namespace.
    counts: HashMap<Arc<str>, usize>,
    pub(crate) stores: HashMap<&'static Kind, Store>,
    /// Mostly one each.
    readers: HashMap<ObjectRef, Vec<Key>>,
    /// How many objects of each kind somebody reads.
    read_kinds: HashMap<&'static Kind, usize>,
    digests: HashMap<ObjectRef, Digest>,
    pub(crate) queue: Queue,
    /// Canaries that are being decided right now, and whether something changed since they were last looked at. Apart from the Canaries, because one that is
    /// deleted and made again meanwhile must not be decided twice at a time.
    pub(crate) running: HashMap<Key, bool>,
    /// Canaries that cannot be read, and why: told once.
    pub(crate) unreadable: HashMap<Key, (Arc<Value>, String)>,
    /// Kinds that somebody reads and nobody watches yet.
    pub(crate) wanted_kinds: BTreeSet<&'static Kind>,
    /// Nothing is decided before the Canaries are listed and we lead.
    pub(crate) open: bool,
}

/// The state behind its lock, and a bell for whoever waits for it to change.
#[derive(Debug, Default)]
pub(crate) struct World {
    state: Mutex<State>,
    /// The queue changed.
    pub(crate) queued: Notify,
    /// A kind is wanted that is not watched.
    pub(crate) kinds: Notify,
    /// Somebody's facts changed (for waiting on conditions).
    pub(crate) changed: Notify,
}

/// What is missing before a snapshot is complete.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// Kinds whose first list is under way.
    pub(crate) listing: Vec<&'static Kind>,
    /// Objects that exist and must be fetched once.
    pub(crate) objects: Vec<ObjectRef>,
    /// Configs whose content must be digested, with their version.
    pub(crate) digests: Vec<(ObjectRef, String)>,
}

impl Missing {
    pub(crate) fn is_nothing(&self) -> bool {
        self.listing.is_empty() && self.objects.is_empty() && self.digests.is_empty()
    }
}

impl World {
    /// The state. A thread that panicked while it held the lock left consistent maps behind, so the lock stays usable.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch (or the answer to a read) brings an object.
    pub(crate) fn apply(&self, kind: &'static Kind, object: Slim) {
        let changed = self.state().apply(kind, object, None);
        self.ring(changed);
    }

    /// The answer to a write of that Canary brings an object. The writer looks again by itself where that is of use; woken by its own writes, one whose
    /// later writes fail would never pause.
    pub(crate) fn written(&self, kind: &'static Kind, object: &Arc<Value>, writer: &Key) {
        let mut state = self.state();
        let changed = state.apply(kind, Slim::of(kind, object), Some(writer));
        if let Some(store) = state.stores.get_mut(kind) {
            store.set_tree(object);
        }
        drop(state);
        self.ring(changed);
    }

    fn ring(&self, changed: bool) {
        if changed {
            self.queued.notify_one();
            self.changed.notify_waiters();
        }
    }

    /// A watch says that an object is gone.
    pub(crate) fn delete(&self, kind: &'static Kind, object: &Slim) {
        let (namespace, name) = (object.namespace.as_str(), object.name.as_str());
        let mut state = self.state();
        if state.stores.get_mut(kind).is_some_and(|store| store.delete(namespace, name, object.version)) {
            state.wake_readers(&kind.object(namespace, name), None);
        }
        drop(state);
        self.ring(true);
    }
}

impl State {
    /// Looks at a Canary at that moment; one that is being decided right now is looked at again afterwards.
    pub(crate) fn wake(&mut self, key: &Key, at: Instant) {
        if !self.canaries.contains_key(key) {
            return;
        }
        match self.running.get_mut(key) {
            Some(dirty) => *dirty = true,
            None => self.queue.add(key.clone(), at),
        }
    }

    /// How much is remembered, by name.
    pub(crate) fn census(&self) -> Vec<(&'static str, usize)> {
        let (kept, places) =
            self.stores.values().map(Store::sizes).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        vec![
            ("canaries", self.canaries.len()),
            ("unreadable Canaries", self.unreadable.len()),
            ("objects that Canaries read", self.readers.len()),
            ("reads of Canaries", self.canaries.values().map(|entry| entry.reads.len()).sum()),
            ("digests of configs", self.digests.len()),
            ("kinds", self.stores.len()),
            ("objects kept", kept),
            ("places known", places),
            ("queue", self.queue.len()),
            ("running", self.running.len()),
        ]
    }

    /// Whether there is a Canary of that key, readable or not.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.canaries.contains_key(key) || self.unreadable.contains_key(key)
    }

    /// The Canary of that key, if it still is the one with that uid.
    pub(crate) fn same(&mut self, key: &Key, uid: &str) -> Option<&mut Entry> {
        self.canaries.get_mut(key).filter(|entry| entry.canary.metadata.uid == uid)
    }

    /// Whoever reads an object looks again, except the one that has just written it and knows the answer.
    fn wake_readers(&mut self, reference: &ObjectRef, writer: Option<&Key>) {
        let now = Instant::now();
        let readers = self.readers.get(reference).into_iter().flatten();
        let keys: Vec<Key> = readers.filter(|key| Some(*key) != writer).cloned().collect();
        for key in keys {
            self.wake(&key, now);
        }
    }

    /// Everybody who reads a kind looks again.
    pub(crate) fn wake_kind(&mut self, kind: &'static Kind) {
        let now = Instant::now();
        let keys: BTreeSet<Key> = self
            .readers
            .iter()
            .filter(|(reference, _)| reference.kind == kind)
            .flat_map(|(_, keys)| keys.iter().cloned())
            .collect();
        for key in keys {
            self.wake(&key, now);
        }
    }

    fn apply(&mut self, kind: &'static Kind, object: Slim, writer: Option<&Key>) -> bool {
        let reference = kind.object(&object.namespace, &object.name);
        let wanted = self.readers.contains_key(&reference) || kept_whole(kind);
        // A store without a watch would never be complete, and nobody would start the watch. So only what is watched is kept.
        let changed = self.stores.get_mut(kind).is_some_and(|store| store.apply(object, wanted));
        if changed {
            self.wake_readers(&reference, writer);
        }
        changed
    }

    /// A list of a kind is complete: what it did not bring is gone, and whoever waited for it looks again.
    pub(crate) fn end_list(&mut self, kind: &'static Kind) {
        let lost = self.stores.get_mut(kind).map(Store::end_list).unwrap_or_default();
        for (namespace, name) in lost {
            self.wake_readers(&kind.object(&namespace, &name), None);
        }
        self.wake_kind(kind);
    }

    /// A kind that was readable cannot be had any more: what is known about it is out of date.
    pub(crate) fn lose_kind(&mut self, kind: &'static Kind, why: String) {
        let Some(store) = self.stores.get_mut(kind) else { return };
        if store.health == Health::Ready {
            store.health = Health::Failing(why);
            self.wake_kind(kind);
        }
    }

    /// A kind cannot be had. Whoever reads it is told once per message.
    pub(crate) fn fail_kind(&mut self, kind: &'static Kind, why: String) {
        let Some(store) = self.stores.get_mut(kind) else { return };
        // What was read before stays known while the watch is only interrupted.
        if store.health == Health::Ready || store.health == Health::Failing(why.clone()) {
            return;
        }
        store.health = Health::Failing(why);
        self.wake_kind(kind);
    }

    /// Says which objects a Canary reads from now on. Kinds that nobody watched are wanted then.
    pub(crate) fn set_reads(&mut self, key: &Key, reads: &BTreeSet<ObjectRef>) {
        let Some(entry) = self.canaries.get_mut(key) else { return };
        if entry.reads.iter().eq(reads) {
            return;
        }
        let before = std::mem::replace(&mut entry.reads, reads.iter().cloned().collect());
        for reference in before.iter().filter(|reference| !reads.contains(reference)) {
            self.drop_reader(reference, key);
        }
        for reference in reads.iter().filter(|reference| before.binary_search(reference).is_err()) {
            let readers = self.readers.entry(reference.clone()).or_default();
            if readers.is_empty() {
                *self.read_kinds.entry(reference.kind).or_default() += 1;
            }
            readers.push(key.clone());
            if !self.stores.contains_key(reference.kind) {
                self.stores.insert(reference.kind, Store::default());
                self.wanted_kinds.insert(reference.kind);
            }
        }
    }

    fn drop_reader(&mut self, reference: &ObjectRef, key: &Key) {
        let Some(readers) = self.readers.get_mut(reference) else { return };
        readers.retain(|reader| reader != key);
        if readers.is_empty() {
            self.readers.remove(reference);
            if let Some(count) = self.read_kinds.get_mut(reference.kind) {
                *count = count.saturating_sub(1);
            }
            self.digests.remove(reference);
            if let Some(store) = self.stores.get_mut(reference.kind) {
                store.forget(reference);
            }
        }
    }

    /// A Canary is there. Returns how many there are in its namespace.
    pub(crate) fn add_canary(&mut self, key: Key, entry: Entry) -> usize {
        let count = self.counts.entry(Arc::clone(&key.namespace)).or_default();
        *count += usize::from(self.canaries.insert(key, entry).is_none());
        *count
    }

    /// How many Canaries there are in a namespace.
    pub(crate) fn count(&self, namespace: &str) -> usize {
        self.counts.get(namespace).copied().unwrap_or_default()
    }

    /// Other Canaries that read an object which this one reads.
    pub(crate) fn neighbours(&self, key: &Key) -> impl Iterator<Item = (&Key, &Entry)> {
        let reads = self.canaries.get(key).map(|entry| &*entry.reads).unwrap_or_default();
        let readers = reads.iter().filter_map(|reference| self.readers.get(reference)).flatten();
        readers.filter(move |other| *other != key).filter_map(|other| self.canaries.get_key_value(other))
    }

    /// A Canary is gone.
    pub(crate) fn remove_canary(&mut self, key: &Key) -> Option<Entry> {
        self.set_reads(key, &BTreeSet::new());
        self.queue.remove(key);
        let entry = self.canaries.remove(key)?;
        if let Some(count) = self.counts.get_mut(&key.namespace) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&key.namespace);
            }
        }
        Some(entry)
    }

    /// Whether the first list of a kind is under way.
    pub(crate) fn is_listing(&self) -> bool {
        let mut watched = self.stores.iter().filter(|(kind, _)| !self.wanted_kinds.contains(*kind));
        watched.any(|(_, store)| store.health == Health::Listing)
    }

    /// Kinds that nobody reads any more.
    pub(crate) fn unread_kinds(&self) -> Vec<&'static Kind> {
        self.stores
            .keys()
            .copied()
            .filter(|kind| !kept_whole(kind) && self.read_kinds.get(kind).is_none_or(|count| *count == 0))
            .collect()
    }

    /// Puts the objects into a snapshot, and says what is missing.
    pub(crate) fn snapshot(&mut self, reads: &BTreeSet<ObjectRef>) -> (Snapshot, Missing) {
        let (mut snapshot, mut missing) = (Snapshot::new(), Missing::default());
        for reference in reads {
            let Some(store) = self.stores.get_mut(reference.kind) else {
                missing.listing.push(reference.kind);
                continue;
            };
            match &store.health {
                Health::Listing => missing.listing.push(reference.kind),
                Health::Failing(why) => {
                    // What is kept may be out of date.
                    snapshot.set_unavailable(*reference.kind, why.clone());
                    continue;
                }
                Health::Ready => {}
            }
            match store.known(&reference.namespace, &reference.name) {
                Known::Kept(object) => {
                    self.add_digest(reference, &object, &mut snapshot, &mut missing);
                    snapshot.insert(reference.clone(), object);
                }
                Known::Exists => missing.objects.push(reference.clone()),
                Known::Missing => {}
            }
        }
        missing.listing.sort_unstable();
        missing.listing.dedup();
        (snapshot, missing)
    }

    fn add_digest(&self, reference: &ObjectRef, object: &Value, snapshot: &mut Snapshot, missing: &mut Missing) {
        if !by_metadata(reference.kind) {
            return;
        }
        let version = objects::paths::text(object, "/metadata/resourceVersion");
        match self.digests.get(reference) {
            Some((digested, digest)) if digested == version => {
                snapshot.insert_digest(reference.clone(), digest.clone());
            }
            _ => missing.digests.push((reference.clone(), version.to_owned())),
        }
    }

    /// The content of a config was read.
    pub(crate) fn set_digest(&mut self, reference: ObjectRef, version: String, digest: Result<ConfigDigest, String>) {
        // The reader may have gone while the content was read.
        if self.readers.contains_key(&reference) {
            self.digests.insert(reference, (version, digest));
        }
    }

    /// Takes over what an earlier life of this program knew of configs, as far as it is about the versions that are there now.
    pub(crate) fn recall_digests(&mut self, reads: &BTreeSet<ObjectRef>, known: &BTreeMap<String, String>) {
        for reference in reads.iter().filter(|reference| by_metadata(reference.kind)) {
            if !self.digests.contains_key(reference)
                && let Some((version, digest)) = crate::digest::recall(reference, known)
            {
                self.set_digest(reference.clone(), version, Ok(digest));
            }
        }
    }

    /// What is known of the configs that a Canary reads, for its status.
    pub(crate) fn known_digests(&self, key: &Key) -> BTreeMap<String, String> {
        let reads = self.canaries.get(key).map(|entry| &*entry.reads).unwrap_or_default();
        reads
            .iter()
            .filter_map(|reference| match self.digests.get(reference) {
                Some((version, Ok(digest))) => crate::digest::remember(reference, version, digest),
                _ => None,
            })
            .collect()
    }

    /// Contents that could not be read are tried again at the next look.
    pub(crate) fn retry_digests(&mut self, reads: &BTreeSet<ObjectRef>) {
        for reference in reads.iter().filter(|reference| by_metadata(reference.kind)) {
            if self.digests.get(reference).is_some_and(|(_, digest)| digest.is_err()) {
                self.digests.remove(reference);
            }
        }
    }

    /// An object that is kept whole, by name: templates and alert providers.
    pub(crate) fn find(&mut self, kind: &'static Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        match self.stores.get_mut(kind)?.known(namespace, name) {
            Known::Kept(object) => Some(object),
            _ => None,
        }
    }
}

/// Kinds of which every object is kept: few, and looked up by name at any time.
fn kept_whole(kind: &Kind) -> bool {
    *kind == METRIC_TEMPLATE || *kind == ALERT_PROVIDER
}

#[cfg(test)]
mod tests {
    use super::*;
    use objects::kind::{DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER as HPA};
    use serde_json::json;

    fn deployment(version: &str) -> Arc<Value> {
        Arc::new(json!({"metadata": {"namespace": "n", "name": "web", "resourceVersion": version}}))
    }

    fn canary(state: &mut State, name: &str) -> Key {
        let key = Key::new("n", name);
        let entry = Entry {
            canary: Arc::new(Canary::default()),
            object: Box::default(),
            version: None,
            memory: Memory::default(),
            reads: Box::default(),
            failures: 0,
            repairs: Repairs::default(),
            rivals: Rivals::default(),
        };
        state.canaries.insert(key.clone(), entry);
        state.set_reads(&key, &BTreeSet::from([DEPLOYMENT.object("n", "web")]));
        key
    }

    #[tokio::test(start_paused = true)]
    async fn an_own_write_wakes_the_other_readers_only() {
        let world = World::default();
        let writer = canary(&mut world.state(), "a");
        let other = canary(&mut world.state(), "b");
        world.written(&DEPLOYMENT, &deployment("1"), &writer);
        assert_eq!(world.state().queue.pop(Instant::now()), Some(other));
        assert_eq!(world.state().queue.pop(Instant::now()), None);
        world.apply(&DEPLOYMENT, Slim::of(&DEPLOYMENT, &deployment("2")));
        assert_eq!(world.state().queue.pop(Instant::now()), Some(writer));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_of_what_nobody_watches_does_not_pass_for_a_watch() {
        let world = World::default();
        let key = canary(&mut world.state(), "a");
        world.written(&HPA, &deployment("1"), &key);
        world.state().wanted_kinds.clear();
        world.state().set_reads(&key, &BTreeSet::from([HPA.object("n", "web")]));
        assert!(world.state().wanted_kinds.contains(&HPA), "its watch is started");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_of_a_kind_that_is_lost_is_not_decided_upon() {
        let world = World::default();
        let key = canary(&mut world.state(), "a");
        world.apply(&DEPLOYMENT, Slim::of(&DEPLOYMENT, &deployment("1")));
        let mut state = world.state();
        state.end_list(&DEPLOYMENT);
        while state.queue.pop(Instant::now()).is_some() {}
        let reads = BTreeSet::from([DEPLOYMENT.object("n", "web")]);
        assert!(state.snapshot(&reads).0.find(&DEPLOYMENT.object("n", "web")).is_ok());
        state.lose_kind(&DEPLOYMENT, "deployments is forbidden".to_owned());
        assert_eq!(state.queue.pop(Instant::now()), Some(key));
        assert!(state.snapshot(&reads).0.find(&DEPLOYMENT.object("n", "web")).is_err());
    }
}
