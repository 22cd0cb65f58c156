//! From a command line that was read to a program that runs: what the `main` of each of ours does alike.

use crate::clock::Clock;
use crate::goflag::{self, Flag, FlagError};
use crate::logging::{Encoding, Level, Logger};
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::time::Duration;
use tracing::{error, warn};

/// How long tasks may take to notice that the process ends.
const FAREWELL: Duration = Duration::from_millis(100);

/// What to do after the command line was read.
#[derive(Debug)]
pub enum Start<Options> {
    /// Run with these options.
    Run {
        /// What was asked for.
        options: Box<Options>,
        /// Arguments after the first positional one, which had no effect.
        ignored: Vec<String>,
    },
    /// Print this on stdout and exit with 0.
    Print(String),
    /// Print this on stderr and exit with the code: 0 for help, 2 for a mistake.
    Leave {
        /// A message or the usage text, or both; ends with a line break.
        text: String,
        /// The exit code.
        code: u8,
    },
}

/// Reads flags; help and mistakes are a [`Start::Leave`] with the usage.
pub fn read<Options: Default>(program: &str, arguments: &[String], flags: &[Flag<Options>]) -> Start<Options> {
    let mut options = Options::default();
    match goflag::parse(flags, arguments, &mut options) {
        Ok(ignored) => Start::Run { options: Box::new(options), ignored },
        Err(FlagError::Help) => Start::Leave { text: goflag::usage(program, flags), code: 0 },
        Err(error) => Start::Leave { text: format!("{error}\n{}", goflag::usage(program, flags)), code: 2 },
    }
}

/// Does what was read: `run`, or prints and leaves.
pub fn launch<Options>(start: Start<Options>, run: impl FnOnce(Options, &[String]) -> ExitCode) -> ExitCode {
    match start {
        Start::Run { options, ignored } => run(*options, &ignored),
        Start::Print(text) => {
            // Nobody listens to a complaint about stdout.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Start::Leave { text, code } => {
            eprint!("{text}");
            ExitCode::from(code)
        }
    }
}

/// How a program logs.
#[derive(Debug, Clone, Copy)]
pub struct Log<'a> {
    /// As on the command line.
    pub level: &'a str,
    /// The levels that its help names.
    pub levels: &'static str,
    /// As on the command line.
    pub encoding: &'a str,
    /// What happens when a thread panics.
    pub on_panic: fn(&PanicHookInfo<'_>),
}

/// Logs, then does `work` to its end, on a runtime of its own. `ignored`: arguments without effect, told in the log.
pub fn work(log: Log<'_>, ignored: &[String], work: impl Future<Output = ExitCode>) -> ExitCode {
    let (level, known) = Level::named(log.level);
    let logger = Encoding::named(log.encoding).and_then(|encoding| {
        let logger = Logger::new(level, encoding, Clock::System, std::io::stderr());
        tracing::subscriber::set_global_default(logger).map_err(|error| error.to_string())
    });
    if let Err(error) = logger {
        eprintln!("Error creating logger: {error}");
        return ExitCode::FAILURE;
    }
    std::panic::set_hook(Box::new(log.on_panic));
    if !known {
        warn!("Unknown log level {:?}: info is meant; known are {}", log.level, log.levels);
    }
    if !ignored.is_empty() {
        warn!("Arguments after the first that is no flag are ignored: {}", ignored.join(" "));
    }
    // An error says that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(fatal = true, "Error starting threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(work);
    runtime.shutdown_timeout(FAREWELL);
    code
}
