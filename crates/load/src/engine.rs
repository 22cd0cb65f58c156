//! The workers: each takes the next request that is due, sends it, waits for the answer, counts it.
//!
//! Requests are taken from one plan ([`Pace`]), so that a worker that waits for a slow answer leaves the next request to another one; when all are busy, requests
//! wait, and their latency counts from the time at which they were due. Knows nothing about HTTP: a [`Client`] does one request.
//! A thread has a runtime of its own and its own recorder; nothing is shared but the number of the next request.

use crate::pace::Pace;
use crate::record::{Keep, Outcome, Recorder};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Timers are exact to a millisecond and never early; asking for this much less makes requests leave in time.
const GRAIN: Duration = Duration::from_millis(1);
/// How long requests under way may still take after the end of the run when there is no time limit for them.
const GRACE: Duration = Duration::from_secs(20);
/// Pause after nobody was there, without a rate: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// Sends requests, one at a time.
pub(crate) trait Client: Send + 'static {
    /// Sends one and reads its answer to the end.
    fn call(&mut self) -> impl Future<Output = Outcome> + Send;

    /// The call was given up after the time limit (its future is gone): what to say, and whatever it left behind is to be dropped.
    fn timed_out(&mut self) -> Outcome;
}

/// How much, how fast, how long.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Requests in all; `None`: until the time is over.
    pub(crate) requests: Option<u64>,
    /// When sending ends.
    pub(crate) time: Option<Duration>,
    /// The rate of all workers together.
    pub(crate) pace: Pace,
    /// For one request; `None`: without limit.
    pub(crate) timeout: Option<Duration>,
    /// What happens to requests under way when the time is over.
    pub(crate) at_end: AtEnd,
    /// What is recorded.
    pub(crate) keep: Keep,
}

/// What happens to requests under way when the time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// They are waited for.
    Wait,
    /// They are given up and counted as failed, with this status and text.
    Fail(u16, &'static str),
    /// They are given up and forgotten.
    Forget,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Report {
    /// From start to end.
    pub(crate) elapsed: Duration,
    /// What was seen.
    pub(crate) seen: Recorder,
    /// Requests that were due and never sent.
    pub(crate) unsent: u64,
    /// Why it ended.
    pub(crate) ended: Ended,
    /// The rate asked for, for the line about late requests.
    pub(crate) paced: bool,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All requests were sent.
    Done,
    /// The time was over.
    TimeOver,
    /// A signal.
    Signal,
}

/// What all workers of all threads know.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    start: Instant,
    next: AtomicU64,
}

