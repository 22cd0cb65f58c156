//! The stage: lab, nodes, mesh, Prometheus and the controller, all in this process, tied together by HTTP on loopback.

use super::loopback::Loopback;
use super::manifests::{APP, NAMESPACE};
use super::mesh::Mesh;
use lab::dataplane::DataPlane;
use lab::{Lab, NodeOptions, Server, SystemClock};
use program::logging::{Encoding, Level, Logger};
use runtime::clock::Clock;
use runtime::cluster::Cluster;
use runtime::telemetry::Telemetry;
use runtime::{Clusters, Config, Operator, Receivers};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a pod takes to become ready: long enough to be seen waiting for.
const READY_AFTER: Duration = Duration::from_millis(700);

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    /// The cluster.
    pub(super) lab: Lab,
    /// The mesh.
    pub(super) plane: DataPlane,
    /// The API server's address.
    pub(super) server: Server,
    stop: watch::Sender<bool>,
    operator: JoinHandle<()>,
}

impl Stage {
    /// Starts everything and waits until the controller watches. The error is for people.
    pub(super) async fn set_up(mesh: &Mesh) -> Result<Self, String> {
        let nodes = NodeOptions { ready_after: READY_AFTER, ..NodeOptions::default() };
        let lab =
            Lab::new(lab::Options { clock: Arc::new(SystemClock), nodes: Some(nodes), ..lab::Options::default() });
        for definition in api::crd::all().into_iter().chain(mesh.definitions()) {
            lab.apply(&definition).map_err(|refusal| refusal.to_string())?;
        }
        let no_port = |error: std::io::Error| format!("no port on 127.0.0.1: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(no_port)?;
        let server = lab.serve(listener).map_err(no_port)?;
        let plane = DataPlane::start(Arc::new(lab.clone())).await.map_err(no_port)?;
        let operator = operator(&server, &plane).await?;
        let (stop, stopped) = watch::channel(false);
        let operator = tokio::spawn(operator.run(stopped));
        Ok(Self { lab, plane, server, stop, operator })
    }

    /// Whether the controller has ended, which it must not.
    pub(super) fn controller_is_gone(&self) -> bool {
        self.operator.is_finished()
    }

    /// The host that users call.
    pub(super) fn host() -> String {
        format!("{APP}.{NAMESPACE}")
    }

    /// Asks the controller to stop and waits for it.
    pub(super) async fn tear_down(self) {
        // Nobody listens any more if it has ended already.
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(5), self.operator).await;
    }
}

/// The controller, as its binary assembles it, but for the addresses.
async fn operator(server: &Server, plane: &DataPlane) -> Result<Operator, String> {
    let url = server.url().parse().map_err(|error| format!("the lab's address {}: {error}", server.url()))?;
    let mut configuration = kube::Config::new(url);
    NAMESPACE.clone_into(&mut configuration.default_namespace);
    let client = kube::Client::try_from(configuration).map_err(|error| runtime::cluster::chain(&error))?;
    let settings =
        api::Settings { metrics_server: format!("http://{}", plane.prometheus()), ..api::Settings::default() };
    let mut operator = Operator::new(Config {
        clusters: Clusters::single(Cluster::new(client)),
        namespace: String::new(),
        settings: Arc::new(settings),
        clock: Clock::System,
        outbound: Arc::new(Loopback),
        receivers: Receivers { event_webhook: None, notifier: None },
        telemetry: Arc::new(Telemetry::new().map_err(|error| error.to_string())?),
    });
    operator.sync().await?;
    Ok(operator)
}

/// Sends the controller's log to stderr, in the words of the real one.
pub(super) fn log_to_stderr() {
    let logger = Logger::new(Level::Info, Encoding::Console, Clock::System, std::io::stderr());
    // It fails only if there is a log already; then that one is it.
    let _ = tracing::subscriber::set_global_default(logger);
}
