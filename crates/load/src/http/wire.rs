//! HTTP/1.1 as far as a load generator needs it: a request that is written as it stands, an answer that is parsed and dropped.
//!
//! Written out because the promise is twice the requests of `hey` per CPU second. With hyper, whose connection was driven by the task that sends, it was 1.9 to
//! 2.1 times with four workers and 2.7 to 2.9 with fifty; with this, on the same machine at the same time, 2.5 to 2.6 and 3.4 to 4.0 (`tests/load/compare.sh`).
//! Heads are parsed by `httparse`; lengths, chunks and the end of a connection are followed here. Everything a server sends has a limit.
//! Source: RFC 9112.

use super::connection::{Answer, ExchangeError};
use crate::net::{Timed, reason};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};

/// Bytes that are read at once.
const READ: usize = 16 * 1024;
/// A head, the extensions of chunks and trailers are no longer than this.
const HEAD: usize = 64 * 1024;
/// Headers of an answer.
const HEADERS: usize = 128;

/// A request with its body, ready to be written. The headers are in the order in which they stand, their names as everybody writes them.
pub(super) fn request(method: &Method, target: &Uri, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let mut line = |name: &str, value: &[u8]| {
        let mut begins = true;
        for letter in name.bytes() {
            bytes.push(if begins { letter.to_ascii_uppercase() } else { letter });
            begins = letter == b'-';
        }
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    for (name, value) in headers {
        line(name.as_str(), value.as_bytes());
    }
    if !body.is_empty() || matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        line("content-length", body.len().to_string().as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A connection.
#[derive(Debug)]
pub(super) struct Http1 {
    stream: Timed,
    /// What was read and not used yet.
    buffer: Vec<u8>,
    reusable: bool,
}

/// What a head says.
struct Head {
    length: usize,
    status: StatusCode,
    location: Option<HeaderValue>,
    body: Body,
    keep_alive: bool,
}

enum Body {
    None,
    Bytes(u64),
    Chunks,
    UntilEnd,
}

impl Http1 {
    pub(super) fn new(stream: Timed) -> Self {
        Self { stream, buffer: Vec::with_capacity(READ), reusable: true }
    }

    /// Whether another request can be sent: the server has neither closed it nor said anything unasked.
    pub(super) async fn is_open(&mut self) -> bool {
        let mut unasked = [MaybeUninit::uninit(); 1];
        // Asks the system only if it has reported something.
        let silent = poll_fn(|cx| {
            let mut unasked = ReadBuf::uninit(&mut unasked);
            Poll::Ready(Pin::new(&mut self.stream).poll_read(cx, &mut unasked).is_pending())
        });
        silent.await && self.reusable && self.buffer.is_empty()
    }

    /// Writes a request and reads its answer to the end.
    pub(super) async fn exchange(&mut self, request: &[u8], is_head: bool) -> Result<Answer, ExchangeError> {
        self.reusable = false;
        let written = match self.stream.write_all(request).await {
            Ok(()) => self.stream.flush().await,
            Err(error) => Err(error),
        };
        let head = match self.head(is_head).await {
            Ok(head) => head,
            // An answer may have come before all was written; if none has, the reason is the better text.
            Err(error) => match written {
                Err(cause) if error.unanswered => {
                    return Err(ExchangeError { text: reason(&cause), unanswered: true, unsent: true });
                }
                _ => return Err(error),
            },
        };
        let bytes = match head.body {
            Body::None => 0,
            Body::Bytes(length) => self.skip(length).await?,
            Body::Chunks => self.chunks().await?,
            Body::UntilEnd => self.rest().await?,
        };
        self.reusable = head.keep_alive && written.is_ok() && !matches!(head.body, Body::UntilEnd);
        Ok(Answer { status: head.status, location: head.location, bytes })
    }

    /// Reads more; whether there was more.
    async fn more(&mut self) -> Result<bool, ExchangeError> {
        self.buffer.reserve(READ);
        let read = self.stream.read_buf(&mut self.buffer).await;
        read.map(|bytes| bytes > 0).map_err(|error| failed(&error, self.buffer.is_empty()))
    }

    /// Reads heads up to one that is final.
    async fn head(&mut self, is_head: bool) -> Result<Head, ExchangeError> {
        let mut interim = 0;
        let mut begun = false;
        loop {
            if !self.buffer.is_empty() {
                if let Some(head) = parse(&self.buffer, is_head)? {
                    self.buffer.drain(..head.length);
                    if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                        return Ok(head);
                    }
                    interim += head.length;
                    begun = true;
                    continue;
                }
                begun = true;
            }
            if self.buffer.len() + interim > HEAD {
                return Err(malformed("the head is too long"));
            }
            if !self.more().await? {
                let text = if begun { "unexpected EOF" } else { "EOF" };
                return Err(ExchangeError { text: text.to_owned(), unanswered: !begun, unsent: false });
            }
        }
    }

    /// Drops so many bytes.
    async fn skip(&mut self, length: u64) -> Result<u64, ExchangeError> {
        let mut left = length;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.drain(..here);
            left -= here as u64;
            if left == 0 {
                return Ok(length);
            }
            self.expect_more().await?;
        }
    }

    /// Drops everything up to the end of the connection.
    async fn rest(&mut self) -> Result<u64, ExchangeError> {
        let mut bytes = 0;
        loop {
            bytes += self.buffer.len() as u64;
            self.buffer.clear();
            if !self.more().await? {
                return Ok(bytes);
            }
        }
    }

    /// Drops chunks and trailers.
    async fn chunks(&mut self) -> Result<u64, ExchangeError> {
        let mut bytes = 0;
        let mut overhead = 0;
        loop {
            let line = self.line().await?;
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
            let size = size.ok_or_else(|| malformed("invalid chunk size"))?;
            // Extensions, not the digits and line ends that every chunk has.
            overhead += line.len().saturating_sub(digits.len());
            if size == 0 {
                break;
            }
            bytes += self.skip(size).await?;
            if !self.line().await?.is_empty() || overhead > HEAD {
                return Err(malformed("invalid chunk"));
            }
        }
        loop {
            let trailer = self.line().await?;
            overhead += trailer.len();
            if trailer.is_empty() {
                return Ok(bytes);
            }
            if overhead > HEAD {
                return Err(malformed("the trailers are too long"));
            }
        }
    }

    /// Takes a line, without its end.
    async fn line(&mut self) -> Result<Vec<u8>, ExchangeError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                line.pop_if(|last| *last == b'\r');
                return Ok(line);
            }
            if self.buffer.len() > HEAD {
                return Err(malformed("a line is too long"));
            }
            self.expect_more().await?;
        }
    }

    async fn expect_more(&mut self) -> Result<(), ExchangeError> {
        if self.more().await? {
            Ok(())
        } else {
            Err(ExchangeError { text: "unexpected EOF".to_owned(), unanswered: false, unsent: false })
        }
    }
}

