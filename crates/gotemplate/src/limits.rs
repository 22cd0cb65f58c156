//! What a template may cost. Go bounds little; here a template from a user must not exhaust stack, memory or time.
//!
//! All are far above what queries need, and each has an error text of its own.

/// Longest template, in bytes; objects of Kubernetes are hardly larger.
pub(crate) const MAX_TEMPLATE: usize = 1 << 20;

/// Deepest nesting of blocks and parentheses together while parsing.
pub(crate) const MAX_NESTING: usize = 50;

/// Deepest nesting of lists and pipelines while executing at which a template may still be called.
pub(crate) const MAX_DEPTH: usize = 250;

/// Longest output, and longest string made on the way, in bytes.
pub(crate) const MAX_OUTPUT: usize = 1 << 20;

/// Most work: each node, command and byte of a string made or compared is one.
pub(crate) const MAX_WORK: usize = 1 << 22;
