//! The handle: starts a lab, and is how tests and the demo read and write it without HTTP.

use crate::clock::{Clock, SimulatedClock};
use crate::failure::Failure;
use crate::nodes::NodeOptions;
use crate::request::{Entry, Hook, RequestLog};
use crate::resource::Resource;
use crate::server::{LabService, Server};
use crate::store::Store;
use crate::verbs::{DeleteOptions, Desk, ListOptions, Part, PatchKind, WriteOptions};
use crate::{expiry, gc, nodes};
use objects::paths;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How to set up a lab.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where time stamps come from.
    pub clock: Arc<dyn Clock>,
    /// How the simulated nodes behave; none: workloads are objects only, and whoever wants a status writes it.
    pub nodes: Option<NodeOptions>,
    /// How many changes of each kind are kept for watches.
    pub history: usize,
    /// Uids and generated names follow from it.
    pub seed: u64,
}

/// Simulated time from 2030, nodes without pod objects, 4096 changes of history.
impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(SimulatedClock::default()), nodes: Some(NodeOptions::default()), history: 4096, seed: 1 }
    }
}

/// What all parts of a lab share.
pub(crate) struct Inner {
    store: Mutex<Store>,
    clock: Arc<dyn Clock>,
    log: Mutex<RequestLog>,
    hook: Mutex<Option<Arc<dyn Hook>>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lab")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn hook(&self) -> Option<Arc<dyn Hook>> {
        lock(&self.hook).clone()
    }

    pub(crate) fn record(&self, entry: Entry) {
        lock(&self.log).record(entry);
    }
}

/// A running lab. Clones share it; it ends when the last clone, service and server is gone.
#[derive(Debug, Clone)]
pub struct Lab {
    inner: Arc<Inner>,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Lab {
    /// Starts a lab with the namespaces that every cluster has. Needs a tokio runtime: garbage collection and nodes are tasks on it.
    pub fn new(options: Options) -> Self {
        let mut store = Store::new(options.history, options.seed);
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            if let Some(resource) = store.registry.by_name("namespaces") {
                let namespace = json!({"metadata": {"name": name}});
                let created =
                    Desk::new(&mut store, resource, options.clock.now(), WriteOptions::default()).create("", namespace);
                debug_assert!(created.is_ok(), "{created:?}");
            }
        }
        let inner = Arc::new(Inner {
            store: Mutex::new(store),
            clock: options.clock,
            log: Mutex::default(),
            hook: Mutex::new(None),
        });
        gc::start(&inner);
        expiry::start(&inner);
        if let Some(options) = options.nodes {
            nodes::start(&inner, options);
        }
        Self { inner }
    }

    /// The API server as a service in memory: `kube::Client::new(lab.service(), "default")`.
    pub fn service(&self) -> LabService {
        LabService::new(Arc::clone(&self.inner), None)
    }

    /// As [`Lab::service`], for a client that sends no `User-Agent` of its own: the log shows this one.
    pub fn service_as(&self, user_agent: &str) -> LabService {
        LabService::new(Arc::clone(&self.inner), Some(user_agent))
    }

    /// Serves HTTP/1.1 on a listener until the answer is dropped.
    pub fn serve(&self, listener: TcpListener) -> std::io::Result<Server> {
        Server::start(Arc::clone(&self.inner), listener)
    }

