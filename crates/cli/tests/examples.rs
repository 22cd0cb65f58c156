//! Every example of the repository is validated, rendered, and rehearsed twice: once it is promoted, once it is rolled back.
//!
//! The table of examples is the file system: a folder in `examples/` is one, or, where it has a folder `app`, each manifest beside that is one, together
//! with what is in `app`; each Canary in it by itself. A new folder is covered by itself. Kustomizations need kubectl: without it their examples are left
//! out with a word, unless `REQUIRE_KUBECTL` is set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The folder of one example and the variant of it, as the arguments that name its manifests; and one of its Canaries.
#[derive(Debug, Clone)]
struct Example {
    paths: Vec<String>,
    canary: Value,
}

impl Example {
    /// The Canary, as `--canary` names it.
    fn name(&self) -> &str {
        self.canary["metadata"]["name"].as_str().unwrap()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn has_kubectl() -> bool {
    let found =
        Command::new("kubectl").args(["version", "--client"]).output().is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os("REQUIRE_KUBECTL").is_none(), "kubectl is missing, and REQUIRE_KUBECTL is set");
    found
}

/// Whether kubectl has to build a kustomization somewhere in this file or folder.
fn is_kustomized(path: &Path) -> bool {
    path.is_dir() && (path.join("kustomization.yaml").is_file() || sorted(path).iter().any(|path| is_kustomized(path)))
}

/// All manifests of a file or folder, kustomizations built.
fn manifests(path: &Path) -> Vec<Value> {
    let text = if !path.is_dir() {
        fs::read_to_string(path).unwrap()
    } else if path.join("kustomization.yaml").is_file() {
        let output = Command::new("kubectl").arg("kustomize").arg(path).output().unwrap();
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    } else {
        let wanted = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|extension| extension == "yaml");
        return sorted(path).iter().filter(|path| wanted(path)).flat_map(|path| manifests(path)).collect();
    };
    lab::read_yaml(&text).unwrap()
}

/// The paths of all examples and of their variants.
fn variants() -> Vec<Vec<PathBuf>> {
    let mut variants = Vec::new();
    for folder in sorted(&root().join("examples")).into_iter().filter(|path| path.is_dir()) {
        let app = folder.join("app");
        if !app.is_dir() {
            variants.push(vec![folder]);
            continue;
        }
        let is_manifest = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
        variants.extend(sorted(&folder).into_iter().filter(is_manifest).map(|variant| vec![app.clone(), variant]));
    }
    variants
}

fn all() -> Vec<Example> {
    let relative = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let (mut variants, kubectl) = (variants(), has_kubectl());
    if !kubectl {
        let _ = writeln!(std::io::stderr(), "NOT TESTED: examples with kustomizations; kubectl is missing");
        variants.retain(|paths| !paths.iter().any(|path| is_kustomized(path)));
    }
    let of = |paths: Vec<PathBuf>| {
        let canaries = paths.iter().flat_map(|path| manifests(path)).filter(|object| object["kind"] == "Canary");
        canaries.map(|canary| Example { paths: paths.iter().map(relative).collect(), canary }).collect::<Vec<_>>()
    };
    let examples: Vec<Example> = variants.into_iter().flat_map(of).collect();
    assert!(examples.len() >= if kubectl { 18 } else { 7 }, "{examples:?}");
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
    let (queue, failures) = (Mutex::new(all()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(example) = queue.lock().unwrap().pop() else { return };
                    if let Err(why) = check(&example) {
                        failures.lock().unwrap().push(format!("{:?} {}: {why}", example.paths, example.name()));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn rehearsed(example: &Example, arguments: &[&str]) -> Result<Value, String> {
    let (code, stdout, stderr) =
        run("rehearse", example, &[&["-o", "json", "--canary", example.name()], arguments].concat());
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
            let (code, stdout, stderr) =
                run("render", example, &["--canary", example.name(), "--phase", phase, "-o", "json"]);
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

/// The first metric has a value that does not pass; without metrics, the first hook of the rounds says no.
#[test]
fn every_example_is_rolled_back_in_a_rehearsal() {
    for_each(|example| {
        let analysis = example.canary["spec"]["analysis"].clone();
        let arguments = if let Some(metric) = analysis["metrics"].get(0) {
            let bad = if metric["thresholdRange"]["min"].is_null() { "1000000" } else { "0" };
            ["--metric".to_owned(), format!("{}={bad}", metric["name"].as_str().unwrap())]
        } else {
            let hooks = analysis["webhooks"].as_array().unwrap();
            let hook = hooks
                .iter()
                .find(|hook| hook["type"].is_null() || hook["type"] == "rollout")
                .expect("a hook of the rounds");
            ["--hook".to_owned(), format!("{}=500", hook["name"].as_str().unwrap())]
        };
        let report = rehearsed(example, &[&arguments[0], &arguments[1]])?;
        if report["outcome"] == "rolledBack" { Ok(()) } else { Err(format!("{arguments:?}: {}", report["canaries"])) }
    });
}

/// Commands in READMEs do what is said behind them: each is run, and must end well, or, where it says "rolled back", with 1.
#[test]
fn every_readme_is_true() {
    let kubectl = has_kubectl();
    for folder in sorted(&root().join("examples")).into_iter().filter(|path| path.is_dir()) {
        let readme = fs::read_to_string(folder.join("README.md")).unwrap_or_else(|_| panic!("{}", folder.display()));
        let commands: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("kubectl flagger ")).collect();
        for needed in ["rehearse", "render", "validate"] {
            assert!(commands.iter().any(|command| command.starts_with(needed)), "{}: {needed}", folder.display());
        }
        assert!(commands.iter().any(|command| command.ends_with("# rolled back")), "{}", folder.display());
        if !kubectl && is_kustomized(&folder) {
            continue;
        }
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
