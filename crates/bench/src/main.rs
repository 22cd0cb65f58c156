//! The binary `bench`: what a controller costs with N Canaries, on the lab or on a real API server, and how soon it reacts.
//!
//! Starts the controller as a process of its own, lets it live through a day of N services (created, idle, one released, all released, restarted), and prints
//! one table: requests by verb and per Canary, CPU seconds, resident memory, delays. With `--reference BIN` the same is done with another controller, one
//! after the other, and the ratios are printed. Figures are figures: nothing here passes or fails.

mod cluster;
mod day;
mod load;
mod nodes;
mod process;
mod prometheus;
mod report;
mod seen;

use anyhow::Context as _;
use clap::Parser;
use cluster::Stage;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures what a controller costs with N Canaries.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", version)]
struct Options {
    /// How many Canaries; several numbers are measured one after the other.
    #[arg(short = 'n', long, value_delimiter = ',', default_value = "1000")]
    canaries: Vec<usize>,
    /// The controller; default: `flagger` beside this program.
    #[arg(long)]
    flagger: Option<PathBuf>,
    /// Another controller that takes the same flags, to compare with.
    #[arg(long)]
    reference: Option<PathBuf>,
    /// A further flag for the controller (may be repeated).
    #[arg(long, allow_hyphen_values = true)]
    flag: Vec<String>,
    /// An API server to measure on, as its administrator; default: a lab in this process. It must have the Canary and Istio kinds, and be empty: the namespaces
    /// `bench-*` are created and deleted.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// With whose rights the controller talks to that API server; default: the administrator's.
    #[arg(long, requires = "kubeconfig")]
    controller_kubeconfig: Option<PathBuf>,
    /// The API server's audit log of the controller's requests (JSON lines); without it they are not counted.
    #[arg(long, requires = "kubeconfig")]
    audit_log: Option<PathBuf>,
    /// The API server's process, to measure its CPU.
    #[arg(long, requires = "kubeconfig")]
    server_pid: Option<u32>,
    /// Makes the Deployments ready by itself: for an API server without controller manager and nodes. Nothing is cleaned up there.
    #[arg(long, requires = "kubeconfig")]
    play_nodes: bool,
    /// Seconds that the idle controller is looked at.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// How many single releases the detection delay is taken from.
    #[arg(long, default_value_t = 20)]
    releases: usize,
    /// The analysis interval, in seconds.
    #[arg(long, default_value_t = 10)]
    interval: u64,
    /// Writes the figures as JSON to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Shows the controller's log.
    #[arg(long)]
    log: bool,
}

fn main() -> ExitCode {
    // An error says that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options::parse();
    let outcome = tokio::runtime::Runtime::new().context("threads").and_then(|runtime| runtime.block_on(run(&options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let own = match &options.flagger {
        Some(path) => path.clone(),
        None => std::env::current_exe().context("where this program is")?.with_file_name("flagger"),
    };
    let mut reports = Vec::new();
    for &canaries in &options.canaries {
        let mut columns = Vec::new();
        for (title, binary) in [("flagger", Some(&own)), ("reference", options.reference.as_ref())] {
            let Some(binary) = binary else { continue };
            eprintln!("bench: {canaries} Canaries, {title}: {}", binary.display());
            let stage = Stage::new(options).await?;
            columns.push((title.to_owned(), day::live(options, &stage, binary, canaries).await?));
            stage.clean().await?;
        }
        println!("{}", report::table(canaries, options, &columns));
        reports.push(report::json(canaries, &columns));
    }
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::Value::Array(reports).to_string()).context(path.display().to_string())?;
    }
    Ok(())
}
