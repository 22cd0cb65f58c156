//! One look at the cluster for one Canary. Plain data: no client, no clock, no JSON of foreign objects.

use crate::question::Answers;
use crate::routes::{Abilities, Routes};
use api::{CanaryStatus, Phase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that a decision may depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Now.
    pub now: Timestamp,
    /// The Canary's status as last written.
    pub status: CanaryStatus,
    /// Facts of the Canary's metadata.
    pub object: CanaryObject,
    /// Why this Canary cannot be looked after at all (invalid spec, provider that is not built): nothing of its is touched then.
    pub unusable: Option<Unusable>,
    /// The workload the user deploys, or why it cannot be used (the text of the event).
    pub target: Result<Target, Trouble>,
    /// Our copy of it that serves.
    pub primary: Primary,
    /// `ConfigMap`s and Secrets that the target uses: `Ok(None)` when tracking does not apply; or why one cannot be read.
    pub configs: Result<Option<Configs>, Trouble>,
    /// Where traffic goes now, as the live objects say.
    pub routes: Result<Routes, Trouble>,
    /// What the router can do for this Canary.
    pub abilities: Abilities,
    /// How events name the source of the built-in metrics.
    pub observer: String,
    /// Answers given so far in this round.
    pub answers: Answers,
    /// What this process remembers of its last decisions. Losing it is safe.
    pub memory: Memory,
}

impl Observation {
    /// The canary is ready, and is not only so because it has no pods.
    pub(crate) fn canary_serves(&self) -> bool {
        self.target.as_ref().is_ok_and(|target| target.readiness.is_ok() && !target.scaled_down)
    }

    /// Some of the primary's pods can serve.
    pub(crate) fn primary_serves(&self) -> bool {
        self.primary.serving || self.primary.readiness.is_ok()
    }
}

/// Facts of the Canary's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryObject {
    /// `metadata.generation`.
    pub generation: i64,
    /// It is being deleted.
    pub deleting: bool,
    /// It carries our finalizer.
    pub finalizer: bool,
}

/// Why a Canary cannot be looked after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusable {
    /// One word for the condition, e.g. `InvalidSpec`.
    pub reason: String,
    /// The text of the event.
    pub message: String,
}

/// Something that keeps the rollout from going on, in words for an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The text, as users know it.
    pub message: String,
    /// False if waiting will not help: the rollout is given up where there is one.
    pub retriable: bool,
    /// The object that was looked for does not exist.
    #[serde(default)]
    pub missing: bool,
}

impl Trouble {
    /// Trouble that waiting does not end.
    pub fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: false, missing: false }
    }

    /// Trouble because an object does not exist.
    pub fn missing(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: true, missing: true }
    }

    /// Trouble that may pass.
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: true, missing: false }
    }
}

/// The workload the user deploys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Which revision it is.
    pub revision: Revision,
    /// Whether it could serve. `Err` carries the whole text of the event.
    pub readiness: Result<(), Trouble>,
    /// It is scaled to zero (or, for kinds without replicas, kept from running).
    pub scaled_down: bool,
}

/// Which revision a workload is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The spec hash, by the current generation of the formula.
    pub hash: String,
    /// The same by older generations; only filled where `hash` is none of the status' hashes, so that a take-over from an older release is recognised.
    pub older: Vec<String>,
    /// True when the hash stored in the status cannot be compared (unknown form, or a template that does not hash reliably) and the images of target
    /// and primary are the same.
    pub same_images: bool,
    /// False if the hash cannot be compared with the stored ones; then `same_images` decides.
    pub comparable: bool,
}

/// Our copy of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Primary {
    /// It exists (kinds without a primary object: true).
    pub exists: bool,
    /// Whether it can serve. `Err` carries the whole text of the event.
    pub readiness: Result<(), Trouble>,
    /// At least one of its pods is ready to serve, though perhaps not enough.
    pub serving: bool,
    /// It runs what copying the target now would give.
    pub current: bool,
}

/// Tracked `ConfigMap`s and Secrets of the target: `configmap/name` or `secret/name` to checksum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configs {
    /// Checksums by the current formula: what is written to `status.trackedConfigs`.
    pub checksums: BTreeMap<String, String>,
    /// For objects where the reference's formula differs: its checksum.
    pub legacy: BTreeMap<String, String>,
}

/// What this process remembers of a Canary between decisions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// When the last round of questions was decided upon; the next one is due an interval later.
    pub asked: Option<Timestamp>,
    /// When a weight was last moved during promotion.
    pub moved: Option<Timestamp>,
    /// The last trouble told in an event, and when.
    pub told: Option<(String, Timestamp)>,
    /// The suspension was told.
    pub suspended: bool,
    /// Alerts that are sent once per wait, and were: by their text.
    pub alerted: Vec<String>,
    /// The revision for which warnings about what cannot be done were given.
    pub warned: Option<String>,
    /// The revision that was copied to the primary again while initialising: once is enough, should something else keep changing the copy.
    pub copied: Option<String>,
    /// The phase in which the deletion was noticed; events tell it.
    pub left: Option<Phase>,
    /// What the post-rollout hooks said (whether one passed, and the text of the event), until it is noted; and of which outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<(String, Vec<(bool, String)>)>,
}
