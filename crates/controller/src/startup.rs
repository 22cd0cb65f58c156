//! From the command line to a running operator, and to the end of it.
//!
//! The order of the steps and their log lines are part of the interface: people wait for them in logs, probes depend on when the HTTP server begins to listen.
//! Source: operations notes, sections 2.1 to 2.5.

use crate::clusters;
use crate::flags::{Options, REVISION, VERSION};
use crate::server::{LIMITS, Pages, Readiness};
use crate::version;
use objects::Kind;
use objects::kind::{ALERT_PROVIDER, CANARY, METRIC_TEMPLATE};
use program::clock::Clock;
use program::outbound::{self, Outbound};
use program::server;
use providers::alerts::{self, GlobalNotifier};
use providers::metrics;
use runtime::cluster::Cluster;
use runtime::lease::{self, Candidate, ClusterLease, Ended, Timing};
use runtime::telemetry::Telemetry;
use runtime::{Clusters, Config, Operator, Receivers};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{debug, error, info};

/// Where the kernel tells the name of this host (in a pod: of the pod).
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// What ends the process with code 1, with the text for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(pub String);

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As requested: code 0.
    Clean,
    /// Another replica acts by now: code 1.
    LostLeadership,
}

/// Runs until `stop` becomes true or something fatal happens.
pub async fn run(options: Options, stop: watch::Receiver<bool>) -> Result<Exit, Fatal> {
    let telemetry = Telemetry::new().map_err(|error| Fatal(format!("Error registering metrics: {error}")))?;
    let (readiness, shown) = watch::channel(Readiness::Starting);
    let mut stopping = stop.clone();
    let prepared = tokio::select! {
        biased;
        // A stop while starting is no failure: nothing was begun. A sender that is gone is a stop as well.
        _ = stopping.wait_for(|stop| *stop) => return Ok(Exit::Clean),
        prepared = prepare(&options, Arc::new(telemetry)) => prepared?,
    };
    let pages = prepared.pages(shown);
    info!("Starting HTTP server on port {}", options.port);
    let listener = server::bind(&options.port).await.map_err(|error| Fatal(format!("HTTP server crashed {error}")))?;
    let serving = tokio::spawn(server::serve(listener, pages, LIMITS, stop.clone()));
    let exit = act(&options, prepared, &readiness, stop).await?;
    readiness.send_replace(Readiness::Stopping);
    if exit == Exit::Clean {
        // It was told to stop with us, and bounds its own time.
        if let Err(error) = serving.await {
            error!("HTTP server graceful shutdown failed {error}");
        }
    }
    Ok(exit)
}

/// What is ready to act.
struct Prepared {
    operator: Operator,
    clusters: Clusters,
    telemetry: Arc<Telemetry>,
}

impl Prepared {
    fn pages(&self, readiness: watch::Receiver<Readiness>) -> Pages {
        let telemetry = Arc::clone(&self.telemetry);
        let Clusters { main, mesh } = self.clusters.clone();
        let refused = move || {
            let mut all = main.permissions().missing();
            all.extend(mesh.permissions().missing());
            all.sort();
            all.dedup();
            all
        };
        Pages { metrics: Arc::new(move || telemetry.exposition()), readiness, refused: Arc::new(refused) }
    }
}

/// Everything up to the moment when the caches are warm.
async fn prepare(options: &Options, telemetry: Arc<Telemetry>) -> Result<Prepared, Fatal> {
    info!("Starting flagger version {VERSION} revision {REVISION} mesh provider {}", options.mesh_provider);
    let (clusters, own_routes) = clusters::connect(options).await.map_err(|error| Fatal(error.to_string()))?;
    let settings = options.settings(own_routes);
    if settings.selector_labels.is_empty() {
        return Err(Fatal("At least one selector label is required".to_owned()));
    }
    let main = &clusters.main;
    let (kinds, version) = futures::join!(check_kinds(main, &options.namespace), check_version(main));
    kinds?;
    let version = version?;
    info!("Connected to Kubernetes API {version}");
    telemetry.set_info(VERSION, &options.mesh_provider);
    telemetry.set_leader(false);
    let outbound: Arc<dyn Outbound> = Arc::new(outbound::Client::default());
    let mut operator = Operator::new(Config {
        clusters: clusters.clone(),
        namespace: options.namespace.clone(),
        settings: Arc::new(settings),
        clock: Clock::System,
        outbound: Arc::clone(&outbound),
        receivers: Receivers {
            event_webhook: Some(options.event_webhook.clone()).filter(|url| !url.is_empty()),
            notifier: notifier(options),
        },
        telemetry: Arc::clone(&telemetry),
    });
    operator.sync().await.map_err(Fatal)?;
    if !options.namespace.is_empty() {
        info!("Watching namespace {}", options.namespace);
    }
    check_metrics_server(&options.metrics_server, outbound.as_ref()).await?;
    announce_notifier(options);
    Ok(Prepared { operator, clusters, telemetry })
}

