//! Leader election: one of several replicas acts, the one whose name is in the Lease.
//!
//! The Lease is `flagger-leader-election` (`coordination.k8s.io/v1`), as the reference has it, so that replicas of both take turns. Whoever holds it renews it;
//! who fails to for longer than the renew deadline stops acting long before anybody else may begin. Others' clocks are not trusted: a Lease is over when it
//! was seen unchanged for as long as it says it lasts.
//! Source: operations notes, section 2.5; controller notes, section 3.

use crate::clock::Clock;
use crate::cluster::{ApiError, Cluster};
use async_trait::async_trait;
use objects::ObjectRef;
use objects::kind::LEASE;
use objects::paths;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Name of the Lease.
pub const NAME: &str = "flagger-leader-election";

/// Shortest pause between attempts at renewing.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// Where the Lease is kept.
#[async_trait]
pub trait Leases: Send + Sync + Debug {
    /// The Lease as it is; `None` when there is none.
    async fn read(&self) -> Result<Option<Value>, ApiError>;

    /// Creates it; an error if somebody was faster.
    async fn create(&self, lease: &Value) -> Result<Value, ApiError>;

    /// Replaces it; an error if it is no longer at the `metadata.resourceVersion` of `lease`.
    async fn replace(&self, lease: &Value) -> Result<Value, ApiError>;
}

/// A Lease on an API server.
#[derive(Debug, Clone)]
pub struct ClusterLease {
    cluster: Cluster,
    lease: ObjectRef,
}

impl ClusterLease {
    /// The Lease of that namespace.
    pub fn new(cluster: Cluster, namespace: &str) -> Self {
        Self { cluster, lease: LEASE.object(namespace, NAME) }
    }

    fn complete(&self, lease: &Value) -> Value {
        let mut lease = lease.clone();
        paths::set(&mut lease, &["apiVersion"], json!(LEASE.api_version()));
        paths::set(&mut lease, &["kind"], json!(LEASE.kind));
        paths::set(&mut lease, &["metadata", "name"], json!(&*self.lease.name));
        paths::set(&mut lease, &["metadata", "namespace"], json!(&*self.lease.namespace));
        lease
    }
}

#[async_trait]
impl Leases for ClusterLease {
    async fn read(&self) -> Result<Option<Value>, ApiError> {
        match self.cluster.get(&self.lease).await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create(&self, lease: &Value) -> Result<Value, ApiError> {
        self.cluster.create(&self.lease, &self.complete(lease)).await
    }

    async fn replace(&self, lease: &Value) -> Result<Value, ApiError> {
        self.cluster.replace(&self.lease, &self.complete(lease)).await
    }
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// After that time without renewal, others may take the Lease.
    pub duration: Duration,
    /// After that time without renewal, the holder stops acting. Well below `duration`.
    pub renew_deadline: Duration,
    /// Pause between attempts; those who wait take up to 2.2 times as long, each another time.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(60),
            renew_deadline: Duration::from_secs(15),
            retry: Duration::from_secs(5),
        }
    }
}

/// How a candidate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A stop was requested, or the work was done; the Lease was given back if it was held.
    Stopped,
    /// The Lease was lost while the work was going on. The work was cancelled.
    Lost,
}

/// One who wants to lead.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    leases: Arc<dyn Leases>,
    clock: Clock,
    timing: Timing,
    seen: Option<Seen>,
}

/// The Lease when it was last seen to change.
#[derive(Debug)]
struct Seen {
    object: Value,
    at: Instant,
}

impl Seen {
    fn holder(&self) -> &str {
        paths::text(&self.object, "/spec/holderIdentity")
    }

    /// When it is over, if it does not change until then.
    fn over(&self) -> Instant {
        let seconds = self.object.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).unwrap_or_default();
        self.at.checked_add(Duration::from_secs(seconds)).unwrap_or(self.at)
    }
}

/// What an attempt came to.
enum Attempt {
    Held,
    /// Somebody else holds it.
    Taken,
    Failed(ApiError),
}

impl Candidate {
    /// A candidate of that name, which no other has.
    pub fn new(identity: String, leases: Arc<dyn Leases>, clock: Clock, timing: Timing) -> Self {
        Self { identity, leases, clock, timing, seen: None }
    }

    /// Waits for the Lease, then does the work while holding it. The work is dropped at its next await when the Lease is lost; it is expected to end by
    /// itself soon after `stop` became true, and the Lease is kept until then.
    pub async fn lead(mut self, mut stop: Receiver<bool>, work: impl Future<Output = ()>) -> Ended {
        let renewed = tokio::select! {
            biased;
            // A sender that is gone is a stop as well.
            _ = stop.wait_for(|stop| *stop) => None,
            renewed = self.acquire() => Some(renewed),
        };
        let Some(renewed) = renewed else {
            // The attempt that was just cancelled may have reached the API server.
            self.release().await;
            return Ended::Stopped;
        };
        info!("Acting as elected leader");
        let lost = tokio::select! {
            biased;
            () = self.renew(renewed) => true,
            () = work => false,
        };
        if lost {
            info!("Leadership lost");
            return Ended::Lost;
        }
        self.release().await;
        Ended::Stopped
    }

