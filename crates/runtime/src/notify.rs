//! Telling the world: Kubernetes events, event webhooks, alerts.
//!
//! All of it goes through one bounded queue per Canary, in order, and never holds a rollout up. What cannot be delivered is logged and counted.
//! An announcement of an outcome is one job that is never left out: first its Kubernetes events, then everything that a second delivery would double (event
//! webhooks, alerts); why in this order is said in `rollout`'s `outcome`.

use crate::cluster::ApiError;
use crate::events::{self, Correlators, EventWrite};
use crate::outbound::Outbound;
use crate::queue::Key;
use crate::telemetry::{Lost, Telemetry};
use crate::watch::Clusters;
use crate::world::World;
use api::{AlertProvider, CanaryWebhook, Rollout};
use jiff::Timestamp;
use objects::kind::{ALERT_PROVIDER, SECRET};
use providers::alerts::{self, Channel, Message};
use providers::hooks::{self, Attempt};
use providers::http::{Request, Secret};
use rollout::{Alert, Announcement, Event, EventKind};
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, error};

/// Jobs that wait for one Canary at most.
const LONGEST_QUEUE: usize = 512;
/// Canaries served side by side.
const CONCURRENCY: usize = 64;
/// Attempts at writing an event, and the longest pause between them: some two minutes in all.
const EVENT_ATTEMPTS: u32 = 16;
const EVENT_PAUSE: Duration = Duration::from_secs(10);

/// Where events and alerts go if the Canary does not say.
#[derive(Clone, Default)]
pub struct Receivers {
    /// `-event-webhook`.
    pub event_webhook: Option<String>,
    /// The global notifier.
    pub notifier: Option<Channel>,
}

impl std::fmt::Debug for Receivers {
    /// The URL of a webhook may be a secret as a whole.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receivers")
            .field("event_webhook", &self.event_webhook.as_ref().map(|_| "***"))
            .field("notifier", &self.notifier)
            .finish()
    }
}

/// Delivers. What is on its way ends with it.
#[derive(Debug)]
pub(crate) struct Courier {
    inner: Arc<Inner>,
    /// One for each Canary with a queue.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Inner {
    queues: Mutex<HashMap<Key, VecDeque<Job>>>,
    correlators: Mutex<Correlators>,
    /// The last announcement about each Canary (uid and id), and whether it was delivered.
    announced: Mutex<HashMap<Key, (String, watch::Receiver<bool>)>>,
    idle: Notify,
    permits: Semaphore,
    clusters: Clusters,
    world: Arc<World>,
    outbound: Arc<dyn Outbound>,
    telemetry: Arc<Telemetry>,
    receivers: Receivers,
}

#[derive(Debug)]
enum Job {
    Event { object: Arc<Value>, kind: &'static str, message: String, at: Timestamp },
    Webhook { hook: Box<CanaryWebhook>, request: Box<Result<Request, String>>, canary: String },
    Alert { rollout: Box<Rollout>, alert: Alert },
    Outcome(Box<Outcome>),
}

/// An announcement on its way.
#[derive(Debug)]
struct Outcome {
    events: Vec<EventWrite>,
    calls: Vec<(CanaryWebhook, Result<Request, String>)>,
    rollout: Rollout,
    alerts: Vec<Alert>,
    delivered: watch::Sender<bool>,
}

/// Should a delivery panic, which is a mistake of ours, the queue must not stay behind with nobody who serves it.
struct Serving<'a> {
    inner: &'a Inner,
    key: &'a Key,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let left = self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner).remove(self.key);
            left.into_iter().flatten().for_each(|_| self.inner.telemetry.dropped(Lost::Internal));
            self.inner.idle.notify_waiters();
        }
    }
}

impl Courier {
    pub(crate) fn new(
        clusters: Clusters,
        world: Arc<World>,
        outbound: Arc<dyn Outbound>,
        telemetry: Arc<Telemetry>,
        receivers: Receivers,
    ) -> Self {
        let inner = Arc::new(Inner {
            queues: Mutex::default(),
            correlators: Mutex::default(),
            announced: Mutex::default(),
            idle: Notify::new(),
            permits: Semaphore::new(CONCURRENCY),
            clusters,
            world,
            outbound,
            telemetry,
            receivers,
        });
        Self { inner, tasks: Mutex::default() }
    }

