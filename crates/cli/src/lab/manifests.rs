//! What a lab begins with: objects of files, definitions and namespaces first.

use crate::manifests::{Manifest, load};
use lab::{Failure, Lab};
use serde_json::json;
use std::path::PathBuf;

/// Applies all objects of these files and folders; the answer is how many. The error is for people.
pub(super) fn apply(lab: &Lab, paths: &[PathBuf]) -> Result<usize, String> {
    if paths.is_empty() {
        return Ok(0);
    }
    let mut manifests =
        load(paths).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    // Whatever the order in the files, kinds and namespaces come before what needs them; the rest stays in order.
    manifests.sort_by_key(|manifest| match manifest.kind() {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        _ => 2,
    });
    for manifest in &manifests {
        ensure_namespace(lab, manifest.namespace())
            .and_then(|()| lab.apply(&manifest.object).map(drop))
            .map_err(|refusal| explain(manifest, &refusal))?;
    }
    Ok(manifests.len())
}

fn ensure_namespace(lab: &Lab, name: &str) -> Result<(), Failure> {
    if name.is_empty() || lab.get("namespaces", "", name).is_some() {
        return Ok(());
    }
    lab.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).map(drop)
}

fn explain(manifest: &Manifest, refusal: &Failure) -> String {
    if refusal.code == 404 {
        let message = format!("the lab knows no kind {} in {}", manifest.kind(), manifest.api_version());
        return manifest.problem("/kind", message, "give its CustomResourceDefinition too (-f)").to_string();
    }
    manifest.problem("", format!("{} {}: {refusal}", manifest.kind(), manifest.name()), "").to_string()
}
