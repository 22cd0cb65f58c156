//! `html`, `js` and `urlquery`: text made safe for the place it is written to.
//!
//! Source: <https://pkg.go.dev/text/template#HTMLEscape>, `#JSEscape`, <https://pkg.go.dev/net/url#QueryEscape>.

use crate::quote::{Rune, is_print, runes};

/// For text and quoted attributes of HTML.
pub(crate) fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            _ => out.push(byte),
        }
    }
    out
}

/// For a string literal of JavaScript, in either kind of quotes, also within HTML.
pub(crate) fn js(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for rune in runes(text) {
        match rune {
            Rune::Char(c @ ('\\' | '\'' | '"')) => {
                out.push(b'\\');
                push(&mut out, c);
            }
            Rune::Char(c) if c < ' ' || "<>&=".contains(c) || !(c.is_ascii() || is_print(c)) => {
                out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes());
            }
            Rune::Char(c) => push(&mut out, c),
            Rune::Bad(byte) => out.push(byte),
        }
    }
    out
}

/// For a value in the query of a URL.
pub(crate) fn url_query(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
