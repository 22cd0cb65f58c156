//! Tests: the CRDs accept, reject, complete and drop what they should; the committed file is the generated one.
//!
//! A small model of the API server (defaults, validation, pruning) stands in for the real one, which has been asked the
//! same questions. Rules in CEL are compared as text only. Source: API notes, sections 1 and 8.

use serde_json::{Map, Value, json};

fn schema_of(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Stores an object as the API server would: the stored form, or why not.
fn store(definition: &Value, mut object: Value) -> Result<Value, String> {
    complete(schema_of(definition), &mut object);
    check(schema_of(definition), &object, "")?;
    prune(schema_of(definition), &mut object);
    Ok(object)
}

/// Drops nulls and fills in defaults.
fn complete(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            for (name, property) in &properties {
                if let (None, Some(default)) = (fields.get(name), property.get("default")) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, field) in fields {
                complete(properties.get(name).unwrap_or(&schema["additionalProperties"]), field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| complete(&schema["items"], item)),
        _ => {}
    }
}

fn check(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let fail = |what: &str| Err(format!("{path}: {what} refuses {value}"));
    if let Some(kind) = schema["type"].as_str() {
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => value.is_i64(),
            other => panic!("{path}: type {other}"),
        };
        if !fits {
            return fail(kind);
        }
    }
    if schema["x-kubernetes-int-or-string"] == true && !value.is_i64() && !value.is_string() {
        return fail("int-or-string");
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        return fail("enum");
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && !fits_pattern(pattern, text)
    {
        return fail(pattern);
    }
    if value.as_f64().zip(schema["minimum"].as_f64()).is_some_and(|(value, least)| value < least) {
        return fail("minimum");
    }
    if value.as_array().zip(schema["maxItems"].as_u64()).is_some_and(|(items, most)| items.len() as u64 > most) {
        return fail("maxItems");
    }
    check_alternatives(schema, value, path)?;
    let required = schema["required"].as_array().into_iter().flatten();
    if let Some(missing) = required.filter_map(Value::as_str).find(|key| value.get(key).is_none()) {
        return fail(&format!("required {missing}"));
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let schema = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
        check(schema, field, &format!("{path}.{name}"))?;
    }
    for item in value.as_array().into_iter().flatten() {
        check(&schema["items"], item, &format!("{path}[]"))?;
    }
    Ok(())
}

fn check_alternatives(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let fitting = |key: &str| {
        let alternatives = schema[key].as_array()?;
        Some(alternatives.iter().filter(|alternative| check(alternative, value, path).is_ok()).count())
    };
    if fitting("oneOf").is_some_and(|count| count != 1) {
        return Err(format!("{path}: oneOf refuses {value}"));
    }
    if fitting("anyOf").is_some_and(|count| count == 0) {
        return Err(format!("{path}: anyOf refuses {value}"));
    }
    if schema.get("not").is_some_and(|not| check(not, value, path).is_ok()) {
        return Err(format!("{path}: not refuses {value}"));
    }
    Ok(())
}

/// Only the pattern of durations is evaluated: digits and then m or s, anything after.
fn fits_pattern(pattern: &str, text: &str) -> bool {
    let after = text.trim_start_matches(|character: char| character.is_ascii_digit());
    pattern != "^[0-9]+(m|s)" || (after.len() < text.len() && after.starts_with(['m', 's']))
}

fn prune(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
            let values = schema.get("additionalProperties");
            let whole = schema["properties"].is_null() && values.is_none();
            fields.retain(|name, _| open || whole || values.is_some() || schema["properties"].get(name).is_some());
            for (name, field) in fields {
                if let Some(schema) = schema["properties"].get(name).or(values) {
                    prune(schema, field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune(&schema["items"], item)),
        _ => {}
    }
}

/// A Canary that is accepted, with some fields of its spec replaced.
fn canary(spec: Value) -> Value {
    let mut object = json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "podinfo"},
        "spec": {"targetRef": target(), "analysis": analysis(json!({}))["spec"]["analysis"]}});
    merge(&mut object["spec"], spec);
    object
}

fn target() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"})
}

fn merge(object: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else { panic!("{fields} is no object") };
    object.as_object_mut().unwrap().extend(fields);
}

