//! Kinds of objects and references to single objects, as the API server names them.
//!
//! A [`Kind`] is a constant beside the code that reads it (core kinds here, a router's kinds in the router's file), so that watches, RBAC rules and
//! documentation can be derived from the lists of the providers.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Which API server an object lives on. The two differ only with `-kubeconfig-service-mesh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Home {
    /// Workloads, Services, Ingresses, configs, autoscalers, Canaries.
    Main,
    /// Routing objects of meshes and gateways.
    Mesh,
}

/// A kind of object, with what is needed to address it over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group, e.g. `v1beta1`.
    pub version: &'static str,
    /// Name in `kind:`, e.g. `VirtualService`.
    pub kind: &'static str,
    /// Name in URLs and error texts, e.g. `virtualservices`.
    pub plural: &'static str,
    /// False for cluster-scoped kinds.
    pub namespaced: bool,
    /// The API server that holds it.
    pub home: Home,
}

impl Hash for Kind {
    /// Of the name alone: few share one, and references to objects are hashed at every look.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}

impl Kind {
    /// A namespaced kind on the main cluster.
    pub const fn main(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self { group, version, kind, plural, namespaced: true, home: Home::Main }
    }

    /// A namespaced kind on the mesh cluster.
    pub const fn mesh(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self { group, version, kind, plural, namespaced: true, home: Home::Mesh }
    }

    /// `group/version`, or only the version in the core group: the value of `apiVersion:`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural.group`, or only the plural in the core group: how the API server names it in error texts.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// A reference to the object of this kind with that name.
    pub fn object(&'static self, namespace: &str, name: &str) -> ObjectRef {
        ObjectRef { kind: self, namespace: if self.namespaced { namespace } else { "" }.into(), name: name.into() }
    }
}

/// Where one object is found. Copies share the texts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: &'static Kind,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectRef {
    /// The text in which the API server says that there is no such object, e.g. `deployments.apps "podinfo" not found`.
    pub fn not_found(&self) -> String {
        format!("{} \"{}\" not found", self.kind.resource(), self.name)
    }
}

/// `Kind name.namespace`, as users read it in events.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.kind, self.name)?;
        if self.namespace.is_empty() { Ok(()) } else { write!(f, ".{}", self.namespace) }
    }
}

impl fmt::Debug for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `apps/v1 Deployment`.
pub static DEPLOYMENT: Kind = Kind::main("apps", "v1", "Deployment", "deployments");
/// `v1 Service`.
pub static SERVICE: Kind = Kind::main("", "v1", "Service", "services");
/// `v1 ConfigMap`. Watched as metadata only.
pub static CONFIG_MAP: Kind = Kind::main("", "v1", "ConfigMap", "configmaps");
/// `v1 Secret`. Watched as metadata only.
pub static SECRET: Kind = Kind::main("", "v1", "Secret", "secrets");
/// `autoscaling/v2 HorizontalPodAutoscaler`.
pub static HORIZONTAL_POD_AUTOSCALER: Kind =
    Kind::main("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
/// `networking.k8s.io/v1 Ingress`.
pub static INGRESS: Kind = Kind::main("networking.k8s.io", "v1", "Ingress", "ingresses");
/// `v1 Event`.
pub static EVENT: Kind = Kind::main("", "v1", "Event", "events");
/// `coordination.k8s.io/v1 Lease`.
pub static LEASE: Kind = Kind::main("coordination.k8s.io", "v1", "Lease", "leases");
/// `flagger.app/v1beta1 Canary`.
pub static CANARY: Kind = Kind::main("flagger.app", "v1beta1", "Canary", "canaries");
/// `flagger.app/v1beta1 MetricTemplate`.
pub static METRIC_TEMPLATE: Kind = Kind::main("flagger.app", "v1beta1", "MetricTemplate", "metrictemplates");
/// `flagger.app/v1beta1 AlertProvider`.
pub static ALERT_PROVIDER: Kind = Kind::main("flagger.app", "v1beta1", "AlertProvider", "alertproviders");
