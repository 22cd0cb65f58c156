//! One round of an analysis: is the canary to be given up, may it start, does it do well, what comes next.
//!
//! Source: controller notes, S19 to S32, sections 11 and 12.

use crate::change::{self, Change};
use crate::plan::{Action, EventKind, Reason};
use crate::question::{Answer, Check, MetricTrouble, Question};
use crate::routes::Routes;
use crate::script::{End, Flow, Script};
use crate::verdict::{self, Judged};
use crate::{finish, strategy};
use api::{HookType, LastChecks, Phase, Severity, Strategy};
use jiff::Timestamp;

/// The built-in metrics.
const SUCCESS_RATE: &str = "request-success-rate";
const DURATION: &str = "request-duration";

/// Phases Progressing and `WaitingPromotion`.
pub(crate) fn decide(script: &mut Script<'_>, live: &Routes) -> Flow<Box<End>> {
    let rollout = script.rollout;
    if change::change(script.seen) == Change::New {
        return Ok(restart(script));
    }
    if script.seen.target.as_ref().is_ok_and(|target| target.scaled_down) {
        return Ok(bring_back(script));
    }
    canary_ready(script)?;
    if rollout.skip_analysis {
        return Ok(finish::skip(script, live));
    }
    if given_up(script) {
        rollback_hooks(script)?;
        return Ok(finish::roll_back(script, &finish::Cause::Threshold));
    }
    if let Some(end) = catch_up(script, live) {
        return Ok(end);
    }
    if let Some(due) = due(script, live).filter(|due| *due > script.seen.now) {
        return Ok(script.done(Reason::Interval, Some(due)));
    }
    rollback_hooks(script)?;
    script.note_analysis();
    if started(script, live) {
        check(script)?;
    } else {
        start(script)?;
    }
    strategy::advance(script, live)
}

/// The canary has no pods: a rollback was interrupted, or somebody scaled it down. A workload that wants no pods counts as ready, but would get traffic.
fn bring_back(script: &mut Script<'_>) -> Box<End> {
    if script.rollout.autoscaler.is_some() {
        script.act(Action::ResumeScaler);
    }
    script.act(Action::ScaleUp);
    let wake = script.later(script.seen.now);
    script.done(Reason::Waiting(format!("{} is scaled to zero", script.rollout.full_target())), Some(wake))
}

/// The template changed while it was analysed: all over again.
pub(crate) fn restart(script: &mut Script<'_>) -> Box<End> {
    if script.seen.primary_serves() {
        script.route(Routes::to_primary());
    }
    script.sync(Phase::Progressing, 0);
    script.normal(format!("New revision detected! Restarting analysis for {}", script.rollout.full_target()));
    script.memory.asked = None;
    script.memory.alerted.clear();
    script.done(Reason::Stepped, Some(script.seen.now))
}

/// The canary must be able to serve; a canary that will never be is given up.
pub(crate) fn canary_ready(script: &mut Script<'_>) -> Flow<()> {
    let Ok(target) = &script.seen.target else { return Ok(()) };
    match &target.readiness {
        Ok(()) => Ok(()),
        Err(trouble) if trouble.retriable => Err(script.wait_for_readiness(&trouble.message)),
        Err(trouble) => {
            // Where the canary cannot be given up, that is what is told, once.
            if !finish::would_go_dark(script.seen) {
                script.warn(trouble.message.clone());
            }
            Err(finish::roll_back(script, &finish::Cause::Deadline(trouble.message.clone())))
        }
    }
}

fn given_up(script: &Script<'_>) -> bool {
    script.seen.status.failed_checks >= script.rollout.threshold
}

/// A weight was moved, but a conflict or a crash kept the status from saying so: it is written now, and the samples of the step are waited for.
fn catch_up(script: &mut Script<'_>, live: &Routes) -> Option<Box<End>> {
    let (strategy, _) = strategy::effective(script.rollout, &script.seen.abilities);
    let percent = live.canary.percent();
    if strategy != Strategy::Weighted
        || script.seen.status.phase != Phase::Progressing
        || percent == script.seen.status.canary_weight
    {
        return None;
    }
    script.status.canary_weight = percent;
    script.touch();
    script.record();
    script.normal(format!("Advance {} canary weight {percent}", script.rollout.full_name()));
    let now = script.seen.now;
    script.memory.asked = Some(now);
    let wake = script.later(now);
    Some(script.done(Reason::Stepped, Some(wake)))
}

/// When the next round is due: an interval after the last one. A process that does not remember it goes by the status. `None`: at once.
fn due(script: &Script<'_>, live: &Routes) -> Option<Timestamp> {
    let status = &script.seen.status;
    let stored = status.last_transition_time.filter(|_| started(script, live) || status.failed_checks > 0);
    // A clock that was set back must not stop a rollout: what lies ahead says nothing.
    script.seen.memory.asked.or(stored).filter(|last| *last <= script.seen.now).map(|last| script.later(last))
}

/// Whether the canary has had requests.
fn started(script: &Script<'_>, live: &Routes) -> bool {
    let status = &script.seen.status;
    let mirrored = script.rollout.analysis.mirror && live.mirrored;
    !live.canary.is_zero() || status.iterations != 0 || mirrored || status.phase == Phase::WaitingPromotion
}

