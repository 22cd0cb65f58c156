//! The command line of the fuzzer.
//!
//! `--worker` is how it calls itself: reads inputs in this process and ends as [`fuzz::worker`] says.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use fuzz::supervise::{self, Plan, Report};
use fuzz::targets::{self, Inputs, TARGETS, Target};
use fuzz::worker::{self, Job};
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Throws broken input at everything that reads foreign bytes.
#[derive(Debug, Parser)]
struct Arguments {
    /// An input to read again; needs --target.
    file: Option<PathBuf>,
    /// Time for all targets together.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Inputs for each target at most, besides those that once failed and the valid ones.
    #[arg(long, default_value_t = u64::MAX)]
    inputs: u64,
    /// What all inputs follow from; at random where it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this target. May be given several times.
    #[arg(long)]
    target: Vec<String>,
    /// Lists the targets.
    #[arg(long)]
    list: bool,
    /// Where failing inputs are written.
    #[arg(long, default_value = "target/fuzz")]
    out: PathBuf,
    #[arg(long, hide = true)]
    worker: bool,
    #[arg(long, hide = true)]
    progress: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.list {
        for target in TARGETS {
            println!("{:<18} {}", target.name, target.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = arguments.target.iter().map(|name| named(name)).collect::<Result<Vec<_>>>()?;
    if arguments.worker {
        let [target] = chosen.as_slice() else { bail!("--worker needs one --target") };
        worker::work(target, job(&arguments, target)?);
    }
    match (&arguments.file, chosen.as_slice()) {
        (Some(file), [target]) => again(target, file),
        (Some(_), _) => bail!("say with --target NAME what is to read the file; --list lists the names"),
        (None, []) => all(&arguments, TARGETS.iter().collect()),
        (None, _) => all(&arguments, chosen),
    }
}

fn named(name: &str) -> Result<&'static Target> {
    targets::find(name).with_context(|| format!("there is no target `{name}`; --list lists the names"))
}

fn job(arguments: &Arguments, target: &'static Target) -> Result<Job> {
    Ok(match &arguments.file {
        Some(file) => Job::One(std::fs::read(file).with_context(|| format!("reading {}", file.display()))?),
        None => Job::Many {
            inputs: Box::new(Inputs::new(target, arguments.seed.unwrap_or_default(), supervise::corpus(target))),
            from: 0,
            until: arguments.inputs,
            time: time(arguments)?,
            progress: arguments.progress.clone().unwrap_or_default(),
        },
    })
}

fn time(arguments: &Arguments) -> Result<Duration> {
    Duration::try_from_secs_f64(arguments.seconds).context("--seconds must be a time, e.g. 60")
}

fn again(target: &Target, file: &std::path::Path) -> Result<ExitCode> {
    let (kind, said) = supervise::replay(target, file)?;
    let Some(kind) = kind else {
        println!("{}: {} is read without failure", target.name, file.display());
        return Ok(ExitCode::SUCCESS);
    };
    println!("{}: {} fails: {kind:?}: {said}", target.name, file.display());
    Ok(ExitCode::FAILURE)
}

fn all(arguments: &Arguments, targets: Vec<&'static Target>) -> Result<ExitCode> {
    // A new seed each time: over many runs more is tried.
    let seed = arguments.seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()) >> 16);
    println!("seed {seed}");
    let plan = Plan { targets, seed, time: time(arguments)?, inputs: arguments.inputs, out: arguments.out.clone() };
    println!("{:<18} {:>10} {:>10} {:>6} {:>11}", "target", "inputs", "a second", "read", "longest");
    let reports = supervise::run(&plan, tell)?;
    let (inputs, failed) = (
        reports.iter().map(|report| report.tally.inputs).sum::<u64>(),
        reports.iter().any(|report| report.failure.is_some()),
    );
    println!("{inputs} inputs in all");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn tell(report: &Report) {
    let (tally, name) = (report.tally, report.target.name);
    if let Some(failure) = &report.failure {
        let file = failure.file.display();
        println!(
            "{name} FAILS: {:?}: {}\n  repeat: cargo run -p fuzz -- --target {name} {file}",
            failure.kind, failure.text
        );
        return;
    }
    let a_second = u128::from(tally.inputs) * 1_000_000 / u128::from(tally.total_us.max(1));
    let read = tally.read * 100 / tally.inputs.max(1);
    println!("{name:<18} {:>10} {a_second:>10} {read:>5}% {:>8} us", tally.inputs, tally.longest_us);
}
