//! Patching an object, in any of the four ways.

use super::{Desk, Part};
use crate::failure::Failure;
use crate::patch::{json, merge};
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

const ACCEPTED: [&str; 5] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/apply-patch+cbor",
];

impl PatchKind {
    /// Reads a content type.
    pub(crate) fn of(content_type: &str) -> Result<Self, Failure> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(Failure::unsupported_media_type(&ACCEPTED)),
        }
    }

    /// Changes a value that has no kind of its own, e.g. a `Scale`.
    pub(crate) fn apply_to_plain(self, target: &mut Value, patch: &Value) -> Result<(), Failure> {
        match self {
            Self::Json => json::apply(target, patch).map_err(|why| Failure::bad_request(why.to_string())),
            Self::Merge | Self::Strategic | Self::Apply => {
                merge::merge(target, patch);
                Ok(())
            }
        }
    }
}

impl Desk<'_> {
    /// Patches an object or its status. The answer is the stored object, and whether it was created.
    pub(crate) fn patch(&mut self, namespace: &str, name: &str, kind: PatchKind, patch: &Value, part: Part) -> Result<(Arc<Value>, bool), Failure> {
        let stored = match self.present(namespace, name) {
            Ok(stored) => stored,
            Err(_) if kind == PatchKind::Apply => return self.create(namespace, patch.clone()).map(|object| (object, true)),
            Err(failure) => return Err(failure),
        };
        let mut new = self.resource.present(&stored).into_owned();
        match kind {
            PatchKind::Json => json::apply(&mut new, patch).map_err(|why| self.refuse_json(&why))?,
            PatchKind::Merge | PatchKind::Apply => merge::merge(&mut new, patch),
            PatchKind::Strategic => merge::merge(&mut new, patch),
        }
        Ok((self.update(&stored, new, part)?, false))
    }

    fn refuse_json(&self, why: &json::JsonPatchError) -> Failure {
        match why {
            json::JsonPatchError::Malformed(text) => Failure::bad_request(text.clone()),
            json::JsonPatchError::Refused(text) => Failure {
                code: 422,
                reason: "Invalid",
                message: format!("the server rejected our request due to an error in our request: {text}"),
                details: None,
            },
        }
    }
}