/// Hooks that call the rollout off: the first that says yes does.
pub(crate) fn rollback_hooks(script: &mut Script<'_>) -> Flow<()> {
    let (rollout, phase) = (script.rollout, script.seen.status.phase);
    for (index, hook) in rollout.hooks(HookType::Rollback) {
        if strategy::passes(script, index, phase)?.is_err() {
            script.normal(format!("Rollback hook {} not signaling a rollback", hook.name));
            continue;
        }
        if finish::would_go_dark(script.seen) {
            // Nothing is announced that is not done; the hook is asked again an interval from now.
            script.memory.asked = Some(script.seen.now);
            return Err(finish::roll_back(script, &finish::Cause::Hook));
        }
        script.warn(format!("Rollback check {} passed", hook.name));
        script.warn(format!("Rolling back {} manual webhook invoked", rollout.full_name()));
        script.alert(Severity::Warn, "Rolling back manual webhook invoked", false);
        return Err(finish::roll_back(script, &finish::Cause::Hook));
    }
    Ok(())
}

/// Before the first request: the pre-rollout hooks.
fn start(script: &mut Script<'_>) -> Flow<()> {
    let rollout = script.rollout;
    script.normal(format!("Starting canary analysis for {}", rollout.full_target()));
    for (index, hook) in rollout.hooks(HookType::PreRollout) {
        match strategy::passes(script, index, Phase::Progressing)? {
            Ok(()) => script.normal(format!("Pre-rollout check {} passed", hook.name)),
            Err(answer) => {
                let text =
                    format!("Halt {} advancement pre-rollout check {} failed {answer}", rollout.full_name(), hook.name);
                return Err(failed_check(script, EventKind::Warning, text, None));
            }
        }
    }
    Ok(())
}

/// Hooks first, then the metrics of the spec, then those of templates; the first failure ends the round.
fn check(script: &mut Script<'_>) -> Flow<()> {
    let rollout = script.rollout;
    for (index, hook) in rollout.hooks(HookType::Rollout) {
        if let Err(answer) = strategy::passes(script, index, Phase::Progressing)? {
            let text = format!("Halt {} advancement external check {} failed {answer}", rollout.full_name(), hook.name);
            return Err(failed_check(script, EventKind::Warning, text, None));
        }
    }
    let mut checked = LastChecks { time: Some(script.seen.now), checks: Vec::new() };
    for (index, check) in checks(script) {
        let Some(metric) = rollout.analysis.metrics.get(index) else { continue };
        let judged = match check {
            Some(check) => {
                verdict::judge(rollout, &script.seen.observer, metric, check, measured(script, index, check)?)
            }
            None => verdict::nothing_to_measure(metric),
        };
        let Judged { entry, complaint } = judged;
        checked.checks.push(entry);
        if let Some((kind, text)) = complaint {
            return Err(failed_check(script, kind, text, Some(checked)));
        }
    }
    script.status.last_checks = (!checked.checks.is_empty()).then_some(checked);
    Ok(())
}

/// What to measure, in order: built-in and inline queries of all metrics, then the templates of all metrics. `None`: the entry names nothing to measure.
fn checks(script: &Script<'_>) -> Vec<(usize, Option<Check>)> {
    let metrics = &script.rollout.analysis.metrics;
    let direct = metrics.iter().enumerate().flat_map(|(index, metric)| {
        let built_in = match metric.name.as_str() {
            SUCCESS_RATE => Some(Check::SuccessRate),
            DURATION => Some(Check::Duration),
            _ => None,
        };
        let inline = has_query(metric).then_some(Check::Inline);
        built_in.into_iter().chain(inline).map(move |check| (index, Some(check)))
    });
    let templates = metrics.iter().enumerate().filter_map(|(index, metric)| {
        let built_in = [SUCCESS_RATE, DURATION].contains(&metric.name.as_str());
        if metric.template_ref.is_some() {
            Some((index, Some(Check::Template)))
        } else {
            (!built_in && !has_query(metric)).then_some((index, None))
        }
    });
    direct.chain(templates).collect()
}

fn has_query(metric: &api::CanaryMetric) -> bool {
    metric.query.as_deref().is_some_and(|query| !query.is_empty())
}

fn measured<'a>(script: &Script<'a>, index: usize, check: Check) -> Flow<&'a Result<f64, MetricTrouble>> {
    match script.ask(Question::Metric { index, check })? {
        Answer::Metric(found) => Ok(found),
        // Answers are stored under their question, so another kind cannot be here.
        _ => Ok(UNKNOWN),
    }
}

const UNKNOWN: &Result<f64, MetricTrouble> = &Err(MetricTrouble::NoValues(String::new()));

/// A check failed: it is counted, and the next round is due an interval from now (or the canary is given up at once).
fn failed_check(script: &mut Script<'_>, kind: EventKind, text: String, checked: Option<LastChecks>) -> Box<End> {
    script.emit(kind, text.clone());
    if checked.is_some() {
        script.status.last_checks = checked;
    }
    script.status.failed_checks = script.seen.status.failed_checks.saturating_add(1);
    script.touch();
    script.record();
    let now = script.seen.now;
    script.memory.asked = Some(now);
    let wake = if script.status.failed_checks >= script.rollout.threshold { now } else { script.later(now) };
    script.done(Reason::CheckFailed(text), Some(wake))
}
