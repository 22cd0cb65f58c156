//! Watches: a stream of JSON lines, read from the history of one table.
//!
//! Delays (the end of a watch, the time between bookmarks) run on tokio's clock.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>

use crate::failure::Failure;
use crate::lab::Inner;
use crate::media::Form;
use crate::present::View;
use crate::selector::Selector;
use crate::store::{Change, Store, version_of};
use bytes::Bytes;
use futures::Stream;
use objects::paths;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Time between bookmarks of a watch that asks for them.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A last bookmark comes so long before the end.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// How long a watch lives that does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// What to watch.
#[derive(Debug, Clone)]
pub(crate) struct WatchOptions {
    /// How to show the objects.
    pub view: View,
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// Which objects.
    pub selector: Selector,
    /// After which version; none: start with what is there now.
    pub after: Option<u64>,
    /// Whether the present objects come first, and a bookmark after them.
    pub initial_events: bool,
    /// Whether bookmarks are wanted.
    pub bookmarks: bool,
    /// When to end.
    pub timeout: Option<Duration>,
}

/// A running watch.
struct Watch {
    lab: Weak<Inner>,
    options: WatchOptions,
    cursor: u64,
    lines: VecDeque<Bytes>,
    changed: tokio::sync::watch::Receiver<u64>,
    ends: Instant,
    bookmark: Instant,
    over: bool,
    /// Whether a table was shown already: its columns are described once.
    described: bool,
}

/// Starts a watch. A version that is no longer kept is an error within the stream, as on the real server.
pub(crate) fn start(
    lab: &Arc<Inner>,
    store: &mut Store,
    options: WatchOptions,
) -> impl Stream<Item = Bytes> + Send + use<> {
    let table = options.view.resource.table.clone();
    let now = Instant::now();
    let ends = now + options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let mut watch = Watch {
        lab: Arc::downgrade(lab),
        cursor: options.after.unwrap_or_else(|| store.version()),
        lines: VecDeque::new(),
        changed: store.changed_in(&table),
        ends,
        bookmark: next_bookmark(now, ends),
        over: false,
        described: false,
        options,
    };
    if watch.options.initial_events || watch.options.after.is_none() {
        watch.list(store, &table);
    }
    futures::stream::unfold(watch, |mut watch| async move { watch.next().await.map(|line| (line, watch)) })
}

impl Watch {
    fn list(&mut self, store: &Store, table: &str) {
        let objects = store.list(table, self.options.namespace.as_deref());
        let shown: Vec<_> =
            objects.filter(|object| self.wants(object)).map(|object| self.options.view.object(object)).collect();
        for object in shown {
            self.push("ADDED", object);
        }
        self.cursor = store.version();
        if self.options.initial_events && self.options.bookmarks {
            self.lines.push_back(line("BOOKMARK", &self.options.view.bookmark(self.cursor, true)));
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            self.read();
            if !self.lines.is_empty() || self.over {
                continue;
            }
            let wake = if self.options.bookmarks { self.bookmark.min(self.ends) } else { self.ends };
            tokio::select! {
                biased;
                changed = self.changed.changed() => self.over |= changed.is_err(),
                () = tokio::time::sleep_until(wake) => self.tick(),
            }
        }
    }

    fn tick(&mut self) {
        self.over = Instant::now() >= self.ends;
        if self.options.bookmarks && !self.over {
            self.bookmark = next_bookmark(Instant::now(), self.ends);
            self.lines.push_back(line("BOOKMARK", &self.options.view.bookmark(self.cursor, false)));
        }
    }

    /// Takes the changes since the last look.
    fn read(&mut self) {
        let Some(lab) = self.lab.upgrade() else {
            self.over = true;
            return;
        };
        let store = lab.store();
        self.changed.mark_unchanged();
        self.options.view.now = lab.clock().now();
        let events = store
            .changes(&self.options.view.resource.table, self.cursor)
            .map(|changes| changes.filter_map(|change| self.event(change)).collect::<Vec<_>>());
        match events {
            Ok(events) => {
                for (kind, object) in events {
                    self.push(kind, object);
                }
            }
            Err(lost) => {
                let failure = Failure::expired(format!("too old resource version: {} ({})", self.cursor, lost.oldest));
                self.lines.push_back(line("ERROR", &failure.status()));
                self.over = true;
            }
        }
        self.cursor = self.cursor.max(store.version());
    }

    fn push(&mut self, kind: &str, mut object: Value) {
        if self.options.view.form == Form::Table {
            if self.described
                && let Some(columns) = object.get_mut("columnDefinitions")
            {
                *columns = Value::Null;
            }
            self.described = true;
        }
        self.lines.push_back(line(kind, &object));
    }

    /// What this watcher sees of a change: an object that enters or leaves the selection is added or deleted.
    fn event(&self, change: &Change) -> Option<(&'static str, Value)> {
        let before = change.before.as_deref().filter(|object| self.wants(object));
        let after = Some(&*change.after).filter(|object| !change.deleted && self.wants(object));
        let show = |object: &Value| self.options.view.object(object);
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(("ADDED", show(after))),
            (Some(_), Some(after)) => Some(("MODIFIED", show(after))),
            (Some(_), None) if change.deleted => Some(("DELETED", show(&change.after))),
            (Some(before), None) => {
                let mut last = before.clone();
                paths::set(&mut last, &["metadata", "resourceVersion"], json!(version_of(&change.after).to_string()));
                Some(("DELETED", show(&last)))
            }
        }
    }

    fn wants(&self, object: &Value) -> bool {
        let namespace = self.options.namespace.as_deref();
        namespace.is_none_or(|namespace| namespace == paths::text(object, "/metadata/namespace"))
            && (self.options.selector.is_empty()
                || self.options.selector.matches(&self.options.view.resource.present(object)))
    }
}

fn next_bookmark(now: Instant, ends: Instant) -> Instant {
    let regular = now + BOOKMARK_EVERY;
    match ends.checked_sub(LAST_BOOKMARK) {
        Some(last) if last > now => regular.min(last),
        _ => regular,
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    Bytes::from(text)
}
