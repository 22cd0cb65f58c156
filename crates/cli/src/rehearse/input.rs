//! From manifests and flags to a set stage, or to everything that is wrong with them.

use super::refusal;
use super::release::Release;
use super::role::{self, Role, Wishes};
use super::stage;
use super::{Options, definitions};
use crate::manifests::{self, Manifest, Problem};
use crate::validate;
use api::Settings;
use lab::Lab;
use objects::paths::{list, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Kinds that have no namespace.
const CLUSTER_SCOPED: [&str; 12] = [
    "Namespace",
    "Node",
    "PersistentVolume",
    "StorageClass",
    "PriorityClass",
    "IngressClass",
    "GatewayClass",
    "CustomResourceDefinition",
    "APIService",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "RuntimeClass",
];

/// A set stage.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) lab: Lab,
    pub(super) roles: Vec<Arc<Role>>,
    pub(super) releases: Vec<Release>,
    pub(super) settings: Arc<Settings>,
    /// What should be known.
    pub(super) notes: Vec<String>,
}

/// The user's manifests, with namespaces.
pub(super) fn manifests(options: &Options) -> Result<Vec<Manifest>, Vec<Problem>> {
    let mut manifests = manifests::load(&options.files)?;
    for manifest in &mut manifests {
        let kind = manifest.kind().to_owned();
        let has_none = CLUSTER_SCOPED.contains(&kind.as_str()) || kind.starts_with("Cluster");
        if !has_none && manifest.namespace().is_empty() {
            objects::paths::set(&mut manifest.object, &["metadata", "namespace"], json!(options.namespace));
        }
    }
    Ok(manifests)
}

fn settings(options: &Options) -> Settings {
    let default = Settings::default();
    Settings { mesh_provider: options.provider.clone().unwrap_or(default.mesh_provider), ..default }
}

pub(super) fn is_canary(manifest: &Manifest) -> bool {
    manifest.kind() == "Canary" && manifest.api_version().starts_with("flagger.app/")
}

/// Sets the stage. Needs a tokio runtime.
pub(super) fn set(options: &Options, manifests: &[Manifest]) -> Result<Input, Vec<Problem>> {
    let chosen = chosen(options, manifests)?;
    let mut notes = sound(options, manifests, &chosen)?;
    let lab = stage::empty(options.ready_after);
    let mut problems = fill(&lab, manifests, &chosen, &mut notes);
    if !problems.is_empty() {
        return Err(problems);
    }
    let settings = Arc::new(settings(options));
    let names: Vec<(String, String)> =
        chosen.iter().map(|one| (one.namespace().to_owned(), one.name().to_owned())).collect();
    let wishes = Wishes { metrics: options.metrics.clone(), hooks: options.hooks.clone() };
    let roles = stage::roles(&lab, &names, &wishes, &settings);
    problems.extend(unknown_wishes(&wishes, &roles));
    let releases = super::release::plan(options, &lab, &roles, &mut problems);
    if problems.is_empty() { Ok(Input { lab, roles, releases, settings, notes }) } else { Err(problems) }
}

/// The Canaries that are rehearsed.
fn chosen<'m>(options: &Options, manifests: &'m [Manifest]) -> Result<Vec<&'m Manifest>, Vec<Problem>> {
    let all: Vec<&Manifest> = manifests.iter().filter(|one| is_canary(one)).collect();
    let names = || all.iter().map(|one| format!("{}.{}", one.name(), one.namespace())).collect::<Vec<_>>().join(", ");
    if all.is_empty() {
        // A misspelt kind is told better by who knows the kinds.
        sound(options, manifests, &all)?;
        let files = options.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(vec![Problem::about(
            files,
            "there is no Canary among the manifests",
            "give the file with the Canary as well, with another -f",
        )]);
    }
    let Some(wanted) = &options.canary else { return Ok(all) };
    let is_wanted = |one: &&Manifest| one.name() == wanted || format!("{}.{}", one.name(), one.namespace()) == *wanted;
    let chosen: Vec<&Manifest> = all.iter().copied().filter(is_wanted).collect();
    if chosen.is_empty() {
        let message = format!("there is no Canary {wanted}");
        return Err(vec![Problem::about("--canary", message, format!("known: {}", names()))]);
    }
    Ok(chosen)
}

/// What `validate` says about all that is rehearsed: errors, or warnings as notes.
fn sound(options: &Options, manifests: &[Manifest], chosen: &[&Manifest]) -> Result<Vec<String>, Vec<Problem>> {
    let others = |one: &&Manifest| !is_canary(one) || chosen.iter().any(|chosen| chosen.source == one.source);
    let provider = settings(options).mesh_provider;
    let rehearsed = manifests.iter().filter(others).cloned().collect();
    let found = validate::findings(rehearsed, &options.namespace, &provider, &options.skip);
    let (errors, warnings): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.is_error);
    if errors.is_empty() {
        Ok(warnings.iter().map(|one| one.problem.to_string()).collect())
    } else {
        Err(errors.into_iter().map(|one| one.problem).collect())
    }
}

