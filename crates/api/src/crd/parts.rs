//! Pieces of schema that a type cannot say by itself, attached to fields by `#[schemars(...)]`.
//!
//! Source: API notes, sections 2, 3, 7 and 8.

use schemars::generate::SchemaGenerator;
use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};

/// Key under which a field asks for a default that the API server writes into objects. Plain `default`s, which follow
/// from the types, are dropped. Tools that sync with Git see each of these as a difference, so there must be no others
/// than these five: group and kind of `gatewayRefs[]` and of `mirror[].backendRef`, and `sessionAffinity.maxAge`.
pub(crate) const SERVER_DEFAULT: &str = "x-server-default";

/// Durations of the schema: not anchored at the end, so `1m30s` passes (and so does `10sec`, quirk Q5).
pub(crate) const DURATION: &str = "^[0-9]+(m|s)";
/// Name of a DNS label, as Gateway API has it.
pub(crate) const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Name of a DNS subdomain, as Gateway API has it.
pub(crate) const DNS_SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The same, or empty for the core group.
pub(crate) const GROUP: &str = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Name of a kind, as Gateway API has it.
pub(crate) const KIND: &str = "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$";

/// Values of `spec.provider`, sorted.
pub const PROVIDERS: [&str; 19] = [
    "apisix",
    "appmesh",
    "appmesh:v1beta2",
    "contour",
    "gatewayapi:v1",
    "gatewayapi:v1beta1",
    "gloo",
    "istio",
    "knative",
    "kubernetes",
    "kuma",
    "linkerd",
    "nginx",
    "osm",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
    "traefik",
];

/// Values of a MetricTemplate's `provider.type`.
pub(crate) const METRIC_PROVIDERS: [&str; 11] = [
    "prometheus",
    "influxdb",
    "datadog",
    "externalmetrics",
    "stackdriver",
    "cloudwatch",
    "newrelic",
    "graphite",
    "dynatrace",
    "keptn",
    "splunk",
];

/// Values of an AlertProvider's `type`.
pub(crate) const ALERT_PROVIDERS: [&str; 5] = ["slack", "msteams", "discord", "rocket", "gchat"];

/// Kinds of `targetRef`.
pub(crate) fn target_kinds(schema: &mut Schema) {
    kinds(schema, &["DaemonSet", "Deployment", "Service"]);
}

/// Kinds of `autoscalerRef`.
pub(crate) fn scaler_kinds(schema: &mut Schema) {
    kinds(schema, &["HorizontalPodAutoscaler", "ScaledObject"]);
}

/// Kinds of `ingressRef`.
pub(crate) fn ingress_kinds(schema: &mut Schema) {
    kinds(schema, &["Ingress"]);
}

/// Kinds of `routeRef`.
pub(crate) fn route_kinds(schema: &mut Schema) {
    kinds(schema, &["ApisixRoute"]);
}

/// Kinds of `upstreamRef`.
pub(crate) fn upstream_kinds(schema: &mut Schema) {
    kinds(schema, &["Upstream"]);
}

fn kinds(schema: &mut Schema, kinds: &[&str]) {
    if let Some(kind) = schema.pointer_mut("/properties/kind") {
        insert(kind, "enum", json!(kinds));
    }
}

/// Exactly one of `interval` and `threshold` with iterations, with a step, or with steps.
pub(crate) fn kinds_of_analysis() -> Value {
    let with = |key: &str| json!({"required": ["interval", "threshold", key]});
    json!([with("iterations"), with("stepWeight"), with("stepWeights")])
}

/// Either of the two is enough, and both are fine.
pub(crate) fn address_or_secret() -> Value {
    json!([{"required": ["type", "address"]}, {"required": ["type", "secretRef"]}])
}

/// Cheap enough for any length of the names: one comparison.
pub(crate) fn cookies_differ() -> Value {
    json!([{
        "rule": "self.cookieName != (has(self.primaryCookieName) ? self.primaryCookieName : '')",
        "message": "cookieName must be set, and primaryCookieName must be another name",
    }])
}

/// A `HorizontalPodAutoscaler` with such bounds is refused by the API server, so the reference could never run it.
pub(crate) fn replicas_in_order() -> Value {
    json!([{
        "rule": "self.kind != 'HorizontalPodAutoscaler' || !has(self.primaryScalerReplicas) || \
                 !has(self.primaryScalerReplicas.minReplicas) || !has(self.primaryScalerReplicas.maxReplicas) || \
                 self.primaryScalerReplicas.minReplicas <= self.primaryScalerReplicas.maxReplicas",
        "message": "primaryScalerReplicas.minReplicas must not be greater than maxReplicas",
    }])
}

/// Group and kind are always there, by their defaults.
pub(crate) fn service_needs_port() -> Value {
    json!([{
        "rule": "has(self.port) || self.group != '' || self.kind != 'Service'",
        "message": "Must have port for Service reference",
    }])
}

/// `service.match[]`: texts are matched in one way or not at all; `suffix` is not known to meshes.
pub(crate) fn service_match(schema: &mut Schema) {
    let Some(properties) = schema.pointer_mut("/items/properties").and_then(Value::as_object_mut) else { return };
    for key in ["uri", "scheme", "method", "authority"] {
        properties.entry(key).and_modify(one_way_or_none);
    }
    for key in ["headers", "queryParams", "withoutHeaders"] {
        properties.entry(key).and_modify(|texts| for_each_value(texts, one_way_or_none));
    }
}

