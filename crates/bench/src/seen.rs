//! What becomes of the Canaries, as a watch tells it: every phase of each, with the moment at which it was seen.

use crate::load::Service;
use anyhow::bail;
use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event};
use objects::kind::CANARY;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// One phase of a Canary.
#[derive(Debug, Clone)]
struct Moment {
    phase: String,
    at: Instant,
}

type Lives = HashMap<(String, String), Vec<Moment>>;

/// See the module. The watch ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    lives: Arc<Mutex<Lives>>,
    changed: watch::Receiver<()>,
    task: Arc<Task>,
}

#[derive(Debug)]
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Seen {
    /// Watches the Canaries of a cluster.
    pub(crate) fn start(client: kube::Client) -> Self {
        let api: Api<DynamicObject> = Api::all_with(client, &runtime::cluster::resource(&CANARY));
        let lives = Arc::<Mutex<Lives>>::default();
        let (bell, changed) = watch::channel(());
        let taken = Arc::clone(&lives);
        let task = tokio::spawn(async move {
            let mut events = kube::runtime::watcher(api, watcher::Config::default()).boxed();
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
                    take(&taken, &object);
                    bell.send_replace(());
                }
            }
        });
        Self { lives, changed, task: Arc::new(Task(task)) }
    }

    fn lives(&self) -> MutexGuard<'_, Lives> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the service's Canary was first seen in that phase since a moment.
    pub(crate) fn when(&self, service: &Service, phase: &str, since: Instant) -> Option<Instant> {
        let lives = self.lives();
        let life = lives.get(&(service.namespace.clone(), service.name.clone()))?;
        life.iter().find(|moment| moment.phase == phase && moment.at >= since).map(|moment| moment.at)
    }

    /// Waits until all these have been in that phase since a moment; when the last one was. Errors say how many were not.
    pub(crate) async fn wait(
        &self,
        services: &[Service],
        phase: &str,
        since: Instant,
        patience: Duration,
    ) -> anyhow::Result<Instant> {
        debug_assert!(!self.task.0.is_finished());
        let mut changed = self.changed.clone();
        let deadline = Instant::now() + patience;
        let mut left: Vec<&Service> = services.iter().collect();
        let mut last = since;
        loop {
            changed.mark_unchanged();
            left.retain(|service| match self.when(service, phase, since) {
                Some(at) => {
                    last = last.max(at);
                    false
                }
                None => true,
            });
            let Some(first) = left.first() else { return Ok(last) };
            // Not at every single change: looking at thousands of Canaries each time would disturb what is measured.
            let pause = Duration::from_millis(if left.len() > 50 { 200 } else { 0 });
            tokio::time::sleep(pause).await;
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                bail!(
                    "{} of {} Canaries are not {phase} after {patience:?}, for example {}.{}: {:?}",
                    left.len(),
                    services.len(),
                    first.name,
                    first.namespace,
                    self.lives().get(&(first.namespace.clone(), first.name.clone())).and_then(|life| life.last())
                );
            }
        }
    }
}

fn take(lives: &Mutex<Lives>, object: &DynamicObject) {
    let phase = object.data.pointer("/status/phase").and_then(serde_json::Value::as_str).unwrap_or_default();
    let metadata = &object.metadata;
    let key = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
    let mut lives = lives.lock().unwrap_or_else(PoisonError::into_inner);
    let life = lives.entry(key).or_default();
    if life.last().is_none_or(|last| last.phase != phase) {
        life.push(Moment { phase: phase.to_owned(), at: Instant::now() });
    }
}
