//! What the scenarios share: analyses, worlds that are already somewhere, and what their stories must say.

use super::World;
use api::Phase;
use rollout::{Abilities, AffinityAbility};
use serde_json::{Value, json};

pub(crate) const WARMING: &str =
    "canary deployment cart.shop not ready: waiting for rollout to finish: 0 out of 1 new replicas have been updated";
pub(crate) const ROLLING: &str =
    "cart-primary.shop not ready: waiting for rollout to finish: 0 out of 1 new replicas have been updated";

/// An analysis with what most scenarios share: an interval of 10 s, threshold 2, the success rate.
pub(crate) fn analysis(extra: Value) -> Value {
    let mut analysis = json!({"interval": "10s", "threshold": 2, "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}]});
    for (key, value) in extra.as_object().unwrap() {
        analysis[key] = value.clone();
    }
    analysis
}

pub(crate) fn steps(step: i64, max: i64) -> Value {
    analysis(json!({"stepWeight": step, "maxWeight": max}))
}

pub(crate) fn hook(name: &str, kind: &str) -> Value {
    json!({"name": name, "type": kind, "url": "http://gate/"})
}

pub(crate) fn with_hook(mut analysis: Value, name: &str, kind: &str) -> Value {
    let hooks = analysis.as_object_mut().unwrap().entry("webhooks").or_insert(json!([]));
    hooks.as_array_mut().unwrap().push(hook(name, kind));
    analysis
}

/// Initialised, and a new revision is being analysed.
pub(crate) fn progressing(analysis: Value) -> World {
    let mut world = World::initialized(analysis);
    world.deploy("v2");
    world.run_until(Phase::Progressing);
    world
}

/// As far as the weight is reached.
pub(crate) fn at_weight(analysis: Value, weight: i64) -> World {
    let mut world = progressing(analysis);
    until(&mut world, |world| world.weight() == weight);
    world
}

pub(crate) fn until(world: &mut World, reached: impl Fn(&World) -> bool) {
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
pub(crate) fn told(world: &World, expected: &[&str]) {
    assert_eq!(world.events(), expected, "\n{}", world.story.join("\n"));
}

#[track_caller]
pub(crate) fn tells(world: &World, line: &str) {
    assert!(world.story.iter().any(|told| told == line), "{line} is missing in\n{}", world.story.join("\n"));
}

pub(crate) fn count(world: &World, text: &str) -> usize {
    world.story.iter().filter(|line| line.contains(text)).count()
}

pub(crate) fn weights(world: &World) -> Vec<&str> {
    world.story.iter().filter_map(|line| line.strip_prefix("route ")).collect()
}

pub(crate) fn kubernetes() -> Abilities {
    Abilities { shifts: false, matches: false, mirrors: false, affinity: AffinityAbility::None, ..Abilities::default() }
}
