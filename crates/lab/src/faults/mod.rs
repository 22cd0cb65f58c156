//! Faults between a client and an API server: the same layer in front of the lab and in front of a real one.
//!
//! [`Faults`] is a `tower::Layer` over any Kubernetes API with HTTP bodies: `kube::Client::new(faults.layer(lab.service()), "default")`, or
//! `ClientBuilder::try_from(config)?.with_layer(&faults).build()`. What happens to which request is said by [`Rule`]s, by [`Rates`] (dice that follow from
//! the seed and the request alone, so that the order of unrelated requests does not matter), by switches ([`Faults::down`], [`Faults::forbid`],
//! [`Faults::cut`]) or by [`Weather`] (episodes at random). All that was done is kept and printable ([`Faults::report`]): a failing test says what happened.
//! Waits run on tokio's clock. Simpler than this is [`crate::Hook`], which sees the requests of all clients of one lab and leaves open watches alone.

mod rule;
mod service;
mod weather;

pub use rule::{Fault, Rates, Rule, WatchEnd};
pub use service::{FaultBody, FaultService};
pub use weather::Weather;

use crate::request::Call;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

/// How much of what happened is kept; the counters know of all.
const KEPT: usize = 2000;
/// Counters for the dice: requests that are alike share one.
const COUNTERS: usize = 1024;

/// One fault as it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When, since the layer was made.
    pub after: Duration,
    /// What, e.g. `conflict`.
    pub what: &'static str,
    /// To which request, e.g. `patch canaries.flagger.app test/podinfo status`; empty for switches.
    pub call: String,
}

/// `12.034s conflict: patch canaries.flagger.app test/podinfo status`.
impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s {}", self.after.as_secs_f64(), self.what)?;
        if self.call.is_empty() { Ok(()) } else { write!(f, ": {}", self.call) }
    }
}

/// Names a rule, to take it away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

/// A rule at work.
struct Armed {
    id: RuleId,
    rule: Rule,
    /// Requests that it concerned so far.
    met: usize,
    /// Requests that it disturbed so far.
    done: usize,
}

struct State {
    rules: Vec<Armed>,
    next: u64,
    counters: Vec<u64>,
    requests: u64,
    history: VecDeque<Happened>,
    counts: BTreeMap<&'static str, usize>,
}

/// Open watches that are concerned end so.
struct Cut {
    concerns: Box<dyn Fn(&Call) -> bool + Send + Sync>,
    end: WatchEnd,
}

/// The layer and its switches. Clones share everything.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    start: Instant,
    state: Mutex<State>,
    cuts: broadcast::Sender<Arc<Cut>>,
    dead: watch::Sender<bool>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("seed", &self.shared.seed).finish_non_exhaustive()
    }
}

/// No faults until there is a rule; seed 1.
impl Default for Faults {
    fn default() -> Self {
        Self::new(1)
    }
}

impl<Inner> tower::Layer<Inner> for Faults {
    type Service = FaultService<Inner>;

    fn layer(&self, inner: Inner) -> FaultService<Inner> {
        FaultService::new(inner, self.clone())
    }
}

