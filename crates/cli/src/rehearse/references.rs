//! What a Canary and its target refer to, and what is not among the manifests.

use crate::manifests::{Manifest, Problem};
use objects::paths::{list, text};
use serde_json::Value;

/// A reference from one object to another.
struct Reference {
    /// Where it stands, as a JSON pointer.
    path: String,
    kind: String,
    namespace: String,
    name: String,
}

/// Everything that is referred to and not there. All manifests have namespaces.
pub(super) fn missing(manifests: &[Manifest], canaries: &[&Manifest]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for canary in canaries {
        problems.extend(lost(manifests, canary, references(canary)));
        problems.extend(shared_target(canaries, canary));
        if let Some(target) = target(manifests, canary) {
            problems.extend(lost(manifests, target, of_workload(target)));
        }
        for kind in ["MetricTemplate", "AlertProvider"] {
            let named = references(canary).into_iter().filter(|one| one.kind == kind);
            let found = named.filter_map(|one| find(manifests, &one));
            problems.extend(found.flat_map(|object| lost(manifests, object, of_provider(object))));
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

fn find<'m>(manifests: &'m [Manifest], wanted: &Reference) -> Option<&'m Manifest> {
    let is_it =
        |one: &&Manifest| one.kind() == wanted.kind && one.name() == wanted.name && one.namespace() == wanted.namespace;
    manifests.iter().find(is_it)
}

fn lost(manifests: &[Manifest], from: &Manifest, references: Vec<Reference>) -> Vec<Problem> {
    let absent = references.into_iter().filter(|one| find(manifests, one).is_none());
    let tell = |one: Reference| {
        let Reference { path, kind, namespace, name } = one;
        let elsewhere = manifests.iter().find(|other| other.kind() == kind && other.name() == name);
        let advice = match elsewhere {
            Some(other) => format!("there is one in namespace {} ({})", other.namespace(), other.source),
            None => match nearest(manifests, &kind, &namespace, &name) {
                Some(near) => format!("is {near} meant? Otherwise give its file as well (-f)"),
                None => "give its file as well (-f)".to_owned(),
            },
        };
        from.problem(&path, format!("{kind} {name} is not among the manifests (namespace {namespace})"), advice)
    };
    absent.map(tell).collect()
}

/// The name of a kind that differs least, if it differs little.
fn nearest<'m>(manifests: &'m [Manifest], kind: &str, namespace: &str, name: &str) -> Option<&'m str> {
    let others = manifests.iter().filter(|one| one.kind() == kind && one.namespace() == namespace);
    let alike = |other: &str| similar::TextDiff::from_chars(other, name).ratio();
    let best = others.map(Manifest::name).max_by(|one, other| alike(one).total_cmp(&alike(other)))?;
    (alike(best) >= 0.6).then_some(best)
}

/// The workload of a Canary.
pub(super) fn target<'m>(manifests: &'m [Manifest], canary: &Manifest) -> Option<&'m Manifest> {
    find(manifests, &target_of(canary))
}

fn target_of(canary: &Manifest) -> Reference {
    let part = |pointer| text(&canary.object, pointer).to_owned();
    Reference {
        path: "/spec/targetRef/name".to_owned(),
        kind: part("/spec/targetRef/kind"),
        namespace: canary.namespace().to_owned(),
        name: part("/spec/targetRef/name"),
    }
}

