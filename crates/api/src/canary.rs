//! The Canary: what to roll out, how to route to it, how to judge it.
//!
//! Wire types only; what follows from them is in `derived.rs`, their checks in `validate.rs`, their schema in `crd.rs`.
//! Source: API notes, section 2.

use std::collections::BTreeMap;

use crate::crd::parts;
use crate::meta::ObjectMeta;
use crate::status::CanaryStatus;
use crate::wire::wire;

pub(crate) mod analysis;
pub(crate) mod gateway;
pub(crate) mod istio;
pub(crate) mod service;

pub(crate) use analysis::{CanaryAnalysis, CanaryWebhook, HookType};
pub(crate) use service::CanaryService;

wire! {
    /// Canary describes how new revisions of a workload are rolled out: what they are, how traffic gets to them,
    /// and how they are judged.
    pub struct Canary {
        /// `flagger.app/v1beta1`.
        pub api_version: String,
        /// `Canary`.
        pub kind: String,
        /// Name, namespace, labels and so on.
        pub metadata: ObjectMeta,
        /// What is wanted. Absent is possible (quirk Q1) and the same as empty.
        pub spec: CanarySpec,
        /// What is.
        pub status: CanaryStatus,
    }

    /// `CanarySpec` defines the desired state of a Canary.
    #[schemars(extend("required" = ["targetRef", "analysis"]))]
    pub struct CanarySpec {
        /// Traffic provider of this Canary, such as istio, gatewayapi:v1 or nginx. Default is the operator's.
        #[schemars(extend("enum" = parts::PROVIDERS))]
        pub provider: Option<String>,
        /// Address of the Prometheus server for the built-in metrics and inline queries of this Canary.
        pub metrics_server: Option<String>,
        /// The workload whose new revisions are rolled out.
        #[schemars(transform = parts::target_kinds)]
        pub target_ref: LocalObjectReference,
        /// The `HorizontalPodAutoscaler` or `ScaledObject` of the workload.
        #[schemars(transform = parts::scaler_kinds)]
        pub autoscaler_ref: Option<AutoscalerReference>,
        /// The Ingress of the apex service, for the providers nginx and skipper.
        #[schemars(transform = parts::ingress_kinds)]
        pub ingress_ref: Option<LocalObjectReference>,
        /// The `ApisixRoute` of the apex service, for the provider apisix.
        #[schemars(transform = parts::route_kinds)]
        pub route_ref: Option<LocalObjectReference>,
        /// The Gloo Upstream whose settings the generated Upstreams copy.
        #[schemars(transform = parts::upstream_kinds)]
        pub upstream_ref: Option<CrossNamespaceObjectReference>,
        /// How the workload is exposed.
        pub service: CanaryService,
        /// How a new revision is judged.
        pub analysis: Option<CanaryAnalysis>,
        /// Former name of `analysis`; read only where `analysis` is absent.
        #[schemars(skip)]
        pub canary_analysis: Option<CanaryAnalysis>,
        /// Seconds that the workload may take to become ready. Default is 600.
        #[schemars(with = "f64")]
        pub progress_deadline_seconds: Option<i64>,
        /// Promote a ready revision without analysis.
        pub skip_analysis: bool,
        /// Give the target, the services and the routes back to their original state when the Canary is deleted.
        pub revert_on_deletion: bool,
        /// Leave everything as it is until this is unset.
        pub suspend: bool,
    }

    /// Reference to an object in the namespace of the Canary.
    #[schemars(extend("required" = ["apiVersion", "kind", "name"]))]
    pub struct LocalObjectReference {
        /// Group and version of the referenced object.
        pub api_version: String,
        /// Kind of the referenced object.
        pub kind: String,
        /// Name of the referenced object.
        pub name: String,
    }

    /// Reference to an object that may live in another namespace.
    #[schemars(extend("required" = ["apiVersion", "kind", "name"]))]
    pub struct CrossNamespaceObjectReference {
        /// Group and version of the referenced object.
        pub api_version: String,
        /// Kind of the referenced object.
        pub kind: String,
        /// Name of the referenced object.
        pub name: String,
        /// Namespace of the referenced object. Default is the namespace of the Canary.
        pub namespace: Option<String>,
    }

    /// Reference to a scaler, and how the primary's copy of it differs.
    #[schemars(extend(
        "required" = ["apiVersion", "kind", "name"],
        "x-kubernetes-validations" = parts::replicas_in_order()
    ))]
    pub struct AutoscalerReference {
        /// Group and version of the scaler.
        pub api_version: String,
        /// Kind of the scaler.
        pub kind: String,
        /// Name of the scaler.
        pub name: String,
        /// Queries of the primary's `ScaledObject` by name of the trigger. Triggers without an entry keep their query.
        /// Without this map, the name of the target is replaced in all queries. Present and empty is not absent.
        pub primary_scaler_queries: Option<BTreeMap<String, String>>,
        /// Replica bounds of the primary's scaler where they differ from the target's.
        pub primary_scaler_replicas: Option<ScalerReplicas>,
    }

    /// Replica bounds.
    pub struct ScalerReplicas {
        /// Lower bound of the number of replicas.
        #[schemars(range(min = 1))]
        pub min_replicas: Option<i32>,
        /// Upper bound of the number of replicas.
        #[schemars(range(min = 1))]
        pub max_replicas: Option<i32>,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{IntOrString, Severity, decode};

    /// One of everything, as people write it.
    const EXAMPLE: &str = r#"
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: podinfo, namespace: test}
spec:
  provider: istio
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  autoscalerRef:
    apiVersion: autoscaling/v2
    kind: HorizontalPodAutoscaler
    name: podinfo
    primaryScalerReplicas: {minReplicas: 2, maxReplicas: 5}
  progressDeadlineSeconds: 600
  service:
    port: 80
    targetPort: http
    portDiscovery: true
    gateways: [istio-system/public-gateway, mesh]
    hosts: [app.example.com]
    trafficPolicy: {tls: {mode: DISABLE}}
    match: [{uri: {prefix: /}}]
    rewrite: {uri: /}
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "gateway-error,connect-failure"}
    apex: {annotations: {external-dns.alpha.kubernetes.io/hostname: app.example.com}}
  analysis:
    interval: 30s
    threshold: 5
    maxWeight: 50
    stepWeight: 10
    sessionAffinity: {cookieName: canary-cookie, maxAge: 21600}
    metrics:
    - {name: request-success-rate, interval: 1m, thresholdRange: {min: 99.5}}
    - {name: latency, templateRef: {name: latency, namespace: istio-system}, templateVariables: {direction: inbound}}
    webhooks:
    - {name: load-test, url: "http://flagger-loadtester.test/", timeout: 5s, metadata: {cmd: "hey -z 1m http://a/"}}
    - {name: gate, type: confirm-promotion, url: "http://gate/", disableTLS: true, muteAlert: true, retries: 2}
    alerts:
    - {name: on-call, severity: error, providerRef: {name: on-call, namespace: flagger}}
