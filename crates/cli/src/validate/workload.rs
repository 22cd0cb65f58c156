//! The target, its autoscaler, and what selects its pods.

use super::case::{Case, is};
use super::finding::Report;
use super::rules::{
    AUTOSCALER_BOUNDS, AUTOSCALER_NOT_REFERENCED, AUTOSCALER_TARGET, REPLICAS_AND_AUTOSCALER, SELECTOR_LABEL,
    SELECTOR_MISMATCH, SELECTS_ONLY_TARGET, TARGET_PORT, UNDECLARED_PORT,
};
use super::words::{enumeration, nearest};
use crate::manifests::Manifest;
use api::IntOrString;
use objects::kind::HORIZONTAL_POD_AUTOSCALER;
use objects::paths::{integer, list, strings, text};

/// Everything about the workload.
pub(super) fn check(case: &Case<'_>, report: &mut Report) {
    autoscaler(case, report);
    let Some(target) = case.target else { return };
    selector(case, target, report);
    port(case, target, report);
    replicas(case, target, report);
    selectors_of_others(case, target, report);
}

fn selector(case: &Case<'_>, target: &Manifest, report: &mut Report) {
    let selector = strings(&target.object, "/spec/selector/matchLabels");
    let labels = strings(&target.object, "/spec/template/metadata/labels");
    let candidates = &case.settings.selector_labels;
    if !candidates.iter().any(|label| selector.contains_key(label)) {
        let message = format!("has none of {}", candidates.join(", "));
        let first = candidates.first().map_or("app", String::as_str);
        let advice = format!(
            "add `{first}: {}` here and to the labels of the pods, or run the controller with -selector-labels",
            target.name()
        );
        report.add(&SELECTOR_LABEL, target, "spec.selector.matchLabels", message, advice);
    }
    for (key, value) in selector.iter().filter(|(key, value)| labels.get(*key) != Some(*value)) {
        let message = match labels.get(key) {
            Some(other) => format!("wants {key}: {value}, but the pods have {key}: {other}"),
            None => format!("wants {key}: {value}, but the pods have no label {key}"),
        };
        let path = format!("spec.selector.matchLabels[{key}]");
        report.add(
            &SELECTOR_MISMATCH,
            target,
            &path,
            message,
            "give the pods the same labels (spec.template.metadata)",
        );
    }
}

/// Ports of a workload's containers: name (may be empty) and number.
fn ports(target: &Manifest) -> Vec<(&str, i64)> {
    list(&target.object, "/spec/template/spec/containers")
        .flat_map(|container| list(container, "/ports"))
        .filter_map(|port| Some((text(port, "/name"), integer(port, "/containerPort")?)))
        .collect()
}

fn port(case: &Case<'_>, target: &Manifest, report: &mut Report) {
    let ports = ports(target);
    let names = || ports.iter().map(|(name, _)| *name).filter(|name| !name.is_empty());
    let shown: Vec<String> = ports
        .iter()
        .map(|(name, number)| if name.is_empty() { number.to_string() } else { format!("{name} ({number})") })
        .collect();
    let shown = enumeration(shown.iter().map(String::as_str));
    let service = &case.rollout.service;
    let is_written = case.manifest.object.pointer("/spec/service/targetPort").is_some();
    match &service.target_port {
        // It cannot be read, which is told elsewhere.
        None if is_written => {}
        Some(IntOrString::Text(name)) if name.parse::<i64>().is_err() => {
            if names().any(|one| one == name) {
                return;
            }
            let message = format!("no container of {} {} has a port named {name}", target.kind(), target.name());
            let advice = match nearest(name, names()) {
                Some(meant) => format!("did you mean {meant}?"),
                None if ports.is_empty() => "declare the port in the pod template, or write its number".to_owned(),
                None => format!("there is {shown}"),
            };
            case.add(report, &TARGET_PORT, "spec.service.targetPort", message, advice);
        }
        other => {
            let number = match other {
                Some(IntOrString::Int(number)) => i64::from(*number),
                Some(IntOrString::Text(text)) => text.parse().unwrap_or_default(),
                None => i64::from(service.port),
            };
            if ports.is_empty() || ports.iter().any(|(_, declared)| *declared == number) {
                return;
            }
            let path = if other.is_some() { "spec.service.targetPort" } else { "spec.service.port" };
            let message = format!("no container of {} {} declares port {number}", target.kind(), target.name());
            let advice = format!("set targetPort to what the container listens on: there is {shown}");
            case.add(report, &UNDECLARED_PORT, path, message, advice);
        }
    }
}

/// The autoscalers of the target.
fn of_target<'g>(case: &Case<'g>) -> impl Iterator<Item = &'g Manifest> {
    let (given, namespace) = (case.given, case.rollout.namespace.clone());
    let target = case.rollout.target.clone();
    given.of(&HORIZONTAL_POD_AUTOSCALER).filter(move |scaler| {
        text(&scaler.object, "/spec/scaleTargetRef/kind") == target.kind
            && text(&scaler.object, "/spec/scaleTargetRef/name") == target.name
            && given.namespace_of(scaler) == namespace
    })
}

