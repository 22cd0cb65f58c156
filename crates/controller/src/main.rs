//! The binary `flagger`: command line to runtime.
//!
//! Exit codes: 0 after `-version`, `-help` and a requested stop; 1 after anything fatal, lost leadership and a second signal; 2 after mistakes on the command
//! line and panics.

use controller::flags::{self, Options, Start};
use controller::startup::{self, Exit};
use program::clock::Clock;
use program::health;
use program::logging::{Encoding, Level, Logger};
use program::signals;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;
use tracing::{error, warn};

/// Its settings are in `.cargo/config.toml`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long tasks may take to notice that the process ends.
const FAREWELL: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_else(|| "flagger".to_owned());
    let arguments: Vec<String> = arguments.collect();
    if let Some(code) = health::asked(&arguments) {
        return code;
    }
    match flags::read(&program, &arguments, |name| std::env::var(name).ok()) {
        Start::Run { options, ignored } => start(*options, &ignored),
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

/// Logs, then runs.
fn start(options: Options, ignored: &[String]) -> ExitCode {
    let (level, known) = Level::named(&options.log_level);
    let logger = Encoding::named(&options.zap_encoding).and_then(|encoding| {
        let logger = Logger::new(level, encoding, Clock::System, std::io::stderr());
        tracing::subscriber::set_global_default(logger).map_err(|error| error.to_string())
    });
    if let Err(error) = logger {
        eprintln!("Error creating logger: {error}");
        return ExitCode::FAILURE;
    }
    std::panic::set_hook(Box::new(|panic| {
        // Half a process would look alive and do nothing: end, and be started again.
        error!(fatal = true, "{panic}");
        std::process::exit(2);
    }));
    if !known {
        warn!(
            "Unknown log level {:?}: info is meant; known are debug, info, warn, error, fatal, panic",
            options.log_level
        );
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
    let code = runtime.block_on(run(options));
    runtime.shutdown_timeout(FAREWELL);
    code
}

async fn run(options: Options) -> ExitCode {
    let stop = match signals::stop(|| {}) {
        Ok(stop) => stop,
        Err(error) => {
            error!(fatal = true, "Error installing signal handlers: {error}");
            return ExitCode::FAILURE;
        }
    };
    match startup::run(options, stop).await {
        Ok(Exit::Clean) => ExitCode::SUCCESS,
        Ok(Exit::LostLeadership) => ExitCode::FAILURE,
        Err(fatal) => {
            error!(fatal = true, "{fatal}");
            ExitCode::FAILURE
        }
    }
}
