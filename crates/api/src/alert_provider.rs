//! AlertProvider: where alerts are sent.
//!
//! Source: API notes, section 7.

use crate::crd::parts;
use crate::meta::{ObjectMeta, SecretReference};
use crate::wire::wire;

wire! {
    /// AlertProvider says where alerts are sent.
    pub struct AlertProvider {
        /// `flagger.app/v1beta1`.
        pub api_version: String,
        /// `AlertProvider`.
        pub kind: String,
        /// Name, namespace, labels and so on.
        pub metadata: ObjectMeta,
        /// Receiver and address.
        pub spec: AlertProviderSpec,
    }

    /// Receiver and address. With both, the address in the Secret wins over the one given here.
    #[schemars(extend("anyOf" = parts::address_or_secret()))]
    pub struct AlertProviderSpec {
        /// Kind of the receiver.
        #[serde(rename = "type")]
        #[schemars(extend("enum" = parts::ALERT_PROVIDERS))]
        pub kind: String,
        /// Channel that is written to. Default is general.
        pub channel: Option<String>,
        /// Name of the sender. Default is flagger.
        pub username: Option<String>,
        /// URL of the receiver.
        pub address: Option<String>,
        /// Proxy for requests to the receiver.
        pub proxy: Option<String>,
        /// Secret with the keys `address` and `token`, in the namespace of this object.
        pub secret_ref: Option<SecretReference>,
    }
}