/// Acts, alone or when elected.
async fn act(
    options: &Options,
    prepared: Prepared,
    readiness: &watch::Sender<Readiness>,
    stop: watch::Receiver<bool>,
) -> Result<Exit, Fatal> {
    let Prepared { operator, clusters, .. } = prepared;
    let told = stop.clone();
    let work = async {
        readiness.send_replace(Readiness::Acting);
        operator.run(told).await;
    };
    if !options.enable_leader_election {
        work.await;
        return Ok(Exit::Clean);
    }
    readiness.send_replace(Readiness::Standby);
    let host = std::fs::read_to_string(HOSTNAME).or_else(|_| std::env::var("HOSTNAME").map_err(std::io::Error::other));
    let host = host.map_err(|error| Fatal(format!("Error running controller: {error}")))?;
    let identity = format!("{}_{}", host.trim(), uuid::Uuid::new_v4());
    let namespace = options.lease_namespace();
    info!("Starting leader election id: {identity} configmap: {} namespace: {namespace}", lease::NAME);
    let leases = Arc::new(ClusterLease::new(clusters.main, namespace));
    let candidate = Candidate::new(identity, leases, Clock::System, Timing::default());
    Ok(match candidate.lead(stop, work).await {
        Ended::Stopped => Exit::Clean,
        Ended::Lost => Exit::LostLeadership,
    })
}

/// Our own kinds must be there and readable.
async fn check_kinds(cluster: &Cluster, namespace: &str) -> Result<(), Fatal> {
    let kinds: [&'static Kind; 3] = [&CANARY, &METRIC_TEMPLATE, &ALERT_PROVIDER];
    let probes = kinds.map(async |kind| (kind, cluster.probe(kind, namespace).await));
    for (kind, probed) in futures::future::join_all(probes).await {
        probed.map_err(|error| Fatal(format!("{} CRD is not registered {error}", kind.kind)))?;
    }
    Ok(())
}

/// The server's version, if it is one that we work with.
async fn check_version(cluster: &Cluster) -> Result<String, Fatal> {
    let text = cluster.version().await.map_err(|error| Fatal(format!("Error calling Kubernetes API: {error}")))?;
    version::check(&text).map_err(|error| Fatal(error.to_string()))?;
    Ok(text)
}

/// A URL that is none is fatal; a server that does not answer is not.
async fn check_metrics_server(url: &str, outbound: &dyn Outbound) -> Result<(), Fatal> {
    let request = metrics::prometheus_probe(url).map_err(|error| {
        // What comes before names the same URL once more.
        let cause = error.find("prometheus address").and_then(|start| error.get(start..)).unwrap_or(&error);
        Fatal(format!("Error building prometheus client: {cause}"))
    })?;
    let shown = without_password(url);
    match metrics::prometheus_online(outbound.send(request).await) {
        Ok(()) => info!("Connected to metrics server {shown}"),
        Err(error) => error!("Metrics server {shown} unreachable {error}"),
    }
    Ok(())
}

/// A URL without the part before `@`.
fn without_password(url: &str) -> String {
    match url.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('@'))) {
        Some((scheme, Some((before, rest)))) if !before.contains('/') => format!("{scheme}://***@{rest}"),
        _ => url.to_owned(),
    }
}

fn global(options: &Options) -> GlobalNotifier {
    GlobalNotifier {
        slack_url: options.slack_url.clone(),
        slack_token: options.slack_token.clone(),
        slack_proxy: options.slack_proxy_url.clone(),
        slack_user: options.slack_user.clone(),
        slack_channel: options.slack_channel.clone(),
        msteams_url: options.msteams_url.clone(),
        msteams_proxy: options.msteams_proxy_url.clone(),
    }
}

/// Where alerts of Canaries go that have none of their own; `None` also when it is described badly, which [`announce_notifier`] tells.
fn notifier(options: &Options) -> Option<alerts::Channel> {
    alerts::global(&global(options)).ok().flatten()
}

