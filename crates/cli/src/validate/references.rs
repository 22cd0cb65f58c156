//! What a Canary, its target and its templates refer to: is it among the manifests?

use super::case::Case;
use super::finding::Report;
use super::rules::{
    DEPRECATED_FIELD, INVALID_SPEC, LONG_NAME, MISSING_ALERT_PROVIDER, MISSING_AUTOSCALER, MISSING_CONFIG,
    MISSING_GATEWAY, MISSING_INGRESS, MISSING_TARGET, MISSING_TEMPLATE, SHARED_TARGET, UNSUPPORTED,
};
use crate::manifests::Manifest;
use crate::render::stage::Stage;
use api::SpecError;
use objects::kind::{ALERT_PROVIDER, CONFIG_MAP, HORIZONTAL_POD_AUTOSCALER, INGRESS, METRIC_TEMPLATE, SECRET};
use objects::{Kind, paths};
use serde_json::Value;

/// Longest name of a Service.
const LONGEST: usize = 63;

/// Everything that the Canary itself refers to.
pub(super) fn check(case: &Case<'_>, report: &mut Report) {
    spec(case, report);
    target(case, report);
    autoscaler(case, report);
    configs(case, report);
    templates(case, report);
    alert_providers(case, report);
    ingress(case, report);
    gateways(case, report);
    long_names(case, report);
    shared(case, report);
}

/// What the controller refuses before it looks at anything.
fn spec(case: &Case<'_>, report: &mut Report) {
    if let Err(error) = api::validate(&case.canary, &case.settings) {
        let (path, advice) = match &error {
            SpecError::NoTarget => ("spec.targetRef.name", "name the workload"),
            SpecError::SameCookieName => ("spec.analysis.sessionAffinity", "name the two cookies differently"),
            SpecError::KnativeAutoscaler => ("spec.autoscalerRef", "remove it"),
            SpecError::CrossNamespace { .. } => ("spec.analysis", "move the object into the Canary's namespace"),
            SpecError::KnativeTarget { .. } | SpecError::KnativeProvider { .. } => {
                ("spec.targetRef", "take the provider knative for Knative Services, and for nothing else")
            }
        };
        case.add(report, &INVALID_SPEC, path, error.to_string(), advice);
    } else if let Err(error) = Stage::new(case.given, &case.canary, &case.settings) {
        case.add(report, &UNSUPPORTED, error.path, error.text, "docs/providers.md says what there is");
    }
    let scaler = case.rollout.autoscaler.as_ref();
    let Some(scaler) = scaler.filter(|scaler| scaler.kind == HORIZONTAL_POD_AUTOSCALER.kind) else { return };
    if !["", "autoscaling/v2"].contains(&scaler.api_version.as_str()) {
        let message = format!("{} is taken for autoscaling/v2", scaler.api_version);
        case.add(report, &DEPRECATED_FIELD, "spec.autoscalerRef.apiVersion", message, "write autoscaling/v2");
    }
    let bounds = scaler.primary_scaler_replicas.as_ref();
    let bounds = bounds.and_then(|bounds| Some((bounds.min_replicas?, bounds.max_replicas?)));
    if let Some((least, most)) = bounds.filter(|(least, most)| least > most) {
        let message = format!("minReplicas {least} is above maxReplicas {most}");
        case.add(report, &INVALID_SPEC, "spec.autoscalerRef.primaryScalerReplicas", message, "correct one of them");
    }
}

fn target(case: &Case<'_>, report: &mut Report) {
    let target = &case.rollout.target;
    let supported = providers::targets::target(&target.api_version, &target.kind).is_some();
    if case.target.is_some() || !supported || target.name.is_empty() {
        return;
    }
    let kinds = &objects::kind::DEPLOYMENT;
    let advice = case.advice(kinds, &case.rollout.namespace, &target.name);
    let message = format!("there is no {} {} among the manifests", target.kind, target.name);
    report.missing(&MISSING_TARGET, case.manifest, "spec.targetRef.name", message, advice);
}

fn autoscaler(case: &Case<'_>, report: &mut Report) {
    let Some(scaler) = &case.rollout.autoscaler else { return };
    let kind = &HORIZONTAL_POD_AUTOSCALER;
    if scaler.kind == kind.kind {
        wanted(case, report, &MISSING_AUTOSCALER, kind, None, &scaler.name, "spec.autoscalerRef.name");
    }
}

fn templates(case: &Case<'_>, report: &mut Report) {
    for (index, metric) in case.rollout.analysis.metrics.iter().enumerate() {
        let Some(template) = &metric.template_ref else { continue };
        let path = format!("spec.analysis.metrics[{index}].templateRef.name");
        let namespace = template.namespace_or(&case.rollout.namespace);
        wanted(case, report, &MISSING_TEMPLATE, &METRIC_TEMPLATE, Some(namespace), &template.name, &path);
    }
}

fn alert_providers(case: &Case<'_>, report: &mut Report) {
    for (index, alert) in case.rollout.analysis.alerts.iter().enumerate() {
        let path = format!("spec.analysis.alerts[{index}].providerRef.name");
        let namespace = alert.provider_ref.namespace_or(&case.rollout.namespace);
        let name = &alert.provider_ref.name;
        wanted(case, report, &MISSING_ALERT_PROVIDER, &ALERT_PROVIDER, Some(namespace), name, &path);
    }
}

fn ingress(case: &Case<'_>, report: &mut Report) {
    if let Some(name) = &case.rollout.ingress {
        wanted(case, report, &MISSING_INGRESS, &INGRESS, None, name, "spec.ingressRef.name");
    }
}

