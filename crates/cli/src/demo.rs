//! `kubectl-flagger demo`: a rollout that succeeds and one that fails, on this machine, under real requests.
//!
//! The lab plays the cluster, its data plane the mesh and its Prometheus; the controller's own runtime does the work and talks to the lab over HTTP as it would
//! to any cluster. [`stage`] sets that up, [`manifests`] is what a user would apply, [`story`] the course of events, [`screen`] what is shown of it, [`verdict`]
//! what is held against it at the end.

use clap::Args;
use screen::Screen;
use std::process::ExitCode;
use story::Ending;

mod loopback;
mod manifests;
mod mesh;
mod screen;
mod stage;
mod story;
mod verdict;

/// The command line cannot be followed; the number that clap uses.
const WRONG_USAGE: u8 = 2;
/// The story went otherwise.
const WRONG: u8 = 1;
/// The story could not begin.
const NOT_STARTED: u8 = 3;

/// How the demo is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Requests per second that users send.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(5..=500))]
    rate: u32,
    /// Weights of the canary, step by step, in percent. Every further one takes ten seconds more; the bad release gets no further than the first.
    #[arg(long, value_delimiter = ',', default_value = "30", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    steps: Vec<u8>,
    /// Who splits the traffic.
    #[arg(long, default_value = "istio", value_parser = clap::builder::PossibleValuesParser::new(mesh::Mesh::names()))]
    provider: String,
    /// No colours, also on a terminal. The environment variable `NO_COLOR` does the same.
    #[arg(long)]
    no_color: bool,
    /// The controller's log, on stderr.
    #[arg(long, short)]
    verbose: bool,
}

impl Options {
    /// What clap cannot check.
    fn check(&self) -> Result<(), &'static str> {
        if !self.steps.is_sorted_by(|one, next| one < next) {
            return Err("the weights of --steps must ascend, e.g. --steps 20,50");
        }
        // More of the bad release than that, and the users are no longer served as the demo promises.
        if self.steps.first().is_none_or(|first| *first > 50) {
            return Err("the first weight of --steps must be 50 at most");
        }
        Ok(())
    }
}

/// Runs the demo.
pub(crate) fn main(options: &Options) -> ExitCode {
    let mut screen = Screen::new(options.no_color);
    if let Err(why) = options.check() {
        Screen::failure(why);
        return ExitCode::from(WRONG_USAGE);
    }
    if options.verbose {
        stage::log_to_stderr();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            Screen::failure(&format!("cannot start threads: {error}"));
            return ExitCode::from(NOT_STARTED);
        }
    };
    let ending = runtime.block_on(story::tell(options, &mut screen));
    // Tasks that are still at it (connections, watches) end with the process; nobody needs to wait for them.
    runtime.shutdown_background();
    match ending {
        Ending::AsItShould => ExitCode::SUCCESS,
        Ending::Otherwise => ExitCode::from(WRONG),
        Ending::NotStarted(why) => {
            Screen::failure(&format!("the demo could not start: {why}"));
            screen.say("It needs nothing but free ports on 127.0.0.1. Run it again with --verbose to see the controller's log.");
            ExitCode::from(NOT_STARTED)
        }
    }
}
