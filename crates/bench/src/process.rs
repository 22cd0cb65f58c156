//! The controller as a process: started, asked for its health, measured by what the kernel says about it, ended.

use anyhow::{Context as _, bail};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// Clock ticks a second in `/proc`; fixed for user space on Linux.
const TICKS: f64 = 100.0;
/// How long a controller may take to serve.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running controller. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Controller {
    command: Command,
    child: Child,
    pid: u32,
    port: u16,
    started: Instant,
}

impl Controller {
    /// Starts the binary with these flags and a port for its HTTP server.
    pub(crate) fn start(binary: &Path, flags: &[String], log: bool) -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new(binary);
        let out = || if log { Stdio::inherit() } else { Stdio::null() };
        command.args(flags).arg(format!("-port={port}")).stdout(out()).stderr(out()).kill_on_drop(true);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let pid = child.id().context("the controller ended at once")?;
        Ok(Self { command, child, pid, port, started })
    }

    /// Starts the same again, after [`Controller::stop`].
    pub(crate) fn start_again(&mut self) -> anyhow::Result<()> {
        self.started = Instant::now();
        self.child = self.command.spawn().context("starting the controller again")?;
        self.pid = self.child.id().context("the controller ended at once")?;
        Ok(())
    }

    /// Waits until it serves HTTP; how long that took since it was started.
    pub(crate) async fn serves(&mut self) -> anyhow::Result<Duration> {
        while self.started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("the controller ended: {status} (see its log with --log)");
            }
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return Ok(self.started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the controller does not serve after {PATIENCE:?}")
    }

    /// Seconds since it was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Its CPU time so far, in seconds.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        cpu(self.pid)
    }

    /// Its resident memory now and at its peak, in MiB.
    pub(crate) fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let mib = |name: &str| -> Option<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / 1024.0)
        };
        mib("VmRSS:").zip(mib("VmHWM:")).context("/proc without VmRSS and VmHWM")
    }

    /// Ends it as Kubernetes does, and waits for its end.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let ended = Command::new("kill").arg(self.pid.to_string()).status().await?;
        if !ended.success() {
            bail!("kill {}: {ended}", self.pid);
        }
        tokio::time::timeout(Duration::from_secs(60), self.child.wait())
            .await
            .context("it does not end on SIGTERM")??;
        Ok(())
    }
}

/// CPU time of a process so far, user and system, in seconds.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in parentheses and may contain anything.
    let rest = text.rsplit_once(')').map(|(_, rest)| rest).context("/proc/PID/stat")?;
    let ticks: Vec<f64> = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS)
}
