//! The status of Deployments: numbers of pods, whether enough serve, whether the rollout goes on.
//!
//! Source of reasons and messages: statuses written by kube-controller-manager 1.36.

use super::deployment::Plan;
use super::fleet::{Fleet, Scene, set_condition};
use jiff::{SignedDuration, Timestamp};
use objects::paths;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::Instant;

const PROGRESSING: &str = "Progressing";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// One look at a Deployment and its pods.
pub(super) struct Look<'a> {
    /// The Deployment, with its status so far.
    pub object: &'a Value,
    /// Its pods.
    pub fleet: &'a Fleet,
    /// What its spec asks for.
    pub plan: &'a Plan,
    /// The name of its present template, which is not rolled out while it is paused.
    pub hash: &'a str,
    /// Whether the template is rolled out from now on.
    pub fresh: bool,
    /// The time.
    pub scene: &'a Scene<'a>,
}

/// The number under a key of a status.
fn number(status: &Value, key: &str) -> i64 {
    paths::integer(status, &format!("/{key}")).unwrap_or_default()
}

impl Look<'_> {
    /// The whole status.
    pub(super) fn status(&self) -> Value {
        let mut status = Value::Object(self.numbers());
        let mut conditions: Vec<Value> = paths::list(self.object, "/status/conditions").cloned().collect();
        let enough = number(&status, "availableReplicas") >= self.plan.desired - self.plan.unavailable;
        self.set_available(&mut conditions, enough);
        self.set_paused(&mut conditions);
        self.set_progressing(&mut conditions, &status);
        paths::set(&mut status, &["conditions"], json!(conditions));
        status
    }

    fn numbers(&self) -> Map<String, Value> {
        let (fleet, now) = (self.fleet, self.scene.now);
        let total = fleet.count(|_| true);
        let available = fleet.count(|pod| pod.is_ready(now, self.plan.minimum));
        let numbers = [
            ("observedGeneration", number(self.object.get("metadata").unwrap_or(&Value::Null), "generation")),
            ("replicas", total),
            ("updatedReplicas", fleet.count(|pod| pod.hash == self.hash)),
            ("readyReplicas", fleet.count(|pod| pod.is_ready(now, Duration::ZERO))),
            ("availableReplicas", available),
            ("unavailableReplicas", (total.max(self.plan.desired) - available).max(0)),
        ];
        let mut status: Map<String, Value> = numbers
            .into_iter()
            .filter(|(_, number)| *number > 0)
            .map(|(key, number)| (key.to_owned(), json!(number)))
            .collect();
        // Pods end at once here.
        status.insert("terminatingReplicas".to_owned(), json!(0));
        status
    }

    fn set(&self, conditions: &mut Vec<Value>, kind: &str, status: &str, reason: &str, message: &str) {
        let now = self.scene.stamp();
        let new = json!({"type": kind, "status": status, "lastUpdateTime": now, "lastTransitionTime": now, "reason": reason, "message": message});
        set_condition(conditions, new);
    }

    fn set_available(&self, conditions: &mut Vec<Value>, enough: bool) {
        let (status, reason, message) = if enough {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        if !conditions.iter().any(|one| paths::text(one, "/reason") == reason) {
            self.set(conditions, "Available", status, reason, message);
        }
    }

    fn set_paused(&self, conditions: &mut Vec<Value>) {
        let reason = paths::text(&progressing(conditions), "/reason").to_owned();
        match (self.plan.paused, reason.as_str()) {
            (true, "DeploymentPaused" | TIMED_OUT) => {}
            (true, _) => self.set(conditions, PROGRESSING, "Unknown", "DeploymentPaused", "Deployment is paused"),
            (false, "DeploymentPaused") => {
                self.set(conditions, PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed");
            }
            (false, _) => {}
        }
    }

    fn set_progressing(&self, conditions: &mut Vec<Value>, status: &Value) {
        if self.plan.paused {
            return;
        }
        let set = format!("ReplicaSet \"{}-{}\"", paths::text(self.object, "/metadata/name"), self.fleet.hash);
        if self.fresh {
            let message = format!("Created new replica set {}", set.trim_start_matches("ReplicaSet "));
            self.set(conditions, PROGRESSING, "True", "NewReplicaSetCreated", &message);
        }
        let present = progressing(conditions);
        let (total, updated) = (number(status, "replicas"), number(status, "updatedReplicas"));
        if paths::text(&present, "/reason") == COMPLETE && total == updated {
            // Completed before; scaling is no new rollout.
            return;
        }
        let desired = self.plan.desired;
        if [total, updated, number(status, "availableReplicas")] == [desired; 3] {
            self.set(conditions, PROGRESSING, "True", COMPLETE, &format!("{set} has successfully progressed."));
        } else if self.moved(status) {
            self.set(conditions, PROGRESSING, "True", "ReplicaSetUpdated", &format!("{set} is progressing."));
        } else if paths::text(&present, "/reason") != TIMED_OUT
            && self.timeout(&present).is_some_and(|at| at <= self.scene.stamp)
        {
            self.set(conditions, PROGRESSING, "False", TIMED_OUT, &format!("{set} has timed out progressing."));
        }
    }

    /// Whether there is progress since the status before.
    fn moved(&self, status: &Value) -> bool {
        let mut before = self.object.get("status").cloned().unwrap_or_default();
        if self.fresh {
            // None of the pods before is of the new template.
            paths::set(&mut before, &["updatedReplicas"], Value::Null);
        }
        let old_pods = |of: &Value| number(of, "replicas") - number(of, "updatedReplicas");
        let grew = |key: &str| number(status, key) > number(&before, key);
        grew("updatedReplicas")
            || grew("readyReplicas")
            || grew("availableReplicas")
            || old_pods(status) < old_pods(&before)
    }

    /// When the progress that a condition tells of is too old.
    fn timeout(&self, progressing: &Value) -> Option<Timestamp> {
        let since: Timestamp = paths::text(progressing, "/lastUpdateTime").parse().ok()?;
        let limit = paths::integer(self.object, "/spec/progressDeadlineSeconds")?;
        since.checked_add(SignedDuration::from_secs(limit)).ok()
    }

    /// When to look whether the deadline has passed.
    pub(super) fn deadline(&self, status: &Value) -> Option<Instant> {
        let progressing = paths::list(status, "/conditions").find(|one| paths::text(one, "/type") == PROGRESSING)?;
        if matches!(paths::text(progressing, "/reason"), COMPLETE | TIMED_OUT | "DeploymentPaused") {
            return None;
        }
        let left = self.timeout(progressing)?.duration_since(self.scene.stamp);
        Some(self.scene.now + Duration::try_from(left).unwrap_or_default().max(Duration::from_millis(1)))
    }
}

/// The condition `Progressing`; null if there is none yet.
fn progressing(conditions: &[Value]) -> Value {
    conditions.iter().find(|one| paths::text(one, "/type") == PROGRESSING).cloned().unwrap_or_default()
}
