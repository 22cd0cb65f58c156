//! Bodies in protobuf, which kubectl and controllers written in Go may send: read into JSON. Answers are always JSON, which such clients accept as well.
//!
//! Which field of which message has which number is in `protobuf/messages.txt`, generated from the published Go types (`protobuf/generate.go`). A line is a
//! message, `= VERSION KIND MESSAGE` names that of a kind. Fields in no table are skipped; kinds in no table (custom ones, definitions) are refused.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding-idl>, <https://protobuf.dev/programming-guides/encoding/>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("protobuf/messages.txt")));

/// All messages.
#[derive(Default)]
struct Table {
    /// The message of a kind, by `apiVersion` and `kind`.
    kinds: HashMap<(&'static str, &'static str), &'static str>,
    messages: HashMap<&'static str, Vec<Field>>,
}

/// One field of a message.
struct Field {
    number: u64,
    /// Its name in JSON.
    name: &'static str,
    shape: Shape,
    of: Of,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// There or not.
    One,
    /// Zero, empty and absent are the same.
    Nonzero,
    Many,
    /// By text.
    Map,
    /// Its fields stand among those of the message around it.
    Inline,
}

/// What one value is.
#[derive(Clone, Copy)]
enum Of {
    Text,
    Bool,
    Integer,
    Double,
    /// Shown in base64.
    Bytes,
    /// A text in a message.
    Quantity,
    /// A number or a text.
    Either,
    /// Seconds since 1970 in a message.
    Time,
    /// As `Time`, shown with microseconds.
    MicroTime,
    /// JSON in a message.
    Raw,
    Message(&'static str),
}

impl Table {
    fn parse(text: &'static str) -> Self {
        let mut table = Self::default();
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("= ") {
                let mut words = kind.split(' ');
                if let (Some(version), Some(kind), Some(message)) = (words.next(), words.next(), words.next()) {
                    table.kinds.insert((version, kind), message);
                }
                continue;
            }
            let mut parts = line.split(',');
            if let Some(name) = parts.next() {
                table.messages.insert(name, parts.filter_map(Field::parse).collect());
            }
        }
        table
    }

    fn message(&self, name: &str) -> &[Field] {
        self.messages.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Field {
    /// `NUMBER NAME SHAPE TYPE`.
    fn parse(text: &'static str) -> Option<Self> {
        let mut words = text.split(' ');
        let (number, name) = (words.next()?.parse().ok()?, words.next()?);
        let shape = match words.next()? {
            "nonzero" => Shape::Nonzero,
            "many" => Shape::Many,
            "map" => Shape::Map,
            "inline" => Shape::Inline,
            _ => Shape::One,
        };
        let of = match words.next()? {
            "text" => Of::Text,
            "bool" => Of::Bool,
            "integer" => Of::Integer,
            "double" => Of::Double,
            "bytes" => Of::Bytes,
            "quantity" => Of::Quantity,
            "either" => Of::Either,
            "time" => Of::Time,
            "microtime" => Of::MicroTime,
            "raw" => Of::Raw,
            message => Of::Message(message),
        };
        Some(Self { number, name, shape, of })
    }
}

/// What comes before every object.
const MAGIC: &[u8] = b"k8s\0";

/// Reads an object. None: it is malformed, or of a kind that is not known here.
pub(crate) fn read(bytes: &[u8]) -> Option<Value> {
    let (mut version, mut kind, mut raw) = ("", "", [].as_slice());
    each(bytes.strip_prefix(MAGIC)?, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(type_of)) => each(type_of, |number, wire| {
                match (number, wire) {
                    (1, Wire::Bytes(bytes)) => version = text(bytes)?,
                    (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
                    _ => {}
                }
                Some(())
            })?,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
        Some(())
    })?;
    // Options have the same form in every group.
    let known = TABLE
        .kinds
        .get(&(version, kind))
        .or_else(|| (kind == "DeleteOptions").then(|| TABLE.kinds.get(&("v1", kind))).flatten())?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!(version));
    object.insert("kind".to_owned(), json!(kind));
    fields(raw, known, &mut object)?;
    Some(Value::Object(object))
}

