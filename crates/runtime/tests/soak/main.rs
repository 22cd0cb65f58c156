//! Simulated hours with many Canaries, releases and faults at random: every rollout ends, nothing drifts, nothing leaks, no storms.
//!
//! A short one in every test run. `SOAK_HOURS`, `SOAK_CANARIES`, `SOAK_SEED` (`random`: another each time, printed) make a longer one of it.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::missing_panics_doc,
    reason = "tests"
)]

mod checks;
mod dice;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../harness/fixtures.rs"]
mod fixtures;
mod fleet;
mod guard;
mod life;
mod net;
mod users;

use checks::Measure;
use life::{Life, Round};
use std::time::Duration;
use tokio::time::Instant;

#[global_allocator]
static HEAP: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// How long and with whom.
struct Plan {
    hours: f64,
    canaries: usize,
    /// Something happens to each Canary that often on average.
    every: Duration,
    /// Time between two looks at everything, in calm weather.
    round: Duration,
    seed: u64,
}

impl Plan {
    fn read() -> Self {
        let number = |name: &str| {
            std::env::var(name).ok().map(|text| text.parse::<f64>().unwrap_or_else(|_| panic!("{name} is no number")))
        };
        let seed = match std::env::var("SOAK_SEED").ok().as_deref() {
            Some("random") => std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() % 1_000_000,
            Some(text) => text.parse().unwrap_or_else(|_| panic!("SOAK_SEED is neither a number nor `random`")),
            None => 1,
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
        let canaries = number("SOAK_CANARIES").unwrap_or(22.0) as usize;
        let hours = number("SOAK_HOURS").unwrap_or(0.6);
        let long = hours > 2.0;
        let minutes = |minutes: f64| Duration::from_secs_f64(60.0 * minutes);
        let every = minutes(number("SOAK_MINUTES").unwrap_or(if long { 24.0 } else { 15.0 }));
        Self { hours, canaries, every, round: minutes(if long { 45.0 } else { 12.0 }), seed }
    }

    /// In which hours (by their number) the process is restarted now and then; in the others it has to live.
    fn restarts(hour: usize) -> bool {
        hour % 8 == 2
    }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "how long it takes is printed")]
async fn every_rollout_ends_nothing_drifts_nothing_leaks() {
    let plan = Plan::read();
    println!("SOAK_SEED={} SOAK_CANARIES={} SOAK_HOURS={}", plan.seed, plan.canaries, plan.hours);
    let wall = std::time::Instant::now();
    let mut life = Life::begin(plan.canaries, plan.seed).await;
    life.settle("at the start").await;
    let mut measures: Vec<Measure> = vec![life.measure().await];
    life.round();
    let mut sum = Round::default();
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(plan.hours * 3600.0);
    for hour in 0.. {
        live(&mut life, &plan, hour, (Instant::now() + plan.round).min(end)).await;
        life.calm_down();
        life.tidy();
        let settling = Instant::now();
        life.settle(&format!("in hour {hour}, seed {}", plan.seed)).await;
        let settled = settling.elapsed().as_secs();
        let measure = life.measure().await;
        let round = life.round();
        let (hours, seconds) = (begun.elapsed().as_secs_f64() / 3600.0, wall.elapsed().as_secs_f64());
        println!("{hours:5.2} h: settled in {settled:3} s; {measure}; {}; wall {seconds:.1} s", round.summary());
        round.assert_no_storm(plan.canaries);
        sum.add(round);
        // What a killed process was about lingers for minutes, since it is a set of tasks of this one.
        if !Plan::restarts(hour) {
            measures.push(measure);
            checks::flat(&measures);
        }
        if Instant::now() >= end {
            break;
        }
    }
    println!("in all: {}\n{sum:#?}\nhappened {:?}", sum.summary(), life.happened);
    println!("network {:?}\nwall {:.1} s", life.net.take_counts(), wall.elapsed().as_secs_f64());
}

/// Things happen until that moment.
async fn live(life: &mut Life, plan: &Plan, hour: usize, until: Instant) {
    life.break_calm();
    let mut next_accident = Instant::now() + Duration::from_secs(120);
    while Instant::now() < until {
        let mean = plan.every.div_f64(plan.canaries as f64);
        tokio::time::sleep(mean.mul_f64(life.dice.roll(2001) as f64 / 1000.0)).await;
        life.happen();
        if Instant::now() >= next_accident {
            next_accident = Instant::now() + Duration::from_secs(60 + life.dice.roll(400) as u64);
            match life.dice.roll(6) {
                0 => {
                    let seconds = i64::try_from(life.dice.roll(240)).unwrap() - 120 - life.jumped;
                    life.jump(seconds);
                }
                1 | 2 if Plan::restarts(hour) => {
                    let kill = life.dice.roll(2) == 0;
                    life.restart(kill).await;
                }
                _ => life.trouble(),
            }
        }
        life.take_requests();
        let violations = life.guard.violations();
        assert!(violations.is_empty(), "seed {}, hour {hour}: {violations:#?}\n{}", plan.seed, life.faults.report());
    }
}
