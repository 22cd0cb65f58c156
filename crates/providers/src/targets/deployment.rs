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
use objects::hash;
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
    hash: hash::pod_template,
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
        Ok(Seen {
            revision: WORKLOAD.revision(rollout, live, target, stored),
            readiness: readiness::deployment(target, allowance(rollout, rollout.canary_ready_threshold, now))
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
        Primary {
            exists: true,
            readiness: readiness::deployment(primary, allowance(rollout, rollout.primary_ready_threshold, now))
                .map_err(saying(&format!("{}.{} not ready: ", rollout.primary, rollout.namespace))),
            serving: paths::integer(primary, "/status/availableReplicas").is_some_and(|available| available > 0),
            current: WORKLOAD.is_current(rollout, live, primary),
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
        // The primary is what serves: never none, also when it is made anew while the target rests.
        let finish = |primary: &mut Value, target: &Value| {
            let wanted = replicas(target).filter(|own| *own > 0).or(minimum).unwrap_or(1).max(1);
            paths::set(primary, &["spec", "replicas"], json!(wanted));
        };
        under("createPrimaryDeployment failed: ", WORKLOAD.create(rollout, live, fresh, finish))
    }

    fn promote(
        &self,
        rollout: &Rollout,
        live: &Snapshot,
        fresh: &Fresh,
        revision: &str,
    ) -> Result<Vec<Write>, TargetError> {
        // The target was scaled up for its analysis. One that somebody has scaled to zero meanwhile must not take the primary with it.
        WORKLOAD.promote(rollout, live, fresh, revision, |primary, target| {
            if rollout.autoscaler.is_none()
                && let Some(own) = replicas(target).filter(|own| *own > 0)
            {
                paths::set(primary, &["spec", "replicas"], json!(own));
            }
        })
    }

    fn scale_down(&self, rollout: &Rollout, live: &Snapshot) -> Result<Vec<Write>, TargetError> {
        let failure = format!("deployment {} patch query error: ", rollout.full_target());
        Ok(scale(rollout, WORKLOAD.target(rollout, live)?, 0, failure))
    }

    /// A target that has replicas already keeps their number.
    fn scale_up(&self, rollout: &Rollout, live: &Snapshot, minimum: Option<i64>) -> Result<Vec<Write>, TargetError> {
        let target = WORKLOAD.target(rollout, live)?;
        if replicas(target).is_some_and(|own| own > 0) {
            return Ok(Vec::new());
        }
        let wanted = if rollout.autoscaler.is_some() { minimum } else { primary_replicas(rollout, live)? };
        let wanted = wanted.unwrap_or(1).max(1);
        Ok(scale(rollout, target, wanted, format!("scaling up {} to {wanted} failed: ", rollout.full_target())))
    }

    fn revert(&self, rollout: &Rollout, live: &Snapshot, minimum: Option<i64>) -> Result<Vec<Write>, TargetError> {
        let target = WORKLOAD.target(rollout, live)?;
        let reference = WORKLOAD.primary_ref(rollout);
        let Some(primary) = live.look(&reference).map_err(|absent| WORKLOAD.unreadable(&reference, &absent))? else {
            return under("ScaleFromZero failed: ", self.scale_up(rollout, live, minimum));
        };
        let wanted = replicas(primary).unwrap_or(1);
        let failure = format!("scale failed: scaling {} to {wanted} failed: ", rollout.full_target());
        Ok(scale(rollout, target, wanted, failure))
    }
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

fn allowance(rollout: &Rollout, threshold: i64, now: jiff::Timestamp) -> Allowance {
    Allowance { threshold, deadline_seconds: rollout.progress_deadline_seconds, now }
}

/// The same trouble with a text in front.
fn saying(prefix: &str) -> impl Fn(Trouble) -> Trouble + use<'_> {
    move |trouble| Trouble { message: format!("{prefix}{}", trouble.message), ..trouble }
}

#[cfg(test)]
mod tests;
