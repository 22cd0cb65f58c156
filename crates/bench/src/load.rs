//! The objects of N services: Deployment, ConfigMap, Secret and Canary each, in namespaces of a hundred.

use serde_json::{Value, json};

/// Services in one namespace.
const PER_NAMESPACE: usize = 100;

/// The names of one service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The services with these numbers.
pub(crate) fn services(count: usize) -> Vec<Service> {
    let service = |number: usize| Service {
        namespace: format!("bench-{}", number / PER_NAMESPACE),
        name: format!("svc-{number}"),
    };
    (0..count).map(service).collect()
}

/// The namespaces of these services.
pub(crate) fn namespaces(count: usize) -> Vec<Value> {
    (0..count.div_ceil(PER_NAMESPACE))
        .map(|number| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("bench-{number}")}}))
        .collect()
}

impl Service {
    /// What a user applies for it, in order.
    pub(crate) fn objects(&self, interval: u64) -> [Value; 4] {
        let (namespace, name) = (&self.namespace, &self.name);
        let config = format!("{name}-config");
        let secret = format!("{name}-secret");
        [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": config, "namespace": namespace}, "data": {"color": "blue", "mode": "a"}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": namespace}, "stringData": {"token": name}}),
            self.deployment(&config, &secret),
            json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": name, "namespace": namespace}, "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "service": {"port": 80, "targetPort": 8080},
                "analysis": {"interval": format!("{interval}s"), "threshold": 5, "stepWeight": 50, "maxWeight": 50, "metrics": [
                    {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}},
                    {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500}}]}}}),
        ]
    }

    fn deployment(&self, config: &str, secret: &str) -> Value {
        let name = &self.name;
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": name}}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{
            "name": "app", "image": "registry.example/app:1", "ports": [{"name": "http", "containerPort": 8080}],
            "envFrom": [{"configMapRef": {"name": config}}, {"secretRef": {"name": secret}}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        }]}}}})
    }
}

/// The patch of a Deployment that releases another version.
pub(crate) fn release(version: usize) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": {"bench/version": version.to_string()}}}}})
}
