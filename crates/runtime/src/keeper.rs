//! One Canary at a time: look, decide, ask, act, look again.

use crate::actions::{Done, Failure};
use crate::clock::Clock;
use crate::cluster::ApiError;
use crate::notify::Courier;
use crate::outbound::Outbound;
use crate::queue::Key;
use crate::repairs::Repairs;
use crate::telemetry::Telemetry;
use crate::view::{Look, View, look};
use crate::watch::Clusters;
use crate::world::{Entry, Missing, World, by_metadata};
use api::{Canary, Settings};
use jiff::{SignedDuration, Timestamp};
use objects::{ConfigDigest, ObjectRef};
use rollout::{Alert, Answers, Decision, Event, Memory, Next, Plan, decide, decide_failed};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// Canaries that are looked at side by side.
const CONCURRENCY: usize = 64;
/// Looks in a row at one Canary before it has to pause: more than any rollout needs, so something goes in circles.
const LOOKS: usize = 40;
/// That pause.
const BREATHER: Duration = Duration::from_secs(5);
/// Conflicts in a row that are only a reason to look again.
const CONFLICTS: u32 = 6;
/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Everything that is needed to look after Canaries.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) world: Arc<World>,
    pub(crate) clusters: Clusters,
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Clock,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) courier: Courier,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// What one look came to.
enum Turn {
    /// Look again at once.
    Again,
    /// Something was asked: look again at once, with the answer. There are as many questions as the spec has hooks and metrics.
    Asked,
    /// Done until a change, or until that moment.
    Until(Option<Timestamp>),
    /// Done until a change, or for that long after a failure.
    Pause(Duration),
}