/// A Canary with some fields of its Blue/Green analysis replaced.
fn analysis(fields: Value) -> Value {
    let mut analysis = json!({"interval": "1m", "threshold": 1, "iterations": 5});
    merge(&mut analysis, fields);
    json!({"spec": {"targetRef": target(), "analysis": analysis}})
}

fn service(fields: Value) -> Value {
    let mut service = json!({"port": 80});
    merge(&mut service, fields);
    canary(json!({"service": service}))
}

fn hook(fields: Value) -> Value {
    let mut hook = json!({"name": "a", "url": "http://b"});
    merge(&mut hook, fields);
    analysis(json!({"webhooks": [hook]}))
}

fn load_balancer(fields: &Value) -> Value {
    service(json!({"trafficPolicy": {"loadBalancer": fields}}))
}

#[test]
fn manifests_are_accepted_and_rejected_as_by_the_reference() {
    let definition = crate::crd::canary();
    let bare = |analysis: Value| json!({"spec": {"targetRef": target(), "analysis": analysis}});
    let alert = |severity: &str| {
        analysis(json!({"alerts": [{"name": "a", "severity": severity, "providerRef": {"name": "p"}}]}))
    };
    let scaler = |kind: &str, replicas: Value| {
        let reference = json!({"apiVersion": "a/v1", "kind": kind, "name": "a", "primaryScalerReplicas": replicas});
        canary(json!({"autoscalerRef": reference}))
    };
    let accepted = [
        ("m and s", analysis(json!({"interval": "1m30s"}))),
        ("milliseconds", analysis(json!({"interval": "10ms"}))),
        ("unit that Go does not know", analysis(json!({"interval": "5sec"}))),
        ("steps", bare(json!({"interval": "1m", "threshold": 1, "stepWeights": [1, 2]}))),
        ("no progress", bare(json!({"interval": "1m", "threshold": 1, "stepWeight": 0}))),
        ("fractions", analysis(json!({"threshold": 1.5}))),
        ("maxWeight beside iterations", analysis(json!({"maxWeight": 50}))),
        ("no service", canary(json!({}))),
        ("port by name", service(json!({"targetPort": "http"}))),
        ("port by number", service(json!({"targetPort": 8080}))),
        ("mirror without backend", service(json!({"mirror": [{}]}))),
        ("no URL", hook(json!({"url": "not a url"}))),
        ("hook of no type", hook(json!({"type": ""}))),
        ("alert of no severity", alert("")),
        ("match of no header value", service(json!({"match": [{"headers": {"x": {}}}]}))),
        ("hash", load_balancer(&json!({"consistentHash": {"useSourceIp": true}}))),
        ("query without value", analysis(json!({"match": [{"queryParams": {"x": {}}}]}))),
        ("header by suffix", analysis(json!({"match": [{"headers": {"x": {"suffix": "y"}}}]}))),
        ("nulls", canary(json!({"provider": null, "autoscalerRef": null, "suspend": null}))),
        ("bounds of a scaler", scaler("ScaledObject", json!({"minReplicas": 1, "maxReplicas": 2}))),
    ];
    for (what, object) in accepted {
        assert_eq!(store(&definition, object).err(), None, "{what}");
    }
    let rejected = [
        ("no spec", json!({})),
        ("no analysis", json!({"spec": {"targetRef": target()}})),
        ("no kind of analysis", bare(json!({"interval": "1m", "threshold": 1}))),
        ("two kinds of analysis", analysis(json!({"stepWeight": 10}))),
        ("hours", analysis(json!({"interval": "1h"}))),
        ("fraction of a minute", analysis(json!({"interval": "1.5m"}))),
        ("empty interval", analysis(json!({"interval": ""}))),
        ("hook with a timeout of hours", hook(json!({"timeout": "1h"}))),
        ("metric with an interval of hours", analysis(json!({"metrics": [{"name": "a", "interval": "1h"}]}))),
        ("metric without name", analysis(json!({"metrics": [{}]}))),
        ("bare gatewayapi", canary(json!({"provider": "gatewayapi"}))),
        ("empty provider", canary(json!({"provider": ""}))),
        ("mesh of SMI", canary(json!({"provider": "smi:v1alpha2:istio"}))),
        ("target without version", canary(json!({"targetRef": {"kind": "Deployment", "name": "a"}}))),
        ("StatefulSet", canary(json!({"targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "a"}}))),
        ("scaler of another kind", scaler("VerticalPodAutoscaler", json!({}))),
        ("no replicas", scaler("ScaledObject", json!({"minReplicas": 0}))),
        ("service without port", canary(json!({"service": {}}))),
        ("distribution", service(json!({"trafficDistribution": "Anywhere"}))),
        ("affinity without cookie", analysis(json!({"sessionAffinity": {}}))),
        ("hook of unknown type", hook(json!({"type": "rollouts"}))),
        ("alert of unknown severity", alert("fatal")),
        ("warm-up alone", load_balancer(&json!({"warmupDurationSecs": "10s"}))),
        ("two algorithms", load_balancer(&json!({"simple": "RANDOM", "consistentHash": {"useSourceIp": true}}))),
        ("two hashes", load_balancer(&json!({"consistentHash": {"useSourceIp": true, "httpHeaderName": "x"}}))),
        ("unknown algorithm", load_balancer(&json!({"simple": "FAIR"}))),
        ("header without value", analysis(json!({"match": [{"headers": {"x": {}}}]}))),
        ("two ways to match", service(json!({"match": [{"uri": {"exact": "/a", "prefix": "/b"}}]}))),
        ("origin without value", service(json!({"corsPolicy": {"allowOrigins": [{}]}}))),
        ("33 parents", service(json!({"gatewayRefs": vec![json!({"name": "a"}); 33]}))),
        ("parent without name", service(json!({"gatewayRefs": [{}]}))),
    ];
    for (what, object) in rejected {
        assert!(store(&definition, object).is_err(), "{what}");
    }
}

#[test]
fn templates_and_alert_providers_may_lack_a_spec_but_not_half_of_it() {
    let template = crate::crd::metric_template();
    assert!(store(&template, json!({})).is_ok());
    let stored = json!({"spec": {"provider": {"type": "splunk", "headers": {"a": ["b"]}}, "query": "q"}});
    assert_eq!(store(&template, stored.clone()), Ok(stored));
    assert!(store(&template, json!({"spec": {"provider": {"type": "splunk"}}})).is_err());
    assert!(store(&template, json!({"spec": {"provider": {"type": "oracle"}, "query": "q"}})).is_err());

    let provider = crate::crd::alert_provider();
    assert!(store(&provider, json!({})).is_ok());
    for spec in [json!({"type": "slack", "address": "a"}), json!({"type": "gchat", "secretRef": {"name": "s"}})] {
        assert!(store(&provider, json!({"spec": spec})).is_ok(), "{spec}");
    }
    // The reference refuses both (quirk Q17); its documentation shows both.
    assert!(store(&provider, json!({"spec": {"type": "slack", "address": "a", "secretRef": {"name": "s"}}})).is_ok());
    for spec in [json!({"type": "slack"}), json!({"address": "a"}), json!({"type": "irc", "address": "a"})] {
        assert!(store(&provider, json!({"spec": spec})).is_err(), "{spec}");
    }
}

#[test]
fn unknown_fields_are_dropped_except_in_traffic_policies() {
    let object = service(json!({
        "unheardOf": 1,
        "match": [{"uri": {"suffix": "x"}, "statPrefix": "y"}],
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 1}}, "portLevelSettings": [{"port": {"number": 1}}]},
    }));
    let stored = store(&crate::crd::canary(), object).unwrap();
    assert_eq!(
        stored["spec"]["service"],
        json!({"port": 80, "match": [{"uri": {}}], "trafficPolicy": {
            "connectionPool": {"tcp": {"maxConnections": 1}}, "portLevelSettings": [{"port": {"number": 1}}]}})
    );
    let object = analysis(json!({
        "match": [{"uri": {"exact": "/"}, "method": {"exact": "GET"}, "sourceLabels": {"a": "b"}}],
        "metrics": [{"name": "m", "templateRef": {"name": "t", "apiVersion": "v1"}}],
    }));
    let stored = store(&crate::crd::canary(), object).unwrap();
    assert_eq!(stored["spec"]["analysis"]["match"], json!([{"sourceLabels": {"a": "b"}}]));
    assert_eq!(stored["spec"]["analysis"]["metrics"], json!([{"name": "m", "templateRef": {"name": "t"}}]));
    let stored = store(&crate::crd::canary(), canary(json!({"canaryAnalysis": {"interval": "1m"}}))).unwrap();
    assert_eq!(stored["spec"].get("canaryAnalysis"), None);
}

#[test]
fn a_status_is_kept_whole() {
    let status = json!({
        "phase": "Progressing", "canaryWeight": 10, "failedChecks": 0, "iterations": -1,
        "lastAppliedSpec": "5f56684589", "lastPromotedSpec": "7b6c4d85f9", "trackedConfigs": {},
        "lastTransitionTime": "2026-07-01T10:00:30Z", "sessionAffinityCookie": "a=b",
        "previousSessionAffinityCookie": "a=c", "primarySessionAffinityCookie": "p=d",
        "conditions": [{"type": "Promoted", "status": "Unknown", "reason": "Progressing", "message": "m",
            "lastUpdateTime": "2026-07-01T10:00:00Z", "lastTransitionTime": "2026-07-01T10:00:00Z"}],
        "observedGeneration": 3, "unannounced": "Succeeded",
        "lastChecks": {"time": "2026-07-01T10:00:00Z", "checks": [
            {"metric": "a", "value": 98.5, "bound": "< 99", "verdict": "Failed", "message": "m"}]},
    });
    let mut object = canary(json!({}));
    merge(&mut object, json!({"status": status}));
    assert_eq!(store(&crate::crd::canary(), object).unwrap()["status"], status);
    let mut object = canary(json!({}));
    merge(&mut object, json!({"status": {"phase": "Sleeping"}}));
    assert!(store(&crate::crd::canary(), object).is_err());
}

/// Calls `visit` with the path of every schema inside `schema`; the last argument: inside of an alternative.
fn walk(schema: &Value, path: &str, alternative: bool, visit: &mut impl FnMut(&str, &Map<String, Value>, bool)) {
    let Some(node) = schema.as_object() else { panic!("{path} is no schema: {schema}") };
    visit(path, node, alternative);
    for (name, property) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), alternative, visit);
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = node.get(key) {
            walk(inner, &format!("{path}{suffix}"), alternative, visit);
        }
    }
    for key in ["oneOf", "anyOf"] {
        for inner in node.get(key).and_then(Value::as_array).into_iter().flatten() {
            walk(inner, path, true, visit);
        }
    }
    if let Some(inner) = node.get("not") {
        walk(inner, path, true, visit);
    }
}

