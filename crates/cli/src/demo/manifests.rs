//! What a user of a cluster with Istio would apply, and the kinds that such a cluster knows.

use serde_json::{Value, json};

/// Where everything lives.
pub(super) const NAMESPACE: &str = "demo";
/// The Deployment, its Service and the Canary.
pub(super) const APP: &str = "shop";
/// The Deployment that the controller makes of it.
pub(super) const PRIMARY: &str = "shop-primary";

/// A version of the application, as its Deployment tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// Tag of the image.
    pub(super) tag: &'static str,
    /// How many requests of a hundred it answers with 500.
    pub(super) error_percent: u8,
    /// How many milliseconds it takes longer than it should.
    pub(super) delay_ms: u16,
}

/// What runs before the story begins.
pub(super) const FIRST: Version = Version { tag: "1.0.0", error_percent: 0, delay_ms: 0 };
/// The good release.
pub(super) const GOOD: Version = Version { tag: "2.0.0", error_percent: 0, delay_ms: 0 };
/// The bad release.
pub(super) const BAD: Version = Version { tag: "3.0.0", error_percent: 30, delay_ms: 1000 };

impl Version {
    /// The image.
    pub(super) fn image(self) -> String {
        format!("registry.example/{APP}:{}", self.tag)
    }

    /// The containers of the pod template. The variables are those that the lab's application obeys.
    fn containers(self) -> Value {
        json!([{
            "name": APP,
            "image": self.image(),
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [
                {"name": "ERROR_PERCENT", "value": self.error_percent.to_string()},
                {"name": "DELAY_MS", "value": self.delay_ms.to_string()},
            ],
        }])
    }

    /// The patch of the Deployment that releases it, as a pipeline would send it.
    pub(super) fn release(self) -> Value {
        json!({"spec": {"template": {"spec": {"containers": self.containers()}}}})
    }
}

/// The Deployment and the Service, before there is a Canary.
pub(super) fn application() -> [Value; 3] {
    let labels = json!({"app": APP});
    [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": APP, "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": FIRST.containers()}},
            },
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": APP, "namespace": NAMESPACE},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }),
    ]
}

/// The Canary. The interval is the shortest that the controller allows.
pub(super) fn canary(steps: &[u8]) -> Value {
    json!({
        "apiVersion": api::API_VERSION,
        "kind": "Canary",
        "metadata": {"name": APP, "namespace": NAMESPACE},
        "spec": {
            "provider": "istio",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": APP},
            "progressDeadlineSeconds": 60,
            "service": {"port": 80, "targetPort": 8080},
            "analysis": {
                "interval": "10s",
                "threshold": 1,
                "stepWeights": steps,
                "metrics": [
                    {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "10s"},
                    {"name": "request-duration", "thresholdRange": {"max": 800}, "interval": "10s"},
                ],
            },
        },
    })
}

/// Our own kinds, and those of Istio that the controller writes, without a schema.
pub(super) fn definitions() -> Vec<Value> {
    let istio = |kind: &str, plural: &str| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.networking.istio.io")},
            "spec": {
                "group": "networking.istio.io",
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
                "scope": "Namespaced",
                "versions": [{
                    "name": "v1beta1",
                    "served": true,
                    "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                }],
            },
        })
    };
    let istio = [istio("VirtualService", "virtualservices"), istio("DestinationRule", "destinationrules")];
    api::crd::all().into_iter().chain(istio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{Canary, Settings, validate};

    #[test]
    fn the_canary_is_one_that_the_controller_accepts() {
        let canary: Canary = api::decode(canary(&[20, 50])).unwrap();
        validate(&canary, &Settings::default()).unwrap();
        assert_eq!(api::derived::interval(&canary.spec).to_string(), "10s");
        assert_eq!(api::derived::strategy(&canary.spec), api::Strategy::Weighted);
        let analysis = canary.spec.analysis().unwrap();
        assert_eq!(api::derived::max_weight(analysis), 50);
        assert_eq!(api::derived::threshold(&canary.spec), 1);
    }

    #[tokio::test]
    async fn a_cluster_takes_all_of_it() {
        let lab = lab::Lab::default();
        for object in definitions().iter().chain(&application()).chain([&canary(&[30])]) {
            lab.apply(object).unwrap_or_else(|refusal| panic!("{refusal}: {object}"));
        }
        let changed = lab.merge("Deployment", NAMESPACE, APP, &BAD.release()).unwrap();
        let behaviour = lab::dataplane::app::Behaviour::of(&changed);
        assert_eq!((behaviour.version.as_str(), behaviour.error_percent), (BAD.tag, i64::from(BAD.error_percent)));
    }
}
