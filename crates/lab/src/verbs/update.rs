//! Replacing and patching an object.

use super::{Desk, Part, metadata};
use crate::failure::{Failure, FieldError};
use crate::patch::apply;
use crate::patch::types::Types;
use crate::store::uid;
use objects::paths;
use serde_json::{Value, json};
use std::sync::Arc;

/// What is written into `managedFields`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// The fields that differ from the present object.
    Changes,
    /// Nothing more: the new object has its record already.
    Applied,
}

/// What an update cannot change.
const KEPT: [&str; 5] = ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];

impl Desk<'_> {
    /// Replaces an object, or its status. The answer is the stored object, and whether it was created.
    pub(crate) fn replace(
        &mut self,
        namespace: &str,
        name: &str,
        object: Value,
        part: Part,
    ) -> Result<(Arc<Value>, bool), Failure> {
        self.check_kind(&object)?;
        let given = paths::text(&object, "/metadata/name");
        if given != name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({name})"
            )));
        }
        if part == Part::Main && self.creates_on_update() && self.present(namespace, name).is_err() {
            return self.create(namespace, object).map(|object| (object, true));
        }
        let old = self.present(namespace, name)?;
        let given = uid(&object);
        if !given.is_empty() && given != uid(&old) {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
                 UID in precondition: {given}, UID in object meta: {}",
                self.storage_key(namespace, name),
                uid(&old)
            );
            return Err(self.resource.conflict(name, &why));
        }
        let version = paths::text(&object, "/metadata/resourceVersion");
        if version.is_empty() && !self.resource.allows_unconditional_update() {
            let error = FieldError {
                value: "0".to_owned(),
                ..FieldError::invalid("metadata.resourceVersion", &Value::Null, "must be specified for an update")
            };
            return Err(Failure::invalid(&self.resource.plural, &self.resource.group, name, &[error]));
        }
        Ok((self.update(&old, object, part, Record::Changes)?, false))
    }

    /// Where the real server keeps the object, as some texts tell.
    fn storage_key(&self, namespace: &str, name: &str) -> String {
        let folder = match self.resource.table.as_str() {
            "services" => "services/specs".to_owned(),
            "ingresses.networking.k8s.io" => "ingress".to_owned(),
            _ if self.resource.custom().is_some() => format!("{}/{}", self.resource.group, self.resource.plural),
            _ => self.resource.plural.clone(),
        };
        let parts = [folder.as_str(), namespace, name];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("/registry/{}", parts.join("/"))
    }

    /// Writes the new state of a present object. `new` is in the version that was asked for.
    pub(crate) fn update(
        &mut self,
        stored: &Arc<Value>,
        mut new: Value,
        part: Part,
        record: Record,
    ) -> Result<Arc<Value>, Failure> {
        let resource = Arc::clone(&self.resource);
        let old = resource.present(stored);
        let name = paths::text(&old, "/metadata/name");
        self.check_version(&old, &new, name)?;
        if part == Part::Status {
            let status = new.get("status").cloned().unwrap_or_default();
            let managed = new.pointer("/metadata/managedFields").filter(|_| record == Record::Applied).cloned();
            new = Value::clone(&old);
            paths::set(&mut new, &["status"], status);
            if let Some(managed) = managed {
                paths::set(&mut new, &["metadata", "managedFields"], managed);
            }
        } else if self.resource.status {
            paths::set(&mut new, &["status"], old.get("status").cloned().unwrap_or_default());
        }
        let forgets = forgets_managers(&new);
        keep(&old, &mut new);
        let mut new = self.complete(new, Some(&old), part)?;
        self.check_finalizers(&old, &new, name)?;
        if self.resource.counts_generations() && self.counts(&old, &new) {
            let generation = paths::integer(&old, "/metadata/generation").unwrap_or_default();
            paths::set(&mut new, &["metadata", "generation"], json!(generation + 1));
        }
        if is_same(&old, &new) {
            return Ok(Arc::clone(stored));
        }
        if forgets {
            paths::set(&mut new, &["metadata", "managedFields"], Value::Null);
        } else if record == Record::Changes && is_recorded(&old) {
            apply::record(&old, &mut new, &self.manager(false, part), Types(&resource));
            if self.through == "scale" {
                forget_scaling(&mut new, resource.builtin().is_some());
            }
        }
        self.admit(&mut new);
        let deleting = !paths::text(&new, "/metadata/deletionTimestamp").is_empty();
        if deleting && paths::list(&new, "/metadata/finalizers").next().is_none() && !self.options.dry_run {
            self.finish_deletion(&new);
            return Ok(Arc::new(resource.stored(new)));
        }
        Ok(self.put(new))
    }

    /// Whether an update of an object that does not exist creates it.
    fn creates_on_update(&self) -> bool {
        matches!(self.resource.table.as_str(), "services" | "endpoints" | "events" | "leases.coordination.k8s.io")
            || self.resource.group == "rbac.authorization.k8s.io"
    }

    fn check_version(&self, old: &Value, new: &Value, name: &str) -> Result<(), Failure> {
        let given = paths::text(new, "/metadata/resourceVersion");
        let given_uid = uid(new);
        if !given_uid.is_empty() && given_uid != uid(old) {
            return Err(self
                .resource
                .invalid(name, &[FieldError::invalid("metadata.uid", &json!(given_uid), "field is immutable")]));
        }
        if !given.is_empty() && given != paths::text(old, "/metadata/resourceVersion") {
            return Err(Failure::modified(&self.resource.plural, &self.resource.group, name));
        }
        Ok(())
    }

    fn check_finalizers(&self, old: &Value, new: &Value, name: &str) -> Result<(), Failure> {
        if paths::text(old, "/metadata/deletionTimestamp").is_empty() {
            return Ok(());
        }
        let known: Vec<_> = paths::list(old, "/metadata/finalizers").collect();
        let added: Vec<String> =
            paths::list(new, "/metadata/finalizers").filter(|one| !known.contains(one)).map(Value::to_string).collect();
        if added.is_empty() {
            return Ok(());
        }
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        Err(self.resource.invalid(name, &[FieldError::forbidden("metadata.finalizers", why)]))
    }

    /// Whether the change is one that `metadata.generation` counts.
    fn counts(&self, old: &Value, new: &Value) -> bool {
        let annotations = |object: &Value| object.pointer("/metadata/annotations").cloned();
        // The annotations of a Deployment are copied to its ReplicaSets.
        if self.resource.table == "deployments.apps" && annotations(old) != annotations(new) {
            return true;
        }
        let status_apart = self.resource.status || self.resource.builtin().is_some();
        let counted = |key: &str| key != "metadata" && (key != "status" || !status_apart);
        let keys = |object: &Value| {
            object
                .as_object()
                .map(|map| map.keys().filter(|key| counted(key)).cloned().collect::<Vec<_>>())
                .unwrap_or_default()
        };
        keys(old).iter().chain(&keys(new)).any(|key| old.get(key) != new.get(key))
    }
}

