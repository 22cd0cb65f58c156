//! URLs of the Kubernetes API taken apart. Does not know which kinds exist.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>

/// What a URL path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Objects of a kind, or one of them.
    Objects(Address),
    /// `/api` or `/apis`: the versions of the core group, or all other groups.
    Core,
    /// `/apis`.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` or `/apis/GROUP/VERSION`; the group is empty for the core group.
    Version(String, String),
    /// Anything else, e.g. `/version`.
    Other,
}

/// Where objects are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Address {
    /// Empty for the core group.
    pub group: String,
    /// E.g. `v1`.
    pub version: String,
    /// Kind as in the URL.
    pub plural: String,
    /// Empty: all of them, or a cluster-scoped kind.
    pub namespace: String,
    /// Empty: the collection.
    pub name: String,
    /// Empty: the object itself.
    pub subresource: String,
}

/// Takes a path (still percent-encoded) apart.
pub(crate) fn parse(path: &str) -> Place {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["api"] => Place::Core,
        ["apis"] => Place::Groups,
        ["apis", group] => Place::Group((*group).to_owned()),
        ["api", version] => Place::Version(String::new(), (*version).to_owned()),
        ["apis", group, version] => Place::Version((*group).to_owned(), (*version).to_owned()),
        ["api", version, rest @ ..] => objects("", version, rest),
        ["apis", group, version, rest @ ..] => objects(group, version, rest),
        _ => Place::Other,
    }
}

fn objects(group: &str, version: &str, rest: &[&str]) -> Place {
    let (namespace, rest) = match rest {
        // `namespaces/NAME`, `namespaces/NAME/status` and `.../finalize` are about the namespace itself.
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] if group.is_empty() => ("", rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (plural, "", String::new()),
        [plural, name] => (plural, *name, String::new()),
        [plural, name, sub @ ..] => (plural, *name, sub.join("/")),
        [] => return Place::Other,
    };
    Place::Objects(Address {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: (*plural).to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource,
    })
}

/// The text behind percent-encoding. In queries `+` is a space; that is for the caller to know.
pub(crate) fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let decoded = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(part.bytes().skip(2));
            }
            None => bytes.extend(std::iter::once(b'%').chain(part.bytes())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The parameters of a query, decoded, in order.
pub(crate) fn query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(path: &str) -> [String; 6] {
        match parse(path) {
            Place::Objects(a) => [a.group, a.version, a.plural, a.namespace, a.name, a.subresource],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn urls_name_objects() {
        assert_eq!(address("/api/v1/pods"), ["", "v1", "pods", "", "", ""]);
        assert_eq!(address("/api/v1/namespaces/a/pods/b"), ["", "v1", "pods", "a", "b", ""]);
        assert_eq!(address("/api/v1/namespaces/a"), ["", "v1", "namespaces", "", "a", ""]);
        assert_eq!(address("/api/v1/namespaces/a/status"), ["", "v1", "namespaces", "", "a", "status"]);
        assert_eq!(
            address("/apis/apps/v1/namespaces/a/deployments/b/scale"),
            ["apps", "v1", "deployments", "a", "b", "scale"]
        );
        assert_eq!(address("/apis/x.io/v1/things/system%3Ab"), ["x.io", "v1", "things", "", "system:b", ""]);
        assert_eq!(parse("/apis/apps/v1"), Place::Version("apps".into(), "v1".into()));
        assert_eq!(parse("/openapi/v2"), Place::Other);
    }

    #[test]
    fn queries_are_decoded() {
        let wanted = vec![("labelSelector".to_owned(), "a=b,c in (d)".to_owned()), ("watch".to_owned(), String::new())];
        assert_eq!(query("labelSelector=a%3Db%2Cc+in%20(d)&watch"), wanted);
    }
}
