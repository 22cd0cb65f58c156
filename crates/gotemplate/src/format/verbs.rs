//! One value by one verb.
//!
//! Padding counts characters, not columns. A verb that does not fit the value gives `%!verb(type=value)`.

use super::{Flags, Output, float};
use crate::quote::{Rune, Show, can_backquote, is_print, quote, runes};
use crate::value::Val;

/// What `%p` shows for a map that exists. Go shows where it is in memory.
const ADDRESS: u64 = 0xc0_0001_0000;

/// Writes `value` by `verb`.
pub(super) fn write(out: &mut Output, flags: Flags, verb: char, value: &Val<'_>) {
    match (verb, value) {
        ('T' | 'v', Val::Nil) => pad(out, flags, b"<nil>"),
        ('T', _) => string(out, flags, value.type_name().as_bytes()),
        ('p', Val::Map(map)) => {
            let address = if map.is_some() { ADDRESS } else { 0 };
            integer(out, Flags { sharp: !flags.sharp, ..flags }, 'x', false, address);
        }
        ('p' | 'w', _) => mismatch(out, flags, verb, value),
        (_, Val::Bool(value)) if matches!(verb, 't' | 'v') => pad(out, flags, value.to_string().as_bytes()),
        (_, Val::Int(number)) if is_integer_verb(verb) => {
            number_or_character(out, flags, verb, *number < 0, number.unsigned_abs());
        }
        ('v', Val::Byte(number)) if flags.syntax => {
            integer(out, Flags { sharp: true, ..flags }, 'x', false, u64::from(*number));
        }
        (_, Val::Byte(number)) if is_integer_verb(verb) => {
            number_or_character(out, flags, verb, false, u64::from(*number));
        }
        (_, Val::Float(number)) if is_float_verb(verb) => float_number(out, flags, verb, *number),
        (_, Val::Complex(real, imaginary)) if is_float_verb(verb) => {
            out.text("(");
            float_number(out, flags, verb, *real);
            float_number(out, Flags { plus: true, ..flags }, verb, *imaginary);
            out.text("i)");
        }
        (_, Val::Text(text)) if matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') => match verb {
            'x' | 'X' => hex_string(out, flags, text, verb == 'X'),
            'v' if !flags.syntax => string(out, flags, text),
            's' => string(out, flags, text),
            _ => quoted_string(out, flags, text),
        },
        (_, Val::Map(_)) => map(out, flags, verb, value),
        _ => mismatch(out, flags, verb, value),
    }
}

/// `type=value`, the latter by `%v`.
pub(super) fn write_typed(out: &mut Output, flags: Flags, value: &Val<'_>) {
    if !matches!(value, Val::Nil) {
        out.text(value.type_name());
        out.text("=");
    }
    write(out, flags, 'v', value);
}

fn mismatch(out: &mut Output, flags: Flags, verb: char, value: &Val<'_>) {
    out.text("%!");
    out.text(verb.encode_utf8(&mut [0; 4]));
    out.text("(");
    match value {
        Val::Nil => out.text("<nil>"),
        _ => write_typed(out, flags, value),
    }
    out.text(")");
}

fn map(out: &mut Output, flags: Flags, verb: char, value: &Val<'_>) {
    let (open, separator, close) = if flags.syntax { ("{", ", ", "}") } else { ("map[", " ", "]") };
    let Val::Map(map) = value else { return };
    if flags.syntax {
        out.text(value.type_name());
        if map.is_none() {
            return out.text("(nil)");
        }
    }
    out.text(open);
    for (index, (key, element)) in map.iter().flat_map(|map| map.iter()).enumerate() {
        if index > 0 {
            out.text(separator);
        }
        write(out, flags, verb, &Val::borrowed(key));
        out.text(":");
        write(out, flags, verb, &Val::borrowed(element));
    }
    out.text(close);
}

fn is_integer_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' | 'c' | 'q' | 'U')
}

