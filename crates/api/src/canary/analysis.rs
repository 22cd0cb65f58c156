//! `spec.analysis`: steps, metrics, hooks, alerts.
//!
//! Source: API notes, sections 2.5 to 2.9.

use std::collections::BTreeMap;

use crate::canary::istio::HttpMatchRequest;
use crate::crd::parts;
use crate::meta::NamespacedReference;
use crate::wire::{text_enum, wire};

/// Names the MetricTemplate of a metric.
pub type MetricTemplateRef = NamespacedReference;
/// Names the AlertProvider of an alert.
pub type AlertProviderRef = NamespacedReference;

wire! {
    /// How a new revision is judged. Numbers that are absent are 0, which has the same meaning in all of them.
    #[schemars(extend("oneOf" = parts::kinds_of_analysis()))]
    pub struct CanaryAnalysis {
        /// Time between two rounds of checks.
        #[schemars(regex(pattern = parts::DURATION))]
        pub interval: String,
        /// Number of failed rounds that ends the rollout.
        #[schemars(with = "f64")]
        pub threshold: i64,
        /// Number of rounds of a Blue/Green or A/B rollout.
        #[schemars(with = "f64")]
        pub iterations: i64,
        /// Weight in percent at which the revision is promoted. Default is 100.
        #[schemars(with = "f64")]
        pub max_weight: i64,
        /// Weight in percent that is added in each round.
        #[schemars(with = "f64")]
        pub step_weight: i64,
        /// Weights in percent, one for each round.
        #[schemars(with = "Vec<f64>")]
        pub step_weights: Vec<i64>,
        /// Weight in percent that goes back to the primary in each round of the promotion. Default is all at once.
        #[schemars(with = "f64")]
        pub step_weight_promotion: i64,
        /// Mirror traffic to the new revision before it answers any.
        pub mirror: bool,
        /// Percentage of the traffic that is mirrored. Default is all.
        #[schemars(with = "f64")]
        pub mirror_weight: i64,
        /// Percentage of the primary's pods that must be available. Default is 100.
        #[schemars(with = "f64")]
        pub primary_ready_threshold: Option<i64>,
        /// Percentage of the canary's pods that must be available. Default is 100.
        #[schemars(with = "f64")]
        pub canary_ready_threshold: Option<i64>,
        /// Conditions of A/B testing: requests that go to the new revision.
        #[serde(rename = "match")]
        #[schemars(transform = parts::analysis_match)]
        pub matches: Vec<HttpMatchRequest>,
        /// Metrics that are checked in each round.
        pub metrics: Vec<CanaryMetric>,
        /// Hooks that are called.
        pub webhooks: Vec<CanaryWebhook>,
        /// Alerts of this Canary, instead of the operator's.
        pub alerts: Vec<CanaryAlert>,
        /// Keep users on the side that they saw first.
        pub session_affinity: Option<SessionAffinity>,
    }

    /// Cookies that keep users on the side that they saw first.
    #[schemars(extend("required" = ["cookieName"], "x-kubernetes-validations" = parts::cookies_differ()))]
    pub struct SessionAffinity {
        /// Name of the cookie for the canary.
        pub cookie_name: String,
        /// Name of the cookie for the primary. Without it, users of the primary are not kept there.
        pub primary_cookie_name: Option<String>,
        /// Seconds that the cookie for the canary lives. Default is one day.
        #[schemars(with = "f64", extend("x-server-default" = 86_400))]
        pub max_age: i64,
        /// Attribute Domain of the cookies.
        pub domain: Option<String>,
        /// Attribute `HttpOnly` of the cookies.
        pub http_only: bool,
        /// Attribute Partitioned of the cookies.
        pub partitioned: bool,
        /// Attribute Path of the cookies.
        pub path: Option<String>,
        /// Attribute `SameSite` of the cookies.
        #[schemars(extend("enum" = ["Strict", "Lax", "None"]))]
        pub same_site: Option<String>,
        /// Attribute Secure of the cookies.
        pub secure: bool,
    }

    /// One metric and its bounds.
    #[schemars(extend("required" = ["name"]))]
    pub struct CanaryMetric {
        /// Name. The built-in ones are request-success-rate and request-duration.
        pub name: String,
        /// Window of the query.
        #[schemars(regex(pattern = parts::DURATION))]
        pub interval: Option<String>,
        /// Bound of the value if there is no thresholdRange: lower for request-success-rate, upper for all others.
        pub threshold: f64,
        /// Bounds of the value. Present and empty means no bounds at all.
        pub threshold_range: Option<ThresholdRange>,
        /// Inline query for Prometheus.
        pub query: Option<String>,
        /// MetricTemplate that says where and what to ask.
        pub template_ref: Option<MetricTemplateRef>,
        /// Variables of the template.
        pub template_variables: BTreeMap<String, String>,
    }

    /// Inclusive bounds of a metric.
    pub struct ThresholdRange {
        /// Smallest value that passes.
        pub min: Option<f64>,
        /// Greatest value that passes.
        pub max: Option<f64>,
    }

    /// One hook.
    #[schemars(extend("required" = ["name", "url"]))]
    pub struct CanaryWebhook {
        /// When the hook is called. Default is rollout.
        #[serde(rename = "type")]
        pub kind: HookType,
        /// Name, shown in events.
        pub name: String,
        /// Where the request is posted.
        pub url: String,
        /// Time that one attempt may take. Default is 10s.
        #[schemars(regex(pattern = parts::DURATION))]
        pub timeout: Option<String>,
        /// Further attempts after a failure.
        #[schemars(with = "f64")]
        pub retries: i64,
        /// Send no alert while this hook keeps the rollout waiting.
        pub mute_alert: bool,
        /// Accept any certificate.
        #[serde(rename = "disableTLS")]
        pub disable_tls: bool,
        /// Sent along.
        pub metadata: BTreeMap<String, String>,
    }

    /// One alert.
    #[schemars(extend("required" = ["name", "providerRef"]))]
    pub struct CanaryAlert {
        /// Name, informational.
        pub name: String,
        /// Least severity that is sent. Default is info.
        pub severity: Severity,
        /// AlertProvider that says where to send it.
        pub provider_ref: AlertProviderRef,
    }
}

text_enum! {
    /// When a hook is called.
    pub enum HookType {
        /// In each round, before the metrics.
        #[default]
        Rollout = "rollout",
        /// Gate before the new revision is scaled up.
        ConfirmRollout = "confirm-rollout",
        /// Before the new revision gets traffic.
        PreRollout = "pre-rollout",
        /// Gate before the promotion.
        ConfirmPromotion = "confirm-promotion",
        /// After the end, whatever it was.
        PostRollout = "post-rollout",
        /// Receives events.
        Event = "event",
        /// Asks whether to roll back.
        Rollback = "rollback",
        /// Gate before the weight goes up.
        ConfirmTrafficIncrease = "confirm-traffic-increase",
    }
}

text_enum! {
    /// Severity of an alert, and the filter on it. The empty text is `info`, as documented (quirk Q9).
    pub enum Severity {
        /// For everybody who listens.
        #[default]
        Info = "info",
        /// Somebody has to act.
        Warn = "warn",
        /// The rollout failed.
        Error = "error",
    }
}