impl Faults {
    /// A layer that does nothing yet, and whose dice follow from this seed.
    pub fn new(seed: u64) -> Self {
        let state = State {
            rules: Vec::new(),
            next: 0,
            counters: vec![0; COUNTERS],
            requests: 0,
            history: VecDeque::new(),
            counts: BTreeMap::new(),
        };
        let shared = Shared {
            seed,
            start: Instant::now(),
            state: Mutex::new(state),
            cuts: broadcast::Sender::new(64),
            dead: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule. Of several that concern a request the first that was added wins; delays and what happens to watches add up.
    pub fn add(&self, rule: Rule) -> RuleId {
        let mut state = self.state();
        let id = RuleId(state.next);
        state.next += 1;
        state.rules.push(Armed { id, rule, met: 0, done: 0 });
        id
    }

    /// Takes a rule away.
    pub fn remove(&self, id: RuleId) {
        self.state().rules.retain(|armed| armed.id != id);
    }

    /// Takes all rules away: from now on every request passes. Watches that lag go on to lag until they are opened again ([`Faults::cut`]).
    pub fn clear(&self) {
        self.state().rules.clear();
    }

    /// Adds what these rates ask for.
    pub fn add_rates(&self, rates: &Rates) {
        for rule in rates.rules() {
            self.add(rule);
        }
    }

    /// The API server is gone: connections break, open ones and new ones, until the answer is given to [`Faults::remove`].
    pub fn down(&self) -> RuleId {
        self.note("API server is gone", String::new());
        let id = self.add(Rule::new(Fault::Break));
        self.cut(WatchEnd::Breaks, |_| true);
        id
    }

    /// The API server is gone for that long.
    pub async fn down_for(&self, time: Duration) {
        let id = self.down();
        tokio::time::sleep(time).await;
        self.remove(id);
        self.note("API server is back", String::new());
    }

    /// Requests about a kind (`deployments.apps`) are refused with 403 until the answer is given to [`Faults::remove`]. As on a real server open watches
    /// are not disturbed; see [`Faults::cut`].
    pub fn forbid(&self, resource: &str) -> RuleId {
        self.of_kind(Fault::Forbidden, resource)
    }

    /// A kind is unknown to the server (404 for the path), and its open watches end, until the answer is given to [`Faults::remove`].
    pub fn unknown_kind(&self, resource: &str) -> RuleId {
        let id = self.of_kind(Fault::UnknownKind, resource);
        let resource = resource.to_owned();
        self.cut(WatchEnd::Ends, move |call| call.resource == resource);
        id
    }

    fn of_kind(&self, fault: Fault, resource: &str) -> RuleId {
        let resource = resource.to_owned();
        self.add(Rule::new(fault).on(move |call| call.resource == resource))
    }

    /// Ends open watches now.
    pub fn cut(&self, end: WatchEnd, concerns: impl Fn(&Call) -> bool + Send + Sync + 'static) {
        // An error says that no watch is open.
        let _ = self.shared.cuts.send(Arc::new(Cut { concerns: Box::new(concerns), end }));
    }

    /// The process behind this layer is dead: nothing reaches the server any more, and nothing comes back.
    pub fn kill(&self) {
        self.note("killed", String::new());
        self.shared.dead.send_replace(true);
    }

    /// Whether [`Fault::Kill`] has struck, or [`Faults::kill`] was called.
    pub fn is_dead(&self) -> bool {
        *self.shared.dead.borrow()
    }

    /// Waits for that. Whatever else the process does with the world outside (hooks, alerts) has to stop as well: a test's HTTP client asks here.
    pub async fn died(&self) {
        // The sender lives as long as `self` does.
        let _ = self.shared.dead.subscribe().wait_for(|dead| *dead).await;
    }

    /// How many requests have come by.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// How often each fault has happened.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.state().counts.clone()
    }

    /// The last faults, oldest first.
    pub fn history(&self) -> Vec<Happened> {
        self.state().history.iter().cloned().collect()
    }

    /// Seed, counters and the last 40 faults as a text, for the message of a failing test.
    pub fn report(&self) -> String {
        let state = self.state();
        let mut text =
            format!("faults with seed {}: {:?} in {} requests", self.shared.seed, state.counts, state.requests);
        for happened in state.history.iter().skip(state.history.len().saturating_sub(40)) {
            // Writing to a String does not fail.
            let _ = write!(text, "\n  {happened}");
        }
        text
    }

    fn note(&self, what: &'static str, call: String) {
        let mut state = self.state();
        let after = self.shared.start.elapsed();
        state.note(Happened { after, what, call });
    }

    /// What happens to a request.
    fn judge(&self, call: &Call) -> Verdict {
        let mut state = self.state();
        state.requests += 1;
        let after = self.shared.start.elapsed();
        let likeness = hash(&call.to_string());
        let nth = {
            let slot = usize::try_from(likeness % COUNTERS as u64).unwrap_or_default();
            match state.counters.get_mut(slot) {
                Some(counter) => {
                    *counter += 1;
                    *counter
                }
                None => 0,
            }
        };
        let mut verdict = Verdict::default();
        let mut happened = Vec::new();
        for armed in &mut state.rules {
            let luck = dice(self.shared.seed ^ hash(&format!("{}", armed.id.0)), likeness, nth);
            if !armed.strikes(call, luck) {
                continue;
            }
            happened.push(armed.rule.fault.label());
            if verdict.take(&armed.rule.fault, luck) {
                break;
            }
        }
        for what in happened {
            state.note(Happened { after, what, call: call.to_string() });
        }
        verdict
    }
}

impl State {
    fn note(&mut self, happened: Happened) {
        *self.counts.entry(happened.what).or_default() += 1;
        if self.history.len() >= KEPT {
            self.history.pop_front();
        }
        self.history.push_back(happened);
    }
}

impl Armed {
    /// Whether the rule does something to this request, with that luck between 0 and 1.
    fn strikes(&mut self, call: &Call, luck: f64) -> bool {
        if !self.rule.concerns(call) {
            return false;
        }
        self.met += 1;
        let strikes =
            self.met > self.rule.skip && self.rule.times.is_none_or(|times| self.done < times) && luck < self.rule.rate;
        self.done += usize::from(strikes);
        strikes
    }
}

/// What becomes of one request.
#[derive(Debug, Default)]
struct Verdict {
    delay: Duration,
    lag: Duration,
    /// How and when the watch ends.
    end: Option<(Duration, WatchEnd)>,
    /// What replaces or spoils the answer.
    fate: Option<Fault>,
}

impl Verdict {
    /// Adds a fault; true if nothing can come after it.
    fn take(&mut self, fault: &Fault, luck: f64) -> bool {
        match fault {
            Fault::Delay(time) => self.delay += *time,
            Fault::WatchLags(time) => self.lag = self.lag.max(*time),
            Fault::WatchEnds { within, end } => {
                // The luck that made it happen says when: the smaller, the rarer.
                let share = (luck * 7919.0).fract();
                self.end = Some((within.mul_f64(share.max(0.01)), *end));
            }
            Fault::WatchEndsAfter { time, end } => self.end = Some((*time, *end)),
            other => {
                self.fate = Some(other.clone());
                return true;
            }
        }
        false
    }
}

/// FNV-1a: the same on every machine and in every version, unlike the hashers of the standard library.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A number from 0 up to 1 that follows from the seed, the request and how often there was one like it (splitmix64).
fn dice(seed: u64, likeness: u64, nth: u64) -> f64 {
    let mut mixed = seed ^ likeness.rotate_left(17) ^ nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2 {
        mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
    }
    // 32 bits are exact in an f64.
    f64::from(u32::try_from(mixed >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
