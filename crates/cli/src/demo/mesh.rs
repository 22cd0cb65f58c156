//! Who splits the traffic: what a user of each mesh or gateway has beside the application, and where the canary's weight is to be seen.
//!
//! One entry per provider whose objects the lab's data plane understands.

use super::manifests::{APP, NAMESPACE};
use lab::Lab;
use objects::paths::{annotation, integer, list, text};
use serde_json::{Value, json};

/// One provider.
#[derive(Debug)]
pub(super) struct Mesh {
    /// `spec.provider` of the Canary.
    pub(super) provider: &'static str,
    /// Its group, and the kinds in it: name, plural, version.
    kinds: (&'static str, &'static [(&'static str, &'static str, &'static str)]),
    /// What the user has before there is a Canary.
    objects: fn() -> Vec<Value>,
    /// What the Canary's spec says beside (`spec`, as a merge patch).
    spec: fn() -> Value,
    /// The canary's weight in percent, as the routing objects say; `None` before there are any.
    pub(super) weight: fn(&Lab) -> Option<i64>,
}

/// The first one is the default.
pub(super) static MESHES: [Mesh; 3] = [
    Mesh {
        provider: "istio",
        kinds: (
            "networking.istio.io",
            &[("VirtualService", "virtualservices", "v1beta1"), ("DestinationRule", "destinationrules", "v1beta1")],
        ),
        objects: Vec::new,
        spec: || json!({}),
        weight: |lab| {
            let route = lab.get("VirtualService", NAMESPACE, APP)?;
            let to_canary = |one: &&Value| text(one, "/destination/host") == canary_service();
            integer(list(&route, "/spec/http/0/route").find(to_canary)?, "/weight")
        },
    },
    Mesh {
        provider: "gatewayapi:v1",
        kinds: ("gateway.networking.k8s.io", &[("HTTPRoute", "httproutes", "v1")]),
        objects: Vec::new,
        spec: || json!({"service": {"gatewayRefs": [{"name": "gateway", "namespace": NAMESPACE}]}}),
        weight: |lab| {
            let route = lab.get("HTTPRoute", NAMESPACE, APP)?;
            let to_canary = |one: &&Value| text(one, "/name") == canary_service();
            integer(list(&route, "/spec/rules/0/backendRefs").find(to_canary)?, "/weight")
        },
    },
    Mesh {
        provider: "nginx",
        kinds: ("", &[]),
        objects: || {
            let backend = json!({"service": {"name": APP, "port": {"number": 80}}});
            vec![json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": APP, "namespace": NAMESPACE},
                "spec": {"ingressClassName": "nginx", "rules": [{
                    "host": "shop.example.com",
                    "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
                }]},
            })]
        },
        spec: || json!({"ingressRef": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": APP}}),
        weight: |lab| {
            let ingress = lab.get("Ingress", NAMESPACE, &canary_service())?;
            annotation(&ingress, "nginx.ingress.kubernetes.io/canary-weight")?.parse().ok()
        },
    },
];

/// The name of the canary's Service, and of its Ingress.
fn canary_service() -> String {
    format!("{APP}-canary")
}

impl Mesh {
    /// The names of all of them.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        MESHES.iter().map(|mesh| mesh.provider)
    }

    /// The one of that name.
    pub(super) fn named(provider: &str) -> Option<&'static Self> {
        MESHES.iter().find(|mesh| mesh.provider == provider)
    }

    /// Its kinds, without a schema.
    pub(super) fn definitions(&self) -> Vec<Value> {
        let (group, kinds) = self.kinds;
        kinds.iter().map(|(kind, plural, version)| lab::definitions::permissive(group, version, kind, plural)).collect()
    }

    /// What the user has before there is a Canary.
    pub(super) fn objects(&self) -> Vec<Value> {
        (self.objects)()
    }

    /// The Canary with what this provider asks for.
    pub(super) fn adapt(&self, mut canary: Value) -> Value {
        let mut patch = json!({"provider": self.provider});
        objects::diff::apply_merge_patch(&mut patch, &(self.spec)());
        objects::diff::apply_merge_patch(&mut canary, &json!({"spec": patch}));
        canary
    }
}
