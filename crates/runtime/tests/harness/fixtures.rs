//! The objects of the acceptance scenarios: workload W, Canary C, and CRDs of meshes that accept anything.

use serde_json::{Value, json};

/// A CRD that keeps whatever it gets.
pub use lab::definitions::permissive as permissive_crd;

pub fn istio_crds() -> Vec<Value> {
    vec![
        permissive_crd("networking.istio.io", "v1beta1", "VirtualService", "virtualservices"),
        permissive_crd("networking.istio.io", "v1beta1", "DestinationRule", "destinationrules"),
    ]
}

pub fn gateway_crds() -> Vec<Value> {
    let mut routes = permissive_crd("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes");
    let mut older = routes["spec"]["versions"][0].clone();
    older["name"] = json!("v1beta1");
    older["storage"] = json!(false);
    routes["spec"]["versions"].as_array_mut().unwrap().push(older);
    vec![routes]
}

/// W under another name.
pub fn deployment(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop",
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "keep-me"},
            "annotations": {"app.kubernetes.io/instance": "keep-me-too"}},
        "spec": {
            "replicas": 1, "progressDeadlineSeconds": 60, "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}},
                "spec": {"containers": [{
                    "name": "web", "image": image,
                    "ports": [{"name": "http", "containerPort": 8080}, {"name": "http-metrics", "containerPort": 9090}, {"name": "grpc", "containerPort": 9999}],
                    "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "cart-secret", "key": "token"}}}],
                }]}
            }
        }
    })
}

pub fn secret(token: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cart-secret", "namespace": "shop"}, "type": "Opaque", "stringData": {"token": token}})
}

/// C under another name.
pub fn canary(name: &str, provider: &str, analysis: Value) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "provider": provider, "progressDeadlineSeconds": 60, "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": 8080}, "analysis": analysis,
        }
    })
}

/// C for the Gateway API.
pub fn gateway_canary(provider: &str, analysis: Value) -> Value {
    let mut canary = canary("cart", provider, analysis);
    canary["spec"]["service"]["hosts"] = json!(["cart.example.com"]);
    canary["spec"]["service"]["gatewayRefs"] = json!([{"name": "entry", "namespace": "infra"}]);
    canary
}

/// An Ingress `cart` for the Service `cart`, as users have it.
pub fn ingress() -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart"}, "annotations": {"kubernetes.io/ingress.class": "nginx", "mine": "1"}},
        "spec": {"rules": [{"host": "cart.example.com", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "cart", "port": {"number": 8080}}}}]}}]}})
}

/// C for NGINX.
pub fn nginx_canary(analysis: Value) -> Value {
    let mut canary = canary("cart", "nginx", analysis);
    canary["spec"]["ingressRef"] = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "cart"});
    canary
}

/// A metric by template.
pub fn template(namespace: &str, name: &str, query: &str) -> Value {
    json!({"apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": name, "namespace": namespace},
        "spec": {"provider": {"type": "prometheus", "address": "http://metrics:9090"}, "query": query}})
}

/// An interval of 10 s, threshold 2, the success rate; and whatever else.
pub fn analysis(extra: Value) -> Value {
    let mut analysis = json!({"interval": "10s", "threshold": 2, "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}]});
    for (key, value) in extra.as_object().unwrap() {
        analysis[key] = value.clone();
    }
    analysis
}

pub fn steps(step: i64, max: i64) -> Value {
    analysis(json!({"stepWeight": step, "maxWeight": max}))
}

pub fn iterations(count: i64) -> Value {
    analysis(json!({"iterations": count}))
}

/// A hook of that type, answered by [`super::Net::hook`] under its name.
pub fn with_hook(mut analysis: Value, kind: &str, name: &str) -> Value {
    let hooks = analysis.as_object_mut().unwrap().entry("webhooks").or_insert(json!([]));
    hooks.as_array_mut().unwrap().push(json!({"name": name, "type": kind, "url": format!("http://hooks/{name}")}));
    analysis
}

/// An autoscaler of that Deployment: 2 to 4 pods at 99 % CPU.
pub fn hpa(name: &str) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "minReplicas": 2, "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99}}}]}})
}
