//! Discovery: which groups, versions and kinds are served; `/version`; health.

use crate::failure::Failure;
use crate::resource::{Registry, Resource};
use crate::reviews;
use serde_json::{Value, json};

/// The version that the lab claims to be.
pub(crate) fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.0", "gitCommit": "lab", "gitTreeState": "clean", "buildDate": "2030-01-01T00:00:00Z", "goVersion": "none",
        "compiler": "rustc", "platform": "in/memory",
    })
}

/// `/api`.
pub(crate) fn core() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// The groups with their versions, in the order of the registry.
fn grouped(registry: &Registry) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for one in registry.iter().filter(|one| !one.group.is_empty()) {
        match groups.iter_mut().find(|(group, _)| *group == one.group) {
            Some((_, versions)) if versions.contains(&one.version) => {}
            Some((_, versions)) => versions.push(one.version.clone()),
            None => groups.push((one.group.clone(), vec![one.version.clone()])),
        }
    }
    groups.extend(reviews::GROUPS.map(|group| (group.to_owned(), vec!["v1".to_owned()])));
    for (_, versions) in &mut groups {
        versions.sort_by_key(|version| preference(version));
    }
    groups
}

/// Stable versions come before beta and alpha, higher ones before lower.
fn preference(version: &str) -> (u8, std::cmp::Reverse<(u32, u32)>) {
    let stage = if version.contains("alpha") { 2 } else { u8::from(version.contains("beta")) };
    let mut numbers = version.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok());
    (stage, std::cmp::Reverse((numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())))
}

fn api_group(group: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// `/apis`.
pub(crate) fn groups(registry: &Registry) -> Value {
    let groups: Vec<Value> = grouped(registry).iter().map(|(group, versions)| api_group(group, versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(crate) fn group(registry: &Registry, name: &str) -> Result<Value, Failure> {
    let groups = grouped(registry);
    let (group, versions) = groups.iter().find(|(group, _)| group == name).ok_or_else(Failure::no_such_path)?;
    let mut answer = api_group(group, versions);
    objects::paths::set(&mut answer, &["kind"], json!("APIGroup"));
    objects::paths::set(&mut answer, &["apiVersion"], json!("v1"));
    Ok(answer)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(crate) fn resources(registry: &Registry, group: &str, version: &str) -> Result<Value, Failure> {
    let of: Vec<_> = registry.iter().filter(|one| one.group == group && one.version == version).collect();
    let special = reviews::entries(group, version);
    if of.is_empty() && special.is_empty() {
        return Err(Failure::no_such_path());
    }
    let resources: Vec<Value> = of.iter().flat_map(|one| entries(one)).chain(special).collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}))
}

/// Table, name, kind and verbs of subresources that are known, although the lab can only say no (`parts.rs`).
const PARTS: &[(&str, &str, &str, &[&str])] = &[
    ("pods", "attach", "PodAttachOptions", &["create", "get"]),
    ("pods", "eviction", "Eviction", &["create"]),
    ("pods", "exec", "PodExecOptions", &["create", "get"]),
    ("pods", "log", "Pod", &["get"]),
    ("pods", "portforward", "PodPortForwardOptions", &["create", "get"]),
];

fn entries(one: &Resource) -> Vec<Value> {
    let verbs = match one.custom() {
        Some(_) => ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
        None => ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    };
    let verbs: Vec<_> = verbs.iter().filter(|verb| one.table != "namespaces" || **verb != "deletecollection").collect();
    let mut entry = json!({"name": one.plural, "singularName": one.singular, "namespaced": one.namespaced, "kind": one.kind, "verbs": verbs});
    if !one.short_names.is_empty() {
        objects::paths::set(&mut entry, &["shortNames"], json!(one.short_names));
    }
    if !one.categories.is_empty() {
        objects::paths::set(&mut entry, &["categories"], json!(one.categories));
    }
    let sub = |name: &str, kind: &str| json!({"name": format!("{}/{name}", one.plural), "singularName": "", "namespaced": one.namespaced, "kind": kind, "verbs": ["get", "patch", "update"]});
    let mut entries = vec![entry];
    if one.scale.is_some() {
        let mut scale = sub("scale", "Scale");
        objects::paths::set(&mut scale, &["group"], json!("autoscaling"));
        objects::paths::set(&mut scale, &["version"], json!("v1"));
        entries.push(scale);
    }
    if one.status {
        entries.push(sub("status", &one.kind));
    }
    entries.extend(PARTS.iter().filter(|(table, ..)| *table == one.table).map(|(_, name, kind, verbs)| {
        let mut entry = sub(name, kind);
        objects::paths::set(&mut entry, &["verbs"], json!(verbs));
        entry
    }));
    entries
}
