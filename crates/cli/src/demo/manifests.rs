//! What a user would apply, whoever splits the traffic (what differs by that is in `mesh`).

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

/// The Canary, without provider. The interval is the shortest that the controller allows.
pub(super) fn canary(steps: &[u8]) -> Value {
    json!({
        "apiVersion": api::API_VERSION,
        "kind": "Canary",
        "metadata": {"name": APP, "namespace": NAMESPACE},
        "spec": {
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

#[cfg(test)]
mod tests {
    use super::super::mesh::MESHES;
    use super::*;
    use api::{Canary, Settings, validate};

    #[test]
    fn the_canary_is_one_that_the_controller_accepts() {
        for mesh in &MESHES {
            let canary: Canary = api::decode(mesh.adapt(canary(&[20, 50]))).unwrap();
            validate(&canary, &Settings::default()).unwrap();
            assert_eq!(api::derived::provider(&canary.spec, ""), mesh.provider);
            assert_eq!(api::derived::interval(&canary.spec).to_string(), "10s");
            assert_eq!(api::derived::strategy(&canary.spec), api::Strategy::Weighted);
            assert_eq!(api::derived::max_weight(canary.spec.analysis().unwrap()), 50);
            assert_eq!(api::derived::threshold(&canary.spec), 1);
        }
    }

    #[tokio::test]
    async fn a_cluster_takes_all_of_it() {
        for mesh in &MESHES {
            let lab = lab::Lab::default();
            let own = api::crd::all().into_iter().chain(mesh.definitions());
            for object in own.chain(application()).chain(mesh.objects()).chain([mesh.adapt(canary(&[30]))]) {
                lab.apply(&object).unwrap_or_else(|refusal| panic!("{refusal}: {object}"));
            }
            let changed = lab.merge("Deployment", NAMESPACE, APP, &BAD.release()).unwrap();
            let behaviour = lab::dataplane::app::Behaviour::of(&changed);
            assert_eq!((behaviour.version.as_str(), behaviour.error_percent), (BAD.tag, i64::from(BAD.error_percent)));
        }
    }
}
