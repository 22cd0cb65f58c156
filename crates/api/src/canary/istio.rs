//! Istio's types as they appear in a Canary: matches, retries, headers, CORS, rewrite.
//!
//! Routers of other meshes read them too, so the known fields are typed; what Istio has besides them is kept in `other`
//! and survives to the object that is written. `trafficPolicy` is not here: it is passed through as JSON.
//! Source: API notes, sections 3.1 to 3.6; <https://istio.io/latest/docs/reference/config/networking/virtual-service/>

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::wire::{Wire, or_default, wire};

wire! {
    /// How to match a text. At most one of the fields is meant to be set.
    pub struct StringMatch {
        /// The whole text.
        pub exact: Option<String>,
        /// Its beginning.
        pub prefix: Option<String>,
        /// Its end; not known to Istio.
        pub suffix: Option<String>,
        /// A regular expression for the whole text.
        pub regex: Option<String>,
    }

    /// Conditions on a request, all of which must hold.
    pub struct HttpMatchRequest {
        /// Name of the match, for logs.
        pub name: Option<String>,
        /// Path of the request.
        pub uri: Option<StringMatch>,
        /// Scheme of the request.
        pub scheme: Option<StringMatch>,
        /// Method of the request.
        pub method: Option<StringMatch>,
        /// Authority (host) of the request.
        pub authority: Option<StringMatch>,
        /// Headers of the request.
        pub headers: BTreeMap<String, StringMatch>,
        /// Parameters of the query.
        pub query_params: BTreeMap<String, StringMatch>,
        /// Headers that the request must not have.
        pub without_headers: BTreeMap<String, StringMatch>,
        /// Port that the request came in on.
        pub port: u32,
        /// Labels of the workload that sent the request.
        pub source_labels: BTreeMap<String, String>,
        /// Gateways that the condition applies to.
        pub gateways: Vec<String>,
        /// Whether the case of the path does not matter.
        pub ignore_uri_case: bool,
        /// Namespace of the workload that sent the request.
        pub source_namespace: Option<String>,
        /// Fields that are not known here.
        #[serde(flatten)]
        #[schemars(skip)]
        pub other: BTreeMap<String, Value>,
    }

    /// What to do with the headers of requests and responses.
    pub struct Headers {
        /// Of requests.
        pub request: Option<HeaderOperations>,
        /// Of responses.
        pub response: Option<HeaderOperations>,
        /// Fields that are not known here.
        #[serde(flatten)]
        #[schemars(skip)]
        pub other: BTreeMap<String, Value>,
    }

    /// Operations on headers.
    pub struct HeaderOperations {
        /// Headers to overwrite.
        pub set: BTreeMap<String, String>,
        /// Headers to append.
        pub add: BTreeMap<String, String>,
        /// Headers to remove.
        pub remove: Vec<String>,
        /// Fields that are not known here.
        #[serde(flatten)]
        #[schemars(skip)]
        pub other: BTreeMap<String, Value>,
    }

    /// Cross-origin resource sharing.
    pub struct CorsPolicy {
        /// Origins, literally.
        pub allow_origin: Vec<String>,
        /// Patterns of origins.
        #[schemars(transform = crate::crd::parts::origins)]
        pub allow_origins: Vec<StringMatch>,
        /// Methods that are allowed.
        pub allow_methods: Vec<String>,
        /// Request headers that are allowed.
        pub allow_headers: Vec<String>,
        /// Response headers that scripts may see.
        pub expose_headers: Vec<String>,
        /// How long an answer may be cached, such as 24h.
        pub max_age: Option<String>,
        /// Whether credentials may be sent. Absent and false are different things to Istio.
        pub allow_credentials: Option<bool>,
        /// Fields that are not known here.
        #[serde(flatten)]
        #[schemars(skip)]
        pub other: BTreeMap<String, Value>,
    }

    /// How to change the path and the host of requests.
    pub struct HttpRewrite {
        /// The new path.
        pub uri: Option<String>,
        /// The new host.
        pub authority: Option<String>,
        /// `ReplacePrefixMatch` or `ReplaceFullPath` (default); Gateway API only.
        #[serde(rename = "type")]
        pub kind: Option<String>,
    }
}

/// When to repeat a request. `attempts` is always written, also when it is 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRetry {
    /// Number of retries.
    #[serde(deserialize_with = "crate::wire::read")]
    pub attempts: i32,
    /// Time that one attempt may take.
    #[serde(deserialize_with = "crate::wire::read", skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<String>,
    /// Conditions for retrying, separated by commas.
    #[serde(deserialize_with = "crate::wire::read", skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<String>,
    /// Fields that are not known here.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: BTreeMap<String, Value>,
}

impl Wire for HttpRetry {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }
}
