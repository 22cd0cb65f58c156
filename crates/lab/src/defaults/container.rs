//! What the containers of a pod must keep to.
//!
//! Not every rule of the server: those that people meet (names, images, ports, variables, mounts, resources).
//! Source: refusals of kube-apiserver 1.36.

use super::labels::Names;
use super::service::validate_port_name;
use crate::failure::{Breach, FieldError};
use crate::quantity;
use objects::paths;
use serde_json::{Value, json};

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Checks the containers of the pod spec at a pointer; `path` is how texts name it.
pub(crate) fn validate_all(object: &Value, pointer: &str, path: &str, errors: &mut Vec<FieldError>) {
    let containers: Vec<&Value> = paths::list(object, &format!("{pointer}/containers")).collect();
    if containers.is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let volumes: Vec<&str> =
        paths::list(object, &format!("{pointer}/volumes")).map(|volume| paths::text(volume, "/name")).collect();
    for (at, container) in containers.iter().enumerate() {
        let path = format!("{path}.containers[{at}]");
        let name = paths::text(container, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            Names::Label.check(name, &format!("{path}.name"), errors);
            if containers.iter().take(at).any(|other| paths::text(other, "/name") == name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), &json!(name)));
            }
        }
        validate(container, &path, &volumes, errors);
    }
}

fn validate(container: &Value, path: &str, volumes: &[&str], errors: &mut Vec<FieldError>) {
    let image = paths::text(container, "/image");
    if image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    }
    let policy = paths::text(container, "/imagePullPolicy");
    if !PULL_POLICIES.contains(&policy) {
        let known = PULL_POLICIES.map(str::to_owned);
        errors.push(FieldError::unsupported(format!("{path}.imagePullPolicy"), &json!(policy), &known));
    }
    for (at, port) in paths::list(container, "/ports").enumerate() {
        validate_port(port, &format!("{path}.ports[{at}]"), errors);
    }
    for (at, variable) in paths::list(container, "/env").enumerate() {
        validate_variable(paths::text(variable, "/name"), &format!("{path}.env[{at}].name"), errors);
    }
    for (at, mount) in paths::list(container, "/volumeMounts").enumerate() {
        let name = paths::text(mount, "/name");
        if !volumes.contains(&name) {
            let field = format!("{path}.volumeMounts[{at}].name");
            errors.push(FieldError {
                field,
                breach: Breach::NotFound,
                value: json!(name).to_string(),
                detail: String::new(),
            });
        }
    }
    validate_resources(container, path, errors);
}

fn validate_port(port: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let name = paths::text(port, "/name");
    if !name.is_empty() {
        validate_port_name(name, &format!("{path}.name"), errors);
    }
    let number = paths::integer(port, "/containerPort").unwrap_or_default();
    if number == 0 {
        errors.push(FieldError::required(format!("{path}.containerPort"), ""));
    } else if !(1..=65535).contains(&number) {
        let why = "must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(format!("{path}.containerPort"), &json!(number), why));
    }
    let protocol = paths::text(port, "/protocol");
    if !PROTOCOLS.contains(&protocol) {
        let known = PROTOCOLS.map(str::to_owned);
        errors.push(FieldError::unsupported(format!("{path}.protocol"), &json!(protocol), &known));
    }
}

fn validate_variable(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !name.chars().all(|letter| matches!(letter, ' '..='~') && letter != '=') {
        let why = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        errors.push(FieldError::invalid(path, &json!(name), why));
    }
}

/// Nobody asks for more than its limit.
fn validate_resources(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let part = |name: &str| container.pointer(&format!("/resources/{name}")).and_then(Value::as_object);
    for (key, wanted) in part("requests").into_iter().flatten() {
        let Some(limit) = part("limits").and_then(|limits| limits.get(key)) else { continue };
        let size = |value: &Value| value.as_str().and_then(quantity::size);
        if size(wanted).zip(size(limit)).is_some_and(|(wanted, limit)| wanted > limit) {
            let why = format!("must be less than or equal to {key} limit of {}", limit.as_str().unwrap_or_default());
            errors.push(FieldError::invalid(format!("{path}.resources.requests"), wanted, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(container: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        let object = json!({"spec": {"containers": [container], "volumes": [{"name": "v"}]}});
        validate_all(&object, "/spec", "spec", &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_rule_names_its_field() {
        let good = json!({"name": "c", "image": "r/c:1", "imagePullPolicy": "Always", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}],
            "env": [{"name": "A.b-c", "value": ""}], "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "resources": {"requests": {"cpu": "100m", "memory": "1Mi"}, "limits": {"cpu": "1", "memory": "1G"}}});
        assert_eq!(texts(&good), [""; 0]);
        for (pointer, value, text) in [
            ("name", json!("C"), "spec.containers[0].name: Invalid value: \"C\": a lowercase RFC 1123 label"),
            ("image", json!(""), "spec.containers[0].image: Required value"),
            ("env", json!([{"name": "a=b"}]), "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid"),
            ("volumeMounts", json!([{"name": "x"}]), "spec.containers[0].volumeMounts[0].name: Not found: \"x\""),
            (
                "ports",
                json!([{"containerPort": 80, "protocol": "X"}]),
                "spec.containers[0].ports[0].protocol: Unsupported value",
            ),
        ] {
            let mut bad = good.clone();
            bad[pointer] = value;
            let texts = texts(&bad);
            assert!(texts.len() == 1 && texts[0].starts_with(text), "{texts:?}");
        }
        let mut greedy = good;
        greedy["resources"]["requests"]["memory"] = json!("1Gi");
        assert!(texts(&greedy)[0].ends_with("must be less than or equal to memory limit of 1G"));
    }
}
