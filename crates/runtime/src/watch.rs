//! Watches: one per kind that somebody reads, started when the first reader comes and stopped when the last one goes.
//!
//! A kind that cannot be had (no such API, no permission) is an error on the Canaries that ask for it; it is tried again with growing pauses.

use crate::cluster::{self, ApiError, Cluster};
use crate::permissions::Permissions;
use crate::slim::{Received, Slim, by_metadata};
use crate::store::Health;
use crate::world::World;
use futures::{Stream, StreamExt, TryStreamExt};
use kube::api::{Api, ApiResource};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use objects::{Home, Kind};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};
use tracing::{debug, warn};

/// How long a kind that nobody reads any more stays watched: readers come and go when Canaries are applied again.
const LINGER: Duration = Duration::from_secs(300);
/// How long a watch may be refused before what is known counts as out of date: permissions and CRDs are replaced by deleting and creating them.
const PATIENCE: Duration = Duration::from_secs(30);

/// A watch that lived that long has worked: the next one is opened after a short pause.
const GOOD_LIFE: Duration = Duration::from_secs(5);

/// Objects in one answer of a list: what they take is needed once more while they are read.
const PAGE: u32 = 250;
/// How long Canaries may take to say what they read before a list of it begins. What a list brings and nobody reads by then is dropped, and
/// must be fetched one by one.
const GATHERING: Duration = Duration::from_secs(5);

/// A stream of what happens to the objects of one kind.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<Event<Slim>, watcher::Error>> + Send>>;

/// The API servers by where a kind lives.
#[derive(Debug, Clone)]
pub struct Clusters {
    /// Workloads, Services, Canaries.
    pub main: Cluster,
    /// Routing objects of meshes and gateways; often the same.
    pub mesh: Cluster,
}

impl Clusters {
    /// One API server for everything.
    pub fn single(cluster: Cluster) -> Self {
        Self { main: cluster.clone(), mesh: cluster }
    }

    /// The API server that holds a kind.
    pub fn of(&self, kind: &Kind) -> &Cluster {
        match kind.home {
            Home::Main => &self.main,
            Home::Mesh => &self.mesh,
        }
    }
}

/// What happens to the objects of a kind, in one namespace or (empty) in all of them.
pub(crate) fn events(clusters: &Clusters, kind: &'static Kind, namespace: &str) -> Events {
    let resource = cluster::resource(kind);
    let client = clusters.of(kind).client();
    let config = watcher::Config::default().page_size(PAGE);
    if by_metadata(kind) {
        let api: Api<Received<true>> = scoped(client, &resource, kind, namespace);
        kube::runtime::watcher(api, config).backoff(Pauses::default()).map_ok(map).boxed()
    } else {
        let api: Api<Received<false>> = scoped(client, &resource, kind, namespace);
        kube::runtime::watcher(api, config).backoff(Pauses::default()).map_ok(map).boxed()
    }
}

/// Pauses between the attempts of a watch, growing until one has lived for a while. (The library's own begin anew with every attempt at a list, also with one
/// that is refused at once, and so ask twice a second for a kind that is gone.)
#[derive(Debug, Default)]
struct Pauses {
    failures: u32,
    /// When the last pause is over.
    until: Option<Instant>,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let lived = self.until.is_none_or(|until| now >= until + GOOD_LIFE);
        self.failures = if lived { 0 } else { self.failures.saturating_add(1) };
        let pause = Duration::from_millis(800 << self.failures.min(6)).min(PATIENCE);
        self.until = Some(now + pause);
        Some(pause)
    }
}

impl kube::runtime::utils::Backoff for Pauses {
    /// Success is a watch that lives, not its first event.
    fn reset(&mut self) {}
}

/// All objects of a kind, or those of one namespace.
fn scoped<K>(client: kube::Client, resource: &ApiResource, kind: &Kind, namespace: &str) -> Api<K>
where
    K: kube::Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
{
    if namespace.is_empty() || !kind.namespaced {
        Api::all_with(client, resource)
    } else {
        Api::namespaced_with(client, namespace, resource)
    }
}

fn map<const META: bool>(event: Event<Received<META>>) -> Event<Slim> {
    match event {
        Event::Apply(object) => Event::Apply(object.into()),
        Event::Delete(object) => Event::Delete(object.into()),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(object.into()),
        Event::InitDone => Event::InitDone,
    }
}

