//! `CustomResourceDefinition`s of meshes and gateways, as far as a lab needs them: names, versions, columns; any content.
//!
//! The published definitions have schemas of thousands of lines, which say nothing about how traffic is split. Whoever wants them checked applies them to the
//! lab: they replace these. The project's own kinds are in `api::crd`.
//! Source of names, versions and columns: <https://istio.io/latest/docs/reference/config/>, <https://gateway-api.sigs.k8s.io/reference/spec/>

use serde_json::{Value, json};

/// A kind of a mesh or gateway.
struct Foreign {
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    /// The first one is that of the store.
    versions: &'static [&'static str],
    namespaced: bool,
    /// Heading and path of what `kubectl get` shows beside name and age.
    columns: &'static [(&'static str, &'static str)],
}

const fn namespaced(
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    versions: &'static [&'static str],
    columns: &'static [(&'static str, &'static str)],
) -> Foreign {
    Foreign { kind, plural, short, versions, namespaced: true, columns }
}

const ISTIO_VERSIONS: &[&str] = &["v1beta1", "v1", "v1alpha3"];
const ISTIO: &[Foreign] = &[
    namespaced(
        "VirtualService",
        "virtualservices",
        &["vs"],
        ISTIO_VERSIONS,
        &[("Gateways", ".spec.gateways"), ("Hosts", ".spec.hosts")],
    ),
    namespaced("DestinationRule", "destinationrules", &["dr"], ISTIO_VERSIONS, &[("Host", ".spec.host")]),
    namespaced("Gateway", "gateways", &["gw"], ISTIO_VERSIONS, &[]),
    namespaced(
        "ServiceEntry",
        "serviceentries",
        &["se"],
        ISTIO_VERSIONS,
        &[("Hosts", ".spec.hosts"), ("Location", ".spec.location")],
    ),
    namespaced("Sidecar", "sidecars", &[], ISTIO_VERSIONS, &[]),
];
const ISTIO_SECURITY: &[Foreign] = &[
    namespaced("AuthorizationPolicy", "authorizationpolicies", &["ap"], &["v1beta1", "v1"], &[]),
    namespaced(
        "PeerAuthentication",
        "peerauthentications",
        &["pa"],
        &["v1beta1", "v1"],
        &[("Mode", ".spec.mtls.mode")],
    ),
    namespaced("RequestAuthentication", "requestauthentications", &["ra"], &["v1beta1", "v1"], &[]),
];
const GATEWAY_API: &[Foreign] = &[
    Foreign {
        kind: "GatewayClass",
        plural: "gatewayclasses",
        short: &["gc"],
        versions: &["v1", "v1beta1"],
        namespaced: false,
        columns: &[("Controller", ".spec.controllerName")],
    },
    namespaced("Gateway", "gateways", &["gtw"], &["v1", "v1beta1"], &[("Class", ".spec.gatewayClassName")]),
    namespaced("HTTPRoute", "httproutes", &[], &["v1", "v1beta1"], &[("Hostnames", ".spec.hostnames")]),
    namespaced("GRPCRoute", "grpcroutes", &[], &["v1"], &[("Hostnames", ".spec.hostnames")]),
    namespaced("ReferenceGrant", "referencegrants", &["refgrant"], &["v1beta1"], &[]),
];

/// Istio's kinds that stand beside a Canary: `networking.istio.io` and `security.istio.io`.
pub fn istio() -> Vec<Value> {
    let of = |group, kinds: &[Foreign]| kinds.iter().map(|kind| definition(group, kind)).collect::<Vec<_>>();
    [of("networking.istio.io", ISTIO), of("security.istio.io", ISTIO_SECURITY)].concat()
}

/// The Gateway API.
pub fn gateway_api() -> Vec<Value> {
    GATEWAY_API.iter().map(|kind| definition("gateway.networking.k8s.io", kind)).collect()
}

/// All of this file.
pub fn meshes() -> Vec<Value> {
    [istio(), gateway_api()].concat()
}

/// A namespaced kind of which nothing is known but its names: it keeps whatever it gets.
pub fn permissive(group: &str, version: &str, kind: &str, plural: &str) -> Value {
    definition_of(group, kind, plural, &[version])
}

fn definition(group: &str, foreign: &Foreign) -> Value {
    let mut definition = definition_of(group, foreign.kind, foreign.plural, foreign.versions);
    if !foreign.short.is_empty() {
        objects::paths::set(&mut definition, &["spec", "names", "shortNames"], json!(foreign.short));
    }
    if !foreign.namespaced {
        objects::paths::set(&mut definition, &["spec", "scope"], json!("Cluster"));
    }
    let age = ("Age", "date", ".metadata.creationTimestamp");
    let columns = foreign.columns.iter().map(|(name, path)| (*name, "string", *path)).chain([age]);
    let columns: Vec<Value> =
        columns.map(|(name, kind, path)| json!({"name": name, "type": kind, "jsonPath": path})).collect();
    let versions = definition.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        objects::paths::set(version, &["additionalPrinterColumns"], json!(columns));
    }
    definition
}

fn definition_of(group: &str, kind: &str, plural: &str, versions: &[&str]) -> Value {
    let version = |name: &&str| {
        json!({
            "name": name,
            "served": true,
            "storage": Some(name) == versions.first(),
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": versions.iter().map(version).collect::<Vec<_>>(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lab_takes_all_of_them_in_every_version() {
        let lab = crate::Lab::default();
        for definition in meshes() {
            lab.create(definition).unwrap();
        }
        for version in ["v1", "v1beta1", "v1alpha3"] {
            let object = json!({"apiVersion": format!("networking.istio.io/{version}"), "kind": "VirtualService",
                "metadata": {"name": version}, "spec": {"hosts": ["shop"], "anything": 1}});
            lab.create(object).unwrap();
        }
        assert_eq!(lab.list("vs", "default").len(), 3);
        assert_eq!(lab.get("vs", "default", "v1").unwrap().pointer("/spec/anything"), Some(&json!(1)));
    }
}
