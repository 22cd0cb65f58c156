//! Go durations: how every time span of a Canary is written, and how it is shown in events.
//!
//! Parses and prints exactly as Go's `time` package, including its error texts, which end up in events.
//! Source: <https://pkg.go.dev/time#ParseDuration>, and vectors taken from a real Go toolchain.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

const NANOSECOND: u64 = 1;
const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Magnitude of the least duration, one more than that of the greatest.
const LIMIT: u64 = 1 << 63;

/// A duration in nanoseconds; may be negative; about ±292 years.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a number at the beginning or after a unit, or too large.
    #[error("time: invalid duration {}", quote(text))]
    Invalid {
        /// The whole text.
        text: String,
    },
    /// A number at the end.
    #[error("time: missing unit in duration {}", quote(text))]
    MissingUnit {
        /// The whole text.
        text: String,
    },
    /// A unit that is none of ns, us, µs, ms, s, m, h.
    #[error("time: unknown unit {} in duration {}", quote(unit), quote(text))]
    UnknownUnit {
        /// What stands where a unit was expected.
        unit: String,
        /// The whole text.
        text: String,
    },
}

impl GoDuration {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds.
    pub const fn from_nanos(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// From milliseconds; saturates.
    pub const fn from_millis(milliseconds: i64) -> Self {
        Self(milliseconds.saturating_mul(1_000_000))
    }

    /// From seconds; saturates.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// In nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// In whole milliseconds, truncated towards zero.
    pub const fn as_millis(self) -> i64 {
        self.0 / 1_000_000
    }

    /// In whole seconds, truncated towards zero.
    pub const fn as_secs(self) -> i64 {
        self.0 / 1_000_000_000
    }

    /// For the standard library; negative durations become zero.
    pub fn to_std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// For arithmetic with timestamps.
    pub const fn to_signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_nanos(self.0)
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid { text: text.to_owned() };
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (number, after) = Number::read(rest).ok_or_else(invalid)?;
            let end = after.find(|character: char| character == '.' || character.is_ascii_digit());
            let (unit, after) = after.split_at(end.unwrap_or(after.len()));
            if unit.is_empty() {
                return Err(DurationError::MissingUnit { text: text.to_owned() });
            }
            let unit = nanoseconds_of(unit)
                .ok_or_else(|| DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() })?;
            let part = number.times(unit).ok_or_else(invalid)?;
            total = total.checked_add(part).filter(|sum| *sum <= LIMIT).ok_or_else(invalid)?;
            rest = after;
        }
        let signed = if negative { 0_i64.checked_sub_unsigned(total) } else { 0_i64.checked_add_unsigned(total) };
        signed.map(Self).ok_or_else(invalid)
    }
}

/// A decimal number as its whole part and a fraction over a power of ten.
struct Number {
    whole: u64,
    fraction: u64,
    scale: f64,
}

impl Number {
    /// Reads digits with at most one point among them; at least one digit. `None` also if the whole part is too large.
    fn read(text: &str) -> Option<(Self, &str)> {
        let (whole_digits, mut rest) = split_digits(text);
        let mut whole: u64 = 0;
        for digit in digits(whole_digits) {
            whole = whole.checked_mul(10)?.checked_add(digit).filter(|value| *value <= LIMIT)?;
        }
        let (mut fraction, mut scale, mut has_fraction) = (0_u64, 1.0, false);
        if let Some(after_point) = rest.strip_prefix('.') {
            let (fraction_digits, after) = split_digits(after_point);
            has_fraction = !fraction_digits.is_empty();
            rest = after;
            for digit in digits(fraction_digits) {
                // Further digits are below any unit: Go ignores them, and so the result is the same to the nanosecond.
                let Some(next) = fraction.checked_mul(10).and_then(|value| value.checked_add(digit)) else { break };
                if fraction > (LIMIT - 1) / 10 || next > LIMIT {
                    break;
                }
                fraction = next;
                scale *= 10.0;
            }
        }
        (has_fraction || !whole_digits.is_empty()).then_some((Self { whole, fraction, scale }, rest))
    }

