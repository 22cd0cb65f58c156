//! `kubectl flagger install` and `uninstall`: the controller, into the cluster of the kubeconfig and out of it.
//!
//! What is installed says the crate `install`, from which the manifests are generated as well; what the command line changes about it is here, the requests are
//! in [`cluster`]. Nothing is asked back: what could be destroyed (`--crds`) has a flag of its own.

mod cluster;

use self::cluster::Cluster;
use ::install::objects::{self, Settings};
use ::install::rules::{self, Choice};
use ::install::{prometheus, yaml};
use clap::Args;
use controller::flags::{self, Start};
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// The cluster refuses something, or the controller does not become ready.
const REFUSED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;
/// There is no cluster to talk to.
const NO_CLUSTER: u8 = 3;

/// What people do with it.
pub(crate) const EXAMPLES: &str = "\
Examples:
    kubectl flagger install --provider istio -n istio-system
    kubectl flagger install --provider nginx --prometheus
    kubectl flagger install --provider gatewayapi:v1 --providers nginx --flag=-slack-channel=releases
    kubectl flagger install --export > flagger.yaml";

/// Which cluster.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The namespace of the controller. It is created where there is none.
    #[arg(short, long, default_value = "flagger-system")]
    namespace: String,
    /// The kubeconfig; by default $KUBECONFIG, or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<std::path::PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
    /// How long to wait, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

/// What to install.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Who splits the traffic of Canaries that do not say it themselves.
    #[arg(long, default_value = "istio")]
    provider: String,
    /// Further providers that Canaries may name; then only these and --provider get permissions. Without it every provider does.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    providers: Vec<String>,
    /// The Prometheus that the built-in checks ask.
    #[arg(long, value_name = "URL", default_value = "http://prometheus:9090", conflicts_with = "prometheus")]
    metrics_server: String,
    /// Installs a small Prometheus too, and uses that.
    #[arg(long)]
    prometheus: bool,
    /// The one namespace to watch. The permissions are then a Role in there.
    #[arg(long, value_name = "NAMESPACE", default_value = "")]
    watch_namespace: String,
    /// The image of the controller.
    #[arg(long)]
    image: Option<String>,
    /// Pods of the controller. With more than one they take turns by a lease.
    #[arg(long, default_value_t = 1)]
    replicas: u32,
    /// A further flag of the controller, e.g. --flag=-cluster-name=east; may be repeated.
    #[arg(long = "flag", value_name = "FLAG", allow_hyphen_values = true)]
    flags: Vec<String>,
    /// Prints the manifests and touches no cluster.
    #[arg(long)]
    export: bool,
    /// The API server checks everything and keeps nothing.
    #[arg(long, conflicts_with = "export")]
    dry_run: bool,
    /// Does not wait until the controller is ready.
    #[arg(long)]
    no_wait: bool,
}

/// What to take out.
#[derive(Debug, Args)]
pub(crate) struct Removal {
    #[command(flatten)]
    place: Place,
    /// Removes the definitions as well, and with them every Canary and all that was generated for them: primaries, Services, routes.
    #[arg(long)]
    crds: bool,
}

/// Why it did not work: the exit code and the words.
struct Trouble(u8, String);

/// Installs.
pub(crate) fn install(options: &Options) -> ExitCode {
    let objects = match manifests(options) {
        Ok(objects) => objects,
        Err(trouble) => return end(Err(trouble)),
    };
    if options.export {
        return end(yaml(&objects).map(|text| print!("{text}")).map_err(|error| Trouble(REFUSED, error.to_string())));
    }
    run(async {
        let cluster = Cluster::connect(&options.place).await?;
        cluster.apply(&objects, &options.place.namespace, options.dry_run).await?;
        if !options.dry_run && !options.no_wait {
            cluster.ready(&options.place.namespace, Duration::from_secs(options.place.timeout)).await?;
        }
        Ok(())
    })
}

