//! Which Canary is looked at next.
//!
//! A Canary is in the queue at most once, at its earliest moment. Of those that are due, namespaces take turns.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::time::Instant;

/// Namespace and name of a Canary. Copies share the texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl Key {
    /// A key.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Keys by the moment at which they are due.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    due: HashMap<Key, Instant>,
    order: BTreeSet<(Instant, Key)>,
    ready: BTreeMap<Arc<str>, BTreeSet<Key>>,
    last_namespace: Arc<str>,
}

impl Queue {
    /// Looks at `key` at that moment, or earlier if it is in the queue for earlier.
    pub(crate) fn add(&mut self, key: Key, at: Instant) {
        if self.ready.get(&key.namespace).is_some_and(|keys| keys.contains(&key)) {
            return;
        }
        if let Some(present) = self.due.get(&key) {
            if *present <= at {
                return;
            }
            self.order.remove(&(*present, key.clone()));
        }
        self.due.insert(key.clone(), at);
        self.order.insert((at, key));
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some(at) = self.due.remove(key) {
            self.order.remove(&(at, key.clone()));
        }
        if let Some(keys) = self.ready.get_mut(&key.namespace) {
            keys.remove(key);
        }
    }

    /// The next key that is due, namespaces in turn.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Key> {
        while let Some((at, key)) = self.order.first().cloned().filter(|(at, _)| *at <= now) {
            self.order.remove(&(at, key.clone()));
            self.due.remove(&key);
            self.ready.entry(Arc::clone(&key.namespace)).or_default().insert(key);
        }
        self.ready.retain(|_, keys| !keys.is_empty());
        let after = (std::ops::Bound::Excluded(Arc::clone(&self.last_namespace)), std::ops::Bound::Unbounded);
        let namespace = self
            .ready
            .range(after)
            .next()
            .or_else(|| self.ready.iter().next())
            .map(|(namespace, _)| Arc::clone(namespace))?;
        let key = self.ready.get_mut(&namespace)?.pop_first();
        self.last_namespace = namespace;
        key
    }

    /// The keys that are due.
    pub(crate) fn due(&self, now: Instant) -> Vec<Key> {
        let late = self.order.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key);
        self.ready.values().flatten().chain(late).cloned().collect()
    }

    /// Whether a key waits, due or not.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.due.contains_key(key) || self.ready.get(&key.namespace).is_some_and(|keys| keys.contains(key))
    }

    /// When the next key is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// How many keys wait, due or not.
    pub(crate) fn len(&self) -> usize {
        self.order.len() + self.ready.values().map(BTreeSet::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn namespaces_take_turns_and_the_earliest_moment_counts() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for name in ["a", "b", "c"] {
            queue.add(Key::new("big", name), now);
        }
        queue.add(Key::new("small", "x"), now);
        queue.add(Key::new("big", "late"), now + Duration::from_secs(9));
        queue.add(Key::new("big", "late"), now + Duration::from_secs(5));
        queue.add(Key::new("big", "late"), now + Duration::from_secs(7));
        assert_eq!(queue.due(now).len(), 4);
        let order: Vec<String> = std::iter::from_fn(|| queue.pop(now)).map(|key| key.to_string()).collect();
        assert_eq!(order, ["big/a", "small/x", "big/b", "big/c"]);
        assert!(queue.due(now).is_empty() && queue.contains(&Key::new("big", "late")));
        assert_eq!(queue.next(), Some(now + Duration::from_secs(5)));
        assert_eq!(queue.pop(now + Duration::from_secs(5)), Some(Key::new("big", "late")));
        assert!(queue.len() == 0 && !queue.contains(&Key::new("big", "late")));
    }
}
