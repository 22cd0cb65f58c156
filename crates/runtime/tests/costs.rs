//! What a Canary costs the API server, in requests. An idle one costs nothing but its share of the watches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use lab::Verb;
use serde_json::json;

/// Of the operator: all requests, writes, reads beside watches and the lists that they begin with.
fn figures(world: &World) -> (usize, Vec<String>, Vec<String>) {
    let all = world.requests(|_| true).len();
    (all, world.requests(|entry| entry.call.verb.writes()), world.requests(is_read))
}

#[tokio::test(start_paused = true)]
async fn idle_canaries_cost_only_the_renewal_of_watches() {
    let world = World::initialized("istio", steps(10, 50)).await;
    for name in ["second", "third"] {
        world.apply(deployment(name, "demo:1"));
        world.apply(canary(name, "istio", steps(10, 50)));
        world.wait_for_of(name, "Initialized").await;
    }
    world.seconds(60).await;
    world.lab.take_requests();
    world.seconds(600).await;
    let others = world.requests(|entry| entry.call.verb != Verb::Watch);
    assert!(others.is_empty(), "{others:#?}");
    let watches = world.requests(|entry| entry.call.verb == Verb::Watch);
    println!("idle for 10 minutes, three Canaries: {} renewals of watches", watches.len());
    let kinds: std::collections::BTreeSet<&String> = watches.iter().collect();
    assert!(watches.len() <= 3 * kinds.len(), "each kind at most every five minutes: {watches:#?}");
    assert!(world.net.sent_to("/api/v1").len() < 10, "nobody is asked for metrics either");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_of_five_steps_costs_at_most_40_writes_and_10_reads() {
    let world = World::new().await;
    world.apply(hpa("cart"));
    let mut object = canary("cart", "istio", steps(10, 50));
    object["spec"]["autoscalerRef"] =
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "cart"});
    let world = world.ready(object).await;
    let (all, writes, reads) = figures(&world);
    println!("initialisation: {all} requests, {} writes, {} reads", writes.len(), reads.len());
    world.seconds(60).await;
    world.lab.take_requests();
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    world.seconds(30).await;
    let (all, writes, reads) = figures(&world);
    println!("rollout: {all} requests, {} writes, {} reads", writes.len(), reads.len());
    let refused: Vec<&String> =
        writes.iter().filter(|line| !line.ends_with(" 200") && !line.ends_with(" 201")).collect();
    assert!(refused.is_empty(), "no conflicts with ourselves: {refused:#?}");
    assert!(writes.len() <= 40, "{writes:#?}");
    assert!(reads.len() <= 10, "{reads:#?}");
    let log = world.lab.requests();
    assert_eq!(
        log.entries().filter(|entry| entry.call.user_agent == "flagger" && entry.call.verb == Verb::List).count(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn an_analysis_of_fifty_metrics_comes_to_an_end() {
    let metrics: Vec<_> = (0..50).map(|at| json!({"name": format!("m{at}"), "interval": "1m", "query": format!("m{at}"), "thresholdRange": {"min": 1}})).collect();
    let world =
        World::initialized("istio", analysis(json!({"stepWeight": 50, "maxWeight": 50, "metrics": metrics}))).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    let asked = world.net.queries().into_iter().filter(|query| query.starts_with('m')).count();
    assert_eq!(asked, 50, "each once in the one round of checks");
}
