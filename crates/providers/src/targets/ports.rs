//! Discovery of the ports that Services expose beside the main one (`service.portDiscovery`).
//!
//! Reads `spec.template.spec.containers[].ports` of a workload; not init containers, nor the proxies that meshes inject. Protocols are ignored: every
//! port is exposed as TCP, as in the reference.

use api::{IntOrString, Rollout};
use objects::paths;
use serde_json::Value;
use std::collections::BTreeMap;

/// Containers whose ports are not the application's.
const PROXIES: [&str; 2] = ["istio-proxy", "envoy"];

/// Port name to container port, sorted by number, then name. A later port of the same name replaces an earlier one.
///
/// Left out are the port that the Services have anyway (told by `service.targetPort`, by number or by name), and any port with the number of
/// `service.port`, which would be refused as a duplicate.
pub(super) fn discover(workload: &Value, rollout: &Rollout) -> Vec<(String, i64)> {
    let mut ports = BTreeMap::new();
    for container in paths::list(workload, "/spec/template/spec/containers") {
        let container_name = paths::text(container, "/name");
        if PROXIES.contains(&container_name) {
            continue;
        }
        for (index, port) in paths::list(container, "/ports").enumerate() {
            let (name, number) =
                (paths::text(port, "/name"), paths::integer(port, "/containerPort").unwrap_or_default());
            if number != i64::from(rollout.service.port) && !is_main(name, number, rollout) {
                let name = if name.is_empty() { format!("tcp-{container_name}-{index}") } else { name.to_owned() };
                ports.insert(name, number);
            }
        }
    }
    let mut ports: Vec<_> = ports.into_iter().collect();
    ports.sort_by(|left, right| (left.1, &left.0).cmp(&(right.1, &right.0)));
    ports
}

/// Whether the Services' own port leads to this one. A numeric text is a name; 0 and "0" are read as absence by `api`.
fn is_main(name: &str, number: i64, rollout: &Rollout) -> bool {
    match &rollout.service.target_port {
        Some(IntOrString::Int(target)) => number == i64::from(*target),
        Some(IntOrString::Text(target)) => name == target,
        None => number == i64::from(rollout.service.port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rollout, yaml};

    fn discovered(service: &str) -> Vec<(String, i64)> {
        let workload = yaml(
            "
            spec:
              template:
                spec:
                  initContainers:
                  - {name: init, ports: [{containerPort: 1}]}
                  containers:
                  - name: web
                    ports:
                    - {name: http, containerPort: 8080}
                    - {containerPort: 9999}
                    - {name: http-metrics, containerPort: 9090}
                    - {containerPort: 53, protocol: UDP}
                  - {name: istio-proxy, ports: [{name: admin, containerPort: 15000}]}
                  - {name: envoy, ports: [{name: admin, containerPort: 15001}]}
            ",
        );
        discover(&workload, &rollout(&format!("service: {service}")))
    }

    fn ports(list: &[(&str, i64)]) -> Vec<(String, i64)> {
        list.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
    }

    #[test]
    fn the_main_port_and_those_of_proxies_are_left_out() {
        let others = ports(&[("tcp-web-3", 53), ("http-metrics", 9090), ("tcp-web-1", 9999)]);
        assert_eq!(discovered("{port: 80, targetPort: 8080}"), others);
        assert_eq!(discovered("{port: 80, targetPort: http}"), others);
        assert_eq!(discovered("{port: 8080}"), others);
        assert_eq!(discovered("{port: 8080, targetPort: 0}"), others);
        assert_eq!(discovered("{port: 8080, targetPort: '0'}"), others);
    }

    #[test]
    fn a_numeric_text_is_a_name() {
        let all = ports(&[("tcp-web-3", 53), ("http", 8080), ("http-metrics", 9090), ("tcp-web-1", 9999)]);
        assert_eq!(discovered("{port: 80, targetPort: '8080'}"), all);
    }

    #[test]
    fn no_port_has_the_number_of_the_main_one() {
        assert_eq!(discovered("{port: 9090, targetPort: http}"), ports(&[("tcp-web-3", 53), ("tcp-web-1", 9999)]));
    }
}
