//! The kinds of flagger.app/v1beta1 as on the wire, their CRDs, and Rollout: a Canary resolved once.
//!
//! Wire types are lenient in what they read and sparse in what they write (`wire.rs`); the values that follow from a
//! spec alone are functions in [`derived`], the checks that need no cluster are in `validate`, and [`crd`] turns the
//! types into the `CustomResourceDefinition`s. Pure: no I/O, no clock, no `async`.
#![deny(clippy::disallowed_methods)]

mod alert_provider;
mod canary;
pub mod crd;
mod decode;
pub mod derived;
mod duration;
mod meta;
mod metric_template;
pub mod number;
pub mod rollout;
mod status;
mod validate;
mod wire;

pub use alert_provider::{AlertProvider, AlertProviderSpec};
pub use canary::analysis::{
    AlertProviderRef, CanaryAlert, CanaryAnalysis, CanaryMetric, CanaryWebhook, HookType, MetricTemplateRef,
    SessionAffinity, Severity, ThresholdRange,
};
pub use canary::gateway::{BackendReference, MirrorFilter, ParentReference};
pub use canary::istio::{CorsPolicy, HeaderOperations, Headers, HttpMatchRequest, HttpRetry, HttpRewrite, StringMatch};
pub use canary::service::{CanaryService, CustomMetadata, IntOrString, UnmanagedMetadata};
pub use canary::{
    AutoscalerReference, Canary, CanarySpec, CrossNamespaceObjectReference, LocalObjectReference, ScalerReplicas,
};
pub use decode::{DecodeError, decode};
pub use duration::{DurationError, GoDuration};
pub use meta::{NamespacedReference, ObjectMeta, OwnerReference, SecretReference};
pub use metric_template::{MetricTemplate, MetricTemplateProvider, MetricTemplateSpec};
pub use rollout::{Rollout, Settings, Strategy, TargetRef};
pub use status::{CanaryStatus, Check, Condition, ConditionStatus, LastChecks, Phase, Verdict};
pub use validate::{SpecError, validate};

/// API group of the three kinds.
pub const GROUP: &str = "flagger.app";
/// The one version of the group.
pub const VERSION: &str = "v1beta1";
/// `apiVersion` of the three kinds.
pub const API_VERSION: &str = "flagger.app/v1beta1";
