//! The process that reads the inputs. It may die of any of them: which one it was stands in a file.
//!
//! A panic and a broken law are told by the reading thread, too much time and memory by a watch over it; a stack that overflows ends the process by a signal.
//! Time is that of the processor, so that a busy machine makes nothing slow. Linux only as far as time and memory go.

use crate::targets::{Inputs, Outcome, Run, Target};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Processor time that one input may take. Without optimisation three times as much.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 1 });
/// Resident memory of the process.
const MEMORY: u64 = 1 << 30;
/// Stack of the reading thread: that of the threads of the controller. Frames are larger without optimisation.
const STACK: usize = if cfg!(debug_assertions) { 16 << 20 } else { 2 << 20 };
/// How often time and memory are looked at.
const WATCH: Duration = Duration::from_millis(20);

/// How an input fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A target says that something does not hold.
    Law,
    /// A panic.
    Panic,
    /// More than a second.
    Slow,
    /// More than a gigabyte.
    Memory,
    /// The process was ended by a signal: the stack overflowed, or an allocation failed.
    Crash,
}

impl Kind {
    /// The code with which the process ends.
    fn code(self) -> i32 {
        match self {
            Self::Law => 30,
            Self::Panic => 31,
            Self::Slow => 32,
            Self::Memory => 33,
            Self::Crash => 34,
        }
    }

    /// How a process failed that ended so; `None` if all was well. `code`: `None` after a signal.
    pub fn of(code: Option<i32>) -> Option<Self> {
        match code {
            Some(0) => None,
            Some(30) => Some(Self::Law),
            Some(31) => Some(Self::Panic),
            Some(32) => Some(Self::Slow),
            Some(33) => Some(Self::Memory),
            _ => Some(Self::Crash),
        }
    }
}

/// What a process is to do.
#[derive(Debug)]
pub enum Job {
    /// Reads this input.
    One(Vec<u8>),
    /// Reads one input after the other.
    Many {
        /// The inputs.
        inputs: Box<Inputs>,
        /// The first.
        from: u64,
        /// The end, which is not read.
        until: u64,
        /// No broken input is begun after this time; those that once failed and the valid ones are always read.
        time: Duration,
        /// Where the number of the input stands that is being read, eight bytes in little endian.
        progress: PathBuf,
    },
}

/// What a process has done, as it prints it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Inputs.
    pub inputs: u64,
    /// Those that were not refused at the door.
    pub read: u64,
    /// The longest time for one, in microseconds.
    pub longest_us: u64,
    /// The time for all, in microseconds.
    pub total_us: u64,
}

impl Tally {
    fn add(&mut self, outcome: Outcome, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.inputs += 1;
        self.read += u64::from(outcome == Outcome::Read);
        self.longest_us = self.longest_us.max(took);
    }

    fn line(&self) -> String {
        format!("tally {} {} {} {}\n", self.inputs, self.read, self.longest_us, self.total_us)
    }

    /// Reads the line; zeros where there is none.
    pub fn parse(output: &str) -> Self {
        let line = output.lines().find_map(|line| line.strip_prefix("tally ")).unwrap_or_default();
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        Self { inputs: next(), read: next(), longest_us: next(), total_us: next() }
    }
}

/// Numbers of inputs begun, as the watch sees them.
static BEGUN: AtomicU64 = AtomicU64::new(0);
/// The text of the last panic.
static PANIC: Mutex<String> = Mutex::new(String::new());
/// The directory of the reading thread in `/proc`.
static THREAD: OnceLock<PathBuf> = OnceLock::new();

/// Does the job and ends the process.
pub fn work(target: &'static Target, job: Job) -> ! {
    set_hook(Box::new(|panic| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string().replace('\n', " ");
    }));
    let thread = std::thread::Builder::new().stack_size(STACK).name("reader".to_owned());
    let reader = thread.spawn(move || {
        THREAD.get_or_init(|| {
            fs::read_link("/proc/thread-self").map(|link| PathBuf::from("/proc").join(link)).unwrap_or_default()
        });
        run(target, job);
    });
    match reader {
        Ok(reader) => watch(|| reader.is_finished()),
        Err(error) => leave(Kind::Crash, &error.to_string()),
    }
    std::process::exit(0)
}

fn run(target: &'static Target, job: Job) {
    let mut tally = Tally::default();
    let begin = Instant::now();
    match job {
        Job::One(input) => one(target, &input, &mut tally),
        Job::Many { inputs, from, until, time, progress } => {
            let progress = File::create(progress).ok().map(Arc::new);
            for index in from..until {
                if index >= inputs.kept() && begin.elapsed() >= time {
                    break;
                }
                if let Some(file) = &progress {
                    drop(file.write_all_at(&index.to_le_bytes(), 0));
                }
                one(target, &inputs.get(index), &mut tally);
            }
        }
    }
    tally.total_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    say(&tally.line());
}

fn one(target: &Target, input: &[u8], tally: &mut Tally) {
    BEGUN.fetch_add(1, Ordering::Relaxed);
    let begin = Instant::now();
    match catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        Ok(result) => told(result, begin.elapsed(), tally),
        Err(_) => leave(Kind::Panic, &PANIC.lock().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn told(result: Run, took: Duration, tally: &mut Tally) {
    match result {
        Ok(outcome) => tally.add(outcome, took),
        Err(text) => leave(Kind::Law, &text),
    }
}

/// Looks at time and memory until the end.
fn watch(finished: impl Fn() -> bool) {
    let (mut seen, mut since) = (u64::MAX, Duration::ZERO);
    while !finished() {
        std::thread::sleep(WATCH);
        let (begun, used) = (BEGUN.load(Ordering::Relaxed), used());
        if begun != seen {
            (seen, since) = (begun, used);
        } else if used.saturating_sub(since) > LIMIT {
            leave(Kind::Slow, &format!("more than {LIMIT:?} of processor time"));
        }
        if resident() > MEMORY {
            leave(Kind::Memory, &format!("more than {} MiB of memory", MEMORY >> 20));
        }
    }
}

/// Processor time of the reading thread so far.
fn used() -> Duration {
    let file = THREAD.get().map(|thread| thread.join("schedstat")).unwrap_or_default();
    let text = fs::read_to_string(file).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default())
}

/// Bytes in memory.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

fn leave(kind: Kind, text: &str) -> ! {
    let text: String = text.chars().take(2000).collect();
    say(&format!("{text}\n"));
    std::process::exit(kind.code())
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
