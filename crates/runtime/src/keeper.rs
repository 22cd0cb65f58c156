//! One Canary at a time: look, decide, ask, act, look again.

use crate::actions::{Done, Failure};
use crate::clock::Clock;
use crate::cluster::ApiError;
use crate::notify::Courier;
use crate::outbound::Outbound;
use crate::queue::Key;
use crate::repairs::Repairs;
use crate::rivals::Rivals;
use crate::slim::{Slim, by_metadata};
use crate::telemetry::Telemetry;
use crate::view::{Look, View, look, register};
use crate::watch::Clusters;
use crate::world::{Entry, Missing, World};
use api::{Canary, Settings};
use jiff::{SignedDuration, Timestamp};
use objects::kind::CANARY;
use objects::{ObjectRef, Snapshot};
use rollout::{
    Action, Alert, Announcement, Answers, Decision, Event, EventKind, Memory, Next, Payload, Plan, decide,
    decide_failed,
};
use serde::Deserialize as _;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// Canaries that are looked at side by side.
pub(crate) const CONCURRENCY: usize = 64;
/// Looks in a row at one Canary before it has to pause: more than any rollout needs, so something goes in circles.
const LOOKS: usize = 40;
/// That pause.
const BREATHER: Duration = Duration::from_secs(5);
/// Conflicts in a row that are only a reason to look again.
const CONFLICTS: u32 = 6;
/// How long receivers of an announcement are waited for, before it is noted as made.
const RECEIVERS: Duration = Duration::from_secs(10);
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
    /// For Canaries that are looked at side by side; those that wait for an answer do not count.
    pub(crate) permits: Arc<Semaphore>,
}

/// What belongs to the looks in a row at one Canary.
#[derive(Debug, Default)]
struct Visit {
    answers: Answers,
    /// Uid and generation of the Canary that the questions were about.
    about: (String, i64),
    permit: Option<OwnedSemaphorePermit>,
    /// Configs that were read on this visit, with their content.
    contents: Vec<(ObjectRef, Value)>,
    /// What the last look saw, so that what has not changed need not be parsed again.
    last: Snapshot,
}

