//! The shell: watches, index, queue, observe, decide, render, write.
//!
//! A loop without opinions. It keeps facts (`world`, fed by `watch`), looks at one Canary at a time (`keeper`), asks what the decision asks for
//! (`questions`), carries out what it plans (`actions`), and tells what happened (`notify`). It never sees a weight.

#![deny(clippy::disallowed_methods)]

mod actions;
pub mod cluster;
mod digest;
mod events;
mod keeper;
pub mod lease;
mod notify;
mod operator;
pub mod permissions;
mod questions;
mod queue;
mod repairs;
mod rivals;
mod slim;
mod store;
pub mod telemetry;
mod view;
mod watch;
mod world;

pub use notify::Receivers;
pub use operator::{Census, Config, Operator};
pub use program::{clock, outbound};
pub use queue::Key;
pub use watch::Clusters;
