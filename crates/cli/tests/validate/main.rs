//! `kubectl-flagger validate` as a user meets it: examples broken in one place each, with the lines that say what is wrong, where, and what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod analysis;
mod breaking;
mod mutants;
mod outputs;
mod references;
mod schema;
mod world;

use breaking::{Broken, validate};

/// Exactly these lines, and this exit code.
#[track_caller]
fn assert_findings(broken: &Broken, code: i32, lines: &[&str]) {
    let outcome = validate(broken, &[]);
    let found: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(found, lines);
    assert_eq!(outcome.code, code, "{}", outcome.stderr);
}
