//! The acceptance scenarios of gates, hooks and strategies that the decision alone can show; each test is named by its number.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, which may panic"
)]

mod world;

use api::{Phase, Severity};
use rollout::{Abilities, Routes};
use serde_json::{Value, json};
use world::World;
use world::stories::{
    analysis, at_weight, count, hook, kubernetes, progressing, steps, tells, told, until, weights, with_hook,
};

// G. Gates

#[test]
fn g_01_confirm_rollout() {
    let mut world = World::initialized(with_hook(steps(10, 30), "gate", "confirm-rollout"));
    world.hook("gate", Err("no"));
    world.deploy("v2");
    world.pass(35);
    let expected = "hook gate (Initialized)
-> Waiting
[Initialized] Halt cart.shop advancement waiting for approval gate
alert warn: Canary is waiting for approval.
hook gate (Waiting)
hook gate (Waiting)
hook gate (Waiting)";
    assert_eq!(world.story.join("\n"), expected);
    assert!(!world.canary_up());
    assert_eq!(world.status.conditions[0].message, "Waiting for approval.");
    world.forget_story();
    world.hook("gate", Ok(()));
    world.interval();
    assert_eq!(
        &world.events()[..2],
        ["[Waiting] Confirm-rollout check gate passed", "[Progressing] New revision detected! Scaling up cart.shop"]
    );
}

#[test]
fn g_01_a_muted_gate_sends_no_alert() {
    let mut gate = hook("gate", "confirm-rollout");
    gate["muteAlert"] = json!(true);
    let mut world = World::initialized(analysis(json!({"stepWeight": 10, "webhooks": [gate]})));
    world.hook("gate", Err("no"));
    world.deploy("v2");
    world.pass(15);
    assert_eq!(world.status.phase, Phase::Waiting);
    assert!(world.alerts.is_empty());
}

#[test]
fn g_03_confirm_promotion() {
    let mut world = at_weight(with_hook(steps(10, 30), "gate", "confirm-promotion"), 30);
    world.forget_story();
    world.hook("gate", Err("no"));
    world.pass(30);
    let expected = "hook gate (Progressing)
-> WaitingPromotion
[Progressing] Halt cart.shop advancement waiting for promotion approval gate
alert warn: Canary promotion is waiting for approval.
hook gate (Progressing)
hook gate (Progressing)";
    assert_eq!(world.story.join("\n"), expected);
    assert_eq!((world.weight(), world.status.canary_weight, world.status.iterations), (30, 0, -1));
    // Checks go on.
    world.metric("request-success-rate", 1.0);
    world.interval();
    assert_eq!(world.status.failed_checks, 1);
    world.metric("request-success-rate", 100.0);
    world.hook("gate", Ok(()));
    world.forget_story();
    world.run_until(Phase::Succeeded);
    assert_eq!(
        &world.events()[..2],
        [
            "[WaitingPromotion] Confirm-promotion check gate passed",
            "[WaitingPromotion] Copying cart.shop template spec to cart-primary.shop"
        ]
    );
}

#[test]
fn g_03_blue_green_repeats_the_last_iteration_while_it_waits() {
    let mut world = progressing(with_hook(analysis(json!({"iterations": 2})), "gate", "confirm-promotion"));
    world.hook("gate", Err("no"));
    until(&mut world, |world| world.status.phase == Phase::WaitingPromotion);
    assert_eq!(world.status.iterations, 1);
    world.forget_story();
    world.pass(40);
    told(
        &world,
        &[
            "[WaitingPromotion] Advance cart.shop canary iteration 2/2",
            "[WaitingPromotion] Advance cart.shop canary iteration 2/2",
        ],
    );
    world.hook("gate", Ok(()));
    world.run_until(Phase::Succeeded);
}

#[test]
fn g_04_and_q25_confirm_traffic_increase() {
    let mut world = at_weight(with_hook(steps(10, 30), "gate", "confirm-traffic-increase"), 10);
    world.forget_story();
    world.hook("gate", Err("no"));
    world.pass(30);
    let halt = "[Progressing] Halt cart.shop advancement waiting for traffic increase approval gate";
    told(&world, &[halt, halt, halt]);
    assert_eq!(world.alerts, [(Severity::Warn, "Canary traffic increase is waiting for approval.".to_owned())]);
    assert_eq!((world.status.phase, world.status.failed_checks, world.weight()), (Phase::Progressing, 0, 10));
    world.hook("gate", Ok(()));
    world.forget_story();
    world.interval();
    told(
        &world,
        &[
            "[Progressing] Confirm-traffic-increase check gate passed",
            "[Progressing] Advance cart.shop canary weight 20",
        ],
    );
}

#[test]
fn g_05_pre_rollout_failing() {
    let mut world = World::initialized(with_hook(steps(10, 30), "smoke", "pre-rollout"));
    world.hook("smoke", Err("boom"));
    world.deploy("v2");
    world.rest();
    let halt = "[Progressing] Halt cart.shop advancement pre-rollout check smoke failed boom";
    assert_eq!(count(&world, halt), 2);
    assert_eq!(count(&world, "Starting canary analysis for cart.shop"), 2);
    assert_eq!((world.status.phase, weights(&world)), (Phase::Failed, vec![]));
}

