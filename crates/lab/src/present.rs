//! Objects and lists in the form that was asked for.

use crate::media::Form;
use crate::resource::Resource;
use crate::table;
use crate::verbs::Page;
use jiff::Timestamp;
use objects::paths;
use serde_json::{Value, json};
use std::sync::Arc;

/// How to show objects.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The kind and version.
    pub resource: Arc<Resource>,
    /// The form.
    pub form: Form,
    /// For tables: what a row carries of its object: `None`, `Metadata` (also for an empty text) or `Object`.
    pub include: String,
    /// For tables: ages are counted until then.
    pub now: Timestamp,
}

impl View {
    /// One object, also within a watch.
    pub(crate) fn object(&self, stored: &Value) -> Value {
        let object = self.resource.present(stored);
        match self.form {
            Form::Whole => object.into_owned(),
            Form::Metadata => partial(&object),
            Form::Table => {
                let version = paths::text(&object, "/metadata/resourceVersion").to_owned();
                table::table(&self.resource, [&*object], &json!({"resourceVersion": version}), &self.include, self.now)
            }
        }
    }

    /// One page of a list.
    pub(crate) fn list(&self, page: &Page) -> Value {
        let mut metadata = json!({"resourceVersion": page.version.to_string()});
        if !page.more.is_empty() || (self.resource.custom().is_some() && self.form == Form::Whole) {
            paths::set(&mut metadata, &["continue"], json!(page.more));
        }
        if let Some(remaining) = page.remaining {
            paths::set(&mut metadata, &["remainingItemCount"], json!(remaining));
        }
        let objects = page.items.iter().map(|object| self.resource.present(object));
        match self.form {
            Form::Whole => {
                let items: Vec<Value> = objects.map(|object| self.item(object.into_owned())).collect();
                json!({"kind": self.resource.list_kind, "apiVersion": self.resource.api_version(), "metadata": metadata, "items": items})
            }
            Form::Metadata => {
                let items: Vec<Value> = objects.map(|object| partial(&object)).collect();
                let items = if items.is_empty() { Value::Null } else { json!(items) };
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
            }
            Form::Table => {
                let objects: Vec<_> = objects.collect();
                table::table(&self.resource, objects.iter().map(|object| &**object), &metadata, &self.include, self.now)
            }
        }
    }

    /// An item of a list: those of built-in kinds do not repeat what the list says of their type.
    fn item(&self, mut object: Value) -> Value {
        if self.resource.builtin().is_some() {
            paths::set(&mut object, &["apiVersion"], Value::Null);
            paths::set(&mut object, &["kind"], Value::Null);
        }
        object
    }

    /// The bookmark of a watch.
    pub(crate) fn bookmark(&self, version: u64, initial_end: bool) -> Value {
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if initial_end {
            paths::set(&mut metadata, &["annotations", "k8s.io/initial-events-end"], json!("true"));
        }
        match self.form {
            Form::Whole => {
                json!({"kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata})
            }
            Form::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Table => {
                json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": null, "rows": []})
            }
        }
    }
}

fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.get("metadata")})
}