/// Puts all objects into the lab, Canaries that are not rehearsed aside.
fn fill(lab: &Lab, manifests: &[Manifest], chosen: &[&Manifest], notes: &mut Vec<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut made_up = BTreeSet::new();
    let (definitions, objects): (Vec<_>, Vec<_>) =
        manifests.iter().partition(|one| one.kind() == "CustomResourceDefinition");
    for definition in api::crd::all() {
        if let Err(refusal) = lab.apply(&definition) {
            problems.push(Problem::about("the kinds of flagger.app", refusal.to_string(), "this is a mistake of ours"));
        }
    }
    for manifest in definitions {
        // Ours are there; an older release's schema would judge by older rules.
        if text(&manifest.object, "/spec/group") != api::GROUP {
            put(lab, manifest, &manifest.object, &mut problems);
        }
    }
    if let Err(refusal) = definitions::meshes(lab) {
        problems.push(Problem::about("the kinds of meshes", refusal.to_string(), "leave your definitions of them out"));
    }
    for definition in definitions::missing(lab, &objects) {
        if let Err(refusal) = lab.apply(&definition.object) {
            let message = format!("the kind cannot be made up: {refusal}");
            problems.push(Problem::about(definition.shown.clone(), message, "leave objects of this kind out"));
        }
        made_up.insert(definition.shown);
    }
    if !made_up.is_empty() {
        let kinds: Vec<&str> = made_up.iter().map(String::as_str).collect();
        notes.push(format!(
            "kinds that the rehearsal does not know, taken as they are, unchecked: {}",
            kinds.join(", ")
        ));
    }
    let (namespaces, objects): (Vec<&Manifest>, Vec<&Manifest>) =
        objects.into_iter().partition(|one| one.kind() == "Namespace");
    for manifest in namespaces {
        put(lab, manifest, &manifest.object, &mut problems);
    }
    for manifest in objects {
        ensure_namespace(lab, manifest.namespace(), &mut problems);
        if is_canary(manifest) {
            let chosen = chosen.iter().any(|one| one.source == manifest.source && one.name() == manifest.name());
            put_canary(lab, manifest, chosen, &mut problems);
        } else {
            put(lab, manifest, &manifest.object, &mut problems);
        }
    }
    problems
}

fn put_canary(lab: &Lab, manifest: &Manifest, chosen: bool, problems: &mut Vec<Problem>) {
    let mut object = manifest.object.clone();
    role::mark_hooks(&mut object);
    put(lab, manifest, &object, problems);
    if !chosen {
        // It was only looked at.
        let _ = lab.delete("canaries.flagger.app", manifest.namespace(), manifest.name());
    }
}

fn put(lab: &Lab, manifest: &Manifest, object: &Value, problems: &mut Vec<Problem>) {
    match lab.create(object.clone()) {
        Ok(stored) => problems.extend(refusal::dropped(manifest, &stored)),
        Err(refusal) => problems.extend(refusal::explain(lab, manifest, object, &refusal)),
    }
}

fn ensure_namespace(lab: &Lab, name: &str, problems: &mut Vec<Problem>) {
    if name.is_empty() || lab.get("namespaces", "", name).is_some() {
        return;
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    if let Err(refusal) = lab.create(namespace) {
        problems.push(Problem::about("namespace", refusal.to_string(), "give it a name that Kubernetes allows"));
    }
}

/// Answers for metrics and hooks that no Canary has.
fn unknown_wishes(wishes: &Wishes, roles: &[Arc<Role>]) -> Vec<Problem> {
    let metrics: BTreeSet<&str> = roles
        .iter()
        .flat_map(|role| &role.rollout.analysis.metrics)
        .flat_map(|metric| [Some(metric.name.as_str()), metric.template_ref.as_ref().map(|one| one.name.as_str())])
        .flatten()
        .collect();
    let hooks: BTreeSet<&str> = roles.iter().flat_map(|role| &role.hooks).map(|hook| hook.name.as_str()).collect();
    let wanted = wishes.metrics.iter().map(|wish| ("--metric", "metric", wish.name.as_str(), &metrics));
    let wanted = wanted.chain(wishes.hooks.iter().map(|wish| ("--hook", "hook", wish.name.as_str(), &hooks)));
    let unknown = wanted.filter(|(_, _, name, known)| !known.contains(name));
    let tell = |(flag, what, name, known): (&str, &str, &str, &BTreeSet<&str>)| {
        let known: Vec<&str> = known.iter().copied().collect();
        let advice =
            if known.is_empty() { "there is none at all".to_owned() } else { format!("known: {}", known.join(", ")) };
        Problem::about(flag, format!("no Canary has a {what} {name}"), advice)
    };
    unknown.map(tell).collect()
}

/// The container names of a workload.
pub(super) fn containers(workload: &Value) -> Vec<&str> {
    list(workload, "/spec/template/spec/containers").map(|one| text(one, "/name")).collect()
}
