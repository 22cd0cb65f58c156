//! Canary: what an API server with an old or no schema may store, down to everything that is derived from it.

use super::{Outcome, Run, documents_of, law, tree, used};
use api::{Canary, Rollout, Settings, derived};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Canaries as users write them.
pub(super) static CANARIES: &str = include_str!("../../seeds/canaries.yaml");

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = documents_of(CANARIES);
    seeds.push(example(&api::crd::canary()).to_string().into_bytes());
    seeds
}

/// The command lines that matter to Canaries.
pub(super) fn settings() -> [Arc<Settings>; 3] {
    let plain = Settings::default();
    let strict = Settings {
        mesh_provider: "linkerd".to_owned(),
        include_label_prefixes: vec!["app".to_owned(), "*".to_owned()],
        no_cross_namespace_refs: true,
        own_routes: false,
        cluster_name: "lab".to_owned(),
        kstatus_conditions: false,
        ..plain.clone()
    };
    let bare = Settings {
        selector_labels: vec![String::new()],
        config_tracking: false,
        ingress_annotations_prefix: String::new(),
        include_label_prefixes: vec![String::new()],
        metrics_server: String::new(),
        ..plain.clone()
    };
    [plain, strict, bare].map(Arc::new)
}

pub(super) fn run(input: &[u8]) -> Run {
    let Some(tree) = tree(input) else { return Ok(Outcome::Refused) };
    let canary = match api::decode::<Canary>(tree) {
        Ok(canary) => canary,
        Err(error) => {
            law(!error.to_string().is_empty(), || "an error without a text".to_owned())?;
            return Ok(Outcome::Refused);
        }
    };
    for settings in settings() {
        let valid = api::validate(&canary, &settings);
        let rollout = Rollout::resolve(&canary, &settings);
        law(rollout == Rollout::resolve(&canary, &settings), || "resolved differently the second time".to_owned())?;
        resolved(&rollout)?;
        law(valid.is_err() || !rollout.target.name.is_empty(), || "a Canary without target is valid".to_owned())?;
        api::validate(&canary, &settings).map_or_else(|error| used(error.to_string()), |()| ());
    }
    let spec = &canary.spec;
    derived_from(spec)?;
    written_again(&canary.status)
}

/// What everybody who reads a [`Rollout`] relies on.
fn resolved(rollout: &Rollout) -> Result<(), String> {
    law(rollout.interval.as_secs() >= 10, || format!("interval {}", rollout.interval))?;
    law(rollout.threshold >= 1, || format!("threshold {}", rollout.threshold))?;
    law(!rollout.apex.is_empty() || rollout.target.name.is_empty(), || "no apex".to_owned())?;
    used((rollout.full_name(), rollout.full_target(), rollout.strategy.label()));
    used(providers::alerts::fields(rollout, true));
    used(providers::observers::label(rollout));
    used(providers::metrics::probes(rollout));
    Ok(())
}

fn derived_from(spec: &api::CanarySpec) -> Result<(), String> {
    used((derived::primary_service(spec), derived::canary_service(spec), derived::primary_workload(spec)));
    let numbers = [derived::primary_ready_threshold(spec), derived::canary_ready_threshold(spec)];
    for replicas in [0, 1, 3, i32::MAX, i32::MIN] {
        used(numbers.map(|percent| derived::required_pods(replicas, percent)));
    }
    used((derived::progress_deadline_seconds(spec), derived::skip_analysis(spec), derived::is_knative(spec)));
    let Some(analysis) = spec.analysis() else { return Ok(()) };
    used(derived::primary_cookie_max_age(analysis));
    used(analysis.session_affinity.as_ref().map(derived::cookie_max_age));
    analysis.metrics.iter().for_each(|metric| used(derived::metric_interval(metric).to_owned()));
    let max = derived::max_weight(analysis);
    let mut weight = 0;
    for _ in 0..200 {
        let next = derived::next_step(analysis, weight);
        law(next == derived::next_step(analysis, weight), || "another next step the second time".to_owned())?;
        weight = next.min(max);
    }
    Ok(())
}

/// The status is read, changed and written in every round: nothing of it may be lost. What this program does not know (a phase, a verdict) is lost once.
fn written_again(status: &api::CanaryStatus) -> Run {
    let write = |status: &api::CanaryStatus| {
        serde_json::to_value(status).map_err(|error| format!("the status cannot be written: {error}"))
    };
    let read = |written: Value| {
        api::decode::<api::CanaryStatus>(written).map_err(|error| format!("the written status cannot be read: {error}"))
    };
    let known = write(&read(write(status)?)?)?;
    let again = write(&read(known.clone())?)?;
    law(known == again, || format!("the status is {known}, then {again}"))?;
    Ok(Outcome::Read)
}

/// An object with every field that a definition knows.
pub(super) fn example(definition: &Value) -> Value {
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap_or(&Value::Null);
    let mut object = of_schema(schema);
    let kind = definition.pointer("/spec/names/kind").cloned().unwrap_or_default();
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), json!(api::API_VERSION));
        map.insert("kind".to_owned(), kind);
        map.insert(
            "metadata".to_owned(),
            json!({"name": "podinfo", "namespace": "test", "uid": "u-1", "generation": 1}),
        );
    }
    object
}

fn of_schema(schema: &Value) -> Value {
    let first = schema.pointer("/enum/0").or_else(|| schema.get("default"));
    if let Some(value) = first {
        return value.clone();
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let fields: Map<_, _> = properties.iter().map(|(key, inner)| (key.clone(), of_schema(inner))).collect();
        return Value::Object(fields);
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        return json!({"app": of_schema(inner)});
    }
    let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "array" => json!([of_schema(schema.get("items").unwrap_or(&Value::Null))]),
        "object" => json!({}),
        "boolean" => json!(true),
        "integer" | "number" => json!(1),
        "string" if text("format") == "date-time" => json!("2026-01-01T00:00:00Z"),
        "string" if text("pattern").contains('h') => json!("1m"),
        _ => json!("podinfo"),
    }
}
