//! Starts a process for each target, as many at a time as there are processors, and finds out what they died of.
//!
//! A failing input is made again from its number, shrunk, and written to a file. The others go on: one failure hides no other.

use crate::shrink::shrink;
use crate::targets::{Inputs, Target};
use crate::worker::{Kind, Tally};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often a failing input is tried in a smaller form, and how long at most.
const TRIALS: usize = 3000;
const SHRINKING: Duration = Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 20 });

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The targets.
    pub targets: Vec<&'static Target>,
    /// The seed of all inputs.
    pub seed: u64,
    /// Time for all targets together.
    pub time: Duration,
    /// Inputs for each target at most, besides the kept ones.
    pub inputs: u64,
    /// Where failing inputs are written.
    pub out: PathBuf,
}

/// A failing input.
#[derive(Debug)]
pub struct Failure {
    /// How it fails.
    pub kind: Kind,
    /// What it says.
    pub text: String,
    /// The file with the shrunk input.
    pub file: PathBuf,
}

/// What came of one target.
#[derive(Debug)]
pub struct Report {
    /// The target.
    pub target: &'static Target,
    /// What was read before the failure, if there was one: nothing is counted then.
    pub tally: Tally,
    /// The first failure.
    pub failure: Option<Failure>,
}

/// Runs all targets and tells each as it ends. The reports are in the order of the targets.
pub fn run(plan: &Plan, tell: impl Fn(&Report) + Sync) -> Result<Vec<Report>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(plan.targets.len()).max(1);
    let share =
        plan.time.mul_f64(f64::from(u32::try_from(workers)?) / f64::from(u32::try_from(plan.targets.len().max(1))?));
    let next = Mutex::new(plan.targets.iter());
    let one_after_the_other = || -> Result<Vec<Report>> {
        let mut reports = Vec::new();
        loop {
            let target = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(target) = target else { return Ok(reports) };
            let report = fuzz(plan, target, share)?;
            tell(&report);
            reports.push(report);
        }
    };
    let mut reports: Vec<Report> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(one_after_the_other)).collect();
        let joined =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread broke off")));
        joined.collect::<Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect();
    reports.sort_by_key(|report| report.target.name);
    Ok(reports)
}

/// The inputs that once failed a target, in the order of their names.
pub fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| fs::read(file).ok()).collect()
}

fn fuzz(plan: &Plan, target: &'static Target, share: Duration) -> Result<Report> {
    fs::create_dir_all(&plan.out).with_context(|| format!("creating {}", plan.out.display()))?;
    let progress = plan.out.join(format!("{}.{}.progress", target.name, std::process::id()));
    let inputs = Inputs::new(target, plan.seed, corpus(target));
    let until = inputs.kept().saturating_add(plan.inputs);
    let mut command = worker(target)?;
    command.args(["--seed", &plan.seed.to_string(), "--inputs", &until.to_string()]);
    command.args(["--seconds", &share.as_secs_f64().to_string()]).arg("--progress").arg(&progress);
    let output = command.output().context("starting a process for the inputs")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = fs::read(&progress).ok().and_then(|bytes| Some(u64::from_le_bytes(*bytes.first_chunk()?)));
    drop(fs::remove_file(&progress));
    let failure = match Kind::of(output.status.code()) {
        None => None,
        Some(kind) => {
            let number =
                number.with_context(|| format!("{}: broke off before the first input: {said}", target.name))?;
            let text =
                if kind == Kind::Crash { String::from_utf8_lossy(&output.stderr).into_owned() } else { said.clone() };
            Some(found(plan, target, kind, text.trim(), &inputs.get(number))?)
        }
    };
    Ok(Report { target, tally: Tally::parse(&said), failure })
}

/// Shrinks a failing input and writes it.
fn found(plan: &Plan, target: &'static Target, kind: Kind, text: &str, input: &[u8]) -> Result<Failure> {
    let trial = plan.out.join(format!("{}.{}.trial", target.name, std::process::id()));
    let begin = Instant::now();
    let fails = |candidate: &[u8]| {
        begin.elapsed() < SHRINKING
            && fs::write(&trial, candidate).is_ok()
            && replay(target, &trial).is_ok_and(|failed| failed.0 == Some(kind))
    };
    let shrunk = shrink(input, TRIALS, fails);
    drop(fs::remove_file(&trial));
    let name = shrunk
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let file = plan.out.join(format!("{}-{:08x}", target.name, name >> 32));
    fs::write(&file, shrunk).with_context(|| format!("writing {}", file.display()))?;
    // The shrunk input may say something else than the first one did.
    let again = replay(target, &file).ok().filter(|(again, said)| *again == Some(kind) && !said.is_empty());
    Ok(Failure { kind, text: again.map_or_else(|| text.to_owned(), |(_, said)| said), file })
}

/// Reads one file in a process of its own: how it failed, if it did, and what was said.
pub fn replay(target: &Target, file: &Path) -> Result<(Option<Kind>, String)> {
    let output = worker(target)?.arg(file).output().context("starting a process for the input")?;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok((Kind::of(output.status.code()), String::from_utf8_lossy(&said).trim().to_owned()))
}

fn worker(target: &Target) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.args(["--worker", "--target", target.name]).env("RUST_BACKTRACE", "0");
    Ok(command)
}
