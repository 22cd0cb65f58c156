//! Findings as text, JSON, SARIF and GitHub annotations.
//!
//! Source: SARIF 2.1.0 (OASIS) as far as GitHub code scanning reads it; workflow commands of GitHub Actions.

use super::finding::{Finding, Report};
use super::rules::{ALL, Level, Rule};
use clap::ValueEnum;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// How to print findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// One line for each.
    Text,
    /// A list for machines.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow commands, which GitHub Actions turns into annotations.
    Github,
}

/// The page that explains the rules.
const PAGE: &str = "docs/validate.md";

/// The text of the report.
pub(super) fn print(form: Form, report: &Report) -> String {
    let findings = &report.findings;
    match form {
        Form::Text => findings.iter().map(line).collect(),
        Form::Json => {
            let list: Vec<Value> = findings.iter().map(entry).collect();
            let counts = json!({"errors": report.count(Level::Error), "warnings": report.count(Level::Warning)});
            format!("{:#}\n", json!({"summary": counts, "findings": list}))
        }
        Form::Sarif => format!("{:#}\n", sarif(findings)),
        Form::Github => findings.iter().map(command).collect(),
    }
}

/// `FILE:LINE: error: PATH: MESSAGE; ADVICE [rule]`.
fn line(finding: &Finding) -> String {
    let problem = &finding.problem;
    let mut text = problem.file.clone();
    if let Some(line) = problem.line {
        let _ = write!(text, ":{line}");
    }
    let _ = write!(text, ": {}: {}", finding.level.name(), message(finding));
    let _ = writeln!(text, " [{}]", finding.rule.id);
    text
}

/// What is wrong at which path, and what to do.
fn message(finding: &Finding) -> String {
    let problem = &finding.problem;
    let parts = [problem.path.as_str(), problem.message.as_str()];
    let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    if problem.advice.is_empty() { text } else { format!("{text}; {}", problem.advice) }
}

fn entry(finding: &Finding) -> Value {
    let problem = &finding.problem;
    json!({
        "rule": finding.rule.id,
        "level": finding.level.name(),
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "object": finding.object,
        "path": problem.path,
        "message": problem.message,
        "advice": problem.advice,
    })
}

/// `::error file=F,line=L,col=C,title=T::MESSAGE`.
fn command(finding: &Finding) -> String {
    let problem = &finding.problem;
    let mut text = format!("::{} file={}", finding.level.name(), property(file(&problem.file)));
    if let (Some(line), Some(column)) = (problem.line, problem.column) {
        let _ = write!(text, ",line={line},col={column}");
    }
    let _ = writeln!(text, ",title={}::{}", property(finding.rule.id), data(&message(finding)));
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The file in the repository; of what kustomize makes, its folder.
fn file(name: &str) -> &str {
    name.strip_suffix(" (kustomize)").unwrap_or(name)
}

fn sarif(findings: &[Finding]) -> Value {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kubectl-flagger validate",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": ALL.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn descriptor(rule: &Rule) -> Value {
    let text = |text: &str| json!({"text": text});
    json!({
        "id": rule.id,
        "name": rule.id,
        "shortDescription": text(&sentence(rule.what)),
        "fullDescription": text(&format!("{} {}", sentence(rule.what), rule.why)),
        "help": text(&format!("{} See {PAGE}, {}.", rule.why, rule.id)),
        "defaultConfiguration": {"level": rule.level.name()},
        "properties": {"tags": ["kubernetes", "progressive-delivery"], "precision": "high", "problem.severity": rule.level.name()},
    })
}

fn result(finding: &Finding) -> Value {
    let problem = &finding.problem;
    let (line, column) = (problem.line.unwrap_or(1), problem.column.unwrap_or(1));
    let place = format!("{}#{}", finding.object, problem.path);
    // All four numbers: GitHub asks for them. A finding is about the beginning of a field.
    let region =
        json!({"startLine": line, "startColumn": column, "endLine": line, "endColumn": column.saturating_add(1)});
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": ALL.iter().position(|rule| *rule == finding.rule),
        "level": finding.level.name(),
        "message": {"text": message(finding)},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": uri(file(&problem.file))}, "region": region},
            "logicalLocations": [{"fullyQualifiedName": place}],
        }],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint(finding)},
    })
}

/// The same finding in another line is the same finding.
fn fingerprint(finding: &Finding) -> String {
    let text = format!("{}|{}|{}|{}", finding.rule.id, finding.problem.file, finding.object, finding.problem.path);
    let digest = Sha256::digest(text.as_bytes());
    let mut short = String::new();
    for byte in digest.iter().take(8) {
        let _ = write!(short, "{byte:02x}");
    }
    format!("{short}:1")
}

/// A path as a relative or `file:` reference.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

fn sentence(half: &str) -> String {
    let mut letters = half.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['.']).collect()
}

/// The table of rules, as it stands in the documentation.
pub(super) fn rules() -> String {
    let mut page = "| rule | level | what is found | why it matters |\n| --- | --- | --- | --- |\n".to_owned();
    for rule in ALL {
        let _ = writeln!(page, "| `{}` | {} | {} | {} |", rule.id, rule.level.name(), rule.what, rule.why);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_would_take_for_syntax_is_escaped() {
        assert_eq!(property("a:b,c%"), "a%3Ab%2Cc%25");
        assert_eq!(data("a:b,\nc"), "a:b,%0Ac");
    }

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("./a b/c.yaml"), "a%20b/c.yaml");
        assert_eq!(uri("/a"), "file:///a");
    }

    #[test]
    fn ids_are_unique_and_written_alike() {
        let mut ids: Vec<&str> = ALL.iter().map(|rule| rule.id).collect();
        assert!(ids.iter().all(|id| id.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')), "{ids:?}");
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
