//! Decisions that are kept as files: what was observed, and what is to be decided then.
//!
//! Each file of `tests/replay` is `{"canary", "observation", "decision"}` or a list of such moments: the form in which `tests/laws.rs` leaves a world that
//! breaks a promise, and in which an observation of a real run can be stored. A file becomes a test by being copied there; `RECORD_REPLAYS=1` writes the
//! decisions of today into all of them, to be looked at before they are committed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, which may panic"
)]

mod world;

use api::Phase;
use rollout::{Answers, decide};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use world::{Fault, World, moments};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay")
}

#[test]
fn every_stored_observation_is_decided_as_it_was() {
    let files: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let shown = file.display();
        let text = fs::read_to_string(&file).unwrap();
        let stored = moments::read(&text);
        assert_eq!(moments::broken(&stored, decide), Vec::<String>::new(), "{shown}");
        let now = moments::decided_again(&stored, decide) + "\n";
        if now != text && std::env::var_os("RECORD_REPLAYS").is_some() {
            fs::write(&file, now).unwrap();
        } else {
            assert_eq!(now, text, "{shown}");
        }
    }
}

/// Moments at which a wrong decision would be an outage, or a revision that nobody judged.
fn staged_moments() -> Vec<(&'static str, World)> {
    let staged = json!({"interval": "10s", "threshold": 2, "stepWeight": 50, "stepWeightPromotion": 50});
    let run = |phase: Phase| {
        let mut world = World::initialized(staged.clone());
        world.deploy("v2");
        world.run_until(phase);
        world
    };
    let mut interrupted = run(Phase::Progressing);
    interrupted.pass(5);
    interrupted.routes = Some(rollout::Routes::to_primary());
    interrupted.target.as_mut().unwrap().up = false;
    let mut broken = run(Phase::Promoting);
    broken.primary_fault(Some(Fault::Dead));
    let mut fix = run(Phase::Promoting);
    fix.primary_fault(Some(Fault::Dead));
    fix.settle();
    fix.deploy("v3");
    let mut edited = run(Phase::Finalising);
    edited.routes = Some(rollout::Routes::weighted(rollout::Weight::FULL));
    vec![
        ("a-rollback-was-interrupted", interrupted),
        ("the-primary-breaks-while-promoted", broken),
        ("a-fix-for-a-failed-promotion", fix),
        ("routes-edited-before-scaling-down", edited),
    ]
}

#[test]
fn the_stored_moments_are_those_that_happen() {
    for (name, mut world) in staged_moments() {
        let (seen, decision) = world.decide(&Answers::default());
        let file = folder().join(format!("{name}.json"));
        let now = world.replay(&seen, &decision) + "\n";
        let stored = fs::read_to_string(&file).unwrap_or_default();
        if now != stored && std::env::var_os("RECORD_REPLAYS").is_some() {
            fs::write(&file, now).unwrap();
        } else {
            assert_eq!(now, stored, "{name}");
        }
    }
}
