//! From the command line to a running load tester, and to its end.
//!
//! Source: load tester notes, section 1.2.

use crate::api::{Api, Parts};
use crate::flags::{Options, VERSION};
use crate::process::{GRACE, Processes};
use crate::runner::Runner;
use crate::tasks::Tools;
use crate::telemetry::Telemetry;
use program::outbound::{self, Outbound};
use program::server::{self, Limits};
use regex::Regex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// A request may take as long as its task. When the program stops, requests have a minute.
const LIMITS: Limits = Limits {
    silence: Duration::from_secs(60),
    lifetime: None,
    last_request: Duration::from_secs(3600),
    grace: Duration::from_secs(60),
};
/// How long tasks may take that were told to end: a grace, a kill, last words.
const FAREWELL: Duration = Duration::from_secs(GRACE.as_secs() + 5);

/// What ends the process early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fatal {
    /// For the log.
    pub text: String,
    /// The exit code.
    pub code: u8,
}

impl Fatal {
    fn new(text: String, code: u8) -> Self {
        Self { text, code }
    }
}

/// Runs until `stop` becomes true or something fatal happens. Afterwards no task runs any more.
pub async fn run(
    options: &Options,
    processes: Arc<Processes>,
    prelude: Arc<str>,
    stop: watch::Receiver<bool>,
) -> Result<(), Fatal> {
    let limit = options.timeout.to_std();
    let telemetry = Telemetry::new().map_err(|error| Fatal::new(format!("Error registering metrics: {error}"), 1))?;
    let telemetry = Arc::new(telemetry);
    let outbound: Arc<dyn Outbound> = Arc::new(outbound::Client::default());
    let tools = Tools { processes, outbound, prelude };
    let runner = Runner::new(tools.clone(), Arc::clone(&telemetry), limit, stop.clone());
    let listener = server::bind(&options.port).await;
    let port = listener.as_ref().ok().and_then(|listener| listener.local_addr().ok()).map(|address| address.port());
    let port = port.map_or_else(|| options.port.clone(), |port| port.to_string());
    info!("Starting load tester v{VERSION} API on port {port}");
    let namespaces = match options.namespace_regexp.as_str() {
        "" => None,
        pattern => Some(Regex::new(pattern).map_err(|error| {
            Fatal::new(format!("namespace-regexp {pattern:?} is no regular expression: {error}"), 2)
        })?),
    };
    let listener = listener.map_err(|error| Fatal::new(format!("HTTP server crashed {error}"), 1))?;
    let looking = tokio::spawn({
        let runner = runner.clone();
        async move { runner.run().await }
    });
    let (end, ended) = watch::channel(false);
    let api = Api::new(Parts { namespaces, runner: runner.clone(), tools, telemetry, limit, stop: ended });
    server::serve(listener, api.clone(), LIMITS, stop).await;
    // Whoever still waits for a task has waited long enough.
    end.send_replace(true);
    let _ = looking.await;
    let idle = async { tokio::join!(runner.idle(), api.idle()) };
    if tokio::time::timeout(FAREWELL, idle).await.is_err() {
        warn!("Some tasks did not end although they were killed");
    }
    Ok(())
}
