//! Number literals: which texts are numbers, and of what kind.
//!
//! A literal is an integer if it is written like one, else floating point, else complex. Errors are Go's texts.
//! Source: <https://go.dev/ref/spec#Integer_literals> and following, <https://pkg.go.dev/strconv>.

use crate::quote::quoted;

/// The value of a number or character literal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Constant {
    Int(i64),
    Float(f64),
    /// Real and imaginary part.
    Complex(f64, f64),
    /// An integer of 64 bits without sign; an error once it is used.
    TooLarge,
}

/// A literal without quotes that is not a pair of real and imaginary part.
pub(crate) fn parse(text: &str) -> Result<Constant, String> {
    if let Some(imaginary) = text.strip_suffix('i').and_then(|digits| float(digits).ok()) {
        return Ok(Constant::Complex(0.0, imaginary));
    }
    match integer(text) {
        Some(value) => return Ok(i64::try_from(value).map_or(Constant::TooLarge, Constant::Int)),
        None if float(text).is_err() => return Err(format!("illegal number syntax: {}", quoted(text))),
        None => {}
    }
    if !text.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err(format!("integer overflow: {}", quoted(text)));
    }
    float(text).map(Constant::Float).map_err(|fault| fault.reason(text))
}

/// A pair such as `1+2i`.
pub(crate) fn parse_complex(text: &str) -> Result<Constant, String> {
    let (real, rest) = split_float(text);
    let (imaginary, unit) = split_float(rest);
    if !rest.starts_with(['+', '-']) || !unit.starts_with('i') {
        return Err("syntax error scanning complex number".to_owned());
    }
    let part = |text| float(text).map_err(|fault| fault.reason(text));
    Ok(Constant::Complex(part(real)?, part(imaginary)?))
}

/// The longest start of `text` that may be a floating-point number, and the rest.
fn split_float(text: &str) -> (&str, &str) {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    // Could become `inf`, and is spent on that.
    if let Some(rest) = rest.strip_prefix('i') {
        return text.split_at_checked(text.len() - rest.len()).unwrap_or((text, ""));
    }
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    if hex {
        rest = rest.get(2..).unwrap_or_default();
    }
    let is_digit = |c: char| c == '_' || if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
    rest = rest.trim_start_matches(is_digit);
    rest = rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches(is_digit));
    let exponents: &[char] = if hex { &['p', 'P'] } else { &['e', 'E', 'p', 'P'] };
    if let Some(exponent) = rest.strip_prefix(exponents) {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        rest = digits.trim_start_matches(|c: char| c == '_' || c.is_ascii_digit());
    }
    text.split_at_checked(text.len() - rest.len()).unwrap_or((text, ""))
}

/// An integer in any base, as far as it fits into 64 bits with or without a sign.
fn integer(text: &str) -> Option<i128> {
    let (negative, signed, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), true, digits),
        None => (false, false, text),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, digits.get(2..)?),
        Some("0o") => (8, digits.get(2..)?),
        Some("0b") => (2, digits.get(2..)?),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    let digits = without_underscores(text, digits)?;
    let magnitude = i128::from(u64::from_str_radix(&digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    // With a sign it must fit into a signed integer, else into either.
    (!signed || i64::try_from(value).is_ok()).then_some(value)
}

/// `digits` without underscores, if each stands between digits of `text` or behind a base prefix.
fn without_underscores(text: &str, digits: &str) -> Option<String> {
    underscores_are_good(text).then(|| digits.replace('_', ""))
}

fn underscores_are_good(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let hex = text.starts_with("0x");
    let is_digit = |c: char| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
    let prefixed = hex || text.starts_with("0o") || text.starts_with("0b");
    let mut chars = text.chars();
    let mut after_digit = prefixed && chars.nth(1).is_some();
    let mut after_underscore = false;
    for c in chars {
        let digit = is_digit(c);
        if (c == '_' && !after_digit) || (after_underscore && !digit) {
            return false;
        }
        after_underscore = c == '_';
        after_digit = digit;
    }
    !after_underscore
}

/// Why a text is no floating-point number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Syntax,
    Range,
}

