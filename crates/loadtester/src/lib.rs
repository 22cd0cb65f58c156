//! The binary `loadtester` as a library: what webhooks of Canaries call to make load, run checks, and ask gates.
//!
//! `main` only assembles. Source: load tester notes.

#![deny(clippy::disallowed_methods)]

pub mod api;
pub mod body;
pub mod descendants;
pub mod flags;
pub mod gates;
pub mod generators;
pub mod output;
pub mod payload;
pub mod process;
pub mod runner;
pub mod startup;
pub mod tasks;
pub mod telemetry;
pub mod words;
