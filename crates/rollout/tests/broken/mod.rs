//! Decisions that are broken on purpose: each breaks one promise, and is caught by a world, shrunk, and left as a file that shows it again.
//!
//! So every law can fail, and the files are worth what they say.

use crate::hunt::{SEED, hunt};
use crate::random::{abilities, spec, turns};
use crate::world::{Decider, moments};
use crate::{Life, whatever_happens};
use jiff::SignedDuration;
use proptest::prelude::*;
use rollout::{Action, Answer, Answers, Decision, Next, Observation, Plan, Question, Routes, Trouble, Weight, decide};
use std::fs;

/// Worlds that it may take to find what is broken: a law that needs more is none.
const ENOUGH: u64 = 3000;

fn plan(decision: &mut Decision) -> Option<&mut Plan> {
    if let Next::Act(plan) = &mut decision.next { Some(plan) } else { None }
}

fn without(mut decision: Decision, unwanted: impl Fn(&Action) -> bool) -> Decision {
    decision.upkeep.retain(|action| !unwanted(action));
    if let Some(plan) = plan(&mut decision) {
        plan.actions.retain(|action| !unwanted(action));
    }
    decision
}

/// Decides as if something else had been seen.
fn misled(rollout: &api::Rollout, seen: &Observation, change: impl Fn(&mut Observation)) -> Decision {
    let mut other = seen.clone();
    change(&mut other);
    decide(rollout, &other)
}

fn ignores_that_the_canary_is_not_ready(rollout: &api::Rollout, seen: &Observation) -> Decision {
    misled(rollout, seen, |seen| {
        if let Ok(target) = &mut seen.target {
            (target.readiness, target.scaled_down) = (Ok(()), false);
        }
    })
}

fn ignores_that_the_primary_is_not_ready(rollout: &api::Rollout, seen: &Observation) -> Decision {
    misled(rollout, seen, |seen| (seen.primary.readiness, seen.primary.serving) = (Ok(()), true))
}

fn scales_down_before_routing_back(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut decision = decide(rollout, seen);
    if let Some(plan) = plan(&mut decision) {
        plan.actions.sort_by_key(|action| !matches!(action, Action::ScaleDown));
    }
    decision
}

fn believes_that_every_check_passed(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut seen = seen.clone();
    let mut decision = decide(rollout, &seen);
    while let Next::Ask { questions, .. } = &decision.next {
        for question in questions {
            seen.answers.add(
                question.clone(),
                match question {
                    Question::Metric { .. } => Answer::Metric(Ok(100.0)),
                    Question::Hook { .. } => Answer::Hook(Ok(())),
                    Question::Providers => Answer::Providers(Ok(())),
                },
            );
        }
        decision = decide(rollout, &seen);
    }
    decision
}

fn takes_a_bad_answer_for_a_good_one(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut better = seen.clone();
    better.answers = Answers::default();
    better.answers.announced.clone_from(&seen.answers.announced);
    for index in 0..rollout.analysis.metrics.len() {
        for check in [rollout::Check::SuccessRate, rollout::Check::Duration, rollout::Check::Inline] {
            let question = Question::Metric { index, check };
            if seen.answers.to(&question).is_some() {
                better.answers.add(question, Answer::Metric(Ok(100.0)));
            }
        }
    }
    for (index, _) in rollout.analysis.webhooks.iter().enumerate() {
        for phase in crate::random::PHASES {
            let question = Question::Hook { index, payload: rollout::Payload::of(&seen.status, phase) };
            if let Some(answer) = seen.answers.to(&question) {
                better.answers.add(question, answer.clone());
            }
        }
    }
    if let Some(answer) = seen.answers.to(&Question::Providers) {
        better.answers.add(Question::Providers, answer.clone());
    }
    decide(rollout, &better)
}

fn promotes_at_once(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut decision = decide(rollout, seen);
    if let (api::Phase::Progressing, Ok(target), Some(plan)) = (seen.status.phase, &seen.target, plan(&mut decision)) {
        plan.actions.insert(0, Action::Promote { revision: target.revision.hash.clone() });
    }
    decision
}

fn talks_all_the_time(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut decision = decide(rollout, seen);
    if let Some(plan) = plan(&mut decision) {
        plan.actions.push(Action::Log("still here".to_owned()));
        plan.memory.told = None;
    }
    decision
}

fn never_looks_again(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut decision = decide(rollout, seen);
    if let Some(plan) = plan(&mut decision) {
        plan.wake = plan.wake.filter(|wake| *wake <= seen.now);
    }
    decision
}

fn looks_again_much_later(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut decision = decide(rollout, seen);
    if let Some(plan) = plan(&mut decision) {
        plan.wake = plan.wake.map(|wake| if wake > seen.now { wake + SignedDuration::from_secs(60) } else { wake });
    }
    decision
}

