//! What the shell itself must not get wrong: Canaries that go while they are decided, facts that are out of date, servers that do not answer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;

use harness::*;
use lab::{Call, Intervention};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Does something about the operator's requests, a number of times.
struct Fault {
    left: Mutex<usize>,
    concerns: fn(&Call) -> bool,
    before: Intervention,
    after: Intervention,
}

impl Fault {
    fn set(world: &World, times: usize, concerns: fn(&Call) -> bool, before: Intervention, after: Intervention) {
        world.lab.set_hook(Some(Arc::new(Self { left: Mutex::new(times), concerns, before, after })));
    }

    fn applies(&self, call: &Call) -> bool {
        call.user_agent == "flagger" && (self.concerns)(call) && *self.left.lock().unwrap() > 0
    }
}

impl lab::Hook for Fault {
    fn before(&self, call: &Call) -> Intervention {
        if self.applies(call) { self.before.clone() } else { Intervention::Pass }
    }

    fn after(&self, call: &Call, _status: u16) -> Intervention {
        if self.applies(call) {
            *self.left.lock().unwrap() -= 1;
            return self.after.clone();
        }
        Intervention::Pass
    }
}

fn metric(world: &World, line: &str) -> String {
    let text = String::from_utf8(world.telemetry.exposition()).unwrap();
    text.lines().find_map(|found| found.strip_prefix(line)).unwrap_or("none").trim().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_does_not_bring_a_deleted_canary_back() {
    let mut object = canary("cart", "istio", steps(10, 20));
    object["spec"]["revertOnDeletion"] = json!(true);
    let world = World::new().await.ready(object).await;
    assert_eq!(metric(&world, "flagger_canary_total{namespace=\"shop\"}"), "1");
    let removal =
        |call: &Call| call.resource == "canaries.flagger.app" && call.method == "PATCH" && call.subresource.is_empty();
    Fault::set(&world, 1, removal, Intervention::Pass, Intervention::Delay(Duration::from_secs(5)));
    world.lab.delete("canary", "shop", "cart").unwrap();
    world.wait_told("Terminated canary cart.shop").await;
    world.seconds(30).await;
    assert!(world.try_get("canary", "cart").is_none());
    assert_eq!(metric(&world, "flagger_canary_total{namespace=\"shop\"}"), "0");
    assert_eq!(metric(&world, "flagger_canary_status{name=\"cart\""), "none", "its series are gone");
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_gate_does_not_open_another_one() {
    let world = World::initialized("istio", with_hook(steps(10, 20), "confirm-rollout", "lenient")).await;
    world.net.hook("lenient", [Reply::Slow(Duration::from_secs(5), Box::new(Reply::status(200)))]);
    world.net.hook_says("strict", 403, "");
    world.deploy("demo:2");
    world.wait_until("the gate is asked", |world| !world.net.sent_to("lenient").is_empty()).await;
    world.edit(json!({"analysis": {"webhooks": [{"name": "strict", "type": "confirm-rollout", "url": "http://hooks/strict"}]}}));
    world.seconds(60).await;
    assert!(!world.net.sent_to("strict").is_empty());
    assert_eq!((world.weights(), world.status()["phase"].clone()), ((100, 0), json!("Waiting")));
}

#[tokio::test(start_paused = true)]
async fn canaries_that_wait_for_hooks_leave_the_others_their_turn() {
    let world = World::new().await;
    world.apply(secret("one"));
    world.net.hook("slow", [Reply::Hang]);
    let mut hooked = with_hook(steps(10, 20), "confirm-rollout", "slow");
    hooked["webhooks"][0]["timeout"] = json!("60m");
    // More than are looked at side by side.
    for at in 0..70 {
        let name = format!("c{at}");
        world.apply(deployment(&name, "demo:1"));
        world.apply(canary(&name, "istio", hooked.clone()));
    }
    for at in 0..70 {
        world.wait_for_of(&format!("c{at}"), "Initialized").await;
    }
    for at in 0..70 {
        world.deploy_to(&format!("c{at}"), "demo:2");
    }
    world.wait_until("all gates are asked", |world| world.net.sent_to("slow").len() == 70).await;
    let world = world.ready(canary("cart", "istio", steps(10, 20))).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_the_stop() {
    let world = World::rolling("istio", with_hook(steps(10, 50), "rollout", "load"), "Progressing").await;
    world.net.hook("load", [Reply::Slow(Duration::from_secs(2), Box::new(Reply::status(200)))]);
    let asked = world.net.sent_to("load").len();
    world.wait_until("the hook is asked", |world| world.net.sent_to("load").len() > asked).await;
    let weights = world.weights();
    world.stop().await;
    world.lab.take_requests();
    world.seconds(300).await;
    let writes = world.requests(|entry| entry.call.verb.writes());
    assert!(writes.is_empty(), "{writes:#?}");
    assert_eq!(world.weights(), weights, "the answer came after the stop: nobody acts on it");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_answer_does_not_stop_a_canary_for_ever() {
    let world = World::initialized("istio", steps(10, 20)).await;
    let routes = |call: &Call| call.resource.starts_with("virtualservices") && call.verb.writes();
    Fault::set(&world, 1, routes, Intervention::Delay(Duration::from_secs(1_000_000)), Intervention::Pass);
    world.deploy("demo:2");
    world.wait_told("the API server did not answer").await;
    world.lab.set_hook(None);
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn permissions_that_are_taken_away_are_noticed_and_given_back() {
    let world = World::initialized("istio", steps(10, 20)).await;
    let deployments = |call: &Call| call.resource == "deployments.apps" && call.name.is_empty() && !call.verb.writes();
    let no = lab::Failure::forbidden("deployments", "apps", "", "User \"flagger\" may not");
    Fault::set(&world, usize::MAX, deployments, Intervention::Fail(Box::new(no)), Intervention::Pass);
    world.wait_told("forbidden").await;
    let told = world.net.told().len();
    world.seconds(600).await;
    assert!(world.net.told().len() <= told + 2, "{}", world.report());
    world.lab.set_hook(None);
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_edited_during_a_decision_is_decided_anew_without_a_word() {
    let world = World::rolling("istio", steps(10, 50), "Progressing").await;
    for at in 0..20 {
        world.edit(json!({"analysis": {"threshold": 3 + at}}));
        world.pass(Duration::from_millis(700)).await;
    }
    world.wait_for("Succeeded").await;
    assert!(world.net.told().iter().all(|told| !told.line.contains("update")), "{}", world.report());
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_with_a_canary_made_again_in_it() {
    let world = World::rolling("istio", steps(10, 50), "Progressing").await;
    Fault::set(&world, usize::MAX, |_| true, Intervention::Disconnect, Intervention::Disconnect);
    world.seconds(5).await;
    world.lab.delete("canary", "shop", "cart").unwrap();
    world.seconds(1).await;
    world.apply(canary("cart", "istio", steps(10, 20)));
    world.seconds(60).await;
    world.lab.set_hook(None);
    world.wait_for("Initialized").await;
    world.deploy("demo:3");
    world.wait_for("Succeeded").await;
    assert_eq!((world.image("cart-primary"), world.weights()), ("demo:3".to_owned(), (100, 0)));
}
