//! `kubectl-flagger lab`: a Kubernetes API on this machine, to use by hand with kubectl, or with any controller.
//!
//! [`serve`] sets it up and keeps it running until a signal comes, [`manifests`] reads what it is to begin with, [`kubeconfig`] tells clients where it is.
//! `docs/lab.md` says what such a lab is and what it is not.

use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

mod kubeconfig;
mod manifests;
mod serve;

/// The lab could not start.
const NOT_STARTED: u8 = 3;

/// How the lab is served.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Port on 127.0.0.1; 0: the system picks one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where to write the kubeconfig; by default a file in the directory for temporary files. It is removed when the lab ends. A file that no lab has written is
    /// not touched.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Manifests (YAML or JSON) to begin with: a file, a folder, a folder with a kustomization, or `-` for standard input. May be given several times.
    #[arg(long = "filename", short, value_name = "FILE|DIR")]
    filenames: Vec<PathBuf>,
    /// Runs this project's controller on the lab, in this process and in real time; its log goes to stderr.
    #[arg(long)]
    controller: bool,
    /// Who splits the traffic of Canaries that do not say it themselves (`-mesh-provider` of the controller).
    #[arg(long, default_value = "istio", requires = "controller")]
    provider: String,
    /// The Prometheus that the controller asks; by default the lab's own, which knows the requests that went through the lab's gateway.
    #[arg(long, value_name = "URL", requires = "controller")]
    metrics_server: Option<String>,
    /// How long a simulated pod takes to become ready, in seconds; the annotation `sim/ready-after` of a pod template says it for one workload.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    ready_after: Duration,
    /// Runs this command with `KUBECONFIG` set, and ends with its exit code as soon as it ends.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds, e.g. 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Serves the lab until SIGINT or SIGTERM, or until the command ends.
pub(crate) fn main(options: &Options) -> ExitCode {
    let failed = |why: &str| {
        eprintln!("error: {why}");
        ExitCode::from(NOT_STARTED)
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start threads: {error}")),
    };
    let ending = runtime.block_on(serve::serve(options));
    // Connections and watches end with the process.
    runtime.shutdown_background();
    match ending {
        Ok(code) => ExitCode::from(code),
        Err(why) => failed(&why),
    }
}
