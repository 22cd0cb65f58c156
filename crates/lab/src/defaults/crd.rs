//! Custom resource definitions, and the resources that they define.

use super::{fill, map_of, submap};
use crate::failure::{FieldError, qualified};
use crate::resource::{Column, Custom, Origin, Resource, Scale};
use crate::schema::Schema;
use objects::paths;
use serde_json::{Value, json};

/// The finalizer that holds a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// `apiextensions.k8s.io/v1 CustomResourceDefinition`.
pub(crate) fn crd(object: &mut Value, _: Option<&Value>) {
    let object = map_of(object);
    let spec = submap(object, "spec");
    fill(spec, "conversion", json!({"strategy": "None"}));
    let names = submap(spec, "names");
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    fill(names, "singular", json!(kind.to_lowercase()));
    fill(names, "listKind", json!(format!("{kind}List")));
}

/// What a definition must keep to. The schema itself is taken as it is.
pub(crate) fn validate(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = paths::text(object, "/metadata/name");
    if name != qualified(paths::text(object, "/spec/names/plural"), paths::text(object, "/spec/group")) {
        errors.push(FieldError::invalid("metadata.name", &json!(name), "must be spec.names.plural+\".\"+spec.group"));
    }
    let scope = paths::text(object, "/spec/scope");
    if scope.is_empty() {
        errors.push(FieldError::required("spec.scope", ""));
    } else if !["Namespaced", "Cluster"].contains(&scope) {
        let known = ["Cluster", "Namespaced"].map(str::to_owned);
        errors.push(FieldError::unsupported("spec.scope", &json!(scope), &known));
    }
    let versions: Vec<_> = paths::list(object, "/spec/versions").collect();
    if versions.iter().filter(|version| version.get("storage") == Some(&json!(true))).count() != 1 {
        let shown = object.pointer("/spec/versions").unwrap_or(&Value::Null);
        errors.push(FieldError::invalid(
            "spec.versions",
            shown,
            "must have exactly one version marked as storage version",
        ));
    }
    for (at, version) in versions.iter().enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            errors.push(FieldError::required(format!("spec.versions[{at}].schema.openAPIV3Schema"), ""));
        }
    }
    if old.is_some_and(|old| old.pointer("/spec/scope") != object.pointer("/spec/scope")) {
        let scope = object.pointer("/spec/scope").unwrap_or(&Value::Null);
        errors.push(FieldError::invalid("spec.scope", scope, "field is immutable"));
    }
    errors
}

/// The status that the server writes once it serves the definition.
pub(crate) fn establish(object: &mut Value, now: &str) {
    let names = object.pointer("/spec/names").cloned().unwrap_or_default();
    let storage = paths::list(object, "/spec/versions").find(|version| version.get("storage") == Some(&json!(true)));
    let storage = storage.map(|version| paths::text(version, "/name").to_owned()).unwrap_or_default();
    let mut stored: Vec<Value> = paths::list(object, "/status/storedVersions").cloned().collect();
    if !stored.contains(&json!(storage)) {
        stored.push(json!(storage));
    }
    let condition = |kind: &str, reason: &str, message: &str| {
        let old = paths::list(object, "/status/conditions").find(|one| paths::text(one, "/type") == kind).cloned();
        old.unwrap_or_else(
            || json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}),
        )
    };
    let conditions = json!([
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]);
    let status = submap(map_of(object), "status");
    status.insert("conditions".to_owned(), conditions);
    status.insert("acceptedNames".to_owned(), names);
    status.insert("storedVersions".to_owned(), json!(stored));
}

/// The resources that a definition serves, one per version.
pub(crate) fn resources(object: &Value) -> Vec<Resource> {
    let group = paths::text(object, "/spec/group");
    let text = |pointer: &str| paths::text(object, pointer).to_owned();
    let texts =
        |pointer: &str| paths::list(object, pointer).filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let storage = paths::list(object, "/spec/versions").find(|version| version.get("storage") == Some(&json!(true)));
    let storage = storage.map(|version| paths::text(version, "/name")).unwrap_or_default();
    let served = paths::list(object, "/spec/versions").filter(|version| version.get("served") == Some(&json!(true)));
    served
        .map(|version| Resource {
            group: group.to_owned(),
            version: paths::text(version, "/name").to_owned(),
            kind: text("/spec/names/kind"),
            list_kind: text("/spec/names/listKind"),
            plural: text("/spec/names/plural"),
            singular: text("/spec/names/singular"),
            short_names: texts("/spec/names/shortNames"),
            categories: texts("/spec/names/categories"),
            namespaced: paths::text(object, "/spec/scope") == "Namespaced",
            status: version.pointer("/subresources/status").is_some(),
            scale: scale(version),
            table: text("/metadata/name"),
            storage_version: format!("{group}/{storage}"),
            origin: Origin::Custom(Box::new(Custom {
                schema: Schema::new(version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default()),
                columns: columns(version),
                selectable: paths::list(version, "/selectableFields")
                    .map(|field| pointer(paths::text(field, "/jsonPath")))
                    .collect(),
            })),
        })
        .collect()
}

fn scale(version: &Value) -> Option<Scale> {
    let scale = version.pointer("/subresources/scale")?;
    let path = |key: &str| Some(pointer(scale.get(key)?.as_str()?));
    Some(Scale {
        spec: path("specReplicasPath")?,
        status: path("statusReplicasPath")?,
        selector: path("labelSelectorPath"),
    })
}

/// `.spec.replicas` as `/spec/replicas`.
fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

fn columns(version: &Value) -> Vec<Column> {
    let columns = paths::list(version, "/additionalPrinterColumns").map(|column| Column {
        name: paths::text(column, "/name").to_owned(),
        kind: paths::text(column, "/type").to_owned(),
        priority: paths::integer(column, "/priority").unwrap_or_default(),
        path: paths::text(column, "/jsonPath").to_owned(),
    });
    columns.collect()
}