fn spins(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut decision = decide(rollout, seen);
    if let Some(plan) = plan(&mut decision) {
        plan.wake = plan.wake.map(|_| seen.now);
    }
    decision
}

fn writes_the_status_first(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut decision = decide(rollout, seen);
    if let Some(plan) = plan(&mut decision) {
        plan.actions.sort_by_key(|action| !matches!(action, Action::Record(_)));
    }
    decision
}

fn never_routes_back(rollout: &api::Rollout, seen: &Observation) -> Decision {
    without(decide(rollout, seen), |action| matches!(action, Action::Route(routes) if routes.canary.is_zero()))
}

fn never_scales_up(rollout: &api::Rollout, seen: &Observation) -> Decision {
    without(decide(rollout, seen), |action| matches!(action, Action::ScaleUp))
}

fn never_writes_the_status(rollout: &api::Rollout, seen: &Observation) -> Decision {
    without(decide(rollout, seen), |action| matches!(action, Action::Record(_)))
}

fn touches_what_is_suspended(rollout: &api::Rollout, seen: &Observation) -> Decision {
    let mut decision = decide(rollout, seen);
    if let (true, Some(plan)) = (rollout.suspended, plan(&mut decision)) {
        plan.actions.insert(0, Action::Route(Routes::weighted(Weight::ZERO)));
    }
    decision
}

fn gives_back_what_is_not_ready(rollout: &api::Rollout, seen: &Observation) -> Decision {
    misled(rollout, seen, |seen| {
        if let (true, Ok(target)) = (seen.object.deleting, &mut seen.target) {
            target.readiness = Ok(());
        }
    })
}

fn never_lets_go(rollout: &api::Rollout, seen: &Observation) -> Decision {
    without(decide(rollout, seen), |action| matches!(action, Action::RemoveFinalizer))
}

fn gives_up_without_routes(rollout: &api::Rollout, seen: &Observation) -> Decision {
    misled(rollout, seen, |seen| {
        if seen.status.phase == api::Phase::Progressing {
            seen.routes = Err(Trouble::passing("never"));
        }
    })
}

fn lives() -> impl Strategy<Value = Life> {
    (spec(), abilities(), turns())
}

fn deleted(decider: Decider, (spec, abilities, turns): Life) {
    crate::given_back(decider, (spec, abilities, turns.clone(), turns));
}

/// The law that is broken, in words of the report.
fn caught(name: &str, decider: Decider, expected: &str) {
    found(name, decider, whatever_happens, expected);
}

fn found(name: &str, decider: Decider, live: fn(Decider, Life), expected: &str) {
    let (_, found) = hunt(name, SEED..SEED + ENOUGH, 150, &lives, |life| live(decider, life), decider);
    let found = found.unwrap_or_else(|| panic!("{name} breaks nothing"));
    assert!(found.why.contains(expected), "{name}: {found:?}");
    // What is left shows it again without the world, and the real decision does not do it.
    let stored = moments::read(&fs::read_to_string(&found.file).unwrap());
    let again = moments::broken(&stored, decider);
    println!("{name}: {} moments, {again:?}\n{}", stored.len(), found.why.lines().next().unwrap_or_default());
    if stored.len() <= 2 {
        assert!(!again.is_empty(), "{name}: {found:?}");
        assert_eq!(moments::broken(&stored, decide), Vec::<String>::new(), "{name}");
    }
    fs::remove_file(found.file).unwrap();
}

#[test]
fn broken_readiness_is_caught() {
    caught("canary-readiness", ignores_that_the_canary_is_not_ready, "");
    caught("primary-readiness", ignores_that_the_primary_is_not_ready, "");
    found("given-back", gives_back_what_is_not_ready, deleted, "given back without pods");
}

#[test]
fn broken_order_is_caught() {
    caught("scale-first", scales_down_before_routing_back, "ScaledDown");
    caught("status-first", writes_the_status_first, "AfterStatus");
    caught("never-back", never_routes_back, "no rest");
    caught("suspended", touches_what_is_suspended, "Meddling");
}

#[test]
fn broken_proof_is_caught() {
    caught("unasked", believes_that_every_check_passed, "Unproven");
    caught("bad-answer", takes_a_bad_answer_for_a_good_one, "Unproven");
    caught("at-once", promotes_at_once, "Unproven");
}

#[test]
fn broken_progress_is_caught() {
    caught("forgotten", never_looks_again, "Forgotten");
    caught("late", looks_again_much_later, "Late");
    caught("spins", spins, "Spinning");
    caught("no-status", never_writes_the_status, "");
    caught("no-pods", never_scales_up, "");
    caught("no-routes", gives_up_without_routes, "");
    caught("talks", talks_all_the_time, "decided again");
    found("kept", never_lets_go, deleted, "never let go");
}
