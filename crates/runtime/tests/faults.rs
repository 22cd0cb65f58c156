//! One kind of trouble at a time, around a whole rollout: it ends as it would have ended, nobody is sent to a side that cannot serve, no outcome is told twice
//! or never, and the API server is not asked much more than without trouble.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod harness;
mod stage;

use harness::*;
use lab::faults::{Fault, Faults, Rates, Rule, WatchEnd};
use lab::{Call, Verb};
use serde_json::json;
use stage::{Case, Guard, Legacy, Story, Way, undisturbed};
use std::time::Duration;

const PROMOTION: Case = Case { provider: "istio", way: Way::Weighted, story: Story::Promotion };
const ROLLBACK: Case = Case { provider: "istio", way: Way::Weighted, story: Story::Rollback };
/// Requests that a rollout needs with nobody in its way: some 25, and as many again for tries that fail at first.
const REQUESTS: u64 = 60;

/// A rollout with that trouble, which begins with it. Answers how many requests there were, watches and refusals included.
async fn troubled(case: Case, trouble: impl AsyncFnOnce(&World)) -> u64 {
    let (expected, _) = undisturbed(&case).await;
    let world = case.stage().await;
    let guard = Guard::set(&world, &case);
    let before = world.faults.requests();
    case.begin(&world);
    trouble(&world).await;
    case.finish(&world).await;
    let mut wrong = guard.broken();
    wrong.extend(expected.differences(&Legacy::of(&world)));
    assert!(wrong.is_empty(), "{case:?}:\n{}\n{}", wrong.join("\n"), world.report());
    world.faults.requests() - before
}

/// The same with a rule that is there from the beginning to the end.
async fn ruled(case: Case, rule: Rule) -> u64 {
    let label = format!("{rule:?}");
    let requests = troubled(case, async |world: &World| {
        world.faults.add(rule);
    })
    .await;
    println!("{requests} requests with {label}");
    requests
}

