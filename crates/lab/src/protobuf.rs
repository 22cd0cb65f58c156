//! The few objects that kubectl sends as protobuf whatever the server says: those of `kubectl create ...` and of `kubectl auth can-i`.
//!
//! A message is a table of field numbers; fields that are in no table are skipped. Other kinds in protobuf are refused.
//! Source: the published `generated.proto` files of Kubernetes 1.36, <https://protobuf.dev/programming-guides/encoding/>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// What a field holds.
enum Kind {
    Text,
    Integer,
    Bool,
    Texts,
    /// A map of texts.
    Map,
    /// A map of bytes, shown in base64.
    Bytes,
    /// A number or a text.
    Either,
    One(&'static Message),
    Many(&'static Message),
}

/// Field number, name, content.
type Message = [(u64, &'static str, Kind)];

const METADATA: &Message = &[
    (1, "name", Kind::Text),
    (2, "generateName", Kind::Text),
    (3, "namespace", Kind::Text),
    (11, "labels", Kind::Map),
    (12, "annotations", Kind::Map),
    (14, "finalizers", Kind::Texts),
];
const PLAIN: &Message = &[(1, "metadata", Kind::One(METADATA))];
const CONFIG_MAP: &Message = &[
    (1, "metadata", Kind::One(METADATA)),
    (2, "data", Kind::Map),
    (3, "binaryData", Kind::Bytes),
    (4, "immutable", Kind::Bool),
];
const SECRET: &Message = &[
    (1, "metadata", Kind::One(METADATA)),
    (2, "data", Kind::Bytes),
    (3, "type", Kind::Text),
    (4, "stringData", Kind::Map),
    (5, "immutable", Kind::Bool),
];
const SERVICE_PORT: &Message = &[
    (1, "name", Kind::Text),
    (2, "protocol", Kind::Text),
    (3, "port", Kind::Integer),
    (4, "targetPort", Kind::Either),
    (5, "nodePort", Kind::Integer),
];
const SERVICE_SPEC: &Message = &[
    (1, "ports", Kind::Many(SERVICE_PORT)),
    (2, "selector", Kind::Map),
    (3, "clusterIP", Kind::Text),
    (4, "type", Kind::Text),
    (10, "externalName", Kind::Text),
];
const SERVICE: &Message = &[(1, "metadata", Kind::One(METADATA)), (2, "spec", Kind::One(SERVICE_SPEC))];
const CONTAINER_PORT: &Message =
    &[(1, "name", Kind::Text), (3, "containerPort", Kind::Integer), (4, "protocol", Kind::Text)];
const CONTAINER: &Message = &[
    (1, "name", Kind::Text),
    (2, "image", Kind::Text),
    (3, "command", Kind::Texts),
    (4, "args", Kind::Texts),
    (6, "ports", Kind::Many(CONTAINER_PORT)),
];
const POD_SPEC: &Message = &[(2, "containers", Kind::Many(CONTAINER))];
const TEMPLATE: &Message = &[(1, "metadata", Kind::One(METADATA)), (2, "spec", Kind::One(POD_SPEC))];
const SELECTOR: &Message = &[(1, "matchLabels", Kind::Map)];
const DEPLOYMENT_SPEC: &Message =
    &[(1, "replicas", Kind::Integer), (2, "selector", Kind::One(SELECTOR)), (3, "template", Kind::One(TEMPLATE))];
const DEPLOYMENT: &Message = &[(1, "metadata", Kind::One(METADATA)), (2, "spec", Kind::One(DEPLOYMENT_SPEC))];
const ATTRIBUTES: &Message = &[
    (1, "namespace", Kind::Text),
    (2, "verb", Kind::Text),
    (3, "group", Kind::Text),
    (4, "version", Kind::Text),
    (5, "resource", Kind::Text),
    (6, "subresource", Kind::Text),
    (7, "name", Kind::Text),
];
const REVIEW_SPEC: &Message = &[(1, "resourceAttributes", Kind::One(ATTRIBUTES))];
const REVIEW: &Message = &[(2, "spec", Kind::One(REVIEW_SPEC))];

/// What comes before every object.
const MAGIC: &[u8] = b"k8s\0";
const TYPE: &Message = &[(1, "apiVersion", Kind::Text), (2, "kind", Kind::Text)];

/// Reads an object. None: it is malformed, or of a kind that is not known here.
pub(crate) fn read(bytes: &[u8]) -> Option<Value> {
    let (mut type_of, mut raw) = (Value::Null, [].as_slice());
    let mut rest = bytes.strip_prefix(MAGIC)?;
    while !rest.is_empty() {
        match field(&mut rest)? {
            (1, Wire::Bytes(bytes)) => type_of = message(bytes, TYPE)?,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let text = |key: &str| type_of.get(key).and_then(Value::as_str).unwrap_or_default();
    let table = match text("kind") {
        "Namespace" | "ServiceAccount" => PLAIN,
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "Service" => SERVICE,
        "Deployment" => DEPLOYMENT,
        "SelfSubjectAccessReview" => REVIEW,
        _ => return None,
    };
    let mut object = message(raw, table)?;
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), json!(text("apiVersion")));
        map.insert("kind".to_owned(), json!(text("kind")));
    }
    Some(object)
}

/// A field as it is on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let tag = number(rest)?;
    let wire = match tag & 7 {
        0 => Wire::Number(number(rest)?),
        1 => Wire::Bytes(take(rest, 8)?),
        2 => {
            let length = usize::try_from(number(rest)?).ok()?;
            Wire::Bytes(take(rest, length)?)
        }
        5 => Wire::Bytes(take(rest, 4)?),
        _ => return None,
    };
    Some((tag >> 3, wire))
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

fn message(mut rest: &[u8], table: &Message) -> Option<Value> {
    let mut map = Map::new();
    while !rest.is_empty() {
        let (number, wire) = field(&mut rest)?;
        let Some((_, name, kind)) = table.iter().find(|(of, ..)| *of == number) else { continue };
        let mut list = |value| {
            if let Value::Array(list) = map.entry(*name).or_insert_with(|| json!([])) {
                list.push(value);
            }
        };
        match (kind, wire) {
            (Kind::Integer, Wire::Number(number)) => drop(map.insert((*name).to_owned(), json!(number.cast_signed()))),
            (Kind::Bool, Wire::Number(number)) => drop(map.insert((*name).to_owned(), json!(number != 0))),
            // Empty texts are sent too; they mean absence.
            (Kind::Text, Wire::Bytes([])) => {}
            (Kind::Text, Wire::Bytes(bytes)) => drop(map.insert((*name).to_owned(), json!(text(bytes)?))),
            (Kind::Texts, Wire::Bytes(bytes)) => list(json!(text(bytes)?)),
            (Kind::Map | Kind::Bytes, Wire::Bytes(bytes)) => {
                let (key, value) = entry(bytes, matches!(kind, Kind::Bytes))?;
                if let Value::Object(entries) = map.entry(*name).or_insert_with(|| json!({})) {
                    entries.insert(key, value);
                }
            }
            (Kind::Either, Wire::Bytes(bytes)) => drop(map.insert((*name).to_owned(), either(bytes)?)),
            (Kind::One(table), Wire::Bytes(bytes)) => drop(map.insert((*name).to_owned(), message(bytes, table)?)),
            (Kind::Many(table), Wire::Bytes(bytes)) => list(message(bytes, table)?),
            _ => return None,
        }
    }
    Some(Value::Object(map))
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn entry(mut rest: &[u8], is_bytes: bool) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), json!(""));
    while !rest.is_empty() {
        match field(&mut rest)? {
            (1, Wire::Bytes(bytes)) => text(bytes)?.clone_into(&mut key),
            (2, Wire::Bytes(bytes)) if is_bytes => value = json!(STANDARD.encode(bytes)),
            (2, Wire::Bytes(bytes)) => value = json!(text(bytes)?),
            _ => {}
        }
    }
    Some((key, value))
}

/// `IntOrString`: a mark (1: text), the number, the text.
fn either(mut rest: &[u8]) -> Option<Value> {
    let (mut is_text, mut integer, mut name) = (false, 0, "");
    while !rest.is_empty() {
        match field(&mut rest)? {
            (1, Wire::Number(mark)) => is_text = mark == 1,
            (2, Wire::Number(number)) => integer = number.cast_signed(),
            (3, Wire::Bytes(bytes)) => name = text(bytes)?,
            _ => {}
        }
    }
    Some(if is_text { json!(name) } else { json!(integer) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn what_kubectl_sends_is_read() {
        let metadata =
            [bytes(1, b"x"), bytes(2, b""), bytes(11, &[bytes(1, b"app"), bytes(2, b"y")].concat())].concat();
        let secret =
            [bytes(1, &metadata), bytes(2, &[bytes(1, b"key"), bytes(2, b"value")].concat()), bytes(3, b"Opaque")]
                .concat();
        let type_of = [bytes(1, b"v1"), bytes(2, b"Secret")].concat();
        let sent = [MAGIC, &bytes(1, &type_of), &bytes(2, &secret), &bytes(3, b""), &bytes(4, b"")].concat();
        let wanted = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "labels": {"app": "y"}}, "data": {"key": "dmFsdWU="},
            "type": "Opaque"});
        assert_eq!(read(&sent), Some(wanted));
        assert_eq!(read(&sent[..sent.len() - 9]), None, "cut off");
        assert_eq!(read(b"{}"), None);
    }
}
