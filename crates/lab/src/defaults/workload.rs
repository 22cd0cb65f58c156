//! The workloads of `apps/v1`.

use super::labels::{self, Labels};
use super::{container, each, fill, map_of, pod, strategy, submap};
use crate::failure::FieldError;
use crate::selector::selects;
use objects::paths;
use serde_json::{Map, Value, json};

const UNMATCHED: &str = "`selector` does not match template `labels`";
/// The annotation in which the server keeps a field that `apps/v1` has no longer.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// `apps/v1 Deployment`.
pub(crate) fn deployment(object: &mut Value, _: Option<&Value>) {
    let object = map_of(object);
    let spec = template(object);
    fill(spec, "replicas", json!(1));
    fill(spec, "revisionHistoryLimit", json!(10));
    fill(spec, "progressDeadlineSeconds", json!(600));
    let strategy = submap(spec, "strategy");
    fill(strategy, "type", json!("RollingUpdate"));
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        let rolling = submap(strategy, "rollingUpdate");
        fill(rolling, "maxUnavailable", json!("25%"));
        fill(rolling, "maxSurge", json!("25%"));
    }
    for condition in each(submap(object, "status"), "conditions") {
        fill(condition, "lastTransitionTime", Value::Null);
        fill(condition, "lastUpdateTime", Value::Null);
    }
}

/// `apps/v1 DaemonSet`.
pub(crate) fn daemon_set(object: &mut Value, old: Option<&Value>) {
    let object = map_of(object);
    let spec = template(object);
    fill(spec, "revisionHistoryLimit", json!(10));
    let strategy = submap(spec, "updateStrategy");
    fill(strategy, "type", json!("RollingUpdate"));
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        let rolling = submap(strategy, "rollingUpdate");
        fill(rolling, "maxUnavailable", json!(1));
        fill(rolling, "maxSurge", json!(0));
    }
    template_generation(object, old);
    let status = submap(object, "status");
    for key in ["currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"] {
        fill(status, key, json!(0));
    }
}

fn template_generation(object: &mut Map<String, Value>, old: Option<&Value>) {
    let of = |old: &Value| {
        let text =
            old.pointer("/metadata/annotations").and_then(|all| all.get(TEMPLATE_GENERATION)).and_then(Value::as_str);
        text.and_then(|text| text.parse::<u64>().ok())
    };
    let template = object.get("spec").and_then(|spec| spec.get("template"));
    let changed = old.is_some_and(|old| old.pointer("/spec/template") != template);
    let number = old.and_then(of).map_or(1, |number| number + u64::from(changed));
    submap(submap(object, "metadata"), "annotations").insert(TEMPLATE_GENERATION.to_owned(), json!(number.to_string()));
}

/// `apps/v1 ReplicaSet`.
pub(crate) fn replica_set(object: &mut Value, _: Option<&Value>) {
    let object = map_of(object);
    fill(template(object), "replicas", json!(1));
    fill(submap(object, "status"), "replicas", json!(0));
}

/// `apps/v1 StatefulSet`.
pub(crate) fn stateful_set(object: &mut Value, _: Option<&Value>) {
    let object = map_of(object);
    let spec = template(object);
    fill(spec, "replicas", json!(1));
    fill(spec, "revisionHistoryLimit", json!(10));
    fill(spec, "podManagementPolicy", json!("OrderedReady"));
    fill(spec, "persistentVolumeClaimRetentionPolicy", json!({"whenDeleted": "Retain", "whenScaled": "Retain"}));
    let strategy = submap(spec, "updateStrategy");
    fill(strategy, "type", json!("RollingUpdate"));
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        fill(submap(strategy, "rollingUpdate"), "partition", json!(0));
    }
    let status = submap(object, "status");
    fill(status, "availableReplicas", json!(0));
    fill(status, "replicas", json!(0));
}

/// Completes the pod template; the answer is the workload's spec.
fn template(object: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let spec = submap(object, "spec");
    let template = submap(spec, "template");
    submap(template, "metadata");
    pod::pod_spec(submap(template, "spec"));
    spec
}

/// What all workloads must keep to: a selector that matches the template and never changes, containers with names and images.
pub(crate) fn validate(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if object.pointer("/spec/replicas").and_then(Value::as_i64).is_some_and(|replicas| replicas < 0) {
        let value = object.pointer("/spec/replicas").unwrap_or(&Value::Null);
        errors.push(FieldError::invalid("spec.replicas", value, "must be greater than or equal to 0"));
    }
    validate_selector(object, old, &mut errors);
    labels::check(&Labels::of(object.pointer("/spec/template/metadata/labels")), "spec.template.labels", &mut errors);
    container::validate_all(object, "/spec/template/spec", "spec.template.spec", &mut errors);
    let nodes = Labels::of(object.pointer("/spec/template/spec/nodeSelector"));
    labels::check(&nodes, "spec.template.spec.nodeSelector", &mut errors);
    let policy = paths::text(object, "/spec/template/spec/restartPolicy");
    if policy != "Always" {
        let known = ["Always".to_owned()];
        errors.push(FieldError::unsupported("spec.template.spec.restartPolicy", &json!(policy), &known));
    }
    if paths::text(object, "/kind") == "Deployment" {
        strategy::validate_deployment(object, &mut errors);
    }
    if paths::text(object, "/kind") == "DaemonSet" {
        strategy::validate_daemon_set(object, &mut errors);
    }
    errors
}

/// A selector with its fields in the order in which the server writes them.
fn shown_selector(selector: &Value) -> Value {
    let keys = ["matchLabels", "matchExpressions"];
    keys.iter().filter_map(|key| Some(((*key).to_owned(), selector.get(*key)?.clone()))).collect()
}

fn validate_selector(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let labels = object.pointer("/spec/template/metadata/labels");
    let Some(selector) = object.pointer("/spec/selector") else {
        errors.push(FieldError::required("spec.selector", ""));
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels.unwrap_or(&Value::Null), UNMATCHED));
        if old.is_some_and(|old| old.pointer("/spec/selector").is_some()) {
            errors.push(FieldError::invalid("spec.selector", &Value::Null, "field is immutable"));
        }
        return;
    };
    let before = errors.len();
    for (at, one) in paths::list(selector, "/matchExpressions").enumerate() {
        let operator = paths::text(one, "/operator");
        if !["In", "NotIn", "Exists", "DoesNotExist"].contains(&operator) {
            let field = format!("spec.selector.matchExpressions[{at}].operator");
            errors.push(FieldError::invalid(field, &json!(operator), "not a valid selector operator"));
        }
    }
    if errors.len() > before {
        errors.push(FieldError::invalid("spec.selector", &shown_selector(selector), "invalid label selector"));
        return;
    }
    labels::check(&Labels::of(selector.get("matchLabels")), "spec.selector.matchLabels", errors);
    if selector.as_object().is_some_and(Map::is_empty) {
        errors.push(FieldError::invalid("spec.selector", selector, "empty selector is invalid for deployment"));
    } else if !selects(Some(selector), labels) {
        let labels = labels.unwrap_or(&Value::Null);
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, UNMATCHED));
    }
    if old.is_some_and(|old| old.pointer("/spec/selector") != Some(selector)) {
        errors.push(FieldError::invalid("spec.selector", &shown_selector(selector), "field is immutable"));
    }
}