    /// The lab's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.inner.clock()
    }

    /// One object, by any name of its kind (`Deployment`, `deployments.apps`, `deploy`). Cluster-scoped: an empty namespace.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        View { store: &self.inner.store() }.get(kind, namespace, name)
    }

    /// The objects of a kind in a namespace, or in all if it is empty.
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Arc<Value>> {
        View { store: &self.inner.store() }.list(kind, namespace)
    }

    /// Whether there is such a kind.
    pub fn serves(&self, api_version: &str, kind: &str) -> bool {
        self.inner.store().registry.by_kind(api_version, kind).is_some()
    }

    /// Creates an object, in its `metadata.namespace` or in `default`. Its namespace must exist.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "objects are made where they are created: `lab.create(json!({..}))`"
    )]
    pub fn create(&self, object: Value) -> Result<Arc<Value>, Failure> {
        self.with(&object, |desk, namespace| desk.create(namespace, object.clone()))
    }

    /// Creates an object, or changes the present one by server-side apply as the manager `lab`, with force.
    pub fn apply(&self, object: &Value) -> Result<Arc<Value>, Failure> {
        let name = paths::text(object, "/metadata/name");
        self.with(object, |desk, namespace| {
            desk.options.force = true;
            Ok(desk.patch(namespace, name, PatchKind::Apply, object, Part::Main)?.0)
        })
    }

    /// Applies all objects of a YAML text, in order. Missing namespaces are created.
    pub fn apply_yaml(&self, text: &str) -> Result<Vec<Arc<Value>>, Failure> {
        read_yaml(text)?.iter().map(|object| self.ensure_namespace(object).and_then(|()| self.apply(object))).collect()
    }

    fn ensure_namespace(&self, object: &Value) -> Result<(), Failure> {
        let name = paths::text(object, "/metadata/namespace");
        if name.is_empty() || self.get("namespaces", "", name).is_some() {
            return Ok(());
        }
        self.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).map(drop)
    }

    /// Changes an object by a JSON merge patch.
    pub fn merge(&self, kind: &str, namespace: &str, name: &str, patch: &Value) -> Result<Arc<Value>, Failure> {
        self.at(kind, |desk| Ok(desk.patch(namespace, name, PatchKind::Merge, patch, Part::Main)?.0))
    }

    /// Changes an object's status by a JSON merge patch (`{"status": ...}`).
    pub fn merge_status(&self, kind: &str, namespace: &str, name: &str, patch: &Value) -> Result<Arc<Value>, Failure> {
        self.at(kind, |desk| Ok(desk.patch(namespace, name, PatchKind::Merge, patch, Part::Status)?.0))
    }

    /// Deletes an object, dependents in the background.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<(), Failure> {
        self.at(kind, |desk| desk.delete(namespace, name, &DeleteOptions::default()).map(drop))
    }

    fn at<T>(&self, kind: &str, work: impl FnOnce(&mut Desk<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut store = self.inner.store();
        let resource = store.registry.by_name(kind).ok_or_else(Failure::no_such_path)?;
        work(&mut self.desk(&mut store, resource))
    }

    fn with<T>(
        &self,
        object: &Value,
        work: impl FnOnce(&mut Desk<'_>, &str) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut store = self.inner.store();
        let resource = store
            .registry
            .by_kind(paths::text(object, "/apiVersion"), paths::text(object, "/kind"))
            .ok_or_else(Failure::no_such_path)?;
        let namespace = match paths::text(object, "/metadata/namespace") {
            _ if !resource.namespaced => "",
            "" => "default",
            namespace => namespace,
        };
        work(&mut self.desk(&mut store, resource), namespace)
    }

    fn desk<'s>(&self, store: &'s mut Store, resource: Arc<Resource>) -> Desk<'s> {
        Desk::new(
            store,
            resource,
            self.inner.clock.now(),
            WriteOptions { manager: "lab".to_owned(), named_manager: true, ..WriteOptions::default() },
        )
    }

    /// The `resourceVersion` of the last write.
    pub fn version(&self) -> u64 {
        self.inner.store().version()
    }

    /// Tells of every write, with its version; for waiting without polling.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.store().changed()
    }

    /// Waits until a condition holds: looks now, and after every write.
    pub async fn wait_until(&self, mut condition: impl FnMut(&View<'_>) -> bool) {
        self.wait_for(|view| condition(view).then_some(())).await;
    }

    /// Waits until there is an answer: asks now, and after every write.
    pub async fn wait_for<T>(&self, mut ask: impl FnMut(&View<'_>) -> Option<T>) -> T {
        let mut changed = self.changed();
        loop {
            changed.mark_unchanged();
            if let Some(answer) = ask(&View { store: &self.inner.store() }) {
                return answer;
            }
            // The sender lives as long as `self` does.
            drop(changed.changed().await);
        }
    }

    /// Forgets the history: watches from an older version get 410, as after etcd's compaction.
    pub fn compact(&self) {
        self.inner.store().compact();
    }

    /// The numbers of objects by kind, e.g. `deployments.apps`.
    pub fn sizes(&self) -> BTreeMap<String, usize> {
        self.inner.store().sizes()
    }

    /// A copy of the request log. What this handle does is not in it.
    pub fn requests(&self) -> RequestLog {
        lock(&self.inner.log).clone()
    }

    /// Empties the request log; the answer is what was in it.
    pub fn take_requests(&self) -> RequestLog {
        std::mem::take(&mut lock(&self.inner.log))
    }

    /// Sets the hook that sees every request; none: takes it away.
    pub fn set_hook(&self, hook: Option<Arc<dyn Hook>>) {
        *lock(&self.inner.hook) = hook;
    }
}

/// A consistent look at the objects. The lab stands still as long as it is held.
#[derive(Debug)]
pub struct View<'a> {
    store: &'a Store,
}

impl View<'_> {
    /// One object, by any name of its kind.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let resource = self.store.registry.by_name(kind)?;
        self.store.get(&resource.table, namespace, name).cloned()
    }

    /// The objects of a kind in a namespace, or in all if it is empty.
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Arc<Value>> {
        let Some(resource) = self.store.registry.by_name(kind) else { return Vec::new() };
        let options = ListOptions::default();
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        self.store.list(&resource.table, namespace).filter(|object| options.selector.matches(object)).cloned().collect()
    }

    /// The `resourceVersion` of the last write.
    pub fn version(&self) -> u64 {
        self.store.version()
    }
}

/// The objects of a YAML text, without empty documents; the items of lists one by one.
pub fn read_yaml(text: &str) -> Result<Vec<Value>, Failure> {
    use serde::Deserialize as _;
    crate::media::not_too_deep(text.as_bytes())?;
    let mut objects = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value =
            Value::deserialize(document).map_err(|why| Failure::bad_request(format!("error parsing YAML: {why}")))?;
        match value.get("items").and_then(Value::as_array) {
            Some(items) if paths::text(&value, "/kind").ends_with("List") => objects.extend(items.iter().cloned()),
            _ if value.is_null() => {}
            _ => objects.push(value),
        }
    }
    Ok(objects)
}
