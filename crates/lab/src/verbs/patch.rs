//! Patching an object, in any of the four ways.

use super::update::Record;
use super::{Desk, Part};
use crate::failure::{Failure, FieldError};
use crate::patch::types::Types;
use crate::patch::{apply, json, merge, strategic};
use crate::resource::Origin;
use objects::paths;
use serde_json::Value;
use std::sync::Arc;

/// The way in which a patch is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// JSON patch.
    Json,
    /// JSON merge patch.
    Merge,
    /// Strategic merge patch.
    Strategic,
    /// Server-side apply.
    Apply,
}

/// Custom kinds have no strategic merge.
const ACCEPTED_BY_CUSTOM: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];

impl PatchKind {
    /// Reads a content type.
    pub(crate) fn of(content_type: &str) -> Result<Self, Failure> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(Failure::unknown_patch()),
        }
    }

    /// Changes a value that has no kind of its own, e.g. a `Scale`.
    pub(crate) fn apply_to_plain(self, target: &mut Value, patch: &Value) -> Result<(), Failure> {
        match self {
            Self::Json => json::apply(target, patch).map_err(|why| refuse_json(&why)),
            Self::Merge | Self::Strategic | Self::Apply => {
                merge::merge(target, patch);
                Ok(())
            }
        }
    }
}

impl Desk<'_> {
    /// Patches an object or its status. The answer is the stored object, and whether it was created.
    pub(crate) fn patch(
        &mut self,
        namespace: &str,
        name: &str,
        kind: PatchKind,
        patch: &Value,
        part: Part,
    ) -> Result<(Arc<Value>, bool), Failure> {
        if kind == PatchKind::Strategic && self.resource.custom().is_some() {
            return Err(Failure::unsupported_media_type(&ACCEPTED_BY_CUSTOM));
        }
        if kind != PatchKind::Apply && self.options.force {
            let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
            return Err(Failure::invalid("PatchOptions", "meta.k8s.io", "", &[error]));
        }
        if kind == PatchKind::Apply {
            return self.apply(namespace, name, patch, part);
        }
        let stored = self.present(namespace, name)?;
        let resource = Arc::clone(&self.resource);
        let mut new = resource.present(&stored).into_owned();
        match kind {
            PatchKind::Json => json::apply(&mut new, patch).map_err(|why| refuse_json(&why))?,
            PatchKind::Strategic => {
                strategic::merge(&mut new, patch, Types(&resource)).map_err(|why| Failure::unknown(why.to_string()))?;
            }
            PatchKind::Merge | PatchKind::Apply => merge::merge(&mut new, patch),
        }
        self.check_identity(namespace, name, &new)?;
        self.patches = true;
        Ok((self.update(&stored, new, part, Record::Changes)?, false))
    }

    /// A patch cannot make another object of it.
    fn check_identity(&self, namespace: &str, name: &str, new: &Value) -> Result<(), Failure> {
        let (given, home) = (paths::text(new, "/metadata/name"), paths::text(new, "/metadata/namespace"));
        if given != name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({name})"
            )));
        }
        let kind = paths::text(new, "/kind");
        if kind != self.resource.kind && self.resource.builtin().is_some() {
            let why = format!(
                "{kind} in version \"{}\" cannot be handled as a {}",
                self.resource.version, self.resource.kind
            );
            return Err(super::refuse_patch(new, &why));
        }
        if home != namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        Ok(())
    }

    fn apply(
        &mut self,
        namespace: &str,
        name: &str,
        config: &Value,
        part: Part,
    ) -> Result<(Arc<Value>, bool), Failure> {
        self.check_config(name, config)?;
        self.check_types(name, config)?;
        let mut config = config.clone();
        if part == Part::Main && self.resource.status {
            paths::set(&mut config, &["status"], Value::Null);
        }
        let stored = match self.present(namespace, name) {
            Ok(stored) => stored,
            Err(failure) if part == Part::Status => return Err(failure),
            Err(_) => {
                // An apply that creates has nothing to be compared with.
                paths::set(&mut config, &["metadata", "resourceVersion"], Value::Null);
                return self.create_applied(namespace, config).map(|object| (object, true));
            }
        };
        if part == Part::Status {
            let metadata = config.get("metadata").cloned().unwrap_or_default();
            let only = serde_json::json!({"apiVersion": config.get("apiVersion"), "kind": config.get("kind"), "status": config.get("status")});
            config = only;
            // The version, if one is given, is a precondition also here.
            let version = metadata.get("resourceVersion").cloned().unwrap_or_default();
            paths::set(&mut config, &["metadata", "resourceVersion"], version);
        }
        let resource = Arc::clone(&self.resource);
        let live = resource.present(&stored);
        let manager = self.manager(true, part);
        let applied = apply::apply(&live, &config, &manager, self.options.force, Types(&resource));
        if !applied.conflicts.is_empty() {
            return Err(Failure::apply_conflict(&applied.conflicts));
        }
        Ok((self.update(&stored, applied.object, part, Record::Applied)?, false))
    }

    fn check_config(&self, name: &str, config: &Value) -> Result<(), Failure> {
        if !self.options.named_manager {
            let error = FieldError::required("fieldManager", "is required for apply patch");
            return Err(Failure::invalid("PatchOptions", "meta.k8s.io", "", &[error]));
        }
        let (version, kind) = (paths::text(config, "/apiVersion"), paths::text(config, "/kind"));
        if version != self.resource.api_version() || kind != self.resource.kind {
            // The core group has no name, so the version stands behind an empty one.
            let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
            return Err(Failure::bad_request(format!("invalid object type: {version}, Kind={kind}")));
        }
        if !config.pointer("/metadata/managedFields").is_none_or(Value::is_null) {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        let given = paths::text(config, "/metadata/name");
        if given.is_empty() {
            let why = format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
            return Err(Failure::bad_request(why));
        }
        if given != name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({name})"
            )));
        }
        Ok(())
    }
}

