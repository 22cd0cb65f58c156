//! What holds for every rollout: random specs, random worlds, random interleavings, crashes and failures after any action, random states that an older
//! release left.
//!
//! The world checks the invariants (`rollout::check`) of every decision, that traffic never goes to a side that cannot serve, that deciding again does
//! nothing, and that no moment takes an unbounded number of decisions. Here come the worlds, and how they must end.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, which may panic"
)]

mod world;

use api::Phase;
use proptest::prelude::*;
use rollout::{Abilities, AffinityAbility, MetricTrouble, Routes, Weight};
use serde_json::{Value, json};
use world::{Fault, Workload, World};

const HOOKS: [&str; 7] = [
    "confirm-rollout",
    "pre-rollout",
    "rollout",
    "confirm-traffic-increase",
    "confirm-promotion",
    "post-rollout",
    "rollback",
];

/// Something that happens from outside.
#[derive(Debug, Clone)]
enum Turn {
    Deploy(u8),
    Config(u8),
    Primary(Option<Fault>),
    Target(Option<Fault>),
    Hook(usize, bool),
    Metric(bool),
    NoValues,
    FailAfter(usize),
    Crash,
    Race(u8),
    RoutesGone,
    RoutesEdited(i64, bool),
    RoutesUnreadable(bool),
    Suspend(bool),
    Skip(bool),
    ScaledByHand,
    Interval(u8),
    StatusOf(OldStatus),
}

/// A status as some release may have left it.
#[derive(Debug, Clone)]
struct OldStatus {
    phase: usize,
    weight: i64,
    iterations: i64,
    failed: i64,
    applied: u8,
    promoted: u8,
    unannounced: Option<&'static str>,
}

const PHASES: [Phase; 10] = [
    Phase::Unset,
    Phase::Initializing,
    Phase::Initialized,
    Phase::Waiting,
    Phase::Progressing,
    Phase::WaitingPromotion,
    Phase::Promoting,
    Phase::Finalising,
    Phase::Succeeded,
    Phase::Failed,
];

fn steps() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (1_i64..130, 0_i64..130).prop_map(|(step, max)| json!({"stepWeight": step, "maxWeight": max})),
        2 => prop::collection::vec(-5_i64..130, 0..5).prop_map(|list| json!({"stepWeights": list})),
        2 => (1_i64..4).prop_map(|iterations| json!({"iterations": iterations})),
        2 => (1_i64..4).prop_map(|iterations| json!({"iterations": iterations, "match": [{"headers": {"x": {"exact": "y"}}}]})),
        1 => Just(json!({"stepWeight": i64::MAX, "maxWeight": i64::MAX, "iterations": 0})),
    ]
}

fn spec() -> impl Strategy<Value = Value> {
    let analysis = (
        steps(),
        0_i64..4,
        prop_oneof![Just(0_i64), 1_i64..120],
        any::<bool>(),
        any::<bool>(),
        prop::sample::subsequence(HOOKS.to_vec(), 0..=7),
    );
    (analysis, 0_usize..3, prop::bool::weighted(0.1), any::<bool>()).prop_map(
        |((steps, threshold, promotion, mirror, affinity, hooks), metrics, skip, scaler)| {
            let mut analysis = steps;
            analysis["interval"] = json!("10s");
            analysis["threshold"] = json!(threshold);
            analysis["stepWeightPromotion"] = json!(promotion);
            analysis["mirror"] = json!(mirror);
            if affinity {
                analysis["sessionAffinity"] = json!({"cookieName": "c"});
            }
            analysis["webhooks"] =
                hooks.iter().map(|kind| json!({"name": kind, "type": kind, "url": "http://x/"})).collect();
            let all = [
                json!({"name": "request-success-rate", "thresholdRange": {"min": 99}}),
                json!({"name": "m", "query": "q", "threshold": 100}),
            ];
            analysis["metrics"] = all.into_iter().take(metrics).collect();
            let mut spec = json!({"analysis": analysis, "skipAnalysis": skip});
            if scaler {
                spec["autoscalerRef"] =
                    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "cart"});
            }
            spec
        },
    )
}

