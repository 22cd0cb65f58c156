//! Checksums of what a ConfigMap or Secret contains: a change of the configuration starts an analysis.
//!
//! The first 8 bytes of SHA-256 over the content as JSON, in 16 hexadecimal digits. The values are stored in
//! `status.trackedConfigs`, so they must be the reference's, down to the way in which Go escapes JSON texts
//! (<https://pkg.go.dev/encoding/json#Marshal>).
//! One difference is deliberate: the reference ignores `binaryData`. It is counted here, and the old value is given beside the
//! new one, so that the upgrade of such an object is no change.
//! Does not read objects and does not decide what is tracked.

use crate::ConfigDigest;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Checksum of a ConfigMap by its `data` (texts) and `binaryData` (base64 texts).
pub fn config_map(data: Option<&Value>, binary_data: Option<&Value>) -> String {
    match entries(binary_data) {
        None => legacy_config_map(data),
        Some(_) => short_sha256(&format!("{{\"binaryData\":{},\"data\":{}}}", json(binary_data), json(data))),
    }
}

/// Checksum of a ConfigMap by the reference's formula, which does not see `binaryData`.
pub fn legacy_config_map(data: Option<&Value>) -> String {
    short_sha256(&json(data))
}

/// Checksum of a Secret by its `data` (base64 texts, as the API server returns them).
pub fn secret(data: Option<&Value>) -> String {
    short_sha256(&json(data))
}

/// What a snapshot keeps of a ConfigMap.
pub fn digest_config_map(object: &Value) -> ConfigDigest {
    let (data, binary_data) = (object.get("data"), object.get("binaryData"));
    let legacy = entries(binary_data).map(|_| legacy_config_map(data));
    ConfigDigest { checksum: config_map(data, binary_data), legacy, secret_type: String::new() }
}

/// What a snapshot keeps of a Secret.
pub fn digest_secret(object: &Value) -> ConfigDigest {
    let secret_type = object.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    ConfigDigest { checksum: secret(object.get("data")), legacy: None, secret_type }
}

/// The entries of a map, sorted by the bytes of their keys; `None` if there are none. What is no text counts as an empty one.
fn entries(map: Option<&Value>) -> Option<Vec<(&str, &str)>> {
    let map = map?.as_object().filter(|map| !map.is_empty())?;
    let mut entries: Vec<_> =
        map.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())).collect();
    entries.sort_unstable();
    Some(entries)
}

/// A map of texts as Go's encoder writes it. An empty map is `null`: the API server does not tell it from an absent one.
fn json(map: Option<&Value>) -> String {
    let Some(entries) = entries(map) else { return "null".into() };
    let mut out = String::from("{");
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_text(&mut out, key);
        out.push(':');
        push_text(&mut out, value);
    }
    out.push('}');
    out
}

fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str("\\u");
                out.extend(four_digits(letter));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

fn four_digits(letter: char) -> impl Iterator<Item = char> {
    [12, 8, 4, 0].into_iter().filter_map(move |shift| char::from_digit(u32::from(letter) >> shift & 0xf, 16))
}

fn short_sha256(text: &str) -> String {
    let sum = Sha256::digest(text);
    sum.first_chunk().map(|start| format!("{:016x}", u64::from_be_bytes(*start))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(data: &Value) -> String {
        config_map(Some(data), None)
    }

    #[test]
    fn checksums_of_config_maps() {
        assert_eq!(config_map(None, None), "74234e98afe7498f");
        assert_eq!(of(&json!(null)), "74234e98afe7498f");
        assert_eq!(of(&json!({})), "74234e98afe7498f");
        assert_eq!(of(&json!({"color": "red"})), "241889ca0604e333");
        assert_eq!(of(&json!({"color": "blue", "output": "console"})), "2a4ac3890a3db504");
        assert_eq!(of(&json!({"output": "console", "color": "blue"})), "2a4ac3890a3db504");
        assert_eq!(of(&json!({"a": "b"})), "db4a7ecb114bc66c");
    }

    #[test]
    fn checksums_of_secrets() {
        assert_eq!(secret(None), "74234e98afe7498f");
        assert_eq!(secret(Some(&json!({"apiKey": "dGVzdA=="}))), "3930f0692c2295eb");
        assert_eq!(secret(Some(&json!({"a": "Yg=="}))), "3d791b164a808638");
        assert_eq!(secret(Some(&json!({"empty": "", "bin": "AP/+Pj8=", "apiKey": "dGVzdA=="}))), "3ca68ae4733a8059");
        assert_eq!(secret(Some(&json!({"empty": null, "bin": "AP/+Pj8=", "apiKey": "dGVzdA=="}))), "3ca68ae4733a8059");
    }

    #[test]
    fn texts_are_escaped_and_keys_sorted_as_go_does() {
        let mut all: String = (0_u8..=255).map(char::from).collect();
        all.push_str("\u{2027}\u{2028}\u{2029}\u{202a}\u{fffd}\u{1f600}/");
        assert_eq!(of(&json!({"all": all})), "3287a18a4b237058");
        let keys = json!({"b": "1", "a": "2", "B": "3", "a.b": "4", "a-b": "5", "é": "6", "": "7"});
        assert_eq!(of(&keys), "aa8d3d588c947c37");
        assert_eq!(of(&json!({"a": "<b>&"})), "a4e4bfa3763b0559");
    }

    #[test]
    fn binary_data_counts_and_the_old_value_stays_known() {
        let digest = digest_config_map(&json!({"data": {"color": "red"}, "binaryData": {"logo.png": "iVBORw=="}}));
        assert_eq!(digest.checksum, "667b84e7f2d8dede");
        assert_eq!(digest.legacy.as_deref(), Some("241889ca0604e333"));
        let digest = digest_config_map(&json!({"binaryData": {"logo.png": "iVBORw=="}}));
        assert_eq!(digest.checksum, "95668ce819828231");
        assert_eq!(digest.legacy.as_deref(), Some("74234e98afe7498f"));
    }

    #[test]
    fn without_binary_data_there_is_one_value() {
        for object in [json!({"data": {"color": "red"}}), json!({"data": {"color": "red"}, "binaryData": {}})] {
            let digest = digest_config_map(&object);
            assert_eq!((digest.checksum.as_str(), digest.legacy), ("241889ca0604e333", None));
        }
    }

    #[test]
    fn digest_of_a_secret_has_its_type() {
        let digest = digest_secret(&json!({"type": "Opaque", "data": {"apiKey": "dGVzdA=="}}));
        assert_eq!((digest.checksum.as_str(), digest.secret_type.as_str()), ("3930f0692c2295eb", "Opaque"));
        assert_eq!(digest.legacy, None);
    }
}
