//! Quirks of the reference that are repaired, its traces, and rollouts that are interrupted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, which may panic"
)]

mod world;

use api::Phase;
use rollout::{Routes, Weight};
use serde_json::json;
use world::stories::{analysis, at_weight, count, progressing, steps, told, until, with_hook};
use world::{Fault, World};

#[test]
fn trace_of_one_hook_of_each_type() {
    let mut spec = analysis(json!({"stepWeight": 100, "stepWeightPromotion": 50}));
    for (name, kind) in [
        ("c", "confirm-rollout"),
        ("pre", "pre-rollout"),
        ("r", "rollout"),
        ("t", "confirm-traffic-increase"),
        ("p", "confirm-promotion"),
        ("post", "post-rollout"),
    ] {
        spec = with_hook(spec, name, kind);
    }
    let mut world = World::initialized(spec);
    world.deploy("v2");
    world.run_until(Phase::Succeeded);
    let events: Vec<_> = world.events().into_iter().filter(|event| !event.contains("not ready")).collect();
    assert_eq!(
        events,
        [
            "[Initialized] Confirm-rollout check c passed",
            "[Progressing] New revision detected! Scaling up cart.shop",
            "[Progressing] Starting canary analysis for cart.shop",
            "[Progressing] Pre-rollout check pre passed",
            "[Progressing] Confirm-traffic-increase check t passed",
            "[Progressing] Advance cart.shop canary weight 100",
            "[Progressing] Confirm-traffic-increase check t passed",
            "[Progressing] Confirm-promotion check p passed",
            "[Progressing] Copying cart.shop template spec to cart-primary.shop",
            "[Promoting] Advance cart.shop primary weight 50",
            "[Promoting] Advance cart.shop primary weight 100",
            "[Succeeded] Post-rollout check post passed",
            "[Succeeded] Promotion completed! Scaling down cart.shop",
        ]
    );
    let hooks: Vec<_> = world.story.iter().filter(|line| line.starts_with("hook")).collect();
    assert_eq!(
        hooks,
        [
            "hook c (Initialized)",
            "hook pre (Progressing)",
            "hook t (Progressing)",
            "hook r (Progressing)",
            "hook t (Progressing)",
            "hook p (Progressing)",
            "hook post (Succeeded)"
        ]
    );
}

#[test]
fn q5_a_primary_that_never_becomes_ready_leaves_the_target_alone() {
    let mut world = World::new(steps(10, 30));
    world.bad.insert("v1".to_owned());
    world.pass(300);
    assert_eq!(world.status.phase, Phase::Initializing);
    assert!(world.canary_up() && !world.apex_on_primary);
}

#[test]
fn q6_a_revision_that_comes_while_initialising_is_what_the_primary_runs() {
    let mut world = World::new(steps(10, 30));
    world.settle();
    world.deploy("v2");
    world.run_until(Phase::Initialized);
    assert_eq!(world.primary.as_ref().unwrap().revision, "v2");
    assert_eq!(world.status.last_promoted_spec.as_deref(), Some("v2"));
}

#[test]
fn q11_a_promotion_that_has_nothing_left_to_shift() {
    let mut world = progressing(analysis(json!({"stepWeight": 100, "stepWeightPromotion": 50})));
    world.run_until(Phase::Promoting);
    world.routes = Some(Routes::to_primary());
    world.run_until(Phase::Succeeded);
}

#[test]
fn q13_a_list_that_leads_nowhere_is_told_once() {
    let mut world = at_weight(with_hook(analysis(json!({"stepWeights": [50, 20, 90]})), "load", "rollout"), 50);
    world.forget_story();
    world.pass(60);
    told(
        &world,
        &[
            "[Progressing] Canary cart.shop cannot advance from weight 50: the next step is -30, set stepWeight or ascending stepWeights",
        ],
    );
    assert_eq!(count(&world, "hook load"), 6, "checks go on, once an interval");
    world.metric("request-success-rate", 1.0);
    world.rest();
    assert_eq!(world.status.phase, Phase::Failed);
}

#[test]
fn q20_a_revision_that_slips_in_before_the_copy_is_analysed_first() {
    let mut world = at_weight(steps(10, 30), 30);
    world.settle();
    world.race = Some("v3".to_owned());
    world.interval();
    assert_eq!(world.primary.as_ref().unwrap().revision, "v1");
    assert_eq!(count(&world, "Restarting"), 1);
    world.run_until(Phase::Succeeded);
    assert_eq!(world.primary.as_ref().unwrap().revision, "v3");
}

#[test]
fn q30_a_failed_canary_at_rest_writes_nothing() {
    let mut world = at_weight(steps(10, 30), 10);
    world.metric("request-success-rate", 1.0);
    world.rest();
    let status = world.status.clone();
    world.pass(600);
    assert_eq!(world.status, status);
}

// What interrupts a rollout

