//! Kubernetes events, correlated as client libraries do it, so that a busy Canary does not flood the API server.
//!
//! Per Canary and event type: the same message again counts up the first event; from the tenth distinct message within ten minutes on, messages are combined
//! in one event; and there is a budget of 25 events at once, refilled by one every five minutes. Log and event webhooks get every event.
//! Events about an outcome are apart ([`outcome`]): each is an object of its own, whose name follows from what it is about, so that telling it again, also
//! by another process, makes no second one.
//! Source: controller notes, section 16.1.

use crate::queue::Key;
use jiff::{SignedDuration, Timestamp};
use objects::kind::EVENT;
use objects::{ObjectRef, paths};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// Distinct messages before they are combined.
const DISTINCT: usize = 10;
/// How long messages count as similar.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Events that may be written at once.
const BURST: f64 = 25.0;
/// Seconds until one more may be written.
const REFILL_SECONDS: f64 = 300.0;
/// Put before a message that stands for several.
const COMBINED: &str = "(combined from similar events): ";
/// Messages remembered per Canary, so that a long life does not fill the memory.
const REMEMBERED: usize = 128;

/// How long the API server keeps an event that nobody counts up, if it is not told otherwise. A correlator has no use for older ones.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// What to write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EventWrite {
    /// A new event.
    Create(ObjectRef, Value),
    /// Another occurrence of an event: a merge patch.
    Count(ObjectRef, Value),
}

/// What is remembered of the events of all Canaries.
#[derive(Debug, Default)]
pub(crate) struct Correlators {
    of: HashMap<Key, Correlator>,
    /// When what is too old was last forgotten.
    swept: Option<Timestamp>,
}

impl Correlators {
    /// Those of a Canary about which something is to be written now.
    pub(crate) fn of(&mut self, key: &Key, now: Timestamp) -> &mut Correlator {
        if now.duration_since(*self.swept.get_or_insert(now)).abs() >= KEPT {
            self.swept = Some(now);
            self.of.retain(|_, correlator| correlator.remember(now));
        }
        self.of.entry(key.clone()).or_default()
    }

    /// Those of a Canary, if any are remembered.
    pub(crate) fn get(&self, key: &Key) -> Option<&Correlator> {
        self.of.get(key)
    }

    /// A Canary is gone.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.of.remove(key);
    }

    /// Of how many Canaries something is remembered.
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    /// How many messages are remembered of the one with most.
    pub(crate) fn most(&self) -> usize {
        self.of.values().map(Correlator::size).max().unwrap_or_default()
    }
}

/// What is remembered of a Canary's events.
#[derive(Debug, Default)]
pub(crate) struct Correlator {
    similar: HashMap<&'static str, Similar>,
    written: HashMap<(&'static str, String), Written>,
    budgets: HashMap<&'static str, Budget>,
    /// The number in the name of the newest event: two that are made at one moment must not have the same name.
    newest: i128,
}

#[derive(Debug)]
struct Similar {
    messages: BTreeSet<String>,
    last: Timestamp,
}

#[derive(Debug)]
struct Written {
    name: String,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Debug)]
struct Budget {
    left: f64,
    at: Timestamp,
}

impl Correlator {
    /// What to write for a message about an object; `None` if the budget is used up.
    pub(crate) fn observe(
        &mut self,
        key: &Key,
        object: &Value,
        kind: &'static str,
        message: &str,
        now: Timestamp,
    ) -> Option<EventWrite> {
        let shown = self.aggregate(kind, message, now);
        if !self.budgets.entry(kind).or_insert(Budget { left: BURST, at: now }).take(now) {
            return None;
        }
        let id = (kind, if shown == message { message.to_owned() } else { COMBINED.to_owned() });
        if let Some(written) = self.written.get_mut(&id) {
            written.count += 1;
            written.last = now;
            let patch = json!({"count": written.count, "lastTimestamp": seconds(now), "message": shown});
            return Some(EventWrite::Count(EVENT.object(&key.namespace, &written.name), patch));
        }
        self.make_room();
        self.newest = now.as_nanosecond().max(self.newest.saturating_add(1));
        let name = format!("{}.{:x}", key.name, self.newest);
        self.written.insert(id, Written { name: name.clone(), count: 1, first: now, last: now });
        Some(create(key, object, kind, &shown, &name, 1, now, now))
    }