/// Path and value of a keyword wherever it occurs, under `spec` and `status` of a Canary.
fn occurrences(keyword: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(schema_of(&crate::crd::canary()), "", false, &mut |path, node, _| {
        if let Some(value) = node.get(keyword) {
            found.push((path.to_owned(), value.clone()));
        }
    });
    found
}

#[test]
fn schemas_are_structural() {
    for definition in crate::crd::all() {
        walk(schema_of(&definition), "", false, &mut |path, node, alternative| {
            assert!(!node.contains_key("$ref") && !node.contains_key("title"), "{path}");
            let typed =
                node.get("type").is_some_and(Value::is_string) || node.contains_key("x-kubernetes-int-or-string");
            if alternative {
                for key in ["type", "description", "default", "additionalProperties", "nullable"] {
                    assert!(!node.contains_key(key), "{path} has {key} in an alternative");
                }
            } else {
                assert!(typed, "{path} has no type");
            }
        });
    }
}

#[test]
fn server_defaults_are_the_five_of_the_reference() {
    assert_eq!(
        occurrences("default"),
        [
            (".spec.service.gatewayRefs[].group".to_owned(), json!("gateway.networking.k8s.io")),
            (".spec.service.gatewayRefs[].kind".to_owned(), json!("Gateway")),
            (".spec.service.mirror[].backendRef.group".to_owned(), json!("")),
            (".spec.service.mirror[].backendRef.kind".to_owned(), json!("Service")),
            (".spec.analysis.sessionAffinity.maxAge".to_owned(), json!(86_400)),
        ]
    );
}

