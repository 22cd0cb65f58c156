//! What a provider does with which kinds. Watches, RBAC rules and the start-up check derive from these lists.

use objects::Kind;

/// A kind and what is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The kind.
    pub kind: &'static Kind,
    /// The verbs, as in an RBAC rule.
    pub verbs: &'static [&'static str],
}

/// Read and watched.
pub const READ: &[&str] = &["get", "list", "watch"];
/// Read, watched, created and patched.
pub const WRITE: &[&str] = &["get", "list", "watch", "create", "patch"];
/// Read, watched and patched, never created.
pub const PATCH: &[&str] = &["get", "list", "watch", "patch"];
/// Read, watched, created, patched and deleted.
pub const OWN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
