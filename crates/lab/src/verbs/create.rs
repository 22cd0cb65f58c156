//! Creating an object.

use super::{Desk, Part, metadata};
use crate::clock::stamp;
use crate::failure::{Failure, FieldError};
use crate::patch::apply;
use crate::patch::types::Types;
use crate::store::is_deleted;
use objects::paths;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a client cannot set.
const SERVER_ONLY: [&str; 8] = [
    "managedFields",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
];

impl Desk<'_> {
    /// Creates an object in a namespace (empty for cluster-scoped kinds).
    pub(crate) fn create(&mut self, namespace: &str, object: Value) -> Result<Arc<Value>, Failure> {
        self.create_by(namespace, object, false)
    }

    /// Creates an object by server-side apply: its manager owns what it gave, not what was filled in.
    pub(super) fn create_applied(&mut self, namespace: &str, config: Value) -> Result<Arc<Value>, Failure> {
        self.create_by(namespace, config, true)
    }

    fn create_by(&mut self, namespace: &str, mut object: Value, applies: bool) -> Result<Arc<Value>, Failure> {
        self.check_kind(&object)?;
        self.place(namespace, &mut object)?;
        let name = self.name(&mut object)?;
        self.check_namespace(namespace, &name)?;
        if !paths::text(&object, "/metadata/resourceVersion").is_empty() {
            return Err(Failure::unknown("resourceVersion should not be set on objects to be created"));
        }
        let api_version = self.resource.api_version();
        let config = applies.then(|| object.clone());
        let counts = self.resource.counts_generations();
        let fields = metadata(&mut object);
        for key in SERVER_ONLY {
            // Who does not count generations keeps what the client says.
            if key != "generation" || counts {
                fields.shift_remove(key);
            }
        }
        if self.resource.status {
            paths::set(&mut object, &["status"], Value::Null);
        }
        paths::set(&mut object, &["apiVersion"], json!(api_version));
        paths::set(&mut object, &["kind"], json!(self.resource.kind));
        let mut object = self.complete(object, None, Part::Main)?;
        if let Some(present) = self.store.get(&self.resource.table, namespace, &name) {
            let mut failure = Failure::already_exists(&self.resource.plural, &self.resource.group, &name);
            if is_deleted(present) {
                failure.message = format!("object is being deleted: {}", failure.message);
            }
            return Err(failure);
        }
        let uid = self.store.new_uid();
        let fields = metadata(&mut object);
        fields.insert("uid".to_owned(), json!(uid));
        fields.insert("creationTimestamp".to_owned(), json!(stamp(self.now)));
        if counts {
            fields.insert("generation".to_owned(), json!(1));
        }
        let manager = self.manager(applies, Part::Main);
        apply::record_created(&mut object, config.as_ref(), &manager, Types(&Arc::clone(&self.resource)));
        self.admit(&mut object);
        Ok(self.put(object))
    }

    /// The object's namespace is that of the URL.
    fn place(&self, namespace: &str, object: &mut Value) -> Result<(), Failure> {
        let given = paths::text(object, "/metadata/namespace");
        if !self.resource.namespaced {
            paths::set(object, &["metadata", "namespace"], Value::Null);
            return Ok(());
        }
        if !given.is_empty() && given != namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        paths::set(object, &["metadata", "namespace"], json!(namespace));
        Ok(())
    }

    fn name(&mut self, object: &mut Value) -> Result<String, Failure> {
        let name = paths::text(object, "/metadata/name");
        if !name.is_empty() {
            return Ok(name.to_owned());
        }
        let prefix = paths::text(object, "/metadata/generateName").to_owned();
        if prefix.is_empty() {
            return Err(self
                .resource
                .invalid("", &[FieldError::required("metadata.name", "name or generateName is required")]));
        }
        let name = format!("{}{}", prefix.get(..58).unwrap_or(&prefix), self.store.suffix());
        paths::set(object, &["metadata", "name"], json!(name));
        Ok(name)
    }

    fn check_namespace(&self, namespace: &str, name: &str) -> Result<(), Failure> {
        if !self.resource.namespaced {
            return Ok(());
        }
        let Some(home) = self.store.get("namespaces", "", namespace) else {
            return Err(Failure::not_found("namespaces", "", namespace));
        };
        if paths::text(home, "/metadata/deletionTimestamp").is_empty() {
            return Ok(());
        }
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut failure = Failure::forbidden(&self.resource.plural, &self.resource.group, name, &why);
        if let Some(details) = failure.details.as_mut() {
            let cause = json!({"reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace"});
            paths::set(details, &["causes"], json!([cause]));
        }
        Err(failure)
    }
}
