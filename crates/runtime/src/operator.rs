//! The whole shell, assembled: watches of our own kinds, of foreign kinds, the keeper, the courier.

use crate::clock::Clock;
use crate::keeper::{self, Keeper, key_of};
use crate::notify::{Courier, Receivers};
use crate::outbound::Outbound;
use crate::queue::Key;
use crate::slim::Slim;
use crate::store::Health;
use crate::telemetry::Telemetry;
use crate::watch::{self, Clusters};
use crate::world::World;
use api::Settings;
use futures::StreamExt;
use kube::runtime::watcher::Event;
use objects::Kind;
use objects::kind::{ALERT_PROVIDER, CANARY, METRIC_TEMPLATE};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

/// How long running decisions and notifications may take when the process is told to stop.
const GRACE: Duration = Duration::from_secs(3);
/// How long notifications have of it at least.
const FLUSH: Duration = Duration::from_secs(1);
/// How long the first lists may take before the cause is a reason to give up.
const SYNC_DEADLINE: Duration = Duration::from_secs(120);

/// What an operator needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The API servers.
    pub clusters: Clusters,
    /// The one namespace that is watched; empty for all.
    pub namespace: String,
    /// What the command line says that concerns Canaries.
    pub settings: Arc<Settings>,
    /// The clock.
    pub clock: Clock,
    /// The HTTP client.
    pub outbound: Arc<dyn Outbound>,
    /// Where events and alerts go if the Canary does not say.
    pub receivers: Receivers,
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
}

/// Looks after all Canaries of a cluster or a namespace.
#[derive(Debug)]
pub struct Operator {
    keeper: Arc<Keeper>,
    namespace: String,
    tasks: JoinSet<()>,
}

/// How much an operator remembers; for tests that look for leaks.
#[doc(hidden)]
#[derive(Debug)]
pub struct Census(Weak<Keeper>);

impl Census {
    /// Numbers by name; none if the operator is gone.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let Some(keeper) = self.0.upgrade() else { return BTreeMap::new() };
        let world = keeper.world.state().census();
        world.into_iter().chain(keeper.courier.census()).collect()
    }
}

impl Operator {
    /// An operator that does nothing yet.
    pub fn new(config: Config) -> Self {
        let Config { clusters, namespace, settings, clock, outbound, receivers, telemetry } = config;
        let world = Arc::new(World::default());
        let courier = Courier::new(
            clusters.clone(),
            Arc::clone(&world),
            Arc::clone(&outbound),
            Arc::clone(&telemetry),
            receivers,
        );
        let permits = Arc::new(Semaphore::new(keeper::CONCURRENCY));
        let keeper = Arc::new(Keeper { world, clusters, settings, clock, outbound, courier, telemetry, permits });
        Self { keeper, namespace, tasks: JoinSet::new() }
    }

    /// Tells how much is remembered, as long as the operator lives.
    #[doc(hidden)]
    pub fn census(&self) -> Census {
        Census(Arc::downgrade(&self.keeper))
    }

    /// Starts the watches of our own kinds and waits for their first lists.
    pub async fn sync(&mut self) -> Result<(), String> {
        let kinds = [(&CANARY, "canary"), (&METRIC_TEMPLATE, "metric template"), (&ALERT_PROVIDER, "alert provider")];
        for (kind, _) in kinds {
            self.keeper.world.state().stores.entry(kind).or_default();
            self.tasks.spawn(watch_own(Arc::clone(&self.keeper), kind, self.namespace.clone()));
        }
        for (kind, label) in kinds {
            info!("Waiting for {label} informer cache to sync");
            self.wait_for(kind).await?;
        }
        Ok(())
    }

    async fn wait_for(&self, kind: &'static Kind) -> Result<(), String> {
        let world = &self.keeper.world;
        let deadline = Instant::now() + SYNC_DEADLINE;
        loop {
            let changed = world.changed.notified();
            let health = world.state().stores.get(kind).map(|store| store.health.clone());
            if health == Some(Health::Ready) {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let why = match health {
                    Some(Health::Failing(why)) => why,
                    _ => "no answer".to_owned(),
                };
                return Err(format!("failed to wait for cache to sync: {}: {why}", kind.resource()));
            }
        }
    }

