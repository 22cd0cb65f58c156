//! Characters and quoted strings as Go writes and reads them: `%q`, string and character literals, `U+0041 'A'`.
//!
//! Strings of templates are bytes, as in Go: `slice "é" 0 1` is half a character. What is not UTF-8 is written `\xNN`.
//! Source: <https://pkg.go.dev/strconv#Quote>.

use std::fmt::Write as _;

/// One character of a string, or a byte that is part of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rune {
    Char(char),
    Bad(u8),
}

/// The characters of `bytes`, with each byte that is not UTF-8 by itself.
pub(crate) fn runes(bytes: &[u8]) -> impl Iterator<Item = Rune> + '_ {
    bytes.utf8_chunks().flat_map(|chunk| {
        chunk.valid().chars().map(Rune::Char).chain(chunk.invalid().iter().map(|&byte| Rune::Bad(byte)))
    })
}

/// Which characters a quoted form may show as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Printable,
    Ascii,
}

/// `text` in double quotes.
pub(crate) fn quoted(text: &str) -> String {
    quote(text.as_bytes(), '"', Show::Printable)
}

/// `bytes` between two `quote` characters, with escapes where needed.
pub(crate) fn quote(bytes: &[u8], quote: char, show: Show) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push(quote);
    for rune in runes(bytes) {
        match rune {
            Rune::Char(c) => escape_into(&mut out, c, quote, show),
            Rune::Bad(byte) => escape_code(&mut out, "\\x", u32::from(byte), 2),
        }
    }
    out.push(quote);
    out
}

fn escape_into(out: &mut String, c: char, quote: char, show: Show) {
    let short = match c {
        '\\' => Some('\\'),
        _ if c == quote => Some(quote),
        '\x07' => Some('a'),
        '\x08' => Some('b'),
        '\x0c' => Some('f'),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\x0b' => Some('v'),
        _ => None,
    };
    let code = u32::from(c);
    if let Some(short) = short {
        out.push('\\');
        out.push(short);
    } else if is_print(c) && (c.is_ascii() || show == Show::Printable) {
        out.push(c);
    } else if c.is_ascii() {
        escape_code(out, "\\x", code, 2);
    } else if code < 0x1_0000 {
        escape_code(out, "\\u", code, 4);
    } else {
        escape_code(out, "\\U", code, 8);
    }
}

fn escape_code(out: &mut String, prefix: &str, code: u32, digits: usize) {
    out.push_str(prefix);
    // Writing to a string cannot fail.
    let _ = write!(out, "{code:0digits$x}");
}

/// `U+002B '+'`; the character itself only if it can be shown.
pub(crate) fn unicode_point(c: char) -> String {
    let code = u32::from(c);
    if is_print(c) { format!("U+{code:04X} '{c}'") } else { format!("U+{code:04X}") }
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(crate) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    // The standard library knows, but only says so where it writes `Debug` text, and there it also escapes a combining
    // mark that comes first; hence the letter in front.
    let mut pair = String::from("a");
    pair.push(c);
    pair.escape_debug().nth(1) == Some(c)
}

/// Whether `bytes` can stand between backquotes: one line, valid, no control characters but the tab.
pub(crate) fn can_backquote(bytes: &[u8]) -> bool {
    runes(bytes).all(|rune| match rune {
        Rune::Bad(_) | Rune::Char('`' | '\u{feff}' | '\u{7f}') => false,
        Rune::Char(c) => c >= ' ' || c == '\t',
    })
}

/// The value of a string literal with its quotes, double or back. `None`: bad syntax.
pub(crate) fn unquote(literal: &str) -> Option<Vec<u8>> {
    if let Some(rest) = literal.strip_prefix('`') {
        let raw = rest.strip_suffix('`')?;
        return Some(raw.bytes().filter(|&byte| byte != b'\r').collect());
    }
    let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (unit, tail) = unquote_unit(rest, '"')?;
        match unit {
            Rune::Char(c) => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Rune::Bad(byte) => value.push(byte),
        }
        rest = tail;
    }
    Some(value)
}

/// The code of a character literal with its quotes. Errors are Go's texts.
pub(crate) fn unquote_char(literal: &str) -> Result<u32, String> {
    let inner = literal.strip_prefix('\'').unwrap_or_default();
    let (unit, tail) = unquote_unit(inner, '\'').ok_or("invalid syntax")?;
    if tail != "'" {
        return Err(format!("malformed character constant: {literal}"));
    }
    Ok(match unit {
        Rune::Char(c) => u32::from(c),
        Rune::Bad(byte) => u32::from(byte),
    })
}

/// The first character or escape of `text`, and what follows. `\xNN` and `\NNN` are bytes, all else characters.
fn unquote_unit(text: &str, quote: char) -> Option<(Rune, &str)> {
    let mut chars = text.chars();
    let first = chars.next().filter(|&first| first != quote)?;
    if first != '\\' {
        return Some((Rune::Char(first), chars.as_str()));
    }
    let escape = chars.next()?;
    let tail = chars.as_str();
    let simple = |c| Some((Rune::Char(c), tail));
    match escape {
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        '\\' => simple('\\'),
        _ if escape == quote => simple(quote),
        'x' => code(tail, 16, 2).and_then(byte_unit),
        'u' => code(tail, 16, 4).and_then(char_unit),
        'U' => code(tail, 16, 8).and_then(char_unit),
        '0'..='7' => code(text.get(1..)?, 8, 3).and_then(byte_unit),
        _ => None,
    }
}

/// Exactly `digits` digits at the start of `text`, and what follows.
fn code(text: &str, radix: u32, digits: usize) -> Option<(u32, &str)> {
    let (digits, tail) = text.split_at_checked(digits)?;
    let valid = digits.chars().all(|digit| digit.is_digit(radix));
    let value = valid.then(|| u32::from_str_radix(digits, radix).ok()).flatten()?;
    Some((value, tail))
}

fn byte_unit((code, tail): (u32, &str)) -> Option<(Rune, &str)> {
    Some((Rune::Bad(u8::try_from(code).ok()?), tail))
}

fn char_unit((code, tail): (u32, &str)) -> Option<(Rune, &str)> {
    Some((Rune::Char(char::from_u32(code)?), tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_characters_are_shown_as_bytes() {
        assert_eq!(quote(b"a\xc3\n\"", '"', Show::Printable), r#""a\xc3\n\"""#);
    }

    #[test]
    fn combining_marks_are_printable_and_controls_are_not() {
        assert!(is_print('\u{301}') && is_print('é') && is_print('世'));
        assert!(!is_print('\u{a0}') && !is_print('\u{200d}') && !is_print('\u{e000}') && !is_print('\u{7f}'));
    }

    #[test]
    fn literals_are_read_back() {
        let bytes = b"a\xff\x07\"\\\xc3\xa9";
        assert_eq!(unquote(&quote(bytes, '"', Show::Ascii)).as_deref(), Some(&bytes[..]));
    }
}