fn announce_notifier(options: &Options) {
    match alerts::global(&global(options)) {
        Ok(Some(channel)) => {
            if let Some(line) = alerts::announcement(&channel) {
                info!("{line}");
            }
        }
        Ok(None) => debug!("No notifications but those of the Canaries"),
        Err(error) => error!("Notifier {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Answers, Api};

    fn options() -> Options {
        Options { metrics_server: "http://127.0.0.1:1".to_owned(), ..Options::default() }
    }

    async fn start(api: &Api) -> Result<(), Fatal> {
        prepare_at(api, options()).await
    }

    async fn prepare_at(api: &Api, mut options: Options) -> Result<(), Fatal> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        options.master = api.url.clone();
        prepare(&options, Arc::new(Telemetry::new().unwrap())).await.map(drop)
    }

    #[tokio::test]
    async fn all_is_well_although_prometheus_is_not_there() {
        let api = Api::start(Answers::default()).await;
        assert_eq!(start(&api).await, Ok(()));
        let mut first: Vec<String> = api.requests().into_iter().take(4).collect();
        first.sort();
        assert_eq!(
            first,
            [
                "/apis/flagger.app/v1beta1/alertproviders?limit=1",
                "/apis/flagger.app/v1beta1/canaries?limit=1",
                "/apis/flagger.app/v1beta1/metrictemplates?limit=1",
                "/version",
            ]
        );
    }

    #[tokio::test]
    async fn one_namespace_is_looked_at_alone() {
        let api = Api::start(Answers::default()).await;
        let mut options = options();
        options.namespace = "shop".to_owned();
        assert_eq!(prepare_at(&api, options).await, Ok(()));
        let elsewhere: Vec<_> = api
            .requests()
            .into_iter()
            .filter(|path| path.contains("flagger.app") && !path.contains("/namespaces/shop/"))
            .collect();
        assert_eq!(elsewhere, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_missing_crd_is_fatal_and_named() {
        for (plural, kind) in
            [("canaries", "Canary"), ("metrictemplates", "MetricTemplate"), ("alertproviders", "AlertProvider")]
        {
            let api = Api::start(Answers { missing: plural, ..Answers::default() }).await;
            let Fatal(text) = start(&api).await.unwrap_err();
            let server = format!("the server could not find the requested resource (list {plural}.flagger.app)");
            assert_eq!(text, format!("{kind} CRD is not registered {server}"));
        }
    }

    #[tokio::test]
    async fn an_old_api_server_is_fatal() {
        let api = Api::start(Answers { version: "v1.10.2", ..Answers::default() }).await;
        let Fatal(text) = start(&api).await.unwrap_err();
        assert_eq!(text, "Unsupported version of kubernetes detected.  Expected ^1.11.0, got v1.10.2");
    }

    #[tokio::test]
    async fn bad_options_are_fatal() {
        let api = Api::start(Answers::default()).await;
        let mut empty = options();
        empty.selector_labels = " , ".to_owned();
        assert_eq!(prepare_at(&api, empty).await, Err(Fatal("At least one selector label is required".to_owned())));
        let mut bad = options();
        bad.metrics_server = String::new();
        let Fatal(text) = prepare_at(&api, bad).await.unwrap_err();
        assert_eq!(text, "Error building prometheus client: prometheus address  is not a valid URL");
    }

    #[tokio::test]
    async fn a_stop_ends_it_cleanly_and_gives_the_lease_back() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let api = Api::start(Answers::default()).await;
        let mut options = options();
        options.master = api.url.clone();
        options.port = "0".to_owned();
        options.enable_leader_election = true;
        options.namespace = "shop".to_owned();
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(run(options, stopped));
        let lease = api.lease_where(|lease| lease.pointer("/spec/holderIdentity").is_some()).await;
        assert_eq!(lease.pointer("/metadata/namespace").and_then(serde_json::Value::as_str), Some("shop"));
        stop.send_replace(true);
        assert_eq!(running.await.unwrap(), Ok(Exit::Clean));
        let lease = api.lease_where(|_| true).await;
        assert_eq!(lease.pointer("/spec/holderIdentity").and_then(serde_json::Value::as_str), Some(""));
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("http://me:secret@prom:9090/x"), "http://***@prom:9090/x");
        assert_eq!(without_password("http://prom:9090/a@b"), "http://prom:9090/a@b");
    }
}