#[test]
fn patterns_formats_and_rules_are_nowhere_else() {
    let paths = |keyword: &str| occurrences(keyword).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(
        paths("pattern"),
        [
            ".spec.service.gatewayRefs[].group",
            ".spec.service.gatewayRefs[].kind",
            ".spec.service.gatewayRefs[].namespace",
            ".spec.service.gatewayRefs[].sectionName",
            ".spec.service.mirror[].backendRef.group",
            ".spec.service.mirror[].backendRef.kind",
            ".spec.service.mirror[].backendRef.namespace",
            ".spec.analysis.interval",
            ".spec.analysis.metrics[].interval",
            ".spec.analysis.webhooks[].timeout",
        ]
    );
    let formats = occurrences("format");
    assert!(
        formats.iter().all(|(_, format)| ["int32", "int64", "date-time"].iter().any(|known| format == known)),
        "{formats:?}"
    );
    assert_eq!(
        paths("x-kubernetes-validations"),
        [".spec.autoscalerRef", ".spec.service.mirror[].backendRef", ".spec.analysis.sessionAffinity"]
    );
    assert!(
        paths("x-kubernetes-preserve-unknown-fields")
            .iter()
            .all(|path| path.starts_with(".spec.service.trafficPolicy"))
    );
    assert_eq!(paths("x-kubernetes-list-type"), [""; 0]);
}

