//! Broken decisions.
