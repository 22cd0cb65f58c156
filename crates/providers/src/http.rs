//! Requests to send and responses to read, as plain data. The one HTTP client of the project (in `runtime`) carries them out, with limits on time, size,
//! redirects and concurrency.

use std::fmt;
use std::time::Duration;

/// A text that must not reach logs, events, status or `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Hides a text; a line break at its end, which files leave behind, is not part of it.
    pub fn new(text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The text itself, for the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True if there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// An absolute `http` or `https` URL, perhaps with `user:password@` (sent as Basic authentication), hence hidden from `Debug`.
    pub url: Secret,
    /// Header lines in order; names as given, values hidden from `Debug`.
    pub headers: Vec<(String, Secret)>,
    /// The body; `None` for none.
    pub body: Option<Vec<u8>>,
    /// From connecting to the end of the body.
    pub timeout: Duration,
    /// Accept any certificate.
    pub insecure: bool,
    /// Proxy for this request instead of the environment's.
    pub proxy: Option<String>,
    /// Where a bearer token or a password goes: never to another host than asked for (redirects drop it).
    pub max_redirects: usize,
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// The body, cut at the client's limit.
    pub body: Vec<u8>,
    /// The body was longer than the limit.
    pub truncated: bool,
}

impl Response {
    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `404 Not Found`.
    pub fn status_line(&self) -> String {
        match reason_phrase(self.status) {
            "" => self.status.to_string(),
            phrase => format!("{} {phrase}", self.status),
        }
    }
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// In words, without secrets.
    pub message: String,
    /// Trying again may help (not for certificates, schemes, headers and redirects without end).
    pub retriable: bool,
}

/// The reason phrase of a status code, as Go's `http.StatusText`.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Request Entity Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