/// Keeps one watch per wanted kind until the task is dropped.
pub(crate) async fn keep_watching(world: Arc<World>, clusters: Clusters, namespace: String) {
    let mut watches: HashMap<&'static Kind, Running> = HashMap::new();
    loop {
        gather(&world).await;
        let wanted = std::mem::take(&mut world.state().wanted_kinds);
        for kind in wanted {
            debug!(kind = kind.kind, "Watching {}", kind.resource());
            let task = tokio::spawn(watch_kind(Arc::clone(&world), clusters.clone(), kind, namespace.clone()));
            watches.insert(kind, Running { task, idle_since: None });
        }
        let next = stop_unread(&world, &mut watches);
        tokio::select! {
            () = world.kinds.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Waits, for a while, until all who read a kind that is wanted have said so: until the lists are complete that are under way, because what they bring refers to
/// further objects, and until those Canaries have been looked at that are due then. (Not for those that become due later: in a storm there always are some.)
async fn gather(world: &World) {
    let deadline = Instant::now() + GATHERING;
    let mut due = None;
    loop {
        let changed = world.changed.notified();
        {
            let state = world.state();
            if !state.open || state.wanted_kinds.is_empty() {
                return;
            }
            if due.is_none() && !state.is_listing() {
                due = Some(state.queue.due(Instant::now()));
            }
            if let Some(due) = &mut due {
                while due.last().is_some_and(|key| !state.queue.contains(key)) {
                    due.pop();
                }
                if due.is_empty() {
                    return;
                }
            }
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            return;
        }
    }
}

struct Running {
    task: JoinHandle<()>,
    idle_since: Option<Instant>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ends watches that nobody has read for a while; says when to look again.
fn stop_unread(world: &World, watches: &mut HashMap<&'static Kind, Running>) -> Option<Instant> {
    let mut state = world.state();
    let unread = state.unread_kinds();
    let now = Instant::now();
    for (kind, running) in watches.iter_mut() {
        running.idle_since = unread.contains(kind).then(|| running.idle_since.unwrap_or(now));
    }
    let over: Vec<&'static Kind> = watches
        .iter()
        .filter(|(_, running)| running.idle_since.is_some_and(|since| since + LINGER <= now))
        .map(|(kind, _)| *kind)
        .collect();
    for kind in over {
        watches.remove(kind);
        state.stores.remove(kind);
    }
    watches.values().filter_map(|running| running.idle_since).min().map(|since| since + LINGER)
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn watch_kind(world: Arc<World>, clusters: Clusters, kind: &'static Kind, namespace: String) {
    loop {
        let permissions = clusters.of(kind).permissions();
        follow(&world, kind, permissions, &namespace, events(&clusters, kind, &namespace)).await;
    }
}

/// Follows one stream of events until it is refused for good; a new one begins with a list, which shows when the kind can be had again.
async fn follow(world: &World, kind: &'static Kind, permissions: &Permissions, namespace: &str, mut stream: Events) {
    let mut refused_since: Option<Instant> = None;
    while let Some(event) = stream.next().await {
        let error = match event {
            Ok(event) => {
                refused_since = None;
                allowed(permissions, &event, kind, namespace);
                take(world, kind, event);
                continue;
            }
            Err(error) => error,
        };
        let why = explain(&error, kind);
        permissions.refused(&why);
        debug!(kind = kind.kind, error = why, "The watch of {} is interrupted", kind.resource());
        let health = world.state().stores.get(kind).map(|store| store.health.clone()).unwrap_or_default();
        if health == Health::Listing {
            warn!(kind = kind.kind, "{} cannot be read: {why}", kind.resource());
        }
        world.state().fail_kind(kind, why.clone());
        world.queued.notify_one();
        world.changed.notify_waiters();
        if !is_refused(&error) || health != Health::Ready {
            refused_since = None;
        } else if refused_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
            warn!(kind = kind.kind, "{} cannot be read any more: {why}", kind.resource());
            world.state().lose_kind(kind, why);
            world.queued.notify_one();
            return;
        }
    }
    // Streams do not end by themselves; should one, it is no reason to spin.
    tokio::time::sleep(PATIENCE).await;
}

/// What an event proves to be allowed.
pub(crate) fn allowed(permissions: &Permissions, event: &Event<Slim>, kind: &Kind, namespace: &str) {
    match event {
        Event::InitDone => permissions.granted("list", kind, None, namespace),
        Event::Apply(_) | Event::Delete(_) => permissions.granted("watch", kind, None, namespace),
        Event::Init | Event::InitApply(_) => {}
    }
}

/// The server answers, and says no: there is no such kind any more, or no permission.
fn is_refused(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => matches!(status.code, 401 | 403 | 404),
        watcher::Error::WatchError(status) => matches!(status.code, 401 | 403 | 404),
        _ => false,
    }
}

/// Puts an event of a watch into the world.
pub(crate) fn take(world: &World, kind: &'static Kind, event: Event<Slim>) {
    match event {
        Event::Init => {
            if let Some(store) = world.state().stores.get_mut(kind) {
                store.begin_list();
            }
        }
        Event::InitApply(object) | Event::Apply(object) => world.apply(kind, object),
        Event::Delete(object) => world.delete(kind, &object),
        Event::InitDone => {
            world.state().end_list(kind);
            world.queued.notify_one();
            world.changed.notify_waiters();
        }
    }
}

/// The server's own message.
pub(crate) fn explain(error: &watcher::Error, kind: &Kind) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => ApiError::of(error, "get", kind).message,
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => "the server sent a list without resourceVersion".to_owned(),
    }
}
