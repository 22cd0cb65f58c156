//! Talking to an API server: the few requests that the project makes, with its own words for errors.
//!
//! Objects are JSON in and JSON out. Errors carry the server's own message, since users see it in events.

use kube::Client;
use kube::core::{ApiResource, Status};
use objects::{Kind, ObjectRef};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::Duration;

/// Field manager of all writes.
pub const FIELD_MANAGER: &str = "flagger";

/// Longest time for one request. A server that accepts and never answers must not keep a Canary from being looked at again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A kind in the words of the client library, for watches and lists.
pub fn resource(kind: &Kind) -> ApiResource {
    ApiResource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        plural: kind.plural.to_owned(),
    }
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The server's message, or what went wrong on the way.
    pub message: String,
    /// HTTP status; 0 if there was no answer.
    pub code: u16,
    /// The server's reason, e.g. `AlreadyExists`.
    pub reason: String,
}

impl ApiError {
    /// The object changed since it was read.
    pub fn is_conflict(&self) -> bool {
        self.code == 409 && self.reason != "AlreadyExists"
    }

    /// There is such an object already.
    pub fn already_exists(&self) -> bool {
        self.code == 409 && self.reason == "AlreadyExists"
    }

    /// There is no such object (or no such kind).
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// The message as a missing kind is told: the server has no words of its own for it.
    fn of_status(status: &Status, verb: &str, kind: &Kind) -> Self {
        let unknown_path =
            status.code == 404 && (status.reason.is_empty() || status.message.contains("page not found"));
        let message = if unknown_path || status.message.is_empty() {
            format!("the server could not find the requested resource ({verb} {})", kind.resource())
        } else {
            status.message.clone()
        };
        Self { message, code: status.code, reason: status.reason.clone() }
    }

    /// An error of the client library, for a request on a kind.
    pub fn of(error: &kube::Error, verb: &str, kind: &Kind) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status, verb, kind),
            other => Self { message: chain(other), code: 0, reason: String::new() },
        }
    }
}

/// An error and what caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// One API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    /// Talks through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, for watches.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Reads one object.
    pub async fn get(&self, target: &ObjectRef) -> Result<Value, ApiError> {
        self.send("GET", "get", target.kind, path(target.kind, &target.namespace, Some(&target.name)), None).await
    }

    /// Creates an object.
    pub async fn create(&self, target: &ObjectRef, object: &Value) -> Result<Value, ApiError> {
        self.send(
            "POST",
            "post",
            target.kind,
            path(target.kind, &target.namespace, None),
            Some(("application/json", object)),
        )
        .await
    }

    /// Replaces an object without precondition.
    pub async fn replace(&self, target: &ObjectRef, object: &Value) -> Result<Value, ApiError> {
        let path = path(target.kind, &target.namespace, Some(&target.name));
        self.send("PUT", "put", target.kind, path, Some(("application/json", object))).await
    }

    /// Applies a JSON merge patch; with `version` only to that version of the object.
    pub async fn merge(
        &self,
        target: &ObjectRef,
        patch: &Value,
        version: Option<&str>,
        subresource: Option<&str>,
    ) -> Result<Value, ApiError> {
        let mut body = patch.clone();
        if let Some(version) = version {
            objects::paths::set(&mut body, &["metadata", "resourceVersion"], json!(version));
        }
        let url = path(target.kind, &target.namespace, Some(&target.name))
            .map(|url| subresource.map_or(url.clone(), |subresource| format!("{url}/{subresource}")));
        self.send("PATCH", "patch", target.kind, url, Some(("application/merge-patch+json", &body))).await
    }

    /// Deletes an object.
    pub async fn delete(&self, target: &ObjectRef) -> Result<Value, ApiError> {
        self.send("DELETE", "delete", target.kind, path(target.kind, &target.namespace, Some(&target.name)), None).await
    }

    /// Whether a kind can be listed in a namespace (or in all of them).
    pub async fn probe(&self, kind: &'static Kind, namespace: &str) -> Result<(), ApiError> {
        self.send("GET", "list", kind, path(kind, namespace, None).map(|path| format!("{path}?limit=1")), None)
            .await
            .map(drop)
    }

    /// The server's `gitVersion`.
    pub async fn version(&self) -> Result<String, String> {
        self.client.apiserver_version().await.map(|info| info.git_version).map_err(|error| chain(&error))
    }

    async fn send(
        &self,
        method: &str,
        verb: &str,
        kind: &Kind,
        path: Result<String, ApiError>,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, ApiError> {
        let path = path?;
        let separator = if path.contains('?') { '&' } else { '?' };
        let uri = if body.is_some() { format!("{path}{separator}fieldManager={FIELD_MANAGER}") } else { path };
        let mut request = http::Request::builder().method(method).uri(uri);
        if let Some((content_type, _)) = body {
            request = request.header(http::header::CONTENT_TYPE, content_type);
        }
        let bytes = body.map(|(_, value)| value.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(bytes).map_err(|error| ApiError {
            message: error.to_string(),
            code: 0,
            reason: String::new(),
        })?;
        match tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await {
            Ok(answer) => answer.map_err(|error| ApiError::of(&error, verb, kind)),
            // Whether a write has arrived is seen by the watch.
            Err(_) => {
                Err(ApiError { message: "the API server did not answer".to_owned(), code: 0, reason: String::new() })
            }
        }
    }
}

/// The URL path of a kind's collection or of one object. Namespaces and names come from users' objects: one that could lead the path elsewhere is refused.
fn path(kind: &Kind, namespace: &str, name: Option<&str>) -> Result<String, ApiError> {
    let mut path = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    if kind.namespaced && !namespace.is_empty() {
        path.push_str("/namespaces/");
        path.push_str(segment(kind, namespace)?);
    }
    path.push('/');
    path.push_str(kind.plural);
    if let Some(name) = name {
        path.push('/');
        path.push_str(segment(kind, name)?);
    }
    Ok(path)
}

/// A name as one segment of a path: what no API server would take as a name is no name.
fn segment<'a>(kind: &Kind, name: &'a str) -> Result<&'a str, ApiError> {
    let fits = !name.is_empty() && name != "." && name != ".." && name.len() <= 253;
    if fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte)) {
        return Ok(name);
    }
    let message = format!("{} {name:?} is invalid: this is no name of an object", kind.resource());
    Err(ApiError { message, code: 422, reason: "Invalid".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use objects::kind::SECRET;

    #[test]
    fn a_name_cannot_lead_out_of_its_namespace() {
        assert_eq!(path(&SECRET, "shop", Some("token")).unwrap(), "/api/v1/namespaces/shop/secrets/token");
        for name in ["../../kube-system/secrets/x", "..", "a/b", "a%2Fb", "a?b", ""] {
            assert!(path(&SECRET, "shop", Some(name)).is_err(), "{name}");
        }
        assert!(path(&SECRET, "a/secrets", Some("x")).is_err());
    }
}
