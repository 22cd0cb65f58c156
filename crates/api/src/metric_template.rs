//! MetricTemplate: where a metric comes from and how to ask for it.
//!
//! Source: API notes, section 6.

use std::collections::BTreeMap;

use crate::crd::parts;
use crate::meta::{ObjectMeta, SecretReference};
use crate::wire::wire;

wire! {
    /// MetricTemplate says where a metric comes from and how to ask for it.
    pub struct MetricTemplate {
        /// `flagger.app/v1beta1`.
        pub api_version: String,
        /// `MetricTemplate`.
        pub kind: String,
        /// Name, namespace, labels and so on.
        pub metadata: ObjectMeta,
        /// Source and query.
        pub spec: MetricTemplateSpec,
    }

    /// Source and query of a metric.
    #[schemars(extend("required" = ["provider", "query"]))]
    pub struct MetricTemplateSpec {
        /// Where the metric comes from.
        pub provider: MetricTemplateProvider,
        /// The query, a Go template.
        pub query: String,
    }

    /// Where a metric comes from.
    #[schemars(extend("required" = ["type"]))]
    pub struct MetricTemplateProvider {
        /// Kind of the source.
        #[serde(rename = "type")]
        #[schemars(extend("enum" = parts::METRIC_PROVIDERS))]
        pub kind: String,
        /// Address of the source.
        pub address: Option<String>,
        /// Headers of the request; Prometheus only.
        pub headers: BTreeMap<String, Vec<String>>,
        /// Secret with the credentials, in the namespace of the template.
        pub secret_ref: Option<SecretReference>,
        /// Region; CloudWatch only.
        pub region: Option<String>,
        /// Accept any certificate.
        pub insecure_skip_verify: bool,
    }
}
