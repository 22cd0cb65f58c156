//! The small Prometheus that comes with the controller where there is no other.
//!
//! What it scrapes stands in `charts/flagger/files`, which the chart reads too. Source: operations notes, section 6.3;
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/>

use crate::objects::{binding, labelled, named, service_account};
use serde_json::{Value, json};

/// Its image, wherever nobody names another. A test holds the chart's value to it.
pub const IMAGE: &str = "docker.io/prom/prometheus:v3.5.0";
/// Name of its objects, outside of the chart.
pub const NAME: &str = "flagger-prometheus";
/// `prometheus.yml`.
pub const CONFIGURATION: &str = include_str!("../../../charts/flagger/files/prometheus.yml");
const RULES: &str = include_str!("../../../charts/flagger/files/prometheus-rules.yaml");

/// Where the controller finds it from the same namespace.
pub fn url() -> String {
    format!("http://{NAME}:9090")
}

/// Account, role and binding.
pub fn account(namespace: &str) -> Vec<Value> {
    let rules: Value = serde_yaml_ng::from_str(RULES).unwrap_or_default();
    let mut role = named("rbac.authorization.k8s.io/v1", "ClusterRole", NAME, "");
    if let Some(role) = role.as_object_mut() {
        role.insert("rules".to_owned(), rules);
    }
    vec![service_account(NAME, namespace), role, binding("ClusterRole", NAME, "", namespace)]
}

/// The configuration as an object; Kustomize generates its own from the file.
pub fn config_map(namespace: &str) -> Value {
    let mut config = named("v1", "ConfigMap", NAME, namespace);
    if let Some(config) = config.as_object_mut() {
        config.insert("data".to_owned(), json!({ "prometheus.yml": CONFIGURATION }));
    }
    config
}

/// The server and its Service.
pub fn server(namespace: &str) -> Vec<Value> {
    let labels = labelled(NAME);
    let mut deployment = named("apps/v1", "Deployment", NAME, namespace);
    if let Some(deployment) = deployment.as_object_mut() {
        deployment.insert(
            "spec".to_owned(),
            json!({
                "replicas": 1,
                "selector": { "matchLabels": { "app": NAME } },
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": { "appmesh.k8s.aws/sidecarInjectorWebhook": "disabled", "sidecar.istio.io/inject": "false" },
                    },
                    "spec": pod(),
                },
            }),
        );
    }
    let mut service = named("v1", "Service", NAME, namespace);
    if let Some(service) = service.as_object_mut() {
        let port = json!({ "name": "http", "protocol": "TCP", "port": 9090 });
        service.insert("spec".to_owned(), json!({ "selector": { "app": NAME }, "ports": [port] }));
    }
    vec![deployment, service]
}

fn pod() -> Value {
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "http" } });
    json!({
        "serviceAccountName": NAME,
        "containers": [{
            "name": "prometheus",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "args": [
                "--storage.tsdb.retention.time=2h",
                "--storage.tsdb.path=/prometheus/data",
                "--config.file=/etc/prometheus/prometheus.yml",
            ],
            "ports": [{ "name": "http", "containerPort": 9090 }],
            "livenessProbe": probe("/-/healthy"),
            "readinessProbe": probe("/-/ready"),
            "resources": { "requests": { "cpu": "10m", "memory": "128Mi" } },
            "volumeMounts": [
                { "name": "config", "mountPath": "/etc/prometheus" },
                { "name": "data", "mountPath": "/prometheus/data" },
            ],
        }],
        "volumes": [
            { "name": "config", "configMap": { "name": NAME } },
            { "name": "data", "emptyDir": {} },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_scrapes_is_readable_and_has_the_labels_that_queries_rely_on() {
        let configuration: Value = serde_yaml_ng::from_str(CONFIGURATION).unwrap();
        let jobs = configuration["scrape_configs"].as_array().unwrap();
        let names: Vec<_> = jobs.iter().map(|job| job["job_name"].as_str().unwrap()).collect();
        assert_eq!(names, ["appmesh-envoy", "kubernetes-apiservers", "kubernetes-cadvisor", "kubernetes-pods"]);
        for job in [&jobs[0], &jobs[3]] {
            let targets: Vec<_> = job["relabel_configs"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|one| one["target_label"].as_str())
                .collect();
            assert!(targets.ends_with(&["kubernetes_namespace", "kubernetes_pod_name"]), "{targets:?}");
        }
        let [_, role, _] = account("x").try_into().unwrap();
        assert_eq!(role["rules"].as_array().unwrap().len(), 3);
    }
}
