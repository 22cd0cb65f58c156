//! The binary `flagger` as a library: command line, HTTP pages, connections, start-up.
//!
//! `main` only assembles. Nothing here knows what a Canary is; that is the runtime's business.

pub mod clusters;
pub mod deadline;
#[cfg(test)]
mod fake;
pub mod flags;
pub mod limit;
pub mod server;
pub mod startup;
pub mod version;
