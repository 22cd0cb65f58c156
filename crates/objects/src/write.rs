//! Changes to objects, as providers render them and the shell sends them.
//!
//! A write exists only where something differs: [`Write::update`] compares and yields nothing when the live object is already as wanted.

use crate::diff::merge_patch;
use crate::kind::ObjectRef;
use serde_json::Value;

/// What to do to the object.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Create this object.
    Create(Value),
    /// A JSON merge patch (RFC 7386) on the main resource. `version`: the `resourceVersion` it was computed from; the server refuses it when the
    /// object has changed since. `None`: apply it to whatever is there.
    Merge {
        /// The patch.
        patch: Value,
        /// Precondition.
        version: Option<String>,
    },
    /// Create or update a ConfigMap or Secret with the content (`data`, `binaryData`, and a Secret's `type`) of another one, which the shell fetches
    /// when it carries the write out. `envelope` is the copy without content: `apiVersion`, `kind`, `metadata`.
    CopyContent {
        /// The config whose content is copied.
        from: ObjectRef,
        /// The copy without content.
        envelope: Value,
        /// True if the copy exists (then it is replaced), false if it must be created.
        exists: bool,
    },
    /// Delete the object.
    Delete,
}

/// One change to one object, with the texts for its failure and its success.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// The object.
    pub target: ObjectRef,
    /// What to do to it.
    pub change: Change,
    /// What stands before the API server's message when the write fails, with its separator: `VirtualService podinfo.test update error: `.
    pub failure: String,
    /// The line for the log when it was done, if users know one.
    pub success: Option<String>,
}

impl Write {
    /// Creates `object`, which carries `apiVersion`, `kind` and `metadata`.
    pub fn create(target: ObjectRef, object: Value, failure: impl Into<String>) -> Self {
        Self { target, change: Change::Create(object), failure: failure.into(), success: None }
    }

    /// Brings `live` to `wanted` by a merge patch that carries only what differs; `None` when nothing does (absent, null, empty list and empty map are
    /// equal). The patch is refused by the server if `live` is no longer the current version.
    pub fn update(target: ObjectRef, live: &Value, wanted: &Value, failure: impl Into<String>) -> Option<Self> {
        let patch = merge_patch(live, wanted)?;
        let version = live.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned);
        Some(Self { target, change: Change::Merge { patch, version }, failure: failure.into(), success: None })
    }

    /// A merge patch without precondition.
    pub fn patch(target: ObjectRef, patch: Value, failure: impl Into<String>) -> Self {
        Self { target, change: Change::Merge { patch, version: None }, failure: failure.into(), success: None }
    }

    /// Deletes the object.
    pub fn delete(target: ObjectRef, failure: impl Into<String>) -> Self {
        Self { target, change: Change::Delete, failure: failure.into(), success: None }
    }

    /// The same write with a line for the log.
    #[must_use]
    pub fn logging(mut self, line: impl Into<String>) -> Self {
        self.success = Some(line.into());
        self
    }
}
