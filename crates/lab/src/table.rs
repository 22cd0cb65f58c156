//! Tables, as kubectl asks for them: one file with the machinery, `columns.rs` with what each kind shows.

use crate::resource::Resource;
use jiff::Timestamp;
use objects::paths;
use serde_json::{Value, json};

/// A `Table` of objects of one kind.
pub(crate) fn table<'a>(
    resource: &Resource,
    objects: impl IntoIterator<Item = &'a Value>,
    metadata: Value,
    include: &str,
    now: Timestamp,
) -> Value {
    let columns = columns(resource);
    let definitions: Vec<Value> = columns.iter().map(Column::definition).collect();
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| {
            let cells: Vec<Value> = columns.iter().map(|column| (column.cell)(object, now)).collect();
            let object = match include {
                "None" => Value::Null,
                "Object" => object.clone(),
                _ => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.get("metadata")}),
            };
            json!({"cells": cells, "object": object})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": definitions, "rows": rows})
}

type Cell = Box<dyn Fn(&Value, Timestamp) -> Value>;

struct Column {
    name: String,
    kind: &'static str,
    priority: i64,
    cell: Cell,
}

impl Column {
    fn definition(&self) -> Value {
        let format = if self.name == "Name" { "name" } else { "" };
        json!({"name": self.name, "type": self.kind, "format": format, "description": "", "priority": self.priority})
    }
}

fn columns(_resource: &Resource) -> Vec<Column> {
    let text = |pointer: &'static str| -> Cell { Box::new(move |object, _| json!(paths::text(object, pointer))) };
    vec![Column { name: "Name".to_owned(), kind: "string", priority: 0, cell: text("/metadata/name") }]
}
