//! Commands as processes: each in a group of its own, limited in time and output, with nothing left behind.
//!
//! At its time limit, and when the program stops, a command's whole group is asked to end (SIGTERM) and shortly afterwards killed, and with it whatever has
//! left the group. What a command leaves running in the background when it ends by itself keeps its slot, and has the command's time limit.
//! Texts of errors are those of Go's `os/exec`.

use crate::descendants::{self, Process};
use crate::output::Tail;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpid};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tracing::debug;

/// Between asking a command to end and killing it.
pub const GRACE: Duration = Duration::from_secs(2);
/// How long is waited for a killed command's last words.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often is looked whether what a command left behind has ended.
const LOOK: Duration = Duration::from_secs(1);
/// How often processes are killed that come into being while their parents are killed, and the pause between.
const ROUNDS: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);
/// Marks the processes of a task.
const MARK: &str = "LOADTESTER_TASK";

/// How far a task may go.
#[derive(Clone)]
pub struct Bounds {
    /// It ends then.
    pub until: Instant,
    /// It ends when this becomes true.
    pub stop: watch::Receiver<bool>,
    /// Its place among the tasks that may run at once, held by everything that it starts.
    pub slot: Arc<OwnedSemaphorePermit>,
}

/// Why a task has to end before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Its time is over.
    Limit,
    /// The program ends.
    Stop,
}

impl Bounds {
    /// Waits until the task has to end.
    pub async fn over(&self) -> Over {
        let mut stop = self.stop.clone();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => Over::Stop,
            () = tokio::time::sleep_until(self.until) => Over::Limit,
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// What it wrote to stdout and stderr, as it came.
    pub output: Vec<u8>,
    /// Why it failed.
    pub error: Option<String>,
}

/// All commands of this program.
#[derive(Debug)]
pub struct Processes {
    /// Where commands are looked for, as `PATH`.
    path: String,
    /// What the marks of its tasks begin with: like nothing else on this machine.
    name: String,
    next: AtomicU64,
    /// Groups by the number of their task.
    groups: Mutex<BTreeMap<u64, Pid>>,
}

impl Processes {
    /// Commands are looked for in `path`, which is what they get as `PATH`.
    pub fn new(path: String) -> Self {
        let name = uuid::Uuid::new_v4().simple().to_string();
        Self { path, name, next: AtomicU64::new(0), groups: Mutex::default() }
    }

    /// Runs a command to its end, or the bounds' end. Of its output the last `keep` bytes are kept.
    pub async fn run(&self, program: &str, arguments: &[String], bounds: &Bounds, keep: usize) -> Finished {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", self.name);
        let mut tail = Tail::new(keep);
        let error = match self.spawn(program, arguments, number, &mark) {
            Ok((child, pipe, group)) => {
                let running = Running { group, mark: format!("{MARK}={mark}") };
                let error = running.finish(child, pipe, bounds, &mut tail).await;
                self.groups().remove(&number);
                error
            }
            Err(error) => Some(error),
        };
        Finished { output: tail.finish(), error }
    }

    /// The errors are texts for users.
    fn spawn(
        &self,
        program: &str,
        arguments: &[String],
        number: u64,
        mark: &str,
    ) -> Result<(Child, pipe::Receiver, Pid), String> {
        let file = find(program, &self.path)
            .ok_or_else(|| format!("exec: {program:?}: executable file not found in $PATH"))?;
        let failed = |error: io::Error| format!("fork/exec {}: {}", file.display(), in_words(&error));
        let (ours, theirs) = io::pipe().map_err(failed)?;
        let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(ours)).map_err(failed)?;
        let mut command = Command::new(&file);
        command
            .arg0(program)
            .args(arguments)
            .env("PATH", &self.path)
            .env(MARK, mark)
            .stdin(Stdio::null())
            .stdout(theirs.try_clone().map_err(failed)?)
            .stderr(theirs)
            .process_group(0);
        // Whoever kills everything, or buries the dead, must know of all that there are.
        let mut groups = self.groups();
        let child = command.spawn().map_err(failed)?;
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let group = pid.ok_or_else(|| failed(io::Error::other("no such process")))?;
        groups.insert(number, group);
        Ok((child, pipe, group))
    }

    /// Kills every process that this one has started, and all that these have. For the end of the program: it knows no exceptions.
    pub fn kill_everything(&self) {
        let me = i32::try_from(std::process::id()).unwrap_or_default();
        for _ in 0..ROUNDS {
            for group in self.groups().values() {
                let _ = kill_process_group(*group, Signal::KILL);
            }
            let world = descendants::all();
            let left: Vec<Process> = descendants::of(&[me], &world).into_iter().filter(|one| !one.zombie).collect();
            if left.is_empty() {
                return;
            }
            kill(&left);
            std::thread::sleep(PAUSE);
        }
    }

