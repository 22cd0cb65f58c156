//! Talking to an API server: the few requests that the project makes, with its own words for errors.
//!
//! Objects are JSON in and JSON out. Errors carry the server's own message, since users see it in events.

use crate::permissions::Permissions;
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

    /// The server has decided: a write that ended so was not carried out. Without an answer, and after an error of the server, it may have been.
    pub fn is_answer(&self) -> bool {
        (400..500).contains(&self.code)
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
    permissions: Permissions,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// One request about a kind: to its collection, or with a name to one object.
struct Request<'a> {
    /// As in a role: get, list, create, update, patch, delete.
    verb: &'static str,
    kind: &'a Kind,
    namespace: &'a str,
    name: Option<&'a str>,
    subresource: Option<&'a str>,
    /// Content type and content.
    body: Option<(&'static str, &'a Value)>,
}

impl<'a> Request<'a> {
    /// To one object.
    fn to(verb: &'static str, target: &'a ObjectRef) -> Self {
        let name = Some(&*target.name);
        Self { verb, kind: target.kind, namespace: &target.namespace, name, subresource: None, body: None }
    }

    /// HTTP method, and the word that the reference has for it in errors.
    fn method(&self) -> (&'static str, &'static str) {
        match self.verb {
            "create" => ("POST", "post"),
            "update" => ("PUT", "put"),
            "patch" => ("PATCH", "patch"),
            "delete" => ("DELETE", "delete"),
            verb => ("GET", verb),
        }
    }

    fn uri(&self) -> Result<String, ApiError> {
        let mut uri = path(self.kind, self.namespace, self.name)?;
        if let Some(subresource) = self.subresource {
            uri.push('/');
            uri.push_str(subresource);
        }
        match self.verb {
            "list" => uri.push_str("?limit=1"),
            "get" | "delete" => {}
            _ => {
                uri.push_str("?fieldManager=");
                uri.push_str(FIELD_MANAGER);
            }
        }
        Ok(uri)
    }
}

impl Cluster {
    /// Talks through this client.
    pub fn new(client: Client) -> Self {
        Self { client, permissions: Permissions::default() }
    }

    /// The client, for watches.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// What this server refuses to do for us.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Reads one object.
    pub async fn get(&self, target: &ObjectRef) -> Result<Value, ApiError> {
        self.send(Request::to("get", target)).await
    }

    /// Creates an object.
    pub async fn create(&self, target: &ObjectRef, object: &Value) -> Result<Value, ApiError> {
        let body = Some(("application/json", object));
        self.send(Request { name: None, body, ..Request::to("create", target) }).await
    }

    /// Replaces an object without precondition.
    pub async fn replace(&self, target: &ObjectRef, object: &Value) -> Result<Value, ApiError> {
        self.send(Request { body: Some(("application/json", object)), ..Request::to("update", target) }).await
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
        let body = Some(("application/merge-patch+json", &body));
        self.send(Request { subresource, body, ..Request::to("patch", target) }).await
    }

    /// Deletes an object.
    pub async fn delete(&self, target: &ObjectRef) -> Result<Value, ApiError> {
        self.send(Request::to("delete", target)).await
    }

    /// Whether a kind can be listed in a namespace (or in all of them).
    pub async fn probe(&self, kind: &'static Kind, namespace: &str) -> Result<(), ApiError> {
        self.send(Request { verb: "list", kind, namespace, name: None, subresource: None, body: None }).await.map(drop)
    }

    /// The server's `gitVersion`.
    pub async fn version(&self) -> Result<String, String> {
        self.client.apiserver_version().await.map(|info| info.git_version).map_err(|error| chain(&error))
    }

    async fn send(&self, request: Request<'_>) -> Result<Value, ApiError> {
        let (method, word) = request.method();
        let lost = |message: String| ApiError { message, code: 0, reason: String::new() };
        let mut sent = http::Request::builder().method(method).uri(request.uri()?);
        if let Some((content_type, _)) = request.body {
            sent = sent.header(http::header::CONTENT_TYPE, content_type);
        }
        let bytes = request.body.map(|(_, value)| value.to_string().into_bytes()).unwrap_or_default();
        let sent = sent.body(bytes).map_err(|error| lost(error.to_string()))?;
        // Whether a write has arrived that is not answered is seen by the watch.
        let answer = tokio::time::timeout(PATIENCE, self.client.request::<Value>(sent))
            .await
            .map_err(|_| lost("the API server did not answer".to_owned()))?;
        let Request { verb, kind, namespace, subresource, .. } = request;
        match answer {
            Ok(object) => {
                self.permissions.granted(verb, kind, subresource, namespace);
                Ok(object)
            }
            Err(error) => {
                let error = ApiError::of(&error, word, kind);
                if error.code == 403 {
                    self.permissions.refused(&error.message);
                }
                Err(error)
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
