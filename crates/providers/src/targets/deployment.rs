//! Deployments: the primary is a second Deployment; zero is `replicas: 0`.
//!
//! Reads and writes `apps/v1 Deployment`s, whatever version the Canary names, and the configs that their pods use. Of the target itself only
//! `spec.replicas` is ever written.
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/>

use super::configs::{self, CONFIG_MAPS, SECRETS, Tracked};
use super::readiness::{self, Allowance};
use super::workload::{Workload, pod_spec, prefixed, under};
use super::{Fresh, Pods, Target, TargetError, ports, selectors};
use crate::access::{Access, WRITE};
use api::Rollout;
use objects::hash::{self, Generation};
use objects::kind::DEPLOYMENT;
use objects::{ObjectRef, Snapshot, Write, paths};
use rollout::{Configs, Primary, Target as Seen, Trouble};
use serde_json::{Value, json};

/// Deployments as targets.
///
/// The reference takes kinds that it does not know for Deployments, after a warning. The CRD lets none through, so whoever finds no target for a kind has
/// this one to fall back to.
#[derive(Debug)]
pub struct Deployment;

static KINDS: [Access; 3] = [Access { kind: &DEPLOYMENT, verbs: WRITE }, CONFIG_MAPS, SECRETS];

static WORKLOAD: Workload = Workload {
    kind: &DEPLOYMENT,
    noun: "deployment",
    shared: &["progressDeadlineSeconds", "minReadySeconds", "revisionHistoryLimit", "strategy"],
    own: &["paused", "replicas", "selector", "template"],
    adapt: selectors::rewrite_scheduling,
};

impl Target for Deployment {
    fn kind(&self) -> &'static str {
        "Deployment"
    }

    fn kinds(&self) -> &'static [Access] {
        &KINDS
    }

    fn reads(&self, rollout: &Rollout, live: &Snapshot) -> Vec<ObjectRef> {
        let mut reads = vec![WORKLOAD.target_ref(rollout), WORKLOAD.primary_ref(rollout)];
        if let Ok(target) = WORKLOAD.target(rollout, live) {
            reads.extend(configs::reads(rollout, pod_spec(target)));
        }
        reads
    }

    fn target(
        &self,
        rollout: &Rollout,
        live: &Snapshot,
        stored: &[&str],
        now: jiff::Timestamp,
    ) -> Result<Seen, TargetError> {
        let target = WORKLOAD.target(rollout, live)?;
        let template = template(target);
        let hash = |generation| hash::pod_template(template, generation);
        let allowance = allowance(rollout, rollout.canary_ready_threshold, now);
        Ok(Seen {
            revision: WORKLOAD.revision(rollout, live, target, stored, &hash, hash::reproducible(template)),
            readiness: readiness::deployment(target, allowance)
                .map_err(saying(&format!("canary deployment {} not ready: ", rollout.full_target()))),
            scaled_down: replicas(target) == Some(0),
        })
    }

    fn primary(&self, rollout: &Rollout, live: &Snapshot, now: jiff::Timestamp) -> Primary {
        let reference = WORKLOAD.primary_ref(rollout);
        let primary = match live.find(&reference) {
            Ok(primary) => primary,
            Err(absent) => {
                let text = WORKLOAD.unreadable(&reference, &absent).to_string();
                let trouble = if absent.is_not_found() { Trouble::missing(text) } else { Trouble::passing(text) };
                return Primary { exists: false, readiness: Err(trouble), serving: false, current: false };
            }
        };
        let allowance = allowance(rollout, rollout.primary_ready_threshold, now);
        let original = WORKLOAD.target(rollout, live).and_then(|target| WORKLOAD.original(rollout, live, target));
        Primary {
            exists: true,
            readiness: readiness::deployment(primary, allowance)
                .map_err(saying(&format!("{}.{} not ready: ", rollout.primary, rollout.namespace))),
            serving: paths::integer(primary, "/status/availableReplicas").is_some_and(|available| available > 0),
            current: original.is_ok_and(|original| WORKLOAD.is_current(rollout, live, &original, primary)),
        }
    }

    fn configs(&self, rollout: &Rollout, live: &Snapshot) -> Result<Option<Configs>, TargetError> {
        if !rollout.settings.config_tracking {
            return Ok(None);
        }
        let target = WORKLOAD.target(rollout, live).map_err(prefixed("GetTargetConfigs failed: "))?;
        Ok(Some(Tracked::of(rollout, live, pod_spec(target))?.checksums()))
    }

    fn pods(&self, rollout: &Rollout, live: &Snapshot) -> Result<Option<Pods>, TargetError> {
        let target = WORKLOAD.target(rollout, live)?;
        let selector = WORKLOAD.selector(rollout, target)?;
        let ports = if rollout.service.port_discovery { ports::discover(target, rollout) } else { Vec::new() };
        Ok(Some(Pods { label: selector.label, value: selector.value, ports }))
    }

    fn create_primary(
        &self,
        rollout: &Rollout,
        live: &Snapshot,
        fresh: &Fresh,
        minimum: Option<i64>,
    ) -> Result<Vec<Write>, TargetError> {
        under("createPrimaryDeployment failed: ", create_primary(rollout, live, fresh, minimum))
    }

    fn promote(
        &self,
        rollout: &Rollout,
        live: &Snapshot,
        fresh: &Fresh,
        revision: &str,
    ) -> Result<Vec<Write>, TargetError> {
        let failure = format!("updating deployment {}.{} template spec failed: ", rollout.primary, rollout.namespace);
        under(&failure, promote(rollout, live, fresh, revision))
    }

    fn scale_down(&self, rollout: &Rollout, live: &Snapshot) -> Result<Vec<Write>, TargetError> {
        let failure = format!("deployment {} patch query error: ", rollout.full_target());
        Ok(scale(rollout, WORKLOAD.target(rollout, live)?, 0, failure))
    }

    fn scale_up(&self, rollout: &Rollout, live: &Snapshot, minimum: Option<i64>) -> Result<Vec<Write>, TargetError> {
        scale_up(rollout, live, minimum)
    }

    fn revert(&self, rollout: &Rollout, live: &Snapshot, minimum: Option<i64>) -> Result<Vec<Write>, TargetError> {
        let target = WORKLOAD.target(rollout, live)?;
        let reference = WORKLOAD.primary_ref(rollout);
        let Some(primary) = live.look(&reference).map_err(|absent| WORKLOAD.unreadable(&reference, &absent))? else {
            return under("ScaleFromZero failed: ", scale_up(rollout, live, minimum));
        };
        let wanted = replicas(primary).unwrap_or(1);
        Ok(scale(
            rollout,
            target,
            wanted,
            format!("scale failed: scaling {} to {wanted} failed: ", rollout.full_target()),
        ))
    }
}