/// Whether nothing differs but the times of `managedFields`.
fn is_same(old: &Value, new: &Value) -> bool {
    let without = |object: &Value, key: &str| -> Value {
        object
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(of, _)| *of != key)
            .map(|(of, value)| (of.clone(), value.clone()))
            .collect()
    };
    let part = |object: &Value, pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    let timeless = |object: &Value| {
        let managed = part(object, "/metadata/managedFields");
        let entries = managed.as_array().into_iter().flatten().map(|entry| without(entry, "time"));
        (entries.collect::<Vec<_>>(), without(&part(object, "/metadata"), "managedFields"))
    };
    let keys = |object: &Value| object.as_object().map_or(0, serde_json::Map::len);
    let same = |(key, value): (&String, &Value)| key == "metadata" || old.get(key) == Some(value);
    keys(old) == keys(new) && new.as_object().into_iter().flatten().all(same) && timeless(old) == timeless(new)
}

/// Whether a client asks to forget who set what: a list without managers.
fn forgets_managers(object: &Value) -> bool {
    let managed = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    managed.is_some_and(|entries| entries.iter().all(|entry| entry.get("manager").is_none()))
}

/// Of built-in kinds the server does not record who scaled them, of custom ones not when.
fn forget_scaling(object: &mut Value, built_in: bool) {
    let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    let Some(entries) = entries else { return };
    let scaled = |entry: &Value| entry.get("subresource") == Some(&json!("scale"));
    entries.retain(|entry| !(built_in && scaled(entry)));
    for entry in entries.iter_mut().filter(|entry| scaled(entry)) {
        paths::set(entry, &["time"], Value::Null);
    }
}

/// Whether it is recorded who set what: once forgotten, only an apply begins anew.
fn is_recorded(object: &Value) -> bool {
    paths::list(object, "/metadata/managedFields").next().is_some()
}

/// Carries over what only the server writes.
fn keep(old: &Value, new: &mut Value) {
    let of = |key: &str| old.get("metadata").and_then(|metadata| metadata.get(key)).cloned();
    for key in ["apiVersion", "kind"] {
        paths::set(new, &[key], old.get(key).cloned().unwrap_or_default());
    }
    for key in KEPT.iter().chain(&["name", "namespace", "resourceVersion"]) {
        paths::set(new, &["metadata", key], of(key).unwrap_or_default());
    }
    let fields = metadata(new);
    fields.shift_remove("selfLink");
    if let (false, Some(managed)) = (fields.contains_key("managedFields"), of("managedFields")) {
        fields.insert("managedFields".to_owned(), managed);
    }
}
