//! Licences of everything that is linked in: each must allow what the Apache License 2.0 allows.
//!
//! Asks `cargo metadata` offline. Advisories need a database from outside, which CI may not have: `cargo deny check advisories` does that where it can.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::process::Command;

/// Licences, by their SPDX names, of which one must be among the alternatives of each crate.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
];

/// Fails with the crates whose licence is not allowed.
pub(crate) fn check() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--locked"])
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata.get("packages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let refused: Vec<String> = packages.iter().filter_map(refusal).collect();
    if !refused.is_empty() {
        bail!("licences that are not allowed:\n{}", refused.join("\n"));
    }
    println!("the licences of {} crates are allowed", packages.len());
    Ok(())
}

fn refusal(package: &Value) -> Option<String> {
    let name = package.get("name").and_then(Value::as_str).unwrap_or_default();
    let licence = package.get("license").and_then(Value::as_str).unwrap_or_default();
    (!is_allowed(licence)).then(|| format!("  {name}: {}", if licence.is_empty() { "none given" } else { licence }))
}

/// Every part joined by `AND` must have an allowed alternative; `/` is the old way of writing `OR`.
fn is_allowed(licence: &str) -> bool {
    let parts = |text: &str| text.replace(['(', ')'], "");
    !licence.is_empty()
        && licence.split(" AND ").all(|part| {
            parts(part).split(" OR ").flat_map(|one| one.split('/')).any(|one| ALLOWED.contains(&one.trim()))
        })
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn one_alternative_of_every_part_must_be_allowed() {
        assert!(
            is_allowed("MIT OR Apache-2.0")
                && is_allowed("MIT/Apache-2.0")
                && is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0")
        );
        assert!(!is_allowed("") && !is_allowed("GPL-3.0") && !is_allowed("MIT AND GPL-3.0"));
    }
}
