//! What the tests have in common: an API with a table for the HTTP client, requests to it, and what is in the log.

#![allow(dead_code, reason = "not every test needs everything")]

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use loadtester::api::{Api, Parts};
use loadtester::descendants;
use loadtester::process::{Bounds, Processes};
use loadtester::runner::Runner;
use loadtester::tasks::Tools;
use loadtester::telemetry::Telemetry;
use program::clock::Clock;
use program::logging::{Encoding, Level, Logger};
use program::outbound::Outbound;
use providers::http::{Request as Outgoing, Response, SendError};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tracing::subscriber::DefaultGuard;

/// What a server answers to a request (`METHOD URL`): status and body, or no answer.
pub(crate) type Answers = Box<dyn Fn(&str) -> Option<(u16, String)> + Send + Sync>;

/// The HTTP client as a table.
pub(crate) struct Table {
    answers: Answers,
    start: Instant,
    /// Requests with the second of simulated time at which they came.
    pub(crate) requests: Mutex<Vec<(u64, Outgoing)>>,
}

impl Table {
    pub(crate) fn new(answers: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answers: Box::new(answers), start: Instant::now(), requests: Mutex::default() })
    }

    /// `SECOND METHOD URL` of every request.
    pub(crate) fn story(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|(at, request)| format!("{at} {}", line(request))).collect()
    }
}

fn line(request: &Outgoing) -> String {
    format!("{} {}", request.method.name(), request.url.reveal())
}

impl Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

#[async_trait]
impl Outbound for Table {
    async fn send(&self, request: Outgoing) -> Result<Response, SendError> {
        let line = line(&request);
        self.requests.lock().unwrap().push((self.start.elapsed().as_secs(), request));
        match (self.answers)(&line) {
            Some((status, body)) => {
                Ok(Response { status, retry_after: None, body: body.into_bytes(), truncated: false })
            }
            None => Err(SendError { message: "connection refused".to_owned(), retriable: true }),
        }
    }
}

/// The lines of the log.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// A log of everything that happens on this thread.
    pub(crate) fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let logger = Logger::new(Level::Debug, Encoding::Json, Clock::System, log.clone());
        let guard = tracing::subscriber::set_default(logger);
        (log, guard)
    }

    /// `LEVEL CANARY MESSAGE` of every line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                let field = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
                format!("{} {} {}", field("level"), field("canary"), field("msg"))
            })
            .collect()
    }
}

/// A load tester without sockets.
pub(crate) struct Tester {
    pub(crate) api: Api,
    pub(crate) runner: Runner,
    /// Ends background tasks.
    pub(crate) stop: watch::Sender<bool>,
    /// Ends blocking tasks.
    pub(crate) end: watch::Sender<bool>,
}

impl Tester {
    pub(crate) fn new(outbound: Arc<dyn Outbound>, limit: Duration, namespaces: Option<&str>) -> Self {
        let processes = Arc::new(Processes::new(std::env::var("PATH").unwrap()));
        Self::with(Tools { processes, outbound, prelude: "".into() }, limit, namespaces)
    }

    /// One whose commands are looked for there.
    pub(crate) fn with_path(path: String) -> Self {
        let tools =
            Tools { processes: Arc::new(Processes::new(path)), outbound: Table::new(|_| None), prelude: "".into() };
        Self::with(tools, Duration::from_secs(3600), None)
    }

    /// One whose shells know more.
    pub(crate) fn with_prelude(prelude: &str) -> Self {
        let processes = Arc::new(Processes::new(std::env::var("PATH").unwrap()));
        let tools = Tools { processes, outbound: Table::new(|_| None), prelude: prelude.into() };
        Self::with(tools, Duration::from_secs(3600), None)
    }

    fn with(tools: Tools, limit: Duration, namespaces: Option<&str>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let telemetry = Arc::new(Telemetry::new().unwrap());
        let runner = Runner::new(tools.clone(), Arc::clone(&telemetry), limit, stopped);
        let looking = runner.clone();
        tokio::spawn(async move { looking.run().await });
        let namespaces = namespaces.map(|pattern| regex::Regex::new(pattern).unwrap());
        let api = Api::new(Parts { namespaces, runner: runner.clone(), tools, telemetry, limit, stop: ended });
        Self { api, runner, stop, end }
    }

    /// One without servers around it.
    pub(crate) fn alone() -> Self {
        Self::new(Table::new(|_| None), Duration::from_secs(3600), None)
    }

    /// Status, kind of content and text of an answer.
    pub(crate) async fn call(&self, path: &str, body: impl Into<Bytes>) -> (u16, String, String) {
        let request = Request::post(path).body(Full::new(body.into())).unwrap();
        let (head, body) = self.api.respond(request).await.into_parts();
        let kind = head.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        (head.status.as_u16(), kind, text)
    }

    /// Status and text of the answer to a task for `podinfo.test`.
    pub(crate) async fn task(&self, metadata: &[(&str, &str)]) -> (u16, String) {
        let (status, _, text) = self.call("/", payload(metadata)).await;
        (status, text)
    }

    /// The value of a series of `/metrics`; 0 if there is none.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let (_, _, text) = self.call("/metrics", "").await;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        line.unwrap_or_default()
    }
}

/// The body of a call for `podinfo.test`.
pub(crate) fn payload(metadata: &[(&str, &str)]) -> String {
    let metadata: serde_json::Map<_, _> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({ "name": "podinfo", "namespace": "test", "metadata": metadata }).to_string()
}

/// Bounds for a command, and what ends it.
pub(crate) fn bounds() -> (Bounds, watch::Sender<bool>) {
    let (stop, stopped) = watch::channel(false);
    let slot = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    (Bounds { until: Instant::now() + Duration::from_secs(3600), stop: stopped, slot: Arc::new(slot) }, stop)
}

/// A folder that goes with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("loadtester-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// A file in it, as text.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits in real time until a file holds that many lines, and returns them.
pub(crate) async fn lines_of(file: &str, count: usize) -> Vec<String> {
    let file = file.to_owned();
    let waiting = tokio::task::spawn_blocking(move || {
        loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if text.ends_with('\n') && text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    waiting.await.unwrap()
}

/// Whether a process (its number as text) runs.
pub(crate) fn runs(pid: &str) -> bool {
    let pid: i32 = pid.trim().parse().unwrap();
    descendants::all().iter().any(|process| process.pid == pid && !process.zombie)
}