/// Reads the fields of a message into an object.
fn fields(bytes: &[u8], message: &str, into: &mut Map<String, Value>) -> Option<()> {
    let table = TABLE.message(message);
    each(bytes, |number, wire| {
        let Some(field) = table.iter().find(|field| field.number == number) else { return Some(()) };
        match (field.shape, field.of, wire) {
            (Shape::Inline, Of::Message(message), Wire::Bytes(bytes)) => return fields(bytes, message, into),
            (Shape::Map, of, Wire::Bytes(bytes)) => {
                let (key, value) = entry(bytes, of)?;
                if let Value::Object(entries) = into.entry(field.name).or_insert_with(|| json!({})) {
                    entries.insert(key, value);
                }
            }
            (Shape::Many, of, wire) => {
                let value = value(wire, of)?;
                if let Value::Array(list) = into.entry(field.name).or_insert_with(|| json!([])) {
                    list.push(value);
                }
            }
            (shape, of, wire) => {
                let value = value(wire, of)?;
                let absent = value.is_null() || (shape == Shape::Nonzero && is_zero(&value));
                if !absent {
                    into.insert(field.name.to_owned(), value);
                }
            }
        }
        Some(())
    })
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn value(wire: Wire<'_>, of: Of) -> Option<Value> {
    Some(match (of, wire) {
        (Of::Bool, Wire::Number(number)) => json!(number != 0),
        (Of::Integer, Wire::Number(number)) => json!(number.cast_signed()),
        (Of::Double, Wire::Bytes(bytes)) => json!(f64::from_le_bytes(bytes.try_into().ok()?)),
        (Of::Text, Wire::Bytes(bytes)) => json!(text(bytes)?),
        (Of::Bytes, Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        (Of::Quantity, Wire::Bytes(bytes)) => json!(text(inner(bytes)?)?),
        (Of::Raw, Wire::Bytes(bytes)) => serde_json::from_slice(inner(bytes)?).unwrap_or_default(),
        (Of::Either, Wire::Bytes(bytes)) => either(bytes)?,
        (Of::Time, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
        (Of::MicroTime, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%S.%6fZ")?,
        (Of::Message(message), Wire::Bytes(bytes)) => {
            let mut object = Map::new();
            fields(bytes, message, &mut object)?;
            Value::Object(object)
        }
        _ => return None,
    })
}

/// The bytes in field 1 of a message.
fn inner(bytes: &[u8]) -> Option<&[u8]> {
    let mut found = [].as_slice();
    each(bytes, |number, wire| {
        if let (1, Wire::Bytes(bytes)) = (number, wire) {
            found = bytes;
        }
        Some(())
    })?;
    Some(found)
}

/// An entry of a map: key 1, value 2.
fn entry(bytes: &[u8], of: Of) -> Option<(String, Value)> {
    let (mut key, mut found) = (String::new(), None);
    each(bytes, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => text(bytes)?.clone_into(&mut key),
            (2, wire) => found = Some(value(wire, of)?),
            _ => {}
        }
        Some(())
    })?;
    let empty = || value(Wire::Bytes(&[]), of);
    Some((key, found.or_else(empty)?))
}

/// `IntOrString`: a mark (1: text), the number, the text.
fn either(bytes: &[u8]) -> Option<Value> {
    let (mut is_text, mut integer, mut name) = (false, 0, "");
    each(bytes, |field, wire| {
        match (field, wire) {
            (1, Wire::Number(mark)) => is_text = mark == 1,
            (2, Wire::Number(number)) => integer = number.cast_signed(),
            (3, Wire::Bytes(bytes)) => name = text(bytes)?,
            _ => {}
        }
        Some(())
    })?;
    Some(if is_text { json!(name) } else { json!(integer) })
}

/// Seconds and nanoseconds; the beginning of 1970 stands for none.
fn time(bytes: &[u8], format: &str) -> Option<Value> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    each(bytes, |field, wire| {
        match (field, wire) {
            (1, Wire::Number(number)) => seconds = number.cast_signed(),
            (2, Wire::Number(number)) => nanoseconds = i32::try_from(number.cast_signed()).ok()?,
            _ => {}
        }
        Some(())
    })?;
    if (seconds, nanoseconds) == (0, 0) {
        return Some(Value::Null);
    }
    Some(json!(Timestamp::new(seconds, nanoseconds).ok()?.strftime(format).to_string()))
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A field as it is on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Does something with every field of a message. None: it is malformed, or what is done says so.
fn each<'a>(mut rest: &'a [u8], mut work: impl FnMut(u64, Wire<'a>) -> Option<()>) -> Option<()> {
    while !rest.is_empty() {
        let tag = number(&mut rest)?;
        let wire = match tag & 7 {
            0 => Wire::Number(number(&mut rest)?),
            1 => Wire::Bytes(take(&mut rest, 8)?),
            2 => {
                let length = usize::try_from(number(&mut rest)?).ok()?;
                Wire::Bytes(take(&mut rest, length)?)
            }
            5 => Wire::Bytes(take(&mut rest, 4)?),
            _ => return None,
        };
        work(tag >> 3, wire)?;
    }
    Some(())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn sent(version: &str, kind: &str, object: &[Vec<u8>]) -> Vec<u8> {
        let type_of = [bytes(1, version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC, &bytes(1, &type_of), &bytes(2, &object.concat()), &bytes(3, b""), &bytes(4, b"")].concat()
    }

    #[test]
    fn what_kubectl_sends_is_read() {
        let labels = bytes(11, &[bytes(1, b"app"), bytes(2, b"y")].concat());
        let metadata = [bytes(1, b"x"), bytes(2, b""), bytes(8, b""), labels].concat();
        let data = bytes(2, &[bytes(1, b"key"), bytes(2, b"value")].concat());
        let secret = sent("v1", "Secret", &[bytes(1, &metadata), data, bytes(3, b"Opaque")]);
        let wanted = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "labels": {"app": "y"}}, "data": {"key": "dmFsdWU="},
            "type": "Opaque"});
        assert_eq!(read(&secret), Some(wanted));
        assert_eq!(read(&secret[..secret.len() - 9]), None, "cut off");
        assert_eq!(read(b"{}"), None);
        assert_eq!(read(&sent("flagger.app/v1beta1", "Canary", &[])), None, "custom kinds are never sent so");
    }

    #[test]
    fn times_quantities_ports_and_inlined_fields_have_their_own_form() {
        // A holder, 15 s, renewed at 1893456000.25.
        let stamp = [vec![0x08, 0x80, 0xb1, 0xef, 0x86, 0x07], vec![0x10, 0x80, 0xe5, 0x9a, 0x77]].concat();
        let spec = [bytes(1, b"me"), vec![0x10, 15], bytes(4, &stamp)].concat();
        let lease = read(&sent("coordination.k8s.io/v1", "Lease", &[bytes(2, &spec)])).unwrap();
        let wanted =
            json!({"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2030-01-01T00:00:00.250000Z"});
        assert_eq!(lease["spec"], wanted);

        let limit = bytes(1, &[bytes(1, b"cpu"), bytes(2, &bytes(1, b"100m"))].concat());
        let get =
            bytes(2, &[bytes(1, b"/ready"), bytes(2, &[0x08, 1, 0x10, 0, 0x1a, 4, b'h', b't', b't', b'p'])].concat());
        let container = [bytes(1, b"web"), bytes(8, &limit), bytes(11, &bytes(1, &get))].concat();
        let pod = read(&sent("v1", "Pod", &[bytes(2, &bytes(2, &container))])).unwrap();
        let wanted = json!([{"name": "web", "resources": {"limits": {"cpu": "100m"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}}}]);
        assert_eq!(pod["spec"]["containers"], wanted);
    }

    #[test]
    fn every_message_that_a_field_names_is_there() {
        for (name, fields) in &TABLE.messages {
            for field in fields {
                if let Of::Message(of) = field.of {
                    assert!(TABLE.messages.contains_key(of), "{name}.{}: {of}", field.name);
                }
            }
        }
        assert!(TABLE.kinds.values().all(|message| TABLE.messages.contains_key(message)));
    }
}
