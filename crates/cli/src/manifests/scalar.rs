//! What an unquoted word of YAML means to kubectl.
//!
//! kubectl reads YAML 1.1: `yes`, `on` and `y` are true, `0644` is octal, `1_000` is a number. Reading them in another way would rehearse something else
//! than what is applied. Dates stay texts. Source: <https://yaml.org/type/>, and what kubectl makes of them.

use serde_json::{Number, Value};

/// The value of a plain (unquoted) scalar. `None`: a number that JSON cannot hold (infinite, or no number).
pub(super) fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => return Some(true.into()),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Some(false.into());
        }
        _ => {}
    }
    let lower = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    if matches!(lower.as_str(), ".inf" | ".nan") {
        return None;
    }
    Some(number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| if is_decimal(&plain) { Number::from_f64(plain.parse().ok()?) } else { None })
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, digits.get(2..)?),
        Some("0b" | "0B") => (2, digits.get(2..)?),
        Some("0o" | "0O") => (8, digits.get(2..)?),
        Some(start) if start.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(size.into());
    }
    0_i64.checked_sub_unsigned(size).map(Into::into)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_mean_what_they_mean_to_kubectl() {
        for (text, value) in [
            ("", json!(null)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("0644", json!(420)),
            ("0x1F", json!(31)),
            ("-12", json!(-12)),
            ("1_000", json!(1000)),
            ("1.5", json!(1.5)),
            ("5e-1", json!(0.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("1.2.3", json!("1.2.3")),
            ("10m", json!("10m")),
            ("2026-01-02", json!("2026-01-02")),
            ("09", json!(9.0)),
            ("-", json!("-")),
            ("e5", json!("e5")),
            ("v1", json!("v1")),
        ] {
            assert_eq!(resolve(text), Some(value), "{text}");
        }
        assert_eq!(resolve(".inf"), None);
        assert_eq!(resolve("-.NaN"), None);
    }
}