#[test]
fn numbers_stay_numbers_and_integers_integers() {
    let mut found = Vec::new();
    walk(schema_of(&crate::crd::canary()), "", false, &mut |path, node, _| {
        if node.get("type") == Some(&json!("integer")) && !path.starts_with(".spec.service.trafficPolicy") {
            found.push(path.to_owned());
        }
    });
    assert_eq!(
        found,
        [
            ".spec.autoscalerRef.primaryScalerReplicas.minReplicas",
            ".spec.autoscalerRef.primaryScalerReplicas.maxReplicas",
            ".spec.service.gatewayRefs[].port",
            ".spec.service.match[].port",
            ".spec.service.retries.attempts",
            ".spec.service.mirror[].backendRef.port",
            ".status.observedGeneration",
        ]
    );
}

#[test]
fn the_frame_of_each_definition_is_that_of_the_reference() {
    let expected = [
        ("canaries.flagger.app", "Canary", "CanaryList", "canaries", "canary"),
        ("metrictemplates.flagger.app", "MetricTemplate", "MetricTemplateList", "metrictemplates", "metrictemplate"),
        ("alertproviders.flagger.app", "AlertProvider", "AlertProviderList", "alertproviders", "alertprovider"),
    ];
    for (definition, (name, kind, list, plural, singular)) in crate::crd::all().into_iter().zip(expected) {
        assert_eq!(definition["metadata"], json!({"name": name, "annotations": {"helm.sh/resource-policy": "keep"}}));
        let names =
            json!({"kind": kind, "listKind": list, "plural": plural, "singular": singular, "categories": ["all"]});
        assert_eq!(definition["spec"]["names"], names);
        assert_eq!(definition["spec"]["scope"], "Namespaced");
        let version = &definition["spec"]["versions"][0];
        assert_eq!(
            (&version["name"], &version["served"], &version["storage"]),
            (&json!("v1beta1"), &json!(true), &json!(true))
        );
        assert_eq!(version["subresources"], json!({"status": {}}));
        assert_eq!(schema_of(&definition)["properties"].get("status").is_some(), kind == "Canary");
    }
    let canary = crate::crd::canary();
    let columns = canary["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let shown: Vec<_> = columns
        .iter()
        .map(|column| {
            format!("{} {} {} {}", column["name"], column["type"], column["jsonPath"], column["priority"])
                .replace('"', "")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "Status string .status.phase null",
            "Weight string .status.canaryWeight null",
            "Suspended boolean .spec.suspend 1",
            "FailedChecks string .status.failedChecks 1",
            "Interval string .spec.analysis.interval 1",
            "Mirror boolean .spec.analysis.mirror 1",
            "StepWeight string .spec.analysis.stepWeight 1",
            "StepWeights string .spec.analysis.stepWeights 1",
            "MaxWeight string .spec.analysis.maxWeight 1",
            "LastTransitionTime string .status.lastTransitionTime null",
        ]
    );
}

#[test]
fn the_committed_file_is_the_generated_one() {
    let committed =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../artifacts/flagger/crd.yaml")).unwrap();
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(&committed)
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect();
    assert_eq!(documents, crate::crd::all(), "run `cargo xtask crds`");
}