impl Keeper {
    /// Looks at whatever is due, until the task is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let permits = Arc::new(Semaphore::new(CONCURRENCY));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let key = self.next().await;
            let keeper = Arc::clone(&self);
            tokio::spawn(async move {
                keeper.look_after(&key).await;
                drop(permit);
            });
        }
    }

    /// The next Canary that is due; it counts as running from then on.
    async fn next(&self) -> Key {
        loop {
            let wait = {
                let mut state = self.world.state();
                if state.open {
                    if let Some(key) = state.queue.pop(Instant::now()) {
                        match state.canaries.get_mut(&key) {
                            Some(entry) if entry.running => entry.dirty = true,
                            Some(entry) => {
                                entry.running = true;
                                return key;
                            }
                            None => {}
                        }
                        continue;
                    }
                    self.telemetry.queue_depth(state.queue.len());
                    state.queue.next()
                } else {
                    None
                }
            };
            tokio::select! {
                () = self.world.queued.notified() => {}
                () = async { match wait { Some(moment) => tokio::time::sleep_until(moment).await, None => std::future::pending().await } } => {}
            }
        }
    }

    /// Takes turns at one Canary until there is nothing to do at once, then puts it back into the queue.
    async fn look_after(&self, key: &Key) {
        let started = Instant::now();
        let mut answers = Answers::default();
        let mut turn = Turn::Pause(Duration::from_secs(1));
        let mut looks = 0;
        while looks < LOOKS {
            turn = self.take_turn(key, &mut answers).await;
            match turn {
                Turn::Asked => {}
                Turn::Again => looks += 1,
                Turn::Until(_) | Turn::Pause(_) => break,
            }
        }
        self.telemetry.looked(started.elapsed());
        let mut state = self.world.state();
        let Some(entry) = state.canaries.get_mut(key) else { return };
        entry.running = false;
        let dirty = std::mem::take(&mut entry.dirty);
        let at = match turn {
            Turn::Again | Turn::Asked => Some(Instant::now() + BREATHER),
            Turn::Pause(pause) => Some(Instant::now() + pause),
            Turn::Until(moment) => moment.map(|moment| self.clock.instant(moment)),
        };
        if dirty && !matches!(turn, Turn::Again) {
            state.wake(key, Instant::now());
        } else if let Some(at) = at {
            state.wake(key, at);
        }
        drop(state);
        self.world.queued.notify_one();
        self.world.changed.notify_waiters();
    }

    async fn take_turn(&self, key: &Key, answers: &mut Answers) -> Turn {
        let look = {
            let mut state = self.world.state();
            let look = look(&mut state, key, &self.settings, answers, self.clock.now());
            if !state.wanted_kinds.is_empty() {
                self.world.kinds.notify_one();
            }
            look
        };
        match look {
            Look::Gone => Turn::Until(None),
            Look::Incomplete(missing) => self.fetch(missing).await,
            Look::Complete(mut view) => {
                let decision = decide(&view.rollout, &view.seen);
                self.carry_out(&mut view, decision, answers).await
            }
        }
    }

    /// Fetches what no watch brings: objects that nobody read before, and the content of configs.
    async fn fetch(&self, missing: Missing) -> Turn {
        if !missing.listing.is_empty() {
            // The end of the list wakes us.
            return Turn::Until(None);
        }
        for reference in missing.objects {
            if let Err(error) = self.fetch_object(&reference).await {
                debug!("{reference} cannot be read: {error}");
                return Turn::Pause(Duration::from_secs(1));
            }
        }
        for (reference, version) in missing.digests {
            self.fetch_digest(reference, version).await;
        }
        Turn::Again
    }

    async fn fetch_object(&self, reference: &ObjectRef) -> Result<(), ApiError> {
        self.telemetry.read();
        match self.clusters.of(reference.kind).get(reference).await {
            Ok(object) if by_metadata(reference.kind) => {
                self.world.apply(reference.kind, &crate::digest::without_content(&object));
            }
            Ok(object) => self.world.apply(reference.kind, &object),
            Err(error) if error.is_not_found() => {
                let gone = serde_json::json!({"metadata": {"namespace": reference.namespace, "name": reference.name}});
                self.world.delete(reference.kind, &gone);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads a config and keeps its digest. An error is kept as well, for this version of the object, and tried again with the Canary.
    async fn fetch_digest(&self, reference: ObjectRef, version: String) {
        self.telemetry.read();
        let digest: Result<ConfigDigest, String> = match self.clusters.of(reference.kind).get(&reference).await {
            Ok(object) => {
                let read = objects::paths::text(&object, "/metadata/resourceVersion").to_owned();
                if read != version {
                    self.world.apply(reference.kind, &crate::digest::without_content(&object));
                }
                let digest = crate::digest::digest(&reference, &object);
                self.world.state().set_digest(reference, read, Ok(digest));
                return;
            }
            Err(error) => Err(error.to_string()),
        };
        self.world.state().set_digest(reference, version, digest);
    }

    async fn carry_out(&self, view: &mut View, decision: Decision, answers: &mut Answers) -> Turn {
        // Somebody who undoes every repair at once must not make us write for ever, nor hold a rollout up.
        let tired = self.repairs(&view.key, |repairs| repairs.due(Instant::now()));
        let mut wrote = false;
        for action in decision.upkeep.iter().filter(|_| tired.is_none()) {
            match self.act(view, action).await {
                Ok(Done::Wrote) => wrote = true,
                Ok(Done::Nothing) => {}
                Err(failure) => return self.failed(view, failure).await,
            }
        }
        if wrote {
            self.repairs(&view.key, |repairs| repairs.count(Instant::now()));
            return Turn::Again;
        }
        let turn = self.go_on(view, decision.next, answers).await;
        match (tired, turn) {
            (Some(due), Turn::Until(wake)) => {
                let due = self.clock.now().checked_add(SignedDuration::try_from(due).unwrap_or_default()).ok();
                Turn::Until(wake.into_iter().chain(due).min())
            }
            (_, turn) => turn,
        }
    }

    /// What is remembered of the repairs of a Canary's objects.
    fn repairs<T: Default>(&self, key: &Key, look: impl FnOnce(&mut Repairs) -> T) -> T {
        self.world.state().canaries.get_mut(key).map(|entry| look(&mut entry.repairs)).unwrap_or_default()
    }

    async fn go_on(&self, view: &mut View, next: Next, answers: &mut Answers) -> Turn {
        match next {
            Next::Ask { announce, questions } => {
                for event in announce {
                    self.tell(view, &event);
                    answers.announced.push(event);
                }
                for question in questions {
                    let answer = self.answer(view, &question).await;
                    answers.add(question, answer);
                }
                Turn::Asked
            }
            Next::Act(plan) => {
                *answers = Answers::default();
                self.apply(view, plan).await
            }
        }
    }

    async fn apply(&self, view: &mut View, plan: Plan) -> Turn {
        let Plan { actions, wake, why, memory, gauges } = plan;
        debug!(canary = view.rollout.full_name(), why = ?why, "Decided");
        let mut wrote = false;
        for action in &actions {
            match self.act(view, action).await {
                Ok(Done::Wrote) => wrote = true,
                Ok(Done::Nothing) => {}
                Err(failure) => return self.failed(view, failure).await,
            }
        }
        self.remember(&view.key, memory);
        let now = self.clock.now();
        self.telemetry.gauges(&view.rollout, &gauges, now.duration_since(view.seen.now));
        if wrote || wake.is_some_and(|wake| wake <= now) { Turn::Again } else { Turn::Until(wake) }
    }

    fn remember(&self, key: &Key, memory: Memory) {
        if let Some(entry) = self.world.state().canaries.get_mut(key) {
            entry.memory = memory;
            entry.failures = 0;
        }
    }

    /// An action was not carried out: look again when that may help, tell it where it does not.
    async fn failed(&self, view: &mut View, failure: Failure) -> Turn {
        let failures = match self.world.state().canaries.get_mut(&view.key) {
            Some(entry) => {
                entry.failures = entry.failures.saturating_add(1);
                entry.failures
            }
            None => return Turn::Until(None),
        };
        let text = match failure {
            Failure::Changed => return Turn::Again,
            Failure::Conflict(text) if failures <= CONFLICTS => {
                debug!(canary = view.rollout.full_name(), "{text}");
                return Turn::Pause(Duration::from_millis(25 << failures.min(6)));
            }
            Failure::Conflict(text) | Failure::Text(text) => text,
        };
        let decision = decide_failed(&view.rollout, &view.seen, &text);
        if let Next::Act(Plan { actions, memory, .. }) = decision.next {
            for action in &actions {
                if let Err(failure) = self.act(view, action).await {
                    debug!(canary = view.rollout.full_name(), "{failure:?}");
                }
            }
            if let Some(entry) = self.world.state().canaries.get_mut(&view.key) {
                entry.memory = memory;
            }
        }
        Turn::Pause(Duration::from_secs(1 << failures.min(6)).min(LONGEST_PAUSE))
    }

    /// Tells an event: log, Kubernetes event, event webhooks.
    pub(crate) fn tell(&self, view: &View, event: &Event) {
        let name = view.rollout.full_name();
        match event.kind {
            rollout::EventKind::Normal | rollout::EventKind::Warning => info!(canary = name, "{}", event.message),
            rollout::EventKind::Error => error!(canary = name, "{}", event.message),
        }
        self.courier.event(&view.key, &view.object, &view.rollout, event, self.clock.now());
    }

    /// Sends an alert.
    pub(crate) fn alert(&self, view: &View, alert: &Alert) {
        self.courier.alert(&view.key, &view.rollout, alert);
    }

    /// Takes a Canary in, from the watch or from the answer to a write.
    pub(crate) fn take_canary(&self, object: Arc<Value>) {
        let key = Key::new(
            objects::paths::text(&object, "/metadata/namespace"),
            objects::paths::text(&object, "/metadata/name"),
        );
        let canary: Canary = match api::decode(object.as_ref().clone()) {
            Ok(canary) => canary,
            Err(why) => {
                // One object that cannot be read must not keep the others from being looked after.
                warn!(
                    canary = format!("{}.{}", key.name, key.namespace),
                    "Canary {}.{} cannot be read: {why}", key.name, key.namespace
                );
                self.courier.unreadable(&key, &object, &format!("invalid canary spec: {why}"), self.clock.now());
                return;
            }
        };
        let mut state = self.world.state();
        let now = Instant::now();
        if let Some(entry) = state.canaries.get_mut(&key) {
            let (new, old) = (crate::store::version(&object), crate::store::version(&entry.object));
            if new.is_some() && new <= old {
                return;
            }
            let same = entry.canary.spec == canary.spec
                && entry.canary.status == canary.status
                && entry.canary.metadata_matters(&canary);
            Self::service_renamed(&entry.canary, &canary);
            entry.object = object;
            entry.canary = Arc::new(canary);
            if same {
                return;
            }
        } else {
            info!(canary = format!("{}.{}", key.name, key.namespace), "Synced {key}");
            let entry = Entry {
                object,
                canary: Arc::new(canary),
                memory: Memory::default(),
                reads: BTreeSet::new(),
                running: false,
                dirty: false,
                failures: 0,
                repairs: Repairs::default(),
            };
            state.canaries.insert(key.clone(), entry);
            self.telemetry.canaries(
                &key.namespace,
                state.canaries.keys().filter(|other| other.namespace == key.namespace).count(),
            );
            Self::same_target(&state, &key);
        }
        state.wake(&key, now);
        drop(state);
        self.world.queued.notify_one();
        self.world.changed.notify_waiters();
    }

    fn service_renamed(before: &Canary, after: &Canary) {
        let (old, new) = (
            before.spec.service.name.as_deref().unwrap_or_default(),
            after.spec.service.name.as_deref().unwrap_or_default(),
        );
        if !old.is_empty() && old != new {
            let name = format!("{}.{}", after.metadata.name, after.metadata.namespace);
            warn!(canary = name, "The service name changed to {new}, remove {old} objects to avoid routing conflicts");
        }
    }

    /// Two Canaries on one target would fight over it.
    fn same_target(state: &crate::world::State, key: &Key) {
        let Some(entry) = state.canaries.get(key) else { return };
        let target = &entry.canary.spec.target_ref;
        let twin = state.canaries.iter().any(|(other, others)| {
            other != key
                && other.namespace == key.namespace
                && others.canary.spec.target_ref.name == target.name
                && others.canary.spec.target_ref.kind == target.kind
        });
        if twin {
            error!(
                canary = format!("{}.{}", key.name, key.namespace),
                "Bad things will happen! Found more than one canary with the same target {}.{}",
                target.name,
                key.namespace
            );
        }
    }

    /// A Canary is gone.
    pub(crate) fn drop_canary(&self, key: &Key) {
        let mut state = self.world.state();
        let Some(entry) = state.remove_canary(key) else { return };
        info!(canary = format!("{}.{}", key.name, key.namespace), "Deleting {}.{} from cache", key.name, key.namespace);
        let left = state.canaries.keys().filter(|other| other.namespace == key.namespace).count();
        drop(state);
        self.telemetry.forget(&entry.canary, left);
        self.courier.forget(key);
        self.world.changed.notify_waiters();
        self.world.kinds.notify_one();
    }
}

/// What of a Canary's metadata a decision looks at.
trait MetadataMatters {
    fn metadata_matters(&self, other: &Self) -> bool;
}

impl MetadataMatters for Canary {
    fn metadata_matters(&self, other: &Self) -> bool {
        let (a, b) = (&self.metadata, &other.metadata);
        a.generation == b.generation
            && a.finalizers == b.finalizers
            && a.deletion_timestamp == b.deletion_timestamp
            && a.annotations == b.annotations
            && a.uid == b.uid
    }
}
