//! Reading and writing objects with the rules of the API server: one file per verb, all of them methods of [`Desk`].
//!
//! Synchronous and without HTTP: the lock is held by the caller, requests and answers are in `server`. Objects go in and come out in the version of
//! the resource that was asked for, and are stored in the storage version.

mod create;
mod delete;
mod patch;
mod read;
mod scale;
mod update;

pub(crate) use delete::{DeleteOptions, FOREGROUND, ORPHAN};
pub(crate) use patch::PatchKind;
pub(crate) use read::{ListOptions, Page};
pub(crate) use update::Record;

use crate::clock::stamp;
use crate::defaults;
use crate::failure::{Failure, FieldError};
use crate::patch::apply::Manager;
use crate::resource::{Origin, Resource};
use crate::store::Store;
use jiff::Timestamp;
use objects::paths;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What to do about fields that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unknown {
    /// Drop them and say nothing.
    Ignore,
    /// Drop them and warn.
    #[default]
    Warn,
    /// Refuse the object.
    Refuse,
}

/// How to write.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteOptions {
    /// Answer as if written, but write nothing.
    pub dry_run: bool,
    /// Who writes, for `managedFields`.
    pub manager: String,
    /// Whether the writer gave that name for this purpose, as an apply must.
    pub named_manager: bool,
    /// Whether an apply takes fields from other managers.
    pub force: bool,
    /// What to do about unknown fields.
    pub unknown: Unknown,
}

/// The part of an object that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status, where there is a status subresource.
    Main,
    /// The status alone.
    Status,
}

/// One request's work at the store.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    /// The objects.
    pub store: &'a mut Store,
    /// The kind and version that is asked for.
    pub resource: Arc<Resource>,
    /// The time of the request.
    pub now: Timestamp,
    /// How to write.
    pub options: WriteOptions,
    /// What the client should hear besides the answer.
    pub warnings: Vec<String>,
    /// Whether the object comes from a patch: some texts are others then.
    patches: bool,
    /// The subresource through which the object is written, if it is neither it nor its status.
    through: &'static str,
}

impl<'a> Desk<'a> {
    /// A desk for one request.
    pub(crate) fn new(store: &'a mut Store, resource: Arc<Resource>, now: Timestamp, options: WriteOptions) -> Self {
        Self { store, resource, now, options, warnings: Vec::new(), patches: false, through: "" }
    }

    /// Who writes, for the record.
    fn manager(&self, applies: bool, part: Part) -> Manager {
        let name = if self.options.manager.is_empty() { "unknown" } else { &self.options.manager };
        Manager {
            name: name.to_owned(),
            applies,
            api_version: self.resource.api_version(),
            subresource: if part == Part::Status { "status" } else { self.through },
            time: stamp(self.now),
        }
    }

    /// The object with that name, as it is stored.
    fn present(&self, namespace: &str, name: &str) -> Result<Arc<Value>, Failure> {
        self.store.get(&self.resource.table, namespace, name).cloned().ok_or_else(|| self.resource.not_found(name))
    }

    /// Brings an object into the form that is stored: unknown fields dropped, defaults filled in, rules checked.
    fn complete(&mut self, object: Value, old: Option<&Value>, part: Part) -> Result<Value, Failure> {
        let mut object = self.decode(object)?;
        match self.resource.builtin() {
            Some(one) => (one.default)(&mut object, old),
            None => self.complete_custom(&mut object),
        }
        let custom = self.resource.custom().is_some();
        let mut errors = defaults::metadata::check(&object, old, &self.resource.table, custom);
        self.warnings.extend(defaults::metadata::warnings(&object, old, custom));
        match self.resource.builtin() {
            Some(one) => errors.extend((one.validate)(&object, old)),
            None => errors.extend(self.check_custom(&object, old, part)),
        }
        if self.resource.table == "secrets" {
            self.warnings.extend(defaults::core::secret_warnings(&object));
        }
        if errors.is_empty() {
            Ok(object)
        } else {
            Err(self.resource.invalid(paths::text(&object, "/metadata/name"), &errors))
        }
    }

