//! The binary `flagger`: command line to runtime.
//!
//! Exit codes: 0 after `-version`, `-help` and a requested stop; 1 after anything fatal, lost leadership and a second signal; 2 after mistakes on the command
//! line and panics.

use controller::flags::{self, Options};
use controller::startup::{self, Exit};
use program::health;
use program::launch::{self, Log};
use program::signals;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use tracing::error;

/// Its settings are in `.cargo/config.toml`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_else(|| "flagger".to_owned());
    let arguments: Vec<String> = arguments.collect();
    if let Some(code) = health::asked(&arguments) {
        return code;
    }
    launch::launch(flags::read(&program, &arguments, |name| std::env::var(name).ok()), start)
}

fn start(options: Options, ignored: &[String]) -> ExitCode {
    let (level, encoding) = (options.log_level.clone(), options.zap_encoding.clone());
    let levels = "debug, info, warn, error, fatal, panic";
    launch::work(Log { level: &level, levels, encoding: &encoding, on_panic: end }, ignored, run(options))
}

/// Half a process would look alive and do nothing: end, and be started again.
fn end(panic: &PanicHookInfo<'_>) {
    error!(fatal = true, "{panic}");
    std::process::exit(2);
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