#[test]
fn g_06_rollout_hooks_come_before_the_metrics() {
    let mut world = at_weight(with_hook(steps(10, 30), "load", ""), 10);
    world.hook("load", Err("too slow"));
    world.metric("request-success-rate", 1.0);
    world.forget_story();
    world.interval();
    told(&world, &["[Progressing] Halt cart.shop advancement external check load failed too slow"]);
    assert_eq!(world.status.failed_checks, 1);
}

#[test]
fn g_07_post_rollout_hooks_change_nothing() {
    let analysis = with_hook(with_hook(steps(50, 50), "one", "post-rollout"), "two", "post-rollout");
    let mut world = progressing(analysis.clone());
    world.hook("one", Err("boom"));
    world.run_until(Phase::Succeeded);
    tells(&world, "hook one (Succeeded)");
    tells(&world, "[Succeeded] Post-rollout hook one failed boom");
    assert_eq!(count(&world, "hook two"), 0);
    tells(&world, "[Succeeded] Promotion completed! Scaling down cart.shop");
    let mut failing = at_weight(analysis, 50);
    failing.metric("request-success-rate", 1.0);
    failing.rest();
    tells(&failing, "hook two (Failed)");
    assert_eq!(failing.status.unannounced, None);
}

#[test]
fn g_08_rollback_hook() {
    let mut world = at_weight(with_hook(steps(10, 30), "abort", "rollback"), 10);
    world.hook("abort", Err("closed"));
    world.forget_story();
    world.interval();
    told(
        &world,
        &[
            "[Progressing] Rollback hook abort not signaling a rollback",
            "[Progressing] Advance cart.shop canary weight 20",
        ],
    );
    world.hook("abort", Ok(()));
    world.forget_story();
    world.interval();
    told(
        &world,
        &[
            "[Progressing] Rollback check abort passed",
            "[Progressing] Rolling back cart.shop manual webhook invoked",
            "[Failed] Canary failed! Scaling down cart.shop",
        ],
    );
    assert_eq!(world.alerts, [(Severity::Warn, "Rolling back manual webhook invoked".to_owned())]);
    assert_eq!((world.status.phase, world.weight(), world.canary_up()), (Phase::Failed, 0, false));
}

#[test]
fn g_08_and_q21_rollback_hooks_are_asked_while_the_gate_is_closed() {
    let analysis = with_hook(with_hook(steps(10, 30), "gate", "confirm-rollout"), "abort", "rollback");
    let mut world = World::initialized(analysis);
    world.hook("gate", Err("no"));
    world.deploy("v2");
    world.run_until(Phase::Waiting);
    world.hook("abort", Ok(()));
    world.interval();
    assert_eq!(world.status.phase, Phase::Failed);
    world.rest();
    assert_eq!(world.status.phase, Phase::Failed, "the refused revision is not tried again");
    assert_eq!(world.status.last_applied_spec.as_deref(), Some("v2"));
}

// S. Strategies

fn ab(iterations: i64) -> Value {
    analysis(json!({"iterations": iterations, "match": [{"headers": {"x-canary": {"exact": "insider"}}}]}))
}

#[test]
fn s_01_and_s_02_ab_testing() {
    let mut world = progressing(ab(5));
    until(&mut world, |world| world.status.iterations == 3);
    assert_eq!((world.weight(), world.status.canary_weight), (100, 0));
    assert_eq!(world.last_plan.as_ref().unwrap().gauges.weights, Some((0, 100)));
    world.run_until(Phase::Succeeded);
    let iterations: Vec<_> = world.events().into_iter().filter(|event| event.contains("iteration")).collect();
    assert_eq!(iterations.first(), Some(&"[Progressing] Advance cart.shop canary iteration 1/5"));
    assert_eq!(
        (iterations.last(), iterations.len()),
        (Some(&"[Progressing] Advance cart.shop canary iteration 5/5"), 5)
    );
    tells(&world, "[Promoting] Routing all traffic to primary");
    assert_eq!(weights(&world), ["0/100", "100/0"]);
    let mut failing = progressing(ab(5));
    until(&mut failing, |world| world.status.iterations == 1);
    failing.metric("request-success-rate", 1.0);
    failing.rest();
    assert_eq!((failing.status.phase, failing.weight()), (Phase::Failed, 0));
}

#[test]
fn q12_fewer_iterations_in_the_middle_of_a_rollout() {
    let mut world = progressing(ab(5));
    until(&mut world, |world| world.status.iterations == 4);
    world.canary.spec.analysis.as_mut().unwrap().iterations = 2;
    world.run_until(Phase::Succeeded);
}

