//! What the tests share: a lab with a client in memory, and short ways to make and change objects.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use lab::{Lab, Options};
use serde_json::{Value, json};

/// A lab without nodes, and a client in the namespace `default`.
pub fn bare() -> (Lab, Client) {
    with(Options { nodes: None, ..Options::default() })
}

/// A lab set up so, and a client in the namespace `default`.
pub fn with(options: Options) -> (Lab, Client) {
    let lab = Lab::new(options);
    let client = Client::new(lab.service_as("test/1.0"), "default");
    (lab, client)
}

/// Objects of a kind by `GROUP/VERSION/Kind` (the group may be empty) in `default`.
pub fn objects(client: &Client, kind: &str) -> Api<DynamicObject> {
    Api::default_namespaced_with(client.clone(), &resource(kind))
}

/// Cluster-scoped objects of a kind.
pub fn cluster(client: &Client, kind: &str) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource(kind))
}

pub fn resource(kind: &str) -> ApiResource {
    let parts: Vec<_> = kind.split('/').collect();
    let (group, version, kind) = match parts.as_slice() {
        [version, kind] => ("", *version, *kind),
        [group, version, kind] => (*group, *version, *kind),
        _ => panic!("{kind} is no GROUP/VERSION/Kind"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// An object from JSON.
pub fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

pub async fn create(api: &Api<DynamicObject>, value: Value) -> Result<Value, Error> {
    let created = api.create(&PostParams::default(), &object(value)).await?;
    Ok(serde_json::to_value(created).unwrap())
}

pub async fn merge(api: &Api<DynamicObject>, name: &str, patch: Value) -> Result<Value, Error> {
    let patched = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(serde_json::to_value(patched).unwrap())
}

pub async fn get(api: &Api<DynamicObject>, name: &str) -> Value {
    serde_json::to_value(api.get(name).await.unwrap()).unwrap()
}

/// The code and text of a refusal.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> (u16, String) {
    match result {
        Err(Error::Api(status)) => (status.code, status.message.clone()),
        other => panic!("not refused: {other:?}"),
    }
}

pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

pub fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "podinfo:1"}]}}},
    })
}

/// The definition of `Thing` in `test.io`, with a schema for its spec.
pub fn definition(spec: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.test.io"},
        "spec": {"group": "test.io", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"], "categories": ["all"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": spec, "status": {"type": "object", "properties": {"phase": {"type": "string"}}}}}}}]},
    })
}

pub fn thing(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "test.io/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec})
}
