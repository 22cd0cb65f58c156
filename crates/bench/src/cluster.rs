//! Where it is measured: a lab in this process behind HTTP, or an API server that is there. Both count the controller's requests.

use crate::Options;
use crate::day::NAMESPACE;
use crate::load::{self, Service};
use crate::nodes;
use crate::process;
use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use lab::{Lab, NodeOptions, RequestLog, SystemClock, Verb};
use objects::{Kind, ObjectRef};
use runtime::cluster::{self, Cluster};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// Requests by verb and resource: `("patch", "canaries.flagger.app/status")`.
pub(crate) type Requests = BTreeMap<(String, String), u64>;

/// The user agent of this program, whose requests do not count.
const AGENT: &str = "bench";

/// See the module.
pub(crate) struct Stage {
    /// For this program's own requests.
    pub(crate) client: kube::Client,
    /// What the controller reads.
    pub(crate) kubeconfig: PathBuf,
    /// What the controller's requests are counted by.
    counter: Counter,
    /// CPU of the API server, if it is a process of its own.
    server: Option<u32>,
    nodes: Option<JoinSet<()>>,
    _folder: Option<Folder>,
}

#[derive(Debug)]
enum Counter {
    Lab { tally: Arc<Tally>, _server: lab::Server },
    Audit(PathBuf),
    None,
}

/// The controller's requests to a lab. The lab keeps the last ones only, so they are counted before there are too many.
#[derive(Debug)]
struct Tally {
    lab: Lab,
    counts: Mutex<Requests>,
}

impl Tally {
    /// How often they are counted.
    const EVERY: Duration = Duration::from_secs(1);

    fn start(lab: Lab) -> Arc<Self> {
        let tally = Arc::new(Self { lab, counts: Mutex::default() });
        let counting = Arc::downgrade(&tally);
        tokio::spawn(async move {
            while let Some(tally) = counting.upgrade() {
                drop(tally.counts());
                drop(tally);
                tokio::time::sleep(Self::EVERY).await;
            }
        });
        tally
    }

    /// Since the last reset.
    fn counts(&self) -> MutexGuard<'_, Requests> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, count) in of_lab(&self.lab.take_requests()) {
            *counts.entry(what).or_default() += count;
        }
        counts
    }
}

