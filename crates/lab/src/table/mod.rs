//! Tables, as kubectl asks for them: the machinery here, what each built-in kind shows in `columns`, what a custom kind asks for in `path`.

mod columns;
mod others;
mod path;

use crate::resource::Resource;
use columns::Column;
use jiff::Timestamp;
use objects::paths;
use serde_json::{Value, json};

/// A `Table` of objects of one kind. `include` says what a row carries of its object: `None`, `Object`, or the metadata (anything else).
pub(crate) fn table<'a>(
    resource: &Resource,
    objects: impl IntoIterator<Item = &'a Value>,
    metadata: &Value,
    include: &str,
    now: Timestamp,
) -> Value {
    let columns = match resource.custom() {
        Some(custom) => custom_columns(&custom.columns),
        None => columns::of(&resource.table),
    };
    with(&columns, objects, metadata, include, now)
}

/// A `Table` of one `Scale`.
pub(crate) fn scale(scale: &Value, include: &str, now: Timestamp) -> Value {
    let version = paths::text(scale, "/metadata/resourceVersion");
    with(&others::scale(), [scale], &json!({"resourceVersion": version}), include, now)
}

fn with<'a>(
    columns: &[Column],
    objects: impl IntoIterator<Item = &'a Value>,
    metadata: &Value,
    include: &str,
    now: Timestamp,
) -> Value {
    let definitions: Vec<Value> = columns.iter().map(definition).collect();
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

fn definition(column: &Column) -> Value {
    let format = if column.name == "Name" { "name" } else { "" };
    json!({"name": column.name, "type": column.kind, "format": format, "description": "", "priority": column.priority})
}

/// The name, then the columns of the definition; without any, the age.
fn custom_columns(defined: &[crate::resource::Column]) -> Vec<Column> {
    let name = columns::name();
    if defined.is_empty() {
        return vec![name, Column { kind: "date".to_owned(), ..columns::age() }];
    }
    std::iter::once(name).chain(defined.iter().map(custom_column)).collect()
}

fn custom_column(column: &crate::resource::Column) -> Column {
    let (path, kind) = (path::Path::parse(&column.path), column.kind.clone());
    Column {
        name: column.name.clone(),
        kind: column.kind.clone(),
        priority: column.priority,
        cell: Box::new(move |object, now| cell(&path.find(object), &kind, now)),
    }
}

/// What was found at a path, as the type of the column wants it.
fn cell(found: &[&Value], kind: &str, now: Timestamp) -> Value {
    let Some(first) = found.first() else { return Value::Null };
    match kind {
        "integer" => paths::integer(first, "").map_or(Value::Null, |number| json!(number)),
        "number" | "boolean" => (*first).clone(),
        "date" => first.as_str().map_or(Value::Null, |text| json!(since(text, now))),
        _ => json!(found.iter().map(|value| plain(value)).collect::<Vec<_>>().join(",")),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The time since a time stamp, for people.
fn since(stamp: &str, now: Timestamp) -> String {
    stamp
        .parse::<Timestamp>()
        .map_or_else(|_| "<unknown>".to_owned(), |then| duration(now.as_second() - then.as_second()))
}

/// Seconds as kubectl shows them: the longer, the coarser.
fn duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 3600;
    const DAY: i64 = 86400;
    const YEAR: i64 = 365 * DAY;
    let two = |whole: i64, unit: &str, rest: i64, small: &str| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{small}") }
    };
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_coarser_the_longer_they_are() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (130, "2m10s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_800, "3h"),
            (12_000, "3h20m"),
            (30_000, "8h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (700_000, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
        ];
        for (seconds, wanted) in cases {
            assert_eq!(duration(seconds), wanted, "{seconds}");
        }
    }

    #[test]
    fn custom_columns_follow_their_type() {
        let now: Timestamp = "2030-01-01T00:01:00Z".parse().unwrap();
        let object = json!({"s": "x", "n": 3, "t": "2030-01-01T00:00:00Z", "o": {"a": 1}});
        let show = |path: &str, kind: &str| {
            let column =
                crate::resource::Column { name: "X".into(), kind: kind.into(), priority: 0, path: path.into() };
            (custom_column(&column).cell)(&object, now)
        };
        assert_eq!(show(".s", "string"), "x");
        assert_eq!(show(".n", "integer"), 3);
        assert_eq!(show(".n", "string"), "3");
        assert_eq!(show(".t", "date"), "60s");
        assert_eq!(show(".o", "string"), "{\"a\":1}");
        assert_eq!(show(".none", "string"), Value::Null);
    }
}
