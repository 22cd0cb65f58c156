//! The built-in kinds: names as in discovery, what is special about each, and the functions that hold its rules.
//!
//! Kinds whose rules are `plain` are stored as they come, with the types of `k8s-openapi` as their only check: enough to install a chart.
//! Source of names and subresources: discovery of kube-apiserver 1.36.

use crate::defaults;
use crate::failure::FieldError;
use k8s_openapi::api;
use schemars::{JsonSchema, SchemaGenerator};
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
    /// Adds the schema of the type, and of what it consists of, to the generator's definitions; the answer is its name there.
    pub schema: fn(&mut SchemaGenerator) -> String,
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
        if group == "autoscaling" {
            return "autoscaling/v2".to_owned();
        }
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

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> String {
    generator.subschema_for::<T>();
    T::schema_name().into_owned()
}

const fn plain<T: Serialize + DeserializeOwned + JsonSchema>(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
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
        decode: typed::<T>,
        schema: schema_of::<T>,
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
        ..plain::<api::core::v1::ConfigMap>("", "v1", "ConfigMap", "configmaps", &["cm"])
    },
    plain::<api::core::v1::Endpoints>("", "v1", "Endpoints", "endpoints", &["ep"]),
    BuiltIn { default: defaults::event::event, ..plain::<api::core::v1::Event>("", "v1", "Event", "events", &["ev"]) },
    BuiltIn {
        namespaced: false,
        status: true,
        returns_deleted: true,
        default: defaults::core::namespace,
        ..plain::<api::core::v1::Namespace>("", "v1", "Namespace", "namespaces", &["ns"])
    },
    BuiltIn { namespaced: false, status: true, ..plain::<api::core::v1::Node>("", "v1", "Node", "nodes", &["no"]) },
    BuiltIn {
        status: true,
        returns_deleted: true,
        ..plain::<api::core::v1::PersistentVolumeClaim>(
            "",
            "v1",
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            &["pvc"],
        )
    },
    BuiltIn {
        namespaced: false,
        status: true,
        returns_deleted: true,
        ..plain::<api::core::v1::PersistentVolume>("", "v1", "PersistentVolume", "persistentvolumes", &["pv"])
    },
    plain::<api::core::v1::LimitRange>("", "v1", "LimitRange", "limitranges", &["limits"]),
    BuiltIn {
        status: true,
        returns_deleted: true,
        ..plain::<api::core::v1::ResourceQuota>("", "v1", "ResourceQuota", "resourcequotas", &["quota"])
    },
    BuiltIn { generation: true, ..plain::<api::core::v1::PodTemplate>("", "v1", "PodTemplate", "podtemplates", &[]) },
    BuiltIn {
        categories: ALL,
        status: true,
        scale: true,
        generation: true,
        ..plain::<api::core::v1::ReplicationController>(
            "",
            "v1",
            "ReplicationController",
            "replicationcontrollers",
            &["rc"],
        )
    },
    BuiltIn {
        categories: ALL,
        status: true,
        generation: true,
        returns_deleted: true,
        default: defaults::pod::pod,
        validate: defaults::pod::validate,
        ..plain::<api::core::v1::Pod>("", "v1", "Pod", "pods", &["po"])
    },
    BuiltIn {
        default: defaults::core::secret,
        validate: defaults::core::validate_secret,
        ..plain::<api::core::v1::Secret>("", "v1", "Secret", "secrets", &[])
    },
    BuiltIn {
        returns_deleted: true,
        ..plain::<api::core::v1::ServiceAccount>("", "v1", "ServiceAccount", "serviceaccounts", &["sa"])
    },
    BuiltIn {
        categories: ALL,
        status: true,
        returns_deleted: true,
        default: defaults::service::service,
        validate: defaults::service::validate,
        ..plain::<api::core::v1::Service>("", "v1", "Service", "services", &["svc"])
    },
    BuiltIn {
        namespaced: false,
        generation: true,
        ..plain::<api::admissionregistration::v1::MutatingWebhookConfiguration>(
            "admissionregistration.k8s.io",
            "v1",
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            &[],
        )
    },
    BuiltIn {
        namespaced: false,
        generation: true,
        ..plain::<api::admissionregistration::v1::ValidatingWebhookConfiguration>(
            "admissionregistration.k8s.io",
            "v1",
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            &[],
        )
    },
    BuiltIn {
        namespaced: false,
        status: true,
        generation: true,
        default: defaults::crd::crd,
        validate: defaults::crd::validate,
        ..plain::<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            &["crd", "crds"],
        )
    },
    BuiltIn {
        categories: ALL,
        status: true,
        generation: true,
        default: defaults::workload::daemon_set,
        validate: defaults::workload::validate,
        ..plain::<api::apps::v1::DaemonSet>("apps", "v1", "DaemonSet", "daemonsets", &["ds"])
    },
    BuiltIn {
        categories: ALL,
        status: true,
        scale: true,
        generation: true,
        default: defaults::workload::deployment,
        validate: defaults::workload::validate,
        ..plain::<api::apps::v1::Deployment>("apps", "v1", "Deployment", "deployments", &["deploy"])
    },
    BuiltIn {
        categories: ALL,
        status: true,
        scale: true,
        generation: true,
        default: defaults::workload::replica_set,
        validate: defaults::workload::validate,
        ..plain::<api::apps::v1::ReplicaSet>("apps", "v1", "ReplicaSet", "replicasets", &["rs"])
    },
    BuiltIn {
        categories: ALL,
        status: true,
        scale: true,
        generation: true,
        default: defaults::workload::stateful_set,
        validate: defaults::workload::validate,
        ..plain::<api::apps::v1::StatefulSet>("apps", "v1", "StatefulSet", "statefulsets", &["sts"])
    },
    plain::<api::apps::v1::ControllerRevision>("apps", "v1", "ControllerRevision", "controllerrevisions", &[]),
    BuiltIn {
        categories: ALL,
        status: true,
        default: defaults::autoscaler::autoscaler,
        validate: defaults::autoscaler::validate,
        ..plain::<api::autoscaling::v2::HorizontalPodAutoscaler>(
            "autoscaling",
            "v2",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            &["hpa"],
        )
    },
    BuiltIn {
        categories: ALL,
        status: true,
        present: defaults::autoscaler::present_v1,
        store: defaults::autoscaler::store_v1,
        ..plain::<api::autoscaling::v1::HorizontalPodAutoscaler>(
            "autoscaling",
            "v1",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            &["hpa"],
        )
    },
    BuiltIn {
        categories: ALL,
        status: true,
        generation: true,
        ..plain::<api::batch::v1::CronJob>("batch", "v1", "CronJob", "cronjobs", &["cj"])
    },
    BuiltIn {
        categories: ALL,
        status: true,
        generation: true,
        ..plain::<api::batch::v1::Job>("batch", "v1", "Job", "jobs", &[])
    },
    plain::<api::coordination::v1::Lease>("coordination.k8s.io", "v1", "Lease", "leases", &[]),
    BuiltIn {
        generation: true,
        ..plain::<api::discovery::v1::EndpointSlice>("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", &[])
    },
    BuiltIn {
        default: defaults::event::new_event,
        present: defaults::event::present_new,
        store: defaults::event::store_new,
        ..plain::<api::events::v1::Event>("events.k8s.io", "v1", "Event", "events", &["ev"])
    },
    BuiltIn {
        namespaced: false,
        generation: true,
        ..plain::<api::networking::v1::IngressClass>("networking.k8s.io", "v1", "IngressClass", "ingressclasses", &[])
    },
    BuiltIn {
        status: true,
        generation: true,
        default: defaults::ingress::ingress,
        validate: defaults::ingress::validate,
        ..plain::<api::networking::v1::Ingress>("networking.k8s.io", "v1", "Ingress", "ingresses", &["ing"])
    },
    BuiltIn {
        generation: true,
        ..plain::<api::networking::v1::NetworkPolicy>(
            "networking.k8s.io",
            "v1",
            "NetworkPolicy",
            "networkpolicies",
            &["netpol"],
        )
    },
    BuiltIn {
        status: true,
        generation: true,
        ..plain::<api::policy::v1::PodDisruptionBudget>(
            "policy",
            "v1",
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            &["pdb"],
        )
    },
    BuiltIn {
        namespaced: false,
        ..plain::<api::rbac::v1::ClusterRoleBinding>(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", &[])
    },
    BuiltIn {
        namespaced: false,
        ..plain::<api::rbac::v1::ClusterRole>(RBAC, "v1", "ClusterRole", "clusterroles", &[])
    },
    plain::<api::rbac::v1::RoleBinding>(RBAC, "v1", "RoleBinding", "rolebindings", &[]),
    plain::<api::rbac::v1::Role>(RBAC, "v1", "Role", "roles", &[]),
    BuiltIn {
        namespaced: false,
        generation: true,
        ..plain::<api::scheduling::v1::PriorityClass>(
            "scheduling.k8s.io",
            "v1",
            "PriorityClass",
            "priorityclasses",
            &["pc"],
        )
    },
    BuiltIn {
        namespaced: false,
        ..plain::<api::storage::v1::StorageClass>("storage.k8s.io", "v1", "StorageClass", "storageclasses", &["sc"])
    },
];
