//! Generated files and tidy checks: `cargo xtask COMMAND [--check]`.
//!
//! A command writes files that follow from the code; with `--check` it writes nothing and fails where they differ.

mod dashboards;
mod docs;
mod licences;
mod manifests;
mod reference;
mod values;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// One generated file: where it goes, and what belongs into it.
struct Generated {
    path: PathBuf,
    content: String,
}

/// What a command generates.
type Command = fn() -> Result<Vec<Generated>>;

/// Alphabetical.
const COMMANDS: &[(&str, &str, Command)] = &[
    ("crds", "the definitions, from the wire types", manifests::crds),
    ("dashboards", "charts/grafana/dashboards", dashboards::dashboards),
    ("docs", "docs/chart-values.md, docs/deviations.md, docs/flags.md and docs/reference.md", docs::docs),
    ("manifests", "accounts, permissions, Deployments, from the crate install", manifests::manifests),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let (name, check) = match arguments {
        [all] if all == "check" => return check_all(),
        [name] => (name, false),
        [name, flag] if flag == "--check" => (name, true),
        _ => bail!("usage: cargo xtask COMMAND [--check]\n{}", help()),
    };
    let Some((_, _, generate)) = COMMANDS.iter().find(|(known, ..)| known == name) else {
        bail!("unknown command `{name}`\n{}", help());
    };
    for file in generate()? {
        if check { compare(&file)? } else { write(&file)? }
    }
    Ok(())
}

/// Everything that CI checks: no generated file is stale, every licence is allowed.
fn check_all() -> Result<()> {
    for (_, _, generate) in COMMANDS {
        for file in generate()? {
            compare(&file)?;
            println!("{} is up to date", file.path.display());
        }
    }
    licences::check()
}

fn help() -> String {
    let commands: Vec<String> = COMMANDS.iter().map(|(name, what, _)| format!("  {name}   {what}")).collect();
    format!("{}\n  check  all of them, and the licences of everything that is linked in", commands.join("\n"))
}

fn write(file: &Generated) -> Result<()> {
    let path = root().join(&file.path);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    }
    std::fs::write(&path, &file.content).with_context(|| format!("writing {}", path.display()))
}

fn compare(file: &Generated) -> Result<()> {
    let path = root().join(&file.path);
    let present = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    if present != file.content {
        bail!("{} is stale: run its `cargo xtask` command without --check", file.path.display());
    }
    Ok(())
}

/// The checkout that this program was built from.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
