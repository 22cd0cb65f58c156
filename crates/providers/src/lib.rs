//! What the project knows of foreign kinds and services: one file each, one list per family.
//!
//! | family | a file is | list |
//! | --- | --- | --- |
//! | [`targets`] | a kind of workload | [`targets::TARGETS`] |
//! | [`scalers`] | a kind of autoscaler | [`scalers::SCALERS`] |
//! | [`routers`] | a way of splitting traffic | [`routers::ROUTERS`] |
//! | [`observers`] | the built-in queries of a router | [`observers::OBSERVERS`] |
//! | [`metrics`] | a source of metrics | [`metrics::SOURCES`] |
//! | [`alerts`] | a receiver of alerts | [`alerts::RECEIVERS`] |
//!
//! All of it is pure: live objects in, wanted objects out; requests to send out, responses in. Nothing here knows the phase of a rollout.

#![deny(clippy::disallowed_methods)]

pub mod access;
pub mod alerts;
pub mod hooks;
pub mod http;
pub mod metadata;
pub mod metrics;
pub mod observers;
pub mod routers;
pub mod scalers;
pub mod services;
pub mod targets;

#[cfg(test)]
mod testing;
