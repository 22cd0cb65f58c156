//! What every program of ours needs around its own business: the command line's grammar, the log, signals, HTTP in and out, and the clock.
//!
//! Nothing here knows what a program is for.

#![deny(clippy::disallowed_methods)]

pub mod clock;
pub mod goflag;
pub mod health;
pub mod launch;
pub mod logging;
pub mod outbound;
pub mod server;
pub mod signals;