/// What a Canary refers to by name.
fn references(canary: &Manifest) -> Vec<Reference> {
    let object = &canary.object;
    let own = |path: &str, kind: &str| {
        let pointer = format!("/spec/{path}/name");
        let name = Some(text(object, &pointer)).filter(|name| !name.is_empty())?.to_owned();
        let named = text(object, &format!("/spec/{path}/kind"));
        let kind = if named.is_empty() { kind } else { named };
        Some(Reference { path: pointer, kind: kind.to_owned(), namespace: canary.namespace().to_owned(), name })
    };
    let mut found = vec![target_of(canary)];
    found.extend(own("autoscalerRef", "HorizontalPodAutoscaler"));
    found.extend(own("ingressRef", "Ingress"));
    found.extend(own("routeRef", "Route"));
    let block = if object.pointer("/spec/analysis").is_some() { "analysis" } else { "canaryAnalysis" };
    for (items, field, kind) in
        [("metrics", "templateRef", "MetricTemplate"), ("alerts", "providerRef", "AlertProvider")]
    {
        let base = format!("/spec/{block}/{items}");
        for (index, item) in list(object, &base).enumerate() {
            let Some(reference) = item.get(field) else { continue };
            let namespace = Some(text(reference, "/namespace")).filter(|namespace| !namespace.is_empty());
            found.push(Reference {
                path: format!("{base}/{index}/{field}/name"),
                kind: kind.to_owned(),
                namespace: namespace.unwrap_or_else(|| canary.namespace()).to_owned(),
                name: text(reference, "/name").to_owned(),
            });
        }
    }
    found
}

/// The Secret of a MetricTemplate or AlertProvider.
fn of_provider(object: &Manifest) -> Vec<Reference> {
    let paths = ["/spec/provider/secretRef/name", "/spec/secretRef/name"];
    let named = paths.into_iter().filter(|path| !text(&object.object, path).is_empty());
    named.map(|path| config(object, "Secret", path.to_owned(), text(&object.object, path))).collect()
}

fn config(object: &Manifest, kind: &str, path: String, name: &str) -> Reference {
    Reference { path, kind: kind.to_owned(), namespace: object.namespace().to_owned(), name: name.to_owned() }
}

/// The `ConfigMap`s and Secrets without which the pods of a workload do not start.
fn of_workload(workload: &Manifest) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut add = |holder: &Value, at: &str, kind: &str, key: &str| {
        let name = text(holder, &format!("/{key}"));
        if !name.is_empty() && holder.get("optional") != Some(&Value::Bool(true)) {
            found.push(config(workload, kind, format!("{at}/{key}"), name));
        }
    };
    let pod = "/spec/template/spec";
    for group in ["containers", "initContainers"] {
        for (number, container) in list(&workload.object, &format!("{pod}/{group}")).enumerate() {
            let at = format!("{pod}/{group}/{number}");
            for (index, source) in list(container, "/envFrom").enumerate() {
                for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
                    source
                        .get(field)
                        .into_iter()
                        .for_each(|one| add(one, &format!("{at}/envFrom/{index}/{field}"), kind, "name"));
                }
            }
            for (index, variable) in list(container, "/env").enumerate() {
                for (field, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
                    let at = format!("{at}/env/{index}/valueFrom/{field}");
                    variable
                        .pointer(&format!("/valueFrom/{field}"))
                        .into_iter()
                        .for_each(|one| add(one, &at, kind, "name"));
                }
            }
        }
    }
    for (index, volume) in list(&workload.object, &format!("{pod}/volumes")).enumerate() {
        let at = format!("{pod}/volumes/{index}");
        volume.get("configMap").into_iter().for_each(|one| add(one, &format!("{at}/configMap"), "ConfigMap", "name"));
        volume.get("secret").into_iter().for_each(|one| add(one, &format!("{at}/secret"), "Secret", "secretName"));
        for (number, source) in list(volume, "/projected/sources").enumerate() {
            let at = format!("{at}/projected/sources/{number}");
            for (field, kind) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
                source.get(field).into_iter().for_each(|one| add(one, &format!("{at}/{field}"), kind, "name"));
            }
        }
    }
    found
}

/// Two Canaries for one workload would undo each other's work.
fn shared_target(canaries: &[&Manifest], canary: &Manifest) -> Option<Problem> {
    let key = |one: &Manifest| {
        let Reference { kind, namespace, name, .. } = target_of(one);
        (kind, namespace, name)
    };
    let first =
        canaries.iter().take_while(|other| other.source != canary.source).find(|other| key(other) == key(canary))?;
    let message = format!("Canary {} ({}) has the same target", first.name(), first.source);
    Some(canary.problem(
        "spec.targetRef",
        message,
        "two Canaries of one workload undo each other's work: take one away",
    ))
}