/// Uninstalls.
pub(crate) fn uninstall(options: &Removal) -> ExitCode {
    run(async {
        let cluster = Cluster::connect(&options.place).await?;
        let namespace = &options.place.namespace;
        let settings = Settings { watched: cluster.watched(namespace).await?, ..Settings::new(namespace) };
        if options.crds {
            // First, while there is a controller that can give their objects back.
            cluster.delete(&objects::definitions()).await?;
            cluster.gone(&objects::definitions(), Duration::from_secs(options.place.timeout)).await?;
        }
        let mut objects = vec![objects::deployment(&settings)];
        objects.extend(prometheus::server(namespace));
        objects.push(prometheus::config_map(namespace));
        objects.extend(prometheus::account(namespace));
        objects.extend(objects::account(&settings));
        cluster.delete(&objects).await
    })
}

fn run(work: impl Future<Output = Result<(), Trouble>>) -> ExitCode {
    // Only fails where there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => end(runtime.block_on(work)),
        Err(error) => end(Err(Trouble(NO_CLUSTER, format!("cannot start: {error}")))),
    }
}

fn end(result: Result<(), Trouble>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble(code, words)) => {
            eprintln!("error: {words}");
            ExitCode::from(code)
        }
    }
}

/// Everything that is to be in the cluster, in an order in which it can be applied.
fn manifests(options: &Options) -> Result<Vec<Value>, Trouble> {
    let settings = settings(options)?;
    let namespace = &options.place.namespace;
    let mut objects = objects::definitions();
    objects.push(objects::namespace(namespace));
    objects.extend(objects::account(&settings));
    if options.prometheus {
        objects.extend(prometheus::account(namespace));
        objects.push(prometheus::config_map(namespace));
        objects.extend(prometheus::server(namespace));
    }
    objects.push(objects::deployment(&settings));
    Ok(objects)
}

fn settings(options: &Options) -> Result<Settings, Trouble> {
    let namespace = &options.place.namespace;
    let leader_election = options.replicas > 1;
    let arguments = arguments(options, leader_election);
    check_arguments(&arguments)?;
    let mut providers = options.providers.clone();
    if !providers.is_empty() {
        providers.push(options.provider.clone());
    }
    let known = rules::names();
    for name in providers.iter().chain([&options.provider]) {
        if !known.contains(name) {
            return Err(Trouble(USAGE, format!("there is no provider {name:?}; there are {}", known.join(", "))));
        }
    }
    Ok(Settings {
        watched: options.watch_namespace.clone(),
        image: options.image.clone().unwrap_or_else(|| Settings::new(namespace).image),
        arguments,
        replicas: options.replicas,
        leader_election,
        choice: Choice { providers, no_leader_election: !leader_election, no_config_tracking: false },
        ..Settings::new(namespace)
    })
}

fn arguments(options: &Options, leader_election: bool) -> Vec<String> {
    let metrics_server = if options.prometheus { prometheus::url() } else { options.metrics_server.clone() };
    let mut arguments = vec![
        "-log-level=info".to_owned(),
        format!("-mesh-provider={}", options.provider),
        format!("-metrics-server={metrics_server}"),
    ];
    if !options.watch_namespace.is_empty() {
        arguments.push(format!("-namespace={}", options.watch_namespace));
    }
    if leader_election {
        arguments.push("-enable-leader-election=true".to_owned());
        arguments.push(format!("-leader-election-namespace={}", options.place.namespace));
    }
    arguments.extend(options.flags.iter().cloned());
    arguments
}

/// The controller's own command line reads them, so that a mistake shows here and not in a pod that does not start.
fn check_arguments(arguments: &[String]) -> Result<(), Trouble> {
    match flags::read("flagger", arguments, |_| None) {
        Start::Run { ignored, .. } if ignored.is_empty() => Ok(()),
        Start::Run { ignored, .. } => Err(Trouble(USAGE, format!("the controller would ignore {}", ignored.join(" ")))),
        Start::Print(_) => Err(Trouble(USAGE, "with this flag the controller would only print its version".to_owned())),
        Start::Leave { text, .. } => Err(Trouble(USAGE, text.lines().next().unwrap_or_default().to_owned())),
    }
}
