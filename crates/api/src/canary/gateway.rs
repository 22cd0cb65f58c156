//! Gateway API types as they appear in a Canary: parents and mirror filters.
//!
//! Source: API notes, sections 3.8 and 3.9; <https://gateway-api.sigs.k8s.io/reference/spec/>

use serde::{Deserialize, Deserializer, Serialize};

use crate::crd::parts;
use crate::wire::{Wire, is_default, or_default, read, wire};

/// A Gateway (or another parent) that the generated HTTPRoute attaches to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["name"]))]
pub struct ParentReference {
    /// Group of the parent. Present and empty is the core group, which is not what an absent one means.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(length(max = 253), regex(pattern = parts::GROUP))]
    #[schemars(extend("x-server-default" = "gateway.networking.k8s.io"))]
    pub group: Option<String>,
    /// Kind of the parent.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    #[schemars(length(min = 1, max = 63), regex(pattern = parts::KIND), extend("x-server-default" = "Gateway"))]
    pub kind: Option<String>,
    /// Name of the parent.
    #[serde(deserialize_with = "read")]
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the parent. Default is the namespace of the Canary.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    #[schemars(length(min = 1, max = 63), regex(pattern = parts::DNS_LABEL))]
    pub namespace: Option<String>,
    /// Name of a listener of the parent.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    #[schemars(length(min = 1, max = 253), regex(pattern = parts::DNS_SUBDOMAIN))]
    pub section_name: Option<String>,
    /// Port of a listener of the parent.
    #[serde(deserialize_with = "read", skip_serializing_if = "is_default")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

impl Wire for ParentReference {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }
}

wire! {
    /// Sends a copy of each request somewhere.
    pub struct MirrorFilter {
        /// Where the copies go.
        pub backend_ref: BackendReference,
    }

    /// Something that requests can be sent to.
    #[schemars(extend("required" = ["name"], "x-kubernetes-validations" = parts::service_needs_port()))]
    pub struct BackendReference {
        /// Group of the backend. Empty is the core group.
        #[schemars(length(max = 253), regex(pattern = parts::GROUP), extend("x-server-default" = ""))]
        pub group: Option<String>,
        /// Kind of the backend.
        #[schemars(length(min = 1, max = 63), regex(pattern = parts::KIND), extend("x-server-default" = "Service"))]
        pub kind: Option<String>,
        /// Name of the backend.
        #[schemars(length(min = 1, max = 253))]
        pub name: String,
        /// Namespace of the backend. Default is the namespace of the Canary.
        #[schemars(length(min = 1, max = 63), regex(pattern = parts::DNS_LABEL))]
        pub namespace: Option<String>,
        /// Port of the backend; required for a Service.
        #[schemars(range(min = 1, max = 65535))]
        pub port: Option<i32>,
    }
}
