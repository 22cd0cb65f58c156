//! Load generators: the commands `hey` (HTTP) and `ghz` (gRPC) with the flags and summaries of the tools of these names.
//!
//! [`run`] is a whole program: it reads arguments, sends requests, prints a summary, and says how it ended. At a fixed rate latency counts from the time at
//! which a request was due, not from when there was room for it, so that a server that stalls is seen to stall.
//! Touches the network, stdout, stderr, files named in arguments, and SIGINT and SIGTERM, which end a run with the summary so far. What differs from the tools:
//! docs/load-generator.md.
//! Source: what the tools print, and their documentation: <https://github.com/rakyll/hey#usage>, <https://ghz.sh/docs/options>.

mod engine;
mod ghz;
mod hey;
mod http;
mod net;
mod pace;
mod record;
mod tls;

use std::io::Write as _;
use tokio::sync::watch;

/// The commands that [`run`] answers to.
pub const COMMANDS: &[&str] = &["hey", "ghz"];

/// What a command has to say at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// The exit code: 0 when load was sent, whatever the answers were; else that of the tool for bad arguments.
    pub code: i32,
    /// For stdout: a summary or a listing.
    pub out: String,
    /// For stderr: what is wrong.
    pub err: String,
}

/// Runs one of [`COMMANDS`] with the arguments that follow its name, to its end, prints what it has to say, and returns its exit code (see [`Finished`]).
/// Blocks; makes runtimes of its own, so it must not be called from within one.
pub fn run(command: &str, args: &[String]) -> i32 {
    let finished = capture(command, args);
    // Nobody may be reading any more, which is no reason to fail.
    let _ = std::io::stderr().write_all(finished.err.as_bytes());
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(finished.out.as_bytes()).and_then(|()| out.flush());
    finished.code
}

/// As [`run`], but prints nothing.
pub fn capture(command: &str, args: &[String]) -> Finished {
    match command {
        "hey" => hey::main(args),
        "ghz" => ghz::main(args),
        other => Finished::wrong(2, &format!("{other}: not a load generator; there are {}", COMMANDS.join(" and "))),
    }
}

impl Finished {
    fn good(out: String) -> Self {
        Self { out, ..Self::default() }
    }

    fn wrong(code: i32, message: &str) -> Self {
        Self { code, err: format!("{message}\n"), ..Self::default() }
    }
}

/// Does `work` while SIGINT and SIGTERM are watched; each turns the switch that the work looks at.
fn with_signals<T>(work: impl FnOnce(&watch::Receiver<bool>) -> T + Send) -> anyhow::Result<T>
where
    T: Send,
{
    let (stop, stopped) = watch::channel(false);
    let runtime = engine::runtime()?;
    let watching = runtime.block_on(async { signals() })?;
    let (done, finished) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let result = work(&stopped);
            drop(done);
            result
        });
        runtime.block_on(async {
            tokio::select! {
                () = watching => drop(stop.send(true)),
                _ = finished => {}
            }
        });
        worker.join().map_err(|_| anyhow::anyhow!("the load generator ended early"))
    })
}

/// Waits for a signal that asks for the end.
fn signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A bar of a histogram: as long as this count is beside the greatest.
fn bar(count: u64, greatest: u64, mark: &str) -> String {
    let length =
        if greatest == 0 { 0 } else { (u128::from(count) * 40 + u128::from(greatest) / 2) / u128::from(greatest) };
    mark.repeat(usize::try_from(length).unwrap_or(40))
}

/// The percentages of every latency distribution.
const PERCENTAGES: [u8; 7] = [10, 25, 50, 75, 90, 95, 99];

/// The line about requests that were not sent in time; nothing when all were.
fn late_line(report: &engine::Report) -> Option<String> {
    let (late, unsent) = (report.seen.late, report.unsent);
    if !report.paced || late + unsent == 0 {
        return None;
    }
    let limit = pace::LATE.as_millis();
    Some(format!(
        "Late: {late} of {} requests were sent more than {limit} ms after their time, {unsent} more were due and not sent",
        report.seen.sent
    ))
}