    fn times(&self, unit: u64) -> Option<u64> {
        let whole = self.whole.checked_mul(unit).filter(|value| *value <= LIMIT)?;
        if self.fraction == 0 {
            return Some(whole);
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "Go computes the fraction in float64 and truncates; it is below one unit and not negative"
        )]
        let fraction = (self.fraction as f64 * (unit as f64 / self.scale)) as u64;
        whole.checked_add(fraction).filter(|value| *value <= LIMIT)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

fn digits(text: &str) -> impl Iterator<Item = u64> {
    text.bytes().map(|byte| u64::from(byte - b'0'))
}

fn nanoseconds_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => NANOSECOND,
        // Both the micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// Quotes as Go's `time` package does in its errors: bytes beyond ASCII and control characters as `\xNN`.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'\x7f' => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "\\x{byte:02x}");
            }
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let text = match magnitude {
            0 => "0s".to_owned(),
            1..MICROSECOND => format!("{sign}{magnitude}ns"),
            MICROSECOND..MILLISECOND => format!("{sign}{}\u{b5}s", decimal(magnitude, MICROSECOND)),
            MILLISECOND..SECOND => format!("{sign}{}ms", decimal(magnitude, MILLISECOND)),
            _ => {
                let seconds = decimal(magnitude % MINUTE, SECOND);
                match (magnitude / HOUR, magnitude % HOUR / MINUTE) {
                    (0, 0) => format!("{sign}{seconds}s"),
                    (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                    (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
                }
            }
        };
        formatter.pad(&text)
    }
}

/// `amount` in units of `unit` (a power of ten), without trailing zeros.
fn decimal(amount: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", amount % unit);
    let text = format!("{}.{}", amount / unit, fraction.trim_end_matches('0'));
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<i64, String> {
        text.parse().map(GoDuration::as_nanos).map_err(|error: DurationError| error.to_string())
    }

    #[test]
    fn texts_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("1m30s", 90_000_000_000),
            ("1.5m", 90_000_000_000),
            ("-1.5h", -5_400_000_000_000),
            (".5s", 500_000_000),
            ("-.5s", -500_000_000),
            ("1.s", 1_000_000_000),
            ("+5s", 5_000_000_000),
            ("1us", 1_000),
            ("1\u{b5}s", 1_000),
            ("1\u{3bc}s", 1_000),
            ("1.0000000000000000000000000001s", 1_000_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.9223372036854775807h", 3_320_413_933_267),
            ("0.100000000000000000000h", 360_000_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("9223372036s", 9_223_372_036_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(nanoseconds), "{text}");
        }
    }

    #[test]
    fn errors_are_those_of_go() {
        for (text, error) in [
            ("", r#"time: invalid duration """#),
            ("x", r#"time: invalid duration "x""#),
            (".s", r#"time: invalid duration ".s""#),
            ("+", r#"time: invalid duration "+""#),
            ("--1s", r#"time: invalid duration "--1s""#),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
            ("9223372037s", r#"time: invalid duration "9223372037s""#),
            ("9223372036.854775808s", r#"time: invalid duration "9223372036.854775808s""#),
            ("99999999999999999999s", r#"time: invalid duration "99999999999999999999s""#),
            ("10", r#"time: missing unit in duration "10""#),
            ("10sec", r#"time: unknown unit "sec" in duration "10sec""#),
            ("1e3s", r#"time: unknown unit "e" in duration "1e3s""#),
            ("1m-1s", r#"time: unknown unit "m-" in duration "1m-1s""#),
            ("1m ", r#"time: unknown unit "m " in duration "1m ""#),
            ("1\u{e9}", r#"time: unknown unit "\xc3\xa9" in duration "1\xc3\xa9""#),
            ("1\"s", r#"time: unknown unit "\"s" in duration "1\"s""#),
            ("1\\", r#"time: unknown unit "\\" in duration "1\\""#),
            ("1\t", r#"time: unknown unit "\x09" in duration "1\x09""#),
            ("1\u{7f}", "time: unknown unit \"\u{7f}\" in duration \"1\u{7f}\""),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_as_go_shows_them() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_000, "1\u{b5}s"),
            (1_001, "1.001\u{b5}s"),
            (1_500_000, "1.5ms"),
            (100_000_000, "100ms"),
            (999_999_999, "999.999999ms"),
            (1_515_000_000, "1.515s"),
            (60_000_000_000, "1m0s"),
            (60_500_000_000, "1m0.5s"),
            (500_000_000_000, "8m20s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_661_500_000_000, "1h1m1.5s"),
            (-5_000_000_000, "-5s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(GoDuration(nanoseconds).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(nanoseconds: i64) {
            // Go computes fractions in float64, so the last digits of long durations with a fraction may differ.
            let shown = GoDuration(nanoseconds).to_string();
            let read: GoDuration = shown.parse().unwrap();
            prop_assert!(read.0.abs_diff(nanoseconds) <= 1, "{shown}");
        }

        #[test]
        fn no_text_is_a_crash(text: String) {
            let _ = text.parse::<GoDuration>();
        }
    }
}
