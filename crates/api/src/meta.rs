//! What the three kinds share: the metadata that is used, and references by name.
//!
//! Only the fields of `metadata` that somebody reads; objects are never written back from these types, so the rest is
//! not lost. Source: Kubernetes API conventions; API notes, sections 2 and 11.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::wire::wire;

wire! {
    /// The part of `metadata` that is used.
    pub struct ObjectMeta {
        /// Name, unique in the namespace.
        pub name: String,
        /// Namespace.
        pub namespace: String,
        /// Identity of this object among all of its name over time.
        pub uid: String,
        /// Counts changes of the spec.
        pub generation: i64,
        /// Opaque version of the object, changes with each write.
        pub resource_version: String,
        /// Labels.
        pub labels: BTreeMap<String, String>,
        /// Annotations.
        pub annotations: BTreeMap<String, String>,
        /// Finalizers; the object stays until the list is empty.
        pub finalizers: Vec<String>,
        /// When the object was created.
        pub creation_timestamp: Option<Timestamp>,
        /// When deletion was asked for; the object is going away.
        pub deletion_timestamp: Option<Timestamp>,
        /// Owners; the object is collected when they are gone.
        pub owner_references: Vec<OwnerReference>,
    }

    /// One owner of an object.
    pub struct OwnerReference {
        /// Group and version of the owner.
        pub api_version: String,
        /// Kind of the owner.
        pub kind: String,
        /// Name of the owner, in the same namespace.
        pub name: String,
        /// Identity of the owner.
        pub uid: String,
        /// Whether the owner manages the object; at most one does.
        pub controller: bool,
        /// Whether the owner's foreground deletion waits for this object.
        pub block_owner_deletion: bool,
    }

    /// Reference to an object by name, in the Canary's namespace if no other is given.
    #[schemars(extend("required" = ["name"]))]
    pub struct NamespacedReference {
        /// Name of the referenced object.
        pub name: String,
        /// Namespace of the referenced object; default is the namespace of the referring one.
        pub namespace: Option<String>,
    }

    /// Reference to a Secret in the namespace of the referring object.
    #[schemars(extend("required" = ["name"]))]
    pub struct SecretReference {
        /// Name of the Secret.
        pub name: String,
    }
}

impl NamespacedReference {
    /// The namespace meant, given the one of the referring object.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }
}
