//! A lab with everything around it: definitions, manifests, HTTP on loopback, a data plane, and the controller if it is asked for.

use super::kubeconfig::File;
use super::{Options, manifests};
use lab::dataplane::DataPlane;
use lab::{Lab, NodeOptions, Server, SystemClock};
use program::logging::{Encoding, Level, Logger};
use runtime::clock::Clock;
use runtime::cluster::Cluster;
use runtime::telemetry::Telemetry;
use runtime::{Clusters, Config, Operator, Receivers, outbound};
use std::ffi::OsString;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long the controller may take to end.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often is looked whether the command has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Serves until a signal comes, or until the command ends; the answer is the exit code. The error is for people.
pub(super) async fn serve(options: &Options) -> Result<u8, String> {
    let no_signals = |error| format!("cannot listen to signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let lab = lab(options)?;
    let count = manifests::apply(&lab, &options.filenames)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .await
        .map_err(|error| format!("no port {} on 127.0.0.1: {error}", options.port))?;
    let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
    let server = lab.serve(listener).map_err(|error| error.to_string())?;
    let plane = DataPlane::start(Arc::new(lab.clone())).await.map_err(|error| format!("no port: {error}"))?;
    let operator = if options.controller { Some(operator(options, &lab, &plane).await?) } else { None };
    let file = File::write(options.kubeconfig.as_deref(), port, &server.kubeconfig())?;
    if options.command.is_empty() {
        announce(&server, &plane, &file, count);
    }
    let (stop, stopped) = watch::channel(false);
    let mut running = tokio::spawn(async move {
        match operator {
            Some(operator) => operator.run(stopped).await,
            None => std::future::pending().await,
        }
    });
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(0),
        _ = interrupt.recv() => Ok(0),
        code = command(&options.command, &file, &plane) => code,
        ended = &mut running => Err(format!("the controller has ended: {ended:?}")),
    };
    let _ = stop.send(true);
    if options.controller && ended.is_ok() {
        let _ = tokio::time::timeout(FAREWELL, running).await;
    }
    ended
}

/// Tells where everything is.
fn announce(server: &Server, plane: &DataPlane, file: &File, count: usize) {
    tell(&[
        format!("# Kubernetes API on {}, with {count} objects of yours; Ctrl-C ends it.", server.url()),
        format!("# Prometheus on http://{}", plane.prometheus()),
        format!("# Gateway for requests on http://{} (Host: SERVICE.NAMESPACE)", plane.gateway()),
        format!("export KUBECONFIG={}", file.path().display()),
    ]);
}

/// Runs the command; never ends without one. It is ended with the lab.
async fn command(words: &[OsString], file: &File, plane: &DataPlane) -> Result<u8, String> {
    let Some((program, arguments)) = words.split_first() else { return std::future::pending().await };
    let mut command = std::process::Command::new(program);
    command.args(arguments).env("KUBECONFIG", file.path());
    command.env("LAB_PROMETHEUS", format!("http://{}", plane.prometheus()));
    command.env("LAB_GATEWAY", format!("http://{}", plane.gateway()));
    let failed = |error| format!("cannot run {}: {error}", program.display());
    let mut child = Ended(command.spawn().map_err(failed)?);
    loop {
        if let Some(status) = child.0.try_wait().map_err(failed)? {
            // A command that a signal ended has no code.
            return Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A process that does not outlive its handle.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stdout, as far as it listens.
fn tell(lines: &[String]) {
    let mut stdout = std::io::stdout().lock();
    for line in lines {
        let _ = writeln!(stdout, "{line}");
    }
    let _ = stdout.flush();
}

/// A lab in real time with the kinds that Canaries need.
fn lab(options: &Options) -> Result<Lab, String> {
    let nodes = NodeOptions { ready_after: options.ready_after, pods: true, ..NodeOptions::default() };
    let lab = Lab::new(lab::Options { clock: Arc::new(SystemClock), nodes: Some(nodes), ..lab::Options::default() });
    for definition in api::crd::all().into_iter().chain(lab::definitions::meshes()) {
        lab.apply(&definition).map_err(|refusal| refusal.to_string())?;
    }
    Ok(lab)
}

/// The controller, as its binary assembles it, with a connection in memory.
async fn operator(options: &Options, lab: &Lab, plane: &DataPlane) -> Result<Operator, String> {
    // They fail only if there is one already; then that one will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let logger = Logger::new(Level::Info, Encoding::Console, Clock::System, std::io::stderr());
    let _ = tracing::subscriber::set_global_default(logger);
    let metrics_server = options.metrics_server.clone().unwrap_or_else(|| format!("http://{}", plane.prometheus()));
    let settings =
        api::Settings { metrics_server, mesh_provider: options.provider.clone(), ..api::Settings::default() };
    let client = kube::Client::new(lab.service_as("flagger"), "default");
    let mut operator = Operator::new(Config {
        clusters: Clusters::single(Cluster::new(client)),
        namespace: String::new(),
        settings: Arc::new(settings),
        clock: Clock::System,
        outbound: Arc::new(outbound::Client::default()),
        receivers: Receivers { event_webhook: None, notifier: None },
        telemetry: Arc::new(Telemetry::new().map_err(|error| error.to_string())?),
    });
    operator.sync().await?;
    Ok(operator)
}

#[cfg(test)]
mod tests {
    use objects::paths::text;
    use providers::routers::ROUTERS;

    #[test]
    fn every_kind_of_every_router_is_served() {
        let definitions = lab::definitions::meshes();
        let is_served = |kind: &objects::Kind| {
            let versions = |one: &serde_json::Value| {
                objects::paths::list(one, "/spec/versions").any(|version| text(version, "/name") == kind.version)
            };
            let named = |one: &&serde_json::Value| text(one, "/metadata/name") == kind.resource();
            definitions.iter().find(named).is_some_and(versions)
        };
        let foreign = ROUTERS.iter().flat_map(|router| router.kinds()).map(|access| access.kind);
        let missing: Vec<_> =
            foreign.filter(|kind| kind.home == objects::kind::Home::Mesh && !is_served(kind)).collect();
        assert!(missing.is_empty(), "add them to lab::definitions: {missing:?}");
    }
}
