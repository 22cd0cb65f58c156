//! Simulated nodes: Deployments and `DaemonSet`s become ready as their pod templates' annotations say.
//!
//! One task looks at every workload that changes, a moment after it changed, and again when one of its pods becomes ready or its deadline passes.
//! Nothing runs: a pod is a time at which it is ready. Objects of pods, `ReplicaSet`s and `EndpointSlice`s are made only if [`NodeOptions::pods`] says so.

mod daemon_set;
mod deployment;
mod deployment_status;
mod endpoints;
mod fleet;
mod pods;
mod replica_sets;

use crate::lab::Inner;
use crate::patch::apply::{self, Manager};
use crate::patch::types::Types;
use crate::store::{Key, Store, key_of, uid};
use fleet::Fleet;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How the simulated nodes behave.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeOptions {
    /// How long a pod takes to become ready whose template has no `sim/ready-after` annotation.
    pub ready_after: Duration,
    /// How long after a change of a workload the controllers react.
    pub reaction: Duration,
    /// Whether there are objects of Pods, of the `ReplicaSet`s of Deployments, and `EndpointSlice`s of Services.
    pub pods: bool,
}

/// Ready after 0.2 s, a reaction after 10 ms, no Pod objects.
impl Default for NodeOptions {
    fn default() -> Self {
        Self { ready_after: Duration::from_millis(200), reaction: Duration::from_millis(10), pods: false }
    }
}

const DEPLOYMENTS: &str = "deployments.apps";
const DAEMON_SETS: &str = "daemonsets.apps";
const PODS: &str = "pods";

/// Starts the task. It ends with the lab.
pub(crate) fn start(lab: &Arc<Inner>, options: NodeOptions) {
    let mut store = lab.store();
    let tables = if options.pods {
        [DEPLOYMENTS, DAEMON_SETS, PODS, replica_sets::TABLE, endpoints::SERVICES].as_slice()
    } else {
        &[DEPLOYMENTS, DAEMON_SETS]
    };
    let changed = tables.iter().map(|table| store.changed_in(table)).collect();
    drop(store);
    let nodes = Nodes { lab: Arc::downgrade(lab), options, seen: 0, fleets: HashMap::new(), due: BTreeSet::new() };
    tokio::spawn(nodes.run(changed));
}

/// Writes a workload's status, if it differs, in the name of the controllers.
fn write(store: &mut Store, table: &str, old: &Value, mut new: Value, scene: &fleet::Scene<'_>) {
    let Some(resource) = store.registry.by_table(table).filter(|_| new != *old) else { return };
    let manager = Manager {
        name: "kube-controller-manager".to_owned(),
        applies: false,
        api_version: resource.api_version(),
        subresource: "status",
        time: scene.stamp(),
    };
    apply::record(old, &mut new, &manager, Types(&resource));
    store.put(table, new);
}

/// The Deployments of which somebody has deleted a pod or a `ReplicaSet`.
fn losses(store: &Store, since: u64) -> impl Iterator<Item = Key> {
    let changes = [PODS, replica_sets::TABLE].map(|table| store.changes(table, since).ok().into_iter().flatten());
    changes.into_iter().flatten().filter(|change| change.deleted).filter_map(|change| {
        let (namespace, name) = key_of(&change.after);
        let owner = objects::paths::controller(&change.after)?;
        let set = if objects::paths::text(owner, "/kind") == "ReplicaSet" {
            objects::paths::text(owner, "/name")
        } else {
            &name
        };
        Some((namespace, replica_sets::deployment_of(set)?.to_owned()))
    })
}

/// The Services that have changed, or of which a pod has.
fn moves(store: &Store, since: u64) -> Vec<Key> {
    let changes = |table| store.changes(table, since).ok().into_iter().flatten();
    let own = changes(endpoints::SERVICES).map(|change| key_of(&change.after));
    own.chain(changes(PODS).flat_map(|change| endpoints::services_of(store, &change.after))).collect()
}

/// The workloads and when to look at them.
struct Nodes {
    lab: Weak<Inner>,
    options: NodeOptions,
    /// Changes up to this version are known.
    seen: u64,
    /// By uid.
    fleets: HashMap<String, Fleet>,
    due: BTreeSet<(Instant, &'static str, Key)>,
}

impl Nodes {
    async fn run(mut self, mut changed: Vec<watch::Receiver<u64>>) {
        loop {
            changed.iter_mut().for_each(watch::Receiver::mark_unchanged);
            if self.look().is_none() {
                return;
            }
            let wake = self.due.first().map(|(at, ..)| *at);
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let any = futures::future::select_all(changed.iter_mut().map(|table| Box::pin(table.changed())));
            tokio::select! {
                biased;
                (result, ..) = any => if result.is_err() { return },
                () = timer => {}
            }
        }
    }

    /// Notes what changed and does what is due. None: the lab is gone.
    fn look(&mut self) -> Option<()> {
        let lab = self.lab.upgrade()?;
        let now = Instant::now();
        self.note_changes(&lab, now);
        while self.due.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, table, key)) = self.due.pop_first() else { break };
            if let Some(again) = self.sync(&lab, table, &key, now) {
                self.due.insert((again, table, key));
            }
        }
        Some(())
    }

    fn note_changes(&mut self, lab: &Inner, now: Instant) {
        let store = lab.store();
        let at = now + self.options.reaction;
        for table in [DEPLOYMENTS, DAEMON_SETS] {
            match store.changes(table, self.seen) {
                Ok(changes) => {
                    for change in changes {
                        let key = key_of(&change.after);
                        if change.deleted {
                            self.fleets.remove(uid(&change.after));
                            self.due.retain(|(_, of, other)| *of != table || *other != key);
                        } else {
                            self.due.insert((at, table, key));
                        }
                    }
                }
                Err(_) => self.due.extend(store.list(table, None).map(|object| (at, table, key_of(object)))),
            }
        }
        if self.options.pods {
            self.due.extend(losses(&store, self.seen).map(|key| (at, DEPLOYMENTS, key)));
            self.due.extend(moves(&store, self.seen).into_iter().map(|key| (at, endpoints::SERVICES, key)));
        }
        self.seen = store.version();
    }

    fn sync(&mut self, lab: &Inner, table: &'static str, key: &Key, now: Instant) -> Option<Instant> {
        let mut store = lab.store();
        let object: Arc<Value> = store.get(table, &key.0, &key.1).cloned()?;
        if table == endpoints::SERVICES {
            let scene = fleet::Scene { now, stamp: lab.clock().now(), options: &self.options };
            endpoints::sync(&mut store, &object, &scene);
            return None;
        }
        let fleet = self.fleets.entry(uid(&object).to_owned()).or_default();
        let scene = fleet::Scene { now, stamp: lab.clock().now(), options: &self.options };
        if table == DEPLOYMENTS {
            deployment::sync(&mut store, &object, fleet, &scene)
        } else {
            daemon_set::sync(&mut store, &object, fleet, &scene)
        }
    }
}