    /// What breaks the schema now and did not before: an update may leave alone what was already wrong.
    fn check_custom(&self, object: &Value, old: Option<&Value>, part: Part) -> Vec<FieldError> {
        let Some(custom) = self.resource.custom() else { return Vec::new() };
        let mut errors = custom.schema.validate(object);
        if let (Some(old), false) = (old, errors.is_empty()) {
            let known = custom.schema.validate(old);
            errors.retain(|error| !known.contains(error));
        }
        custom.schema.run_rules(object, old, &mut errors);
        if part == Part::Status {
            // The server checks the status as if it were the object.
            for error in &mut errors {
                error.detail = error.detail.replace("status.", "");
            }
        }
        if let Some(scale) = &self.resource.scale {
            errors.extend([&scale.spec, &scale.status].into_iter().filter_map(|at| replicas(object, at)));
        }
        errors
    }

    fn complete_custom(&self, object: &mut Value) {
        if let Some(custom) = self.resource.custom() {
            custom.schema.fill_defaults(object);
        }
    }

    /// Reads the object as its type says and drops what the type does not know.
    fn decode(&mut self, mut object: Value) -> Result<Value, Failure> {
        self.check_kind(&object)?;
        let refuse = |resource: &Resource, why: &dyn std::fmt::Display| {
            let (kind, version) = (&resource.kind, &resource.version);
            Failure::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
        };
        let given = object.clone();
        let dropped = match &self.resource.origin {
            Origin::BuiltIn(one) => {
                defaults::quantities(&mut object, one.plural);
                if let Some(text) = defaults::no_quantity(&object) {
                    let why = format!(
                        "{text:?}: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                    );
                    return Err(if self.patches { refuse_patch(&given, &why) } else { refuse(&self.resource, &why) });
                }
                let mut typed = (one.decode)(object.clone()).map_err(|why| {
                    if self.patches { refuse_patch(&given, &why) } else { refuse(&self.resource, &why) }
                })?;
                let dropped = missing_from(&object, &typed);
                // The types make up empty values for what they require; whether that is allowed is for the rules to say.
                retain_known(&mut typed, &object);
                defaults::clean(&mut typed);
                object = typed;
                dropped
            }
            Origin::Custom(custom) => {
                let sorted = |mut paths: Vec<String>| {
                    paths.sort_unstable();
                    paths
                };
                let given = object.get("metadata").cloned().unwrap_or_default();
                let mut metadata = typed_metadata(given.clone()).map_err(|why| refuse(&self.resource, &why))?;
                let unknown = missing_from(&given, &metadata).into_iter().map(|path| format!("metadata.{path}"));
                defaults::clean(&mut metadata);
                paths::set(&mut object, &["metadata"], metadata);
                unknown.chain(sorted(custom.schema.prune(&mut object))).collect()
            }
        };
        let dropped: Vec<_> = dropped.iter().map(|path| format!("unknown field {path:?}")).collect();
        match self.options.unknown {
            Unknown::Refuse if !dropped.is_empty() && self.patches => {
                Err(refuse_patch(&given, &format!("strict decoding error: {}", dropped.join(", "))))
            }
            Unknown::Refuse if !dropped.is_empty() => {
                Err(refuse(&self.resource, &format!("strict decoding error: {}", dropped.join(", "))))
            }
            Unknown::Warn => {
                self.warnings.extend(dropped);
                Ok(object)
            }
            _ => Ok(object),
        }
    }

    fn check_kind(&self, object: &Value) -> Result<(), Failure> {
        let (is, wanted) = (paths::text(object, "/apiVersion"), self.resource.api_version());
        let kind = paths::text(object, "/kind");
        if !object.is_object() {
            return Err(Failure::bad_request("the body of the request is no object"));
        }
        if !is.is_empty() && is != wanted {
            return Err(Failure::bad_request(format!(
                "the API version in the data ({is}) does not match the expected API version ({wanted})"
            )));
        }
        if kind.is_empty() && self.resource.custom().is_some() {
            let (wanted, text) = (&self.resource.kind, object.to_string());
            let why = format!(
                "the object provided is unrecognized (must be of type {wanted}): Object 'Kind' is missing in '{text}' ({text})"
            );
            return Err(Failure::bad_request(why));
        }
        if !kind.is_empty() && kind != self.resource.kind && self.resource.custom().is_some() {
            let error = FieldError::invalid("kind", &json!(kind), format!("must be {}", self.resource.kind));
            return Err(Failure::invalid(kind, &self.resource.group, paths::text(object, "/metadata/name"), &[error]));
        }
        if !kind.is_empty() && kind != self.resource.kind {
            let version = &self.resource.version;
            return Err(Failure::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {}",
                self.resource.kind
            )));
        }
        Ok(())
    }

    /// Writes an object in the version that was asked for. The answer is the stored one.
    fn put(&mut self, object: Value) -> Arc<Value> {
        let mut stored = self.resource.stored(object);
        if self.options.dry_run {
            return Arc::new(stored);
        }
        let is_definition = self.resource.table == "customresourcedefinitions.apiextensions.k8s.io";
        if is_definition {
            defaults::crd::establish(&mut stored, &stamp(self.now));
        }
        let stored = self.store.put(&self.resource.table, stored);
        if is_definition {
            self.store.registry.replace(paths::text(&stored, "/metadata/name"), defaults::crd::resources(&stored));
        }
        stored
    }

    /// Adds what is nobody's: a Service's addresses and node ports, a Pod's priority and tolerations.
    fn admit(&mut self, object: &mut Value) {
        if self.resource.table == "pods" {
            defaults::pod::admit(object);
        }
        if self.resource.table != "services" || paths::text(object, "/spec/type") == "ExternalName" {
            return;
        }
        if paths::text(object, "/spec/clusterIP").is_empty() {
            let first = paths::list(object, "/spec/clusterIPs").next().and_then(Value::as_str).map(str::to_owned);
            let address = first.unwrap_or_else(|| {
                let number = self.store.next_address();
                format!("10.96.{}.{}", (number >> 8) & 0xff, number & 0xff)
            });
            paths::set(object, &["spec", "clusterIP"], json!(address));
        }
        let node_ports = matches!(paths::text(object, "/spec/type"), "NodePort" | "LoadBalancer");
        let spec = defaults::submap(defaults::map_of(object), "spec");
        let address = spec.get("clusterIP").cloned().unwrap_or_default();
        defaults::fill(spec, "clusterIPs", json!([address]));
        defaults::fill(spec, "ipFamilies", json!(["IPv4"]));
        defaults::fill(spec, "ipFamilyPolicy", json!("SingleStack"));
        for port in defaults::each(spec, "ports").filter(|_| node_ports) {
            if !port.contains_key("nodePort") {
                port.insert("nodePort".to_owned(), json!(30000 + self.store.next_address() % 2768));
            }
        }
    }
}

