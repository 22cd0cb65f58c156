//! The acceptance scenarios of life cycle, gates and strategies that the decision alone can show; each test is named by its number.

mod world;

use api::{Phase, Severity};
use rollout::{Abilities, AffinityAbility, MetricTrouble, Outcome, Routes, Weight};
use serde_json::{Value, json};
use world::{Fault, World};

const WARMING: &str = "canary deployment cart.shop not ready: waiting for rollout to finish: 0 out of 1 new replicas have been updated";
const ROLLING: &str = "cart-primary.shop not ready: waiting for rollout to finish: 0 out of 1 new replicas have been updated";

/// An analysis with what most scenarios share: an interval of 10 s, threshold 2, the success rate.
fn analysis(extra: Value) -> Value {
    let mut analysis = json!({"interval": "10s", "threshold": 2, "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}]});
    for (key, value) in extra.as_object().unwrap() {
        analysis[key] = value.clone();
    }
    analysis
}

fn steps(step: i64, max: i64) -> Value {
    analysis(json!({"stepWeight": step, "maxWeight": max}))
}

fn hook(name: &str, kind: &str) -> Value {
    json!({"name": name, "type": kind, "url": "http://gate/"})
}

fn with_hook(mut analysis: Value, name: &str, kind: &str) -> Value {
    let hooks = analysis.as_object_mut().unwrap().entry("webhooks").or_insert(json!([]));
    hooks.as_array_mut().unwrap().push(hook(name, kind));
    analysis
}

/// Initialised, and a new revision is being analysed.
fn progressing(analysis: Value) -> World {
    let mut world = World::initialized(analysis);
    world.deploy("v2");
    world.run_until(Phase::Progressing);
    world
}

/// As far as the weight is reached.
fn at_weight(analysis: Value, weight: i64) -> World {
    let mut world = progressing(analysis);
    until(&mut world, |world| world.weight() == weight);
    world
}

fn until(world: &mut World, reached: impl Fn(&World) -> bool) {
    for _ in 0..100 {
        let wake = world.settle();
        if reached(world) {
            return;
        }
        world.advance(wake);
    }
    panic!("never reached:\n{}", world.story.join("\n"));
}

#[track_caller]
fn told(world: &World, expected: &[&str]) {
    assert_eq!(world.events(), expected, "\n{}", world.story.join("\n"));
}

#[track_caller]
fn tells(world: &World, line: &str) {
    assert!(world.story.iter().any(|told| told == line), "{line} is missing in\n{}", world.story.join("\n"));
}

fn count(world: &World, text: &str) -> usize {
    world.story.iter().filter(|line| line.contains(text)).count()
}

fn weights(world: &World) -> Vec<&str> {
    world.story.iter().filter_map(|line| line.strip_prefix("route ")).collect()
}

fn kubernetes() -> Abilities {
    Abilities { shifts: false, matches: false, mirrors: false, affinity: AffinityAbility::None, routes_first: false, missing: Vec::new() }
}

// L. Life cycle

#[test]
fn l_02_clients_go_to_the_primary_only_when_it_is_ready() {
    let mut world = World::new(steps(10, 30));
    world.startup = 25;
    world.pass(20);
    assert!(world.canary_up() && !world.apex_on_primary && world.routes.is_none());
    assert_eq!(world.status.phase, Phase::Initializing);
    world.run_until(Phase::Initialized);
    assert!(!world.canary_up() && world.apex_on_primary && world.weight() == 0);
    // Providers are looked at once an interval, as long as it takes.
    told(&world, &[
        "[Initializing] all the metrics providers are available!",
        &format!("[Initializing] {ROLLING}"),
        "[Initializing] all the metrics providers are available!",
        "[Initializing] all the metrics providers are available!",
        "[Initialized] Initialization done! cart.shop",
    ]);
    assert_eq!(world.alerts, [(Severity::Info, "New Deployment detected, initialization completed.".to_owned())]);
    assert_eq!(world.status.last_applied_spec, world.status.last_promoted_spec);
}

#[test]
fn l_03_without_analysis_nobody_waits_for_the_primary() {
    let mut world = World::with(json!({"analysis": steps(10, 30), "skipAnalysis": true}));
    world.settle();
    assert_eq!(world.status.phase, Phase::Initialized);
    assert!(!world.canary_up());
    told(&world, &["[Initialized] Initialization done! cart.shop"]);
}

#[test]
fn l_09_happy_promotion() {
    let mut world = World::new(with_hook(steps(10, 30), "smoke", "pre-rollout"));
    world.run_until(Phase::Initialized);
    world.deploy("v2");
    world.run_until(Phase::Succeeded);
    let expected = format!(
        "-> Initializing
[Initializing] all the metrics providers are available!
[Initializing] {ROLLING}
route 100/0
scale cart down
-> Initialized
[Initialized] Initialization done! cart.shop
alert info: New Deployment detected, initialization completed.
scale cart up
-> Progressing
[Progressing] New revision detected! Scaling up cart.shop
alert info: New revision detected, progressing canary analysis.
[Progressing] {WARMING}
[Progressing] Starting canary analysis for cart.shop
hook smoke (Progressing)
[Progressing] Pre-rollout check smoke passed
route 90/10
[Progressing] Advance cart.shop canary weight 10
route 80/20
[Progressing] Advance cart.shop canary weight 20
route 70/30
[Progressing] Advance cart.shop canary weight 30
promote v2
-> Promoting
[Progressing] Copying cart.shop template spec to cart-primary.shop
[Promoting] {ROLLING}
route 100/0
-> Finalising
[Promoting] Routing all traffic to primary
scale cart down
-> Succeeded
[Succeeded] Promotion completed! Scaling down cart.shop
alert info: Canary analysis completed successfully, promotion finished."
    );
    assert_eq!(world.story.join("\n"), expected);
    assert_eq!(world.counted, [Outcome::Succeeded]);
    assert_eq!(world.primary.as_ref().unwrap().revision, "v2");
    assert_eq!(world.status.last_promoted_spec.as_deref(), Some("v2"));
    assert_eq!(world.last_plan.as_ref().unwrap().gauges.status, Some(1));
    let promoted = &world.status.conditions[0];
    assert_eq!((promoted.kind.as_str(), promoted.reason.as_str()), ("Promoted", "Succeeded"));
    assert_eq!(promoted.message, "Canary analysis completed successfully, promotion finished.");
}

#[test]
fn the_canary_keeps_its_pods_for_an_interval_after_it_lost_its_traffic() {
    let mut world = World::initialized(steps(50, 50));
    world.deploy("v2");
    world.run_until(Phase::Finalising);
    world.pass(9);
    assert!(world.canary_up());
    world.pass(1);
    assert!(!world.canary_up());
    assert_eq!(world.status.phase, Phase::Succeeded);
}

#[test]
fn l_10_steps_may_overshoot_the_maximum() {
    let mut world = progressing(steps(20, 50));
    world.run_until(Phase::Succeeded);
    assert_eq!(weights(&world), ["80/20", "60/40", "40/60", "100/0"]);
    let mut unlimited = progressing(analysis(json!({"stepWeight": 50})));
    unlimited.run_until(Phase::Succeeded);
    assert_eq!(weights(&unlimited), ["50/50", "0/100", "100/0"]);
}

#[test]
fn a_maximum_above_100_is_reached_at_100() {
    let mut world = progressing(steps(50, 130));
    world.run_until(Phase::Succeeded);
    assert_eq!(weights(&world), ["50/50", "0/100", "100/0"]);
}

#[test]
fn a_list_that_ends_at_zero_promotes_nothing_unchecked() {
    let mut world = progressing(with_hook(analysis(json!({"stepWeights": [10, 0]})), "load", "rollout"));
    world.hook("load", Err("no"));
    world.rest();
    assert_eq!((world.status.phase, world.primary.as_ref().unwrap().revision.as_str()), (Phase::Failed, "v1"));
}

#[test]
fn l_11_lists_of_steps() {
    for (list, max, expected) in [
        (json!([1, 2, 10, 80]), 0, vec!["99/1", "98/2", "90/10", "20/80", "100/0"]),
        (json!([1, 2, 10, 200]), 0, vec!["99/1", "98/2", "90/10", "0/100", "100/0"]),
        (json!([10, 20, 30, 40, 50, 60]), 50, vec!["90/10", "80/20", "70/30", "60/40", "50/50", "40/60", "100/0"]),
    ] {
        let mut world = progressing(analysis(json!({"stepWeights": list, "maxWeight": max})));
        world.run_until(Phase::Succeeded);
        assert_eq!(weights(&world), expected);
    }
}

#[test]
fn l_12_staged_promotion() {
    let mut world = progressing(analysis(json!({"stepWeight": 100, "stepWeightPromotion": 50})));
    until(&mut world, |world| world.weight() == 50);
    assert_eq!((world.status.phase, world.status.canary_weight), (Phase::Promoting, 50));
    world.run_until(Phase::Succeeded);
    assert_eq!(weights(&world), ["0/100", "50/50", "100/0"]);
    tells(&world, "[Promoting] Advance cart.shop primary weight 50");
    tells(&world, "[Promoting] Advance cart.shop primary weight 100");
    assert_eq!(count(&world, "Routing all traffic to primary"), 0);
    let mut overshooting = progressing(analysis(json!({"stepWeight": 100, "stepWeightPromotion": 60})));
    overshooting.run_until(Phase::Succeeded);
    assert_eq!(weights(&overshooting), ["0/100", "60/40", "100/0"]);
}

#[test]
fn l_13_failing_checks_roll_back() {
    let mut world = at_weight(steps(10, 30), 10);
    world.forget_story();
    world.metric("request-success-rate", 69.169);
    world.interval();
    assert_eq!((world.status.failed_checks, world.weight()), (1, 10));
    world.rest();
    let expected = "[Progressing] Halt cart.shop advancement success rate 69.17% < 99%
[Progressing] Halt cart.shop advancement success rate 69.17% < 99%
route 100/0
scale cart down
[Progressing] Rolling back cart.shop failed checks threshold reached 2
alert error: Failed checks threshold reached 2
[Failed] Canary failed! Scaling down cart.shop
-> Failed";
    assert_eq!(world.story.join("\n"), expected);
    let status = &world.status;
    assert_eq!((status.failed_checks, status.canary_weight, status.iterations), (0, 0, 0));
    assert_eq!(status.conditions[0].message, "Canary analysis failed, Deployment scaled to zero.");
    assert_eq!((status.last_applied_spec.as_deref(), status.last_promoted_spec.as_deref()), (Some("v2"), Some("v1")));
    assert_eq!(world.counted, [Outcome::Failed]);
    assert_eq!(world.last_plan.as_ref().unwrap().gauges.status, Some(2));
}

#[test]
fn l_14_a_good_round_does_not_forgive_a_failed_one() {
    let mut world = at_weight(steps(10, 100), 10);
    world.metric("request-success-rate", 1.0);
    world.interval();
    world.metric("request-success-rate", 100.0);
    world.interval();
    assert_eq!((world.status.failed_checks, world.weight()), (1, 20));
    world.metric("request-success-rate", 1.0);
    world.interval();
    assert_eq!(world.status.phase, Phase::Failed);
}

#[test]
fn l_15_and_l_16_texts_of_failed_checks() {
    let metrics = json!([
        {"name": "request-success-rate", "thresholdRange": {"min": 99}},
        {"name": "request-duration", "thresholdRange": {"max": 500}},
        {"name": "404s percentage", "query": "q", "threshold": 3},
        {"name": "errors", "templateRef": {"name": "t"}, "thresholdRange": {"max": 5}},
    ]);
    let mut world = at_weight(analysis(json!({"stepWeight": 10, "threshold": 20, "metrics": metrics})), 10);
    world.forget_story();
    for (metric, answer, expected) in [
        ("request-duration", Ok(1515.0), "Halt cart.shop advancement request duration 1.515s > 500ms"),
        ("errors", Ok(6.2), "Halt cart.shop advancement errors 6.20 > 5"),
        ("404s percentage", Ok(6.2), "Halt cart.shop advancement 404s percentage 6.20 > 3"),
        (
            "request-success-rate",
            Err(MetricTrouble::NoValues("running query failed: no values found".to_owned())),
            "Halt advancement no values found for istio metric request-success-rate probably cart.shop is not receiving traffic: running query failed: no values found",
        ),
        ("errors", Err(MetricTrouble::Failed("boom".to_owned())), "Metric query failed for errors: boom"),
    ] {
        let failed = world.status.failed_checks;
        world.metrics.insert(metric.to_owned(), answer);
        world.interval();
        world.metric("request-success-rate", 100.0);
        for metric in ["request-duration", "errors", "404s percentage"] {
            world.metric(metric, 1.0);
        }
        assert_eq!(world.events().last(), Some(&format!("[Progressing] {expected}").as_str()));
        assert_eq!(world.status.failed_checks, failed + 1);
    }
}

#[test]
fn l_17_and_q1_a_failed_revision_can_be_tried_again() {
    let mut world = at_weight(steps(10, 30), 10);
    world.metric("request-success-rate", 1.0);
    world.rest();
    world.forget_story();
    world.deploy("v1");
    world.rest();
    assert_eq!((world.status.phase, world.story.as_slice()), (Phase::Failed, &[] as &[String]));
    assert_eq!(world.primary.as_ref().unwrap().revision, "v1");
    // The primary is not ready at the moment of the change: the change waits, and is not lost.
    world.primary_fault(Some(Fault::Passing));
    world.deploy("v2");
    world.pass(30);
    assert_eq!(world.status.phase, Phase::Failed);
    world.primary_fault(None);
    world.metric("request-success-rate", 100.0);
    world.settle();
    assert_eq!(world.status.phase, Phase::Progressing);
    world.run_until(Phase::Succeeded);
    assert_eq!(world.primary.as_ref().unwrap().revision, "v2");
}

#[test]
fn l_18_a_change_restarts_the_analysis() {
    let mut world = at_weight(with_hook(steps(10, 30), "smoke", "pre-rollout"), 20);
    world.forget_story();
    world.deploy("v3");
    world.settle();
    let expected = format!(
        "route 100/0
[Progressing] New revision detected! Restarting analysis for cart.shop
[Progressing] {WARMING}"
    );
    assert_eq!(world.story.join("\n"), expected);
    let status = &world.status;
    assert_eq!((status.phase, status.canary_weight, status.failed_checks), (Phase::Progressing, 0, 0));
    world.run_until(Phase::Succeeded);
    assert_eq!(count(&world, "hook smoke"), 1);
    assert_eq!(world.primary.as_ref().unwrap().revision, "v3");
}

#[test]
fn l_19_and_q22_going_back_to_the_promoted_revision_is_no_change() {
    let mut world = at_weight(steps(10, 30), 20);
    world.deploy("v1");
    world.run_until(Phase::Succeeded);
    assert_eq!(count(&world, "Restarting"), 0);
    assert_eq!(world.primary.as_ref().unwrap().revision, "v1");
    world.rest();
    assert_eq!(world.status.phase, Phase::Succeeded);
    assert_eq!(world.status.last_promoted_spec.as_deref(), Some("v1"));
    // What was abandoned is a new revision again.
    world.deploy("v2");
    world.settle();
    assert_eq!(world.status.phase, Phase::Progressing);
}

#[test]
fn l_20_a_changed_config_is_a_change() {
    let mut world = World::new(steps(10, 30));
    world.configs.insert("secret/cart-secret".to_owned(), "one".to_owned());
    let mut world = world.initialize();
    world.configs.insert("secret/cart-secret".to_owned(), "two".to_owned());
    until(&mut world, |world| world.weight() == 10);
    assert_eq!(world.primary_configs["secret/cart-secret"], "one");
    world.configs.insert("secret/cart-secret".to_owned(), "three".to_owned());
    world.settle();
    assert_eq!(count(&world, "Restarting"), 1);
    world.run_until(Phase::Succeeded);
    assert_eq!(world.primary_configs["secret/cart-secret"], "three");
}

#[test]
fn l_22_skipped_analysis() {
    let analysis = with_hook(with_hook(with_hook(steps(10, 30), "smoke", "pre-rollout"), "load", "rollout"), "after", "post-rollout");
    let mut world = World::initialized(analysis);
    world.canary.spec.skip_analysis = true;
    world.deploy("v2");
    world.run_until(Phase::Succeeded);
    let expected = format!(
        "scale cart up
-> Progressing
[Progressing] New revision detected! Scaling up cart.shop
alert info: New revision detected, progressing canary analysis.
[Progressing] {WARMING}
promote v2
scale cart down
-> Succeeded
hook after (Succeeded)
[Progressing] Copying cart.shop template spec to cart-primary.shop"
    );
    let mut lines: Vec<&str> = expected.lines().collect();
    let copying = lines.pop().unwrap();
    lines.insert(5, copying);
    lines.extend([
        "[Succeeded] Post-rollout check after passed",
        "[Succeeded] Promotion completed! Canary analysis was skipped for cart.shop",
        "alert info: Canary analysis was skipped, promotion finished.",
    ]);
    assert_eq!(world.story, lines);
    assert_eq!(world.counted, [Outcome::Skipped]);
}

#[test]
fn l_22_skipping_ends_a_running_analysis() {
    let mut world = at_weight(steps(10, 30), 20);
    world.canary.spec.skip_analysis = true;
    world.settle();
    assert_eq!((world.status.phase, world.weight(), world.canary_up()), (Phase::Succeeded, 0, false));
}

#[test]
fn l_24_and_q2_a_canary_that_never_becomes_ready() {
    let mut world = World::initialized(steps(10, 30));
    world.bad.insert("v2".to_owned());
    world.deploy("v2");
    world.run_until(Phase::Failed);
    let late = "canary deployment cart.shop not ready: deployment \"cart\" exceeded its progress deadline";
    let expected = [
        "route 100/0".to_owned(),
        "scale cart down".to_owned(),
        format!("[Progressing] {late}"),
        format!("[Progressing] Rolling back cart.shop progress deadline exceeded {late}"),
        format!("alert error: Progress deadline exceeded {late}"),
        "[Failed] Canary failed! Scaling down cart.shop".to_owned(),
        "-> Failed".to_owned(),
    ];
    for line in expected.iter().skip(1) {
        tells(&world, line);
    }
    assert_eq!(world.weight(), 0);
}

#[test]
fn l_25_an_unhealthy_primary_halts_or_ends_the_analysis() {
    let mut world = at_weight(steps(10, 30), 10);
    world.primary_fault(Some(Fault::Passing));
    world.pass(60);
    assert_eq!((world.status.phase, world.status.failed_checks, world.weight()), (Phase::Progressing, 0, 10));
    world.primary_fault(Some(Fault::Lasting));
    world.settle();
    assert_eq!((world.status.phase, world.weight()), (Phase::Failed, 0));
}

#[test]
fn l_25_nobody_is_left_without_a_side_that_serves() {
    let mut world = at_weight(steps(10, 30), 10);
    world.primary_fault(Some(Fault::Dead));
    world.pass(60);
    assert_eq!((world.status.phase, world.weight(), world.canary_up()), (Phase::Progressing, 10, true));
    assert_eq!(count(&world, "cart-primary.shop not ready: deployment"), 1);
    world.primary_fault(None);
    world.run_until(Phase::Succeeded);
}

fn failed_promotion() -> World {
    let analysis = with_hook(analysis(json!({"stepWeight": 100, "stepWeightPromotion": 50})), "after", "post-rollout");
    let mut world = progressing(analysis);
    until(&mut world, |world| world.status.phase == Phase::Promoting && world.weight() == 50);
    world.forget_story();
    world.primary_fault(Some(Fault::Dead));
    world.rest();
    world
}

#[test]
fn l_26_a_primary_that_breaks_while_it_is_promoted() {
    let world = failed_promotion();
    let reason = "cart-primary.shop not ready: deployment \"cart-primary\" exceeded its progress deadline";
    let expected = format!(
        "route 0/100
[Promoting] {reason}
[Promoting] Promotion of cart.shop failed, primary not ready: {reason}
alert error: Promotion failed, primary not ready: {reason}
-> Failed
hook after (Failed)
[Promoting] Post-rollout check after passed"
    );
    assert_eq!(world.story.join("\n"), expected);
    assert_eq!((world.status.canary_weight, world.canary_up()), (100, true));
    assert_eq!(world.counted, [Outcome::Failed]);
}

#[test]
fn l_26_with_no_side_ready_nothing_is_moved() {
    let mut world = progressing(analysis(json!({"stepWeight": 100, "stepWeightPromotion": 50})));
    until(&mut world, |world| world.status.phase == Phase::Promoting && world.weight() == 50);
    world.forget_story();
    world.primary_fault(Some(Fault::Dead));
    world.target_fault(Some(Fault::Passing));
    world.pass(60);
    assert_eq!((world.status.phase, world.weight()), (Phase::Promoting, 50));
    assert_eq!(count(&world, "Promotion of cart.shop failed"), 1, "{}", world.story.join("\n"));
    assert!(world.alerts.is_empty());
    world.target_fault(None);
    world.rest();
    assert_eq!((world.status.phase, world.weight()), (Phase::Failed, 100));
}

#[test]
fn l_26b_and_q4_a_fix_waits_while_the_primary_is_broken() {
    let mut world = failed_promotion();
    world.forget_story();
    world.deploy("v3");
    world.pass(120);
    assert_eq!((world.status.phase, world.weight(), world.canary_up()), (Phase::Failed, 100, true));
    assert_eq!(weights(&world), [] as [&str; 0]);
    assert_eq!(count(&world, "cart-primary.shop not ready"), 1);
    world.primary_fault(None);
    world.settle();
    assert_eq!((world.status.phase, weights(&world)), (Phase::Progressing, vec!["100/0", "0/100"]));
    world.run_until(Phase::Succeeded);
    assert_eq!(world.primary.as_ref().unwrap().revision, "v3");
}

#[test]
fn l_26b_a_fix_without_analysis_heals_the_primary_before_it_gets_traffic() {
    let mut world = failed_promotion();
    world.forget_story();
    world.canary.spec.skip_analysis = true;
    world.deploy("v3");
    world.run_until(Phase::Succeeded);
    assert_eq!((world.weight(), world.primary.as_ref().unwrap().revision.as_str()), (0, "v3"));
    let order: Vec<_> = world.story.iter().filter(|line| line.starts_with("promote") || line.starts_with("route")).collect();
    assert_eq!(order, ["promote v3", "route 100/0"]);
}

#[test]
fn q4_a_dead_primary_at_rest_does_not_end_as_failed() {
    let mut world = World::initialized(steps(10, 30));
    world.primary_fault(Some(Fault::Dead));
    world.deploy("v2");
    world.pass(60);
    assert_eq!(world.status.phase, Phase::Initialized);
    assert_eq!(world.events(), ["[Initialized] cart-primary.shop not ready: deployment \"cart-primary\" exceeded its progress deadline"]);
    world.primary_fault(None);
    world.run_until(Phase::Succeeded);
}

#[test]
fn l_28_suspension() {
    let mut world = at_weight(steps(10, 30), 20);
    world.forget_story();
    world.canary.spec.suspend = true;
    world.pass(60);
    told(&world, &["[Progressing] skipping canary run as object is suspended"]);
    world.services = false;
    world.pass(10);
    assert!(!world.services, "repaired while suspended");
    world.canary.spec.suspend = false;
    world.interval();
    assert_eq!(world.weight(), 30);
    assert!(world.services);
}

#[test]
fn l_34_deletion_with_revert() {
    let mut world = World::with(json!({"analysis": steps(10, 30), "revertOnDeletion": true})).initialize();
    assert!(world.object.finalizer);
    world.object.deleting = true;
    world.settle();
    assert!(world.object.finalizer && world.canary_up(), "the finalizer goes only when the target is back");
    world.pass(30);
    assert!(!world.object.finalizer);
    let expected = "-> Terminating
[Initialized] Terminating canary cart.shop
scale cart up
[Initialized] Terminated canary cart.shop";
    assert_eq!(world.story.join("\n"), expected);
}

#[test]
fn l_34_a_suspended_canary_is_given_back_too() {
    let mut world = World::with(json!({"analysis": steps(10, 30), "revertOnDeletion": true, "suspend": true}));
    world.settle();
    assert!(world.object.finalizer && !world.services);
    assert_eq!(world.status.phase, Phase::Initializing);
}

#[test]
fn l_35_turning_revert_off() {
    let mut world = World::with(json!({"analysis": steps(10, 30), "revertOnDeletion": true})).initialize();
    world.canary.spec.revert_on_deletion = false;
    world.settle();
    assert!(!world.object.finalizer);
}

#[test]
fn l_38_an_unreachable_provider_does_not_block_the_initialisation() {
    let mut world = World::new(steps(10, 30));
    world.providers = Err("prometheus not avaiable: no route".to_owned());
    world.run_until(Phase::Initialized);
    tells(&world, "[Initializing] Error checking metric providers: prometheus not avaiable: no route");
}

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
    assert_eq!(&world.events()[..2], ["[Waiting] Confirm-rollout check gate passed", "[Progressing] New revision detected! Scaling up cart.shop"]);
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
        ["[WaitingPromotion] Confirm-promotion check gate passed", "[WaitingPromotion] Copying cart.shop template spec to cart-primary.shop"]
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
    told(&world, &["[WaitingPromotion] Advance cart.shop canary iteration 2/2", "[WaitingPromotion] Advance cart.shop canary iteration 2/2"]);
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
    told(&world, &["[Progressing] Confirm-traffic-increase check gate passed", "[Progressing] Advance cart.shop canary weight 20"]);
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
    told(&world, &["[Progressing] Rollback hook abort not signaling a rollback", "[Progressing] Advance cart.shop canary weight 20"]);
    world.hook("abort", Ok(()));
    world.forget_story();
    world.interval();
    told(&world, &[
        "[Progressing] Rollback check abort passed",
        "[Progressing] Rolling back cart.shop manual webhook invoked",
        "[Failed] Canary failed! Scaling down cart.shop",
    ]);
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
    assert_eq!((iterations.last(), iterations.len()), (Some(&"[Progressing] Advance cart.shop canary iteration 5/5"), 5));
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
    let warnings: Vec<_> = world.events().into_iter().filter(|event| event.contains("upported") || event.contains("Setting")).collect();
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
    let spec = with_hook(with_hook(analysis(json!({"stepWeight": 10, "maxWeight": 20, "mirror": true})), "smoke", "pre-rollout"), "gate", "confirm-traffic-increase");
    let mut world = progressing(spec.clone());
    world.run_until(Phase::Succeeded);
    assert_eq!(weights(&world), ["100/0 mirrored", "90/10", "80/20", "100/0"]);
    tells(&world, "[Progressing] Advance cart.shop canary weight 0");
    // Not asked on the way out of mirroring.
    assert_eq!((count(&world, "hook smoke"), count(&world, "hook gate")), (1, 3));
    let mut unable = World::initialized(spec);
    unable.abilities = Abilities { mirrors: false, missing: vec!["Traffic mirroring is not supported".to_owned()], ..Abilities::default() };
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

// Quirks that are repaired, and traces

#[test]
fn trace_of_one_hook_of_each_type() {
    let mut spec = analysis(json!({"stepWeight": 100, "stepWeightPromotion": 50}));
    for (name, kind) in [("c", "confirm-rollout"), ("pre", "pre-rollout"), ("r", "rollout"), ("t", "confirm-traffic-increase"), ("p", "confirm-promotion"), ("post", "post-rollout")] {
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
    told(&world, &["[Progressing] Canary cart.shop cannot advance from weight 50: the next step is -30, set stepWeight or ascending stepWeights"]);
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
    let ready = |world: &World| world.status.conditions.iter().find(|condition| condition.kind == "Ready").unwrap().message.clone();
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
