//! Kinds of workloads a Canary may look after.

use crate::access::Access;
use api::Rollout;
use objects::{ObjectRef, Snapshot, Write};
use rollout::{Configs, Primary, Target as Seen, Trouble};
use std::collections::BTreeMap;
use std::fmt::Debug;

mod configs;
#[cfg(test)]
mod contract;
pub mod deployment;
mod ports;
mod readiness;
mod selectors;
mod workload;

/// What a rendering needs from outside besides the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// A UUID (v4, lower case) for the annotation `flagger-id`: another one for each promotion, the same when one is tried again.
    pub id: String,
    /// Now, for deadlines.
    pub now: jiff::Timestamp,
}

/// The pods of a target, as Services select them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pods {
    /// Key of the selector label, e.g. `app`; empty for kinds whose pods are not selected by us.
    pub label: String,
    /// Its value on the target's pods; the primary's pods have it with `-primary`.
    pub value: String,
    /// Discovered ports by name, sorted by number, then name.
    pub ports: Vec<(String, i64)>,
}

/// A kind of workload. Pure: live objects in, facts and wanted objects out.
pub trait Target: Debug + Sync {
    /// `targetRef.kind`.
    fn kind(&self) -> &'static str;

    /// Whether this target serves a reference. The list is asked in order.
    fn serves(&self, api_version: &str, kind: &str) -> bool {
        let _ = api_version;
        kind == self.kind()
    }

    /// Foreign kinds read and written.
    fn kinds(&self) -> &'static [Access];

    /// The objects whose state matters: target, primary, and what the live target refers to (configs and their copies).
    fn reads(&self, rollout: &Rollout, live: &Snapshot) -> Vec<ObjectRef>;

    /// The target now. `stored`: hashes in the status, so that older formulas are tried only where needed.
    fn target(
        &self,
        rollout: &Rollout,
        live: &Snapshot,
        stored: &[&str],
        now: jiff::Timestamp,
    ) -> Result<Seen, TargetError>;

    /// The primary now. Problems of reading it are its readiness.
    fn primary(&self, rollout: &Rollout, live: &Snapshot, now: jiff::Timestamp) -> Primary;

    /// Tracked configs of the target; `Ok(None)` where tracking does not apply.
    fn configs(&self, rollout: &Rollout, live: &Snapshot) -> Result<Option<Configs>, TargetError>;

    /// How Services select the pods; `Ok(None)` when this kind gets no Services from us.
    fn pods(&self, rollout: &Rollout, live: &Snapshot) -> Result<Option<Pods>, TargetError>;

    /// Creates the primary where it is missing (with the copies of its configs first). `minimum`: what the autoscaler wants at least.
    fn create_primary(
        &self,
        rollout: &Rollout,
        live: &Snapshot,
        fresh: &Fresh,
        minimum: Option<i64>,
    ) -> Result<Vec<Write>, TargetError>;

    /// Makes the primary what the target is, if the target is that revision.
    fn promote(
        &self,
        rollout: &Rollout,
        live: &Snapshot,
        fresh: &Fresh,
        revision: &str,
    ) -> Result<Vec<Write>, TargetError>;

    /// Scales the target to zero.
    fn scale_down(&self, rollout: &Rollout, live: &Snapshot) -> Result<Vec<Write>, TargetError>;

    /// Scales the target from zero. `minimum`: what the autoscaler wants at least; `None` without autoscaler.
    fn scale_up(&self, rollout: &Rollout, live: &Snapshot, minimum: Option<i64>) -> Result<Vec<Write>, TargetError>;

    /// Gives the target back.
    fn revert(&self, rollout: &Rollout, live: &Snapshot, minimum: Option<i64>) -> Result<Vec<Write>, TargetError>;
}

/// Why a target cannot be read or rendered: the text of the event, as users know it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Waiting may help.
    #[error("{0}")]
    Passing(String),
    /// An object that is needed does not exist.
    #[error("{0}")]
    Missing(String),
    /// The target is another revision by now than the one to promote: decide again.
    #[error("the target changed to another revision")]
    Changed,
}

impl TargetError {
    /// An error that may pass.
    pub fn new(text: impl Into<String>) -> Self {
        Self::Passing(text.into())
    }
}

impl From<TargetError> for Trouble {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Missing(text) => Trouble::missing(text),
            other => Trouble::passing(other.to_string()),
        }
    }
}

/// Every kind of target, in the order in which they are asked.
pub static TARGETS: &[&dyn Target] = &[&deployment::Deployment];

/// The target for a reference; `None` where there is none for it.
pub fn target(api_version: &str, kind: &str) -> Option<&'static dyn Target> {
    TARGETS.iter().copied().find(|target| target.serves(api_version, kind))
}

/// Labels or annotations.
pub type StringMap = BTreeMap<String, String>;