#[test]
fn a_rollback_that_was_interrupted_never_leaves_traffic_without_pods() {
    let mut world = at_weight(with_hook(steps(10, 30), "abort", "rollback"), 10);
    world.hook("abort", Ok(()));
    world.now += jiff::SignedDuration::from_secs(10);
    // Traffic is back and the pods are gone, but the status does not say so; then the hook falls silent.
    let mut answers = rollout::Answers::default();
    for _ in 0..10 {
        world.fail_after = (world.status.phase == Phase::Progressing).then_some(6);
        world.turn(&mut answers);
        if !world.canary_up() {
            break;
        }
    }
    world.fail_after = None;
    assert_eq!((world.status.phase, world.weight(), world.canary_up()), (Phase::Progressing, 0, false));
    world.hook("abort", Err("closed"));
    world.restart();
    world.rest();
    assert_eq!(world.status.phase, Phase::Succeeded);
}

#[test]
fn a_revision_that_comes_during_a_promotion_is_not_swallowed_when_that_fails() {
    let mut world = progressing(analysis(json!({"stepWeight": 100, "stepWeightPromotion": 50})));
    until(&mut world, |world| world.status.phase == Phase::Promoting && world.weight() == 50);
    world.deploy("v3");
    world.pass(5);
    world.primary_fault(Some(Fault::Dead));
    world.settle();
    assert_eq!((world.status.phase, world.weight()), (Phase::Failed, 100));
    world.primary_fault(None);
    world.run_until(Phase::Succeeded);
    assert_eq!(world.primary.as_ref().unwrap().revision, "v3");
}

#[test]
fn routes_that_were_changed_by_hand_while_finalising_are_taken_back_first() {
    let mut world = progressing(steps(50, 50));
    world.run_until(Phase::Finalising);
    world.routes = Some(Routes::weighted(Weight::clipped(40)));
    world.run_until(Phase::Succeeded);
    assert_eq!(world.weight(), 0);
}

#[test]
fn drift_is_repaired_at_rest_and_weights_are_kept_in_a_rollout() {
    let mut world = World::initialized(steps(10, 30));
    world.routes = Some(Routes::weighted(Weight::clipped(40)));
    world.settle();
    assert_eq!(world.weight(), 0);
    let mut running = at_weight(steps(10, 30), 20);
    running.routes = None;
    running.settle();
    assert_eq!(running.weight(), 20, "restored as the status says");
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_a_rollout() {
    let mut world = at_weight(steps(10, 30), 10);
    world.status.last_transition_time = Some(world.now + jiff::SignedDuration::from_hours(5));
    world.restart();
    world.settle();
    assert_eq!(world.weight(), 20);
}

#[test]
fn a_clock_that_was_set_back_takes_no_time_from_proxies_and_little_from_the_rollout() {
    let mut world = progressing(analysis(json!({"stepWeight": 50, "maxWeight": 50, "stepWeightPromotion": 50})));
    world.run_until(Phase::Promoting);
    until(&mut world, |world| world.weight() == 0);
    assert_eq!(world.status.phase, Phase::Finalising);
    world.set_clock(-3600);
    world.pass(9);
    assert!(world.canary_up(), "proxies still need their interval");
    world.pass(2);
    assert_eq!((world.status.phase, world.canary_up()), (Phase::Succeeded, false));

    let mut gated = World::initialized(with_hook(steps(10, 30), "gate", "confirm-rollout"));
    gated.hook("gate", Err("no"));
    gated.deploy("v2");
    gated.run_until(Phase::Waiting);
    gated.set_clock(-3600);
    gated.hook("gate", Ok(()));
    gated.pass(10);
    assert_eq!(gated.status.phase, Phase::Progressing, "the gate is asked although the last time lies ahead");
}

#[test]
fn an_outcome_is_announced_although_the_process_dies_before_it_is() {
    let mut world = progressing(with_hook(steps(50, 50), "after", "post-rollout"));
    world.run_until(Phase::Finalising);
    world.now += jiff::SignedDuration::from_secs(10);
    let mut answers = rollout::Answers::default();
    world.turn(&mut answers);
    assert_eq!((world.status.phase, count(&world, "Promotion completed!")), (Phase::Succeeded, 0));
    world.restart();
    world.settle();
    assert_eq!((count(&world, "Promotion completed!"), count(&world, "hook after (Succeeded)")), (1, 1));
    assert_eq!(world.status.unannounced, None);
}

#[test]
fn what_cannot_be_written_is_told_once_and_taken_back_when_it_can() {
    let mut world = at_weight(steps(10, 30), 10);
    world.forget_story();
    for _ in 0..3 {
        world.fail_after = Some(0);
        let mut answers = rollout::Answers::default();
        world.turn(&mut answers);
    }
    told(&world, &["[Progressing] the API server says no"]);
    let ready = |world: &World| {
        world.status.conditions.iter().find(|condition| condition.kind == "Ready").unwrap().message.clone()
    };
    assert_eq!(ready(&world), "the API server says no");
    world.fail_after = None;
    world.settle();
    assert_ne!(ready(&world), "the API server says no");
}

#[test]
fn without_the_further_conditions_the_status_is_that_of_the_reference() {
    let mut world = World::new(steps(50, 50));
    world.settings = std::sync::Arc::new(api::Settings { kstatus_conditions: false, ..api::Settings::default() });
    let mut world = world.initialize();
    world.deploy("v2");
    world.run_until(Phase::Succeeded);
    let kinds: Vec<_> = world.status.conditions.iter().map(|condition| condition.kind.as_str()).collect();
    assert_eq!(kinds, ["Promoted"]);
}
