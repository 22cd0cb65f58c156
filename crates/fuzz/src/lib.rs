//! Throws broken input at everything that reads foreign bytes: `cargo run -p fuzz -- --seconds 60`.
//!
//! [`targets`] lists the readers; [`mutate`] and [`structure`] break valid inputs. A process of its own ([`worker`]) reads them, so that a stack that overflows
//! and memory that runs out are seen too; [`supervise`] makes the input again that it died of, [`shrink`]s it, and says how to repeat it.
//! Deterministic: an input follows from the seed, the target's name and its number. No coverage: what counts is inputs a second.

pub mod mutate;
pub mod odd;
pub mod rng;
pub mod shrink;
pub mod structure;
pub mod supervise;
pub mod targets;
pub mod worker;
