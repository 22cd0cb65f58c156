//! Quantities (`500m`, `1Gi`) in the canonical form in which the API server stores them.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

use serde_json::{Map, Value};

const NANO: i128 = 1_000_000_000;
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The canonical text of a quantity; none if it is no quantity.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    let split =
        text.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(split)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let negative = whole.starts_with('-');
    let whole = whole.trim_start_matches(['+', '-']);
    if whole.len() + fraction.len() == 0
        || whole.len() > 18
        || !whole.chars().chain(fraction.chars()).all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let mut nano = whole.parse::<i128>().unwrap_or(0) * NANO;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    nano += digits.parse::<i128>().ok()?;
    let sign = if negative { "-" } else { "" };
    if let Some(power) = BINARY.iter().position(|one| !one.is_empty() && *one == suffix) {
        return Some(format!("{sign}{}", binary(nano * 1024_i128.pow(u32::try_from(power).ok()?))));
    }
    if let Some(power) = DECIMAL.iter().position(|one| *one == suffix) {
        let scale = 1000_i128.pow(u32::try_from(power.abs_diff(3)).ok()?);
        return Some(format!("{sign}{}", decimal(if power < 3 { div_up(nano, scale) } else { nano * scale })));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let scale = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let nano = if exponent < 0 { div_up(nano, scale) } else { nano.checked_mul(scale)? };
    Some(format!("{sign}{}", exponential(nano)))
}

/// About how much a canonical quantity is; none if it is no quantity.
pub(crate) fn size(text: &str) -> Option<f64> {
    let split = text.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | '+' | '-'));
    let (number, suffix) = text.split_at_checked(split.unwrap_or(text.len()))?;
    let number: f64 = number.parse().ok()?;
    let power = |list: &[&str]| list.iter().position(|one| *one == suffix).and_then(|at| i32::try_from(at).ok());
    if let Some(power) = power(&DECIMAL) {
        return Some(number * 1000_f64.powi(power - 3));
    }
    if let Some(power) = power(&BINARY) {
        return Some(number * 1024_f64.powi(power));
    }
    Some(number * 10_f64.powi(suffix.strip_prefix(['e', 'E'])?.parse().ok()?))
}

fn div_up(value: i128, by: i128) -> i128 {
    (value + by - 1) / by
}

fn decimal(nano: i128) -> String {
    let (mantissa, power) = reduce(nano);
    format!("{mantissa}{}", DECIMAL.get(power).copied().unwrap_or_default())
}

fn exponential(nano: i128) -> String {
    let (mantissa, power) = reduce(nano);
    match i64::try_from(power).unwrap_or_default() * 3 - 9 {
        0 => mantissa.to_string(),
        exponent => format!("{mantissa}e{exponent}"),
    }
}

/// Without factors of 1000, and how many there were.
fn reduce(nano: i128) -> (i128, usize) {
    if nano == 0 {
        return (0, 3);
    }
    let (mut mantissa, mut power) = (nano, 0);
    while mantissa % 1000 == 0 && power + 1 < DECIMAL.len() {
        mantissa /= 1000;
        power += 1;
    }
    (mantissa, power)
}

fn binary(nano: i128) -> String {
    // Below 1024 a binary suffix cannot be written without a fraction.
    if nano < 1024 * NANO {
        return decimal(nano);
    }
    let (mut mantissa, mut power) = (div_up(nano, NANO), 0);
    while mantissa % 1024 == 0 && power + 1 < BINARY.len() {
        mantissa /= 1024;
        power += 1;
    }
    format!("{mantissa}{}", BINARY.get(power).copied().unwrap_or_default())
}

/// Makes one value canonical, in place; numbers become text. What is no quantity stays for the types to refuse.
pub(crate) fn normalize(value: &mut Value) {
    let text = match value {
        Value::String(text) => canonical(text),
        Value::Number(number) => canonical(&number.to_string()),
        _ => None,
    };
    if let Some(text) = text {
        *value = Value::String(text);
    }
}

/// Makes all values of a map canonical.
pub(crate) fn normalize_map(map: Option<&mut Map<String, Value>>) {
    for value in map.into_iter().flat_map(Map::values_mut) {
        normalize(value);
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn quantities_are_written_as_the_server_writes_them() {
        let cases = [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("100m", "100m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("64Mi", "64Mi"),
            ("128974848", "128974848"),
            ("1000k", "1M"),
            ("129e6", "129e6"),
            ("1e3", "1e3"),
            ("0", "0"),
            ("512Ki", "512Ki"),
            ("2000", "2k"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("-5", "-5"),
            ("10G", "10G"),
        ];
        for (text, wanted) in cases {
            assert_eq!(canonical(text).as_deref(), Some(wanted), "{text}");
        }
        for text in ["", "x", "1x", "1.2.3", "Gi"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
