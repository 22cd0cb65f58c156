//! Every example of the repository is validated, rendered, and rehearsed twice: once it is promoted, once it is rolled back.
//!
//! The table of examples is the file system: a folder in `examples/` is one, or, where it has a folder `app`, each manifest beside that is one, together
//! with what is in `app`. A new folder is covered by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The folder of one example and the variant of it, as the arguments that name its manifests.
#[derive(Debug, Clone)]
struct Example {
    paths: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn all() -> Vec<Example> {
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let mut examples = Vec::new();
    for folder in sorted(&root().join("examples")).into_iter().filter(|path| path.is_dir()) {
        let app = folder.join("app");
        if !app.is_dir() {
            examples.push(Example { paths: vec![relative(&folder)] });
            continue;
        }
        let is_manifest = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
        for variant in sorted(&folder).into_iter().filter(is_manifest) {
            examples.push(Example { paths: vec![relative(&app), relative(&variant)] });
        }
    }
    examples
}

/// Runs a command on an example, with the code that it ends with, and what it prints.
fn run(command: &str, example: &Example, arguments: &[&str]) -> (i32, String, String) {
    let files = example.paths.iter().flat_map(|path| ["-f", path]);
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-flagger"))
        .arg(command)
        .args(files)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Runs a check on all examples, a few at a time, and tells all that fail.
fn for_each(check: impl Fn(&Example) -> Result<(), String> + Sync) {
    let examples = all();
    assert!(examples.len() >= 12, "{examples:?}");
    let (queue, failures) = (Mutex::new(examples), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(example) = queue.lock().unwrap().pop() else { return };
                    if let Err(why) = check(&example) {
                        failures.lock().unwrap().push(format!("{:?}: {why}", example.paths));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn rehearsed(example: &Example, arguments: &[&str]) -> Result<Value, String> {
    let (code, stdout, stderr) = run("rehearse", example, &[&["-o", "json"], arguments].concat());
    if code > 1 {
        return Err(format!("rehearse ends with {code}: {stderr}"));
    }
    let report: Value = serde_json::from_str(&stdout).map_err(|error| format!("{error}: {stdout}"))?;
    let promoted = report["outcome"] == "promoted";
    if promoted == (code == 0) { Ok(report) } else { Err(format!("rehearse ends with {code}: {}", report["outcome"])) }
}

#[test]
fn every_example_is_valid() {
    for_each(|example| {
        let (code, stdout, stderr) = run("validate", example, &["--complete"]);
        let clean = code == 0 && !stdout.contains(": error: ");
        if clean { Ok(()) } else { Err(format!("{code}: {stdout}{stderr}")) }
    });
}

/// What is rendered can be rendered: the same Canary over its own objects is as valid as before, and none of them is made twice.
#[test]
fn every_example_is_rendered() {
    for_each(|example| {
        for phase in ["initialized", "step", "promoted"] {
            let (code, stdout, stderr) = run("render", example, &["--phase", phase, "-o", "json"]);
            if code != 0 {
                return Err(format!("{phase}: {code}: {stderr}"));
            }
            let list: Value = serde_json::from_str(&stdout).map_err(|error| error.to_string())?;
            let names: Vec<String> = list["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|object| {
                    format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
                })
                .collect();
            let mut unique = names.clone();
            unique.sort();
            unique.dedup();
            let suffixes = ["Deployment", "Service"].map(|kind| {
                names.iter().any(|name| name.starts_with(&format!("{kind} ")) && name.ends_with("-primary"))
            });
            if unique.len() != names.len() || suffixes != [true, true] {
                return Err(format!("{phase}: {names:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn every_example_is_promoted_in_a_rehearsal() {
    for_each(|example| {
        let report = rehearsed(example, &[])?;
        if report["outcome"] != "promoted" {
            return Err(format!("{}", report["canaries"]));
        }
        // Somebody must have said that the release is good: a metric or a hook.
        let asked = |list: &str| report["canaries"][0][list].as_array().is_some_and(|list| !list.is_empty());
        if asked("metrics") || asked("hooks") { Ok(()) } else { Err("nothing was asked".to_owned()) }
    });
}

/// The Canary of an example.
fn canary(example: &Example) -> Value {
    let path = root().join(example.paths.last().unwrap());
    let path = if path.is_dir() { path.join("canary.yaml") } else { path };
    serde_yaml_ng::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

/// The first metric has a value that does not pass; without metrics, the first hook of the rounds says no.
#[test]
fn every_example_is_rolled_back_in_a_rehearsal() {
    for_each(|example| {
        let analysis = canary(example)["spec"]["analysis"].clone();
        let arguments = if let Some(metric) = analysis["metrics"].get(0) {
            let bad = if metric["thresholdRange"]["min"].is_null() { "1000000" } else { "0" };
            ["--metric".to_owned(), format!("{}={bad}", metric["name"].as_str().unwrap())]
        } else {
            let hooks = analysis["webhooks"].as_array().unwrap();
            let hook = hooks.iter().find(|hook| hook["type"].is_null()).expect("a hook of the rounds");
            ["--hook".to_owned(), format!("{}=500", hook["name"].as_str().unwrap())]
        };
        let report = rehearsed(example, &[&arguments[0], &arguments[1]])?;
        if report["outcome"] == "rolledBack" { Ok(()) } else { Err(format!("{arguments:?}: {}", report["canaries"])) }
    });
}

/// Commands in READMEs do what is said behind them: each is run, and must end well, or, where it says "rolled back", with 1.
#[test]
fn every_readme_is_true() {
    for folder in sorted(&root().join("examples")).into_iter().filter(|path| path.is_dir()) {
        let readme = fs::read_to_string(folder.join("README.md")).unwrap_or_else(|_| panic!("{}", folder.display()));
        let commands: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("kubectl flagger ")).collect();
        for needed in ["rehearse", "render", "validate"] {
            assert!(commands.iter().any(|command| command.starts_with(needed)), "{}: {needed}", folder.display());
        }
        assert!(commands.iter().any(|command| command.ends_with("# rolled back")), "{}", folder.display());
        for line in commands {
            let (command, outcome) = line.split_once(" # ").unwrap_or((line, ""));
            // Rehearsals with nothing but files are another test.
            if command.starts_with("rehearse") && !command.contains(" --") {
                continue;
            }
            let program = env!("CARGO_BIN_EXE_kubectl-flagger");
            let output = Command::new(program).args(command.split_whitespace()).current_dir(root()).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(i32::from(outcome == "rolled back")), "{line}: {stderr}");
        }
    }
}