    /// Tries until it holds the Lease; when the attempt that succeeded began.
    async fn acquire(&mut self) -> Instant {
        let (mut leader, mut told) = (String::new(), String::new());
        loop {
            let began = Instant::now();
            // A request without answer must not keep a free Lease from us.
            match tokio::time::timeout(self.timing.renew_deadline, self.attempt()).await {
                Ok(Attempt::Held) => return began,
                Ok(Attempt::Taken) => {
                    let holder = self.seen.as_ref().map(Seen::holder).unwrap_or_default();
                    if holder != leader && !holder.is_empty() && holder != self.identity {
                        info!("Another instance has been elected as leader: {holder}");
                        holder.clone_into(&mut leader);
                    }
                }
                Ok(Attempt::Failed(error)) => {
                    let text = error.to_string();
                    if text != told {
                        warn!("The Lease {NAME} cannot be had: {text}");
                        told = text;
                    }
                }
                Err(_) => warn!("The Lease {NAME} cannot be had: no answer"),
            }
            tokio::time::sleep(self.timing.retry.mul_f64(1.0 + 1.2 * fraction())).await;
        }
    }

    /// Renews until that fails for too long, or until somebody else holds the Lease.
    async fn renew(&mut self, mut renewed: Instant) {
        loop {
            // The nearer the deadline, the more often, so that the last attempt is not made when it is too late.
            let left = self.deadline(renewed) - Instant::now();
            tokio::time::sleep(self.timing.retry.min((left / 2).max(SHORTEST_PAUSE))).await;
            let began = Instant::now();
            match tokio::time::timeout_at(self.deadline(renewed), self.attempt()).await {
                Ok(Attempt::Held) => renewed = began,
                Ok(Attempt::Taken) => return,
                Ok(Attempt::Failed(error)) => warn!("The Lease {NAME} could not be renewed: {error}"),
                Err(_) => warn!("The Lease {NAME} could not be renewed: no answer"),
            }
            if Instant::now() >= self.deadline(renewed) {
                return;
            }
        }
    }

    fn deadline(&self, renewed: Instant) -> Instant {
        renewed.checked_add(self.timing.renew_deadline).unwrap_or(renewed)
    }

    /// Takes or renews the Lease, if nobody else holds it.
    async fn attempt(&mut self) -> Attempt {
        let live = match self.leases.read().await {
            Ok(live) => live,
            Err(error) => return Attempt::Failed(error),
        };
        let written = if let Some(live) = live {
            self.observe(live);
            let Some(seen) = &self.seen else { return Attempt::Taken };
            let free = seen.holder().is_empty() || seen.holder() == self.identity || Instant::now() >= seen.over();
            if !free {
                return Attempt::Taken;
            }
            self.leases.replace(&self.claim(&seen.object)).await
        } else {
            self.leases.create(&self.claim(&json!({}))).await
        };
        match written {
            Ok(lease) => {
                self.observe(lease);
                Attempt::Held
            }
            // Somebody wrote it at the same moment: the next attempt sees who.
            Err(error) => Attempt::Failed(error),
        }
    }

    fn observe(&mut self, object: Value) {
        let spec = object.get("spec");
        if self.seen.as_ref().is_none_or(|seen| seen.object.get("spec") != spec) {
            self.seen = Some(Seen { object, at: Instant::now() });
        } else if let Some(seen) = &mut self.seen {
            // Only the version may differ, which the next write needs.
            seen.object = object;
        }
    }

    /// The Lease with us as its holder; fields of others stay.
    fn claim(&self, live: &Value) -> Value {
        let now = self.micro_time();
        let mut lease = live.clone();
        let ours = paths::text(live, "/spec/holderIdentity") == self.identity;
        if !ours {
            let transitions = live.pointer("/spec/leaseTransitions").and_then(Value::as_i64);
            paths::set(&mut lease, &["spec", "acquireTime"], json!(now));
            let next = if live.get("spec").is_some() { transitions.unwrap_or_default().saturating_add(1) } else { 0 };
            paths::set(&mut lease, &["spec", "leaseTransitions"], json!(next));
        }
        paths::set(&mut lease, &["spec", "holderIdentity"], json!(self.identity));
        paths::set(&mut lease, &["spec", "leaseDurationSeconds"], json!(self.timing.duration.as_secs()));
        paths::set(&mut lease, &["spec", "renewTime"], json!(now));
        lease
    }

