//! The built-in kinds: names as in discovery, what is special about each, and the functions that hold its rules.
//!
//! Kinds whose rules are `plain` are stored as they come, with the types of `k8s-openapi` as their only check: enough to install a chart.
//! Source of names and subresources: discovery of kube-apiserver 1.36.

use crate::defaults;
use crate::failure::FieldError;
use k8s_openapi::api;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A kind that every API server has.
#[derive(Debug)]
pub(crate) struct BuiltIn {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// Name in `kind:`.
    pub kind: &'static str,
    /// Name in URLs.
    pub plural: &'static str,
    /// Abbreviations.
    pub short: &'static [&'static str],
    /// Groups of kinds.
    pub categories: &'static [&'static str],
    /// False for cluster-scoped kinds.
    pub namespaced: bool,
    /// Whether there is a `status` subresource.
    pub status: bool,
    /// Whether there is a `scale` subresource.
    pub scale: bool,
    /// Whether `metadata.generation` counts changes of the spec.
    pub generation: bool,
    /// Whether a deletion answers with the object instead of a `Status`.
    pub returns_deleted: bool,
    /// Reads the object into its type and writes it again: unknown fields are dropped, wrong types are errors.
    pub decode: fn(Value) -> Result<Value, serde_json::Error>,
    /// Sets what the writer left out; on updates the second is the present object.
    pub default: fn(&mut Value, Option<&Value>),
    /// Checks the object; on updates the second is the present one.
    pub validate: fn(&Value, Option<&Value>) -> Vec<FieldError>,
    /// From the stored form to this version's.
    pub present: fn(&mut Value),
    /// From this version's form to the stored one.
    pub store: fn(&mut Value),
}

impl BuiltIn {
    /// The group of the table that holds the objects: events of both groups share one.
    pub(crate) fn table_group(&self) -> &'static str {
        if self.group == "events.k8s.io" { "" } else { self.group }
    }

    /// `apiVersion` of the stored form.
    pub(crate) fn storage_api_version(&self) -> String {
        let group = self.table_group();
        if group.is_empty() { self.version.to_owned() } else { format!("{group}/{}", self.version) }
    }
}

fn typed<T: Serialize + DeserializeOwned>(value: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(value)?)
}

fn as_it_is(_: &mut Value) {}

fn no_defaults(_: &mut Value, _: Option<&Value>) {}

fn no_rules(_: &Value, _: Option<&Value>) -> Vec<FieldError> {
    Vec::new()
}

