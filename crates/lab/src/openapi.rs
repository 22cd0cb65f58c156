//! `OpenAPI`: that objects are validated here (`fieldValidation`), and schemas for `kubectl explain`.
//!
//! Version 3, a document per group and version. Schemas of built-in kinds are those of `k8s-openapi`; they know no defaults, no enumerations and no keys of
//! lists, so nobody should merge by them, and the documents do not say that strategic merge patches are understood (clients then use the tables that they
//! bring). Version 2 is an empty document: clients that ask for it because version 3 has no answer (`kubectl create -f` of a `List`) learn that nothing is known.
//! Source: <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition>

use crate::builtins::BUILT_INS;
use crate::failure::{Failure, qualified};
use crate::resource::{Registry, Resource};
use objects::paths;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Where schemas refer to.
const COMPONENTS: &str = "#/components/schemas/";
/// Types whose `name` may be left out, although the Rust types say otherwise.
const NAME_IS_OPTIONAL: [&str; 8] = [
    "ConfigMapEnvSource",
    "ConfigMapKeySelector",
    "ConfigMapProjection",
    "ConfigMapVolumeSource",
    "LocalObjectReference",
    "SecretEnvSource",
    "SecretKeySelector",
    "SecretProjection",
];

/// The schemas of all built-in kinds and of what they consist of, by name; and the names by group, version and kind.
static TYPES: LazyLock<Types> = LazyLock::new(Types::generate);

struct Types {
    schemas: Map<String, Value>,
    names: BTreeMap<(&'static str, &'static str, &'static str), String>,
}

impl Types {
    fn generate() -> Self {
        let mut generator = SchemaSettings::openapi3().into_generator();
        let names: BTreeMap<_, _> =
            BUILT_INS.iter().map(|one| ((one.group, one.version, one.kind), (one.schema)(&mut generator))).collect();
        let mut schemas = generator.take_definitions(true);
        for (name, schema) in &mut schemas {
            let is_kind = names.values().any(|kind| kind == name);
            let short = name.rsplit('.').next().unwrap_or_default();
            if let Some(Value::Array(required)) = schema.get_mut("required") {
                required.retain(|field| {
                    let wrongly =
                        (is_kind && field == "metadata") || (field == "name" && NAME_IS_OPTIONAL.contains(&short));
                    !wrongly
                });
            }
            describe_references(schema);
        }
        Self { schemas, names }
    }
}

/// Beside a reference nothing else counts, not even a description: it goes into a list of one.
fn describe_references(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.len() > 1
                && let Some(reference) = map.remove("$ref")
            {
                map.insert("allOf".to_owned(), json!([{"$ref": reference}]));
            }
            map.values_mut().for_each(describe_references);
        }
        Value::Array(list) => list.iter_mut().for_each(describe_references),
        _ => {}
    }
}

/// `/openapi/v3`: one document per group and version.
pub(crate) fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for one in registry.iter() {
        let path = path_of(one);
        let url = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
        paths.insert(path, url);
    }
    json!({"paths": paths})
}

fn path_of(one: &Resource) -> String {
    if one.group.is_empty() { format!("api/{}", one.version) } else { format!("apis/{}/{}", one.group, one.version) }
}

/// `/openapi/v3/PATH`.
pub(crate) fn document(registry: &Registry, path: &str) -> Result<Value, Failure> {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for one in registry.iter().filter(|one| path_of(one) == path) {
        let base = if one.namespaced {
            format!("/{path}/namespaces/{{namespace}}/{}", one.plural)
        } else {
            format!("/{path}/{}", one.plural)
        };
        paths.insert(base.clone(), json!({"post": operation(one, "post")}));
        paths.insert(
            format!("{base}/{{name}}"),
            json!({"put": operation(one, "put"), "patch": operation(one, "patch")}),
        );
        schemas.insert(schema_name(one), schema(one));
    }
    if paths.is_empty() {
        return Err(Failure::no_such_path());
    }
    add_parts(&mut schemas);
    Ok(
        json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.0"}, "paths": paths, "components": {"schemas": schemas}}),
    )
}