    /// Buries those that have lost their parents and became ours.
    pub fn bury(&self) {
        let me = i32::try_from(std::process::id()).unwrap_or_default();
        // Nobody is started meanwhile: the number of a command must not be taken for that of an orphan.
        let groups = self.groups();
        for process in descendants::all() {
            let pid = Pid::from_raw(process.pid).filter(|pid| !groups.values().any(|own| own == pid));
            if let (true, true, Some(pid)) = (process.zombie, process.parent == me, pid) {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<u64, Pid>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Orphans among our descendants become our children, so that none gets lost.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        debug!("Orphans of tasks cannot be adopted: {error}");
    }
}

/// One command that runs.
#[derive(Debug, Clone)]
struct Running {
    group: Pid,
    /// What marks its processes: `NAME=value`.
    mark: String,
}

impl Running {
    /// Waits until the command has ended and nobody can write to its output any more, or ends it. The answer is the error, if it failed.
    async fn finish(&self, mut child: Child, pipe: pipe::Receiver, bounds: &Bounds, tail: &mut Tail) -> Option<String> {
        let mut work = std::pin::pin!(async {
            let (status, ()) = tokio::join!(child.wait(), collect(pipe, tail));
            status
        });
        let over = tokio::select! {
            biased;
            status = work.as_mut() => {
                self.leave(bounds).await;
                return status.map_or_else(|error| Some(in_words(&error)), failure);
            }
            over = bounds.over() => over,
        };
        let known = self.living(Some(self.group));
        let _ = kill_process_group(self.group, Signal::TERM);
        let mut status = tokio::time::timeout(GRACE, work.as_mut()).await.ok();
        self.kill(Some(self.group), known).await;
        if status.is_none() {
            status = tokio::time::timeout(LAST_WORDS, work).await.ok();
        }
        match (over, status) {
            (Over::Stop, Some(Ok(status))) => failure(status).or_else(|| Some("stopped".to_owned())),
            _ => Some("signal: killed".to_owned()),
        }
    }

    /// Lets go of what the command has left behind, but not out of sight.
    async fn leave(&self, bounds: &Bounds) {
        let running = self.clone();
        let left = tokio::task::spawn_blocking(move || running.marked().len()).await.unwrap_or_default();
        if left == 0 {
            return;
        }
        debug!("A command left {left} processes behind: they may go on until its time is over");
        let (running, bounds) = (self.clone(), bounds.clone());
        tokio::spawn(async move {
            let gone = async {
                while !running.marked().is_empty() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            tokio::select! {
                () = gone => {}
                // The number of the group may be another's by now.
                _ = bounds.over() => running.kill(None, Vec::new()).await,
            }
            drop(bounds);
        });
    }

    /// Everything that is known to be the command's, but the dead.
    fn living(&self, group: Option<Pid>) -> Vec<Process> {
        let world = descendants::all();
        let group = group.map(Pid::as_raw_pid);
        let own = |one: &&Process| Some(one.group) == group || descendants::is_marked(one.pid, &self.mark);
        let mut found: Vec<Process> = world.iter().filter(own).copied().collect();
        let ancestors: Vec<i32> = found.iter().map(|one| one.pid).chain(group).collect();
        found.extend(descendants::of(&ancestors, &world));
        found.retain(|one| !one.zombie);
        found
    }

    /// Those that carry the mark.
    fn marked(&self) -> Vec<Process> {
        let world = descendants::all().into_iter();
        world.filter(|one| !one.zombie && descendants::is_marked(one.pid, &self.mark)).collect()
    }

    /// Kills the group (if its number still is its own), those of `known` that still are there, and everything else that is known to be the command's, until there is nothing.
    async fn kill(&self, group: Option<Pid>, known: Vec<Process>) {
        let running = self.clone();
        // Processes die in real time, whatever a simulated clock says.
        let killed = tokio::task::spawn_blocking(move || {
            for _ in 0..ROUNDS {
                if let Some(group) = group {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let mut left = running.living(group);
                let world = descendants::all();
                let is_known = |one: &Process| known.iter().any(|old| (old.pid, old.started) == (one.pid, one.started));
                left.extend(world.into_iter().filter(|one| !one.zombie && is_known(one)));
                if left.is_empty() {
                    return;
                }
                kill(&left);
                std::thread::sleep(PAUSE);
            }
        });
        let _ = killed.await;
    }
}

fn kill(processes: &[Process]) {
    for pid in processes.iter().filter_map(|process| Pid::from_raw(process.pid)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Reads to the end.
async fn collect(mut pipe: pipe::Receiver, tail: &mut Tail) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => tail.push(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// The file of a command: what a name without `/` means in `path`.
fn find(program: &str, path: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    let executable = |file: &Path| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(program))
        .find(|file| executable(file))
}

/// An error of the system as Go writes it.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

/// Why a command failed; `None` if it did not.
fn failure(status: ExitStatus) -> Option<String> {
    if status.success() {
        return None;
    }
    Some(match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => {
            let core = if status.core_dumped() { " (core dumped)" } else { "" };
            format!("signal: {}{core}", signal_in_words(signal.unwrap_or_default()))
        }
    })
}

fn signal_in_words(number: i32) -> String {
    let word = match number {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_as_go_tells_them() {
        let told = |raw| failure(ExitStatus::from_raw(raw));
        assert_eq!(told(0), None);
        assert_eq!(told(3 << 8).unwrap(), "exit status 3");
        assert_eq!(told(9).unwrap(), "signal: killed");
        assert_eq!(told(0x80 + 11).unwrap(), "signal: segmentation fault (core dumped)");
        assert_eq!(told(40).unwrap(), "signal: signal 40");
    }

    #[test]
    fn errors_of_the_system_lose_their_number() {
        assert_eq!(in_words(&io::Error::from_raw_os_error(7)), "argument list too long");
    }
}