#[test]
fn s_03_blue_green() {
    let mut world = progressing(with_hook(analysis(json!({"iterations": 2})), "gate", "confirm-promotion"));
    until(&mut world, |world| world.status.iterations == 3);
    assert_eq!(world.weight(), 100);
    world.run_until(Phase::Succeeded);
    assert_eq!(
        world.trace().lines().skip_while(|line| !line.contains("Starting")).collect::<Vec<_>>(),
        [
            "[Progressing] Starting canary analysis for cart.shop",
            "[Progressing] Advance cart.shop canary iteration 1/2",
            "[Progressing] Advance cart.shop canary iteration 2/2",
            "hook gate (Progressing)",
            "[Progressing] Confirm-promotion check gate passed",
            "route 0/100",
            "[Progressing] Routing all traffic to canary",
            "hook gate (Progressing)",
            "[Progressing] Confirm-promotion check gate passed",
            "promote v2",
            "-> Promoting",
            "[Progressing] Copying cart.shop template spec to cart-primary.shop",
            "route 100/0",
            "-> Finalising",
            "[Promoting] Routing all traffic to primary",
            "scale cart down",
            "-> Succeeded",
            "[Succeeded] Promotion completed! Scaling down cart.shop",
            "alert info: Canary analysis completed successfully, promotion finished.",
        ]
    );
}

#[test]
fn s_04_a_router_that_shifts_nothing() {
    let mut spec = steps(10, 30);
    spec["match"] = json!([{"headers": {"x": {"exact": "y"}}}]);
    let mut world = World::with(json!({"analysis": spec, "provider": "kubernetes"}));
    world.abilities = kubernetes();
    let mut world = world.initialize();
    world.deploy("v2");
    world.run_until(Phase::Succeeded);
    let warnings: Vec<_> =
        world.events().into_iter().filter(|event| event.contains("upported") || event.contains("Setting")).collect();
    assert_eq!(
        warnings,
        [
            "[Progressing] A/B testing is not supported when using the kubernetes provider",
            "[Progressing] Progressive traffic is not supported when using the kubernetes provider",
            "[Progressing] Setting canaryAnalysis.iterations: 10",
        ]
    );
    tells(&world, "[Progressing] Advance cart.shop canary iteration 10/10");
    assert_eq!((count(&world, "Routing"), weights(&world)), (0, vec![]));
}

#[test]
fn s_05_mirroring_with_iterations() {
    let mut world = progressing(analysis(json!({"iterations": 2, "mirror": true})));
    world.run_until(Phase::Succeeded);
    assert_eq!(weights(&world), ["100/0 mirrored", "0/100", "100/0"]);
    tells(&world, "[Progressing] Stop traffic mirroring and route all traffic to canary");
    let mut failing = progressing(analysis(json!({"iterations": 5, "mirror": true})));
    until(&mut failing, |world| world.routes.as_ref().unwrap().mirrored);
    failing.metric("request-success-rate", 1.0);
    failing.rest();
    assert_eq!(failing.routes, Some(Routes::to_primary()));
}

#[test]
fn s_06_mirroring_before_the_first_step() {
    let spec = with_hook(
        with_hook(analysis(json!({"stepWeight": 10, "maxWeight": 20, "mirror": true})), "smoke", "pre-rollout"),
        "gate",
        "confirm-traffic-increase",
    );
    let mut world = progressing(spec.clone());
    world.run_until(Phase::Succeeded);
    assert_eq!(weights(&world), ["100/0 mirrored", "90/10", "80/20", "100/0"]);
    tells(&world, "[Progressing] Advance cart.shop canary weight 0");
    // Not asked on the way out of mirroring.
    assert_eq!((count(&world, "hook smoke"), count(&world, "hook gate")), (1, 3));
    let mut unable = World::initialized(spec);
    unable.abilities = Abilities {
        mirrors: false,
        missing: vec!["Traffic mirroring is not supported".to_owned()],
        ..Abilities::default()
    };
    unable.deploy("v2");
    unable.run_until(Phase::Succeeded);
    assert_eq!(weights(&unable), ["90/10", "80/20", "100/0"]);
    assert_eq!(count(&unable, "[Progressing] Traffic mirroring is not supported"), 1);
}

#[test]
fn s_07_cookies_live_as_long_as_the_canary_has_traffic() {
    let affinity = json!({"cookieName": "c", "primaryCookieName": "p"});
    let mut world = progressing(analysis(json!({"stepWeight": 10, "maxWeight": 20, "sessionAffinity": affinity})));
    until(&mut world, |world| world.weight() == 10);
    let cookie = world.status.session_affinity_cookie.clone().unwrap();
    assert!(cookie.starts_with("c=") && cookie.len() == 12, "{cookie}");
    until(&mut world, |world| world.weight() == 20);
    assert_eq!(world.status.session_affinity_cookie.as_ref(), Some(&cookie));
    world.run_until(Phase::Succeeded);
    assert_eq!(world.status.session_affinity_cookie, None);
    assert_eq!(world.status.previous_session_affinity_cookie.as_ref(), Some(&cookie));
    world.deploy("v3");
    until(&mut world, |world| world.weight() == 10);
    assert_ne!(world.status.session_affinity_cookie.as_ref(), Some(&cookie));
}
