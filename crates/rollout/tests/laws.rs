//! What holds for every rollout: random specs, random worlds, random faults, and random states that the reference left.
//!
//! The world checks the invariants (`rollout::check`) of every decision, that traffic never goes to a side that cannot serve, that deciding again does
//! nothing, and that no moment takes an unbounded number of decisions. Here is how worlds must end. `LAWS_WORLDS` says how many there are in a run,
//! `LAWS_SEED` where they start (`random`: anywhere); a failure is shrunk, and printed with the command that repeats it and with a file that replays it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, which may panic"
)]

mod broken;
mod hunt;
mod random;
mod world;

use api::Phase;
use hunt::holds;
use proptest::prelude::*;
use random::{Old, abilities, happen, heal, old, spec, strike, turns};
use rollout::Abilities;
use serde_json::Value;
use world::faults::Strike;
use world::{Decider, World};

/// How many of 100 worlds go to each law.
const SHARES: [(&str, u64); 4] = [
    ("whatever_happens_it_ends_well", 40),
    ("what_the_reference_left_is_taken_over", 30),
    ("a_fault_after_any_action_changes_nothing_about_the_outcome", 15),
    ("a_canary_that_is_deleted_is_given_back", 15),
];

fn worlds(law: &str) -> u64 {
    let share = SHARES.iter().find(|(name, _)| *name == law).unwrap().1;
    (hunt::worlds() * share / 100).max(1)
}

#[test]
fn a_run_has_ten_thousand_worlds() {
    assert_eq!(SHARES.iter().map(|(_, share)| share).sum::<u64>(), 100);
    assert!(
        std::env::var_os("LAWS_WORLDS").is_some() || SHARES.map(|(law, _)| worlds(law)).iter().sum::<u64>() >= 10_000
    );
}

/// A spec, what the router can do, and what happens.
type Life = (Value, Abilities, Turns);
/// What happens, each after some seconds.
type Turns = Vec<(i64, random::Turn)>;

fn life() -> impl Strategy<Value = Life> {
    (spec(), abilities(), turns())
}

fn live(decider: Decider, (spec, abilities, turns): Life) -> World {
    let mut world = World::with(spec);
    (world.decider, world.abilities) = (decider, abilities);
    for (seconds, turn) in turns {
        world.pass(seconds);
        happen(&mut world, turn);
    }
    world
}

fn whatever_happens(decider: Decider, life: Life) {
    let mut world = live(decider, life);
    ends_well(&mut world);
}

fn taken_over(decider: Decider, (spec, abilities, old, turns): (Value, Abilities, Old, Turns)) {
    let mut world = World::with(spec);
    (world.decider, world.abilities) = (decider, abilities);
    old.leave(&mut world);
    for (seconds, turn) in turns.into_iter().take(2) {
        world.pass(seconds);
        happen(&mut world, turn);
    }
    ends_well(&mut world);
}

fn outcome_stays(decider: Decider, (spec, abilities, strikes): (Value, Abilities, Vec<(usize, Strike)>)) {
    let mut world = World::with(spec);
    (world.decider, world.abilities) = (decider, abilities);
    world.run_until(Phase::Initialized);
    world.deploy("v2");
    for (actions, strike) in strikes {
        (world.fail_after, world.strike) = (Some(actions), strike);
        world.pass(12);
        world.restart();
    }
    ends_well(&mut world);
    assert_eq!(world.status.phase, Phase::Succeeded, "the revision is good\n{}", world.recent());
    assert_eq!(world.primary.unwrap().revision, "v2");
}

fn given_back(decider: Decider, (mut spec, abilities, before, after): (Value, Abilities, Turns, Turns)) {
    spec["revertOnDeletion"] = true.into();
    let mut world = live(decider, (spec, abilities, before));
    // Whatever is deleted before our finalizer is on it is simply gone.
    world.object.deleting = world.object.finalizer;
    for (seconds, turn) in after {
        world.pass(seconds);
        happen(&mut world, turn);
    }
    ends_well(&mut world);
}

fn ends_well(world: &mut World) {
    heal(world);
    if world.object.deleting {
        world.leave();
        return;
    }
    world.rest();
    // Pods that were replaced at rest become ready.
    world.pass(100);
    world.rest();
    let story = world.recent();
    assert!(world.status.unannounced.is_none(), "the outcome was never announced\n{story}");
    let primary = world.primary.clone().unwrap();
    let target = world.target.clone().unwrap();
    assert!(
        world.weight() == 0 || world.serves(&target),
        "{}% go to a canary that cannot serve\n{story}",
        world.weight()
    );
    assert!(world.weight() == 100 || world.serves(&primary), "the primary cannot serve\n{story}");
    assert!(matches!(world.weight(), 0 | 100), "at rest one side has all of the traffic\n{story}");
    if matches!(world.status.phase, Phase::Initialized | Phase::Succeeded)
        && world.status.last_applied_spec.as_deref() == Some(target.revision.as_str())
    {
        assert_eq!(world.weight(), 0, "after a success the primary has all of the traffic\n{story}");
    }
    let before = (world.status.clone(), world.story.len());
    world.pass(300);
    assert_eq!((world.status.clone(), world.story.len()), before, "at rest nothing happens\n{story}");
}

const REAL: Decider = rollout::decide;

#[test]
fn whatever_happens_it_ends_well() {
    let law = "whatever_happens_it_ends_well";
    holds(law, worlds(law), &life, |life| whatever_happens(REAL, life), REAL);
}

#[test]
fn what_the_reference_left_is_taken_over() {
    let law = "what_the_reference_left_is_taken_over";
    holds(law, worlds(law), &|| (spec(), abilities(), old(), turns()), |life| taken_over(REAL, life), REAL);
}

/// The process dies, and every write fails once in any way, after any number of actions: the rollout of a good revision still gets through.
#[test]
fn a_fault_after_any_action_changes_nothing_about_the_outcome() {
    let law = "a_fault_after_any_action_changes_nothing_about_the_outcome";
    let strikes = || prop::collection::vec((0_usize..14, strike()), 0..8);
    holds(law, worlds(law), &|| (spec(), abilities(), strikes()), |life| outcome_stays(REAL, life), REAL);
}

#[test]
fn a_canary_that_is_deleted_is_given_back() {
    let law = "a_canary_that_is_deleted_is_given_back";
    holds(law, worlds(law), &|| (spec(), abilities(), turns(), turns()), |life| given_back(REAL, life), REAL);
}