#[tokio::test(start_paused = true)]
async fn every_other_request_meets_a_fault() {
    for case in [PROMOTION, ROLLBACK] {
        for fault in [
            Fault::Conflict,
            Fault::TooManyRequests(1),
            Fault::Internal,
            Fault::Unavailable,
            Fault::Break,
            Fault::LoseAnswer,
        ] {
            let short = |call: &Call| call.verb != Verb::Watch && call.verb.writes();
            let requests = ruled(case, Rule::new(fault.clone()).on(short).rate(0.4)).await;
            assert!(requests < REQUESTS * 2, "{requests} requests with {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn writes_that_are_carried_out_and_never_answered() {
    let requests = ruled(PROMOTION, Rule::new(Fault::Silence).on_writes().rate(0.2)).await;
    assert!(requests < REQUESTS, "{requests} requests");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_gone_for_a_minute() {
    for case in [PROMOTION, ROLLBACK] {
        let requests = troubled(case, async |world: &World| {
            world.wait_told("Starting canary analysis").await;
            world.faults.down_for(Duration::from_secs(60)).await;
        })
        .await;
        println!("{requests} requests around an outage of a minute");
        assert!(requests < REQUESTS * 4, "{requests} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_expire_all_the_time() {
    let requests = troubled(PROMOTION, async |world: &World| {
        let end = WatchEnd::Expires;
        let stream = world.faults.add(Rule::new(Fault::WatchEndsAfter { time: Duration::from_secs(1), end }));
        let status = world.faults.add(Rule::new(Fault::Expired).on(|call| call.verb == Verb::Watch).rate(0.5));
        world.faults.cut(end, |_| true);
        world.seconds(60).await;
        world.faults.remove(stream);
        world.faults.remove(status);
    })
    .await;
    println!("{requests} requests around a minute of expired watches");
    // Nine kinds, each listed and watched again with growing pauses.
    assert!(requests < 600, "{requests} requests");
}

#[tokio::test(start_paused = true)]
async fn watches_that_break_or_end_all_the_time() {
    for end in [WatchEnd::Ends, WatchEnd::Breaks] {
        let requests = troubled(PROMOTION, async |world: &World| {
            let rule = world.faults.add(Rule::new(Fault::WatchEndsAfter { time: Duration::from_secs(2), end }));
            world.faults.cut(end, |_| true);
            world.seconds(60).await;
            world.faults.remove(rule);
        })
        .await;
        println!("{requests} requests around a minute of watches that end: {end:?}");
        assert!(requests < 600, "{requests} requests with {end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_lag_by_five_seconds() {
    for case in [PROMOTION, ROLLBACK] {
        let requests = troubled(case, async |world: &World| {
            world.faults.add(Rule::new(Fault::WatchLags(Duration::from_secs(5))));
            world.faults.cut(WatchEnd::Ends, |_| true);
        })
        .await;
        assert!(requests < REQUESTS + 20, "{requests} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_whose_continue_token_expires() {
    let faults = Faults::default();
    let page = |call: &Call| call.verb == Verb::List && call.query.contains("continue=");
    faults.add(Rule::new(Fault::Expired).on(page).times(3));
    let world = World::with(Setup { faults: faults.clone(), ..Setup::default() }).await;
    for at in 0..1200 {
        world.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("other-{at}"), "namespace": "shop"},
            "spec": {"ports": [{"port": 80}]}}));
    }
    let world = world.ready(canary("cart", "istio", steps(20, 40))).await;
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    assert_eq!(faults.counts().get("expired"), Some(&3), "{}", faults.report());
    assert!(faults.requests() < 150, "{}", faults.report());
}

#[tokio::test(start_paused = true)]
async fn the_crd_of_the_router_goes_and_comes_back() {
    let world = World::initialized("istio", steps(10, 50)).await;
    world.deploy("demo:2");
    world.wait_told("canary weight 20").await;
    world.lab.delete("crd", "", "virtualservices.networking.istio.io").unwrap();
    world.seconds(120).await;
    let requests = world.faults.requests();
    world.seconds(600).await;
    assert!(world.faults.requests() - requests < 200, "{}", world.report());
    world.lab.create(istio_crds().remove(0)).unwrap();
    world.wait_for("Succeeded").await;
    world.seconds(30).await;
    assert_eq!((world.image("cart-primary"), world.weights()), ("demo:2".to_owned(), (100, 0)));
    assert_eq!((world.told("Promotion completed!"), world.told("Canary failed!")), (1, 0), "{}", world.report());
}

#[tokio::test(start_paused = true)]
async fn permissions_are_taken_away_and_given_back() {
    for resource in ["virtualservices.networking.istio.io", "deployments.apps", "services", "canaries.flagger.app"] {
        let world = World::initialized("istio", steps(10, 50)).await;
        world.deploy("demo:2");
        world.wait_told("canary weight 20").await;
        let rule = world.faults.forbid(resource);
        world.faults.cut(WatchEnd::Ends, move |call| call.resource == resource);
        let before = world.faults.requests();
        world.seconds(300).await;
        assert!(world.faults.requests() - before < 300, "{resource}: {}", world.report());
        let forbidden = world.forbidden();
        assert!(!forbidden.is_empty() && forbidden.iter().all(|line| line.contains(resource)), "{forbidden:?}");
        world.faults.remove(rule);
        world.wait_for("Succeeded").await;
        world.seconds(30).await;
        assert_eq!((world.image("cart-primary"), world.weights()), ("demo:2".to_owned(), (100, 0)), "{resource}");
        assert_eq!(world.told("Promotion completed!"), 1, "{resource}: {}", world.report());
        world.seconds(300).await;
        assert_eq!(world.forbidden(), Vec::<String>::new(), "{resource}");
    }
}

/// Not while pods become ready: their progress is dated by the cluster's clock, and a day later by ours is too late (it is rolled back, as it should be).
#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps() {
    for seconds in [-3600, 86400] {
        for moment in ["Starting canary analysis", "canary weight 25", "canary weight 50", "Routing all traffic"] {
            let start = tokio::time::Instant::now();
            troubled(PROMOTION, async |world: &World| {
                world.wait_told(moment).await;
                world.clock.jump(seconds);
            })
            .await;
            let took = start.elapsed();
            assert!(took < Duration::from_secs(400), "{took:?} with a jump of {seconds} s at {moment:?}");
        }
        troubled(ROLLBACK, async |world: &World| {
            world.wait_told("Halt").await;
            world.clock.jump(seconds);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn everything_at_once() {
    for seed in 0..6 {
        for case in [PROMOTION, ROLLBACK] {
            // Dice of another seed for the layer that the stage has made are not to be had; so the rates differ with it.
            let rate = 0.02 + f64::from(seed) / 100.0;
            troubled(case, async |world: &World| {
                world.faults.add_rates(&Rates { silence: rate / 4.0, ..Rates::all(rate) });
                world.faults.cut(WatchEnd::Ends, |_| true);
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_prometheus_that_hangs_fails_a_check_and_no_more() {
    let world = PROMOTION.stage().await;
    world.net.metric("quality", [Reply::Hang, Reply::Value("100")]);
    PROMOTION.begin(&world);
    PROMOTION.finish(&world).await;
    assert_eq!(
        (world.told("Prometheus query failed"), world.told("Promotion completed!")),
        (1, 1),
        "{}",
        world.report()
    );
    assert_eq!(world.status()["failedChecks"], 1);
}

#[tokio::test(start_paused = true)]
async fn receivers_that_hang_do_not_hold_the_next_revision_up() {
    let spec = with_hook(steps(50, 50), "event", "receiver");
    let world = World::initialized("istio", spec).await;
    world.net.hook("receiver", [Reply::Hang]);
    world.deploy("demo:2");
    world.wait_for("Succeeded").await;
    let start = tokio::time::Instant::now();
    world.deploy("demo:3");
    world.wait_for("Progressing").await;
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    world.wait_for("Succeeded").await;
    assert_eq!(world.image("cart-primary"), "demo:3");
}

#[tokio::test(start_paused = true)]
async fn an_announcement_whose_note_cannot_be_written_is_made_once() {
    for case in [PROMOTION, ROLLBACK] {
        troubled(case, async |world: &World| {
            let end = if case.story == Story::Promotion { "Succeeded" } else { "Failed" };
            world.wait_for(end).await;
            let notes = |call: &Call| call.resource == "canaries.flagger.app" && call.verb.writes();
            world.faults.add(Rule::new(Fault::Unavailable).on(notes).times(4));
        })
        .await;
    }
}
