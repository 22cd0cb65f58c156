//! What the API server answers when it refuses: `Status` objects with the texts that clients and users know from a real one.
//!
//! Source of the texts: answers of kube-apiserver 1.36, compared by hand.

use serde_json::{Value, json};
use std::fmt::{self, Write as _};

/// A refusal. `Display` is the message alone; [`Failure::status`] is the whole `Status` object.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// HTTP status code, e.g. 404.
    pub code: u16,
    /// `reason` of the `Status`, e.g. `NotFound`; empty when the server gives none.
    pub reason: &'static str,
    /// The text for people.
    pub message: String,
    /// `details` of the `Status`, if any.
    pub details: Option<Value>,
}

/// Names a kind of object in texts: `deployments.apps`, or `services` in the core group.
pub(crate) fn qualified(plural: &str, group: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn about(mut self, plural: &str, group: &str, name: &str) -> Self {
        let mut details = serde_json::Map::new();
        for (key, value) in [("name", name), ("group", group), ("kind", plural)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), json!(value));
            }
        }
        self.details = Some(Value::Object(details));
        self
    }

    /// 404: there is no such object.
    pub fn not_found(plural: &str, group: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", qualified(plural, group)))
            .about(plural, group, name)
    }

    /// 404: there is no such kind or path.
    pub fn no_such_path() -> Self {
        let mut failure = Self::new(404, "NotFound", "the server could not find the requested resource");
        failure.details = Some(json!({}));
        failure
    }

    /// 409: the name is taken.
    pub fn already_exists(plural: &str, group: &str, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", qualified(plural, group)))
            .about(plural, group, name)
    }

    /// 409: the object is not what the writer thinks it is; `why` ends the sentence.
    pub fn conflict(plural: &str, group: &str, name: &str, why: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(plural, group)),
        )
        .about(plural, group, name)
    }

    /// 409: somebody else has written since the version that the writer read.
    pub fn modified(plural: &str, group: &str, name: &str) -> Self {
        Self::conflict(
            plural,
            group,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409: an apply would change fields that other managers own. `causes` are (manager, field) pairs.
    pub fn apply_conflict(causes: &[(String, String)]) -> Self {
        let mut failure = Self::new(409, "Conflict", apply_conflict_text(causes));
        let causes: Vec<_> = causes
            .iter()
            .map(|(manager, field)| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": field}))
            .collect();
        failure.details = Some(json!({"causes": causes}));
        failure
    }

    /// 422: the object breaks rules.
    pub fn invalid(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let text = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut failure =
            Self::new(422, "Invalid", format!("{} \"{name}\" is invalid: {text}", qualified(kind, group)))
                .about(kind, group, name);
        if let Some(details) = failure.details.as_mut().and_then(Value::as_object_mut) {
            details.insert("causes".to_owned(), errors.iter().map(FieldError::cause).collect());
        }
        failure
    }

    /// 413: the body is longer than so many bytes.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 403: not now or not like this; `why` ends the sentence.
    pub fn forbidden(plural: &str, group: &str, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} \"{name}\" is forbidden: {why}", qualified(plural, group)))
            .about(plural, group, name)
    }

    /// 405: the kind does not know that verb.
    pub fn method_not_allowed() -> Self {
        let mut failure =
            Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
        failure.details = Some(json!({}));
        failure
    }

    /// 406: none of the accepted media types is spoken here.
    pub fn not_acceptable() -> Self {
        let text = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf, \
            application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
        let mut failure = Self::new(406, "NotAcceptable", text);
        failure.details = Some(json!({}));
        failure
    }

    /// 410: the version is older than the history that is kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 415: a patch of a kind that does not exist.
    pub fn unknown_patch() -> Self {
        let mut failure = Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
        failure.details = Some(json!({}));
        failure
    }

    /// 422: a JSON patch that does not fit the object. The server does not say where.
    pub fn rejected() -> Self {
        let mut failure = Self::new(422, "Invalid", "the server rejected our request due to an error in our request");
        failure.details = Some(json!({}));
        failure
    }

    /// 415: the body is in a format that is not understood; `accepted` lists the ones that are.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        Self::new(
            415,
            "UnsupportedMediaType",
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}"),
        )
    }

    /// 500: something broke here.
    pub fn internal(why: impl fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {why}"))
    }

    /// 503: nobody answers; for injected faults.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 504: the version is one that does not exist yet.
    pub fn too_large_version(wanted: u64, current: u64) -> Self {
        let mut failure =
            Self::new(504, "Timeout", format!("Timeout: Too large resource version: {wanted}, current: {current}"));
        failure.details = Some(
            json!({"causes": [{"message": "Too large resource version", "reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 1}),
        );
        failure
    }

    /// 500 without a reason: what the server says when a check of its own fails early.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let mut status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message});
        if let Some(map) = status.as_object_mut() {
            if !self.reason.is_empty() {
                map.insert("reason".to_owned(), json!(self.reason));
            }
            if let Some(details) = &self.details {
                map.insert("details".to_owned(), details.clone());
            }
            map.insert("code".to_owned(), json!(self.code));
        }
        status
    }
}

fn apply_conflict_text(causes: &[(String, String)]) -> String {
    if let [(manager, field)] = causes {
        return format!("Apply failed with 1 conflict: conflict with {manager}: {field}");
    }
    let mut text = format!("Apply failed with {} conflicts:", causes.len());
    let mut managers: Vec<&str> = causes.iter().map(|(manager, _)| manager.as_str()).collect();
    managers.sort_unstable();
    managers.dedup();
    for of in managers {
        text.push_str(if text.ends_with("conflicts:") { " " } else { "\n" });
        let _ = write!(text, "conflicts with {of}:");
        for (_, field) in causes.iter().filter(|(manager, _)| manager == of) {
            let _ = write!(text, "\n- {field}");
        }
    }
    text
}

/// How a field breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// The value is not allowed.
    Invalid,
    /// The value is of the wrong type.
    Type,
    /// There is none.
    Required,
    /// It is not one of a list.
    Unsupported,
    /// Another one has it already.
    Duplicate,
    /// What it names does not exist.
    NotFound,
    /// It must not be set.
    Forbidden,
    /// It has too many characters or bytes.
    TooLong,
    /// It has too many elements.
    TooMany,
}

/// One field that breaks the rules, with the text of the real server.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// Path, e.g. `spec.ports[0].port`.
    pub field: String,
    /// What is wrong.
    pub breach: Breach,
    /// The value as the text shows it; empty where it shows none.
    pub value: String,
    /// The rest of the text.
    pub detail: String,
}

