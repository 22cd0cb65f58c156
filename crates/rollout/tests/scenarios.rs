//! The acceptance scenarios of the life cycle that the decision alone can show; each test is named by its number.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, which may panic"
)]

mod world;

use api::{Phase, Severity};
use rollout::{MetricTrouble, Outcome};
use serde_json::json;
use world::stories::{
    ROLLING, WARMING, analysis, at_weight, count, progressing, steps, tells, told, until, weights, with_hook,
};
use world::{Fault, World};

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
    told(
        &world,
        &[
            "[Initializing] all the metrics providers are available!",
            &format!("[Initializing] {ROLLING}"),
            "[Initializing] all the metrics providers are available!",
            "[Initializing] all the metrics providers are available!",
            "[Initialized] Initialization done! cart.shop",
        ],
    );
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
[Initialized] Initialization done! cart.shop
alert info: New Deployment detected, initialization completed.
-> Initialized
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
-> Failed
[Progressing] Rolling back cart.shop failed checks threshold reached 2
[Failed] Canary failed! Scaling down cart.shop
alert error: Failed checks threshold reached 2";
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
    let analysis = with_hook(
        with_hook(with_hook(steps(10, 30), "smoke", "pre-rollout"), "load", "rollout"),
        "after",
        "post-rollout",
    );
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
-> Failed
[Promoting] {reason}
[Promoting] Promotion of cart.shop failed, primary not ready: {reason}
alert error: Promotion failed, primary not ready: {reason}
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
    let order: Vec<_> =
        world.story.iter().filter(|line| line.starts_with("promote") || line.starts_with("route")).collect();
    assert_eq!(order, ["promote v3", "route 100/0"]);
}

#[test]
fn q4_a_dead_primary_at_rest_does_not_end_as_failed() {
    let mut world = World::initialized(steps(10, 30));
    world.primary_fault(Some(Fault::Dead));
    world.deploy("v2");
    world.pass(60);
    assert_eq!(world.status.phase, Phase::Initialized);
    assert_eq!(
        world.events(),
        ["[Initialized] cart-primary.shop not ready: deployment \"cart-primary\" exceeded its progress deadline"]
    );
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