/// A head, if it is complete.
fn parse(bytes: &[u8], is_head: bool) -> Result<Option<Head>, ExchangeError> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(malformed(&error.to_string())),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| malformed("invalid status"))?;
    let mut keep_alive = response.version == Some(1);
    let (mut size, mut chunked, mut location) = (None, false, None);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let given = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse::<u64>().ok());
            let given = given.ok_or_else(|| malformed("invalid Content-Length"))?;
            if size.replace(given).is_some_and(|before| before != given) {
                return Err(malformed("two different Content-Lengths"));
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = last_word(header.value).eq_ignore_ascii_case(b"chunked");
            size = size.filter(|_| chunked);
        } else if header.name.eq_ignore_ascii_case("connection") {
            keep_alive = (keep_alive || last_word(header.value).eq_ignore_ascii_case(b"keep-alive"))
                && !header
                    .value
                    .split(|byte| *byte == b',')
                    .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if header.name.eq_ignore_ascii_case("location") {
            location = HeaderValue::from_bytes(header.value).ok();
        }
    }
    let bodiless = is_head || status.is_informational() || matches!(status.as_u16(), 204 | 304);
    let body = match size {
        _ if bodiless => Body::None,
        _ if chunked => Body::Chunks,
        Some(size) => Body::Bytes(size),
        None => Body::UntilEnd,
    };
    keep_alive &= status != StatusCode::SWITCHING_PROTOCOLS;
    Ok(Some(Head { length, status, location, body, keep_alive }))
}

