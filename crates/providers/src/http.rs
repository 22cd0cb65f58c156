//! Requests to send and responses to read, as plain data. The one HTTP client of the project (in `runtime`) carries
//! them out, with limits on time, size, redirects and concurrency.

pub(crate) mod url;

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Redirects that are followed.
const REDIRECTS: usize = 10;
/// Bytes of a body that are shown to users: events and status have to stay small.
const SHOWN: usize = 4096;

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
    /// PUT.
    Put,
}

impl Method {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// An absolute `http` or `https` URL, perhaps with `user:password@` (sent as Basic authentication), hence hidden
    /// from `Debug`.
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
    /// Redirects that are followed at most. Credentials go to no other host than the one asked for.
    pub max_redirects: usize,
}

impl Request {
    /// A GET without headers.
    pub fn get(url: impl Into<String>, timeout: Duration) -> Self {
        Self {
            method: Method::Get,
            url: Secret::new(url),
            headers: Vec::new(),
            body: None,
            timeout,
            insecure: false,
            proxy: None,
            max_redirects: REDIRECTS,
        }
    }

    /// A POST of compact JSON.
    pub fn post_json(url: impl Into<String>, body: &impl Serialize, timeout: Duration) -> Result<Self, String> {
        let mut request = Self::get(url, timeout);
        request.method = Method::Post;
        request.headers.push(("Content-Type".to_owned(), Secret::new("application/json")));
        request.body = Some(json(body)?);
        Ok(request)
    }
}

/// Compact JSON in the order of the fields. As Go writes it, `<`, `>`, `&` and the line separators of Unicode are
/// escaped, so that bodies are the same to the byte.
fn json(body: &impl Serialize) -> Result<Vec<u8>, String> {
    let text = serde_json::to_string(body).map_err(|error| error.to_string())?;
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // Outside of strings JSON has none of them.
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    Ok(escaped.into_bytes())
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

    /// The body as far as it is shown to users: whole, if it is not longer than 4 KiB.
    pub fn shown(&self) -> String {
        let mut text = self.text();
        if text.len() > SHOWN {
            let end = (0..=SHOWN).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
            text.truncate(end);
            text.push('…');
        }
        text
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

impl SendError {
    /// The connection broke while the body was read; the request itself had been answered.
    pub(crate) fn is_broken_body(&self) -> bool {
        self.message.starts_with("error reading body: ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_are_escaped_as_go_does() {
        let request =
            Request::post_json("http://x", &json!({"b": "<a> & \u{2028}é\"", "a": 1}), Duration::ZERO).unwrap();
        assert_eq!(
            String::from_utf8(request.body.unwrap()).unwrap(),
            "{\"b\":\"\\u003ca\\u003e \\u0026 \\u2028é\\\"\",\"a\":1}"
        );
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let response =
            |body: String| Response { status: 500, retry_after: None, body: body.into_bytes(), truncated: false };
        assert_eq!(response("short".to_owned()).shown(), "short");
        let shown = response(format!("x{}", "é".repeat(5000))).shown();
        assert_eq!(shown.len(), 4095 + "…".len());
    }

    #[test]
    fn secrets_lose_their_line_break_and_do_not_show() {
        let secret = Secret::new("token\r\n");
        assert_eq!(secret.reveal(), "token");
        assert_eq!(format!("{secret:?}"), "***");
    }
}
