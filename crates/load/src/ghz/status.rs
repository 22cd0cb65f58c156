//! gRPC's status codes, and errors in the words of Go's gRPC.
//!
//! Source: <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>, <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>.

use http::{HeaderMap, StatusCode};

pub(super) const OK: u16 = 0;
pub(super) const UNKNOWN: u16 = 2;
pub(super) const DEADLINE_EXCEEDED: u16 = 4;
pub(super) const UNIMPLEMENTED: u16 = 12;
pub(super) const INTERNAL: u16 = 13;
pub(super) const UNAVAILABLE: u16 = 14;

const NAMES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The name of a code.
pub(super) fn name(code: u16) -> String {
    NAMES.get(usize::from(code)).map_or_else(|| format!("Code({code})"), |name| (*name).to_owned())
}

/// What went wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rpc error: code = {} desc = {description}", name(*.code))]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) description: String,
}

impl Status {
    pub(super) fn new(code: u16, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }
}

/// What the trailers say; `None`: nothing about how the call ended.
pub(super) fn of_trailers(trailers: &HeaderMap) -> Option<Result<(), Status>> {
    let code = trailers.get("grpc-status")?;
    let code = code.to_str().ok().and_then(|code| code.parse().ok()).unwrap_or(UNKNOWN);
    if code == OK {
        return Some(Ok(()));
    }
    let message = trailers.get("grpc-message").map(|message| unescaped(message.as_bytes())).unwrap_or_default();
    Some(Err(Status::new(code, message)))
}

/// What an answer means that is not one of gRPC: a proxy's, for example.
pub(super) fn of_http(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => INTERNAL,
        401 => 16,
        403 => 7,
        404 => UNIMPLEMENTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    };
    Status::new(code, format!("unexpected HTTP status code received from server: {status}"))
}

/// Text with `%XX` for bytes that are not plain, which is how it is sent.
fn unescaped(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.filter(|_| *first == b'%').and_then(|code| u8::from_str_radix(code, 16).ok());
        text.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_read() {
        let trailers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        assert_eq!(of_trailers(&trailers(&[])), None);
        assert_eq!(of_trailers(&trailers(&[("grpc-status", "0")])), Some(Ok(())));
        let failed = of_trailers(&trailers(&[("grpc-status", "5"), ("grpc-message", "gr%C3%BCn 100%, %2")]));
        let text = failed.unwrap().unwrap_err().to_string();
        assert_eq!(text, "rpc error: code = NotFound desc = grün 100%, %2");
        let odd = of_trailers(&trailers(&[("grpc-status", "x")])).unwrap().unwrap_err();
        assert_eq!(odd.code, UNKNOWN);
        assert_eq!(name(99), "Code(99)");
    }
}
