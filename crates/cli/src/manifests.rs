//! A user's manifests: read from files, folders, kustomizations and standard input, each with the place where it stands.
//!
//! One loader for `rehearse`, `render` and `validate`. What is read is what `kubectl apply` would send: YAML 1.1 words (`yes` is true), lists taken apart,
//! nothing expanded. Whatever is wrong is told with file, line and path ([`Problem`]); nothing here knows what a Canary is.

mod files;
mod locate;
mod scalar;
#[cfg(test)]
mod tests;
mod yaml;

use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use yaml::Node;

/// Where an object stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    /// The file as the user named it, `<stdin>`, or `FOLDER (kustomize)` for the output of `kubectl kustomize FOLDER`.
    pub(crate) file: String,
    /// Which document of the file, from 1.
    pub(crate) document: usize,
    /// The line in the file in which the object begins, from 1.
    pub(crate) line: usize,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One object of the user's.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// The object as it would be sent; has `apiVersion`, `kind` and `metadata.name`.
    pub(crate) object: Value,
    /// Where it begins.
    pub(crate) source: Source,
    node: Arc<Node>,
}

impl Manifest {
    /// `apiVersion`.
    pub(crate) fn api_version(&self) -> &str {
        objects::paths::text(&self.object, "/apiVersion")
    }

    /// `kind`.
    pub(crate) fn kind(&self) -> &str {
        objects::paths::text(&self.object, "/kind")
    }

    /// `metadata.name`.
    pub(crate) fn name(&self) -> &str {
        objects::paths::text(&self.object, "/metadata/name")
    }

    /// `metadata.namespace`; empty if there is none.
    pub(crate) fn namespace(&self) -> &str {
        objects::paths::text(&self.object, "/metadata/namespace")
    }

    /// Line and column (from 1) of a field, or of the innermost field around it that is there. The path is a JSON pointer (`/spec/targetRef`), or as
    /// Kubernetes writes paths (`spec.analysis.metrics[0].name`, `metadata.annotations[a.b/c]`); empty: the object.
    pub(crate) fn position(&self, path: &str) -> (usize, usize) {
        locate::find(&self.node, path)
    }

    /// Line of a field, as [`Manifest::position`].
    pub(crate) fn line_of(&self, path: &str) -> usize {
        self.position(path).0
    }

    /// Something is wrong with a field (path as in [`Manifest::position`]); `advice` says what to do, as a sentence's second half.
    pub(crate) fn problem(&self, path: &str, message: impl Into<String>, advice: impl Into<String>) -> Problem {
        let (line, column) = self.position(path);
        Problem {
            file: self.source.file.clone(),
            line: Some(line),
            column: Some(column),
            path: locate::dotted(path),
            message: message.into(),
            advice: advice.into(),
        }
    }
}

/// Something that is wrong with the input. Shown as `FILE:LINE: PATH: MESSAGE; ADVICE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// The file as in [`Source::file`], or what else the problem is about (a flag).
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: Option<usize>,
    /// The column, from 1.
    pub(crate) column: Option<usize>,
    /// The field, as Kubernetes writes paths; empty if it is about all of it.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do; may be empty.
    pub(crate) advice: String,
}

impl Problem {
    /// About a whole file, or about a flag.
    pub(crate) fn about(file: impl Into<String>, message: impl Into<String>, advice: impl Into<String>) -> Self {
        let (file, message, advice) = (file.into(), message.into(), advice.into());
        Self { file, line: None, column: None, path: String::new(), message, advice }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        // For syntax errors the column says where; for the rest the path does.
        match (self.column, self.path.is_empty()) {
            (_, false) => write!(f, ": {}", self.path)?,
            (Some(column), true) if column > 1 => write!(f, ":{column}")?,
            _ => {}
        }
        write!(f, ": {}", self.message)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "; {}", self.advice) }
    }
}