fn last_word(list: &[u8]) -> &[u8] {
    list.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii()
}

fn malformed(what: &str) -> ExchangeError {
    ExchangeError { text: format!("malformed HTTP response: {what}"), unanswered: false, unsent: false }
}

fn failed(error: &io::Error, unanswered: bool) -> ExchangeError {
    ExchangeError { text: reason(error), unanswered, unsent: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the connection may be kept, and what the body is.
    fn head(text: &str) -> String {
        let text = format!("HTTP/1.1 {}\r\n\r\n", text.replace('|', "\r\n"));
        match parse(text.as_bytes(), false) {
            Ok(None) => "partial".to_owned(),
            Err(error) => error.text,
            Ok(Some(head)) => {
                assert_eq!(head.length, text.len());
                let body = match head.body {
                    Body::None => "none".to_owned(),
                    Body::Bytes(length) => format!("{length} bytes"),
                    Body::Chunks => "chunks".to_owned(),
                    Body::UntilEnd => "until the end".to_owned(),
                };
                format!("{} {body}{}", head.status.as_u16(), if head.keep_alive { "" } else { ", close" })
            }
        }
    }

    #[test]
    fn heads_say_how_long_bodies_are() {
        for (text, wanted) in [
            ("200 OK|Content-Length: 5", "200 5 bytes"),
            ("200 OK|content-length: 5|content-length: 5", "200 5 bytes"),
            ("200 OK|Transfer-Encoding: gzip, chunked|Content-Length: 9", "200 chunks"),
            ("200 OK|Content-Length: 9|Transfer-Encoding: chunked", "200 chunks"),
            ("200 OK|Content-Length: 9|Transfer-Encoding: gzip", "200 until the end"),
            ("200 OK", "200 until the end"),
            ("204 No Content", "204 none"),
            ("304 Not Modified|Content-Length: 5", "304 none"),
            ("200 OK|Content-Length: 0|Connection: foo, Close", "200 0 bytes, close"),
            ("101 Switching|Upgrade: x", "101 none, close"),
            ("200 OK|Content-Length: -1", "malformed HTTP response: invalid Content-Length"),
            ("200 OK|Content-Length: 1|Content-Length: 2", "malformed HTTP response: two different Content-Lengths"),
            ("2000 OK", "malformed HTTP response: invalid HTTP version"),
        ] {
            let found = head(text);
            let both_refused = found.starts_with("malformed") && text.starts_with("2000");
            assert!(found == wanted || both_refused, "{text}: {found}");
        }
        let old = parse(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false).unwrap_or_else(|_| panic!("is good"));
        assert!(!old.unwrap().keep_alive);
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-", false).is_ok_and(|head| head.is_none()));
    }

    #[test]
    fn requests_are_written_as_by_everybody() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("a:80"));
        headers.insert("x-one-two", HeaderValue::from_static("v"));
        let target = Uri::from_static("/p?q");
        let get = request(&Method::GET, &target, &headers, b"");
        assert_eq!(get, b"GET /p?q HTTP/1.1\r\nHost: a:80\r\nX-One-Two: v\r\n\r\n");
        let post = request(&Method::POST, &target, &headers, b"");
        assert!(post.ends_with(b"X-One-Two: v\r\nContent-Length: 0\r\n\r\n"));
        assert!(request(&Method::GET, &target, &headers, b"xy").ends_with(b"Content-Length: 2\r\n\r\nxy"));
    }
}