/// A folder for the kubeconfig; removed at the end.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing depends on it.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Stage {
    pub(crate) async fn new(options: &Options) -> anyhow::Result<Self> {
        match &options.kubeconfig {
            Some(admin) => {
                let client = client(admin).await?;
                let kubeconfig = options.controller_kubeconfig.clone().unwrap_or_else(|| admin.clone());
                let counter = options.audit_log.clone().map_or(Counter::None, Counter::Audit);
                let nodes = options.play_nodes.then(|| nodes::play(client.clone()));
                Ok(Self { client, kubeconfig, counter, server: options.server_pid, nodes, _folder: None })
            }
            None => Self::lab().await,
        }
    }

    async fn lab() -> anyhow::Result<Self> {
        let lab = Lab::new(lab::Options {
            clock: Arc::new(SystemClock),
            nodes: Some(NodeOptions::default()),
            // More than a storm of ten thousand writes to one kind, so that no watch is ever too old.
            history: 200_000,
            ..lab::Options::default()
        });
        for crd in api::crd::all().iter().chain(&lab::definitions::istio()) {
            lab.create(crd.clone()).map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
        }
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let server = lab.serve(listener)?;
        let folder = std::env::temp_dir().join(format!(
            "bench-{}-{}",
            std::process::id(),
            server.url().rsplit(':').next().unwrap_or_default()
        ));
        std::fs::create_dir_all(&folder)?;
        let folder = Folder(folder);
        let kubeconfig = folder.0.join("kubeconfig");
        std::fs::write(&kubeconfig, server.kubeconfig())?;
        let client = kube::Client::new(lab.service_as(AGENT), "default");
        Ok(Self {
            client,
            kubeconfig,
            counter: Counter::Lab { tally: Tally::start(lab), _server: server },
            server: None,
            nodes: None,
            _folder: Some(folder),
        })
    }

    /// The name of what is measured on.
    pub(crate) fn name(&self) -> &'static str {
        if matches!(self.counter, Counter::Lab { .. }) { "the lab" } else { "an API server" }
    }

    /// Creates an object; one that is there stays.
    pub(crate) async fn create(&self, kind: &'static Kind, object: &Value) -> anyhow::Result<()> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let target = kind.object(text("/metadata/namespace"), text("/metadata/name"));
        match Cluster::new(self.client.clone()).create(&target, object).await {
            Err(error) if !error.already_exists() => Err(error).with_context(|| format!("creating {target}")),
            _ => Ok(()),
        }
    }

    /// Releases another version of a service.
    pub(crate) async fn release(&self, service: &Service, version: usize) -> anyhow::Result<()> {
        let target: ObjectRef = objects::kind::DEPLOYMENT.object(&service.namespace, &service.name);
        let cluster = Cluster::new(self.client.clone());
        cluster.merge(&target, &load::release(version), None, None).await.with_context(|| format!("{target}"))?;
        Ok(())
    }

    /// Deletes what was made, where it outlives this program.
    pub(crate) async fn clean(&self) -> anyhow::Result<()> {
        if matches!(self.counter, Counter::Lab { .. }) || self.nodes.is_some() {
            return Ok(());
        }
        let namespaces: kube::Api<kube::api::DynamicObject> =
            kube::Api::all_with(self.client.clone(), &cluster::resource(&NAMESPACE));
        let mine = |name: &str| name.starts_with("bench-");
        for namespace in namespaces.list(&kube::api::ListParams::default()).await?.items {
            if let Some(name) = namespace.metadata.name.filter(|name| mine(name)) {
                namespaces.delete(&name, &kube::api::DeleteParams::default()).await?;
            }
        }
        loop {
            let left = namespaces.list(&kube::api::ListParams::default()).await?;
            if !left.items.iter().any(|one| one.metadata.name.as_deref().is_some_and(mine)) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Where counting begins.
    pub(crate) fn mark(&self) -> Mark {
        match &self.counter {
            Counter::Lab { tally, .. } => {
                tally.counts().clear();
                Mark(0)
            }
            Counter::Audit(path) => Mark(std::fs::metadata(path).map_or(0, |file| file.len())),
            Counter::None => Mark(0),
        }
    }

    /// The controller's requests since a mark; `None`: nobody counts them. On the lab only since the last mark.
    pub(crate) fn requests(&self, since: &Mark) -> anyhow::Result<Option<Requests>> {
        match &self.counter {
            Counter::Lab { tally, .. } => Ok(Some(tally.counts().clone())),
            Counter::Audit(path) => of_audit(path, since.0).map(Some),
            Counter::None => Ok(None),
        }
    }

    /// Requests of everybody to a real API server so far, from its metrics.
    pub(crate) async fn everybody(&self) -> anyhow::Result<Option<f64>> {
        if self.server.is_none() {
            return Ok(None);
        }
        let text = self.client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
        let counts = text.lines().filter(|line| line.starts_with("apiserver_request_total{"));
        Ok(Some(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()))
    }

    /// CPU seconds of the API server so far.
    pub(crate) fn server_cpu(&self) -> Option<f64> {
        self.server.and_then(|pid| process::cpu(pid).ok())
    }
}

/// A place in the counting.
#[derive(Debug)]
pub(crate) struct Mark(u64);

fn of_lab(log: &RequestLog) -> Requests {
    let mut requests = Requests::new();
    for entry in log.entries().filter(|entry| !entry.call.user_agent.starts_with(AGENT)) {
        let call = &entry.call;
        let resource = match (call.resource.as_str(), call.subresource.as_str()) {
            ("", _) => call.path.clone(),
            (resource, "") => resource.to_owned(),
            (resource, subresource) => format!("{resource}/{subresource}"),
        };
        let verb = if call.verb == Verb::Other { call.method.to_lowercase() } else { call.verb.to_string() };
        *requests.entry((verb, resource)).or_default() += 1;
    }
    requests
}

/// Every request has one or two lines (a watch: when it starts and when it ends); those with the same id are one.
fn of_audit(path: &Path, from: u64) -> anyhow::Result<Requests> {
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    file.seek(SeekFrom::Start(from))?;
    let mut seen = std::collections::HashSet::new();
    let mut requests = Requests::new();
    for line in BufReader::new(file).lines() {
        let Ok(entry) = serde_json::from_str::<Value>(&line?) else { continue };
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        // A watch that ends was begun before, or is counted already.
        if text("/verb") == "watch" && text("/stage") != "ResponseStarted" {
            continue;
        }
        if text("/userAgent").starts_with(AGENT) || !seen.insert(text("/auditID").to_owned()) {
            continue;
        }
        let (resource, group, subresource) =
            (text("/objectRef/resource"), text("/objectRef/apiGroup"), text("/objectRef/subresource"));
        let mut name = if resource.is_empty() { text("/requestURI").to_owned() } else { resource.to_owned() };
        for (separator, part) in [('.', group), ('/', subresource)] {
            if !part.is_empty() {
                name.push(separator);
                name.push_str(part);
            }
        }
        *requests.entry((text("/verb").to_owned(), name)).or_default() += 1;
    }
    Ok(requests)
}

async fn client(path: &Path) -> anyhow::Result<kube::Client> {
    let file = Kubeconfig::read_from(path).with_context(|| path.display().to_string())?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}
