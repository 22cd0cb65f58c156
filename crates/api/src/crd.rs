//! The `CustomResourceDefinition`s of the three kinds, generated from the wire types.
//!
//! What a type cannot say by itself stands beside its fields as an attribute, with the pieces from `crd/parts.rs`; here
//! are the frame, and the rules that make any schema a structural one. The schemas accept and reject what those of the
//! reference do, apart from what is said at [`canary`] and [`alert_provider`]. The result is committed as
//! `artifacts/flagger/crd.yaml`. Source: API notes, sections 1 to 8;
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::alert_provider::AlertProviderSpec;
use crate::canary::CanarySpec;
use crate::metric_template::MetricTemplateSpec;
use crate::status::CanaryStatus;
use crate::{GROUP, VERSION};

pub(crate) mod parts;
#[cfg(test)]
mod tests;

pub use parts::PROVIDERS;

/// The three definitions, in the order in which they are shipped.
pub fn all() -> [Value; 3] {
    [canary(), metric_template(), alert_provider()]
}

/// The definition of Canary.
///
/// Differs from the reference's on purpose: `spec` is required (quirk Q1: without it the reference crashes); unknown
/// fields inside `service.trafficPolicy` are kept (routers notes, I24); equal cookie names and contradicting replica
/// bounds of a `HorizontalPodAutoscaler` are refused, which the reference could not run; the status has further fields.
pub fn canary() -> Value {
    let names = Names { kind: "Canary", plural: "canaries", singular: "canary" };
    let columns = [
        column("Status", "string", ".status.phase", 0),
        column("Weight", "string", ".status.canaryWeight", 0),
        column("Suspended", "boolean", ".spec.suspend", 1),
        column("FailedChecks", "string", ".status.failedChecks", 1),
        column("Interval", "string", ".spec.analysis.interval", 1),
        column("Mirror", "boolean", ".spec.analysis.mirror", 1),
        column("StepWeight", "string", ".spec.analysis.stepWeight", 1),
        column("StepWeights", "string", ".spec.analysis.stepWeights", 1),
        column("MaxWeight", "string", ".spec.analysis.maxWeight", 1),
        column("LastTransitionTime", "string", ".status.lastTransitionTime", 0),
    ];
    let description = "Canary describes how new revisions of a workload are rolled out.";
    let mut schema = object(description, schema_of::<CanarySpec>(), Some(schema_of::<CanaryStatus>()));
    schema.insert("required".to_owned(), json!(["spec"]));
    definition(&names, &columns, &schema)
}

/// The definition of MetricTemplate. Without status, as the reference has it.
pub fn metric_template() -> Value {
    let names = Names { kind: "MetricTemplate", plural: "metrictemplates", singular: "metrictemplate" };
    let columns = [column("Provider", "string", ".spec.provider.type", 0)];
    let description = "MetricTemplate says where a metric comes from and how to ask for it.";
    definition(&names, &columns, &object(description, schema_of::<MetricTemplateSpec>(), None))
}

/// The definition of AlertProvider. Without status, as the reference has it. Unlike there, `address` and `secretRef`
/// may both be given (quirk Q17).
pub fn alert_provider() -> Value {
    let names = Names { kind: "AlertProvider", plural: "alertproviders", singular: "alertprovider" };
    let columns = [column("Type", "string", ".spec.type", 0)];
    let description = "AlertProvider says where alerts are sent.";
    definition(&names, &columns, &object(description, schema_of::<AlertProviderSpec>(), None))
}

struct Names {
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
}

/// A column of `kubectl get`; priority 1 is shown with `-o wide` only.
fn column(name: &str, kind: &str, path: &str, priority: u8) -> Value {
    match priority {
        0 => json!({"name": name, "type": kind, "jsonPath": path}),
        _ => json!({"name": name, "type": kind, "jsonPath": path, "priority": priority}),
    }
}

/// Schema of a whole object.
fn object(description: &str, spec: Value, status: Option<Value>) -> Map<String, Value> {
    let mut properties = Map::new();
    properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
    properties.insert("kind".to_owned(), json!({"type": "string"}));
    properties.insert("metadata".to_owned(), json!({"type": "object"}));
    properties.insert("spec".to_owned(), spec);
    if let Some(status) = status {
        properties.insert("status".to_owned(), status);
    }
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(description));
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema
}

fn definition(names: &Names, columns: &[Value], schema: &Map<String, Value>) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{GROUP}", names.plural),
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": names.kind,
                "listKind": format!("{}List", names.kind),
                "plural": names.plural,
                "singular": names.singular,
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(Structural);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Turns a JSON schema into the form that Kubernetes wants.
///
/// No null types: the API server drops nulls before it validates. No defaults but those that are asked for by
/// [`parts::SERVER_DEFAULT`], since each of them is written into users' objects. Only formats that the API server
/// knows.
#[derive(Debug, Clone)]
struct Structural;

impl Transform for Structural {
    fn transform(&mut self, schema: &mut Schema) {
        absorb_optional(schema);
        schema.remove("title");
        schema.remove("default");
        if let Some(default) = schema.remove(parts::SERVER_DEFAULT) {
            schema.insert("default".to_owned(), default);
        }
        if let Some(kinds) = schema.get("type").and_then(Value::as_array)
            && let Some(kind) = kinds.iter().find(|kind| *kind != "null").cloned()
        {
            schema.insert("type".to_owned(), kind);
        }
        match schema.get("format").and_then(Value::as_str) {
            None | Some("int32" | "int64" | "date-time") => {}
            Some(format) => {
                if format.starts_with("uint") {
                    schema.remove("minimum");
                }
                schema.remove("format");
            }
        }
        transform_subschemas(self, schema);
    }
}

/// An optional schema with alternatives of its own comes as "this or null": what remains is this, under the description
/// of the field.
fn absorb_optional(schema: &mut Schema) {
    let null = json!({"type": "null"});
    let Some([inner, other]) = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) else { return };
    let (Some(inner), true) = (inner.as_object().cloned(), *other == null) else { return };
    schema.remove("anyOf");
    for (key, value) in inner {
        schema.ensure_object().entry(key).or_insert(value);
    }
}
