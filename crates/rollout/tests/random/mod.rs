//! Random specs, routers, faults, interventions, and statuses as the reference leaves them.

use crate::world::faults::Strike;
use crate::world::{Fault, Workload, World};
use api::Phase;
use jiff::SignedDuration;
use proptest::prelude::*;
use rollout::{Abilities, AffinityAbility, MetricTrouble, Routes, Weight};
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
pub(crate) enum Turn {
    Deploy(u8),
    Config(u8),
    Primary(Option<Fault>),
    Target(Option<Fault>),
    /// The target is deleted, or made again.
    TargetIs(Option<u8>),
    PrimaryGone,
    NeverReady(u8),
    Hook(usize, bool),
    Slow(i64),
    Fickle,
    Metric(bool),
    NoValues,
    Strike(usize, Strike),
    Crash,
    Race(u8),
    Lag(i64),
    Clock(i64),
    RoutesGone,
    RoutesEdited(i64, bool),
    RoutesUnreadable(bool),
    ScalerEdited(bool, bool),
    Suspend(bool),
    Skip(bool),
    ScaledByHand(bool),
    Interval(u8),
    Edit(Box<Value>),
    StatusOf(Box<OldStatus>),
}

/// A status as some release may have left it.
#[derive(Debug, Clone)]
pub(crate) struct OldStatus {
    phase: usize,
    weight: i64,
    iterations: i64,
    failed: i64,
    applied: u8,
    promoted: u8,
    tracked: Option<u8>,
    cookies: [Option<String>; 3],
    conditions: bool,
    /// Seconds from now; `None`: no time at all.
    since: Option<i64>,
    unannounced: Option<&'static str>,
}

/// A whole cluster as the reference may have left it.
#[derive(Debug, Clone)]
pub(crate) struct Old {
    status: OldStatus,
    weight: i64,
    mirrored: bool,
    up: bool,
    target: u8,
    primary: Option<u8>,
    config: Option<u8>,
    routes: bool,
}

pub(crate) const PHASES: [Phase; 10] = [
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

/// A spec with any strategy.
pub(crate) fn spec() -> impl Strategy<Value = Value> + use<> {
    let affinity = prop_oneof![
        2 => Just(None),
        1 => Just(Some(json!({"cookieName": "c"}))),
        1 => Just(Some(json!({"cookieName": "c", "primaryCookieName": "p"}))),
    ];
    let analysis = (
        steps(),
        0_i64..4,
        prop_oneof![Just(0_i64), 1_i64..120],
        any::<bool>(),
        affinity,
        prop::sample::subsequence(HOOKS.to_vec(), 0..=7),
    );
    (analysis, 0_usize..3, prop::bool::weighted(0.1), any::<bool>(), any::<bool>()).prop_map(
        |((steps, threshold, promotion, mirror, affinity, hooks), metrics, skip, scaler, revert)| {
            let mut analysis = steps;
            analysis["interval"] = json!("10s");
            analysis["threshold"] = json!(threshold);
            analysis["stepWeightPromotion"] = json!(promotion);
            analysis["mirror"] = json!(mirror);
            if let Some(affinity) = affinity {
                analysis["sessionAffinity"] = affinity;
            }
            analysis["webhooks"] =
                hooks.iter().map(|kind| json!({"name": kind, "type": kind, "url": "http://x/"})).collect();
            let all = [
                json!({"name": "request-success-rate", "thresholdRange": {"min": 99}}),
                json!({"name": "m", "query": "q", "threshold": 100}),
            ];
            analysis["metrics"] = all.into_iter().take(metrics).collect();
            let mut spec = json!({"analysis": analysis, "skipAnalysis": skip, "revertOnDeletion": revert});
            if scaler {
                spec["autoscalerRef"] =
                    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "cart"});
            }
            spec
        },
    )
}

/// What a router can do: anything. Half of the worlds have one that can do it all.
pub(crate) fn abilities() -> impl Strategy<Value = Abilities> + use<> {
    let affinity = prop::sample::select(vec![AffinityAbility::None, AffinityAbility::Canary, AffinityAbility::Both]);
    let any = (prop::bool::weighted(0.8), any::<bool>(), any::<bool>(), affinity, any::<bool>(), any::<bool>())
        .prop_map(|(shifts, matches, mirrors, affinity, routes_first, lacking)| Abilities {
            shifts,
            matches: shifts && matches,
            mirrors: shifts && mirrors,
            affinity: if shifts { affinity } else { AffinityAbility::None },
            routes_first,
            missing: lacking.then(|| "mirrorWeight is not supported".to_owned()).into_iter().collect(),
            misunderstood: Vec::new(),
        });
    prop_oneof![1 => Just(Abilities::default()), 1 => any]
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![Just(None), Just(Some(Fault::Passing)), Just(Some(Fault::Lasting)), Just(Some(Fault::Dead))]
}

