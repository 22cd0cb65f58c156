//! The binary `loadtester`: command line to a running server, or one of the load generators if it is called by their names.
//!
//! Exit codes: 0 after `-version`, `-help` and a requested stop; 1 after anything fatal and a second signal; 2 after mistakes on the command line.

use loadtester::flags::{self, Options};
use loadtester::generators::{self, Links};
use loadtester::process::{self, Processes};
use loadtester::startup;
use program::health;
use program::launch::{self, Log};
use program::signals;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};

/// Orphans are buried together with those that die soon after.
const WAKE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_else(|| "loadtester".to_owned());
    let arguments: Vec<String> = arguments.collect();
    if let Some((command, arguments)) = generators::called(&program, &arguments) {
        return u8::try_from(load::run(command, &arguments)).map_or(ExitCode::FAILURE, ExitCode::from);
    }
    if let Some(code) = health::asked(&arguments) {
        return code;
    }
    launch::launch(flags::read(&program, &arguments), |options, ignored| start(&options, ignored))
}

fn start(options: &Options, ignored: &[String]) -> ExitCode {
    let levels = "debug, info, warning, error, fatal, panic";
    // One request that goes wrong is no reason to end all others.
    let on_panic = |panic: &PanicHookInfo<'_>| error!("{panic}");
    launch::work(
        Log { level: &options.log_level, levels, encoding: &options.zap_encoding, on_panic },
        ignored,
        run(options),
    )
}

async fn run(options: &Options) -> ExitCode {
    let (links, path, prelude) = generators();
    let links = Arc::new(links);
    let processes = Arc::new(Processes::new(path));
    let farewell = {
        let (processes, links) = (Arc::clone(&processes), Arc::clone(&links));
        move || {
            processes.kill_everything();
            if let Some(links) = links.as_ref() {
                links.remove();
            }
        }
    };
    let stop = match signals::stop(farewell) {
        Ok(stop) => stop,
        Err(error) => {
            error!(fatal = true, "Error installing signal handlers: {error}");
            return ExitCode::FAILURE;
        }
    };
    process::adopt_orphans();
    tokio::spawn(bury(Arc::clone(&processes)));
    let ended = startup::run(options, Arc::clone(&processes), prelude.into(), stop).await;
    processes.kill_everything();
    // The task that waits for a second signal holds it as well, and is not dropped in any order that could be relied on.
    if let Some(links) = links.as_ref() {
        links.remove();
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            error!(fatal = true, "{fatal}");
            ExitCode::from(fatal.code)
        }
    }
}

/// Makes our own load generators known to commands: links, if there is a place for them, and the `PATH` of commands; else functions for shells.
fn generators() -> (Option<Links>, String, String) {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            warn!("Only load generators that are installed can be used: {error}");
            return (None, path, String::new());
        }
    };
    match Links::new(&generators::places(), &program) {
        Ok(links) => {
            let path = format!("{}:{path}", links.folder().display());
            (Some(links), path, String::new())
        }
        Err(error) => {
            warn!("The commands hey and ghz are there in shells alone, there is no place for links to them: {error}");
            (None, path, generators::functions(&program))
        }
    }
}

/// Buries adopted orphans when somebody has died.
async fn bury(processes: Arc<Processes>) {
    let mut deaths = match signal(SignalKind::child()) {
        Ok(deaths) => deaths,
        Err(error) => {
            warn!("Orphans that have ended will remain as zombies: {error}");
            return;
        }
    };
    while deaths.recv().await.is_some() {
        tokio::time::sleep(WAKE).await;
        let processes = Arc::clone(&processes);
        let _ = tokio::task::spawn_blocking(move || processes.bury()).await;
    }
}