fn abilities() -> impl Strategy<Value = Abilities> {
    prop_oneof![
        4 => Just(Abilities::default()),
        1 => Just(Abilities { shifts: false, matches: false, mirrors: false, affinity: AffinityAbility::None, ..Abilities::default() }),
        1 => Just(Abilities { mirrors: false, affinity: AffinityAbility::Canary, ..Abilities::default() }),
        1 => Just(Abilities { matches: false, routes_first: true, ..Abilities::default() }),
    ]
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![Just(None), Just(Some(Fault::Passing)), Just(Some(Fault::Lasting)), Just(Some(Fault::Dead))]
}

fn old_status() -> impl Strategy<Value = OldStatus> {
    let unannounced = prop_oneof![3 => Just(None), 1 => Just(Some("Promoted Finalising")), 1 => Just(Some("RolledBack Progressing")), 1 => Just(Some("?"))];
    (0..PHASES.len(), -3_i64..120, -2_i64..6, -1_i64..5, 0_u8..4, 0_u8..4, unannounced).prop_map(
        |(phase, weight, iterations, failed, applied, promoted, unannounced)| OldStatus {
            phase,
            weight,
            iterations,
            failed,
            applied,
            promoted,
            unannounced,
        },
    )
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => (0_u8..4).prop_map(Turn::Deploy),
        1 => (0_u8..3).prop_map(Turn::Config),
        2 => fault().prop_map(Turn::Primary),
        2 => fault().prop_map(Turn::Target),
        3 => (0..HOOKS.len(), any::<bool>()).prop_map(|(hook, yes)| Turn::Hook(hook, yes)),
        2 => any::<bool>().prop_map(Turn::Metric),
        1 => Just(Turn::NoValues),
        4 => (0_usize..9).prop_map(Turn::FailAfter),
        3 => Just(Turn::Crash),
        2 => (0_u8..4).prop_map(Turn::Race),
        1 => Just(Turn::RoutesGone),
        1 => (0_i64..101, any::<bool>()).prop_map(|(weight, mirrored)| Turn::RoutesEdited(weight, mirrored)),
        1 => any::<bool>().prop_map(Turn::RoutesUnreadable),
        1 => any::<bool>().prop_map(Turn::Suspend),
        1 => any::<bool>().prop_map(Turn::Skip),
        1 => Just(Turn::ScaledByHand),
        1 => (10_u8..40).prop_map(Turn::Interval),
        1 => old_status().prop_map(Turn::StatusOf),
    ]
}

fn revision(number: u8) -> String {
    format!("v{number}")
}

fn happen(world: &mut World, turn: Turn) {
    match turn {
        Turn::Deploy(number) => world.deploy(&revision(number)),
        Turn::Config(number) => {
            world.configs.insert("secret/s".to_owned(), number.to_string());
        }
        Turn::Primary(fault) => world.primary_fault(fault),
        Turn::Target(fault) => world.target_fault(fault),
        Turn::Hook(index, yes) => world.hook(HOOKS[index], if yes { Ok(()) } else { Err("no") }),
        Turn::Metric(good) => world.metric("request-success-rate", if good { 100.0 } else { 1.0 }),
        Turn::NoValues => {
            world.metrics.insert("m".to_owned(), Err(MetricTrouble::NoValues("no values found".to_owned())));
        }
        Turn::FailAfter(actions) => world.fail_after = Some(actions),
        Turn::Crash => world.restart(),
        Turn::Race(number) => world.race = Some(revision(number)),
        Turn::RoutesGone => world.routes = None,
        Turn::RoutesEdited(weight, mirrored) => edit_routes(world, weight, mirrored),
        Turn::RoutesUnreadable(broken) => {
            world.routes_trouble = broken.then(|| "parent gateway is not ready".to_owned());
        }
        Turn::Suspend(suspend) => world.canary.spec.suspend = suspend,
        Turn::Skip(skip) => world.canary.spec.skip_analysis = skip,
        Turn::ScaledByHand => {
            if let Some(target) = &mut world.target {
                target.up = false;
                target.fault = None;
            }
        }
        Turn::Interval(seconds) => world.canary.spec.analysis.as_mut().unwrap().interval = format!("{seconds}s"),
        Turn::StatusOf(old) => restore(world, &old),
    }
}

