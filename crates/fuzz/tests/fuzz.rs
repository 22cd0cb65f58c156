//! The program as it is called: all targets for a moment, and proof that every way to fail is found, shrunk, written and can be repeated.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn fuzz(arguments: &[&str], out: &str) -> (Output, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_fuzz")).args(arguments).arg("--out").arg(folder(out)).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

/// What once failed, what is valid, and some broken inputs for every target. A minute of it is in CI.
#[test]
fn every_target_reads_broken_input() {
    let (output, text) = fuzz(&["--seed", "1", "--inputs", "200", "--seconds", "8"], "all");
    assert!(output.status.success(), "{text}");
}

/// Runs a target that fails on purpose; the text of the report and the shrunk input.
fn trouble(name: &str) -> (String, String) {
    drop(std::fs::remove_dir_all(folder(name)));
    let (output, text) = fuzz(&["--target", name, "--seed", "1", "--inputs", "5000"], name);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let file = text.split("--target ").nth(1).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let (again, told) = fuzz(&["--target", name, &file], name);
    assert_eq!(again.status.code(), Some(1), "it does not fail again: {told}");
    (text, std::fs::read_to_string(file).unwrap())
}

#[test]
fn a_panic_is_found_and_shrunk() {
    let (text, input) = trouble("trouble-panic");
    assert!(text.contains("Panic") && text.contains("a port that is none"), "{text}");
    assert!(input.len() < 30, "{input}");
}

#[test]
fn a_broken_law_is_found_and_shrunk() {
    let (text, input) = trouble("trouble-law");
    assert!(text.contains("Law: labels without a name"), "{text}");
    assert_eq!(input, r#"{"labels":{}}"#);
}

#[test]
fn a_stack_that_overflows_is_found_and_shrunk() {
    let (text, input) = trouble("trouble-stack");
    assert!(text.contains("Crash"), "{text}");
    assert!(input.contains("null") && input.len() < 20, "{input}");
}

#[test]
fn memory_without_bounds_is_found() {
    let (text, input) = trouble("trouble-memory");
    assert!(text.contains("Memory"), "{text}");
    assert!(input.contains('-'), "{input}");
}

#[test]
fn what_never_ends_is_found() {
    let (text, input) = trouble("trouble-slow");
    assert!(text.contains("Slow"), "{text}");
    assert!(input.contains("[]"), "{input}");
}

#[test]
fn mistakes_of_the_caller_are_told() {
    for (arguments, said) in [
        (["--target", "nothing"].as_slice(), "there is no target `nothing`; --list lists the names"),
        (&["file"], "say with --target NAME what is to read the file"),
        (&["--target", "canary", "/does/not/exist"], "reading /does/not/exist"),
    ] {
        let (output, text) = fuzz(arguments, "mistakes");
        assert!(!output.status.success() && text.contains(said), "{text}");
    }
}