/// All objects of these files, folders (with their sub-folders, in alphabetical order) and `-` for standard input, in the order in which they stand.
///
/// A folder with a `kustomization.yaml` is built by `kubectl kustomize`. If anything is wrong, all that is wrong is told, and no object is.
pub(crate) fn load(paths: &[PathBuf]) -> Result<Vec<Manifest>, Vec<Problem>> {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for text in files::read(paths, &mut problems) {
        take_text(&text, &mut manifests, &mut problems);
    }
    problems.extend(twins(&manifests));
    if manifests.is_empty() && problems.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        problems.push(Problem::about(
            names.join(", "),
            "there is no object in here",
            "name the file or the folder with the Canary and its Deployment (.yaml, .yml or .json)",
        ));
    }
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

fn take_text(text: &files::Text, manifests: &mut Vec<Manifest>, problems: &mut Vec<Problem>) {
    let (documents, error) = yaml::read(&text.content);
    for (document, node) in (1..).zip(documents) {
        if !node.is_null() {
            take_node(&text.name, document, &node, manifests, problems);
        }
    }
    if let Some(yaml::SyntaxError { line, column, message, advice }) = error {
        let (line, column) = (Some(line), Some(column));
        problems.push(Problem { file: text.name.clone(), line, column, path: String::new(), message, advice });
    }
}

fn take_node(
    file: &str,
    document: usize,
    node: &Arc<Node>,
    manifests: &mut Vec<Manifest>,
    problems: &mut Vec<Problem>,
) {
    let is_list = node.text("kind").is_some_and(|kind| kind.ends_with("List")) && node.text("apiVersion").is_some();
    if let Some(items) = node.items("items").filter(|_| is_list) {
        for item in items {
            take_node(file, document, item, manifests, problems);
        }
        return;
    }
    let source = Source { file: file.to_owned(), document, line: node.line() };
    let manifest = Manifest { object: node.to_value(), source, node: Arc::clone(node) };
    match misfit(&manifest) {
        Some(problem) => problems.push(problem),
        None => manifests.push(manifest),
    }
}

/// Why something is no object that could be sent.
fn misfit(manifest: &Manifest) -> Option<Problem> {
    let at = |path: &str, message: &str, advice: &str| Some(manifest.problem(path, message, advice));
    let object = &manifest.object;
    let outside = "take it out of the folder, or name the manifests one by one with -f";
    if !object.is_object() {
        return at("", "this is no Kubernetes object but a single value or a list", outside);
    }
    if object.get("apiVersion").is_none() && object.get("kind").is_none() {
        return at("", "this is no Kubernetes object: it has neither apiVersion nor kind", outside);
    }
    for (path, example) in [("apiVersion", "apps/v1"), ("kind", "Deployment")] {
        if objects::paths::text(object, &format!("/{path}")).is_empty() {
            return at(path, "is missing or no text", &format!("write for example `{path}: {example}`"));
        }
    }
    if manifest.api_version().starts_with("kustomize.config.k8s.io/") {
        return at("", "this is an input of kustomize, not an object", "name its folder with -f instead of the file");
    }
    if manifest.name().is_empty() {
        return at("metadata.name", "is missing or no text", "give the object a name");
    }
    if object.pointer("/metadata/namespace").is_some_and(|namespace| !namespace.is_string()) {
        return at("metadata.namespace", "is no text", "write the namespace in quotes");
    }
    None
}

/// Objects that stand there twice: the second would silently replace the first.
fn twins(manifests: &[Manifest]) -> Vec<Problem> {
    let mut seen: HashMap<(&str, &str, &str, &str), &Source> = HashMap::new();
    let mut problems = Vec::new();
    for manifest in manifests {
        let group = manifest.api_version().rsplit_once('/').map_or("", |(group, _)| group);
        let key = (group, manifest.kind(), manifest.namespace(), manifest.name());
        if let Some(first) = seen.get(&key) {
            problems.push(manifest.problem(
                "",
                format!("{} {} is already defined in {first}", manifest.kind(), manifest.name()),
                "take one of the two away, or name only the folder that is to be used (such as one overlay)",
            ));
        } else {
            seen.insert(key, &manifest.source);
        }
    }
    problems
}