/// What the `scale` subresource could not read.
fn replicas(object: &Value, pointer: &str) -> Option<FieldError> {
    let (value, path) = (object.pointer(pointer)?, pointer.replace('/', "."));
    let unreadable = |shown: &str, kind: &str| {
        let why = format!("{path} accessor error: {shown} is of the type {kind}, expected int64");
        Some(FieldError::invalid(path.clone(), &json!(0), why))
    };
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(number) if number < 0 => {
                Some(FieldError::invalid(path, &json!(number), "should be a non-negative integer"))
            }
            Some(_) => None,
            None => unreadable(&number.to_string(), "float64"),
        },
        Value::String(text) => unreadable(text, "string"),
        _ => None,
    }
}

/// 422 for a patch whose result is no such object; the text shows all of it.
fn refuse_patch(result: &Value, why: &dyn std::fmt::Display) -> Failure {
    let error = FieldError::invalid("patch", &json!(result.to_string()), why.to_string());
    Failure::invalid("", "", "", &[error])
}

fn typed_metadata(metadata: Value) -> Result<Value, serde_json::Error> {
    let typed: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta = serde_json::from_value(metadata)?;
    serde_json::to_value(typed)
}

/// The paths that are in the first value and not in the second.
fn missing_from(before: &Value, after: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    collect_missing(before, after, "", &mut missing);
    missing
}

fn collect_missing(before: &Value, after: &Value, path: &str, missing: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, child) in before.iter().filter(|(_, child)| !child.is_null()) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match after.get(key) {
                    Some(other) => collect_missing(child, other, &path, missing),
                    None => missing.push(path),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (at, (child, other)) in before.iter().zip(after).enumerate() {
                collect_missing(child, other, &format!("{path}[{at}]"), missing);
            }
        }
        _ => {}
    }
}

/// Takes out of the first value what is not in the second.
fn retain_known(typed: &mut Value, given: &Value) {
    match (typed, given) {
        (Value::Object(typed), Value::Object(given)) => {
            typed.retain(|key, _| given.contains_key(key));
            for (key, child) in typed.iter_mut() {
                retain_known(child, given.get(key).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(typed), Value::Array(given)) => {
            typed.iter_mut().zip(given).for_each(|(child, of)| retain_known(child, of));
        }
        _ => {}
    }
}

/// `metadata` of an object, created if it is not there.
fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    defaults::submap(defaults::map_of(object), "metadata")
}