/// Runs `clients` (each is a worker) on so many threads until the plan is done or `stop` says so.
pub(crate) fn run<C: Client>(
    plan: Plan,
    clients: Vec<C>,
    threads: usize,
    stop: &watch::Receiver<bool>,
) -> anyhow::Result<Report> {
    let shared = Arc::new(Shared { plan, start: Instant::now(), next: AtomicU64::new(0) });
    let mut crews: Vec<Vec<C>> = (0..threads.max(1)).map(|_| Vec::new()).collect();
    let count = crews.len();
    for (number, client) in clients.into_iter().enumerate() {
        if let Some(crew) = crews.get_mut(number % count) {
            crew.push(client);
        }
    }
    let mut seen = Recorder::new(shared.plan.keep)?;
    let results = std::thread::scope(|scope| {
        let begin = |crew| {
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            scope.spawn(move || finish(runtime()?, work(shared, crew, stop)))
        };
        let running: Vec<_> = crews.into_iter().map(begin).collect();
        running.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    for result in results {
        seen.merge(result.map_err(|_| anyhow::anyhow!("a thread of the load generator ended early"))??);
    }
    Ok(shared.report(seen, *stop.borrow()))
}

/// A runtime on this thread. Names are looked up on others, few of them.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()
}

/// Runs to the end, and waits for nothing else: a name that is looked up for ever is nobody's concern any more.
pub(crate) fn finish<T>(runtime: tokio::runtime::Runtime, work: impl Future<Output = T>) -> T {
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// One thread's workers, to the end.
async fn work<C: Client>(
    shared: Arc<Shared>,
    clients: Vec<C>,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<Recorder> {
    let recorder = Arc::new(Mutex::new(Recorder::new(shared.plan.keep)?));
    let mut workers = JoinSet::new();
    for client in clients {
        workers.spawn(worker(Arc::clone(&shared), client, Arc::clone(&recorder)));
    }
    let patience = shared.patience();
    tokio::select! {
        () = shared.done(&mut workers) => {}
        _ = stop.wait_for(|stop| *stop) => {}
        () = async { match patience { Some(end) => sleep_until(end).await, None => std::future::pending().await } } => {}
    }
    workers.shutdown().await;
    drop(workers);
    Arc::into_inner(recorder)
        .map(|recorder| recorder.into_inner().unwrap_or_else(PoisonError::into_inner))
        .ok_or_else(|| anyhow::anyhow!("a worker of the load generator did not end"))
}

/// Takes and sends requests until there is none left.
async fn worker<C: Client>(shared: Arc<Shared>, mut client: C, recorder: Arc<Mutex<Recorder>>) {
    let plan = &shared.plan;
    let mut pause = PAUSE.0;
    // One timer for everything: moving it is cheaper than making one for each request.
    let mut alarm = pin!(sleep_until(shared.start));
    while let Some((n, due)) = shared.take() {
        if let Some(due) = due {
            let wake = shared.start + due.saturating_sub(GRAIN);
            if Instant::now() < wake {
                alarm.as_mut().reset(wake);
                alarm.as_mut().await;
            }
        }
        let began = Instant::now();
        let sent = began - shared.start;
        if plan.time.is_some_and(|end| sent >= end) {
            shared.next.fetch_sub(1, Ordering::Relaxed);
            break;
        }
        let limit = shared.limit(began);
        if let Some(limit) = limit {
            alarm.as_mut().reset(limit);
        }
        let outcome = tokio::select! {
            biased;
            outcome = client.call() => Some(outcome),
            () = alarm.as_mut(), if limit.is_some() => None,
        };
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => match (client.timed_out(), plan.at_end, plan.time) {
                (_, AtEnd::Forget, Some(end)) if shared.start.elapsed() >= end => break,
                (_, AtEnd::Fail(status, text), Some(end)) if shared.start.elapsed() >= end => {
                    Outcome { status: Some(status), ..Outcome::failed(text) }
                }
                (outcome, ..) => outcome,
            },
        };
        let unreachable = outcome.unreachable;
        let done = shared.start.elapsed();
        recorder.lock().unwrap_or_else(PoisonError::into_inner).add(n, due, sent, done, outcome);
        // With a rate, the plan keeps it from spinning.
        if unreachable && !plan.pace.is_set() {
            alarm.as_mut().reset(Instant::now() + pause);
            alarm.as_mut().await;
            pause = (pause * 2).min(PAUSE.1);
        } else {
            pause = PAUSE.0;
        }
    }
}

impl Shared {
    /// The next request's number, and when it is due.
    fn take(&self) -> Option<(u64, Option<Duration>)> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let due = self.plan.pace.due(n);
        let over = self.plan.requests.is_some_and(|all| n >= all)
            || self.plan.time.is_some_and(|end| due.is_some_and(|due| due >= end) || self.start.elapsed() >= end);
        if over {
            self.next.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some((n, due))
    }

    /// When a request that is sent now is given up.
    fn limit(&self, now: Instant) -> Option<Instant> {
        let timeout = self.plan.timeout.map(|timeout| now + timeout);
        let end = self.plan.time.filter(|_| self.plan.at_end != AtEnd::Wait).map(|end| self.start + end);
        timeout.into_iter().chain(end).min()
    }

    /// Waits for the workers, and for the end of the time: when the next request would be due only after it, the run lasts as long all the same, or its rate
    /// would be told wrong.
    async fn done(&self, workers: &mut JoinSet<()>) {
        while workers.join_next().await.is_some() {}
        if let Some(end) = self.plan.time.filter(|_| self.plan.requests.is_none()) {
            sleep_until(self.start + end).await;
        }
    }

    /// When the run ends, whatever is under way.
    fn patience(&self) -> Option<Instant> {
        self.plan.time.map(|end| self.start + end + self.plan.timeout.unwrap_or(GRACE) + GRAIN * 10)
    }

    fn report(&self, seen: Recorder, stopped: bool) -> Report {
        let elapsed = self.start.elapsed();
        let plan = &self.plan;
        let ended = match plan.time {
            _ if stopped => Ended::Signal,
            Some(end) if elapsed >= end => Ended::TimeOver,
            _ => Ended::Done,
        };
        let due = plan.pace.due_before(plan.time.map_or(elapsed, |end| end.min(elapsed)));
        let due = plan.requests.map_or(due, |all| due.min(all));
        let unsent = due.saturating_sub(self.next.load(Ordering::Relaxed));
        Report { elapsed, seen, unsent, ended, paced: plan.pace.is_set() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    /// Answers after a while, in simulated time; the server stands still from one moment to another.
    #[derive(Clone)]
    struct Slow {
        answer: Duration,
        stall: Option<(Instant, Instant)>,
        outcome: Outcome,
    }

    impl Client for Slow {
        async fn call(&mut self) -> Outcome {
            if let Some((_, end)) = self.stall.filter(|(begin, end)| (*begin..*end).contains(&Instant::now())) {
                sleep_until(end).await;
            }
            sleep(self.answer).await;
            self.outcome.clone()
        }

        fn timed_out(&mut self) -> Outcome {
            Outcome::failed("too slow")
        }
    }

    fn slow(answer: u64) -> Slow {
        let outcome = Outcome { status: Some(200), ..Outcome::default() };
        Slow { answer: ms(answer), stall: None, outcome }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn plan(rate: f64, seconds: u64) -> Plan {
        Plan {
            requests: None,
            time: Some(Duration::from_secs(seconds)),
            pace: Pace::per_second(rate),
            timeout: Some(Duration::from_secs(20)),
            at_end: AtEnd::Wait,
            keep: Keep { samples: true, ..Keep::default() },
        }
    }

    async fn run(plan: Plan, client: Slow, workers: usize) -> Report {
        run_until(plan, client, workers, None).await
    }

    async fn run_until(plan: Plan, client: Slow, workers: usize, stop_after: Option<Duration>) -> Report {
        let shared = Arc::new(Shared { plan, start: Instant::now(), next: AtomicU64::new(0) });
        let (stop, stopped) = watch::channel(false);
        let clients = vec![client; workers];
        let mut work = pin!(work(Arc::clone(&shared), clients, stopped));
        let seen = tokio::select! {
            seen = &mut work => seen,
            () = sleep(stop_after.unwrap_or(Duration::MAX)) => {
                stop.send(true).unwrap();
                work.await
            }
        };
        shared.report(seen.unwrap(), stop_after.is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_held_to_the_request_and_spread_evenly() {
        let report = run(plan(20.0, 60), slow(5), 2).await;
        assert_eq!((report.seen.sent, report.seen.late, report.unsent), (1200, 0, 0));
        assert!(report.elapsed >= ms(60_000) && report.elapsed <= ms(60_002), "{:?}", report.elapsed);
        assert!(report.seen.latency.max() <= ms(6), "{:?}", report.seen.latency);
        for (n, sample) in report.seen.samples.iter().enumerate() {
            let due = ms(50 * n as u64);
            assert!(sample.sent.abs_diff(due) <= ms(1), "request {n} at {:?}", sample.sent);
        }
        assert_eq!(crate::late_line(&report), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_does_not_slow_the_others_while_somebody_is_free() {
        // One worker alone would send five a second.
        let report = run(plan(18.0, 10), slow(200), 4).await;
        assert_eq!((report.seen.sent, report.seen.late, report.unsent), (180, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stalls_is_seen_to_stall() {
        let start = Instant::now();
        let stall = Some((start + ms(10_000), start + ms(15_000)));
        let report = run(plan(100.0, 60), Slow { stall, ..slow(1) }, 2).await;
        // Two requests waited for the whole stall; those that were due meanwhile were made up for and waited for what was left of it.
        assert_eq!((report.seen.sent, report.unsent), (6000, 0));
        assert!(report.seen.latency.max() >= ms(4980), "{:?}", report.seen.latency);
        assert!((480..=560).contains(&report.seen.late), "{}", report.seen.late);
        let waited = report.seen.samples.iter().filter(|sample| sample.latency > ms(2500)).count();
        assert!((240..=290).contains(&waited), "half of them waited for half of it: {waited}");
        assert!(report.seen.percentile(99.0) > ms(4000), "{:?}", report.seen.percentile(99.0));
        let line = crate::late_line(&report).unwrap();
        assert!(line.starts_with("Late: ") && line.contains(" of 6000 requests were sent more than 10 ms"), "{line}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_due_and_never_sent_is_told() {
        // Each request takes a second, so that two workers send two a second of the ten that are asked for.
        let report = run(plan(10.0, 10), slow(1000), 2).await;
        assert_eq!((report.seen.sent, report.unsent), (20, 80));
        assert!(report.seen.latency.max() > ms(8000), "{:?}", report.seen.latency);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_the_next_follows_the_answer() {
        let report = run(plan(0.0, 10), slow(100), 3).await;
        assert_eq!((report.seen.sent, report.seen.late, report.unsent), (300, 0, 0));
        assert!(report.seen.latency.max() <= ms(101), "{:?}", report.seen.latency);
        assert_eq!(report.ended, Ended::TimeOver);
        let counted = run(Plan { requests: Some(7), time: None, ..plan(0.0, 0) }, slow(100), 3).await;
        assert_eq!((counted.seen.sent, counted.ended), (7, Ended::Done));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit() {
        let timeout = Some(ms(1000));
        let report = run(Plan { timeout, ..plan(0.0, 10) }, slow(3_600_000), 2).await;
        assert_eq!((report.seen.sent, report.seen.latency.count()), (20, 0));
        assert_eq!(report.seen.errors.get("too slow"), Some(&20));
        assert!(report.elapsed <= ms(11_100), "{:?}", report.elapsed);
        // Without a limit the run ends all the same.
        let report = run(Plan { timeout: None, ..plan(0.0, 10) }, slow(3_600_000), 2).await;
        assert_eq!(report.seen.sent, 0);
        assert!(report.elapsed <= ms(30_100), "{:?}", report.elapsed);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_at_the_end_is_treated_as_asked() {
        let at_end = AtEnd::Fail(14, "closing");
        let report = run(Plan { at_end, ..plan(0.0, 10) }, slow(3000), 2).await;
        assert_eq!((report.seen.sent, report.seen.errors.get("closing")), (8, Some(&2)));
        assert!(report.elapsed <= ms(10_002), "{:?}", report.elapsed);
        let report = run(Plan { at_end: AtEnd::Forget, ..plan(0.0, 10) }, slow(3000), 2).await;
        assert_eq!((report.seen.sent, report.seen.errors.len()), (6, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_there_is_no_reason_to_spin() {
        let outcome = Outcome { unreachable: true, ..Outcome::failed("refused") };
        let report = run(plan(0.0, 10), Slow { outcome, ..slow(0) }, 1).await;
        assert!((100..150).contains(&report.seen.sent), "{}", report.seen.sent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_ends_it_with_what_was_seen() {
        let report = run_until(plan(10.0, 3600), slow(5), 2, Some(ms(4990))).await;
        assert_eq!((report.seen.sent, report.ended), (50, Ended::Signal));
        assert!(report.elapsed <= ms(5000), "{:?}", report.elapsed);
    }
}