    /// Forgets what has no effect any more; false if that is everything.
    fn remember(&mut self, now: Timestamp) -> bool {
        self.similar.retain(|_, similar| now.duration_since(similar.last) <= WINDOW);
        self.written.retain(|_, written| now.duration_since(written.last) <= KEPT);
        self.written.shrink_to_fit();
        self.budgets.retain(|_, budget| budget.left_at(now) < BURST);
        !(self.similar.is_empty() && self.written.is_empty() && self.budgets.is_empty())
    }

    /// How many messages are remembered.
    fn size(&self) -> usize {
        self.written.len() + self.similar.values().map(|similar| similar.messages.len()).sum::<usize>()
    }

    /// The event to create instead, when the one that was to be counted up is gone from the server.
    pub(crate) fn recreate(&self, key: &Key, object: &Value, kind: &'static str, message: &str) -> Option<EventWrite> {
        let id = (kind, message.to_owned());
        let written = self.written.get(&id).or_else(|| self.written.get(&(kind, COMBINED.to_owned())))?;
        Some(create(key, object, kind, message, &written.name, written.count, written.first, written.last))
    }

    fn aggregate(&mut self, kind: &'static str, message: &str, now: Timestamp) -> String {
        let similar = self.similar.entry(kind).or_insert_with(|| Similar { messages: BTreeSet::new(), last: now });
        if now.duration_since(similar.last) > WINDOW {
            similar.messages.clear();
        }
        similar.last = now;
        similar.messages.insert(message.to_owned());
        if similar.messages.len() < DISTINCT {
            return message.to_owned();
        }
        // Room for the next one, whichever it is.
        similar.messages.pop_first();
        format!("{COMBINED}{message}")
    }

    fn make_room(&mut self) {
        if self.written.len() >= REMEMBERED
            && let Some(oldest) = self.written.iter().min_by_key(|(_, written)| written.last).map(|(id, _)| id.clone())
        {
            self.written.remove(&oldest);
        }
    }
}

/// The event about an outcome: `announcement` names the announcement within the life of the Canary.
pub(crate) fn outcome(
    key: &Key,
    object: &Value,
    kind: &str,
    message: &str,
    announcement: &str,
    now: Timestamp,
) -> EventWrite {
    let uid = paths::text(object, "/metadata/uid");
    // FNV-1a, which is the same in every version of this program.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let text = format!("{uid}\n{announcement}\n{kind}\n{message}");
    let number = text.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    create(key, object, kind, message, &format!("{}.{number:016x}", key.name), 1, now, now)
}

impl Budget {
    fn left_at(&self, now: Timestamp) -> f64 {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        (self.left + passed / REFILL_SECONDS).min(BURST)
    }

    fn take(&mut self, now: Timestamp) -> bool {
        self.left = self.left_at(now);
        self.at = now;
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }
}

#[expect(clippy::too_many_arguments, reason = "the fields of an event")]
fn create(
    key: &Key,
    object: &Value,
    kind: &str,
    message: &str,
    name: &str,
    count: u64,
    first: Timestamp,
    last: Timestamp,
) -> EventWrite {
    let body = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": &*key.namespace},
        "involvedObject": {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "name": &*key.name,
            "namespace": &*key.namespace,
            "uid": paths::text(object, "/metadata/uid"),
            "resourceVersion": paths::text(object, "/metadata/resourceVersion"),
        },
        "type": kind,
        "reason": "Synced",
        "message": message,
        "source": {"component": "flagger"},
        "reportingComponent": "flagger",
        "reportingInstance": "",
        "count": count,
        "firstTimestamp": seconds(first),
        "lastTimestamp": seconds(last),
    });
    EventWrite::Create(EVENT.object(&key.namespace, name), body)
}

