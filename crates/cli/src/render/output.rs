//! Prints rendered objects as YAML, JSON or names.

use super::stage::Stage;
use clap::ValueEnum;
use objects::kind::SECRET;
use objects::{ObjectRef, paths};
use serde_json::{Value, json};
use std::str::FromStr;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Documents one after the other.
    Yaml,
    /// One `List`.
    Json,
    /// One line for each: `deployment.apps/name`.
    Names,
}

/// Which objects to print: a kind, and perhaps a name.
#[derive(Debug, Clone)]
pub(super) struct Only {
    kind: String,
    name: Option<String>,
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').map_or((text, None), |(kind, name)| (kind, Some(name.to_owned())));
        if kind.is_empty() || name.as_deref() == Some("") {
            return Err("write KIND or KIND/NAME, for example Deployment/checkout-primary".to_owned());
        }
        Ok(Self { kind: kind.to_ascii_lowercase(), name })
    }
}

impl Only {
    /// `Service`, `services` and `deployment.apps` all name a kind.
    fn takes(&self, reference: &ObjectRef) -> bool {
        let kind = reference.kind;
        let (single, plural) = (kind.kind.to_ascii_lowercase(), kind.plural);
        let names = [single.clone(), plural.to_owned(), format!("{single}.{}", kind.group), kind.resource()];
        names.contains(&self.kind) && self.name.as_ref().is_none_or(|name| **name == *reference.name)
    }
}

/// The text. Error: nothing is left to print.
pub(super) fn print(form: Form, stage: &Stage, only: &[Only]) -> Result<String, String> {
    let taken = |reference: &ObjectRef| only.is_empty() || only.iter().any(|only| only.takes(reference));
    let objects: Vec<(&ObjectRef, Value)> = stage
        .objects()
        .filter(|(reference, ..)| taken(reference))
        .map(|(reference, _, object)| (reference, shown(reference, object)))
        .collect();
    if objects.is_empty() {
        return Err("none of the objects is meant".to_owned());
    }
    Ok(match form {
        Form::Yaml => objects.iter().flat_map(|(_, object)| ["---\n".to_owned(), yaml(object)]).collect(),
        Form::Json => {
            let items: Vec<&Value> = objects.iter().map(|(_, object)| object).collect();
            format!("{:#}\n", json!({"apiVersion": "v1", "kind": "List", "items": items}))
        }
        Form::Names => objects.iter().map(|(reference, _)| name(reference)).collect(),
    })
}

fn yaml(object: &Value) -> String {
    // JSON values are YAML values.
    serde_yaml_ng::to_string(object).unwrap_or_else(|error| format!("# {error}\n"))
}

/// As `kubectl -o name` prints it.
fn name(reference: &ObjectRef) -> String {
    let kind = reference.kind.kind.to_ascii_lowercase();
    let group = if reference.kind.group.is_empty() { String::new() } else { format!(".{}", reference.kind.group) };
    format!("{kind}{group}/{}\n", reference.name)
}

/// The object without what is secret, and without the uid of an owner that does not exist yet.
fn shown(reference: &ObjectRef, object: &Value) -> Value {
    let mut object = object.clone();
    if *reference.kind == SECRET {
        for field in ["data", "stringData"] {
            for key in paths::strings(&object, &format!("/{field}")).into_keys() {
                paths::set(&mut object, &[field, &key], json!("***"));
            }
        }
    }
    if let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
        for owner in owners {
            paths::set(owner, &["uid"], Value::Null);
        }
    }
    object
}
