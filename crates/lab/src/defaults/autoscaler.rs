//! Autoscalers of pods. They are objects only: nothing scales.

use super::{each, fill, map_of, submap};
use crate::failure::FieldError;
use crate::quantity;
use objects::paths;
use serde_json::{Map, Value, json};

/// `autoscaling/v2 HorizontalPodAutoscaler`.
pub(crate) fn autoscaler(object: &mut Value, _: Option<&Value>) {
    let object = map_of(object);
    let spec = submap(object, "spec");
    fill(spec, "minReplicas", json!(1));
    fill(
        spec,
        "metrics",
        json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]),
    );
    if let Some(behavior) = super::child(spec, "behavior") {
        let up = submap(behavior, "scaleUp");
        fill(up, "stabilizationWindowSeconds", json!(0));
        rules(
            up,
            json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]),
        );
        rules(submap(behavior, "scaleDown"), json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
    }
    let status = submap(object, "status");
    fill(status, "currentMetrics", Value::Null);
    fill(status, "desiredReplicas", json!(0));
}

fn rules(rules: &mut Map<String, Value>, policies: Value) {
    fill(rules, "selectPolicy", json!("Max"));
    fill(rules, "policies", policies);
}

/// Makes the quantities of metric targets canonical. Runs before the types see them.
pub(crate) fn quantities(spec: &mut Map<String, Value>) {
    for metric in each(spec, "metrics") {
        for source in metric.values_mut().filter_map(Value::as_object_mut) {
            let Some(target) = source.get_mut("target").and_then(Value::as_object_mut) else { continue };
            for key in ["value", "averageValue"] {
                target.get_mut(key).into_iter().for_each(quantity::normalize);
            }
        }
    }
}

/// A metric has the source that its type names.
fn validate_metric(metric: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let kinds = [
        ("ContainerResource", "containerResource"),
        ("External", "external"),
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
    ];
    let kind = paths::text(metric, "/type");
    match kinds.iter().find(|(name, _)| *name == kind) {
        None => {
            let known = kinds.map(|(name, _)| name.to_owned());
            errors.push(FieldError::unsupported(format!("{path}.type"), &json!(kind), &known));
        }
        Some((_, source)) if metric.get(*source).is_none() => {
            let why = "must populate information for the given metric source";
            errors.push(FieldError::required(format!("{path}.{source}"), why));
        }
        Some(_) => {}
    }
}

/// What an autoscaler must keep to.
pub(crate) fn validate(object: &Value, _: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (least, most) = (
        paths::integer(object, "/spec/minReplicas").unwrap_or(1),
        paths::integer(object, "/spec/maxReplicas").unwrap_or(0),
    );
    if least < 1 {
        errors.push(FieldError::invalid("spec.minReplicas", &json!(least), "must be greater than or equal to 1"));
        let scales_from_zero =
            paths::list(object, "/spec/metrics").any(|one| matches!(paths::text(one, "/type"), "Object" | "External"));
        if !scales_from_zero {
            let why = "must specify at least one Object or External metric to support scaling to zero replicas";
            errors.push(FieldError::forbidden("spec.metrics", why));
        }
    }
    for (at, metric) in paths::list(object, "/spec/metrics").enumerate() {
        validate_metric(metric, &format!("spec.metrics[{at}]"), &mut errors);
    }
    if most < 1 {
        errors.push(FieldError::required("spec.maxReplicas", "must be set and greater than 0"));
    }
    if most < least {
        errors.push(FieldError::invalid(
            "spec.maxReplicas",
            &json!(most),
            "must be greater than or equal to `minReplicas`",
        ));
    }
    for key in ["kind", "name"] {
        if paths::text(object, &format!("/spec/scaleTargetRef/{key}")).is_empty() {
            errors.push(FieldError::required(format!("spec.scaleTargetRef.{key}"), ""));
        }
    }
    let group = paths::text(object, "/spec/scaleTargetRef/apiVersion");
    if !group.contains('/') {
        errors.push(FieldError::invalid(
            "spec.scaleTargetRef.apiVersion",
            &json!(group),
            "apiVersion must specify API group",
        ));
    }
    errors
}

/// From `autoscaling/v2` to `autoscaling/v1`, which knows one metric: the share of CPU. The others are not shown.
pub(crate) fn present_v1(object: &mut Value) {
    let share = paths::list(object, "/spec/metrics")
        .find(|metric| paths::text(metric, "/resource/name") == "cpu")
        .and_then(|metric| metric.pointer("/resource/target/averageUtilization").cloned());
    paths::set(object, &["apiVersion"], json!("autoscaling/v1"));
    paths::set(object, &["spec", "metrics"], Value::Null);
    paths::set(object, &["spec", "behavior"], Value::Null);
    if let Some(share) = share {
        paths::set(object, &["spec", "targetCPUUtilizationPercentage"], share);
    }
}

/// From `autoscaling/v1` to `autoscaling/v2`, completed.
pub(crate) fn store_v1(object: &mut Value) {
    paths::set(object, &["apiVersion"], json!("autoscaling/v2"));
    if let Some(share) = object.pointer("/spec/targetCPUUtilizationPercentage").cloned() {
        let target = json!({"type": "Utilization", "averageUtilization": share});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        paths::set(object, &["spec", "targetCPUUtilizationPercentage"], Value::Null);
        paths::set(object, &["spec", "metrics"], json!([metric]));
    }
    autoscaler(object, None);
}
