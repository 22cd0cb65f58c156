//! `rehearse`: a user's own manifests through a whole release, in this process and in simulated time.
//!
//! The project's operator runs on the lab over the objects of the manifests; the network is a table of made-up answers. Nothing leaves this process but a
//! call of `kubectl kustomize` where a folder asks for it. What is told is documented in docs/rehearse.md.

mod answers;
mod changes;
mod definitions;
mod input;
mod net;
mod refusal;
mod release;
mod report;
mod role;
mod samples;
mod stage;
mod tape;
mod text;
mod traffic;
mod watch;

use answers::Named;
use clap::{Args, ValueEnum};
use report::Report;
use stage::{Rules, Stage};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// At the end of the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  A release that goes well:
    kubectl flagger rehearse -f deploy/
  Another image; a metric that is fine for two minutes and bad from then on:
    kubectl flagger rehearse -f deploy/ --set-image web=registry.example/web:2.0 --metric latency=2m:200,1h:900
  A hook that fails once; a gate that opens after ten minutes:
    kubectl flagger rehearse -f deploy/ --hook smoke-test=500,200 --hook approval=10m:403,1s:200
  New pods that never become ready:
    kubectl flagger rehearse -f deploy/ --never-ready
  What kustomize or helm makes, for machines:
    helm template shop ./chart | kubectl flagger rehearse -f - -n shop -o json";

/// The command line.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// File or folder with manifests (YAML or JSON), or `-` for standard input; several times.
    ///
    /// Folders are read with their sub-folders; one with a kustomization.yaml is built with `kubectl kustomize`.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-", required = true)]
    files: Vec<PathBuf>,
    /// The image that is released; several times for several containers. Default: the present one with the tag `rehearsal`.
    #[arg(long, value_name = "[CONTAINER=]IMAGE", value_parser = set_image)]
    set_image: Vec<SetImage>,
    /// What a metric answers: one value for each check, the last one stays; or a series over time, such as `60s:99,30s:40`.
    ///
    /// NAME is the metric's name in the Canary, or that of its template. `none` is an answer without data.
    /// Metrics that are not named answer what passes.
    #[arg(long = "metric", value_name = "NAME=VALUE[,VALUE...]", value_parser = answers::metric)]
    metrics: Vec<Named<Option<f64>>>,
    /// What a hook answers: an HTTP status for each call, the last one stays; or a series over time.
    ///
    /// Default: 200, and 403 for hooks of type rollback, which then do not roll back.
    #[arg(long = "hook", value_name = "NAME=CODE[,CODE...]", value_parser = answers::hook)]
    hooks: Vec<Named<u16>>,
    /// Rehearse only this Canary (NAME or NAME.NAMESPACE). Default: all of them.
    #[arg(long, value_name = "NAME")]
    canary: Option<String>,
    /// Provider of Canaries that name none, as the controller's flag -mesh-provider. Default: istio.
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Namespace of objects that name none.
    #[arg(short = 'n', long, default_value = "default")]
    namespace: String,
    /// How long pods take to become ready.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = answers::duration)]
    ready_after: Duration,
    /// Pods of the new image never become ready.
    #[arg(long)]
    never_ready: bool,
    /// How long, in simulated time, the initialisation and the release may take each. Default: twice what the spec can take.
    #[arg(long, value_name = "DURATION", value_parser = answers::duration)]
    until: Option<Duration>,
    /// Stop when the primary serves; there is no release.
    #[arg(long)]
    initialize_only: bool,
    /// Let real time pass, and tell everything when it happens.
    #[arg(long)]
    real_time: bool,
    /// Leave a rule of `validate` out, by the name that its findings end with; several times.
    #[arg(long, value_name = "RULE")]
    skip: Vec<String>,
    /// How the result is written.
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    output: Output,
}

/// See [`Options::output`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON document (docs/rehearse.md).
    Json,
}

/// An image and the container that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SetImage {
    container: Option<String>,
    image: String,
}

fn set_image(text: &str) -> Result<SetImage, String> {
    let (container, image) = match text.split_once('=') {
        Some((container, image)) => (Some(container.to_owned()), image),
        None => (None, text),
    };
    if image.is_empty() || container.as_deref() == Some("") {
        return Err("write IMAGE or CONTAINER=IMAGE, such as web=registry.example/web:2.0".to_owned());
    }
    Ok(SetImage { container, image: image.to_owned() })
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = match builder.enable_time().start_paused(!options.real_time).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the rehearsal cannot start: {error}");
            return ExitCode::from(3);
        }
    };
    match runtime.block_on(rehearse(options)) {
        Ok(report) => {
            tell(options, &report);
            ExitCode::from(u8::from(!report.outcome.is_good()))
        }
        Err(Refusal::Input(problems)) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            ExitCode::from(2)
        }
        Err(Refusal::Start(why)) => {
            eprintln!("the rehearsal cannot start: {why}");
            ExitCode::from(3)
        }
    }
}

/// Why there is no rehearsal.
enum Refusal {
    Input(Vec<crate::manifests::Problem>),
    Start(String),
}

async fn rehearse(options: &Options) -> Result<Report, Refusal> {
    let manifests = input::manifests(options).map_err(Refusal::Input)?;
    let input = input::set(options, &manifests).map_err(Refusal::Input)?;
    let rules = Rules {
        ready_after: options.ready_after,
        never_ready: options.never_ready,
        until: options
            .until
            .unwrap_or_else(|| input.roles.iter().map(|role| role.patience()).max().unwrap_or_default()),
        initialize_only: options.initialize_only,
    };
    let stage = Stage::new(input.lab, input.roles);
    let mut told = 0;
    let live = options.real_time && options.output == Output::Text;
    let tell = |stage: &Stage| {
        if live {
            for entry in stage.tape.since(told) {
                told += 1;
                say(&text::live(&entry));
            }
        }
    };
    let captures = stage.play(&rules, &input.settings, &input.releases, tell).await.map_err(Refusal::Start)?;
    Ok(Report::new(&stage, &input.releases, &captures, input.notes))
}

fn tell(options: &Options, report: &Report) {
    match options.output {
        Output::Text => say(&text::render(report, options.real_time)),
        Output::Json => match serde_json::to_string_pretty(report) {
            Ok(text) => say(&format!("{text}\n")),
            Err(error) => eprintln!("the report cannot be written: {error}"),
        },
    }
}

/// Stdout, as far as it listens.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