/// Gateways are often somebody else's, in another namespace; there they are missed only if everything is to be given.
fn gateways(case: &Case<'_>, report: &mut Report) {
    let own = case.rollout.namespace.as_str();
    let service = &case.rollout.service;
    let of_istio = service.gateways.iter().enumerate().filter(|(_, name)| *name != "mesh").map(|(index, name)| {
        let (namespace, name) = name.split_once('/').unwrap_or((own, name));
        (format!("spec.service.gateways[{index}]"), "networking.istio.io", namespace, name)
    });
    let is_gateway = |kind: Option<&str>| kind.is_none_or(|kind| kind.is_empty() || kind == "Gateway");
    let parents = service.gateway_refs.iter().enumerate();
    let of_api = parents.filter(|(_, parent)| is_gateway(parent.kind.as_deref())).map(|(index, parent)| {
        let namespace = parent.namespace.as_deref().unwrap_or(own);
        (
            format!("spec.service.gatewayRefs[{index}].name"),
            "gateway.networking.k8s.io",
            namespace,
            parent.name.as_str(),
        )
    });
    for (path, group, namespace, name) in of_istio.chain(of_api) {
        let mut all = case.given.named(group, "Gateway");
        if (namespace == own || report.is_complete())
            && !all.any(|other| other.name() == name && case.given.namespace_of(other) == namespace)
        {
            let message = format!("there is no Gateway {name} in the namespace {namespace} among the manifests");
            let advice = "give its manifest with -f too, or make sure that the cluster has it";
            report.missing(&MISSING_GATEWAY, case.manifest, &path, message, advice);
        }
    }
}

fn wanted(
    case: &Case<'_>,
    report: &mut Report,
    rule: &'static super::rules::Rule,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    path: &str,
) {
    let namespace = namespace.unwrap_or(&case.rollout.namespace);
    if name.is_empty() || case.given.find(kind, namespace, name).is_some() {
        return;
    }
    let message = format!("there is no {} {name} in the namespace {namespace} among the manifests", kind.kind);
    report.missing(rule, case.manifest, path, message, case.advice(kind, namespace, name));
}

/// `ConfigMap`s and Secrets that the target's pods need.
fn configs(case: &Case<'_>, report: &mut Report) {
    let Some(target) = case.target else { return };
    let Some(pod) = target.object.pointer("/spec/template/spec") else { return };
    let mut uses = Vec::new();
    collect(pod, "spec.template.spec", &mut uses);
    for (kind, name, path) in uses {
        if case.find(kind, &name).is_none() {
            let message = format!("there is no {} {name} in the namespace {}", kind.kind, case.rollout.namespace);
            let advice = case.advice(kind, &case.rollout.namespace, &name);
            report.missing(&MISSING_CONFIG, target, &path, format!("{message} among the manifests"), advice);
        }
    }
}

/// References to configs anywhere in a pod spec, but for optional ones, with their paths.
fn collect(value: &Value, path: &str, uses: &mut Vec<(&'static Kind, String, String)>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, &format!("{path}[{index}]"), uses));
        }
        Value::Object(fields) => {
            for (key, child) in fields {
                let path = format!("{path}.{key}");
                let (kind, field) = match key.as_str() {
                    "configMapRef" | "configMapKeyRef" | "configMap" => (&CONFIG_MAP, "name"),
                    // Of a volume; within a projected one it is called name.
                    "secret" if child.get("secretName").is_some() => (&SECRET, "secretName"),
                    "secret" | "secretRef" | "secretKeyRef" => (&SECRET, "name"),
                    _ => {
                        collect(child, &path, uses);
                        continue;
                    }
                };
                let optional = child.get("optional").and_then(Value::as_bool).unwrap_or_default();
                let name = child.get(field).and_then(Value::as_str).unwrap_or_default();
                if !optional && !name.is_empty() {
                    uses.push((kind, name.to_owned(), format!("{path}.{field}")));
                }
            }
        }
        _ => {}
    }
}

fn long_names(case: &Case<'_>, report: &mut Report) {
    let rollout = &case.rollout;
    if let Some(name) = [&rollout.primary_service, &rollout.canary_service].into_iter().find(|it| it.len() > LONGEST) {
        let own = paths::text(&case.manifest.object, "/spec/service/name");
        let path = if own.is_empty() { "spec.targetRef.name" } else { "spec.service.name" };
        let message = format!("`{name}` has {} characters", name.len());
        let advice = format!("set spec.service.name to one of {} at most", LONGEST.saturating_sub("-primary".len()));
        case.add(report, &LONG_NAME, path, message, advice);
    }
}

/// Another Canary for the same thing, told at the later one.
fn shared(case: &Case<'_>, report: &mut Report) {
    for other in case.given.of(&objects::kind::CANARY).take_while(|other| other.source != case.manifest.source) {
        if case.given.namespace_of(other) != case.rollout.namespace {
            continue;
        }
        let Ok(canary) = case.given.canary(other) else { continue };
        let theirs = api::Rollout::resolve(&canary, &case.settings);
        let place = place(other);
        if theirs.target == case.rollout.target {
            let message = format!("Canary {} has this target too ({place})", other.name());
            case.add(report, &SHARED_TARGET, "spec.targetRef.name", message, "remove one of the two Canaries");
        } else if theirs.apex == case.rollout.apex {
            let message = format!("Canary {} has the service name {} too ({place})", other.name(), theirs.apex);
            case.add(report, &SHARED_TARGET, "spec.service", message, "set spec.service.name to another name");
        }
    }
}

fn place(manifest: &Manifest) -> String {
    manifest.source.to_string()
}
