//! Texts from files, folders, kustomizations and standard input.

use super::Problem;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The names by which kustomize knows its input.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// A text and the name under which problems with it are told.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) content: String,
}

/// The texts at these paths, in order.
pub(super) fn read(paths: &[PathBuf], problems: &mut Vec<Problem>) -> Vec<Text> {
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut content = Vec::new();
            let result = io::stdin().lock().read_to_end(&mut content);
            texts.extend(take("<stdin>".to_owned(), result.map(|_| content), problems));
        } else if path.is_dir() {
            walk(path, &mut texts, problems);
        } else {
            texts.extend(file(path, problems));
        }
    }
    texts
}

fn take(name: String, content: io::Result<Vec<u8>>, problems: &mut Vec<Problem>) -> Option<Text> {
    let problem = match content.map(String::from_utf8) {
        Ok(Ok(content)) => return Some(Text { name, content }),
        Ok(Err(_)) => Problem::about(name, "this is no UTF-8 text", "save it as UTF-8, or leave it out"),
        Err(error) => Problem::about(name, format!("cannot be read: {error}"), "check the name given to -f"),
    };
    problems.push(problem);
    None
}

fn file(path: &Path, problems: &mut Vec<Problem>) -> Option<Text> {
    take(path.display().to_string(), fs::read(path), problems)
}

/// A folder: what kustomize makes of it, or its files and folders. Hidden ones are left out.
fn walk(folder: &Path, texts: &mut Vec<Text>, problems: &mut Vec<Problem>) {
    if KUSTOMIZATIONS.iter().any(|name| folder.join(name).is_file()) {
        texts.extend(kustomize(folder, problems));
        return;
    }
    let entries = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<PathBuf>>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            let name = folder.display().to_string();
            problems.push(Problem::about(name, format!("cannot be read: {error}"), "check its permissions"));
            return;
        }
    };
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        if hidden {
            continue;
        }
        // A link to a folder could lead back up.
        if path.is_dir() && !path.is_symlink() {
            walk(&path, texts, problems);
        } else if path.is_file() && matches!(extension.as_deref(), Some("yaml" | "yml" | "json")) {
            texts.extend(file(&path, problems));
        }
    }
}

fn kustomize(folder: &Path, problems: &mut Vec<Problem>) -> Option<Text> {
    let shown = folder.display().to_string();
    let output = Command::new("kubectl").arg("kustomize").arg(folder).stdin(Stdio::null()).output();
    let problem = match output {
        Ok(output) if output.status.success() => {
            return take(format!("{shown} (kustomize)"), Ok(output.stdout), problems);
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = reason(&said);
            Problem::about(shown, format!("kubectl kustomize refuses it: {said}"), "mend the kustomization")
        }
        Err(error) => Problem::about(
            &shown,
            format!(
                "there is a kustomization in this folder, and kubectl, which builds it, cannot be started: {error}"
            ),
            format!("install kubectl, or build it elsewhere: kustomize build {shown} | kubectl-flagger COMMAND -f -"),
        ),
    };
    problems.push(problem);
    None
}

/// What kubectl says is wrong, without the head of its log line.
fn reason(said: &str) -> String {
    let said = said.trim().trim_start_matches("error: ");
    let logged = said.split_once("err=\"").and_then(|(_, rest)| rest.strip_suffix('"'));
    logged.map_or_else(|| said.to_owned(), |text| text.replace("\\\"", "\"")).replace('\n', " ")
}