fn create_primary(
    rollout: &Rollout,
    live: &Snapshot,
    fresh: &Fresh,
    minimum: Option<i64>,
) -> Result<Vec<Write>, TargetError> {
    let target = WORKLOAD.target(rollout, live)?;
    // A target without selector label is told also when its primary exists.
    WORKLOAD.selector(rollout, target)?;
    let reference = WORKLOAD.primary_ref(rollout);
    if live.look(&reference).map_err(|absent| WORKLOAD.unreadable(&reference, &absent))?.is_some() {
        return Ok(Vec::new());
    }
    let original = WORKLOAD.original(rollout, live, target)?;
    let mut primary = WORKLOAD.new_primary(rollout, &original, fresh);
    // The primary is what serves: never none, also when it is made anew while the target rests.
    let wanted = replicas(target).filter(|own| *own > 0).or(minimum).unwrap_or(1).max(1);
    paths::set(&mut primary, &["spec", "replicas"], json!(wanted));
    let full_name = format!("{}.{}", reference.name, reference.namespace);
    let mut writes = original.copies(rollout, live)?;
    writes.push(
        Write::create(reference, primary, format!("creating deployment {full_name} failed: "))
            .logging(format!("Deployment {full_name} created")),
    );
    Ok(writes)
}

fn promote(rollout: &Rollout, live: &Snapshot, fresh: &Fresh, revision: &str) -> Result<Vec<Write>, TargetError> {
    let target = WORKLOAD.target(rollout, live)?;
    if hash::pod_template(template(target), Generation::CURRENT) != revision {
        return Err(TargetError::Changed);
    }
    WORKLOAD.selector(rollout, target)?;
    let primary = WORKLOAD.primary(rollout, live)?;
    let original = WORKLOAD.original(rollout, live, target)?;
    let mut wanted = WORKLOAD.promoted(rollout, &original, fresh, primary);
    // A target that somebody has scaled to zero meanwhile must not take the primary with it.
    if rollout.autoscaler.is_none()
        && let Some(own) = replicas(target).filter(|own| *own > 0)
    {
        paths::set(&mut wanted, &["spec", "replicas"], json!(own));
    }
    let mut writes = original.copies(rollout, live)?;
    writes.extend(Write::update(WORKLOAD.primary_ref(rollout), primary, &wanted, ""));
    Ok(writes)
}

/// Scales the target from zero; one that has replicas already keeps their number.
fn scale_up(rollout: &Rollout, live: &Snapshot, minimum: Option<i64>) -> Result<Vec<Write>, TargetError> {
    let target = WORKLOAD.target(rollout, live)?;
    if replicas(target).is_some_and(|own| own > 0) {
        return Ok(Vec::new());
    }
    let wanted = if rollout.autoscaler.is_some() { minimum } else { primary_replicas(rollout, live)? };
    let wanted = wanted.unwrap_or(1).max(1);
    Ok(scale(rollout, target, wanted, format!("scaling up {} to {wanted} failed: ", rollout.full_target())))
}

/// The primary's number of replicas; `None` for a primary that is missing or does not say.
fn primary_replicas(rollout: &Rollout, live: &Snapshot) -> Result<Option<i64>, TargetError> {
    let reference = WORKLOAD.primary_ref(rollout);
    let primary = live.look(&reference).map_err(|absent| WORKLOAD.unreadable(&reference, &absent))?;
    Ok(primary.and_then(replicas))
}

/// Gives the target so many replicas, unless it has them.
fn scale(rollout: &Rollout, target: &Value, wanted: i64, failure: String) -> Vec<Write> {
    if replicas(target) == Some(wanted) {
        return Vec::new();
    }
    vec![Write::patch(WORKLOAD.target_ref(rollout), json!({"spec": {"replicas": wanted}}), failure)]
}

fn replicas(deployment: &Value) -> Option<i64> {
    paths::integer(deployment, "/spec/replicas")
}

fn template(deployment: &Value) -> &Value {
    deployment.pointer("/spec/template").unwrap_or(&Value::Null)
}

fn allowance(rollout: &Rollout, threshold: i64, now: jiff::Timestamp) -> Allowance {
    Allowance { threshold, deadline_seconds: rollout.progress_deadline_seconds, now }
}

/// The same trouble with a text in front.
fn saying(prefix: &str) -> impl Fn(Trouble) -> Trouble + use<'_> {
    move |trouble| Trouble { message: format!("{prefix}{}", trouble.message), ..trouble }
}
