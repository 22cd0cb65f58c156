//! Kinds that the lab does not have: those of meshes and gateways, and those of the user's manifests, made up without a schema.

use crate::manifests::Manifest;
use lab::Lab;
use objects::paths::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A definition that was made up for the user's objects.
#[derive(Debug)]
pub(super) struct Definition {
    /// The object.
    pub(super) object: Value,
    /// `Kind (group)`.
    pub(super) shown: String,
}

#[derive(Debug, Default)]
struct Made {
    versions: Vec<String>,
    namespaced: bool,
}

/// Puts the kinds of meshes and gateways into the lab that the user does not define.
pub(super) fn meshes(lab: &Lab) -> Result<(), lab::Failure> {
    for definition in lab::definitions::meshes() {
        if lab.get("customresourcedefinitions", "", text(&definition, "/metadata/name")).is_none() {
            lab.apply(&definition)?;
        }
    }
    Ok(())
}

/// Definitions for the kinds that neither the lab nor the user defines.
pub(super) fn missing(lab: &Lab, manifests: &[&Manifest]) -> Vec<Definition> {
    let mut made: BTreeMap<(String, String), Made> = BTreeMap::new();
    for manifest in manifests.iter().filter(|one| !lab.serves(one.api_version(), one.kind())) {
        // The core group cannot be defined: what is missing in it is told when the object is refused.
        let Some((group, version)) = manifest.api_version().rsplit_once('/') else { continue };
        let one = made.entry((group.to_owned(), manifest.kind().to_owned())).or_default();
        one.namespaced |= !manifest.namespace().is_empty();
        if one.versions.iter().all(|known| known != version) {
            one.versions.push(version.to_owned());
        }
    }
    made.into_iter().map(|((group, kind), made)| definition(&group, &kind, &made)).collect()
}

/// The plural of a kind, as people would form it.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| kind.ends_with(ending));
    match kind.strip_suffix('y') {
        Some(stem) if !ends(&["ay", "ey", "oy", "uy"]) => format!("{stem}ies"),
        _ if ends(&["s", "x", "z", "ch", "sh"]) => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

fn definition(group: &str, kind: &str, made: &Made) -> Definition {
    let version = |(index, name): (usize, &String)| {
        json!({
            "name": name, "served": true, "storage": index == 0, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        })
    };
    let versions: Vec<Value> = made.versions.iter().enumerate().map(version).collect();
    let (plural, singular) = (plural(kind), kind.to_lowercase());
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            "annotations": {"api-approved.kubernetes.io": "https://kubernetes.io"},
        },
        "spec": {
            "group": group,
            "scope": if made.namespaced { "Namespaced" } else { "Cluster" },
            "names": {"kind": kind, "plural": plural, "singular": singular, "listKind": format!("{kind}List")},
            "versions": versions,
        },
    });
    Definition { object, shown: format!("{kind} ({group})") }
}

#[cfg(test)]
mod tests {
    use super::plural;

    #[test]
    fn plurals_are_those_of_people() {
        for (kind, wanted) in
            [("HelmRelease", "helmreleases"), ("Policy", "policies"), ("Gateway", "gateways"), ("Ingress", "ingresses")]
        {
            assert_eq!(plural(kind), wanted);
        }
    }
}