    /// An event: to the API server and to the event webhooks.
    pub(crate) fn event(&self, key: &Key, object: &Arc<Value>, rollout: &Rollout, event: &Event, now: Timestamp) {
        self.add(
            key,
            Job::Event { object: Arc::clone(object), kind: kind(event), message: event.message.clone(), at: now },
        );
        for (hook, request) in hooks::event_requests(rollout, event, self.inner.receivers.event_webhook.as_deref(), now)
        {
            self.add(
                key,
                Job::Webhook { hook: Box::new(hook), request: Box::new(request), canary: rollout.full_name() },
            );
        }
    }

    /// A Warning about a Canary that cannot even be read.
    pub(crate) fn unreadable(&self, key: &Key, object: &Arc<Value>, message: &str, now: Timestamp) {
        self.add(key, Job::Event { object: Arc::clone(object), kind: "Warning", message: message.to_owned(), at: now });
    }

    /// An alert, to the receivers that want it.
    pub(crate) fn alert(&self, key: &Key, rollout: &Rollout, alert: &Alert) {
        self.add(key, Job::Alert { rollout: Box::new(rollout.clone()), alert: alert.clone() });
    }

    /// An announcement, once however often it is asked for. The answer says whether this is the first time, and tells when it was delivered.
    pub(crate) fn announce(
        &self,
        key: &Key,
        object: &Arc<Value>,
        rollout: &Rollout,
        announcement: &Announcement,
        now: Timestamp,
    ) -> (bool, watch::Receiver<bool>) {
        let id = format!("{} {}", rollout.uid, announcement.id);
        let (delivered, receiver) = watch::channel(false);
        {
            let mut announced = self.inner.announced.lock().unwrap_or_else(PoisonError::into_inner);
            match announced.get(key) {
                Some((known, delivered)) if *known == id => return (false, delivered.clone()),
                _ => announced.insert(key.clone(), (id, receiver.clone())),
            };
        }
        let webhook = self.inner.receivers.event_webhook.as_deref();
        let events = &announcement.events;
        let outcome = Outcome {
            events: events
                .iter()
                .map(|event| events::outcome(key, object, kind(event), &event.message, &announcement.id, now))
                .collect(),
            calls: events.iter().flat_map(|event| hooks::event_requests(rollout, event, webhook, now)).collect(),
            rollout: rollout.clone(),
            alerts: announcement.alerts.clone(),
            delivered,
        };
        self.add(key, Job::Outcome(Box::new(outcome)));
        (true, receiver)
    }

    /// How much is remembered, by name.
    pub(crate) fn census(&self) -> [(&'static str, usize); 4] {
        let waiting =
            self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner).values().map(VecDeque::len).sum();
        let correlators = self.inner.correlators.lock().unwrap_or_else(PoisonError::into_inner);
        let announced = self.inner.announced.lock().unwrap_or_else(PoisonError::into_inner).len();
        [
            ("notifications that wait", waiting),
            ("correlators of events", correlators.len()),
            ("most events remembered of one Canary", correlators.most()),
            ("announcements remembered", announced),
        ]
    }

    /// A Canary is gone: its events need not be remembered, once those that wait were written.
    pub(crate) fn forget(&self, key: &Key) {
        let waiting = self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key);
        if !waiting {
            self.inner.forget(key);
        }
    }

    /// Waits until everything was delivered (or given up).
    pub(crate) async fn flushed(&self) {
        loop {
            let notified = self.inner.idle.notified();
            if self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            notified.await;
        }
    }

    fn add(&self, key: &Key, job: Job) {
        let mut queues = self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner);
        match queues.get_mut(key) {
            Some(queue) if queue.len() >= LONGEST_QUEUE && !matches!(job, Job::Outcome(_)) => {
                self.inner.telemetry.dropped(Lost::QueueFull);
            }
            Some(queue) => queue.push_back(job),
            None => {
                queues.insert(key.clone(), VecDeque::from([job]));
                let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
                while tasks.try_join_next().is_some() {}
                tasks.spawn(Arc::clone(&self.inner).serve(key.clone()));
            }
        }
    }
}