const fn plain(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    decode: fn(Value) -> Result<Value, serde_json::Error>,
) -> BuiltIn {
    BuiltIn {
        group,
        version,
        kind,
        plural,
        short,
        categories: &[],
        namespaced: true,
        status: false,
        scale: false,
        generation: false,
        returns_deleted: false,
        decode,
        default: no_defaults,
        validate: no_rules,
        present: as_it_is,
        store: as_it_is,
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const ALL: &[&str] = &["all"];

/// The core group first, as discovery lists it; where two kinds share a name, the first is the one that people mean.
pub(crate) static BUILT_INS: &[BuiltIn] = &[
    BuiltIn {
        default: defaults::core::config_map,
        validate: defaults::core::validate_config_map,
        ..plain("", "v1", "ConfigMap", "configmaps", &["cm"], typed::<api::core::v1::ConfigMap>)
    },
    plain("", "v1", "Endpoints", "endpoints", &["ep"], typed::<api::core::v1::Endpoints>),
    BuiltIn {
        default: defaults::event::event,
        ..plain("", "v1", "Event", "events", &["ev"], typed::<api::core::v1::Event>)
    },
    BuiltIn {
        namespaced: false,
        status: true,
        returns_deleted: true,
        default: defaults::core::namespace,
        ..plain("", "v1", "Namespace", "namespaces", &["ns"], typed::<api::core::v1::Namespace>)
    },
    BuiltIn {
        namespaced: false,
        status: true,
        ..plain("", "v1", "Node", "nodes", &["no"], typed::<api::core::v1::Node>)
    },
    BuiltIn {
        status: true,
        returns_deleted: true,
        ..plain(
            "",
            "v1",
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            &["pvc"],
            typed::<api::core::v1::PersistentVolumeClaim>,
        )
    },
    BuiltIn {
        categories: ALL,
        status: true,
        generation: true,
        returns_deleted: true,
        default: defaults::pod::pod,
        validate: defaults::pod::validate,
        ..plain("", "v1", "Pod", "pods", &["po"], typed::<api::core::v1::Pod>)
    },
    BuiltIn {
        default: defaults::core::secret,
        validate: defaults::core::validate_secret,
        ..plain("", "v1", "Secret", "secrets", &[], typed::<api::core::v1::Secret>)
    },
    BuiltIn {
        returns_deleted: true,
        ..plain("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], typed::<api::core::v1::ServiceAccount>)
    },
    BuiltIn {
        categories: ALL,
        status: true,
        returns_deleted: true,
        default: defaults::service::service,
        validate: defaults::service::validate,
        ..plain("", "v1", "Service", "services", &["svc"], typed::<api::core::v1::Service>)
    },
    BuiltIn {
        namespaced: false,
        status: true,
        generation: true,
        default: defaults::crd::crd,
        validate: defaults::crd::validate,
        ..plain(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            &["crd", "crds"],
            typed::<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>,
        )
    },
    BuiltIn {
        categories: ALL,
        status: true,
        generation: true,
        default: defaults::workload::daemon_set,
        validate: defaults::workload::validate,
        ..plain("apps", "v1", "DaemonSet", "daemonsets", &["ds"], typed::<api::apps::v1::DaemonSet>)
    },
    BuiltIn {
        categories: ALL,
        status: true,
        scale: true,
        generation: true,
        default: defaults::workload::deployment,
        validate: defaults::workload::validate,
        ..plain("apps", "v1", "Deployment", "deployments", &["deploy"], typed::<api::apps::v1::Deployment>)
    },
    BuiltIn {
        categories: ALL,
        status: true,
        scale: true,
        generation: true,
        default: defaults::workload::replica_set,
        validate: defaults::workload::validate,
        ..plain("apps", "v1", "ReplicaSet", "replicasets", &["rs"], typed::<api::apps::v1::ReplicaSet>)
    },
    BuiltIn {
        categories: ALL,
        status: true,
        scale: true,
        generation: true,
        default: defaults::workload::stateful_set,
        validate: defaults::workload::validate,
        ..plain("apps", "v1", "StatefulSet", "statefulsets", &["sts"], typed::<api::apps::v1::StatefulSet>)
    },
    BuiltIn {
        categories: ALL,
        status: true,
        default: defaults::autoscaler::autoscaler,
        validate: defaults::autoscaler::validate,
        ..plain(
            "autoscaling",
            "v2",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            &["hpa"],
            typed::<api::autoscaling::v2::HorizontalPodAutoscaler>,
        )
    },
    BuiltIn {
        categories: ALL,
        status: true,
        generation: true,
        ..plain("batch", "v1", "CronJob", "cronjobs", &["cj"], typed::<api::batch::v1::CronJob>)
    },
    BuiltIn {
        categories: ALL,
        status: true,
        generation: true,
        ..plain("batch", "v1", "Job", "jobs", &[], typed::<api::batch::v1::Job>)
    },
    plain("coordination.k8s.io", "v1", "Lease", "leases", &[], typed::<api::coordination::v1::Lease>),
    BuiltIn {
        generation: true,
        ..plain(
            "discovery.k8s.io",
            "v1",
            "EndpointSlice",
            "endpointslices",
            &[],
            typed::<api::discovery::v1::EndpointSlice>,
        )
    },
    BuiltIn {
        default: defaults::event::new_event,
        present: defaults::event::present_new,
        store: defaults::event::store_new,
        ..plain("events.k8s.io", "v1", "Event", "events", &["ev"], typed::<api::events::v1::Event>)
    },
    BuiltIn {
        namespaced: false,
        generation: true,
        ..plain(
            "networking.k8s.io",
            "v1",
            "IngressClass",
            "ingressclasses",
            &[],
            typed::<api::networking::v1::IngressClass>,
        )
    },
    BuiltIn {
        status: true,
        generation: true,
        default: defaults::ingress::ingress,
        validate: defaults::ingress::validate,
        ..plain("networking.k8s.io", "v1", "Ingress", "ingresses", &["ing"], typed::<api::networking::v1::Ingress>)
    },
    BuiltIn {
        generation: true,
        ..plain(
            "networking.k8s.io",
            "v1",
            "NetworkPolicy",
            "networkpolicies",
            &["netpol"],
            typed::<api::networking::v1::NetworkPolicy>,
        )
    },
    BuiltIn {
        status: true,
        generation: true,
        ..plain(
            "policy",
            "v1",
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            &["pdb"],
            typed::<api::policy::v1::PodDisruptionBudget>,
        )
    },
    BuiltIn {
        namespaced: false,
        ..plain(
            RBAC,
            "v1",
            "ClusterRoleBinding",
            "clusterrolebindings",
            &[],
            typed::<api::rbac::v1::ClusterRoleBinding>,
        )
    },
    BuiltIn {
        namespaced: false,
        ..plain(RBAC, "v1", "ClusterRole", "clusterroles", &[], typed::<api::rbac::v1::ClusterRole>)
    },
    plain(RBAC, "v1", "RoleBinding", "rolebindings", &[], typed::<api::rbac::v1::RoleBinding>),
    plain(RBAC, "v1", "Role", "roles", &[], typed::<api::rbac::v1::Role>),
    BuiltIn {
        namespaced: false,
        generation: true,
        ..plain(
            "scheduling.k8s.io",
            "v1",
            "PriorityClass",
            "priorityclasses",
            &["pc"],
            typed::<api::scheduling::v1::PriorityClass>,
        )
    },
];