/// `analysis.match[]`: headers, query parameters and labels of the source only.
pub(crate) fn analysis_match(schema: &mut Schema) {
    let Some(properties) = schema.pointer_mut("/items/properties").and_then(Value::as_object_mut) else { return };
    properties.retain(|key, _| ["headers", "queryParams", "sourceLabels"].contains(&key.as_str()));
    let one_way = |text: &mut Value| insert(text, "oneOf", any_of_keys(&["exact", "prefix", "suffix", "regex"]));
    properties.entry("headers").and_modify(|texts| for_each_value(texts, one_way));
    properties.entry("queryParams").and_modify(|texts| for_each_value(texts, one_way_or_none));
}

/// `corsPolicy.allowOrigins[]`: exactly one way.
pub(crate) fn origins(schema: &mut Schema) {
    let Some(text) = schema.pointer_mut("/items") else { return };
    remove_suffix(text);
    insert(text, "oneOf", any_of_keys(&["exact", "prefix", "regex"]));
}

fn one_way_or_none(text: &mut Value) {
    remove_suffix(text);
    let ways = any_of_keys(&["exact", "prefix", "regex"]);
    let mut alternatives = vec![json!({"not": {"anyOf": ways}})];
    alternatives.extend(ways);
    insert(text, "oneOf", alternatives);
}

fn any_of_keys(keys: &[&str]) -> Vec<Value> {
    keys.iter().map(|key| json!({"required": [key]})).collect()
}

fn remove_suffix(text: &mut Value) {
    if let Some(properties) = text.get_mut("properties").and_then(Value::as_object_mut) {
        properties.shift_remove("suffix");
    }
}

fn insert(schema: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(key.to_owned(), value.into());
    }
}

fn for_each_value(map: &mut Value, change: impl FnOnce(&mut Value)) {
    if let Some(values) = map.get_mut("additionalProperties") {
        change(values);
    }
}

/// `service.trafficPolicy`: what the reference knows is typed as there; what Istio has besides is kept.
pub(crate) fn traffic_policy(_: &mut SchemaGenerator) -> Schema {
    let policy = open(&json!({
        "loadBalancer": load_balancer(),
        "connectionPool": open(&json!({
            "http": open(&json!({
                "h2UpgradePolicy": choice(&["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]),
                "http1MaxPendingRequests": int32(),
                "http2MaxRequests": int32(),
                "maxRequestsPerConnection": int32(),
                "maxRetries": int32(),
                "idleTimeout": text(),
            })),
        })),
        "outlierDetection": open(&json!({
            "baseEjectionTime": text(),
            "interval": text(),
            "consecutive5xxErrors": integer(),
            "consecutiveErrors": integer(),
            "consecutiveGatewayErrors": integer(),
            "consecutiveLocalOriginFailures": integer(),
            "maxEjectionPercent": integer(),
            "minHealthPercent": integer(),
            "splitExternalLocalOriginErrors": boolean(),
        })),
        "tls": open(&json!({
            "mode": choice(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
            "caCertificates": text(),
            "clientCertificate": text(),
            "privateKey": text(),
            "sni": text(),
            "subjectAltNames": {"type": "array", "items": text()},
        })),
    }));
    let mut schema = json_schema!({});
    if let Value::Object(policy) = policy {
        *schema.ensure_object() = policy;
    }
    schema
}

/// Either one of the simple algorithms or a hash over exactly one thing.
fn load_balancer() -> Value {
    let hashes = any_of_keys(&["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"]);
    let mut schema = open(&json!({
        "simple": choice(&["ROUND_ROBIN", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "LEAST_REQUEST"]),
        "consistentHash": open(&json!({
            "httpHeaderName": text(),
            "httpCookie": open(&json!({"name": text(), "path": text(), "ttl": text()})),
            "useSourceIp": boolean(),
            "httpQueryParameterName": text(),
            "minimumRingSize": integer(),
        })),
        "localityLbSetting": open(&json!({
            "distribute": {"type": "array", "items": open(&json!({
                "from": text(),
                "to": {"type": "object", "additionalProperties": integer()},
            }))},
            "failover": {"type": "array", "items": open(&json!({"from": text(), "to": text()}))},
            "enabled": boolean(),
        })),
        "warmupDurationSecs": text(),
    }));
    let alternatives = json!([
        {"required": ["simple"]},
        {"required": ["consistentHash"], "properties": {"consistentHash": {"oneOf": hashes}}},
    ]);
    insert(&mut schema, "oneOf", alternatives);
    schema
}

/// An object that keeps what is not among its properties.
fn open(properties: &Value) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties.clone());
    schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
    Value::Object(schema)
}

fn text() -> Value {
    json!({"type": "string"})
}

fn choice(values: &[&str]) -> Value {
    json!({"type": "string", "enum": values})
}

fn boolean() -> Value {
    json!({"type": "boolean"})
}

fn integer() -> Value {
    json!({"type": "integer"})
}

fn int32() -> Value {
    json!({"type": "integer", "format": "int32"})
}
