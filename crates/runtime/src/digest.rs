//! The content of `ConfigMaps` and Secrets: read when its version changes, digested, not kept.

use objects::kind::SECRET;
use objects::{ConfigDigest, ObjectRef, checksum};
use serde_json::Value;

/// The digest of a config's content.
pub(crate) fn digest(reference: &ObjectRef, object: &Value) -> ConfigDigest {
    if *reference.kind == SECRET { checksum::digest_secret(object) } else { checksum::digest_config_map(object) }
}

/// Where `kubectl apply` leaves the whole object, the content of a Secret included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object as a metadata watch brings it, without the copy of its content that `kubectl apply` leaves there.
pub(crate) fn without_content(object: &Value) -> Value {
    let mut slim = object.clone();
    for field in ["data", "binaryData", "stringData"] {
        objects::paths::set(&mut slim, &[field], Value::Null);
    }
    if slim.pointer("/metadata/annotations").is_some() {
        objects::paths::set(&mut slim, &["metadata", "annotations", LAST_APPLIED], Value::Null);
    }
    slim
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_of_a_secret_is_kept() {
        let secret = json!({"metadata": {"name": "s", "annotations": {"mine": "1", LAST_APPLIED: "hidden"}}, "data": {"k": "hidden"}, "stringData": {"k": "hidden"}});
        let kept = without_content(&secret);
        assert!(!kept.to_string().contains("hidden"), "{kept}");
        assert_eq!(kept["metadata"]["annotations"]["mine"], "1");
        assert_eq!(without_content(&json!({"metadata": {"name": "s"}})), json!({"metadata": {"name": "s"}}));
    }
}
