//! `status` of a Canary.
//!
//! Written exactly as the reference writes it, plus fields that it does not know and prunes: `observedGeneration`,
//! `lastChecks`, `unannounced`, and the conditions Ready, Reconciling and Stalled after Promoted.
//! Source: API notes, section 5; controller notes, section 13.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wire::{Wire, is_default, or_default, read, text_enum, wire};

/// What is known about the rollout of a Canary. The first four fields are always written, also when they are zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CanaryStatus {
    /// Where the rollout is.
    #[serde(deserialize_with = "read")]
    pub phase: Phase,
    /// Failed rounds of checks in this rollout.
    #[serde(deserialize_with = "read")]
    #[schemars(with = "f64")]
    pub failed_checks: i64,
    /// Weight of the new revision in percent; stays 0 in A/B and Blue/Green rollouts.
    #[serde(deserialize_with = "read")]
    #[schemars(with = "f64")]
    pub canary_weight: i64,
    /// Rounds of an A/B or Blue/Green rollout.
    #[serde(deserialize_with = "read")]
    #[schemars(with = "f64")]
    pub iterations: i64,
    /// Cookie of the previous rollout's canary, as name=value.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub previous_session_affinity_cookie: Option<String>,
    /// Cookie of this rollout's canary, as name=value.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub session_affinity_cookie: Option<String>,
    /// Cookie of the primary, as name=value.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub primary_session_affinity_cookie: Option<String>,
    /// Checksums of the ConfigMaps and Secrets that the target uses. Present and empty is not absent: tracking is on.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub tracked_configs: Option<BTreeMap<String, String>>,
    /// Hash of the target as last seen.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub last_applied_spec: Option<String>,
    /// Hash of the target as last promoted.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub last_promoted_spec: Option<String>,
    /// Time of the last write of this status.
    #[serde(deserialize_with = "read", serialize_with = "seconds")]
    pub last_transition_time: Option<Timestamp>,
    /// Promoted first; then Ready, Reconciling, Stalled.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status is about.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub observed_generation: Option<i64>,
    /// The last round of checks.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub last_checks: Option<LastChecks>,
    /// An outcome whose closing hooks, event and alert are still to be sent.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub unannounced: Option<String>,
}

impl Wire for CanaryStatus {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }
}

/// One statement about a Canary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["type", "status", "reason"]))]
pub struct Condition {
    /// What the statement is about.
    #[serde(rename = "type", deserialize_with = "read")]
    pub kind: String,
    /// True, False or Unknown.
    #[serde(deserialize_with = "read")]
    #[schemars(with = "String")]
    pub status: ConditionStatus,
    /// When the statement was last written.
    #[serde(deserialize_with = "read", serialize_with = "seconds", skip_serializing_if = "is_default")]
    pub last_update_time: Option<Timestamp>,
    /// When the statement last became true, false or unknown.
    #[serde(deserialize_with = "read", serialize_with = "seconds", skip_serializing_if = "is_default")]
    pub last_transition_time: Option<Timestamp>,
    /// Why, in one word.
    #[serde(deserialize_with = "read")]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub message: String,
}

impl Wire for Condition {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }
}

/// Whether a statement is true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
pub enum ConditionStatus {
    /// It is.
    True,
    /// It is not.
    False,
    /// Nobody knows (yet).
    #[default]
    Unknown,
}

impl Wire for ConditionStatus {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match String::read(deserializer)?.as_str() {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        })
    }
}

wire! {
    /// One round of checks.
    pub struct LastChecks {
        /// When it ended.
        #[serde(serialize_with = "seconds")]
        pub time: Option<Timestamp>,
        /// What was checked, in the order of checking.
        pub checks: Vec<Check>,
    }

    /// One metric in a round of checks.
    pub struct Check {
        /// Name of the metric.
        pub metric: String,
        /// The value that was measured.
        pub value: Option<f64>,
        /// The bound that decided, such as `< 99`.
        pub bound: Option<String>,
        /// Passed, Failed, NoValues or Error.
        pub verdict: Verdict,
        /// What went wrong.
        pub message: Option<String>,
    }
}

text_enum! {
    /// What came out of checking a metric.
    pub enum Verdict {
        /// The value is within its bounds.
        #[default]
        Passed = "Passed",
        /// The value is out of its bounds.
        Failed = "Failed",
        /// The source has no value.
        NoValues = "NoValues",
        /// The source could not be asked.
        Error = "Error",
    }
}

text_enum! {
    /// Where a rollout is.
    pub enum Phase {
        /// Nothing has been done yet.
        #[default]
        Unset = "",
        /// The primary is being created.
        Initializing = "Initializing",
        /// The primary serves; waiting for a new revision.
        Initialized = "Initialized",
        /// A gate holds the rollout back.
        Waiting = "Waiting",
        /// A new revision is being judged.
        Progressing = "Progressing",
        /// A gate holds the promotion back.
        WaitingPromotion = "WaitingPromotion",
        /// The primary is being updated.
        Promoting = "Promoting",
        /// All traffic goes back to the primary.
        Finalising = "Finalising",
        /// The revision was promoted.
        Succeeded = "Succeeded",
        /// The revision was rejected.
        Failed = "Failed",
        /// The Canary is being deleted.
        Terminating = "Terminating",
        /// The Canary has been deleted; never written.
        Terminated = "Terminated",
    }
}

/// Writes a time in whole seconds, and no time as `null`.
#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn seconds<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&whole_seconds(*time)),
        None => serializer.serialize_none(),
    }
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
