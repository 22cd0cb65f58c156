//! What comes next: the routes at the next step, or the promotion.
//!
//! Source: controller notes, sections 9 and 11.6.

use crate::finish;
use crate::plan::{Action, Reason};
use crate::question::{Answer, Payload, Question};
use crate::routes::{Routes, Weight};
use crate::script::{End, Flow, Script};
use api::{HookType, Phase, Rollout, Severity, Strategy, derived};

/// The number of iterations that a router without weights gets where the spec has none.
const DEFAULT_ITERATIONS: i64 = 10;

/// The strategy and its iterations, as far as the router can follow the spec.
pub(crate) fn effective(rollout: &Rollout, abilities: &crate::Abilities) -> (Strategy, i64) {
    let iterations = rollout.analysis.iterations;
    if !abilities.shifts {
        return (Strategy::BlueGreen, if iterations < 1 { DEFAULT_ITERATIONS } else { iterations });
    }
    match rollout.strategy {
        // Without header matches everybody would be sent to the canary at the first iteration.
        Strategy::AbTesting if !abilities.matches => (Strategy::BlueGreen, iterations),
        strategy => (strategy, iterations),
    }
}

/// The step after a round of checks that passed.
pub(crate) fn advance(script: &mut Script<'_>, live: &Routes) -> Flow<Box<End>> {
    match effective(script.rollout, &script.seen.abilities) {
        (Strategy::Weighted, _) => weighted(script, live),
        (Strategy::AbTesting, iterations) => ab_testing(script, iterations),
        (Strategy::BlueGreen, iterations) => blue_green(script, live, iterations),
    }
}

fn weighted(script: &mut Script<'_>, live: &Routes) -> Flow<Box<End>> {
    let rollout = script.rollout;
    let weight = live.canary.percent();
    let step = derived::next_step(&rollout.analysis, weight);
    if step <= 0 {
        return Ok(stuck(script, weight, step));
    }
    if !live.mirrored && script.seen.status.phase != Phase::WaitingPromotion {
        confirm_traffic_increase(script)?;
    }
    if weight >= max_weight(rollout) {
        confirm_promotion(script, 0)?;
        return Ok(promote(script));
    }
    let next = if rollout.analysis.mirror && script.seen.abilities.mirrors && live.canary.is_zero() {
        if live.mirrored { Routes::weighted(Weight::clipped(step)) } else { Routes::mirror() }
    } else {
        Routes { canary: Weight::clipped(weight.saturating_add(step)), mirrored: live.mirrored, affinity: None }
    };
    if rollout.analysis.mirror && (next.mirrored != live.mirrored) {
        script.act(Action::Log(format!("Running mirror step {}/{}/{}", next.primary(), next.canary, next.mirrored)));
    }
    let percent = next.canary.percent();
    script.route(next);
    script.status.canary_weight = percent;
    script.touch();
    script.record();
    script.normal(format!("Advance {} canary weight {percent}", rollout.full_name()));
    Ok(stepped(script))
}

/// The weight at which the revision is promoted. One above 100 would never be reached, and the rollout never end; one below 1 (of a list of steps) would be
/// reached before anything was checked.
pub(crate) fn max_weight(rollout: &Rollout) -> i64 {
    derived::max_weight(&rollout.analysis).clamp(1, derived::TOTAL_WEIGHT)
}

/// The list of steps leads nowhere: checks go on, as they always did, and it is said once per revision.
fn stuck(script: &mut Script<'_>, weight: i64, step: i64) -> Box<End> {
    let name = script.rollout.full_name();
    let text = format!(
        "Canary {name} cannot advance from weight {weight}: the next step is {step}, set stepWeight or ascending stepWeights"
    );
    if script.memory.warned != script.seen.status.last_applied_spec {
        script.memory.warned.clone_from(&script.seen.status.last_applied_spec);
        script.warn(text.clone());
    }
    let now = script.seen.now;
    script.memory.asked = Some(now);
    let wake = script.later(now);
    script.done(Reason::Waiting(text), Some(wake))
}

fn ab_testing(script: &mut Script<'_>, iterations: i64) -> Flow<Box<End>> {
    if script.seen.status.iterations < iterations {
        script.route(Routes::weighted(Weight::FULL));
        return Ok(iterate(script, iterations));
    }
    confirm_promotion(script, iterations)?;
    Ok(promote(script))
}

