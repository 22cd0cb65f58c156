//! What happens after a deletion, in the background: dependents of owners that are gone, contents of namespaces, objects of deleted definitions,
//! and the finalizers that make an owner wait.
//!
//! Source: <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>

use crate::defaults::crd;
use crate::failure::Failure;
use crate::lab::Inner;
use crate::store::{Chore, Store, is_deleted, uid};
use crate::verbs::{DeleteOptions, Desk, FOREGROUND, ORPHAN, Part, Record, WriteOptions};
use jiff::Timestamp;
use objects::paths;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long after a deletion its consequences follow: long enough to be seen in between.
const LAG: Duration = Duration::from_millis(10);

/// Starts the task. It ends with the lab.
pub(crate) fn start(lab: &Arc<Inner>) {
    let mut changed = lab.store().changed();
    let lab = Arc::downgrade(lab);
    tokio::spawn(async move {
        loop {
            let Some(idle) = lab.upgrade().map(|lab| lab.store().chores.is_empty()) else { return };
            if idle {
                if changed.changed().await.is_err() {
                    return;
                }
                continue;
            }
            tokio::time::sleep(LAG).await;
            let Some(lab) = lab.upgrade() else { return };
            work(&mut lab.store(), lab.clock().now());
        }
    });
}

/// Does all chores. Those that come up meanwhile are done too.
fn work(store: &mut Store, now: Timestamp) {
    while let Some((table, key)) = store.chores.pop_front() {
        let Some(object) = store.get(&table, &key.0, &key.1).cloned() else { continue };
        let mut collector = Collector { store, now };
        // A refusal means that somebody else was faster; then there is another chore.
        drop(if is_deleted(&object) {
            collector.go_on(&table, &object)
        } else {
            collector.check_owners(&table, &object)
        });
    }
}

struct Collector<'a> {
    store: &'a mut Store,
    now: Timestamp,
}

impl Collector<'_> {
    fn desk(&mut self, table: &str) -> Result<Desk<'_>, Failure> {
        let resource = self.store.registry.by_table(table).ok_or_else(Failure::no_such_path)?;
        let options = WriteOptions { manager: "kube-controller-manager".to_owned(), ..WriteOptions::default() };
        Ok(Desk::new(self.store, resource, self.now, options))
    }

    fn delete(&mut self, (table, (namespace, name)): &Chore) -> Result<(), Failure> {
        self.desk(table)?.delete(namespace, name, &DeleteOptions::default()).map(drop)
    }

    /// Deletes an object whose owners are all gone; forgets those that are, if others are left.
    fn check_owners(&mut self, table: &str, object: &Arc<Value>) -> Result<(), Failure> {
        let owners: Vec<Value> = paths::list(object, "/metadata/ownerReferences").cloned().collect();
        let left: Vec<Value> =
            owners.iter().filter(|owner| self.store.exists(paths::text(owner, "/uid"))).cloned().collect();
        if left.len() == owners.len() {
            return Ok(());
        }
        if left.is_empty() {
            return self.delete(&(table.to_owned(), crate::store::key_of(object)));
        }
        self.change(table, object, |new| paths::set(new, &["metadata", "ownerReferences"], json!(left)))
    }

    fn change(&mut self, table: &str, object: &Arc<Value>, change: impl FnOnce(&mut Value)) -> Result<(), Failure> {
        let mut desk = self.desk(table)?;
        let mut new = desk.resource.present(object).into_owned();
        change(&mut new);
        desk.update(object, new, Part::Main, Record::Changes).map(drop)
    }

    fn release(&mut self, table: &str, object: &Arc<Value>, finalizer: &str) -> Result<(), Failure> {
        let left: Vec<Value> =
            paths::list(object, "/metadata/finalizers").filter(|one| *one != finalizer).cloned().collect();
        self.change(table, object, |new| paths::set(new, &["metadata", "finalizers"], json!(left)))
    }

    /// Does what a deletion waits for.
    fn go_on(&mut self, table: &str, object: &Arc<Value>) -> Result<(), Failure> {
        let held_by = |finalizer: &str| paths::list(object, "/metadata/finalizers").any(|one| one == finalizer);
        if table == "namespaces" {
            return self.empty_namespace(object);
        }
        if held_by(crd::CLEANUP) {
            return self.empty_definition(table, object);
        }
        if held_by(ORPHAN) {
            return self.orphan(table, object);
        }
        if held_by(FOREGROUND) {
            return self.delete_dependents(table, object);
        }
        Ok(())
    }

    fn empty_namespace(&mut self, object: &Arc<Value>) -> Result<(), Failure> {
        let name = paths::text(object, "/metadata/name");
        for chore in self.store.contents(name) {
            drop(self.delete(&chore));
        }
        let held = paths::list(object, "/metadata/finalizers").next().is_some();
        if self.store.contents(name).is_empty() && !held {
            self.desk("namespaces")?.finish_deletion(object);
        }
        Ok(())
    }

    fn empty_definition(&mut self, table: &str, object: &Arc<Value>) -> Result<(), Failure> {
        let of = paths::text(object, "/metadata/name");
        let keys: Vec<_> = self.store.list(of, None).map(|object| crate::store::key_of(object)).collect();
        for key in keys {
            drop(self.delete(&(of.to_owned(), key)));
        }
        if self.store.list(of, None).next().is_none() { self.release(table, object, crd::CLEANUP) } else { Ok(()) }
    }

    fn orphan(&mut self, table: &str, object: &Arc<Value>) -> Result<(), Failure> {
        for (table, key) in self.store.owned_by(uid(object)) {
            let Some(dependent) = self.store.get(&table, &key.0, &key.1).cloned() else { continue };
            let owners = paths::list(&dependent, "/metadata/ownerReferences");
            let left: Vec<Value> = owners.filter(|owner| paths::text(owner, "/uid") != uid(object)).cloned().collect();
            self.change(&table, &dependent, |new| paths::set(new, &["metadata", "ownerReferences"], json!(left)))?;
        }
        self.release(table, object, ORPHAN)
    }

    fn delete_dependents(&mut self, table: &str, object: &Arc<Value>) -> Result<(), Failure> {
        let owner = uid(object).to_owned();
        for chore in self.store.owned_by(&owner) {
            drop(self.delete(&chore));
        }
        let blocks = |dependent: &Value| {
            let mut owners = paths::list(dependent, "/metadata/ownerReferences");
            owners.any(|one| paths::text(one, "/uid") == owner && one.get("blockOwnerDeletion") == Some(&json!(true)))
        };
        let left = self.store.owned_by(&owner);
        let blocked = left
            .iter()
            .any(|(table, key)| self.store.get(table, &key.0, &key.1).is_some_and(|dependent| blocks(dependent)));
        if blocked { Ok(()) } else { self.release(table, object, FOREGROUND) }
    }
}