/// How a write fails.
pub(crate) fn strike() -> impl Strategy<Value = Strike> + use<> {
    prop::sample::select(vec![Strike::Refused, Strike::Conflict, Strike::TimedOut, Strike::Crash])
}

fn old_status() -> impl Strategy<Value = OldStatus> {
    let unannounced = prop_oneof![
        6 => Just(None),
        1 => Just(Some("Promoted Finalising")),
        1 => Just(Some("RolledBack Progressing")),
        1 => Just(Some("?"))
    ];
    let cookie =
        || prop::option::of(prop::sample::select(vec!["c=abcdefghij", "p=klmnopqrst", "x"]).prop_map(str::to_owned));
    let since = prop_oneof![1 => Just(None), 3 => (-90_i64..1).prop_map(Some), 1 => (1_i64..9000).prop_map(Some)];
    let counters = (0..PHASES.len(), -3_i64..120, -2_i64..6, -1_i64..5);
    let revisions = (0_u8..4, 0_u8..4, prop::option::of(0_u8..3), any::<bool>());
    (counters, revisions, [cookie(), cookie(), cookie()], since, unannounced).prop_map(
        |(
            (phase, weight, iterations, failed),
            (applied, promoted, tracked, conditions),
            cookies,
            since,
            unannounced,
        )| {
            OldStatus {
                phase,
                weight,
                iterations,
                failed,
                applied,
                promoted,
                tracked,
                cookies,
                conditions,
                since,
                unannounced,
            }
        },
    )
}

/// A cluster as the reference left it.
pub(crate) fn old() -> impl Strategy<Value = Old> + use<> {
    let traffic = (0_i64..101, any::<bool>(), any::<bool>(), prop::bool::weighted(0.9));
    let workloads = (1_u8..4, prop_oneof![1 => Just(None), 9 => (1_u8..4).prop_map(Some)], prop::option::of(0_u8..3));
    (old_status(), traffic, workloads).prop_map(
        |(status, (weight, mirrored, up, routes), (target, primary, config))| Old {
            status,
            weight,
            mirrored,
            up,
            target,
            primary,
            config,
            routes,
        },
    )
}

/// Some turns, each after some seconds.
pub(crate) fn turns() -> impl Strategy<Value = Vec<(i64, Turn)>> + use<> {
    prop::collection::vec((0_i64..45, turn()), 0..14)
}

fn turn() -> impl Strategy<Value = Turn> {
    let clock = prop_oneof![-90_000_i64..90_000, -30_i64..30];
    let things = prop_oneof![
        8 => (0_u8..4).prop_map(Turn::Deploy),
        1 => (0_u8..3).prop_map(Turn::Config),
        2 => fault().prop_map(Turn::Primary),
        2 => fault().prop_map(Turn::Target),
        1 => prop::option::of(0_u8..4).prop_map(Turn::TargetIs),
        1 => Just(Turn::PrimaryGone),
        1 => (1_u8..4).prop_map(Turn::NeverReady),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(paused, primary)| Turn::ScalerEdited(paused, primary)),
        1 => any::<bool>().prop_map(Turn::ScaledByHand),
        1 => Just(Turn::RoutesGone),
        1 => (0_i64..101, any::<bool>()).prop_map(|(weight, mirrored)| Turn::RoutesEdited(weight, mirrored)),
        1 => any::<bool>().prop_map(Turn::RoutesUnreadable),
    ];
    let answers = prop_oneof![
        3 => (0..HOOKS.len(), any::<bool>()).prop_map(|(hook, yes)| Turn::Hook(hook, yes)),
        1 => (0_i64..40).prop_map(Turn::Slow),
        1 => Just(Turn::Fickle),
        2 => any::<bool>().prop_map(Turn::Metric),
        1 => Just(Turn::NoValues),
    ];
    let faults = prop_oneof![
        4 => (0_usize..12, strike()).prop_map(|(actions, strike)| Turn::Strike(actions, strike)),
        2 => Just(Turn::Crash),
        2 => (0_u8..4).prop_map(Turn::Race),
        2 => (1_i64..30).prop_map(Turn::Lag),
        1 => clock.prop_map(Turn::Clock),
    ];
    let edits = prop_oneof![
        1 => any::<bool>().prop_map(Turn::Suspend),
        1 => any::<bool>().prop_map(Turn::Skip),
        1 => (10_u8..40).prop_map(Turn::Interval),
        2 => spec().prop_map(|spec| Turn::Edit(Box::new(spec))),
        1 => old_status().prop_map(|old| Turn::StatusOf(Box::new(old))),
    ];
    prop_oneof![5 => things, 2 => answers, 3 => faults, 2 => edits]
}