fn blue_green(script: &mut Script<'_>, live: &Routes, iterations: i64) -> Flow<Box<End>> {
    let (rollout, abilities) = (script.rollout, &script.seen.abilities);
    let done = script.seen.status.iterations;
    let mirror = rollout.analysis.mirror && abilities.mirrors;
    if done < iterations {
        if mirror && !live.mirrored {
            script.act(Action::Log("Start traffic mirroring".to_owned()));
            script.route(Routes::mirror());
        }
        return Ok(iterate(script, iterations));
    }
    confirm_promotion(script, iterations)?;
    if done > iterations {
        return Ok(promote(script));
    }
    script.status.iterations = iterations.saturating_add(1);
    script.touch();
    if abilities.shifts {
        let text = if rollout.analysis.mirror {
            "Stop traffic mirroring and route all traffic to canary"
        } else {
            "Routing all traffic to canary"
        };
        script.route(Routes::weighted(Weight::FULL));
        script.record();
        script.normal(text);
    } else {
        script.record();
    }
    Ok(stepped(script))
}

fn iterate(script: &mut Script<'_>, iterations: i64) -> Box<End> {
    script.status.iterations = script.seen.status.iterations.saturating_add(1);
    script.touch();
    script.record();
    script.normal(format!(
        "Advance {} canary iteration {}/{iterations}",
        script.rollout.full_name(),
        script.status.iterations
    ));
    stepped(script)
}

/// The next round is due an interval from now.
fn stepped(script: &mut Script<'_>) -> Box<End> {
    let now = script.seen.now;
    script.memory.asked = Some(now);
    script.memory.alerted.clear();
    let wake = script.later(now);
    script.done(Reason::Stepped, Some(wake))
}

/// Copies the target's template to the primary. Traffic is not touched before the primary runs it.
fn promote(script: &mut Script<'_>) -> Box<End> {
    let rollout = script.rollout;
    let revision = finish::copied(script);
    script.act(Action::Promote { revision });
    script.enter(Phase::Promoting, 0);
    script.normal(format!(
        "Copying {} template spec to {}.{}",
        rollout.full_target(),
        rollout.primary,
        rollout.namespace
    ));
    script.memory.moved = None;
    script.memory.asked = None;
    script.memory.alerted.clear();
    script.done(Reason::Stepped, Some(script.seen.now))
}

fn confirm_traffic_increase(script: &mut Script<'_>) -> Flow<()> {
    let rollout = script.rollout;
    for (index, hook) in rollout.hooks(HookType::ConfirmTrafficIncrease) {
        if passes(script, index, Phase::Progressing)?.is_ok() {
            script.normal(format!("Confirm-traffic-increase check {} passed", hook.name));
            continue;
        }
        script.warn(format!(
            "Halt {} advancement waiting for traffic increase approval {}",
            rollout.full_name(),
            hook.name
        ));
        if !hook.mute_alert {
            script.alert_once(Severity::Warn, "Canary traffic increase is waiting for approval.");
        }
        return Err(denied(script, &hook.name));
    }
    Ok(())
}

/// Asks for the promotion. A denial makes the last iteration repeat, so that the checks go on.
fn confirm_promotion(script: &mut Script<'_>, iterations: i64) -> Flow<()> {
    let rollout = script.rollout;
    for (index, hook) in rollout.hooks(HookType::ConfirmPromotion) {
        if passes(script, index, Phase::Progressing)?.is_ok() {
            script.normal(format!("Confirm-promotion check {} passed", hook.name));
            continue;
        }
        if script.seen.status.phase == Phase::WaitingPromotion {
            let back = iterations.saturating_sub(1);
            if script.status.iterations != back {
                script.status.iterations = back;
                script.touch();
                script.record();
            }
        } else {
            script.enter(Phase::WaitingPromotion, iterations);
            script.warn(format!(
                "Halt {} advancement waiting for promotion approval {}",
                rollout.full_name(),
                hook.name
            ));
            if !hook.mute_alert {
                script.alert(Severity::Warn, "Canary promotion is waiting for approval.", false);
            }
        }
        return Err(denied(script, &hook.name));
    }
    Ok(())
}

const NO: &Result<(), String> = &Err(String::new());

/// The answer of one hook.
pub(crate) fn passes<'a>(script: &Script<'a>, index: usize, phase: Phase) -> Flow<&'a Result<(), String>> {
    let question = Question::Hook { index, payload: Payload::of(&script.seen.status, phase) };
    match script.ask(question)? {
        Answer::Hook(answer) => Ok(answer),
        // Answers are stored under their question, so another kind cannot be here; taking it as a yes would be worse than as a no.
        _ => Ok(NO),
    }
}

/// A gate is closed: asked again an interval from now.
pub(crate) fn denied(script: &mut Script<'_>, hook: &str) -> Box<End> {
    let now = script.seen.now;
    script.memory.asked = Some(now);
    let wake = script.later(now);
    script.done(Reason::Gate(hook.to_owned()), Some(wake))
}