impl FieldError {
    /// `field: Invalid value: value: detail`.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl Into<String>) -> Self {
        Self { field: field.into(), breach: Breach::Invalid, value: shown(value), detail: detail.into() }
    }

    /// `field: Required value: detail`.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), breach: Breach::Required, value: String::new(), detail: detail.into() }
    }

    /// `field: Unsupported value: "x": supported values: "a", "b"`.
    pub fn unsupported(field: impl Into<String>, value: &Value, supported: &[String]) -> Self {
        let supported: Vec<_> = supported.iter().map(|one| format!("{one:?}")).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        Self { field: field.into(), breach: Breach::Unsupported, value: shown(value), detail }
    }

    /// `field: Too long: may not be more than 128 bytes`.
    pub fn too_long(field: impl Into<String>, most: usize) -> Self {
        let detail = format!("may not be more than {most} bytes");
        Self { field: field.into(), breach: Breach::TooLong, value: String::new(), detail }
    }

    /// `field: Duplicate value: "x"`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self { field: field.into(), breach: Breach::Duplicate, value: shown(value), detail: String::new() }
    }

    /// `field: Forbidden: detail`.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), breach: Breach::Forbidden, value: String::new(), detail: detail.into() }
    }

    fn body(&self) -> String {
        let head = match self.breach {
            Breach::Invalid | Breach::Type => "Invalid value",
            Breach::Required => "Required value",
            Breach::Unsupported => "Unsupported value",
            Breach::Duplicate => "Duplicate value",
            Breach::NotFound => "Not found",
            Breach::Forbidden => "Forbidden",
            Breach::TooLong => "Too long",
            Breach::TooMany => "Too many",
        };
        [head, &self.value, &self.detail].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    }

    fn cause(&self) -> Value {
        let reason = match self.breach {
            Breach::Invalid => "FieldValueInvalid",
            Breach::Type => "FieldValueTypeInvalid",
            Breach::Required => "FieldValueRequired",
            Breach::Unsupported => "FieldValueNotSupported",
            Breach::Duplicate => "FieldValueDuplicate",
            Breach::NotFound => "FieldValueNotFound",
            Breach::Forbidden => "FieldValueForbidden",
            Breach::TooLong => "FieldValueTooLong",
            Breach::TooMany => "FieldValueTooMany",
        };
        json!({"reason": reason, "message": self.body(), "field": self.field})
    }
}

/// `field: body`.
impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// A value as the texts show it: JSON, so strings are quoted.
pub(crate) fn shown(value: &Value) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_real_server() {
        assert_eq!(
            Failure::not_found("deployments", "apps", "podinfo").message,
            "deployments.apps \"podinfo\" not found"
        );
        assert_eq!(
            Failure::modified("services", "", "x").message,
            "Operation cannot be fulfilled on services \"x\": the object has been modified; please apply your changes to the latest version and try again"
        );
        let port = FieldError::invalid("spec.ports[0].port", &json!(0), "must be between 1 and 65535, inclusive");
        assert_eq!(
            Failure::invalid("Service", "", "x", std::slice::from_ref(&port)).message,
            "Service \"x\" is invalid: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"
        );
        let two = Failure::invalid("Canary", "flagger.app", "x", &[FieldError::required("spec.targetRef", ""), port]);
        assert!(
            two.message.starts_with(
                "Canary.flagger.app \"x\" is invalid: [spec.targetRef: Required value, spec.ports[0].port: "
            ),
            "{two}"
        );
        assert_eq!(two.status().pointer("/details/causes/0/reason"), Some(&json!("FieldValueRequired")));
    }

    #[test]
    fn apply_conflicts_name_managers_and_fields() {
        let one = [("helm".to_owned(), ".spec.replicas".to_owned())];
        assert_eq!(
            Failure::apply_conflict(&one).message,
            "Apply failed with 1 conflict: conflict with helm: .spec.replicas"
        );
        let two = [one[0].clone(), ("helm".to_owned(), ".data.a".to_owned())];
        assert_eq!(
            Failure::apply_conflict(&two).message,
            "Apply failed with 2 conflicts: conflicts with helm:\n- .spec.replicas\n- .data.a"
        );
    }
}