"#;

    fn example() -> Value {
        serde_yaml_ng::from_str(EXAMPLE).unwrap()
    }

    #[test]
    fn a_complete_canary_is_read() {
        let canary: Canary = decode(example()).unwrap();
        let CanarySpec { service, analysis: Some(analysis), autoscaler_ref: Some(scaler), .. } = &canary.spec else {
            panic!("{canary:?}")
        };
        assert_eq!(canary.spec.provider.as_deref(), Some("istio"));
        assert_eq!(scaler.primary_scaler_queries, None);
        assert_eq!(scaler.primary_scaler_replicas.as_ref().unwrap().max_replicas, Some(5));
        assert_eq!(service.target_port, Some(IntOrString::Text("http".to_owned())));
        assert_eq!(service.traffic_policy, Some(json!({"tls": {"mode": "DISABLE"}})));
        assert_eq!(service.matches[0].uri.as_ref().unwrap().prefix.as_deref(), Some("/"));
        assert_eq!((analysis.max_weight, analysis.step_weight, analysis.iterations), (50, 10, 0));
        assert_eq!(analysis.session_affinity.as_ref().unwrap().max_age, 21_600);
        assert_eq!(analysis.metrics[0].threshold_range.as_ref().unwrap().min, Some(99.5));
        assert_eq!(analysis.metrics[1].template_ref.as_ref().unwrap().namespace_or("test"), "istio-system");
        let hooks: Vec<_> = analysis.webhooks.iter().map(|hook| (hook.kind, hook.disable_tls, hook.retries)).collect();
        assert_eq!(hooks, [(HookType::Rollout, false, 0), (HookType::ConfirmPromotion, true, 2)]);
        assert_eq!(analysis.alerts[0].severity, Severity::Error);
        assert!(canary.metadata.deletion_timestamp.is_none());
    }

    #[test]
    fn what_was_read_is_written_the_same() {
        let mut written = example();
        let canary: Canary = decode(written.clone()).unwrap();
        // What is omitted says the same: a status that is empty.
        let again = serde_json::to_value(&canary).unwrap();
        if let Some(object) = written.as_object_mut() {
            object.sort_keys();
        }
        assert_eq!(again, written);
        assert_eq!(decode::<Canary>(again).unwrap(), canary);
    }

    #[test]
    fn objects_written_by_the_reference_are_read_as_if_it_had_not_written_zeros() {
        let plain = json!({"spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "autoscalerRef": {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo"},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 5, "webhooks": [{"name": "a", "url": "http://b"}]},
        }});
        let mut zeros = plain.clone();
        zeros["metadata"] = json!({"creationTimestamp": null, "labels": null});
        zeros["spec"]["autoscalerRef"]["primaryScalerQueries"] = Value::Null;
        zeros["spec"]["service"] = json!({"port": 80, "targetPort": 0, "portDiscovery": false, "name": ""});
        zeros["spec"]["analysis"]["webhooks"] =
            json!([{"type": "", "name": "a", "url": "http://b", "muteAlert": false}]);
        zeros["status"] =
            json!({"phase": "", "failedChecks": 0, "canaryWeight": 0, "iterations": 0, "lastTransitionTime": null});
        assert_eq!(decode::<Canary>(zeros).unwrap(), decode::<Canary>(plain).unwrap());
    }

    #[test]
    fn a_port_of_zero_or_of_no_name_is_no_port() {
        let port =
            |value: Value| decode::<CanaryService>(json!({"port": 80, "targetPort": value})).unwrap().target_port;
        for value in [json!(0), json!("0"), json!(""), json!(null), json!(0.0)] {
            assert_eq!(port(value), None);
        }
        assert_eq!(port(json!(9898.0)), Some(IntOrString::Int(9898)));
        assert_eq!(port(json!("9898")).unwrap().to_string(), "9898");
    }

    #[test]
    fn the_core_group_of_a_parent_is_not_the_default_group() {
        let parent = |value: Value| decode::<crate::ParentReference>(value).unwrap().group;
        assert_eq!(parent(json!({"name": "a", "group": ""})).as_deref(), Some(""));
        assert_eq!(parent(json!({"name": "a", "group": null})), None);
    }

    #[test]
    fn fields_of_istio_that_are_not_known_here_survive() {
        let service = json!({
            "port": 80,
            "match": [{"uri": {"exact": "/"}, "statPrefix": "a"}],
            "retries": {"attempts": 0, "retryRemoteLocalities": false},
            "headers": {"request": {"set": {"a": "b"}, "rename": {"c": "d"}}},
            "corsPolicy": {"allowCredentials": false, "unmatchedPreflights": "IGNORE"},
            "trafficPolicy": {"tunnel": {"protocol": "CONNECT"}, "outlierDetection": {"maxEjectionPercent": 0}},
        });
        let read: CanaryService = decode(service.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), service);
    }

    #[test]
    fn empty_is_absent_but_for_the_maps_where_it_is_not() {
        let lists =
            decode::<CanaryService>(json!({"port": 80, "hosts": [], "match": [], "apex": {"labels": {}}})).unwrap();
        assert!(lists.hosts.is_empty() && lists.matches.is_empty());
        assert!(lists.apex.is_some(), "present metadata marks the mesh object, even when it is empty (quirk Q20)");
        let scaler = |queries: Value| {
            decode::<AutoscalerReference>(json!({"name": "a", "primaryScalerQueries": queries}))
                .unwrap()
                .primary_scaler_queries
        };
        assert_eq!(scaler(json!({})), Some(BTreeMap::new()));
        assert_eq!(scaler(json!(null)), None);
    }

    #[test]
    fn severities_and_hooks_that_are_not_known_match_nothing() {
        let hook = decode::<CanaryWebhook>(json!({"name": "a", "type": "rollouts"})).unwrap();
        assert_eq!(hook.kind, HookType::Unknown);
        let alert = |severity: Value| {
            decode::<crate::CanaryAlert>(json!({"name": "a", "severity": severity})).unwrap().severity
        };
        assert_eq!([alert(json!("")), alert(json!(null)), alert(json!("info"))], [Severity::Info; 3]);
        assert_eq!(alert(json!("fatal")), Severity::Unknown);
    }
}
