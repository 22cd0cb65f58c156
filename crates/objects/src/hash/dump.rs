//! Writes the typed dump of a JSON object, which the spec hash is taken of.
//!
//! Absent, `null`, an empty list, an empty map and a value of another JSON type than expected are all dumped as "not set": the
//! reference reads these objects in the binary encoding, which knows no other emptiness. An empty *object* is set.
//! Knows no field of Kubernetes (`schema` does) but the node selector.

use super::quantity::Quantity;
use super::schema::{Field, Kind, Struct};
use super::time::{self, utc_time};
use serde_json::Value;
use std::fmt::{self, Write};

/// How the node selector of a pod is dumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeSelector {
    /// Like any map.
    AsIs,
    /// For a DaemonSet: without the key that scales to zero, and never nil, because the reference makes an empty map to take
    /// the key out of.
    WithoutScaleToZero,
}

/// The node selector that no node satisfies, by which a DaemonSet is scaled to zero.
const SCALE_TO_ZERO: &str = "flagger.app/scale-to-zero";

/// Writes dumps.
pub(super) struct Dumper<'w, W> {
    out: &'w mut W,
    rule: NodeSelector,
}

impl<'w, W: Write> Dumper<'w, W> {
    pub(super) fn new(out: &'w mut W, rule: NodeSelector) -> Self {
        Self { out, rule }
    }

    /// A struct without its type's name. What is no object counts as one without fields.
    pub(super) fn structure(&mut self, shape: &Struct, value: &Value) -> fmt::Result {
        self.out.write_char('{')?;
        for field in &shape.fields {
            self.field(field, value)?;
        }
        self.out.write_char('}')
    }

    fn field(&mut self, field: &Field, object: &Value) -> fmt::Result {
        let value = match &field.key {
            None => Some(object),
            Some(key) => object.get(key),
        };
        if matches!(field.kind, Kind::NodeSelector) && self.rule == NodeSelector::WithoutScaleToZero {
            self.out.write_str(&field.label)?;
            let pairs = value.and_then(Value::as_object).into_iter().flatten();
            return self.map(&Kind::Text, pairs.filter(|(key, _)| *key != SCALE_TO_ZERO));
        }
        match value.filter(|value| is_set(&field.kind, value)) {
            None => self.out.write_str(&field.absent),
            Some(value) => {
                self.out.write_str(&field.label)?;
                self.value(&field.kind, value)
            }
        }
    }

    /// A value without its type. One that is not set is dumped as such.
    fn value(&mut self, kind: &Kind, value: &Value) -> fmt::Result {
        if !is_set(kind, value) {
            return self.out.write_str(&kind.absent());
        }
        match kind {
            Kind::Text => self.out.write_str(value.as_str().unwrap_or_default()),
            Kind::Bool | Kind::Int32 | Kind::Int64 => write!(self.out, "{value}"),
            Kind::IntOrString => self.int_or_string(value),
            Kind::Quantity => quantity(value).map_or(Ok(()), |quantity| quantity.dump(self.out)),
            Kind::Time => utc_time(self.out, value.as_str().unwrap_or_default()),
            Kind::Struct(shape) => self.structure(shape, value),
            Kind::Pointer(inner) => self.value(inner, value),
            Kind::List(inner) => self.list(inner, value.as_array().into_iter().flatten()),
            Kind::Map(inner) => self.map(inner, value.as_object().into_iter().flatten()),
            Kind::NodeSelector => self.map(&Kind::Text, value.as_object().into_iter().flatten()),
        }
    }

    fn list<'v>(&mut self, inner: &Kind, elements: impl Iterator<Item = &'v Value>) -> fmt::Result {
        self.out.write_char('[')?;
        for (index, element) in elements.enumerate() {
            if index > 0 {
                self.out.write_char(' ')?;
            }
            self.value(inner, element)?;
        }
        self.out.write_char(']')
    }

    fn map<'v>(&mut self, inner: &Kind, pairs: impl Iterator<Item = (&'v String, &'v Value)>) -> fmt::Result {
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable_by_key(|(key, _)| *key);
        self.out.write_str("map[")?;
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            if index > 0 {
                self.out.write_char(' ')?;
            }
            self.out.write_str(key)?;
            self.out.write_char(':')?;
            self.value(inner, value)?;
        }
        self.out.write_char(']')
    }

    fn int_or_string(&mut self, value: &Value) -> fmt::Result {
        match value.as_str() {
            Some(text) => write!(self.out, "{{Type:(intstr.Type)1 IntVal:(int32)0 StrVal:(string){text}}}"),
            None => write!(self.out, "{{Type:(intstr.Type)0 IntVal:(int32){value} StrVal:(string)}}"),
        }
    }
}

/// Whether the value has the JSON type of the kind and is not empty.
fn is_set(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Text => value.is_string(),
        Kind::Bool => value.is_boolean(),
        Kind::Int32 => is_int32(value),
        Kind::Int64 => value.is_i64(),
        Kind::IntOrString => value.is_string() || is_int32(value),
        Kind::Quantity => quantity(value).is_some(),
        Kind::Time => value.as_str().is_some_and(time::is_time),
        Kind::Struct(_) => value.is_object(),
        Kind::Pointer(inner) => is_set(inner, value),
        Kind::List(_) => value.as_array().is_some_and(|list| !list.is_empty()),
        Kind::Map(_) | Kind::NodeSelector => value.as_object().is_some_and(|map| !map.is_empty()),
    }
}

fn is_int32(value: &Value) -> bool {
    value.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

fn quantity(value: &Value) -> Option<Quantity<'_>> {
    value.as_str().and_then(Quantity::parse)
}
