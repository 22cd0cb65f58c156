//! `spec.service`: how the workload is exposed.
//!
//! Source: API notes, section 2.4.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::canary::gateway::{MirrorFilter, ParentReference};
use crate::canary::istio::{CorsPolicy, Headers, HttpMatchRequest, HttpRetry, HttpRewrite};
use crate::crd::parts;
use crate::wire::{Wire, or_default, wire};

wire! {
    /// How the workload is exposed.
    #[schemars(extend("required" = ["port"]))]
    pub struct CanaryService {
        /// Name of the apex service, which clients use. Default is the name of the target.
        pub name: Option<String>,
        /// Port of the services.
        #[schemars(with = "f64")]
        pub port: i32,
        /// Name of the port. Default is http.
        pub port_name: Option<String>,
        /// Port of the pods, by number or name. Default is `port`. 0 and the empty text mean absent.
        pub target_port: Option<IntOrString>,
        /// Application protocol of the port.
        pub app_protocol: Option<String>,
        /// Preference for endpoints that are near.
        #[schemars(extend("enum" = ["PreferClose", "PreferSameZone", "PreferSameNode"]))]
        pub traffic_distribution: Option<String>,
        /// Expose the other ports of the containers too.
        pub port_discovery: bool,
        /// Make the services headless when they are created.
        pub headless: bool,
        /// Time that a request may take.
        pub timeout: Option<String>,
        /// Time that a request to a backend may take; Gateway API only.
        pub backend_timeout: Option<String>,
        /// Istio gateways. Default is mesh.
        pub gateways: Vec<String>,
        /// Parents of the HTTPRoute.
        #[schemars(length(max = 32))]
        pub gateway_refs: Vec<ParentReference>,
        /// Host names.
        pub hosts: Vec<String>,
        /// Generate a VirtualService that another one delegates to.
        pub delegation: bool,
        /// Istio `TrafficPolicy`, copied into both `DestinationRule`s as it is.
        #[schemars(schema_with = "parts::traffic_policy")]
        pub traffic_policy: Option<Value>,
        /// Conditions on the requests that are routed.
        #[serde(rename = "match")]
        #[schemars(transform = parts::service_match)]
        pub matches: Vec<HttpMatchRequest>,
        /// How to change the path and the host of requests.
        pub rewrite: Option<HttpRewrite>,
        /// When to repeat a request.
        pub retries: Option<HttpRetry>,
        /// What to do with the headers of requests and responses.
        pub headers: Option<Headers>,
        /// Where copies of all requests are sent; Gateway API only.
        pub mirror: Vec<MirrorFilter>,
        /// Cross-origin resource sharing.
        pub cors_policy: Option<CorsPolicy>,
        /// Name of the App Mesh mesh.
        pub mesh_name: Option<String>,
        /// Backends of the App Mesh virtual nodes.
        pub backends: Vec<String>,
        /// Metadata of the apex service and of the mesh object.
        pub apex: Option<CustomMetadata>,
        /// Metadata of the primary service.
        pub primary: Option<CustomMetadata>,
        /// Metadata of the canary service.
        pub canary: Option<CustomMetadata>,
        /// Metadata of the services that somebody else looks after.
        pub unmanaged_metadata: Option<UnmanagedMetadata>,
    }

    /// Labels and annotations of a generated object.
    pub struct CustomMetadata {
        /// Labels.
        pub labels: BTreeMap<String, String>,
        /// Annotations.
        pub annotations: BTreeMap<String, String>,
    }

    /// Keys of labels and annotations whose live values are kept.
    pub struct UnmanagedMetadata {
        /// Keys of labels.
        pub labels: Vec<String>,
        /// Keys of annotations.
        pub annotations: Vec<String>,
    }
}

/// A port by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// By number.
    Int(i32),
    /// By name.
    Text(String),
}

impl Default for IntOrString {
    fn default() -> Self {
        Self::Int(0)
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(formatter),
            Self::Text(text) => text.fmt(formatter),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self::Text(text)),
            number => i32::read(number).map(Self::Int).map_err(serde::de::Error::custom),
        }
    }
}

impl Wire for IntOrString {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }

    /// 0 and "0" count as unset, since the reference writes the former; the empty text too (quirk Q29).
    fn is_absent(&self) -> bool {
        match self {
            Self::Int(number) => *number == 0,
            Self::Text(text) => text.is_empty() || text == "0",
        }
    }
}

impl schemars::JsonSchema for IntOrString {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IntOrString".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"x-kubernetes-int-or-string": true})
    }
}