    /// Looks after Canaries until `stop` becomes true; then lets what is under way finish, for a short while.
    pub async fn run(mut self, mut stop: Receiver<bool>) {
        let keeper = Arc::clone(&self.keeper);
        info!("Starting operator");
        self.tasks.spawn(watch::keep_watching(
            Arc::clone(&keeper.world),
            keeper.clusters.clone(),
            self.namespace.clone(),
        ));
        self.tasks.spawn(Arc::clone(&keeper).run());
        keeper.telemetry.set_leader(true);
        keeper.open();
        info!("Started operator workers");
        // An error means that the sender is gone, which is a stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
        info!("Shutting down operator workers");
        keeper.world.state().open = false;
        let deadline = Instant::now() + GRACE;
        let _ = tokio::time::timeout_at(deadline, idle(&keeper)).await;
        let deadline = deadline.max(Instant::now() + FLUSH);
        let _ = tokio::time::timeout_at(deadline, keeper.courier.flushed()).await;
        keeper.telemetry.set_leader(false);
    }
}

/// Waits until no Canary is being decided.
async fn idle(keeper: &Keeper) {
    loop {
        let changed = keeper.world.changed.notified();
        if keeper.world.state().running.is_empty() {
            return;
        }
        changed.await;
    }
}

/// Watches one of our own kinds. Canaries are looked after; the others are kept whole, to be looked up by name.
async fn watch_own(keeper: Arc<Keeper>, kind: &'static Kind, namespace: String) {
    let mut stream = watch::events(&keeper.clusters, kind, &namespace);
    let permissions = keeper.clusters.of(kind).permissions();
    let mut listing = Listing::default();
    while let Some(event) = stream.next().await {
        if let Ok(event) = &event {
            watch::allowed(permissions, event, kind, &namespace);
        }
        match event {
            Ok(event) if *kind == CANARY => take_canary(&keeper, event, &mut listing),
            Ok(event) => watch::take(&keeper.world, kind, event),
            Err(error) => {
                let why = watch::explain(&error, kind);
                permissions.refused(&why);
                warn!("The watch of {} is interrupted: {why}", kind.resource());
                keeper.world.state().fail_kind(kind, why);
                keeper.world.changed.notify_waiters();
            }
        }
    }
}

/// A list of the Canaries that is under way.
#[derive(Debug, Default)]
struct Listing {
    /// What it brought so far.
    brought: HashSet<Key>,
    /// The versions that were known when it began.
    before: HashMap<Key, u64>,
}

impl Listing {
    fn begin(keeper: &Keeper) -> Self {
        let state = keeper.world.state();
        let before = state.canaries.iter().filter_map(|(key, entry)| Some((key.clone(), entry.version?))).collect();
        Self { brought: HashSet::new(), before }
    }
}

fn take_canary(keeper: &Keeper, event: Event<Slim>, listing: &mut Listing) {
    match event {
        Event::Init => *listing = Listing::begin(keeper),
        Event::InitApply(object) => {
            let key = key_of(&object);
            let before = listing.before.get(&key).copied();
            listing.brought.insert(key);
            keeper.take_canary(object, before);
        }
        Event::Apply(object) => keeper.take_canary(object, None),
        Event::Delete(object) => keeper.drop_canary(&key_of(&object)),
        Event::InitDone => {
            // What a new list does not bring was deleted while nobody watched.
            let listing = std::mem::take(listing);
            let lost: Vec<Key> = {
                let state = keeper.world.state();
                let known = state.canaries.keys().chain(state.unreadable.keys());
                known.filter(|key| !listing.brought.contains(*key)).cloned().collect()
            };
            for key in lost {
                keeper.drop_canary(&key);
            }
            keeper.world.state().stores.entry(&CANARY).or_default().health = Health::Ready;
            keeper.world.changed.notify_waiters();
        }
    }
}
