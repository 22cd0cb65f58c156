//! The process is killed after every single write of a whole rollout, of every strategy on every provider, and started again; or it lives, and the answer to
//! that write is lost. Several in a run, until each was the one: nobody knows which processes have died before. The end is the same, nobody is sent to a side that cannot serve, and no outcome is told twice or never.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;
mod stage;

use harness::World;
use lab::faults::{Fault, Rule};
use stage::{Case, Guard, Legacy, Way, undisturbed, writes};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Of the writes that are disturbed in one run each is so many after the one before; as many runs, each beginning one write later, disturb them all.
const PERIOD: usize = 5;
/// More processes than any run needs: something goes in circles.
const LIVES: usize = 40;

/// Which writes are disturbed: the one after the first `first`, and then every `period`th.
#[derive(Debug, Clone, Copy)]
struct Plan {
    first: usize,
    period: usize,
}

/// Every process is killed after a write; the writes after which it happened.
async fn kill(case: &Case, plan: Plan, world: &mut World) -> Vec<String> {
    let (mut next, mut killed) = (plan.first, Vec::new());
    for _ in 0..LIVES {
        world.faults.add(Rule::new(Fault::Kill).on_writes().after(next));
        next = plan.period - 1;
        if killed.is_empty() {
            case.begin(world);
        }
        let faults = world.faults.clone();
        world.wait_until("it is killed or over", |world| faults.is_dead() || case.is_over(world)).await;
        // Also what follows the end may be killed.
        for _ in 0..45 {
            if faults.is_dead() {
                break;
            }
            world.seconds(1).await;
        }
        if !faults.is_dead() {
            return killed;
        }
        world.kill();
        killed.extend(writes(world).pop());
        world.pass(Duration::from_millis(500)).await;
        world.reborn().await;
    }
    panic!("{case:?}, {plan:?}: killed again and again\n{}", world.report());
}

/// The process lives, and the answers to these writes are lost.
async fn lose(case: &Case, plan: Plan, world: &World) -> Vec<String> {
    let count = AtomicUsize::new(0);
    world.faults.add(Rule::new(Fault::LoseAnswer).on(move |call| {
        call.verb.writes() && {
            let at = count.fetch_add(1, Ordering::SeqCst);
            at >= plan.first && (at - plan.first).is_multiple_of(plan.period)
        }
    }));
    case.begin(world);
    case.finish(world).await;
    world.faults.history().iter().map(|happened| format!("{} 200", happened.call)).collect()
}

/// One run. What is wrong afterwards, and which writes were disturbed.
async fn disturbed(case: &Case, plan: Plan, kills: bool, expected: &Legacy) -> (Option<String>, Vec<String>) {
    let mut world = case.stage().await;
    let guard = Guard::set(&world, case);
    let met = if kills { kill(case, plan, &mut world).await } else { lose(case, plan, &world).await };
    let mut wrong = guard.broken();
    wrong.extend(expected.differences(&Legacy::of(&world)));
    let what = if kills { "killed" } else { "unanswered" };
    let report = || format!("{case:?} {what} by {plan:?} after {met:#?}:\n{}\n{}", wrong.join("\n"), world.report());
    ((!wrong.is_empty()).then(report), met)
}

/// Disturbs every write of every story of this strategy; `alone`: one a run, else as many as there are in the period.
async fn every_write(provider: &'static str, way: Way, alone: bool) {
    let mut wrong = Vec::new();
    for case in Case::of(provider, way) {
        let (expected, log) = undisturbed(&case).await;
        assert!(log.len() > 3, "{case:?}: only {log:?}");
        let (runs, period) = if alone { (log.len(), 1000) } else { (PERIOD, PERIOD) };
        for kills in [true, false] {
            let mut met = BTreeSet::new();
            for first in 0..runs {
                let (found, disturbed) = disturbed(&case, Plan { first, period }, kills, &expected).await;
                wrong.extend(found);
                met.extend(disturbed.iter().map(|line| call(line)));
            }
            // After other deaths some writes come at other places: what was missed has a run of its own.
            for (first, line) in log.iter().enumerate() {
                if met.insert(call(line)) {
                    wrong.extend(disturbed(&case, Plan { first, period: 1000 }, kills, &expected).await.0);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} runs went wrong, for example\n{}", wrong.len(), wrong[0]);
}

/// A line of the log without its status.
fn call(line: &str) -> String {
    line.rsplit_once(' ').map_or(line, |(call, _)| call).to_owned()
}

#[tokio::test(start_paused = true)]
async fn one_write_at_a_time() {
    every_write("istio", Way::Weighted, true).await;
}

/// One test for each strategy of each provider, so that they run side by side.
macro_rules! every_write {
    ($($name:ident: $provider:literal, $way:ident;)*) => {
        $(#[tokio::test(start_paused = true)]
        async fn $name() {
            every_write($provider, Way::$way, false).await;
        })*
    };
}

every_write! {
    istio_weighted: "istio", Weighted;
    istio_step_weights: "istio", StepWeights;
    istio_ab_testing: "istio", AbTesting;
    istio_blue_green: "istio", BlueGreen;
    istio_blue_green_mirrored: "istio", BlueGreenMirrored;
    istio_weighted_mirrored: "istio", WeightedMirrored;
    istio_session_affinity: "istio", Affinity;
    istio_without_analysis: "istio", Skipped;
    gateway_v1_weighted: "gatewayapi:v1", Weighted;
    gateway_v1_step_weights: "gatewayapi:v1", StepWeights;
    gateway_v1_ab_testing: "gatewayapi:v1", AbTesting;
    gateway_v1_blue_green: "gatewayapi:v1", BlueGreen;
    gateway_v1_blue_green_mirrored: "gatewayapi:v1", BlueGreenMirrored;
    gateway_v1_weighted_mirrored: "gatewayapi:v1", WeightedMirrored;
    gateway_v1_session_affinity: "gatewayapi:v1", Affinity;
    gateway_v1_without_analysis: "gatewayapi:v1", Skipped;
    gateway_v1beta1_weighted: "gatewayapi:v1beta1", Weighted;
    gateway_v1beta1_step_weights: "gatewayapi:v1beta1", StepWeights;
    gateway_v1beta1_ab_testing: "gatewayapi:v1beta1", AbTesting;
    gateway_v1beta1_blue_green: "gatewayapi:v1beta1", BlueGreen;
    gateway_v1beta1_blue_green_mirrored: "gatewayapi:v1beta1", BlueGreenMirrored;
    gateway_v1beta1_weighted_mirrored: "gatewayapi:v1beta1", WeightedMirrored;
    gateway_v1beta1_session_affinity: "gatewayapi:v1beta1", Affinity;
    gateway_v1beta1_without_analysis: "gatewayapi:v1beta1", Skipped;
    nginx_weighted: "nginx", Weighted;
    nginx_step_weights: "nginx", StepWeights;
    nginx_ab_testing: "nginx", AbTesting;
    nginx_blue_green: "nginx", BlueGreen;
    nginx_without_analysis: "nginx", Skipped;
    kubernetes_blue_green: "kubernetes", BlueGreen;
    kubernetes_without_analysis: "kubernetes", Skipped;
}

#[test]
fn every_strategy_of_every_provider_is_in_the_list() {
    let all = stage::PROVIDERS.into_iter().flat_map(|provider| {
        stage::WAYS.into_iter().filter(move |way| !Case::of(provider, *way).is_empty()).map(move |way| (provider, way))
    });
    assert_eq!(all.count(), 31, "as many as there are tests above");
    assert_eq!(providers::routers::ROUTERS.len(), stage::PROVIDERS.len(), "a new router belongs here");
}
