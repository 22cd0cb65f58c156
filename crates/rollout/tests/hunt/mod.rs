//! Looks for a world that breaks a law: many worlds, each from a seed of its own, on all cores; what is found is shrunk and left as a file that replays.

use crate::world::Decider;
use crate::world::moments;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, Once, OnceLock};

/// Worlds of a run, unless `LAWS_WORLDS` says otherwise.
const WORLDS: u64 = 12_000;
/// Smaller worlds that are tried, to find the smallest that breaks a law.
const SHRINKS: u32 = 2000;
/// The first seed, unless `LAWS_SEED` says otherwise: the same in every run, so that a test that passed once passes again.
pub(crate) const SEED: u64 = 20_260_101;

/// A world that breaks a law, as small as it gets.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) seed: u64,
    /// What the world said.
    pub(crate) why: String,
    /// The world.
    pub(crate) life: String,
    /// What it decided, as `tests/replay.rs` reads it.
    pub(crate) file: PathBuf,
}

/// How many worlds all laws together get.
pub(crate) fn worlds() -> u64 {
    std::env::var("LAWS_WORLDS").map_or(WORLDS, |worlds| worlds.parse().unwrap())
}

fn seed() -> u64 {
    static SEEDED: OnceLock<u64> = OnceLock::new();
    *SEEDED.get_or_init(|| match std::env::var("LAWS_SEED") {
        // Keys of hash maps are the randomness that the standard library has.
        Ok(seed) if seed == "random" => RandomState::new().hash_one(0_u8) >> 16,
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SEED,
    })
}

/// Panics with what is needed to repeat it if a world breaks the law.
pub(crate) fn holds<S: Strategy>(
    law: &str,
    worlds: u64,
    lives: &(impl Fn() -> S + Sync),
    live: impl Fn(S::Value) + Sync,
    decider: Decider,
) {
    let (tried, found) = hunt(law, seed()..seed() + worlds, SHRINKS, lives, live, decider);
    if let Some(Found { seed, why, life, file }) = found {
        let file = file.display();
        panic!(
            "{why}\n\nthe smallest world that breaks the law: {life}\n\n\
             again: LAWS_SEED={seed} LAWS_WORLDS=1 cargo test -p rollout --test laws {law}\n\
             its observations: {file}\n\
             as a test: once it is repaired, cp {file} crates/rollout/tests/replay/NAME.json; RECORD_REPLAYS=1 cargo test -p rollout --test replay"
        );
    }
    assert_eq!(tried, worlds);
    println!("{law}: {tried} worlds from seed {}", seed());
}

/// A world for each seed, or until one breaks the law; how many were tried.
pub(crate) fn hunt<S: Strategy>(
    law: &str,
    seeds: Range<u64>,
    shrinks: u32,
    lives: &(impl Fn() -> S + Sync),
    live: impl Fn(S::Value) + Sync,
    decider: Decider,
) -> (u64, Option<Found>) {
    keep_panics_of_hunters();
    let (next, tried, found) = (AtomicU64::new(seeds.start), AtomicU64::new(0), Mutex::new(None));
    let hunter = || {
        HUNTING.set(true);
        let lives = lives();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end {
                return;
            }
            if let Some(one) = try_one(law, seed, shrinks, &lives, &live, decider) {
                next.store(seeds.end, Relaxed);
                // Seeds are tried in order, so all before this one are under way or done: the first that breaks the law is the same in every run.
                let mut first: MutexGuard<'_, Option<Found>> = found.lock().unwrap();
                if first.as_ref().is_none_or(|other| one.seed < other.seed) {
                    *first = Some(one);
                }
            }
            tried.fetch_add(1, Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(hunter);
        }
    });
    (tried.into_inner(), found.into_inner().unwrap())
}

fn try_one<S: Strategy>(
    law: &str,
    seed: u64,
    shrinks: u32,
    lives: &S,
    live: &impl Fn(S::Value),
    decider: Decider,
) -> Option<Found> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&scattered(seed).to_le_bytes());
    bytes[8..].copy_from_slice(&scattered(!seed).to_le_bytes());
    let config = Config { max_shrink_iters: shrinks, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &bytes));
    let tree = lives.new_tree(&mut runner).unwrap();
    let tried = runner.run_one(tree, |value| {
        std::panic::catch_unwind(AssertUnwindSafe(|| live(value))).map_err(|_| TestCaseError::fail("broken"))
    });
    let Err(TestError::Fail(_, value)) = tried else { return None };
    let shown = format!("{value:?}");
    let moments = moments::recorded(AssertUnwindSafe(|| live(value)));
    let why = SAID.take();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{law}-{seed}.json"));
    std::fs::write(&file, moments::write(&moments, decider) + "\n").unwrap();
    Some(Found { seed, why, life: shown, file })
}

/// Seeds that follow each other are to give worlds that do not resemble each other (splitmix64; the generator that is fast without optimisation needs it).
fn scattered(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

thread_local! {
    static HUNTING: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A panic in a world is what is looked for: it is kept for the report instead of being printed, some thousand times while shrinking.
fn keep_panics_of_hunters() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if HUNTING.get() {
                SAID.set(said(info.payload()));
            } else {
                print(info);
            }
        }));
    });
}

fn said(payload: &(dyn std::any::Any + Send)) -> String {
    let literal = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
