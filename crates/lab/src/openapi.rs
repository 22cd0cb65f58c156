//! As much `OpenAPI` as kubectl needs: that objects are validated here (`fieldValidation`), and the schemas of custom kinds for `kubectl explain`.
//!
//! The schemas of built-in kinds are left out.

use crate::failure::{Failure, qualified};
use crate::resource::{Registry, Resource};
use serde_json::{Map, Value, json};

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
    Ok(
        json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.0"}, "paths": paths, "components": {"schemas": schemas}}),
    )
}

fn group_version_kind(one: &Resource) -> Value {
    json!({"group": one.group, "version": one.version, "kind": one.kind})
}

fn operation(one: &Resource, action: &str) -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let parameters: Vec<Value> =
        ["dryRun", "fieldManager", "fieldValidation"].iter().map(|name| parameter(name)).collect();
    let schema = json!({"schema": {"$ref": format!("#/components/schemas/{}", schema_name(one))}});
    json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {"application/json": schema}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(one),
    })
}

/// `io.flagger.v1beta1.Canary` for a Canary of `flagger.io`.
fn schema_name(one: &Resource) -> String {
    let group: Vec<&str> = one.group.split('.').rev().filter(|part| !part.is_empty()).collect();
    qualified(&qualified(&group.join("."), &one.version), &one.kind).trim_start_matches('.').to_owned()
}

fn schema(one: &Resource) -> Value {
    let mut schema = one.custom().map_or_else(|| json!({"type": "object"}), |custom| custom.schema.root().clone());
    objects::paths::set(&mut schema, &["x-kubernetes-group-version-kind"], json!([group_version_kind(one)]));
    schema
}
