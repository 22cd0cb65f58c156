//! Scenarios as data: the requests of `tests/differential/*.yaml` and the answers of `tests/differential/expected/*.yaml`.
//!
//! Reads and writes the files, sends nothing. The format is described in `tests/differential/README.md`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One file of scenarios.
#[derive(Debug, Clone)]
pub struct File {
    /// File name without its ending.
    pub name: String,
    /// The scenarios, in the order of the file.
    pub scenarios: Vec<Scenario>,
}

/// Some requests in a namespace of their own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Unique in all files; also the name of its namespace where answers are shown.
    pub name: String,
    /// The requests.
    pub steps: Vec<Step>,
    /// Regular expressions whose matches are replaced in all answers: names that the server makes up.
    #[serde(default)]
    pub replace: BTreeMap<String, String>,
}

/// One request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `METHOD PATH`; `MERGE`, `JSON`, `STRATEGIC` and `APPLY` are the four ways of `PATCH`.
    pub send: String,
    /// JSON, or text that is sent as it is.
    pub body: Option<Value>,
    /// Headers beside or instead of the usual ones.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Variables for later requests: where in the answer's body their value stands.
    #[serde(default)]
    pub keep: BTreeMap<String, String>,
    /// The request is repeated until its answer has this status, or these values by JSON pointer (null: absent).
    pub until: Option<Until>,
    /// Parts of the answer that are not compared, by JSON pointer (`*`: each), and why.
    #[serde(default)]
    pub mask: BTreeMap<String, String>,
    /// Why the lab's answer has another body than the real server's; its status is compared.
    pub texts: Option<String>,
    /// Why the lab's answer is another one; it is not compared.
    pub lab: Option<String>,
}

/// What a repeated request waits for.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Until {
    /// An HTTP status.
    Status(u16),
    /// Values in the body.
    Values(BTreeMap<String, Value>),
}

/// The answer to one request, masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The request, as in the scenario.
    pub to: String,
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, where it is not `application/json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
    /// `Warning` headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The body: JSON, the events of a watch as a list, or text.
    pub body: Value,
}

/// The answers by scenario.
pub type Answers = BTreeMap<String, Vec<Answer>>;

/// `tests/differential` of the checkout.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/differential")
}

/// Reads the files of that names, or all if there are none, in alphabetical order.
pub fn read(names: &[String]) -> Result<Vec<File>, String> {
    let listing = std::fs::read_dir(folder()).map_err(|why| format!("{}: {why}", folder().display()))?;
    let mut paths: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    paths.sort();
    let files = paths.iter().map(|path| read_file(path)).collect::<Result<Vec<_>, _>>()?;
    if let Some(unknown) = names.iter().find(|name| !files.iter().any(|file| file.name == **name)) {
        return Err(format!("there is no file {unknown}: name them without .yaml"));
    }
    Ok(files.into_iter().filter(|file| names.is_empty() || names.contains(&file.name)).collect())
}

fn read_file(path: &Path) -> Result<File, String> {
    let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|why| fail(&why))?;
    let mut yaml: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).map_err(|why| fail(&why))?;
    yaml.apply_merge().map_err(|why| fail(&why))?;
    let scenarios = serde_yaml_ng::from_value(yaml).map_err(|why| fail(&why))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(File { name, scenarios })
}

fn expected_path(file: &str) -> PathBuf {
    folder().join("expected").join(format!("{file}.yaml"))
}

/// The recorded answers of a file.
pub fn expected(file: &str) -> Result<Answers, String> {
    let path = expected_path(file);
    let text = std::fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    serde_yaml_ng::from_str(&text).map_err(|why| format!("{}: {why}", path.display()))
}

/// Records the answers of a file.
pub fn write_expected(file: &str, answers: &Answers) -> Result<(), String> {
    let text = serde_yaml_ng::to_string(answers).map_err(|why| why.to_string())?;
    let head =
        "# Recorded from kube-apiserver 1.36 by `python3 tests/differential/run.py --record`. Not edited by hand.\n";
    std::fs::write(expected_path(file), format!("{head}{text}")).map_err(|why| why.to_string())
}

/// A value with all maps sorted by key.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<String, Value> =
                map.into_iter().map(|(key, child)| (key, self::sorted(child))).collect();
            Value::Object(sorted.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// The recording as far as the lab is held to it: where a step says why the lab differs, its own answer stands.
pub fn lab_expected(scenario: &Scenario, recorded: &[Answer], lab: &[Answer]) -> Vec<Answer> {
    let mut expected = recorded.to_vec();
    for ((step, wanted), got) in scenario.steps.iter().zip(&mut expected).zip(lab) {
        let status = wanted.status;
        if step.texts.is_some() || step.lab.is_some() {
            *wanted = got.clone();
        }
        if step.texts.is_some() {
            wanted.status = status;
        }
    }
    expected
}

/// The differences between what was expected and what came, as a unified diff; empty if there are none.
pub fn difference(scenario: &str, expected: &[Answer], got: &[Answer]) -> String {
    if expected == got {
        return String::new();
    }
    let text = |answers: &[Answer]| serde_yaml_ng::to_string(answers).unwrap_or_default();
    let (expected, got) = (text(expected), text(got));
    let diff = similar::TextDiff::from_lines(&expected, &got);
    diff.unified_diff()
        .context_radius(6)
        .header(&format!("{scenario} recorded"), &format!("{scenario} now"))
        .to_string()
}