fn revision(number: u8) -> String {
    format!("v{number}")
}

/// Lets it happen.
pub(crate) fn happen(world: &mut World, turn: Turn) {
    match turn {
        Turn::Deploy(number) => world.deploy(&revision(number)),
        Turn::Config(number) => {
            world.configs.insert("secret/s".to_owned(), number.to_string());
        }
        Turn::Primary(fault) => world.primary_fault(fault),
        Turn::Target(fault) => world.target_fault(fault),
        Turn::TargetIs(None) => world.target = None,
        Turn::TargetIs(Some(number)) => {
            world.target.get_or_insert_with(|| fresh(number, world.now));
        }
        Turn::PrimaryGone => world.primary = None,
        Turn::NeverReady(number) => {
            world.bad.insert(revision(number));
        }
        Turn::Hook(index, yes) => world.hook(HOOKS[index], if yes { Ok(()) } else { Err("no") }),
        Turn::Slow(seconds) => world.slow = seconds,
        Turn::Fickle => world.fickle = !world.fickle,
        Turn::Metric(good) => world.metric("request-success-rate", if good { 100.0 } else { 1.0 }),
        Turn::NoValues => {
            world.metrics.insert("m".to_owned(), Err(MetricTrouble::NoValues("no values found".to_owned())));
        }
        Turn::Strike(actions, strike) => (world.fail_after, world.strike) = (Some(actions), strike),
        Turn::Crash => world.restart(),
        Turn::Race(number) => world.race = Some(revision(number)),
        Turn::Lag(seconds) => world.fall_behind(seconds),
        Turn::Clock(seconds) => world.set_clock(seconds),
        Turn::RoutesGone => world.routes = None,
        Turn::RoutesEdited(weight, mirrored) => edit_routes(world, weight, mirrored),
        Turn::RoutesUnreadable(broken) => {
            world.routes_trouble = broken.then(|| "parent gateway is not ready".to_owned());
        }
        Turn::ScalerEdited(paused, primary) => (world.scaler_paused, world.primary_scaler) = (paused, primary),
        Turn::Suspend(suspend) => world.canary.spec.suspend = suspend,
        Turn::Skip(skip) => world.canary.spec.skip_analysis = skip,
        Turn::ScaledByHand(up) => scale_by_hand(world, up),
        Turn::Interval(seconds) => world.canary.spec.analysis.as_mut().unwrap().interval = format!("{seconds}s"),
        Turn::Edit(spec) => world.edit(*spec),
        Turn::StatusOf(old) => restore(world, &old),
    }
}

fn fresh(number: u8, now: jiff::Timestamp) -> Workload {
    Workload { revision: revision(number), up: true, since: now, old_pods: false, fault: None }
}

fn scale_by_hand(world: &mut World, up: bool) {
    let now = world.now;
    if let Some(target) = world.target.as_mut().filter(|target| target.up != up) {
        (target.up, target.fault, target.old_pods) = (up, None, false);
        if up {
            target.since = now;
        }
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
    status.tracked_configs = old.tracked.map(|number| BTreeMap::from([("secret/s".to_owned(), number.to_string())]));
    let [canary, previous, primary] = old.cookies.clone();
    status.session_affinity_cookie = canary;
    status.previous_session_affinity_cookie = previous;
    status.primary_session_affinity_cookie = primary;
    if !old.conditions {
        status.conditions.clear();
        status.observed_generation = None;
    }
    status.unannounced = old.unannounced.map(str::to_owned);
    status.last_transition_time = old.since.map(|seconds| world.now + SignedDuration::from_secs(seconds));
    world.version += 1;
    world.restart();
}

impl Old {
    /// Makes the cluster so.
    pub(crate) fn leave(&self, world: &mut World) {
        let since = world.now - SignedDuration::from_hours(1);
        let workload = |number, up| Workload { revision: revision(number), up, since, old_pods: false, fault: None };
        world.target = Some(workload(self.target, self.up));
        world.primary = self.primary.map(|number| workload(number, true));
        if let Some(number) = self.config {
            world.configs.insert("secret/s".to_owned(), number.to_string());
        }
        // The reference scales down only what has no traffic.
        let weight = if self.up { self.weight } else { 0 };
        if self.routes {
            edit_routes(world, weight, self.mirrored);
        }
        restore(world, &self.status);
    }
}

/// All is well from here on: whoever can decide lets the rollout pass.
pub(crate) fn heal(world: &mut World) {
    world.fail_after = None;
    world.race = None;
    world.lag = None;
    (world.slow, world.fickle) = (0, false);
    world.routes_trouble = None;
    world.hooks.clear();
    world.metrics.clear();
    world.bad.clear();
    world.primary_fault(None);
    world.target_fault(None);
    let now = world.now;
    world.target.get_or_insert_with(|| fresh(1, now));
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