impl Desk<'_> {
    /// An apply must be able to tell the fields of its configuration apart: no unknown ones, no element twice.
    fn check_types(&self, name: &str, config: &Value) -> Result<(), Failure> {
        let (resource, namespace) = (&self.resource, paths::text(config, "/metadata/namespace"));
        let version = resource.api_version();
        let version = if version.contains('/') { version } else { format!("/{version}") };
        let refuse = |texts: &[String]| {
            let texts = match texts {
                [one] => one.clone(),
                many => format!("errors:\n  {}", many.join("\n  ")),
            };
            let lead =
                format!("failed to create typed patch object ({namespace}/{name}; {version}, Kind={})", resource.kind);
            Err(Failure::unknown(format!("{lead}: {texts}")))
        };
        let unknown = match self.unknown_fields(config) {
            Ok(unknown) => unknown,
            Err(why) => return refuse(&[why.to_string()]),
        };
        if !unknown.is_empty() {
            let texts: Vec<_> = unknown.iter().map(|path| format!(".{path}: field not declared in schema")).collect();
            return refuse(&texts);
        }
        match apply::doubled(config, Types(resource)) {
            Some(text) => refuse(&[text]),
            None => Ok(()),
        }
    }

    fn unknown_fields(&self, config: &Value) -> Result<Vec<String>, serde_json::Error> {
        match &self.resource.origin {
            Origin::BuiltIn(one) => {
                let mut config = config.clone();
                crate::defaults::quantities(&mut config, one.plural);
                Ok(super::missing_from(&config, &(one.decode)(config.clone())?))
            }
            Origin::Custom(custom) => Ok(custom.schema.prune(&mut config.clone())),
        }
    }
}

fn refuse_json(why: &json::JsonPatchError) -> Failure {
    match why {
        json::JsonPatchError::Malformed => Failure::bad_request(format!("error decoding patch: {why}")),
        json::JsonPatchError::Refused(_) => Failure::rejected(),
    }
}