impl Fault {
    fn reason(self, text: &str) -> String {
        let reason = match self {
            Fault::Syntax => "invalid syntax",
            Fault::Range => "value out of range",
        };
        format!("strconv.ParseFloat: parsing {}: {reason}", quoted(text))
    }
}

fn float(text: &str) -> Result<f64, Fault> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let hex = without_underscores(text, hex).ok_or(Fault::Syntax)?;
        let magnitude = hex_float(&hex)?;
        return Ok(if text.starts_with('-') { -magnitude } else { magnitude });
    }
    // The standard library also reads words such as `inf`.
    if !digits.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    let plain = without_underscores(text, text).ok_or(Fault::Syntax)?;
    let value: f64 = plain.parse().map_err(|_| Fault::Syntax)?;
    if value.is_finite() { Ok(value) } else { Err(Fault::Range) }
}

/// `1.8p1`: hexadecimal digits, then the power of two, which must be there.
fn hex_float(text: &str) -> Result<f64, Fault> {
    let (digits, exponent) = text.split_once(['p', 'P']).ok_or(Fault::Syntax)?;
    let exponent = binary_exponent(exponent).ok_or(Fault::Syntax)?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(Fault::Syntax);
    }
    // The first 60 bits, and whether anything but zeros follows them.
    let (mut mantissa, mut scale, mut sticky) = (0_u64, exponent, false);
    for (behind_point, digit) in whole.chars().map(|c| (false, c)).chain(fraction.chars().map(|c| (true, c))) {
        let digit = u64::from(digit.to_digit(16).ok_or(Fault::Syntax)?);
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            scale -= if behind_point { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            scale += if behind_point { 0 } else { 4 };
        }
    }
    round(mantissa, scale, sticky).ok_or(Fault::Range)
}

fn binary_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // Beyond this the value is zero or infinite whatever its digits.
    let value = digits.parse().unwrap_or(i64::MAX).min(1_000_000_000);
    Some(if text.starts_with('-') { -value } else { value })
}

/// `mantissa * 2^scale`, rounded once, to the nearest and on a tie to the even. `None`: too large.
fn round(mantissa: u64, scale: i64, sticky: bool) -> Option<f64> {
    if mantissa == 0 {
        return Some(0.0);
    }
    let length = i64::from(64 - mantissa.leading_zeros());
    // Weight of the last bit kept: 53 bits, fewer for tiny values.
    let last = (scale + length - 53).max(-1074);
    let drop = last - scale;
    let mut kept = if drop <= 0 {
        mantissa << drop.unsigned_abs().min(63)
    } else if drop > 64 {
        0
    } else {
        let wide = u128::from(mantissa) << 64 >> drop;
        let half = 1_u128 << 63;
        let below = wide & u128::from(u64::MAX);
        let kept = u64::try_from(wide >> 64).ok()?;
        let up = below > half || (below == half && (sticky || kept % 2 == 1));
        kept + u64::from(up)
    };
    let mut last = last;
    if kept == 1 << 53 {
        kept >>= 1;
        last += 1;
    }
    let exponent = last + 1075;
    if exponent > 2046 {
        return None;
    }
    // Below 2^52 the value has no hidden bit, and its exponent field is zero.
    let hidden = 1_u64 << 52;
    let bits = if kept < hidden { kept } else { u64::try_from(exponent).ok()? << 52 | (kept - hidden) };
    Some(f64::from_bits(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_every_base() {
        for (text, value) in [("0x1f", 31), ("0b101", 5), ("0o17", 15), ("017", 15), ("1_000", 1000), ("-0", 0)] {
            assert_eq!(parse(text), Ok(Constant::Int(value)), "{text}");
        }
        assert_eq!(parse("18446744073709551615"), Ok(Constant::TooLarge));
    }

    #[test]
    fn hexadecimal_fractions_are_rounded_once() {
        for (text, value) in [
            ("0x1p-2", 0.25),
            ("0x1.8p1", 3.0),
            ("0x1.fffffffffffff7fffp0", 2.0_f64.next_down()),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", 5e-324),
            ("0x1p-99999999999", 0.0),
        ] {
            assert_eq!(parse(text), Ok(Constant::Float(value)), "{text}");
        }
        assert_eq!(parse("0x1p1024"), Err("illegal number syntax: \"0x1p1024\"".to_owned()));
    }
}
