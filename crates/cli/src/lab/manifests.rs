//! What a lab begins with: objects of files, definitions and namespaces first.

use lab::Lab;
use objects::paths::text;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// An object and the file that it is from.
type Found = (PathBuf, Value);

/// Applies all objects of these files and directories; the answer is how many. The error is for people.
pub(super) fn apply(lab: &Lab, paths: &[PathBuf]) -> Result<usize, String> {
    let mut found = Vec::new();
    for path in paths {
        for file in files(path).map_err(|error| format!("cannot read {}: {error}", path.display()))? {
            found.extend(read(&file)?);
        }
    }
    // Whatever the order in the files, kinds and namespaces come before what needs them; the rest stays in order.
    found.sort_by_key(|(_, object)| match text(object, "/kind") {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        _ => 2,
    });
    for (file, object) in &found {
        ensure_namespace(lab, object)
            .and_then(|()| lab.apply(object).map(drop))
            .map_err(|refusal| format!("{}: {}: {}", file.display(), named(object), explain(object, &refusal)))?;
    }
    Ok(found.len())
}

/// The file itself, or the manifests of a directory, by name.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_manifest = |path: &PathBuf| {
        path.is_file() && path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json")
    };
    let entries = std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<_> = entries.collect::<Result<Vec<_>, _>>()?.into_iter().filter(is_manifest).collect();
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Vec<Found>, String> {
    let content = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let objects = lab::read_yaml(&content).map_err(|refusal| format!("{}: {refusal}", file.display()))?;
    Ok(objects.into_iter().map(|object| (file.to_owned(), object)).collect())
}

fn ensure_namespace(lab: &Lab, object: &Value) -> Result<(), lab::Failure> {
    let name = text(object, "/metadata/namespace");
    if name.is_empty() || lab.get("namespaces", "", name).is_some() {
        return Ok(());
    }
    lab.create(serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).map(drop)
}

fn named(object: &Value) -> String {
    format!("{} {}", text(object, "/kind"), text(object, "/metadata/name"))
}

fn explain(object: &Value, refusal: &lab::Failure) -> String {
    if refusal.code == 404 {
        return format!(
            "the lab knows no kind {} in {}; give its CustomResourceDefinition too (-f)",
            text(object, "/kind"),
            text(object, "/apiVersion")
        );
    }
    refusal.to_string()
}
