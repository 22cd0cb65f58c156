//! The content of `ConfigMaps` and Secrets: read when its version changes, digested, not kept.

use objects::kind::SECRET;
use objects::{ConfigDigest, ObjectRef, checksum};
use serde_json::Value;

/// The digest of a config's content.
pub(crate) fn digest(reference: &ObjectRef, object: &Value) -> ConfigDigest {
    if *reference.kind == SECRET { checksum::digest_secret(object) } else { checksum::digest_config_map(object) }
}

/// The object as a metadata watch brings it.
pub(crate) fn without_content(object: &Value) -> Value {
    let mut slim = object.clone();
    for field in ["data", "binaryData", "stringData"] {
        objects::paths::set(&mut slim, &[field], Value::Null);
    }
    slim
}
