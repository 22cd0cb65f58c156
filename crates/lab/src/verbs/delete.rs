//! Deleting objects. What depends on them is the work of `gc`.

use super::{Desk, ListOptions, metadata};
use crate::clock::stamp;
use crate::defaults;
use crate::failure::{Failure, FieldError};
use crate::store::uid;
use objects::paths;
use serde_json::{Value, json};
use std::sync::Arc;

/// The finalizer that holds an owner until its dependents are gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that holds an owner until its dependents are set free.
pub(crate) const ORPHAN: &str = "orphan";

/// What becomes of the dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Propagation {
    /// They are deleted later.
    #[default]
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// The body or the query of a deletion.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    /// What becomes of the dependents.
    pub propagation: Propagation,
    /// Only if the object has this uid.
    pub uid: Option<String>,
    /// Only if the object has this version.
    pub version: Option<String>,
    /// Answer as if deleted, but delete nothing.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Reads a `DeleteOptions` object.
    pub(crate) fn read(body: &Value) -> Result<Self, Failure> {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let policy = paths::text(body, "/propagationPolicy");
        let kind = paths::text(body, "/kind");
        if !matches!(kind, "" | "DeleteOptions") {
            return Err(Failure::bad_request(format!("no kind {kind:?} is registered for version \"meta.k8s.io/v1\"")));
        }
        let refuse = |error| Err(Failure::invalid("DeleteOptions", "meta.k8s.io", "", &[error]));
        if !policy.is_empty() && body.get("orphanDependents").is_some_and(|orphan| !orphan.is_null()) {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            return refuse(FieldError::invalid("propagationPolicy", &json!(policy), why));
        }
        match policy {
            "" | "Background" | "Foreground" | "Orphan" => {}
            other => {
                let known = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned);
                return refuse(FieldError::unsupported("propagationPolicy", &json!(other), &known));
            }
        }
        let dry_run = paths::list(body, "/dryRun").any(|one| one == "All");
        let propagation = match policy {
            "Foreground" => Propagation::Foreground,
            "Orphan" => Propagation::Orphan,
            _ if body.get("orphanDependents") == Some(&json!(true)) => Propagation::Orphan,
            _ => Propagation::Background,
        };
        Ok(Self {
            propagation,
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
            dry_run,
        })
    }
}

impl Desk<'_> {
    /// Deletes an object, or marks it as being deleted if something must happen first. The answer is its last state, and whether it is gone.
    pub(crate) fn delete(
        &mut self,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(Arc<Value>, bool), Failure> {
        let old = self.present(namespace, name)?;
        self.check_preconditions(&old, name, options)?;
        let mut object = Value::clone(&old);
        let marked = !paths::text(&object, "/metadata/deletionTimestamp").is_empty();
        let mut finalizers: Vec<Value> = paths::list(&object, "/metadata/finalizers").cloned().collect();
        let extra = match (options.propagation, self.resource.table.as_str()) {
            (_, "customresourcedefinitions.apiextensions.k8s.io") => Some(defaults::crd::CLEANUP),
            (Propagation::Foreground, _) => Some(FOREGROUND),
            (Propagation::Orphan, _) => Some(ORPHAN),
            (Propagation::Background, _) => None,
        };
        if let Some(extra) = extra.filter(|extra| !finalizers.contains(&json!(extra))) {
            finalizers.push(json!(extra));
        }
        let held = !finalizers.is_empty() || self.resource.table == "namespaces";
        if self.options.dry_run || options.dry_run {
            return Ok((old, !held));
        }
        if !held {
            return Ok((self.finish_deletion(&object), true));
        }
        if !finalizers.is_empty() {
            metadata(&mut object).insert("finalizers".to_owned(), json!(finalizers));
        }
        if !marked {
            self.mark(&mut object);
        }
        if object == *old { Ok((old, false)) } else { Ok((self.store.put(&self.resource.table, object), false)) }
    }

    fn mark(&self, object: &mut Value) {
        let generation = paths::integer(object, "/metadata/generation");
        let fields = metadata(object);
        fields.insert("deletionTimestamp".to_owned(), json!(stamp(self.now)));
        if self.resource.table == "customresourcedefinitions.apiextensions.k8s.io" {
            return;
        }
        if self.resource.table == "namespaces" {
            paths::set(object, &["status", "phase"], json!("Terminating"));
            return;
        }
        fields.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
        if let Some(generation) = generation {
            fields.insert("generation".to_owned(), json!(generation + 1));
        }
    }

    fn check_preconditions(&self, object: &Value, name: &str, options: &DeleteOptions) -> Result<(), Failure> {
        let version = paths::text(object, "/metadata/resourceVersion");
        // Here the server names the kind, not the resource.
        let conflict = |why: &str| Failure::conflict(&self.resource.kind, &self.resource.group, name, why);
        if let Some(wanted) = options.uid.as_deref().filter(|wanted| *wanted != uid(object)) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                uid(object)
            );
            return Err(conflict(&why));
        }
        if let Some(wanted) = options.version.as_deref().filter(|wanted| *wanted != version) {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). \
                 The object might have been modified"
            );
            return Err(conflict(&why));
        }
        Ok(())
    }

    /// Takes an object away for good.
    pub(crate) fn finish_deletion(&mut self, object: &Value) -> Arc<Value> {
        let (namespace, name) = (paths::text(object, "/metadata/namespace"), paths::text(object, "/metadata/name"));
        let last = self.store.remove(&self.resource.table, namespace, name).unwrap_or_default();
        if self.resource.table == "customresourcedefinitions.apiextensions.k8s.io" {
            self.store.registry.replace(name, Vec::new());
            self.store.drop_table(name);
        }
        last
    }

    /// Deletes the objects of a list. The answer is what was listed.
    pub(crate) fn delete_collection(
        &mut self,
        namespace: Option<&str>,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Vec<Arc<Value>>, Failure> {
        let page = self.list(namespace, list)?;
        for object in &page.items {
            let (namespace, name) = (paths::text(object, "/metadata/namespace"), paths::text(object, "/metadata/name"));
            self.delete(namespace, name, options)?;
        }
        Ok(page.items)
    }
}
