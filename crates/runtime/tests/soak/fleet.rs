//! The Canaries of the soak: every provider with every strategy it has, and the objects that each of them has at rest.

use crate::fixtures::{analysis, canary, deployment, hpa};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where everything is.
pub const NAMESPACES: [&str; 3] = ["shop-0", "shop-1", "shop-2"];

/// One Canary and what belongs to it; everything has its name.
#[derive(Debug, Clone)]
pub struct App {
    pub name: String,
    pub namespace: &'static str,
    pub provider: &'static str,
    pub strategy: &'static str,
    /// Analysis as users write it.
    pub analysis: Value,
    pub autoscaled: bool,
}

/// Providers and the strategies that are tried with each.
const VARIANTS: [(&str, &str); 22] = [
    ("istio", "weighted"),
    ("gatewayapi:v1", "weighted"),
    ("nginx", "weighted"),
    ("kubernetes", "blue/green"),
    ("istio", "steps"),
    ("gatewayapi:v1", "steps"),
    ("istio", "A/B"),
    ("nginx", "A/B"),
    ("gatewayapi:v1", "A/B"),
    ("istio", "blue/green"),
    ("istio", "blue/green mirrored"),
    ("gatewayapi:v1", "blue/green mirrored"),
    ("istio", "mirrored"),
    ("istio", "affinity"),
    ("gatewayapi:v1", "affinity"),
    ("istio", "staged"),
    ("istio", "skip"),
    ("nginx", "skip"),
    ("kubernetes", "skip"),
    ("gatewayapi:v1", "staged"),
    ("nginx", "blue/green"),
    ("gatewayapi:v1", "skip"),
];

fn strategy(name: &str) -> Value {
    let matches = json!([{"headers": {"x-canary": {"exact": "insider"}}}]);
    match name {
        "steps" => json!({"stepWeights": [5, 25, 60]}),
        "A/B" => json!({"iterations": 3, "match": matches}),
        "blue/green" => json!({"iterations": 3}),
        "blue/green mirrored" => json!({"iterations": 3, "mirror": true}),
        "mirrored" => json!({"stepWeight": 30, "maxWeight": 60, "mirror": true, "mirrorWeight": 50}),
        "affinity" => {
            json!({"stepWeight": 25, "maxWeight": 50, "sessionAffinity": {"cookieName": "sticky", "maxAge": 600}})
        }
        "staged" => json!({"stepWeight": 40, "maxWeight": 80, "stepWeightPromotion": 50}),
        _ => json!({"stepWeight": 20, "maxWeight": 60}),
    }
}

impl App {
    pub fn new(at: usize) -> Self {
        let (provider, strategy_name) = VARIANTS[at % VARIANTS.len()];
        let name = format!("app-{at:03}");
        let mut analysis = analysis(strategy(strategy_name));
        analysis["interval"] = json!(["10s", "15s", "30s"][at % 3]);
        let hook = |kind: &str| json!({"name": kind, "type": kind, "url": format!("http://hooks/{name}/{kind}"), "timeout": "5s"});
        let gate = ["confirm-rollout", "confirm-promotion", "confirm-traffic-increase"][at % 3];
        analysis["webhooks"] =
            json!([hook("rollout"), hook("rollback"), hook(gate), hook("pre-rollout"), hook("post-rollout")]);
        if at.is_multiple_of(5) {
            let template = json!({"name": "errors", "templateRef": {"name": "errors", "namespace": NAMESPACES[0]}, "thresholdRange": {"min": 99}});
            analysis["metrics"].as_array_mut().unwrap().push(template);
        }
        if at.is_multiple_of(4) {
            analysis["alerts"] = json!([{"name": "team", "severity": "info", "providerRef": {"name": "team", "namespace": NAMESPACES[0]}}]);
        }
        Self {
            name,
            namespace: NAMESPACES[at % NAMESPACES.len()],
            provider,
            strategy: strategy_name,
            analysis,
            autoscaled: at % 3 == 1,
        }
    }

    pub fn skips(&self) -> bool {
        self.strategy == "skip"
    }

    pub fn canary(&self) -> Value {
        let mut object = self.placed(canary(&self.name, self.provider, self.analysis.clone()));
        let host = format!("{}.example.com", self.name);
        match self.provider {
            "gatewayapi:v1" => {
                object["spec"]["service"]["hosts"] = json!([host]);
                object["spec"]["service"]["gatewayRefs"] = json!([{"name": "entry", "namespace": "infra"}]);
            }
            "nginx" => {
                object["spec"]["ingressRef"] =
                    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": self.name});
            }
            "istio" => object["spec"]["service"]["hosts"] = json!([host]),
            _ => {}
        }
        if self.autoscaled {
            object["spec"]["autoscalerRef"] =
                json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": self.name});
        }
        if self.skips() {
            object["spec"]["skipAnalysis"] = json!(true);
        }
        object
    }

    /// What the user has beside the Canary.
    pub fn own(&self) -> Vec<Value> {
        let name = self.name.as_str();
        let mut target = self.placed(deployment(name, "demo:1"));
        target["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": name, "key": "token"}}},
            {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": name, "key": "color"}}},
        ]);
        let mut objects = vec![self.secret("1"), self.config_map("1"), target];
        if self.autoscaled {
            objects.push(self.placed(hpa(name)));
        }
        if self.provider == "nginx" {
            let backend = json!({"service": {"name": name, "port": {"number": 8080}}});
            objects.push(self.placed(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
                "spec": {"ingressClassName": "nginx", "rules": [{"host": format!("{name}.example.com"), "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": backend}]}}]}})));
        }
        objects
    }

    pub fn secret(&self, token: &str) -> Value {
        self.placed(json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": self.name}, "stringData": {"token": token}}))
    }

    pub fn config_map(&self, color: &str) -> Value {
        self.placed(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name}, "data": {"color": color}}),
        )
    }

    fn placed(&self, mut object: Value) -> Value {
        object["metadata"]["namespace"] = json!(self.namespace);
        object
    }

    /// Kinds and names of all objects that there are at rest.
    pub fn expected(&self) -> BTreeSet<String> {
        let name = self.name.as_str();
        let mut all = BTreeSet::new();
        let mut add = |kind: &str, suffixes: &[&str]| {
            all.extend(suffixes.iter().map(|suffix| format!("{kind} {}/{name}{suffix}", self.namespace)));
        };
        add("canaries.flagger.app", &[""]);
        add("deployments.apps", &["", "-primary"]);
        add("services", &["", "-primary", "-canary"]);
        add("secrets", &["", "-primary"]);
        add("configmaps", &["", "-primary"]);
        if self.autoscaled {
            add("horizontalpodautoscalers.autoscaling", &["", "-primary"]);
        }
        match self.provider {
            "istio" => {
                add("virtualservices.networking.istio.io", &[""]);
                add("destinationrules.networking.istio.io", &["-primary", "-canary"]);
            }
            "gatewayapi:v1" => add("httproutes.gateway.networking.k8s.io", &[""]),
            "nginx" => add("ingresses.networking.k8s.io", &["", "-canary"]),
            _ => {}
        }
        all
    }
}
