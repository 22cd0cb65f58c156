//! What a webhook sends: who it is about, and the metadata that says what to do.
//!
//! Read as Go reads it: keys match in any case, unknown ones are ignored, `null` leaves things as they are, a value of another type is an error.
//! Source: webhook notes, section 1.2; load tester notes, section 2.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// One call of a webhook.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// Name of the Canary.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What to do. Passwords among it, hence hidden from `Debug`.
    pub metadata: BTreeMap<String, String>,
}

impl Payload {
    /// Reads a body. What is no UTF-8 within texts is replaced.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&String::from_utf8_lossy(body))
    }

    /// `name.namespace`.
    pub fn canary(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }

    /// A value of the metadata that is there, perhaps empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// A switch of the metadata; absent and unreadable values mean no.
    pub fn switch(&self, key: &str) -> bool {
        matches!(self.get(key), Some("1" | "t" | "T" | "TRUE" | "true" | "True"))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({})", self.canary())
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with name, namespace and metadata")
    }

    fn visit_unit<E>(self) -> Result<Payload, E> {
        Ok(Payload::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
        let mut payload = Payload::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.to_lowercase().as_str() {
                "name" => assign(&mut payload.name, map.next_value()?),
                "namespace" => assign(&mut payload.namespace, map.next_value()?),
                // Nobody needs them, but they have to be texts.
                "phase" | "checksum" => drop(map.next_value::<Option<String>>()?),
                "metadata" => match map.next_value::<Option<BTreeMap<String, Option<String>>>>()? {
                    Some(pairs) => {
                        payload.metadata.extend(pairs.into_iter().map(|(key, text)| (key, text.unwrap_or_default())));
                    }
                    None => payload.metadata.clear(),
                },
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(payload)
    }
}

fn assign(field: &mut String, value: Option<String>) {
    if let Some(value) = value {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    fn payload(name: &str, namespace: &str, metadata: &[(&str, &str)]) -> Payload {
        let metadata = metadata.iter().map(|(key, value)| pair(key, value)).collect();
        Payload { name: name.to_owned(), namespace: namespace.to_owned(), metadata }
    }

    #[test]
    fn bodies_are_read_as_go_reads_them() {
        let read = |text: &str| Payload::parse(text.as_bytes()).ok();
        let whole = r#"{"name":"a","namespace":"b","phase":"x","checksum":"y","more":[1,{}],"metadata":{"k":"v"}}"#;
        assert_eq!(read(whole), Some(payload("a", "b", &[("k", "v")])));
        assert_eq!(read(r#"{"NAME":"a","nameSpace":"b"}"#), Some(payload("a", "b", &[])));
        assert_eq!(read(r#"{"name":"a","name":null,"Name":"c"}"#), Some(payload("c", "", &[])));
        let twice = r#"{"metadata":{"k":"v","n":null},"metadata":{"l":"w"}}"#;
        assert_eq!(read(twice), Some(payload("", "", &[("k", "v"), ("l", "w"), ("n", "")])));
        for empty in ["{}", "null", r#"{"metadata":{"k":"v"},"metadata":null}"#] {
            assert_eq!(read(empty), Some(Payload::default()), "{empty}");
        }
        for wrong in ["", "[]", "1", "{", "{} x", r#"{"metadata":{"k":1}}"#, r#"{"metadata":[]}"#, r#"{"name":1}"#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_it() {
        let payload = Payload::parse(b"{\"name\":\"a\xff\"}").unwrap();
        assert_eq!(payload.name, "a\u{fffd}");
    }

    #[test]
    fn switches_are_go_booleans() {
        for (text, on) in [("true", true), ("1", true), ("T", true), ("yes", false), ("false", false), ("", false)] {
            let payload = Payload { metadata: [pair("s", text)].into(), ..Payload::default() };
            assert_eq!(payload.switch("s"), on, "{text}");
        }
        assert!(!Payload::default().switch("s"));
    }

    #[test]
    fn passwords_do_not_show() {
        assert_eq!(format!("{:?}", payload("a", "b", &[("passwd", "x")])), "Payload(a.b)");
    }
}
