//! What the provider can do, and whether routes can be made.

use super::case::Case;
use super::finding::{Finding, Report};
use super::rules::{
    CANNOT_RENDER, INGRESS_BACKEND, INGRESS_PORT, ISTIO_HEADER_CASE, ISTIO_REGEX, Level, MISSING_REFERENCE,
    OWNED_BY_BOTH, PROVIDER_ABILITY,
};
use crate::manifests::Manifest;
use crate::render::stage::{Kind, Stage, StageError};
use api::{HttpMatchRequest, Strategy};
use objects::kind::INGRESS;
use objects::paths::{integer, list, text};
use providers::routers;
use providers::routers::istio::matching::{self, Doubt};
use rollout::{Routes, Weight};
use serde_json::Value;

/// Everything about routes.
pub(super) fn check(case: &Case<'_>, report: &mut Report) {
    let Some(stage) = case.stage() else { return };
    abilities(case, &stage, report);
    backends(case, report);
    if is_istio(case) {
        matches(case, report);
    }
    if let Err(error) = play(case, report) {
        // Other findings say why, and where.
        let files = [Some(case.manifest), case.target].map(|manifest| manifest.map(|manifest| &manifest.source.file));
        let is_error =
            |finding: &Finding| finding.level == Level::Error && files.contains(&Some(&finding.problem.file));
        let other = case.target.is_none() || report.findings.iter().any(is_error);
        impossible(case, &error, other, report);
    }
}

fn abilities(case: &Case<'_>, stage: &Stage, report: &mut Report) {
    let (rollout, abilities) = (&case.rollout, stage.abilities());
    let (analysis, provider) = (&rollout.analysis, &rollout.provider);
    // What is misunderstood has rules of its own, with the place of each.
    for text in &abilities.missing {
        // Some say themselves what to do.
        let told = ["either ", ", use ", ", remove ", "it must be "].iter().any(|advice| text.contains(advice));
        let advice = if told { "" } else { "remove it, or take a provider that can do it" };
        case.add(report, &PROVIDER_ABILITY, place(text), text.clone(), advice);
    }
    let mut cannot = |asked: bool, field: &str, message: String, advice: &str| {
        if asked {
            case.add(report, &PROVIDER_ABILITY, &format!("spec.analysis.{field}"), message, advice);
        }
    };
    if !abilities.shifts {
        let rounds = if analysis.iterations < 1 { 10 } else { analysis.iterations };
        let field = if analysis.step_weights.is_empty() { "stepWeight" } else { "stepWeights" };
        let message =
            format!("provider {provider} does not split traffic: the release is blue/green with {rounds} iterations");
        cannot(
            rollout.strategy == Strategy::Weighted && rollout.has_analysis,
            field,
            message,
            "set iterations instead, or take a provider that splits traffic",
        );
        let affinity = format!("provider {provider} does not split traffic, so no client has to be kept on a side");
        cannot(analysis.session_affinity.is_some(), "sessionAffinity", affinity, "remove it");
    }
    let untold = |word: &str| !abilities.missing.iter().any(|text| text.to_lowercase().contains(word));
    let message = format!("provider {provider} cannot tell requests apart: the release is blue/green");
    cannot(
        !analysis.matches.is_empty() && !abilities.matches && untold("match"),
        "match",
        message,
        "remove it, or take a provider that can do it",
    );
    let message = format!("provider {provider} cannot mirror requests");
    cannot(
        analysis.mirror && !abilities.mirrors && untold("mirror"),
        "mirror",
        message,
        "remove it, or take a provider that can do it",
    );
}

/// The field that a provider's warning is about.
fn place(text: &str) -> &'static str {
    let text = text.to_lowercase();
    let places = [
        ("primarycookiename", "spec.analysis.sessionAffinity.primaryCookieName"),
        ("affinity", "spec.analysis.sessionAffinity"),
        ("mirrorweight", "spec.analysis.mirrorWeight"),
        ("mirror", "spec.analysis.mirror"),
        ("corspolicy", "spec.service.corsPolicy"),
        ("service.timeout", "spec.service.timeout"),
        ("service.backendtimeout", "spec.service.backendTimeout"),
        ("service.retries", "spec.service.retries"),
        ("service.match", "spec.service.match"),
        ("match", "spec.analysis.match"),
    ];
    places.into_iter().find(|(word, _)| text.contains(word)).map_or("spec.provider", |(_, path)| path)
}

/// Whether the provider's routes are Istio's.
fn is_istio(case: &Case<'_>) -> bool {
    routers::router(&case.rollout.provider)
        .is_some_and(|router| router.kinds().iter().any(|access| access.kind.kind == "VirtualService"))
}

fn matches(case: &Case<'_>, report: &mut Report) {
    let lists = [("service", &case.rollout.service.matches), ("analysis", &case.rollout.analysis.matches)];
    for (block, entries) in lists {
        for (index, entry) in entries.iter().enumerate() {
            entry_for_istio(case, entry, &format!("spec.{block}.match[{index}]"), report);
        }
    }
}

fn entry_for_istio(case: &Case<'_>, entry: &HttpMatchRequest, at: &str, report: &mut Report) {
    for (name, doubt) in matching::doubts(entry) {
        let path = format!("{at}.headers.{name}");
        match doubt {
            Doubt::Capitals => {
                let message = format!("{name} has capital letters");
                case.add(report, &ISTIO_HEADER_CASE, &path, message, format!("write {}", name.to_lowercase()));
            }
            Doubt::LookAround(found) => {
                let message = format!("`{found}` is not known to RE2");
                case.add(report, &ISTIO_REGEX, &format!("{path}.regex"), message, "say it without look-around");
            }
        }
    }
}

