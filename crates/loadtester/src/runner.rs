//! Background tasks: begun once, however often they are asked for while they run.
//!
//! What is asked for waits for the next look, 100 ms later at most; the same asked for again replaces it. A look begins everything that waits and does not run.
//! Source: load tester notes, section 4.

use crate::process::Bounds;
use crate::tasks::{Kind, Task, Tools};
use crate::telemetry::{Fate, Telemetry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tracing::{info, warn};

/// Background tasks that run at once.
pub const MOST: u32 = 256;
/// Background tasks that wait for the next look.
const WAITING: usize = 256;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Runs background tasks. Clones are the same.
#[derive(Clone)]
pub struct Runner {
    shared: Arc<Shared>,
}

struct Shared {
    tools: Tools,
    telemetry: Arc<Telemetry>,
    /// For each task.
    limit: Duration,
    stop: watch::Receiver<bool>,
    tasks: Mutex<Tasks>,
    added: Notify,
    slots: Arc<Semaphore>,
}

/// What makes a task the same as another: its type and its identity.
type Key = (&'static str, String);

#[derive(Default)]
struct Tasks {
    waiting: BTreeMap<Key, Waiting>,
    running: BTreeSet<Key>,
}

struct Waiting {
    kind: &'static Kind,
    task: Arc<dyn Task>,
}

impl Runner {
    /// A runner whose tasks may take as long as `limit`, and end when `stop` becomes true.
    pub fn new(tools: Tools, telemetry: Arc<Telemetry>, limit: Duration, stop: watch::Receiver<bool>) -> Self {
        let slots = Arc::new(Semaphore::new(MOST as usize));
        let shared = Shared { tools, telemetry, limit, stop, tasks: Mutex::default(), added: Notify::new(), slots };
        Self { shared: Arc::new(shared) }
    }

    /// Asks for a task.
    pub fn add(&self, kind: &'static Kind, task: Arc<dyn Task>) {
        let key = (kind.name, task.identity());
        let mut tasks = self.shared.tasks();
        if tasks.waiting.len() >= WAITING && !tasks.waiting.contains_key(&key) {
            drop(tasks);
            self.shared.refuse(kind, task.as_ref(), &format!("{WAITING} tasks are waiting already"));
            return;
        }
        tasks.waiting.insert(key, Waiting { kind, task });
        self.shared.added.notify_one();
    }

    /// Looks for tasks until it is time to stop. Tasks that run end by themselves, because they are told as well.
    pub async fn run(&self) {
        let mut stop = self.shared.stop.clone();
        let look = async {
            loop {
                self.shared.added.notified().await;
                tokio::time::sleep(LOOK).await;
                self.begin();
            }
        };
        tokio::select! {
            () = look => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        info!("shutting down the task runner");
    }

    /// Waits until no task runs, nor anything that one has left behind.
    pub async fn idle(&self) {
        // The slots are never closed.
        let _ = self.shared.slots.acquire_many(MOST).await;
    }

    /// Begins what waits.
    fn begin(&self) {
        let waiting = std::mem::take(&mut self.shared.tasks().waiting);
        for (key, Waiting { kind, task }) in waiting {
            let canary = task.canary();
            let title = task.title();
            if self.shared.tasks().running.contains(&key) {
                info!(canary, "command skipped {title} is already running");
                self.shared.telemetry.count(kind.name, Fate::Skipped);
                continue;
            }
            let Ok(slot) = Arc::clone(&self.shared.slots).try_acquire_owned() else {
                self.shared.refuse(kind, task.as_ref(), &format!("{MOST} tasks are running already"));
                continue;
            };
            // Nobody else begins tasks: it still does not run.
            self.shared.tasks().running.insert(key.clone());
            info!(canary, "task starting {title}");
            let place = Place { shared: Arc::clone(&self.shared), key };
            tokio::spawn(place.run(kind, task, slot));
        }
    }
}

impl Shared {
    fn refuse(&self, kind: &Kind, task: &dyn Task, why: &str) {
        warn!(canary = task.canary(), "command refused {}: {why}, which is the limit", task.title());
        self.telemetry.count(kind.name, Fate::Refused);
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running task's place among the running; given back in any case.
struct Place {
    shared: Arc<Shared>,
    key: Key,
}

impl Place {
    async fn run(self, kind: &'static Kind, task: Arc<dyn Task>, slot: OwnedSemaphorePermit) {
        let shared = &self.shared;
        let bounds = bounds(shared.limit, &shared.stop, slot);
        // What goes wrong is in the log by then.
        let _ = measured(&shared.telemetry, kind, task.as_ref(), &shared.tools, &bounds).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.tasks().running.remove(&self.key);
    }
}

/// The bounds of a task that begins now.
pub(crate) fn bounds(limit: Duration, stop: &watch::Receiver<bool>, slot: OwnedSemaphorePermit) -> Bounds {
    let now = Instant::now();
    Bounds { until: now.checked_add(limit).unwrap_or(now), stop: stop.clone(), slot: Arc::new(slot) }
}

/// Runs a task and counts it.
pub(crate) async fn measured(
    telemetry: &Telemetry,
    kind: &Kind,
    task: &dyn Task,
    tools: &Tools,
    bounds: &Bounds,
) -> Result<Vec<u8>, String> {
    let started = Instant::now();
    telemetry.begin(kind.name);
    let result = task.run(tools, bounds).await;
    let fate = if result.is_ok() { Fate::Succeeded } else { Fate::Failed };
    telemetry.end(kind.name, fate, started.elapsed());
    result
}
