//! Foreign objects as JSON that belongs to somebody else: references, snapshot, named paths, diff, no-op detection, the spec hash.
//!
//! Pure: no I/O, no clock. Providers read a [`Snapshot`] and render [`Write`]s; the shell fills the one and carries the other out.

#![deny(clippy::disallowed_methods)]

pub mod checksum;
pub mod diff;
pub mod hash;
pub mod kind;
pub mod paths;
pub mod snapshot;
pub mod write;

pub use kind::{Home, Kind, ObjectRef};
pub use snapshot::{Absent, ConfigDigest, Snapshot};
pub use write::{Change, Write};
