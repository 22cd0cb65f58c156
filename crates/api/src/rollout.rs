//! `Rollout`: a Canary resolved once.
//!
//! The wire spec is lenient and full of defaults; whoever decides or renders reads this instead. Every quirk of the wire that concerns more than one
//! reader lives in [`Rollout::resolve`].

use crate::canary::{
    AutoscalerReference, Canary, CanaryAnalysis, CanaryService, CanaryWebhook, CrossNamespaceObjectReference, HookType,
};
use crate::derived;
use crate::duration::GoDuration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the command line says that concerns Canaries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of the command line")]
pub struct Settings {
    /// `-mesh-provider`: the provider of Canaries that name none.
    pub mesh_provider: String,
    /// `-selector-labels`, in order.
    pub selector_labels: Vec<String>,
    /// `-include-label-prefix`.
    pub include_label_prefixes: Vec<String>,
    /// `-enable-config-tracking`.
    pub config_tracking: bool,
    /// `-ingress-annotations-prefix`.
    pub ingress_annotations_prefix: String,
    /// `-ingress-class`.
    pub ingress_class: String,
    /// `-no-cross-namespace-refs`.
    pub no_cross_namespace_refs: bool,
    /// Routing objects get owner references: mesh and workloads live on one API server.
    pub own_routes: bool,
    /// `-metrics-server`.
    pub metrics_server: String,
    /// `-cluster-name`.
    pub cluster_name: String,
    /// `-kstatus-conditions`: the conditions `Ready`, `Reconciling` and `Stalled` beside `Promoted`.
    pub kstatus_conditions: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesh_provider: "istio".to_owned(),
            selector_labels: ["app", "name", "app.kubernetes.io/name"].map(str::to_owned).to_vec(),
            include_label_prefixes: Vec::new(),
            config_tracking: true,
            ingress_annotations_prefix: "nginx.ingress.kubernetes.io".to_owned(),
            ingress_class: String::new(),
            no_cross_namespace_refs: false,
            own_routes: true,
            metrics_server: "http://prometheus:9090".to_owned(),
            cluster_name: String::new(),
            kstatus_conditions: true,
        }
    }
}

/// How traffic moves from one revision to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By weight, step by step.
    Weighted,
    /// Requests that match go to the canary, for a number of iterations.
    AbTesting,
    /// All traffic at once, after a number of iterations.
    BlueGreen,
}

impl Strategy {
    /// The label value `deployment_strategy`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Weighted => "canary",
            Self::AbTesting => "ab-testing",
            Self::BlueGreen => "blue-green",
        }
    }
}

/// The workload a Canary looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRef {
    /// `targetRef.apiVersion`.
    pub api_version: String,
    /// `targetRef.kind`, as written.
    pub kind: String,
    /// `targetRef.name`.
    pub name: String,
}

/// A Canary with all defaults applied.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the spec")]
pub struct Rollout {
    /// Name of the Canary.
    pub name: String,
    /// Its namespace, in which all its objects are.
    pub namespace: String,
    /// Its uid, for owner references.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Effective provider: the Canary's or the default one.
    pub provider: String,
    /// `spec.provider` as written; empty when absent.
    pub own_provider: String,
    /// The workload.
    pub target: TargetRef,
    /// Its autoscaler.
    pub autoscaler: Option<AutoscalerReference>,
    /// `ingressRef.name`; `None` when absent or empty.
    pub ingress: Option<String>,
    /// `routeRef.name`; `None` when absent or empty.
    pub route: Option<String>,
    /// `upstreamRef`.
    pub upstream: Option<CrossNamespaceObjectReference>,
    /// `spec.service` as written.
    pub service: CanaryService,
    /// Name of the Service that clients use, and of the routing objects.
    pub apex: String,
    /// Name of the primary's Service.
    pub primary_service: String,
    /// Name of the canary's Service.
    pub canary_service: String,
    /// Name of the primary workload.
    pub primary: String,
    /// The effective analysis as written; empty when there is none.
    pub analysis: CanaryAnalysis,
    /// There is an analysis block.
    pub has_analysis: bool,
    /// `spec.metricsServer`; `None` when absent or empty.
    pub metrics_server: Option<String>,
    /// Strategy by the spec (a router without weights forces blue/green, which is decided later).
    pub strategy: Strategy,
    /// Sampling period of the analysis; at least 10 s.
    pub interval: GoDuration,
    /// Failed checks at which the canary is given up; at least 1.
    pub threshold: i64,
    /// Time a workload may be unavailable, in seconds.
    pub progress_deadline_seconds: i64,
    /// Percent of updated pods that must be available on the primary.
    pub primary_ready_threshold: i64,
    /// The same for the canary.
    pub canary_ready_threshold: i64,
    /// Promote without analysis.
    pub skip_analysis: bool,
    /// Do nothing.
    pub suspended: bool,
    /// Give everything back when the Canary is deleted.
    pub revert_on_deletion: bool,
    /// What the command line says.
    pub settings: Arc<Settings>,
}

impl Rollout {
    /// Resolves a Canary. Never fails: what cannot be used is told by `validate`.
    pub fn resolve(canary: &Canary, settings: &Arc<Settings>) -> Self {
        let (spec, metadata) = (&canary.spec, &canary.metadata);
        let has_analysis = spec.analysis().is_some();
        let analysis = spec.analysis().cloned().unwrap_or_default();
        let apex = derived::apex(spec).to_owned();
        let own_provider = spec.provider.clone().unwrap_or_default();
        let non_empty = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        Self {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            generation: metadata.generation,
            annotations: metadata.annotations.clone(),
            provider: if own_provider.is_empty() { settings.mesh_provider.clone() } else { own_provider.clone() },
            own_provider,
            target: TargetRef {
                api_version: spec.target_ref.api_version.clone(),
                kind: spec.target_ref.kind.clone(),
                name: spec.target_ref.name.clone(),
            },
            autoscaler: spec.autoscaler_ref.clone(),
            ingress: spec.ingress_ref.as_ref().and_then(|reference| non_empty(&reference.name)),
            route: spec.route_ref.as_ref().and_then(|reference| non_empty(&reference.name)),
            upstream: spec.upstream_ref.clone(),
            service: spec.service.clone(),
            primary_service: format!("{apex}-primary"),
            canary_service: format!("{apex}-canary"),
            apex,
            primary: format!("{}-primary", spec.target_ref.name),
            metrics_server: spec.metrics_server.as_deref().and_then(non_empty),
            strategy: derived::strategy(spec),
            interval: derived::interval(spec),
            threshold: derived::threshold(spec),
            progress_deadline_seconds: derived::progress_deadline_seconds(spec),
            primary_ready_threshold: derived::primary_ready_threshold(spec),
            canary_ready_threshold: derived::canary_ready_threshold(spec),
            skip_analysis: derived::skip_analysis(spec),
            suspended: spec.suspend,
            revert_on_deletion: spec.revert_on_deletion,
            has_analysis,
            analysis,
            settings: Arc::clone(settings),
        }
    }

    /// The hooks of one type, with their index in the list, in order.
    pub fn hooks(&self, kind: HookType) -> impl Iterator<Item = (usize, &CanaryWebhook)> {
        self.analysis.webhooks.iter().enumerate().filter(move |(_, hook)| hook.kind == kind)
    }

    /// `name.namespace`, as texts name the Canary.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }

    /// `target.namespace`, as texts name the target.
    pub fn full_target(&self) -> String {
        format!("{}.{}", self.target.name, self.namespace)
    }
}