fn replicas(case: &Case<'_>, target: &Manifest, report: &mut Report) {
    let Some(scaler) = of_target(case).next() else { return };
    if let Some(replicas) = integer(&target.object, "/spec/replicas") {
        let message = format!("is {replicas}, but HorizontalPodAutoscaler {} sets it", scaler.name());
        report.add(&REPLICAS_AND_AUTOSCALER, target, "spec.replicas", message, "remove the field");
    }
    if case.rollout.autoscaler.is_none() {
        let message = format!("HorizontalPodAutoscaler {} scales the target ({})", scaler.name(), scaler.source);
        let advice = format!("add autoscalerRef with apiVersion autoscaling/v2 and name {}", scaler.name());
        case.add(report, &AUTOSCALER_NOT_REFERENCED, "spec", message, advice);
    }
}

fn autoscaler(case: &Case<'_>, report: &mut Report) {
    let Some(reference) = &case.rollout.autoscaler else { return };
    let kind = &HORIZONTAL_POD_AUTOSCALER;
    let Some(scaler) =
        Some(kind).filter(|kind| kind.kind == reference.kind).and_then(|it| case.find(it, &reference.name))
    else {
        return;
    };
    let (of, name) =
        (text(&scaler.object, "/spec/scaleTargetRef/kind"), text(&scaler.object, "/spec/scaleTargetRef/name"));
    let target = &case.rollout.target;
    if (of, name) != (target.kind.as_str(), target.name.as_str()) {
        let message = format!(
            "scales {of} {name}, but the target of Canary {} is {} {}",
            case.rollout.name, target.kind, target.name
        );
        report.add(
            &AUTOSCALER_TARGET,
            scaler,
            "spec.scaleTargetRef",
            message,
            "correct the name here, or autoscalerRef in the Canary",
        );
    }
    let own = |field: &str| integer(&scaler.object, &format!("/spec/{field}"));
    let (least, most) = (own("minReplicas").unwrap_or(1), own("maxReplicas"));
    if let Some(most) = most.filter(|most| least > *most) {
        let message = format!("minReplicas {least} is above maxReplicas {most}");
        return report.add(&AUTOSCALER_BOUNDS, scaler, "spec.minReplicas", message, "correct one of them");
    }
    let primary = reference.primary_scaler_replicas.clone().unwrap_or_default();
    let least_of_primary = primary.min_replicas.map_or(least, i64::from);
    let most_of_primary = primary.max_replicas.map(i64::from).or(most);
    let both_given = primary.min_replicas.is_some() && primary.max_replicas.is_some();
    if let Some(most) = most_of_primary.filter(|most| least_of_primary > *most && !both_given) {
        let message = format!(
            "makes the primary's minReplicas {least_of_primary} with maxReplicas {most}, of which one is that of HorizontalPodAutoscaler {}",
            scaler.name()
        );
        case.add(report, &AUTOSCALER_BOUNDS, "spec.autoscalerRef.primaryScalerReplicas", message, "set both here");
    }
}

/// What of others selects the target's pods by the label in which the primary's differ.
fn selectors_of_others(case: &Case<'_>, target: &Manifest, report: &mut Report) {
    let labels = strings(&target.object, "/spec/template/metadata/labels");
    let selector = strings(&target.object, "/spec/selector/matchLabels");
    let Some(label) = case.settings.selector_labels.iter().find(|label| selector.contains_key(*label)) else { return };
    let rollout = &case.rollout;
    let own = [&rollout.apex, &rollout.canary_service, &rollout.primary_service];
    for other in case.given.all().iter().filter(|other| case.given.namespace_of(other) == rollout.namespace) {
        let pointer = match other.kind() {
            "Service" if is(other, "", "Service") && !own.iter().any(|name| *name == other.name()) => "/spec/selector",
            "NetworkPolicy" if is(other, "networking.k8s.io", "NetworkPolicy") => "/spec/podSelector/matchLabels",
            "PodDisruptionBudget" if is(other, "policy", "PodDisruptionBudget") => "/spec/selector/matchLabels",
            _ => continue,
        };
        let wanted = strings(&other.object, pointer);
        let selects = wanted.iter().all(|(key, value)| labels.get(key) == Some(value));
        if selects && wanted.contains_key(label) {
            let value = labels.get(label).map(String::as_str).unwrap_or_default();
            let message = format!(
                "{label}: {value} selects the pods of {} {}, which is scaled to zero between releases; those that serve have {label}: {value}-primary",
                target.kind(),
                target.name()
            );
            let advice = if other.kind() == "Service" {
                format!("use the Service {} that the controller makes", rollout.apex)
            } else {
                "select by a label that both have, such as one more of your own in the pod template".to_owned()
            };
            report.add(&SELECTS_ONLY_TARGET, other, pointer, message, advice);
        }
    }
}