/// A Canary that is being decided. However that ends, it can be looked at again.
struct Running<'a> {
    keeper: &'a Keeper,
    key: &'a Key,
    turn: Turn,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.keeper.leave(self.key, &self.turn);
    }
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
    /// Looks at whatever is due, until the task is dropped; what is under way is dropped with it.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut visits = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return };
            let key = self.next().await;
            while visits.try_join_next().is_some() {}
            let keeper = Arc::clone(&self);
            visits.spawn(async move {
                keeper.look_after(&key, Visit { permit: Some(permit), ..Visit::default() }).await;
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
                        if !state.canaries.contains_key(&key) {
                            continue;
                        }
                        if let Some(dirty) = state.running.get_mut(&key) {
                            *dirty = true;
                            continue;
                        }
                        state.running.insert(key.clone(), false);
                        return key;
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
    async fn look_after(&self, key: &Key, mut visit: Visit) {
        let started = Instant::now();
        // Should a turn not come to its end, which is a mistake of ours, the Canary is looked at again after the longest pause.
        let mut running = Running { keeper: self, key, turn: Turn::Pause(LONGEST_PAUSE) };
        let mut looks = 0;
        while looks < LOOKS {
            let turn = self.take_turn(key, &mut visit).await;
            match turn {
                Turn::Asked => {}
                Turn::Again => looks += 1,
                Turn::Until(_) | Turn::Pause(_) => {
                    running.turn = turn;
                    break;
                }
            }
        }
        if looks >= LOOKS {
            running.turn = Turn::Again;
        }
        drop(running);
        self.telemetry.looked(started.elapsed());
    }

    /// Nobody is at this Canary any more; says when to look again.
    fn leave(&self, key: &Key, turn: &Turn) {
        let at = match turn {
            Turn::Again | Turn::Asked => Some(Instant::now() + BREATHER),
            Turn::Pause(pause) => Some(Instant::now() + *pause),
            Turn::Until(moment) => moment.map(|moment| self.clock.instant(moment)),
        };
        let mut state = self.world.state();
        let dirty = state.running.remove(key).unwrap_or_default();
        if dirty && !matches!(turn, Turn::Again) {
            state.wake(key, Instant::now());
        } else if let Some(at) = at {
            state.wake(key, at);
        }
        drop(state);
        self.world.queued.notify_one();
        self.world.changed.notify_waiters();
    }

    async fn take_turn(&self, key: &Key, visit: &mut Visit) -> Turn {
        let (look, rivals) = {
            let mut state = self.world.state();
            if !state.open {
                // We no longer lead. What was begun is finished, nothing is begun.
                return Turn::Until(None);
            }
            // What changed so far is seen now.
            if let Some(dirty) = state.running.get_mut(key) {
                *dirty = false;
            }
            if let Some(entry) = state.canaries.get(key) {
                let about = (entry.canary.metadata.uid.clone(), entry.canary.metadata.generation);
                if visit.about != about {
                    // Questions name hooks and metrics by their place in the spec: answers about another spec are none.
                    visit.answers = Answers::default();
                    visit.about = about;
                }
            }
            let look = look(&mut state, key, &self.settings, &visit.answers, self.clock.now());
            if !state.wanted_kinds.is_empty() {
                self.world.kinds.notify_one();
            }
            let rivals = matches!(look, Look::Complete(_))
                && state.canaries.get_mut(key).is_some_and(|entry| entry.rivals.news());
            (look, rivals)
        };
        match look {
            Look::Gone => Turn::Until(None),
            Look::Incomplete(missing) => self.fetch(key, missing, visit).await,
            Look::Complete(mut view) => {
                if rivals {
                    self.tell_of_rivals(&view);
                }
                let decision = decide(&view.rollout, &view.seen);
                view.contents = std::mem::take(&mut visit.contents);
                let turn = self.carry_out(&mut view, decision, visit).await;
                visit.last = std::mem::take(&mut view.snapshot);
                visit.contents = std::mem::take(&mut view.contents);
                turn
            }
        }
    }

    /// Fetches what no watch brings: objects that nobody read before, and the content of configs.
    async fn fetch(&self, key: &Key, missing: Missing, visit: &mut Visit) -> Turn {
        if !missing.listing.is_empty() {
            // The end of the list wakes us.
            return Turn::Until(None);
        }
        for reference in missing.objects {
            if let Err(error) = self.fetch_object(&reference, visit).await {
                warn!(canary = format!("{}.{}", key.name, key.namespace), "{reference} cannot be read: {error}");
                let failures = self.world.state().canaries.get_mut(key).map_or(0, |entry| {
                    entry.failures = entry.failures.saturating_add(1);
                    entry.failures
                });
                return Turn::Pause(pause(failures));
            }
        }
        for (reference, version) in missing.digests {
            self.fetch_digest(reference, version, visit).await;
        }
        Turn::Again
    }

    async fn fetch_object(&self, reference: &ObjectRef, visit: &mut Visit) -> Result<(), ApiError> {
        self.telemetry.read();
        match self.clusters.of(reference.kind).get(reference).await {
            Ok(object) => self.take_read(reference, &object, visit),
            Err(error) if error.is_not_found() => {
                if let Some(store) = self.world.state().stores.get_mut(reference.kind) {
                    store.vanish(&reference.namespace, &reference.name);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// An object was read. Of a config the digest is kept, and the content until the end of the visit: it may have to be copied.
    fn take_read(&self, reference: &ObjectRef, object: &Value, visit: &mut Visit) {
        self.world.apply(reference.kind, Slim::of(reference.kind, object));
        if by_metadata(reference.kind) {
            let version = objects::paths::text(object, "/metadata/resourceVersion").to_owned();
            let digest = crate::digest::digest(reference, object);
            self.world.state().set_digest(reference.clone(), version, Ok(digest));
            visit.contents.push((reference.clone(), object.clone()));
        }
    }

    /// Reads a config and keeps its digest. An error is kept as well, for this version of the object, and tried again with the Canary.
    async fn fetch_digest(&self, reference: ObjectRef, version: String, visit: &mut Visit) {
        self.telemetry.read();
        match self.clusters.of(reference.kind).get(&reference).await {
            Ok(object) => self.take_read(&reference, &object, visit),
            Err(error) => self.world.state().set_digest(reference, version, Err(error.to_string())),
        }
    }

    async fn carry_out(&self, view: &mut View, decision: Decision, visit: &mut Visit) -> Turn {
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
        let turn = self.go_on(view, decision.next, visit).await;
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

    async fn go_on(&self, view: &mut View, next: Next, visit: &mut Visit) -> Turn {
        match next {
            Next::Ask { questions, .. } if questions.is_empty() => Turn::Again,
            Next::Ask { announce, questions } => {
                // Answers may take minutes; others need not wait for them.
                visit.permit = None;
                // When they come, everything is looked at anew.
                view.snapshot = Snapshot::new();
                visit.last = Snapshot::new();
                for event in announce {
                    self.tell(view, &event);
                    visit.answers.announced.push(event);
                }
                for question in questions {
                    let answer = self.answer(view, &question).await;
                    visit.answers.add(question, answer);
                }
                visit.permit = Arc::clone(&self.permits).acquire_owned().await.ok();
                Turn::Asked
            }
            Next::Act(plan) => {
                visit.answers = Answers::default();
                self.apply(view, plan, visit).await
            }
        }
    }

    async fn apply(&self, view: &mut View, plan: Plan, visit: &mut Visit) -> Turn {
        let Plan { actions, wake, why, memory, gauges } = plan;
        debug!(canary = view.rollout.full_name(), why = ?why, "Decided");
        let mut wrote = false;
        for action in &actions {
            if let Action::Announce(announcement) = action {
                let mut delivered = self.announce(view, announcement);
                // Receivers may be slow; others need not wait for them.
                visit.permit = None;
                // Late or given up: both are as good as it gets.
                let _ = tokio::time::timeout(RECEIVERS, delivered.wait_for(|delivered| *delivered)).await;
                visit.permit = Arc::clone(&self.permits).acquire_owned().await.ok();
                continue;
            }
            match self.act(view, action).await {
                Ok(Done::Wrote) => wrote = true,
                Ok(Done::Nothing) => {}
                Err(failure) => return self.failed(view, failure).await,
            }
        }
        let now = self.clock.now();
        if !self.remember(view, memory) {
            return Turn::Until(None);
        }
        self.telemetry.gauges(&view.rollout, &gauges, now.duration_since(view.seen.now));
        if wrote || wake.is_some_and(|wake| wake <= now) { Turn::Again } else { Turn::Until(wake) }
    }

    /// False if the Canary is gone meanwhile: nothing of it is kept then, nor given to one that was made under its name.
    fn remember(&self, view: &View, memory: Memory) -> bool {
        match self.world.state().same(&view.key, &view.rollout.uid) {
            Some(entry) => {
                entry.memory = memory;
                entry.failures = 0;
                true
            }
            None => false,
        }
    }

    /// Whether the Canary that was looked at still is there.
    pub(crate) fn is_alive(&self, view: &View) -> bool {
        self.world.state().same(&view.key, &view.rollout.uid).is_some()
    }

    /// An action was not carried out: look again when that may help, tell it where it does not.
    async fn failed(&self, view: &mut View, failure: Failure) -> Turn {
        let failures = match self.world.state().same(&view.key, &view.rollout.uid) {
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
            if let Some(entry) = self.world.state().same(&view.key, &view.rollout.uid) {
                entry.memory = memory;
            }
        }
        Turn::Pause(pause(failures))
    }

    /// Two installations that look after the same Canary both act on it.
    fn tell_of_rivals(&self, view: &View) {
        let message = format!(
            "Somebody else keeps writing the status of {}: is another installation of Flagger looking after namespace {}? Remove one of them, or give each a namespace of its own (-namespace)",
            view.rollout.full_name(),
            view.rollout.namespace
        );
        let payload = Payload::of(&view.seen.status, view.seen.status.phase);
        self.tell(view, &Event { kind: EventKind::Warning, message, payload });
    }

    /// Tells an event: log, Kubernetes event, event webhooks.
    pub(crate) fn tell(&self, view: &View, event: &Event) {
        log(view, event);
        self.courier.event(&view.key, &view.object, &view.rollout, event, self.clock.now());
    }

    /// Sends an announcement on its way, if it is not there yet; tells when it was delivered.
    pub(crate) fn announce(&self, view: &View, announcement: &Announcement) -> watch::Receiver<bool> {
        let (first, delivered) =
            self.courier.announce(&view.key, &view.object, &view.rollout, announcement, self.clock.now());
        if first {
            announcement.events.iter().for_each(|event| log(view, event));
        }
        delivered
    }

    /// Sends an alert.
    pub(crate) fn alert(&self, view: &View, alert: &Alert) {
        self.courier.alert(&view.key, &view.rollout, alert);
    }

    /// Takes a Canary in from the watch. `replaces`: a version that this one replaces even if it is lower, because a new list brings it.
    pub(crate) fn take_canary(&self, object: Slim, replaces: Option<u64>) {
        let key = key_of(&object);
        // The short way; where it fails, the long one says what is wrong.
        let read = serde_json::from_slice(&object.bytes).or_else(|_| api::decode(object.value()));
        let canary: Canary = match read {
            Ok(canary) => canary,
            Err(why) => {
                return self.set_unreadable(&key, &Arc::new(object.value()), &format!("invalid canary spec: {why}"));
            }
        };
        let mut state = self.world.state();
        state.unreadable.remove(&key);
        let (now, leads) = (Instant::now(), state.open);
        let mut reborn = false;
        if let Some(entry) = state.canaries.get_mut(&key) {
            let (new, old) = (object.version, entry.version);
            if new.is_some() && new <= old && (new == old || replaces.is_none() || replaces != old) {
                return;
            }
            reborn = entry.canary.metadata.uid != canary.metadata.uid;
            if reborn {
                (entry.memory, entry.failures, entry.repairs) = (Memory::default(), 0, Repairs::default());
                entry.rivals = Rivals::default();
            } else if leads && entry.canary.status != canary.status {
                entry.rivals.change();
            }
            if !entry.take(object, canary) {
                return;
            }
        } else {
            info!(canary = format!("{}.{}", key.name, key.namespace), "Synced {key}");
            let entry = Entry {
                object: object.bytes.into(),
                version: object.version,
                canary: Arc::new(canary),
                memory: Memory::default(),
                reads: Box::default(),
                failures: 0,
                repairs: Repairs::default(),
                rivals: Rivals::default(),
            };
            let count = state.add_canary(key.clone(), entry);
            self.telemetry.canaries(&key.namespace, count);
            register(&mut state, &key, &self.settings);
            Self::same_target(&state, &key);
        }
        state.wake(&key, now);
        drop(state);
        if reborn {
            self.courier.forget(&key);
        }
        self.world.queued.notify_one();
        self.world.changed.notify_waiters();
    }

    /// Takes a Canary in from the answer to a request of ours. The news of its deletion may have come first: then it stays away.
    pub(crate) fn take_own_canary(&self, object: &Value) {
        let Ok(canary) = Canary::deserialize(object) else { return };
        let object = Slim::of(&CANARY, object);
        let mut state = self.world.state();
        let Some(entry) = state.same(&key_of(&object), &canary.metadata.uid) else { return };
        if object.version > entry.version {
            entry.take(object, canary);
        }
    }

    /// One object that cannot be read must not keep the others from being looked after. Nothing is decided about it on the basis of what it was before.
    fn set_unreadable(&self, key: &Key, object: &Arc<Value>, why: &str) {
        let mut state = self.world.state();
        state.remove_canary(key);
        let known = state.unreadable.insert(key.clone(), (Arc::clone(object), why.to_owned()));
        if known.is_some_and(|(_, told)| told == why) {
            return;
        }
        let leads = state.open;
        drop(state);
        warn!(
            canary = format!("{}.{}", key.name, key.namespace),
            "Canary {}.{} cannot be read: {why}", key.name, key.namespace
        );
        if leads {
            self.courier.unreadable(key, object, why, self.clock.now());
        }
    }

    /// Begins to decide. What a standby kept to itself is told now.
    pub(crate) fn open(&self) {
        let mut state = self.world.state();
        state.open = true;
        let unreadable: Vec<_> = state
            .unreadable
            .iter()
            .map(|(key, (object, why))| (key.clone(), Arc::clone(object), why.clone()))
            .collect();
        drop(state);
        for (key, object, why) in unreadable {
            self.courier.unreadable(&key, &object, &why, self.clock.now());
        }
        self.world.queued.notify_one();
    }

    /// Two Canaries on one target would fight over it.
    fn same_target(state: &crate::world::State, key: &Key) {
        let Some(entry) = state.canaries.get(key) else { return };
        let target = &entry.canary.spec.target_ref;
        let twin = state.neighbours(key).any(|(_, other)| {
            let others = &other.canary.spec.target_ref;
            others.name == target.name && others.kind == target.kind
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
        state.unreadable.remove(key);
        let Some(entry) = state.remove_canary(key) else {
            drop(state);
            return self.courier.forget(key);
        };
        info!(canary = format!("{}.{}", key.name, key.namespace), "Deleting {}.{} from cache", key.name, key.namespace);
        let left = state.count(&key.namespace);
        drop(state);
        self.telemetry.forget(&entry.canary, left);
        self.courier.forget(key);
        self.world.changed.notify_waiters();
        self.world.kinds.notify_one();
    }
}

impl Entry {
    /// Takes another version. True if decisions look at what changed.
    fn take(&mut self, object: Slim, canary: Canary) -> bool {
        let same = self.canary.spec == canary.spec
            && self.canary.status == canary.status
            && self.canary.metadata_matters(&canary);
        service_renamed(&self.canary, &canary);
        (self.object, self.version) = (object.bytes.into(), object.version);
        self.canary = Arc::new(canary);
        !same
    }
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

pub(crate) fn key_of(object: &Slim) -> Key {
    Key::new(&object.namespace, &object.name)
}

fn log(view: &View, event: &Event) {
    let name = view.rollout.full_name();
    match event.kind {
        EventKind::Normal | EventKind::Warning => info!(canary = name, "{}", event.message),
        EventKind::Error => error!(canary = name, "{}", event.message),
    }
}

/// The pause after that many failures in a row.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(6)).min(LONGEST_PAUSE)
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