fn edit_routes(world: &mut World, weight: i64, mirrored: bool) {
    if world.abilities.shifts {
        world.routes = Some(Routes { mirrored, ..Routes::weighted(Weight::clipped(weight)) });
    }
}

/// The status becomes one that an older release left; nothing is remembered.
fn restore(world: &mut World, old: &OldStatus) {
    let status = &mut world.status;
    status.phase = PHASES[old.phase];
    // A failure leaves nothing, or everything, with the canary.
    status.canary_weight = if status.phase == Phase::Failed { old.weight.max(0) / 60 * 100 } else { old.weight };
    status.iterations = old.iterations;
    status.failed_checks = old.failed;
    status.last_applied_spec = (old.applied > 0).then(|| revision(old.applied));
    status.last_promoted_spec = (old.promoted > 0).then(|| revision(old.promoted));
    status.unannounced = old.unannounced.map(str::to_owned);
    status.last_transition_time = Some(world.now);
    world.restart();
}

/// All is well from here on: whoever can decide lets the rollout pass.
fn heal(world: &mut World) {
    world.fail_after = None;
    world.race = None;
    world.routes_trouble = None;
    world.hooks.clear();
    world.metrics.clear();
    world.primary_fault(None);
    world.target_fault(None);
    world.canary.spec.suspend = false;
    let analysis = world.canary.spec.analysis.as_mut().unwrap();
    // A list of steps that leads nowhere is the one thing that nothing but another list heals.
    if analysis.step_weight <= 0 && analysis.iterations <= 0 {
        analysis.step_weights = vec![20, 60];
        analysis.step_weight = 0;
    }
    if !world.abilities.shifts {
        world.routes = None;
    }
}

fn ends_well(world: &mut World) {
    heal(world);
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
        assert_eq!(world.weight(), 0);
    }
    let before = (world.status.clone(), world.story.len());
    world.pass(300);
    assert_eq!((world.status.clone(), world.story.len()), before, "at rest nothing happens\n{story}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_ends_well(spec in spec(), abilities in abilities(), turns in prop::collection::vec((0_i64..45, turn()), 0..14)) {
        let mut world = World::with(spec);
        world.abilities = abilities;
        for (seconds, turn) in turns {
            world.pass(seconds);
            happen(&mut world, turn);
        }
        ends_well(&mut world);
    }

    #[test]
    fn what_an_older_release_left_is_taken_over(
        spec in spec(), abilities in abilities(), old in old_status(), weight in 0_i64..101, mirrored: bool, up: bool, target in 1_u8..4, primary in 1_u8..4,
    ) {
        let mut world = World::with(spec);
        world.abilities = abilities;
        let since = world.now - jiff::SignedDuration::from_hours(1);
        let workload = |number, up| Some(Workload { revision: revision(number), up, since, old_pods: false, fault: None });
        (world.target, world.primary) = (workload(target, up), workload(primary, true));
        if !up && weight > 0 {
            // The reference scales down only what has no traffic.
            edit_routes(&mut world, 0, mirrored);
        } else {
            edit_routes(&mut world, weight, mirrored);
        }
        restore(&mut world, &old);
        ends_well(&mut world);
    }

    /// The process dies and every write fails once, after any number of actions: the rollout of a good revision still gets through.
    #[test]
    fn a_crash_after_any_action_changes_nothing_about_the_outcome(spec in spec(), crashes in prop::collection::vec(0_usize..12, 0..8)) {
        let mut world = World::with(spec);
        world.run_until(Phase::Initialized);
        world.deploy("v2");
        for actions in crashes {
            world.fail_after = Some(actions);
            world.pass(12);
            world.restart();
        }
        ends_well(&mut world);
        prop_assert_eq!(world.status.phase, Phase::Succeeded, "{}", world.recent());
        prop_assert_eq!(world.primary.unwrap().revision, "v2");
    }
}