/// Adds what the schemas refer to, and so on.
fn add_parts(schemas: &mut Map<String, Value>) {
    let mut wanted = BTreeSet::new();
    schemas.values().for_each(|schema| references(schema, &mut wanted));
    while let Some(name) = wanted.pop_first() {
        if !schemas.contains_key(&name)
            && let Some(schema) = TYPES.schemas.get(&name)
        {
            references(schema, &mut wanted);
            schemas.insert(name, schema.clone());
        }
    }
}

/// The names that a schema refers to.
fn references(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix(COMPONENTS));
            into.extend(name.map(str::to_owned));
            map.values().for_each(|value| references(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

fn group_version_kind(one: &Resource) -> Value {
    json!({"group": one.group, "version": one.version, "kind": one.kind})
}

fn operation(one: &Resource, action: &str) -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let parameters: Vec<Value> =
        ["dryRun", "fieldManager", "fieldValidation"].iter().map(|name| parameter(name)).collect();
    let schema = json!({"schema": {"$ref": format!("{COMPONENTS}{}", schema_name(one))}});
    json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {"application/json": schema}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(one),
    })
}

/// `io.k8s.api.apps.v1.Deployment`; `app.flagger.v1beta1.Canary` for a Canary of `flagger.app`.
fn schema_name(one: &Resource) -> String {
    if let Some(builtin) = one.builtin()
        && let Some(name) = TYPES.names.get(&(builtin.group, builtin.version, builtin.kind))
    {
        return name.clone();
    }
    let group: Vec<&str> = one.group.split('.').rev().filter(|part| !part.is_empty()).collect();
    qualified(&qualified(&group.join("."), &one.version), &one.kind).trim_start_matches('.').to_owned()
}

fn schema(one: &Resource) -> Value {
    let mut schema = match one.custom() {
        Some(custom) => custom_schema(custom.schema.root()),
        None => TYPES.schemas.get(&schema_name(one)).cloned().unwrap_or_else(|| json!({"type": "object"})),
    };
    paths::set(&mut schema, &["x-kubernetes-group-version-kind"], json!([group_version_kind(one)]));
    schema
}

/// The schema of a definition, with the fields that every object has described as in built-in kinds.
fn custom_schema(root: &Value) -> Value {
    let mut schema = root.clone();
    let common = TYPES.schemas.get("io.k8s.api.core.v1.ConfigMap");
    for field in ["apiVersion", "kind", "metadata"] {
        let described = common.and_then(|map| map.pointer(&format!("/properties/{field}")));
        paths::set(&mut schema, &["properties", field], described.cloned().unwrap_or_default());
    }
    schema
}

/// `/openapi/v2` in JSON.
pub(crate) fn empty_v2() -> Value {
    json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.0"}, "paths": {}, "definitions": {}})
}

/// The media type of [`EMPTY_V2`].
pub(crate) const V2_MEDIA: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// `/openapi/v2` as clients written in Go want it, whatever else they could read: the message `openapi.v2.Document` with the version (field 1), the info
/// (2: title 1, version 2), no paths (8) and no definitions (9).
pub(crate) const EMPTY_V2: &[u8] = b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.36.0\x42\x00\x4a\x00";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_every_document_is_answered() {
        let registry = Registry::default();
        let index = index(&registry);
        for path in index["paths"].as_object().unwrap().keys() {
            let document = document(&registry, path).unwrap();
            let mut wanted = BTreeSet::new();
            references(&document, &mut wanted);
            let missing: Vec<_> =
                wanted.iter().filter(|name| document["components"]["schemas"].get(name).is_none()).collect();
            assert!(missing.is_empty(), "{path}: {missing:?}");
        }
    }

    #[test]
    fn what_may_be_left_out_is_not_required() {
        let required = |name: &str| TYPES.schemas[name].get("required").cloned().unwrap_or_default();
        assert_eq!(required("io.k8s.api.apps.v1.Deployment"), json!([]));
        assert_eq!(required("io.k8s.api.core.v1.SecretKeySelector"), json!(["key"]));
        assert_eq!(required("io.k8s.api.core.v1.Container"), json!(["name"]));
    }
}
