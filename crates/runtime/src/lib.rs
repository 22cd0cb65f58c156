//! The shell: watches, index, queue, observe, decide, render, write.
//!
//! A loop without opinions. It keeps facts (`world`, fed by `watch`), looks at one Canary at a time (`keeper`), asks what the decision asks for
//! (`questions`), carries out what it plans (`actions`), and tells what happened (`notify`). It never sees a weight.

#![deny(clippy::disallowed_methods)]

pub mod clock;
pub mod cluster;
pub mod lease;
pub mod telemetry;
pub mod outbound;
mod actions;
mod digest;
mod events;
mod keeper;
mod notify;
mod operator;
mod questions;
mod view;
mod queue;
mod repairs;
mod store;
mod watch;
mod world;

pub use notify::Receivers;
pub use operator::{Config, Operator};
pub use queue::Key;
pub use watch::Clusters;
