//! The four kinds of patches, each a function of the present object and the patch, and what they need to know about lists.

pub(crate) mod apply;
pub(crate) mod fields;
pub(crate) mod json;
pub(crate) mod merge;
pub(crate) mod strategic;
pub(crate) mod types;