/// RFC 3339 in whole seconds.
fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn the_same_message_counts_up_and_the_tenth_distinct_one_is_combined() {
        let (mut correlator, key, object) =
            (Correlator::default(), Key::new("test", "podinfo"), json!({"metadata": {"uid": "u"}}));
        let Some(EventWrite::Create(first, body)) = correlator.observe(&key, &object, "Normal", "m0", at(0)) else {
            panic!()
        };
        assert_eq!(body["message"], "m0");
        let Some(EventWrite::Count(again, patch)) = correlator.observe(&key, &object, "Normal", "m0", at(1)) else {
            panic!()
        };
        assert_eq!((again, &patch["count"]), (first, &json!(2)));
        for index in 1..9 {
            let Some(EventWrite::Create(_, body)) =
                correlator.observe(&key, &object, "Normal", &format!("m{index}"), at(2))
            else {
                panic!()
            };
            assert_eq!(body["message"], format!("m{index}"));
        }
        let Some(EventWrite::Create(combined, body)) = correlator.observe(&key, &object, "Normal", "m9", at(3)) else {
            panic!()
        };
        assert_eq!(body["message"], "(combined from similar events): m9");
        let Some(EventWrite::Count(next, patch)) = correlator.observe(&key, &object, "Normal", "m10", at(4)) else {
            panic!()
        };
        assert_eq!((next, &patch["message"]), (combined, &json!("(combined from similar events): m10")));
        // Another type has a count of its own, and ten quiet minutes begin anew.
        assert!(
            matches!(correlator.observe(&key, &object, "Warning", "w", at(5)), Some(EventWrite::Create(_, body)) if body["message"] == "w")
        );
        assert!(
            matches!(correlator.observe(&key, &object, "Normal", "late", at(700)), Some(EventWrite::Create(_, body)) if body["message"] == "late")
        );
    }

    #[test]
    fn what_is_old_is_forgotten_unless_it_still_counts() {
        let (mut correlators, busy, quiet) =
            (Correlators::default(), Key::new("test", "busy"), Key::new("test", "quiet"));
        let mut observe = |key: &Key, message: &str, second| {
            correlators.of(key, at(second)).observe(key, &json!({}), "Normal", message, at(second));
            (correlators.len(), correlators.most())
        };
        for second in 0..30 {
            observe(&busy, "same", second);
        }
        observe(&quiet, "one", 0);
        assert_eq!(observe(&busy, "another", 3500), (2, 3));
        // Quiet's budget is full again and its event gone; that of busy is not.
        assert_eq!(observe(&busy, "same", 3700), (1, 4));
        assert_eq!(observe(&busy, "later", 11_000), (1, 2), "the budget is not full yet, but old messages are gone");
    }

    #[test]
    fn events_of_one_moment_have_names_of_their_own() {
        let (mut correlator, key) = (Correlator::default(), Key::new("test", "podinfo"));
        let mut name = |message| match correlator.observe(&key, &json!({}), "Normal", message, at(7)) {
            Some(EventWrite::Create(event, _)) => event.name,
            other => panic!("{other:?}"),
        };
        assert_ne!(name("one"), name("another"));
    }

    #[test]
    fn the_name_of_an_event_about_an_outcome_follows_from_what_it_is_about() {
        let name = |uid: &str, id: &str, message: &str, second| {
            let key = Key::new("test", "podinfo");
            match outcome(&key, &json!({"metadata": {"uid": uid}}), "Normal", message, id, at(second)) {
                EventWrite::Create(event, _) => event.name,
                other @ EventWrite::Count(..) => panic!("{other:?}"),
            }
        };
        let one = name("u", "first", "done", 1);
        assert!(one.starts_with("podinfo.") && one.len() == "podinfo.".len() + 16, "{one}");
        assert_eq!(one, name("u", "first", "done", 99));
        for other in [name("v", "first", "done", 1), name("u", "second", "done", 1), name("u", "first", "failed", 1)] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn the_budget_is_25_and_one_more_every_five_minutes() {
        let (mut correlator, key, object) = (Correlator::default(), Key::new("test", "podinfo"), json!({}));
        let written = (0..40).filter(|_| correlator.observe(&key, &object, "Normal", "same", at(0)).is_some()).count();
        assert_eq!(written, 25);
        assert!(correlator.observe(&key, &object, "Normal", "same", at(299)).is_none());
        assert!(correlator.observe(&key, &object, "Normal", "same", at(600)).is_some());
    }
}
