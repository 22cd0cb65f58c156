//! The spec hash against known values.
//!
//! Where they come from: hashes that public output of clusters shows for well-known Deployments (templates N and C), values
//! computed from the documented rules, and `vectors/`, made with the public Kubernetes Go modules (see its README).

use objects::hash::{self, Generation};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The nginx Deployment of the Kubernetes documentation.
fn template_n() -> Value {
    json!({
        "metadata": {"creationTimestamp": null, "labels": {"app": "nginx"}},
        "spec": {
            "containers": [{
                "name": "nginx", "image": "nginx:1.14.2", "imagePullPolicy": "IfNotPresent",
                "ports": [{"containerPort": 80, "protocol": "TCP"}], "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "securityContext": {}, "terminationGracePeriodSeconds": 30,
        },
    })
}

/// The podinfo Deployment of the end-to-end tests.
fn template_p(tag: &str) -> Value {
    let probe = |path: &str| {
        json!({
            "httpGet": {"path": path, "port": 9898, "scheme": "HTTP"}, "initialDelaySeconds": 5, "timeoutSeconds": 5,
            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        })
    };
    json!({
        "metadata": {
            "labels": {"app": "podinfo"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9797"},
        },
        "spec": {
            "containers": [{
                "name": "podinfod", "image": format!("ghcr.io/stefanprodan/podinfo:{tag}"),
                "imagePullPolicy": "IfNotPresent",
                "command": [
                    "./podinfo", "--port=9898", "--port-metrics=9797", "--grpc-port=9999", "--grpc-service-name=podinfo",
                    "--level=info", "--random-delay=false", "--random-error=false",
                ],
                "env": [{
                    "name": "PODINFO_SECRET_VALUE",
                    "valueFrom": {"secretKeyRef": {"name": "podinfo-secret", "key": "value"}},
                }],
                "ports": [
                    {"name": "http", "containerPort": 9898, "protocol": "TCP"},
                    {"name": "http-metrics", "containerPort": 9797, "protocol": "TCP"},
                    {"name": "grpc", "containerPort": 9999, "protocol": "TCP"},
                ],
                "livenessProbe": probe("/healthz"), "readinessProbe": probe("/readyz"),
                "resources": {"limits": {"cpu": "1", "memory": "128Mi"}, "requests": {"cpu": "1m", "memory": "16Mi"}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "securityContext": {}, "terminationGracePeriodSeconds": 30,
        },
    })
}

/// The DNS server's Deployment that kubeadm installs.
fn template_c(tag: &str, drop: &str, named_probes: bool) -> Value {
    let mut ports = vec![
        json!({"containerPort": 53, "name": "dns", "protocol": "UDP"}),
        json!({"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"}),
        json!({"containerPort": 9153, "name": "metrics", "protocol": "TCP"}),
    ];
    let (mut live, mut ready) = (json!(8080), json!(8181));
    if named_probes {
        ports.push(json!({"containerPort": 8080, "name": "liveness-probe", "protocol": "TCP"}));
        ports.push(json!({"containerPort": 8181, "name": "readiness-probe", "protocol": "TCP"}));
        (live, ready) = (json!("liveness-probe"), json!("readiness-probe"));
    }
    json!({
        "metadata": {"labels": {"k8s-app": "kube-dns"}},
        "spec": {
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "podAffinityTerm": {
                    "labelSelector": {"matchExpressions": [{"key": "k8s-app", "operator": "In", "values": ["kube-dns"]}]},
                    "topologyKey": "kubernetes.io/hostname",
                },
            }]}},
            "containers": [{
                "name": "coredns", "image": format!("registry.k8s.io/coredns/coredns:{tag}"),
                "imagePullPolicy": "IfNotPresent", "args": ["-conf", "/etc/coredns/Corefile"], "ports": ports,
                "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
                "livenessProbe": {
                    "httpGet": {"path": "/health", "port": live, "scheme": "HTTP"}, "initialDelaySeconds": 60,
                    "timeoutSeconds": 5, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 5,
                },
                "readinessProbe": {
                    "httpGet": {"path": "/ready", "port": ready, "scheme": "HTTP"},
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": [drop]},
                },
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "volumeMounts": [{"mountPath": "/etc/coredns", "name": "config-volume", "readOnly": true}],
            }],
            "dnsPolicy": "Default", "nodeSelector": {"kubernetes.io/os": "linux"},
            "priorityClassName": "system-cluster-critical", "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {},
            "serviceAccount": "coredns", "serviceAccountName": "coredns", "terminationGracePeriodSeconds": 30,
            "tolerations": [
                {"key": "CriticalAddonsOnly", "operator": "Exists"},
                {"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"},
            ],
            "volumes": [{
                "name": "config-volume",
                "configMap": {"defaultMode": 420, "items": [{"key": "Corefile", "path": "Corefile"}], "name": "coredns"},
            }],
        },
    })
}

#[test]
fn hashes_of_well_known_templates() {
    let expected = [
        ["85996f8dbd", "6455b6f545", "7676c9f66", "699c994c9f"],
        ["cbdccf466", "65fc6d5bd7", "5777cc668b", "654cc7bf97"],
        ["77d8468669", "74b4fbd54b", "7d7ff5f76f", "8697879d8d"],
        ["d556bf558", "555c976d55", "66f4b9d678", "5d648d76d9"],
        ["647677fc66", "6b8c7745f", "77cdfd8b94", "6687c96d57"],
        ["bf744486c", "7f89b76986", "6c49586b4b", "7b596c94b5"],
        ["77bc6bd484", "556956b89f", "6bc4887975", "5bc9778486"],
        ["6c5f67b5f7", "675d86b744", "5787d999fb", "596598bdf9"],
    ];
    for (generation, expected) in Generation::ALL.into_iter().zip(expected) {
        let found = [
            hash::pod_template(&template_n(), generation),
            hash::daemon_set_template(&template_n(), generation),
            hash::pod_template(&template_p("6.0.0"), generation),
            hash::pod_template(&template_p("6.0.1"), generation),
        ];
        assert_eq!(found, expected, "{generation}");
    }
}

#[test]
fn hashes_that_real_control_planes_gave_to_coredns() {
    let cases = [
        (Generation::V26, "v1.9.3", "all", false, "787d4945fb"),
        (Generation::V31, "v1.11.3", "ALL", false, "7c65d6cfc9"),
        (Generation::V32, "v1.11.3", "ALL", false, "668d6bf9bc"),
        (Generation::V34, "v1.12.1", "ALL", true, "66bc5c9577"),
        (Generation::V35, "v1.13.1", "ALL", true, "7d764666f9"),
        (Generation::V36, "v1.14.2", "ALL", true, "589f44dc88"),
    ];
    for (generation, tag, drop, named_probes, expected) in cases {
        assert_eq!(hash::pod_template(&template_c(tag, drop, named_probes), generation), expected, "{generation}");
    }
}

#[test]
fn dump_of_template_n_to_the_letter() {
    let expected = include_str!("vectors/template_n.txt").trim_end();
    let dump = hash::dump_pod_template(&template_n(), Generation::CURRENT);
    assert_eq!(dump, expected);
    assert_eq!(dump.len(), 3549);
}

#[test]
fn worked_example_of_the_type_layout() {
    let template = json!({
        "metadata": {"labels": {"app": "podinfo"}},
        "spec": {
            "containers": [{
                "name": "podinfod", "image": "ghcr.io/stefanprodan/podinfo:6.0.0",
                "ports": [{"name": "http", "containerPort": 9898, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": "2", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "100Mi"}},
                "readinessProbe": {
                    "httpGet": {"path": "/readyz", "port": "http", "scheme": "HTTP"},
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
                },
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "securityContext": {}, "schedulerName": "default-scheduler",
        },
    });
    assert_eq!(hash::dump_pod_template(&template, Generation::CURRENT).len(), 4765);
    assert_eq!(hash::pod_template(&template, Generation::CURRENT), "5b5b476c4f");
}

#[test]
fn anything_without_the_expected_shape_hashes_like_nothing() {
    let wrong = json!({
        "metadata": [], "unknown": {"a": 1},
        "spec": {
            "containers": {"name": "x"}, "volumes": [], "nodeSelector": "linux", "hostNetwork": "true", "priority": 1.5,
            "terminationGracePeriodSeconds": "30", "activeDeadlineSeconds": null, "overhead": {}, "affinity": 1,
        },
    });
    for nothing in [json!({}), json!(null), json!("text"), json!({"spec": {}}), json!({"metadata": null}), wrong] {
        assert_eq!(hash::pod_template(&nothing, Generation::CURRENT), "85748b7f68", "{nothing}");
    }
}

#[test]
fn hash_of_a_knative_revision() {
    assert_eq!(hash::text("podinfo-00001"), "5498f4fcd6");
    assert_eq!(hash::text("podinfo-00002"), "547d5765b7");
    assert_eq!(hash::text("latest-revision"), "5584967d84");
    assert_eq!(hash::text(""), "8857b86c7");
}

#[test]
fn hash_of_a_service() {
    let spec = json!({
        "ports": [{"name": "http", "protocol": "TCP", "port": 9898, "targetPort": "http"}],
        "selector": {"app": "podinfo"}, "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "type": "ClusterIP",
        "sessionAffinity": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    });
    assert_eq!(hash::service_spec(&spec, Generation::CURRENT), "7958d4d6b");
}

#[test]
fn checksum_of_webhook_payloads() {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let both = map(&[("configmap/podinfo-config", "241889ca0604e333"), ("secret/podinfo-secret", "3930f0692c2295eb")]);
    let two = map(&[("secret/podinfo", "fedcba9876543210"), ("configmap/podinfo", "0123456789abcdef")]);
    let one = map(&[("test-config-map", "484637c76acaa7c6")]);
    let other = map(&[("test-config-map", "9fc3a7c76acaa7c6")]);
    let none = map(&[]);
    let cases = [
        (None, "", "758df7c9fc"),
        (Some(&none), "", "68bf6f479b"),
        (Some(&both), "6c5f67b5f7", "6bbcd74565"),
        (Some(&one), "5f56684589", "85d557f47b"),
        (Some(&other), "5f56684589", "768ccb9bf5"),
        (Some(&one), "4cb74184589", "569bdb7cb9"),
        (None, "4cb74184589", "7c9d467496"),
        (Some(&none), "5f56684589", "557d867f8b"),
        (Some(&none), "5d6f7b8c9d", "66cf5dd996"),
        (Some(&two), "5d6f7b8c9d", "55d865c644"),
    ];
    for (tracked, applied, expected) in cases {
        assert_eq!(hash::webhook_checksum(tracked, applied), expected, "{tracked:?} {applied}");
    }
}

#[test]
fn scaling_a_daemon_set_to_zero_is_no_new_revision() {
    let mut idle = template_n();
    idle["spec"]["nodeSelector"] = json!({"flagger.app/scale-to-zero": "true"});
    let mut pinned = template_n();
    pinned["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "linux"});
    let mut pinned_and_idle = template_n();
    pinned_and_idle["spec"]["nodeSelector"] = json!({"flagger.app/scale-to-zero": "true", "kubernetes.io/os": "linux"});
    for generation in Generation::ALL {
        let hash = |template: &Value| hash::daemon_set_template(template, generation);
        assert_eq!(hash(&idle), hash(&template_n()), "{generation}");
        assert_eq!(hash(&pinned_and_idle), hash(&pinned), "{generation}");
        assert_ne!(hash(&pinned), hash(&template_n()), "{generation}");
    }
}

#[test]
fn templates_with_times_are_not_reproducible() {
    assert!(hash::reproducible(&template_n()));
    assert!(hash::reproducible(&json!(null)));
    assert!(hash::reproducible(
        &json!({"spec": {"volumes": [{"ephemeral": {"volumeClaimTemplate": {"metadata": null}}}]}})
    ));
    let stamp = json!({"creationTimestamp": "2026-07-14T10:00:00Z"});
    assert!(!hash::reproducible(&json!({"metadata": stamp})));
    assert!(!hash::reproducible(&json!({"metadata": {"managedFields": [{"manager": "kubectl"}]}})));
    assert!(!hash::reproducible(
        &json!({"spec": {"volumes": [{"name": "x"}, {"ephemeral": {"volumeClaimTemplate": {"metadata": stamp}}}]}})
    ));
}

#[test]
fn a_time_is_dumped_as_in_a_container_without_time_zones() {
    let template = json!({"metadata": {"creationTimestamp": "2024-02-29T12:34:56Z"}});
    let dump = hash::dump_pod_template(&template, Generation::CURRENT);
    let time = "CreationTimestamp:(v1.Time){Time:(time.Time){wall:(uint64)0 ext:(int64)63844806896 \
                loc:(*time.Location){name:(string)UTC zone:([]time.zone)<nil> tx:([]time.zoneTrans)<nil> \
                extend:(string) cacheStart:(int64)0 cacheEnd:(int64)0 cacheZone:(*time.zone)<nil>}}} DeletionTimestamp";
    assert!(dump.contains(time), "{dump}");
}

/// Random objects that together set every field of the table but times and managed fields, with keys in any order, nulls, empty
/// lists and maps, and fields that no generation knows.
#[test]
fn hashes_of_random_objects_are_those_of_the_go_modules() {
    let mut count = 0;
    for line in include_str!("vectors/spec_hash.jsonl").lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let value = &vector["value"];
        for generation in Generation::ALL {
            let of = |family: &str| vector[family][generation.to_string()].as_str().unwrap_or_default().to_owned();
            if vector["kind"] == "service" {
                assert_eq!(hash::service_spec(value, generation), of("hashes"), "{generation} {value}");
            } else {
                let dump = hash::dump_pod_template(value, generation);
                assert_eq!(hash::pod_template(value, generation), of("hashes"), "{generation} {value}\n{dump}");
                assert_eq!(hash::daemon_set_template(value, generation), of("daemonSet"), "{generation} {value}");
            }
            count += 1;
        }
    }
    assert!(count > 400, "{count}");
}
