//! Services. Addresses are given out in `verbs`, where the store is at hand.

use super::labels::{self, Labels};
use super::{each, fill, map_of, submap};
use crate::failure::{Breach, FieldError};
use objects::paths;
use serde_json::{Map, Value, json};

/// `v1 Service`.
pub(crate) fn service(object: &mut Value, old: Option<&Value>) {
    let object = map_of(object);
    let spec = submap(object, "spec");
    fill(spec, "sessionAffinity", json!("None"));
    fill(spec, "type", json!("ClusterIP"));
    if spec.get("sessionAffinity") == Some(&json!("ClientIP")) {
        fill(submap(submap(spec, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds", json!(10800));
    } else {
        spec.shift_remove("sessionAffinityConfig");
    }
    for port in each(spec, "ports") {
        fill(port, "protocol", json!("TCP"));
        if let Some(number) = port.get("port").cloned() {
            // 0 is what the types make of an absent one.
            if port.get("targetPort").is_none_or(|target| target == &json!(0) || target == &json!("")) {
                port.insert("targetPort".to_owned(), number);
            }
        }
    }
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            spec.shift_remove(key);
        }
    } else {
        fill(spec, "internalTrafficPolicy", json!("Cluster"));
        // An update may leave out what was given at creation.
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let kept = old.and_then(|old| old.pointer(&format!("/spec/{key}"))).cloned();
            if let Some(kept) = kept.filter(|_| old.is_some_and(|old| paths::text(old, "/spec/type") != "ExternalName"))
            {
                fill(spec, key, kept);
            }
        }
    }
    if matches!(kind.as_str(), "LoadBalancer" | "NodePort") {
        fill(spec, "externalTrafficPolicy", json!("Cluster"));
    } else if let Some(old) = old {
        drop_node_ports(spec, old);
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    let status = submap(object, "status");
    for one in each(submap(status, "loadBalancer"), "ingress").filter(|one| one.contains_key("ip")) {
        fill(one, "ipMode", json!("VIP"));
    }
}

/// Who is no longer reached from outside needs no ports for it, unless the writer asks for other ones.
fn drop_node_ports(spec: &mut Map<String, Value>, old: &Value) {
    if spec.get("externalTrafficPolicy") == old.pointer("/spec/externalTrafficPolicy") {
        spec.shift_remove("externalTrafficPolicy");
    }
    let given: Vec<Value> = paths::list(old, "/spec/ports").filter_map(|port| port.get("nodePort").cloned()).collect();
    for port in each(spec, "ports") {
        if port.get("nodePort").is_some_and(|one| given.contains(one)) {
            port.shift_remove("nodePort");
        }
    }
}

/// What a Service must keep to.
pub(crate) fn validate(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = paths::text(object, "/spec/type");
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        errors.push(FieldError::unsupported("spec.type", &json!(kind), &kinds.map(str::to_owned)));
    }
    let ports: Vec<_> = paths::list(object, "/spec/ports").collect();
    let headless = paths::text(object, "/spec/clusterIP") == "None";
    if ports.is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if kind == "ExternalName" && paths::text(object, "/spec/externalName").is_empty() {
        errors.push(FieldError::required("spec.externalName", ""));
    }
    for (at, port) in ports.iter().enumerate() {
        validate_port(port, at, &ports, &mut errors);
    }
    labels::check(&Labels::of(object.pointer("/spec/selector")), "spec.selector", &mut errors);
    let affinity = paths::text(object, "/spec/sessionAffinity");
    if !matches!(affinity, "ClientIP" | "None") {
        let known = ["ClientIP", "None"].map(str::to_owned);
        errors.push(FieldError::unsupported("spec.sessionAffinity", &json!(affinity), &known));
    }
    validate_address(object, old, &mut errors);
    errors
}

fn validate_port(port: &Value, at: usize, ports: &[&Value], errors: &mut Vec<FieldError>) {
    let path = format!("spec.ports[{at}]");
    let before = || ports.iter().take(at);
    let name = paths::text(port, "/name");
    if name.is_empty() && ports.len() > 1 {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else if !name.is_empty() {
        labels::Names::Label.check(name, &format!("{path}.name"), errors);
        if before().any(|other| paths::text(other, "/name") == name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), &json!(name)));
        }
    }
    let number = paths::integer(port, "/port").unwrap_or_default();
    if !(1..=65535).contains(&number) {
        errors.push(FieldError::invalid(
            format!("{path}.port"),
            &json!(number),
            "must be between 1 and 65535, inclusive",
        ));
    }
    if let Some(target) = port.get("targetPort") {
        validate_target(target, &format!("{path}.targetPort"), errors);
    }
    let protocol = paths::text(port, "/protocol");
    let protocols = ["SCTP", "TCP", "UDP"];
    if !protocols.contains(&protocol) {
        errors.push(FieldError::unsupported(
            format!("{path}.protocol"),
            &json!(protocol),
            &protocols.map(str::to_owned),
        ));
    }
    if before().any(|other| other.get("port") == port.get("port") && paths::text(other, "/protocol") == protocol) {
        // The server shows its own, internal type.
        let shown = json!({"Name": "", "Protocol": protocol, "AppProtocol": null, "Port": number, "TargetPort": 0, "NodePort": 0});
        errors.push(FieldError::duplicate(path, &shown));
    }
}

fn validate_target(target: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match target {
        Value::Number(number) if !(1..=65535).contains(&number.as_i64().unwrap_or_default()) => {
            errors.push(FieldError::invalid(path, target, "must be between 1 and 65535, inclusive"));
        }
        Value::String(name) => validate_port_name(name, path, errors),
        _ => {}
    }
}

/// Checks the name of a port of a container, which a Service may have as its target.
pub(crate) fn validate_port_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    for (breaks, rule) in [
        (name.len() > 15, "must be no more than 15 characters"),
        (!name.chars().all(plain), "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
        (!name.contains(|letter: char| letter.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen"),
    ] {
        if breaks {
            errors.push(FieldError::invalid(path, &json!(name), rule));
        }
    }
}

fn validate_address(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let is = paths::text(object, "/spec/clusterIP");
    if !matches!(is, "" | "None") && is.parse::<std::net::IpAddr>().is_err() {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &json!(is), why));
    }
    let Some(old) = old else { return };
    let (was, is) = (paths::text(old, "/spec/clusterIP"), paths::text(object, "/spec/clusterIP"));
    let named = |object: &Value| paths::text(object, "/spec/type") == "ExternalName";
    if !was.is_empty() && was != is && !named(object) && !named(old) {
        let value = json!([is]);
        errors.push(FieldError {
            field: "spec.clusterIPs[0]".to_owned(),
            breach: Breach::Invalid,
            value: value.to_string(),
            detail: "may not change once set".to_owned(),
        });
    }
}