impl Inner {
    /// Delivers one Canary's jobs in order until there are none.
    async fn serve(self: Arc<Self>, key: Key) {
        let _serving = Serving { inner: &self, key: &key };
        while let Some(job) = self.next(&key) {
            match job {
                Job::Event { object, kind, message, at } => self.write_event(&key, &object, kind, &message, at).await,
                Job::Webhook { hook, request, canary } => self.call(&hook, *request, &canary).await,
                Job::Alert { rollout, alert } => self.send_alert(&rollout, &alert).await,
                Job::Outcome(outcome) => self.deliver(&key, *outcome).await,
            }
        }
    }

    async fn deliver(&self, key: &Key, outcome: Outcome) {
        let Outcome { events, calls, rollout, alerts, delivered } = outcome;
        for event in events {
            self.send_event(key, event, |_| None).await;
        }
        for (hook, request) in calls {
            self.call(&hook, request, &rollout.full_name()).await;
        }
        for alert in alerts {
            self.send_alert(&rollout, &alert).await;
        }
        delivered.send_replace(true);
    }

    /// The next job; the queue goes with the last one.
    fn next(&self, key: &Key) -> Option<Job> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let job = queues.get_mut(key)?.pop_front();
        if job.is_some() {
            return job;
        }
        queues.remove(key);
        drop(queues);
        if !self.world.state().knows(key) {
            self.forget(key);
        }
        self.idle.notify_waiters();
        None
    }

    fn forget(&self, key: &Key) {
        self.correlators.lock().unwrap_or_else(PoisonError::into_inner).forget(key);
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    async fn write_event(&self, key: &Key, object: &Value, kind: &'static str, message: &str, at: Timestamp) {
        let write = {
            let mut correlators = self.correlators.lock().unwrap_or_else(PoisonError::into_inner);
            correlators.of(key, at).observe(key, object, kind, message, at)
        };
        let Some(write) = write else { return self.telemetry.dropped(Lost::Budget) };
        let again = |inner: &Self| {
            let correlators = inner.correlators.lock().unwrap_or_else(PoisonError::into_inner);
            correlators.get(key)?.recreate(key, object, kind, message)
        };
        self.send_event(key, write, again).await;
    }

    /// Writes an event, with patience. `again` makes the event that was to be counted up and is gone.
    async fn send_event(&self, key: &Key, mut write: EventWrite, again: impl Fn(&Self) -> Option<EventWrite>) {
        let mut pause = Duration::from_secs(1);
        for attempt in 0..EVENT_ATTEMPTS {
            let permit = self.permits.acquire().await;
            let answer = match &write {
                EventWrite::Create(target, body) => self.clusters.main.create(target, body).await,
                EventWrite::Count(target, patch) => self.clusters.main.merge(target, patch, None, None).await,
            };
            drop(permit);
            match answer {
                Ok(_) => return,
                // The answer to an earlier attempt was lost, or another process has told it.
                Err(error) if error.already_exists() => return,
                Err(error) if error.is_not_found() && matches!(write, EventWrite::Count(..)) => {
                    let Some(event) = again(self) else { return };
                    write = event;
                }
                // The server refuses it, for example because the namespace is going: nothing to be done.
                Err(ApiError { code, message, .. }) if !matches!(code, 0 | 409 | 410 | 429) && code < 500 => {
                    debug!("Event about {key} refused: {message}");
                    return self.telemetry.dropped(Lost::Refused);
                }
                Err(error) => {
                    debug!("Event about {key} could not be written: {error}");
                    if attempt + 1 < EVENT_ATTEMPTS {
                        tokio::time::sleep(pause).await;
                        pause = EVENT_PAUSE.min(pause * 2);
                    }
                }
            }
        }
        self.telemetry.dropped(Lost::Unreachable);
    }

    async fn call(&self, hook: &CanaryWebhook, request: Result<Request, String>, canary: &str) {
        let outcome = match request {
            Ok(request) => call_hook(self.outbound.as_ref(), Some(&self.permits), hook, request).await,
            Err(why) => Err(why),
        };
        self.telemetry.requested("event", outcome.is_ok());
        if let Err(why) = outcome {
            self.telemetry.dropped(Lost::Webhook);
            error!(canary = canary, "error sending event to webhook: {why}");
        }
    }

    async fn send_alert(&self, rollout: &Rollout, alert: &Alert) {
        let message = Message {
            canary: rollout.name.clone(),
            namespace: rollout.namespace.clone(),
            text: alert.message.clone(),
            fields: alerts::fields(rollout, alert.with_fields),
            severity: alert.severity,
        };
        let name = rollout.full_name();
        if rollout.analysis.alerts.is_empty() {
            if let Some(channel) = &self.receivers.notifier
                && let Err(why) = self.post(channel, &message).await
            {
                error!(canary = name, "alert can't be sent: {why}");
            }
            return;
        }
        for entry in rollout.analysis.alerts.iter().filter(|entry| alerts::wants(entry.severity, alert.severity)) {
            let (provider, namespace) = (&entry.provider_ref.name, entry.provider_ref.namespace_or(&rollout.namespace));
            if let Err(why) = self.alert_provider(provider, namespace, &message).await {
                error!(canary = name, "alert provider {provider}.{namespace} {why}");
            }
        }
    }

    async fn alert_provider(&self, name: &str, namespace: &str, message: &Message) -> Result<(), String> {
        let found = self.world.state().find(&ALERT_PROVIDER, namespace, name);
        let object = found.ok_or_else(|| format!("error: {}", ALERT_PROVIDER.object(namespace, name).not_found()))?;
        let provider = AlertProvider::deserialize(&*object).map_err(|error| format!("error: {error}"))?;
        let secret = match &provider.spec.secret_ref {
            Some(reference) => {
                self.telemetry.read();
                let secret = self.clusters.main.get(&SECRET.object(namespace, &reference.name)).await;
                Some(secret_data(&secret.map_err(|error| format!("secretRef error: {error}"))?))
            }
            None => None,
        };
        let channel = alerts::channel(&provider, secret.as_ref())?;
        self.post(&channel, message).await.map_err(|why| format!("send error: {why}"))
    }

    async fn post(&self, channel: &Channel, message: &Message) -> Result<(), String> {
        let Some(request) = alerts::post(channel, message)? else { return Ok(()) };
        let permit = self.permits.acquire().await;
        let answer = self.outbound.send(request).await;
        drop(permit);
        self.telemetry.requested("alert", answer.is_ok());
        let outcome = alerts::outcome(channel, answer);
        if outcome.is_err() {
            self.telemetry.dropped(Lost::Alert);
        }
        outcome
    }
}