fn number_or_character(out: &mut Output, flags: Flags, verb: char, negative: bool, magnitude: u64) {
    // As Go has it, a negative number is no character, and neither is half a surrogate pair.
    let character = || {
        let code = u32::try_from(magnitude).ok().filter(|_| !negative);
        code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    match verb {
        'c' => pad(out, flags, character().encode_utf8(&mut [0; 4]).as_bytes()),
        'q' => {
            let show = if flags.plus { Show::Ascii } else { Show::Printable };
            let text = character().encode_utf8(&mut [0; 4]).to_owned();
            pad(out, flags, quote(text.as_bytes(), '\'', show).as_bytes());
        }
        'U' => {
            let code = if negative { magnitude.wrapping_neg() } else { magnitude };
            code_point(out, flags, code);
        }
        _ => integer(out, flags, verb, negative, magnitude),
    }
}

/// `U+0041`, with the sharp flag followed by the character if it can be shown.
fn code_point(out: &mut Output, flags: Flags, code: u64) {
    let digits = flags.precision.unwrap_or(0).max(4);
    if !out.has_room(digits) {
        return;
    }
    let mut text = format!("{code:X}");
    text.insert_str(0, &"0".repeat(digits.saturating_sub(text.len())));
    text.insert_str(0, "U+");
    let character = u32::try_from(code).ok().and_then(char::from_u32).filter(|&c| flags.sharp && is_print(c));
    if let Some(character) = character {
        text.extend([' ', '\'', character, '\'']);
    }
    pad(out, Flags { zero: false, ..flags }, text.as_bytes());
}

fn integer(out: &mut Output, flags: Flags, verb: char, negative: bool, magnitude: u64) {
    let blank = Flags { zero: false, ..flags };
    if flags.precision == Some(0) && magnitude == 0 {
        return pad(out, blank, b"");
    }
    let (digits, prefix) = match verb {
        'b' => (format!("{magnitude:b}"), "0b"),
        'o' | 'O' => (format!("{magnitude:o}"), "0"),
        'x' => (format!("{magnitude:x}"), "0x"),
        'X' => (format!("{magnitude:X}"), "0X"),
        _ => (magnitude.to_string(), ""),
    };
    let sign = sign(flags, negative);
    // Zeros come from the precision or else from the width; in the latter case prefixes are not counted.
    let wanted = match (flags.precision, flags.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let zeros = wanted.saturating_sub(digits.len());
    if !out.has_room(zeros) {
        return;
    }
    let digits = "0".repeat(zeros) + &digits;
    let prefix = match verb {
        'O' if flags.sharp && !digits.starts_with('0') => "0o0",
        'O' => "0o",
        'o' if digits.starts_with('0') => "",
        _ if flags.sharp => prefix,
        _ => "",
    };
    pad(out, blank, format!("{sign}{prefix}{digits}").as_bytes());
}

fn sign(flags: Flags, negative: bool) -> &'static str {
    if negative {
        "-"
    } else if flags.plus {
        "+"
    } else if flags.space {
        " "
    } else {
        ""
    }
}

fn is_float_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E')
}

fn float_number(out: &mut Output, flags: Flags, verb: char, number: f64) {
    let verb = if verb == 'v' { 'g' } else { verb };
    let default = if matches!(verb, 'f' | 'F' | 'e' | 'E') { Some(6) } else { None };
    let precision = flags.precision.or(default);
    if !out.has_room(precision.unwrap_or(0)) {
        return;
    }
    let mut text = float::text(number.abs(), verb, precision);
    if flags.sharp && verb != 'b' {
        text = float::with_point(&text, verb, precision);
    }
    let sign = sign(flags, number.is_sign_negative());
    let missing = flags.width.unwrap_or(0).saturating_sub(sign.len() + text.len());
    if flags.zero && !flags.minus && !sign.is_empty() {
        // The sign goes before the zeros.
        out.text(sign);
        out.repeat(b'0', missing);
        out.text(&text);
    } else {
        pad(out, flags, format!("{sign}{text}").as_bytes());
    }
}

fn string(out: &mut Output, flags: Flags, text: &[u8]) {
    pad(out, flags, truncated(flags, text));
}

/// As many characters as the precision allows.
fn truncated(flags: Flags, text: &[u8]) -> &[u8] {
    let Some(precision) = flags.precision else { return text };
    // A character has four bytes at most; the rest need not be looked at.
    let start = text.get(..precision.saturating_mul(4)).unwrap_or(text);
    let length = runes(start).take(precision).map(rune_length).sum();
    text.get(..length).unwrap_or(text)
}

fn rune_length(rune: Rune) -> usize {
    match rune {
        Rune::Char(c) => c.len_utf8(),
        Rune::Bad(_) => 1,
    }
}

fn quoted_string(out: &mut Output, flags: Flags, text: &[u8]) {
    let text = truncated(flags, text);
    if flags.sharp && can_backquote(text) {
        return pad(out, flags, &[b"`", text, b"`"].concat());
    }
    let show = if flags.plus { Show::Ascii } else { Show::Printable };
    pad(out, flags, quote(text, '"', show).as_bytes());
}

/// Two digits a byte; with the space flag apart, with the sharp flag prefixed. The precision counts bytes.
fn hex_string(out: &mut Output, flags: Flags, text: &[u8], upper: bool) {
    let text = text.get(..flags.precision.unwrap_or(text.len())).unwrap_or(text);
    if !out.has_room(text.len().saturating_mul(2)) {
        return;
    }
    let prefix = if flags.sharp { "0x" } else { "" };
    let mut hex = String::new();
    for (index, byte) in text.iter().enumerate() {
        if index > 0 && flags.space {
            hex.push(' ');
        }
        if index == 0 || flags.space {
            hex.push_str(prefix);
        }
        hex.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')));
    }
    let hex = if upper { hex.to_uppercase() } else { hex };
    pad(out, flags, hex.as_bytes());
}

/// Writes `text`, filled up to the width: on the left unless there is the minus flag, with zeros only there.
fn pad(out: &mut Output, flags: Flags, text: &[u8]) {
    let Some(width) = flags.width else { return out.write(text) };
    let missing = width.saturating_sub(runes(text).count());
    if flags.minus {
        out.write(text);
        out.repeat(b' ', missing);
    } else {
        out.repeat(if flags.zero { b'0' } else { b' ' }, missing);
        out.write(text);
    }
}
