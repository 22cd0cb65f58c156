//! `status` of a Canary.
//!
//! Written exactly as the reference writes it, plus fields that it does not know and prunes: `observedGeneration`,
//! `lastChecks`, `unannounced`, `configDigests`, and the conditions Ready, Reconciling and Stalled after Promoted.
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
    /// Checksums of the `ConfigMap`s and Secrets that the target uses. Present and empty is not absent: tracking is on.
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
    /// What is known of the content of `ConfigMap`s and Secrets and of their copies, so that a restart need not read them: `configmap/NAME` or `secret/NAME` to
    /// resource version, checksum and (Secrets) type, with spaces between.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub config_digests: Option<BTreeMap<String, String>>,
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
}

/// One metric in a round of checks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Check {
    /// Name of the metric.
    #[serde(deserialize_with = "read")]
    pub metric: String,
    /// The value that was measured.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub value: Option<f64>,
    /// The bound that decided, such as `< 99`.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub bound: Option<String>,
    /// Passed, Failed, `NoValues` or Error.
    #[serde(deserialize_with = "read")]
    pub verdict: Verdict,
    /// What went wrong.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    pub message: Option<String>,
}

impl Wire for Check {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }
}

text_enum! {
    /// What came out of checking a metric.
    pub enum Verdict {
        /// The value is within its bounds.
        Passed = "Passed",
        /// The value is out of its bounds.
        Failed = "Failed",
        /// The source has no value.
        NoValues = "NoValues",
        /// The source could not be asked.
        #[default]
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::decode;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn written(status: &CanaryStatus) -> String {
        serde_json::to_string(status).unwrap()
    }

    #[test]
    fn an_empty_status_is_written_as_by_the_reference() {
        let text = r#"{"phase":"","failedChecks":0,"canaryWeight":0,"iterations":0,"lastTransitionTime":null}"#;
        assert_eq!(written(&CanaryStatus::default()), text);
    }

    #[test]
    fn a_status_is_written_as_by_the_reference_in_whole_seconds() {
        let status = CanaryStatus {
            phase: Phase::Progressing,
            canary_weight: 10,
            session_affinity_cookie: Some("canary-cookie=LpsIaLdoNZ".to_owned()),
            tracked_configs: Some(BTreeMap::new()),
            last_applied_spec: Some("5f56684589".to_owned()),
            last_transition_time: Some(time("2026-07-01T10:00:30.987654321Z")),
            conditions: vec![Condition {
                kind: "Promoted".to_owned(),
                status: ConditionStatus::Unknown,
                last_update_time: Some(time("2026-07-01T10:00:00.5Z")),
                last_transition_time: Some(time("2026-07-01T12:00:00+02:00")),
                reason: "Progressing".to_owned(),
                message: "New revision detected, progressing canary analysis.".to_owned(),
            }],
            ..CanaryStatus::default()
        };
        let expected = json!({
            "phase": "Progressing",
            "failedChecks": 0,
            "canaryWeight": 10,
            "iterations": 0,
            "sessionAffinityCookie": "canary-cookie=LpsIaLdoNZ",
            "trackedConfigs": {},
            "lastAppliedSpec": "5f56684589",
            "lastTransitionTime": "2026-07-01T10:00:30Z",
            "conditions": [{
                "type": "Promoted",
                "status": "Unknown",
                "lastUpdateTime": "2026-07-01T10:00:00Z",
                "lastTransitionTime": "2026-07-01T10:00:00Z",
                "reason": "Progressing",
                "message": "New revision detected, progressing canary analysis.",
            }],
        });
        assert_eq!(written(&status), expected.to_string());
    }

    #[test]
    fn further_fields_come_after_those_of_the_reference_and_are_read_back() {
        let status = CanaryStatus {
            observed_generation: Some(3),
            last_checks: Some(LastChecks {
                time: Some(time("2026-07-01T10:00:00Z")),
                checks: vec![
                    Check {
                        metric: "a".to_owned(),
                        value: Some(98.5),
                        bound: Some("< 99".to_owned()),
                        verdict: Verdict::Failed,
                        ..Check::default()
                    },
                    Check { metric: "b".to_owned(), value: Some(0.0), verdict: Verdict::Passed, ..Check::default() },
                    Check {
                        metric: "c".to_owned(),
                        verdict: Verdict::NoValues,
                        message: Some("no values found".to_owned()),
                        ..Check::default()
                    },
                ],
            }),
            unannounced: Some("Succeeded".to_owned()),
            ..CanaryStatus::default()
        };
        let text = written(&status);
        let (_, further) = text.split_once(r#""lastTransitionTime":null,"#).unwrap();
        let expected = json!({
            "observedGeneration": 3,
            "lastChecks": {"time": "2026-07-01T10:00:00Z", "checks": [
                {"metric": "a", "value": 98.5, "bound": "< 99", "verdict": "Failed"},
                {"metric": "b", "value": 0.0, "verdict": "Passed"},
                {"metric": "c", "verdict": "NoValues", "message": "no values found"},
            ]},
            "unannounced": "Succeeded",
        });
        assert_eq!(format!("{{{further}"), expected.to_string());
        assert_eq!(decode::<CanaryStatus>(serde_json::from_str(&text).unwrap()).unwrap(), status);
    }

    #[test]
    fn tracked_configs_may_be_absent_or_empty() {
        let tracked = |value: Value| decode::<CanaryStatus>(json!({"trackedConfigs": value})).unwrap().tracked_configs;
        assert_eq!(tracked(json!(null)), None);
        assert_eq!(tracked(json!({})), Some(BTreeMap::new()));
    }

    #[test]
    fn counters_may_be_negative_or_floats_and_phases_unheard_of() {
        let status: CanaryStatus =
            decode(json!({"phase": "Sleeping", "iterations": -1, "canaryWeight": 10.0})).unwrap();
        assert_eq!((status.phase, status.iterations, status.canary_weight), (Phase::Unknown, -1, 10));
        assert_eq!(decode::<CanaryStatus>(json!({"phase": null})).unwrap().phase, Phase::Unset);
        for phase in Phase::ALL {
            assert_eq!(Phase::from_text(phase.as_str()), *phase);
        }
    }

    #[test]
    fn conditions_are_true_false_or_unknown() {
        let status = |text: &str| decode::<Condition>(json!({"type": "Ready", "status": text})).unwrap().status;
        assert_eq!(
            [status("True"), status("False"), status("Unknown"), status("maybe")]
                .map(|status| status == ConditionStatus::Unknown),
            [false, false, true, true]
        );
    }
}
