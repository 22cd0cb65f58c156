//! Events go away one hour after they were last written, as on a cluster (`--event-ttl`).

use crate::lab::Inner;
use crate::verbs::{DeleteOptions, Desk, WriteOptions};
use jiff::{SignedDuration, Timestamp};
use objects::paths;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Both APIs of events serve this one table.
const EVENTS: &str = "events";
/// How long an event stays after it was last written.
const LIFE: SignedDuration = SignedDuration::from_hours(1);
/// How often is looked.
const ROUND: Duration = Duration::from_secs(300);

/// Starts the task. It ends with the lab.
pub(crate) fn start(lab: &Arc<Inner>) {
    let lab = Arc::downgrade(lab);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(ROUND).await;
            let Some(lab) = lab.upgrade() else { return };
            expire(&lab);
        }
    });
}

fn expire(lab: &Inner) {
    let (now, mut store) = (lab.clock().now(), lab.store());
    let Some(resource) = store.registry.by_table(EVENTS) else { return };
    let over: Vec<_> = store
        .list(EVENTS, None)
        .filter(|event| written(event).is_some_and(|at| now.duration_since(at) > LIFE))
        .map(|event| crate::store::key_of(event))
        .collect();
    for (namespace, name) in over {
        let mut desk = Desk::new(&mut store, Arc::clone(&resource), now, WriteOptions::default());
        // A refusal means that it is gone.
        drop(desk.delete(&namespace, &name, &DeleteOptions::default()));
    }
}

/// When an object was last written, as far as managers have left their time.
fn written(object: &Value) -> Option<Timestamp> {
    let created = paths::text(object, "/metadata/creationTimestamp");
    let times = paths::list(object, "/metadata/managedFields").map(|entry| paths::text(entry, "/time"));
    times.chain([created]).filter_map(|time| time.parse().ok()).max()
}
