//! The four kinds of patches, each a function of the present object and the patch.

pub(crate) mod json;
pub(crate) mod merge;