/// The user's Ingress leads to the apex, on the port of the Canary's service.
fn backends(case: &Case<'_>, report: &mut Report) {
    let rollout = &case.rollout;
    let Some(ingress) = rollout.ingress.as_deref().and_then(|name| case.find(&INGRESS, name)) else { return };
    let mut found = false;
    for (rule, entry) in list(&ingress.object, "/spec/rules").enumerate() {
        for (index, path) in list(entry, "/http/paths").enumerate() {
            let Some(service) = path.pointer("/backend/service").filter(|it| text(it, "/name") == rollout.apex) else {
                continue;
            };
            found = true;
            let at = format!("spec.rules[{rule}].http.paths[{index}].backend.service.port");
            backend_port(case, ingress, service, &at, report);
        }
    }
    if !found {
        let message = format!("no path leads to the Service {}", rollout.apex);
        let advice = format!("name {} as a backend, or correct spec.service.name of the Canary", rollout.apex);
        report.add(&INGRESS_BACKEND, ingress, "spec.rules", message, advice);
    }
}

fn backend_port(case: &Case<'_>, ingress: &Manifest, service: &Value, at: &str, report: &mut Report) {
    let (port, own) = (integer(service, "/port/number"), &case.rollout.service);
    let (name, own_name) = (text(service, "/port/name"), own.port_name.as_deref().unwrap_or("http"));
    let discovered = own.port_discovery;
    let wrong = match port {
        Some(port) => (port != i64::from(own.port)).then(|| port.to_string()),
        None => (name != own_name).then(|| name.to_owned()),
    };
    // Discovered ports are known only with the target.
    if let Some(wrong) = wrong.filter(|_| !discovered) {
        let message = format!(
            "{wrong} is not the port of the Service {}, which has {} ({own_name})",
            case.rollout.apex, own.port
        );
        report.add(&INGRESS_PORT, ingress, at, message, format!("write `number: {}`", own.port));
    }
}

/// Makes everything that a release makes, and tells which of the user's objects are written on the way.
fn play(case: &Case<'_>, report: &mut Report) -> Result<(), StageError> {
    let Some(mut stage) = case.stage() else { return Ok(()) };
    stage.initialize()?;
    stage.route(&Routes { canary: Weight::clipped(10), mirrored: case.rollout.analysis.mirror, affinity: None })?;
    for (reference, kind, object) in stage.objects() {
        let Some(manifest) = case.given.find(reference.kind, &reference.namespace, &reference.name) else { continue };
        let is_target = case.target.is_some_and(|target| target.source == manifest.source);
        // The annotation of a mirror on the user's Ingress is how ingress-nginx wants it.
        if is_target
            || kind == Kind::Created
            || *reference.kind == INGRESS && Some(&*reference.name) == case.rollout.ingress.as_deref()
        {
            continue;
        }
        let changed = changed(&manifest.object, object).join(" and ");
        let message = format!("the controller of Canary {} changes {changed}", case.rollout.name);
        report.add(
            &OWNED_BY_BOTH,
            manifest,
            "",
            message,
            "remove this manifest: the controller makes the object itself",
        );
    }
    let primary = case.given.find(&objects::kind::DEPLOYMENT, &case.rollout.namespace, &case.rollout.primary);
    if let Some(primary) = primary {
        let message = format!("is the primary of Canary {}, which the controller makes", case.rollout.name);
        report.add(&OWNED_BY_BOTH, primary, "", message, "remove this manifest");
    }
    Ok(())
}

/// The fields that differ, two levels deep.
fn changed(before: &Value, after: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    for block in ["metadata", "spec"] {
        let (old, new) = (before.get(block), after.get(block));
        let keys = new.and_then(Value::as_object).into_iter().flat_map(|map| map.iter());
        for (key, value) in keys.filter(|(key, _)| *key != "namespace") {
            let old = old.and_then(|old| old.get(key)).unwrap_or(&Value::Null);
            if !objects::diff::equivalent(old, value) {
                fields.push(format!("{block}.{key}"));
            }
        }
    }
    fields
}

/// Why a release cannot be made.
fn impossible(case: &Case<'_>, error: &StageError, other: bool, report: &mut Report) {
    let text = error.text.as_str();
    if text.contains("ingress selector is empty") {
        let advice = "add ingressRef with apiVersion networking.k8s.io/v1, kind Ingress and its name";
        let message = format!("provider {} needs an Ingress", case.rollout.provider);
        case.add(report, &MISSING_REFERENCE, "spec.ingressRef", message, advice);
    } else if text.contains("GatewayRefs must be specified") {
        let advice = "add gatewayRefs with the name and namespace of the Gateway";
        let message = format!("provider {} needs a Gateway", case.rollout.provider);
        case.add(report, &MISSING_REFERENCE, "spec.service.gatewayRefs", message, advice);
    } else if !other && !text.contains("not found") {
        let path = if text.contains("matching selectors") { "spec.service.match" } else { error.path };
        case.add(report, &CANNOT_RENDER, path, text.trim(), "correct what it names");
    }
}
