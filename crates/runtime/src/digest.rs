//! The content of `ConfigMaps` and Secrets: read when its version changes, digested, not kept.

use objects::kind::SECRET;
use objects::{ConfigDigest, ObjectRef, checksum};
use serde_json::Value;
use std::collections::BTreeMap;

/// The digest of a config's content.
pub(crate) fn digest(reference: &ObjectRef, object: &Value) -> ConfigDigest {
    if *reference.kind == SECRET { checksum::digest_secret(object) } else { checksum::digest_config_map(object) }
}

/// A digest as it is kept in `status.configDigests`, and its key there. None where it cannot be said so.
pub(crate) fn remember(reference: &ObjectRef, version: &str, digest: &ConfigDigest) -> Option<(String, String)> {
    let ConfigDigest { checksum, legacy: None, secret_type } = digest else { return None };
    Some((key(reference), format!("{version} {checksum} {secret_type}").trim_end().to_owned()))
}

/// The version and the digest that [`remember`] wrote down.
pub(crate) fn recall(reference: &ObjectRef, known: &BTreeMap<String, String>) -> Option<(String, ConfigDigest)> {
    let mut parts = known.get(&key(reference))?.split(' ');
    let (version, checksum) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let secret_type = parts.next().unwrap_or_default().to_owned();
    Some((version, ConfigDigest { checksum, legacy: None, secret_type }))
}

fn key(reference: &ObjectRef) -> String {
    format!("{}/{}", reference.kind.kind.to_lowercase(), reference.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use objects::kind::CONFIG_MAP;

    #[test]
    fn what_is_remembered_is_recalled() {
        let of = |kind: &'static objects::Kind, secret_type: &str| {
            let digest =
                ConfigDigest { checksum: "ab12".to_owned(), legacy: None, secret_type: secret_type.to_owned() };
            let reference = kind.object("n", "web");
            let known: BTreeMap<_, _> = remember(&reference, "7", &digest).into_iter().collect();
            assert_eq!(recall(&reference, &known), Some(("7".to_owned(), digest)));
            known
        };
        assert_eq!(of(&CONFIG_MAP, ""), BTreeMap::from([("configmap/web".to_owned(), "7 ab12".to_owned())]));
        assert_eq!(of(&SECRET, "Opaque"), BTreeMap::from([("secret/web".to_owned(), "7 ab12 Opaque".to_owned())]));
        assert_eq!(recall(&SECRET.object("n", "other"), &of(&SECRET, "Opaque")), None);
    }
}
