//! The Canary: what to roll out, how to route to it, how to judge it.
//!
//! Wire types only; what follows from them is in `derived.rs`, their checks in `validate.rs`, their schema in `crd.rs`.
//! Source: API notes, section 2.

use std::collections::BTreeMap;

use crate::crd::parts;
use crate::meta::ObjectMeta;
use crate::status::CanaryStatus;
use crate::wire::wire;

pub(crate) mod analysis;
pub(crate) mod gateway;
pub(crate) mod istio;
pub(crate) mod service;

pub(crate) use analysis::{CanaryAnalysis, CanaryWebhook, HookType};
pub(crate) use service::CanaryService;

wire! {
    /// Canary describes how new revisions of a workload are rolled out: what they are, how traffic gets to them,
    /// and how they are judged.
    pub struct Canary {
        /// `flagger.app/v1beta1`.
        pub api_version: String,
        /// `Canary`.
        pub kind: String,
        /// Name, namespace, labels and so on.
        pub metadata: ObjectMeta,
        /// What is wanted. Absent is possible (quirk Q1) and the same as empty.
        pub spec: CanarySpec,
        /// What is.
        pub status: CanaryStatus,
    }

    /// CanarySpec defines the desired state of a Canary.
    #[schemars(extend("required" = ["targetRef", "analysis"]))]
    pub struct CanarySpec {
        /// Traffic provider of this Canary, such as istio, gatewayapi:v1 or nginx. Default is the operator's.
        #[schemars(extend("enum" = parts::PROVIDERS))]
        pub provider: Option<String>,
        /// Address of the Prometheus server for the built-in metrics and inline queries of this Canary.
        pub metrics_server: Option<String>,
        /// The workload whose new revisions are rolled out.
        #[schemars(transform = parts::target_kinds)]
        pub target_ref: LocalObjectReference,
        /// The HorizontalPodAutoscaler or ScaledObject of the workload.
        #[schemars(transform = parts::scaler_kinds)]
        pub autoscaler_ref: Option<AutoscalerReference>,
        /// The Ingress of the apex service, for the providers nginx and skipper.
        #[schemars(transform = parts::ingress_kinds)]
        pub ingress_ref: Option<LocalObjectReference>,
        /// The ApisixRoute of the apex service, for the provider apisix.
        #[schemars(transform = parts::route_kinds)]
        pub route_ref: Option<LocalObjectReference>,
        /// The Gloo Upstream whose settings the generated Upstreams copy.
        #[schemars(transform = parts::upstream_kinds)]
        pub upstream_ref: Option<CrossNamespaceObjectReference>,
        /// How the workload is exposed.
        pub service: CanaryService,
        /// How a new revision is judged.
        pub analysis: Option<CanaryAnalysis>,
        /// Former name of `analysis`; read only where `analysis` is absent.
        #[schemars(skip)]
        pub canary_analysis: Option<CanaryAnalysis>,
        /// Seconds that the workload may take to become ready. Default is 600.
        #[schemars(with = "f64")]
        pub progress_deadline_seconds: Option<i64>,
        /// Promote a ready revision without analysis.
        pub skip_analysis: bool,
        /// Give the target, the services and the routes back to their original state when the Canary is deleted.
        pub revert_on_deletion: bool,
        /// Leave everything as it is until this is unset.
        pub suspend: bool,
    }

    /// Reference to an object in the namespace of the Canary.
    #[schemars(extend("required" = ["apiVersion", "kind", "name"]))]
    pub struct LocalObjectReference {
        /// Group and version of the referenced object.
        pub api_version: String,
        /// Kind of the referenced object.
        pub kind: String,
        /// Name of the referenced object.
        pub name: String,
    }

    /// Reference to an object that may live in another namespace.
    #[schemars(extend("required" = ["apiVersion", "kind", "name"]))]
    pub struct CrossNamespaceObjectReference {
        /// Group and version of the referenced object.
        pub api_version: String,
        /// Kind of the referenced object.
        pub kind: String,
        /// Name of the referenced object.
        pub name: String,
        /// Namespace of the referenced object. Default is the namespace of the Canary.
        pub namespace: Option<String>,
    }

    /// Reference to a scaler, and how the primary's copy of it differs.
    #[schemars(extend(
        "required" = ["apiVersion", "kind", "name"],
        "x-kubernetes-validations" = parts::replicas_in_order()
    ))]
    pub struct AutoscalerReference {
        /// Group and version of the scaler.
        pub api_version: String,
        /// Kind of the scaler.
        pub kind: String,
        /// Name of the scaler.
        pub name: String,
        /// Queries of the primary's ScaledObject by name of the trigger. Triggers without an entry keep their query.
        /// Without this map, the name of the target is replaced in all queries. Present and empty is not absent.
        pub primary_scaler_queries: Option<BTreeMap<String, String>>,
        /// Replica bounds of the primary's scaler where they differ from the target's.
        pub primary_scaler_replicas: Option<ScalerReplicas>,
    }

    /// Replica bounds.
    pub struct ScalerReplicas {
        /// Lower bound of the number of replicas.
        #[schemars(range(min = 1))]
        pub min_replicas: Option<i32>,
        /// Upper bound of the number of replicas.
        #[schemars(range(min = 1))]
        pub max_replicas: Option<i32>,
    }
}
