//! How Deployments and `DaemonSet`s are rolled out, and what their status must keep to.
//!
//! Source: refusals of kube-apiserver 1.36.

use crate::failure::{Breach, FieldError};
use objects::paths;
use serde_json::{Value, json};

/// The strategy, the deadline and the status of a Deployment.
pub(crate) fn validate_deployment(object: &Value, errors: &mut Vec<FieldError>) {
    let rolling = object.pointer("/spec/strategy/rollingUpdate");
    match paths::text(object, "/spec/strategy/type") {
        "Recreate" if rolling.is_some() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", why));
        }
        "Recreate" => {}
        "RollingUpdate" => {
            if let Some(rolling) = rolling {
                validate_rolling(rolling, "spec.strategy.rollingUpdate", errors);
            }
        }
        other => errors.push(unsupported_strategy(object, other)),
    }
    let number = |pointer: &str| paths::integer(object, pointer);
    let (deadline, ready) = (number("/spec/progressDeadlineSeconds"), number("/spec/minReadySeconds").unwrap_or(0));
    if let Some(deadline) = deadline.filter(|deadline| *deadline <= ready) {
        let why = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid("spec.progressDeadlineSeconds", &json!(deadline), why));
    }
    validate_status(object, errors);
}

/// The server shows its own, internal type.
fn unsupported_strategy(object: &Value, kind: &str) -> FieldError {
    let part = |key: &str| object.pointer(&format!("/spec/strategy/rollingUpdate/{key}")).cloned().unwrap_or_default();
    let rolling = object
        .pointer("/spec/strategy/rollingUpdate")
        .map_or(Value::Null, |_| json!({"MaxUnavailable": part("maxUnavailable"), "MaxSurge": part("maxSurge")}));
    let shown = json!({"Type": kind, "RollingUpdate": rolling});
    FieldError::unsupported("spec.strategy", &shown, &["Recreate", "RollingUpdate"].map(str::to_owned))
}

/// The numbers of a rolling update: whole or percent, not both zero.
fn validate_rolling(rolling: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let amount = |key: &str| rolling.get(key).map(amount).unwrap_or_default();
    for key in ["maxUnavailable", "maxSurge"] {
        let value = rolling.get(key).unwrap_or(&Value::Null);
        if amount(key).is_none() && !value.is_null() {
            let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            errors.push(FieldError::invalid(format!("{path}.{key}"), value, why));
        } else if value.as_i64().is_some_and(|number| number < 0) {
            errors.push(FieldError::invalid(format!("{path}.{key}"), value, "must be greater than or equal to 0"));
        }
    }
    let most = rolling.get("maxUnavailable").unwrap_or(&Value::Null);
    if most.is_string() && amount("maxUnavailable").is_some_and(|percent| percent > 100) {
        errors.push(FieldError::invalid(format!("{path}.maxUnavailable"), most, "must not be greater than 100%"));
    }
    if amount("maxUnavailable") == Some(0) && amount("maxSurge") == Some(0) {
        let why = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(format!("{path}.maxUnavailable"), most, why));
    }
}

/// A number, or the number before a percent sign.
fn amount(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.strip_suffix('%')?.parse().ok())
}

/// No number of pods is negative, and no part of them more than all.
fn validate_status(object: &Value, errors: &mut Vec<FieldError>) {
    let number = |key: &str| paths::integer(object, &format!("/status/{key}")).unwrap_or_default();
    let mut invalid = |key: &str, why: &str| {
        errors.push(FieldError::invalid(format!("status.{key}"), &json!(number(key)), why));
    };
    for key in [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ] {
        if number(key) < 0 {
            invalid(key, "must be greater than or equal to 0");
        }
    }
    for key in ["updatedReplicas", "readyReplicas", "availableReplicas"] {
        if number(key) > number("replicas") {
            invalid(key, "cannot be greater than status.replicas");
        }
    }
    if number("availableReplicas") > number("readyReplicas") {
        invalid("availableReplicas", "cannot be greater than readyReplicas");
    }
}

/// The strategy of a `DaemonSet`.
pub(crate) fn validate_daemon_set(object: &Value, errors: &mut Vec<FieldError>) {
    let rolling = object.pointer("/spec/updateStrategy/rollingUpdate");
    match paths::text(object, "/spec/updateStrategy/type") {
        "OnDelete" => {}
        "RollingUpdate" => match rolling {
            Some(rolling) => validate_rolling(rolling, "spec.updateStrategy.rollingUpdate", errors),
            None => errors.push(FieldError {
                field: "spec.updateStrategy.rollingUpdate".to_owned(),
                breach: Breach::Required,
                value: String::new(),
                detail: String::new(),
            }),
        },
        other => {
            let known = ["RollingUpdate", "OnDelete"].map(str::to_owned);
            errors.push(FieldError::unsupported(
                "spec.updateStrategy",
                &json!({"Type": other, "RollingUpdate": null}),
                &known,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(spec: &Value, status: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        validate_deployment(&json!({"spec": spec, "status": status}), &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_rolling_update_makes_progress() {
        let of = |surge: &Value, unavailable: &Value| {
            let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
            texts(&json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}), &Value::Null)
        };
        assert_eq!(of(&json!("25%"), &json!("25%")), [""; 0]);
        assert_eq!(of(&json!(1), &json!(0)), [""; 0]);
        assert!(of(&json!(0), &json!("0%"))[0].ends_with("may not be 0 when `maxSurge` is 0"));
        assert!(of(&json!(1), &json!("101%"))[0].ends_with("must not be greater than 100%"));
        assert!(of(&json!(1), &json!("many"))[0].contains("a valid percent string"));
    }

    #[test]
    fn a_status_adds_up() {
        let spec = json!({"strategy": {"type": "Recreate"}});
        assert_eq!(texts(&spec, &json!({"replicas": 2, "readyReplicas": 2, "availableReplicas": 1})), [""; 0]);
        let more = texts(&spec, &json!({"replicas": 2, "readyReplicas": 3}));
        assert_eq!(more, ["status.readyReplicas: Invalid value: 3: cannot be greater than status.replicas"]);
    }
}