    /// Gives the Lease back, so that a successor need not wait.
    async fn release(&self) {
        let released = tokio::time::timeout(self.timing.retry, self.try_release()).await;
        match released {
            Ok(Ok(true)) => info!("Released the Lease {NAME}"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => warn!("The Lease {NAME} could not be released: {error}"),
            Err(_) => warn!("The Lease {NAME} could not be released: no answer"),
        }
    }

    async fn try_release(&self) -> Result<bool, ApiError> {
        let Some(mut lease) = self.leases.read().await? else { return Ok(false) };
        if paths::text(&lease, "/spec/holderIdentity") != self.identity {
            debug!("The Lease {NAME} is not ours to release");
            return Ok(false);
        }
        paths::set(&mut lease, &["spec", "holderIdentity"], json!(""));
        paths::set(&mut lease, &["spec", "leaseDurationSeconds"], json!(1));
        paths::set(&mut lease, &["spec", "renewTime"], json!(self.micro_time()));
        self.leases.replace(&lease).await.map(|_| true)
    }

    fn micro_time(&self) -> String {
        format!("{:.6}", self.clock.now())
    }
}

/// A random number from 0 to 1.
fn fraction() -> f64 {
    let [byte, ..] = *uuid::Uuid::new_v4().as_bytes();
    f64::from(byte) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use tokio::sync::watch;
    use tokio::task::JoinHandle;

    /// An API server with one Lease.
    #[derive(Debug, Default)]
    struct Fake {
        lease: Mutex<Option<Value>>,
        version: AtomicU64,
        /// Requests fail.
        broken: AtomicBool,
        /// Requests are never answered.
        silent: AtomicBool,
    }

    impl Fake {
        fn spec(&self, field: &str) -> Value {
            self.lease.lock().unwrap().as_ref().map(|lease| lease["spec"][field].clone()).unwrap_or_default()
        }

        fn holder(&self) -> String {
            self.spec("holderIdentity").as_str().unwrap_or_default().to_owned()
        }

        async fn answer(&self) -> Result<(), ApiError> {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.broken.load(Ordering::SeqCst) {
                return Err(ApiError { message: "broken".to_owned(), code: 500, reason: String::new() });
            }
            Ok(())
        }

        fn store(&self, lease: &Value) -> Value {
            let mut lease = lease.clone();
            let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
            paths::set(&mut lease, &["metadata", "resourceVersion"], json!(version.to_string()));
            *self.lease.lock().unwrap() = Some(lease.clone());
            lease
        }
    }

    fn conflict(reason: &str) -> ApiError {
        ApiError { message: "conflict".to_owned(), code: 409, reason: reason.to_owned() }
    }

    #[async_trait]
    impl Leases for Fake {
        async fn read(&self) -> Result<Option<Value>, ApiError> {
            self.answer().await?;
            Ok(self.lease.lock().unwrap().clone())
        }

        async fn create(&self, lease: &Value) -> Result<Value, ApiError> {
            self.answer().await?;
            if self.lease.lock().unwrap().is_some() {
                return Err(conflict("AlreadyExists"));
            }
            Ok(self.store(lease))
        }

        async fn replace(&self, lease: &Value) -> Result<Value, ApiError> {
            self.answer().await?;
            let live = self.lease.lock().unwrap().as_ref().map(|live| live["metadata"]["resourceVersion"].clone());
            if live.as_ref() != lease.pointer("/metadata/resourceVersion") {
                return Err(conflict("Conflict"));
            }
            Ok(self.store(lease))
        }
    }

    /// A replica: `working` is true while its work goes on.
    struct Replica {
        working: Arc<AtomicBool>,
        stop: watch::Sender<bool>,
        task: JoinHandle<Ended>,
    }

    impl Replica {
        fn works(&self) -> bool {
            self.working.load(Ordering::SeqCst)
        }

        async fn stopped(self) -> Ended {
            self.stop.send_replace(true);
            self.task.await.unwrap()
        }
    }

    struct Working(Arc<AtomicBool>);

    impl Drop for Working {
        fn drop(&mut self) {
            self.0.store(false, Ordering::SeqCst);
        }
    }

    fn replica(name: &str, api: &Arc<Fake>, clock: &Clock) -> Replica {
        let (stop, stopped) = watch::channel(false);
        let working = Arc::new(AtomicBool::new(false));
        let (flag, mut told) = (Arc::clone(&working), stopped.clone());
        let work = async move {
            flag.store(true, Ordering::SeqCst);
            let _working = Working(flag);
            let _ = told.wait_for(|stop| *stop).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let candidate =
            Candidate::new(name.to_owned(), Arc::clone(api) as Arc<dyn Leases>, clock.clone(), Timing::default());
        Replica { working, stop, task: tokio::spawn(candidate.lead(stopped, work)) }
    }

    fn scene() -> (Arc<Fake>, Clock) {
        (Arc::default(), Clock::simulated("2026-01-01T10:00:00Z".parse().unwrap()))
    }

    async fn after(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_leads_and_the_lease_looks_as_the_reference_writes_it() {
        let (api, clock) = scene();
        let a = replica("a", &api, &clock);
        after(1).await;
        let b = replica("b", &api, &clock);
        after(600).await;
        assert!(a.works() && !b.works());
        assert_eq!(api.spec("holderIdentity"), "a");
        assert_eq!(api.spec("leaseDurationSeconds"), 60);
        assert_eq!(api.spec("leaseTransitions"), 0);
        let (acquired, renewed) = (api.spec("acquireTime"), api.spec("renewTime"));
        assert!(acquired.as_str().unwrap().starts_with("2026-01-01T10:00:00.0"), "{acquired}");
        assert_eq!(acquired.as_str().unwrap().len(), "2026-01-01T10:00:00.000000Z".len());
        assert!(renewed.as_str().unwrap() > "2026-01-01T10:09:5", "{renewed}");
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_begin_at_once_are_told_apart() {
        let (api, clock) = scene();
        let (a, b) = (replica("a", &api, &clock), replica("b", &api, &clock));
        for _ in 0..300 {
            after(1).await;
            assert!(!(a.works() && b.works()), "both lead");
        }
        assert!(a.works() || b.works());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_work_first_and_hands_over_within_seconds() {
        let (api, clock) = scene();
        let a = replica("a", &api, &clock);
        after(1).await;
        let b = replica("b", &api, &clock);
        after(30).await;
        let working = Arc::clone(&a.working);
        a.stop.send_replace(true);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(working.load(Ordering::SeqCst) && api.holder() == "a", "the Lease is kept while the work ends");
        assert_eq!(a.task.await.unwrap(), Ended::Stopped);
        assert_eq!(api.holder(), "");
        assert_eq!(api.spec("leaseDurationSeconds"), 1);
        after(12).await;
        assert!(b.works());
        assert_eq!((api.holder().as_str(), api.spec("leaseTransitions")), ("b", json!(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_leader_is_replaced_when_its_lease_is_over() {
        let (api, clock) = scene();
        let a = replica("a", &api, &clock);
        after(1).await;
        let b = replica("b", &api, &clock);
        after(29).await;
        a.task.abort();
        // The last renewal was at most 5 s before the death.
        after(54).await;
        assert!(!b.works(), "too early");
        after(20).await;
        assert!(b.works());
        assert_eq!(api.spec("leaseTransitions"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_renew_stops_working_before_others_may_begin() {
        for silent in [false, true] {
            let (api, clock) = scene();
            let a = replica("a", &api, &clock);
            after(30).await;
            if silent { &api.silent } else { &api.broken }.store(true, Ordering::SeqCst);
            after(9).await;
            assert!(a.works(), "a short outage is survived");
            after(7).await;
            assert!(!a.works(), "silent: {silent}");
            assert_eq!(a.task.await.unwrap(), Ended::Lost);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_does_not_cost_the_lead() {
        let (api, clock) = scene();
        let a = replica("a", &api, &clock);
        after(30).await;
        api.broken.store(true, Ordering::SeqCst);
        after(8).await;
        api.broken.store(false, Ordering::SeqCst);
        after(60).await;
        assert!(a.works());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_somebody_else_took_is_lost_at_once() {
        let (api, clock) = scene();
        let a = replica("a", &api, &clock);
        after(2).await;
        let mut taken = api.lease.lock().unwrap().clone().unwrap();
        taken["spec"]["holderIdentity"] = json!("thief");
        api.store(&taken);
        after(6).await;
        assert!(!a.works());
        assert_eq!(a.task.await.unwrap(), Ended::Lost);
        assert_eq!(api.holder(), "thief", "what is not ours is not released");
    }

    #[tokio::test(start_paused = true)]
    async fn a_standby_stops_without_touching_the_lease() {
        let (api, clock) = scene();
        let _a = replica("a", &api, &clock);
        after(1).await;
        let b = replica("b", &api, &clock);
        after(10).await;
        assert_eq!(b.stopped().await, Ended::Stopped);
        assert_eq!(api.holder(), "a");
    }

    #[tokio::test(start_paused = true)]
    async fn fields_of_others_survive() {
        let (api, clock) = scene();
        api.store(&json!({ "metadata": { "labels": { "team": "x" } }, "spec": { "holderIdentity": "", "leaseTransitions": 6 } }));
        let a = replica("a", &api, &clock);
        after(2).await;
        assert!(a.works());
        assert_eq!(api.spec("leaseTransitions"), 7);
        assert_eq!(api.lease.lock().unwrap().as_ref().unwrap()["metadata"]["labels"]["team"], "x");
    }
}
