//! The acceptance scenarios of life cycle, gates and strategies that the decision alone can show.

mod world;

use api::Phase;
use serde_json::json;
use world::World;

fn weighted() -> serde_json::Value {
    json!({"interval": "10s", "threshold": 2, "stepWeight": 10, "maxWeight": 30,
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}],
        "webhooks": [{"name": "smoke", "type": "pre-rollout", "url": "http://t/"}]})
}

#[test]
fn l_09_happy_promotion() {
    let mut world = World::new(weighted());
    world.run_until(Phase::Initialized);
    world.deploy("v2");
    world.run_until(Phase::Succeeded);
    insta::assert_snapshot!(world.story.join("\n"), @"");
}