/// The type of a Kubernetes event.
fn kind(event: &Event) -> &'static str {
    if event.kind == EventKind::Normal { "Normal" } else { "Warning" }
}

/// Calls a hook with its retries.
/// With `permits`, each attempt waits for one of them; the pauses between do not count.
pub(crate) async fn call_hook(
    outbound: &dyn Outbound,
    permits: Option<&Semaphore>,
    hook: &CanaryWebhook,
    request: Request,
) -> Result<(), String> {
    let mut number = 0;
    loop {
        let permit = match permits {
            Some(permits) => permits.acquire().await.ok(),
            None => None,
        };
        let answer = outbound.send(request.clone()).await;
        drop(permit);
        match hooks::attempt(hook, number, &answer) {
            Attempt::Done(outcome) => return outcome,
            Attempt::Retry { after } => tokio::time::sleep(after).await,
        }
        number += 1;
    }
}

/// The keys of a Secret, decoded and hidden.
pub(crate) fn secret_data(object: &Value) -> BTreeMap<String, Secret> {
    use base64::Engine as _;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    objects::paths::strings(object, "/data")
        .into_iter()
        .filter_map(|(key, value)| Some((key, Secret::new(String::from_utf8_lossy(&decode(&value)?).into_owned()))))
        .collect()
}

#[cfg(test)]
mod tests;
