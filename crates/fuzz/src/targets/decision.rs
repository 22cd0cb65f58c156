//! The decision: observations of worlds that cannot be, with any status that somebody may have written.
//!
//! The invariants of a decision hold in any world; they are `rollout::check`.

use super::{Outcome, Run, inputs, law, tree};
use crate::rng::Rng;
use api::{Canary, Rollout};
use rollout::{Answer, Decision, MetricTrouble, Next, Observation, Question, check, decide};
use serde_json::Value;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    inputs([
        include_str!("../../../rollout/tests/replay/a-fix-for-a-failed-promotion.json"),
        include_str!("../../../rollout/tests/replay/a-rollback-was-interrupted.json"),
        include_str!("../../../rollout/tests/replay/routes-edited-before-scaling-down.json"),
        include_str!("../../../rollout/tests/replay/the-primary-breaks-while-promoted.json"),
    ])
    .into_iter()
    .filter_map(|seed| {
        // Without the recorded decision: it would only be in the way of the mutations.
        let mut seed: Value = serde_json::from_slice(&seed).ok()?;
        seed.as_object_mut()?.remove("decision");
        Some(seed.to_string().into_bytes())
    })
    .collect()
}

pub(super) fn run(input: &[u8]) -> Run {
    let Some(mut tree) = tree(input) else { return Ok(Outcome::Refused) };
    let part = |tree: &mut Value, key: &str| tree.get_mut(key).map(Value::take).unwrap_or_default();
    let Ok(canary) = api::decode::<Canary>(part(&mut tree, "canary")) else { return Ok(Outcome::Refused) };
    let Ok(seen) = serde_json::from_value::<Observation>(part(&mut tree, "observation")) else {
        return Ok(Outcome::Refused);
    };
    let mut rng = Rng::of(0, "answers", u64::try_from(input.len()).unwrap_or_default());
    for settings in super::canary::settings() {
        let rollout = Rollout::resolve(&canary, &settings);
        round(&rollout, seen.clone(), &mut rng)?;
    }
    Ok(Outcome::Read)
}

/// A whole round: what is asked is answered at random, until something is done.
pub(super) fn round(rollout: &Rollout, mut seen: Observation, rng: &mut Rng) -> Result<(), String> {
    for _ in 0..questions(rollout) {
        let decision = decide(rollout, &seen);
        law(decision == decide(rollout, &seen), || "decided differently the second time".to_owned())?;
        invariants(rollout, &seen, &decision)?;
        let Next::Ask { announce, questions } = decision.next else { return Ok(()) };
        law(!questions.is_empty(), || "no question is asked".to_owned())?;
        seen.answers.announced.extend(announce);
        for question in questions {
            let answer = answer(&question, rng);
            seen.answers.add(question, answer);
        }
    }
    Err("a round of questions without end".to_owned())
}

fn questions(rollout: &Rollout) -> usize {
    10 + rollout.analysis.webhooks.len() * 2 + rollout.analysis.metrics.len() * 5
}

fn invariants(rollout: &Rollout, seen: &Observation, decision: &Decision) -> Result<(), String> {
    let broken = check::check(rollout, seen, decision);
    law(broken.is_empty(), || broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn answer(question: &Question, rng: &mut Rng) -> Answer {
    let no = || "denied".to_owned();
    let yes = rng.chance(70);
    match question {
        Question::Hook { .. } => Answer::Hook(if yes { Ok(()) } else { Err(no()) }),
        Question::Providers => Answer::Providers(if yes { Ok(()) } else { Err(no()) }),
        Question::Metric { .. } => Answer::Metric(match rng.below(8) {
            0 => Err(MetricTrouble::NoValues(no())),
            1 => Err(MetricTrouble::Failed(no())),
            2 => Err(MetricTrouble::Setup(no())),
            3 => Ok(f64::from_bits(rng.next())),
            _ => Ok(100.0),
        }),
    }
}
