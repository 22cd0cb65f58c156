//! What was found, and where.

use super::rules::{Level, Rule};
use crate::manifests::{Manifest, Problem};

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Of which rule.
    pub(super) rule: &'static Rule,
    /// How bad, which depends on the command line for some rules.
    pub(super) level: Level,
    /// In which object: `Kind namespace/name`, empty if it is about a file.
    pub(super) object: String,
    /// Where, what, and what to do.
    pub(super) problem: Problem,
}

/// All that was found.
#[derive(Debug)]
pub(super) struct Report {
    /// In the order of the files.
    pub(super) findings: Vec<Finding>,
    /// Everything that is needed must be among the manifests.
    complete: bool,
}

impl Report {
    /// Nothing yet.
    pub(super) fn new(complete: bool) -> Self {
        Self { findings: Vec::new(), complete }
    }

    /// Whether everything that is needed must be among the manifests.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// A breach at a path of an object.
    pub(super) fn add(
        &mut self,
        rule: &'static Rule,
        manifest: &Manifest,
        path: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.push(rule, rule.level, manifest, manifest.problem(path, message, advice));
    }

    /// Something that is referred to is not among the manifests.
    pub(super) fn missing(
        &mut self,
        rule: &'static Rule,
        manifest: &Manifest,
        path: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let level = if self.complete { Level::Error } else { rule.level };
        self.push(rule, level, manifest, manifest.problem(path, message, advice));
    }

    /// A breach whose line is known better than by its path.
    pub(super) fn add_at_line(&mut self, rule: &'static Rule, manifest: &Manifest, line: usize, problem: Problem) {
        self.push(rule, rule.level, manifest, Problem { line: Some(line), column: Some(1), ..problem });
    }

    /// A file that cannot be read.
    pub(super) fn add_unreadable(&mut self, rule: &'static Rule, problem: Problem) {
        self.findings.push(Finding { rule, level: rule.level, object: String::new(), problem });
    }

    fn push(&mut self, rule: &'static Rule, level: Level, manifest: &Manifest, problem: Problem) {
        let namespace = manifest.namespace();
        let separator = if namespace.is_empty() { "" } else { "/" };
        let object = format!("{} {namespace}{separator}{}", manifest.kind(), manifest.name());
        let finding = Finding { rule, level, object, problem };
        // Two Canaries may find the same in an object that they share.
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// How many there are of a level.
    pub(super) fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// In the order of files and lines.
    pub(super) fn sort(&mut self) {
        self.findings.sort_by(|one, other| {
            let place =
                |finding: &Finding| (finding.problem.file.clone(), finding.problem.line, finding.problem.column);
            place(one).cmp(&place(other)).then(one.rule.id.cmp(other.rule.id))
        });
    }
}
