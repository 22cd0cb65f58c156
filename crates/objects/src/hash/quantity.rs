//! How an amount of a resource (`100m`, `128Mi`) is dumped.
//!
//! The dump shows the internals of the Go type, which depend on how the amount was written: a whole number with a power of ten
//! where it fits, else a big number. Takes the text of the API server; what is no quantity is `None`.
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/> and the values that the public Go
//! module k8s.io/apimachinery gives.

use std::fmt::{self, Write};

/// An amount as the reference holds it in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quantity<'t> {
    amount: Amount,
    /// The text itself where it is sure to be the shortest form, else empty.
    cached: &'t str,
    format: Format,
}

#[derive(Debug, PartialEq, Eq)]
enum Amount {
    /// `value` times ten to the power of `scale`.
    Small { value: i64, scale: i64 },
    /// An integer of any size divided by ten to the power of `scale`.
    Big { negative: bool, number: Big, scale: i64 },
}

/// Which family of suffixes the amount was written with. `Debug` is what the dump shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    BinarySI,
    DecimalExponent,
    DecimalSI,
}

/// The text, taken apart.
struct Parts<'t> {
    text: &'t str,
    negative: bool,
    /// Digits before the point, without leading zeros; `0` if none are left.
    whole: &'t str,
    /// Digits behind the point.
    fraction: &'t str,
    format: Format,
    /// Power of ten, or of two for binary suffixes.
    exponent: i32,
}

/// Digits that are sure to fit into an `i64`.
const SAFE_DIGITS: i64 = 18;
/// Finer amounts than 10^-9 are rounded away from zero.
const FINEST: u8 = 9;
/// Exponents and numbers of digits beyond this are no amounts of anything; computing them would take long.
const MAX_EXPONENT: i32 = 10_000;

impl<'t> Quantity<'t> {
    /// Reads the text of an amount.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let parts = Parts::split(text)?;
        if text == "0" {
            // Not by the rule, which caches no text that starts with a zero.
            return Some(Self {
                amount: Amount::Small { value: 0, scale: 0 },
                cached: text,
                format: Format::DecimalSI,
            });
        }
        let small = if parts.format == Format::BinarySI { parts.small_binary() } else { parts.small_decimal() };
        small.or_else(|| parts.big())
    }

    /// Writes the fields.
    pub(super) fn dump(&self, out: &mut impl Write) -> fmt::Result {
        let (value, scale) = match self.amount {
            Amount::Small { value, scale } => (value, scale),
            Amount::Big { .. } => (0, 0),
        };
        write!(out, "{{i:(resource.int64Amount){{value:(int64){value} scale:(resource.Scale){scale}}} d:")?;
        match &self.amount {
            Amount::Small { .. } => out.write_str("(resource.infDecAmount){Dec:(*inf.Dec)<nil>}")?,
            Amount::Big { negative, number, scale } => {
                write!(
                    out,
                    "(resource.infDecAmount){{Dec:(*inf.Dec){{unscaled:(big.Int){{neg:(bool){negative} abs:(big.nat)"
                )?;
                number.dump(out)?;
                write!(out, "}} scale:(inf.Scale){scale}}}}}")?;
            }
        }
        write!(out, " s:(string){} Format:(resource.Format){:?}}}", self.cached, self.format)
    }
}

impl<'t> Parts<'t> {
    fn split(text: &'t str) -> Option<Self> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, rest) = leading_digits(unsigned);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), leading_digits);
        let (format, exponent) = meaning(suffix)?;
        let trimmed = whole.trim_start_matches('0');
        let whole = if trimmed.is_empty() { "0" } else { trimmed };
        (!text.is_empty()).then_some(Self { text, negative, whole, fraction, format, exponent })
    }

    /// All digits; with the sign they fit if [`SAFE_DIGITS`] says so.
    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes()).map(|digit| digit.wrapping_sub(b'0'))
    }

    fn number(&self) -> i64 {
        let number = self.digits().fold(0_i64, |sum, digit| sum.wrapping_mul(10).wrapping_add(i64::from(digit)));
        if self.negative { -number } else { number }
    }

    fn small_decimal(&self) -> Option<Quantity<'t>> {
        let decimals = length(self.fraction);
        let scale = i64::from(self.exponent) - decimals;
        if length(self.whole) + decimals > SAFE_DIGITS || scale < -i64::from(FINEST) {
            return None;
        }
        let shortest = scale % 3 == 0 && !self.digits().rev().take(3).eq([0; 3]) && self.digits().next() != Some(0);
        Some(self.small(self.number(), scale, shortest))
    }

    fn small_binary(&self) -> Option<Quantity<'t>> {
        // 2^exponent has some 3/10 as many decimal digits; two digits are kept in reserve.
        if !self.fraction.is_empty() || length(self.whole) + i64::from(self.exponent) * 3 / 10 > 14 {
            return None;
        }
        let number = self.number();
        // The reference looks for a binary factor in the number as written (8 and not 1024), so it caches less than it could.
        Some(self.small(number << self.exponent, 0, number & 7 != 0))
    }

    fn small(&self, value: i64, scale: i64, shortest: bool) -> Quantity<'t> {
        let cached = if shortest { self.text } else { "" };
        Quantity { amount: Amount::Small { value, scale }, cached, format: self.format }
    }

    /// The amount times 10^9, rounded away from zero. Binary amounts end at `i64::MAX`, and below 1 they count as decimal ones.
    fn big(&self) -> Option<Quantity<'t>> {
        if length(self.whole) + length(self.fraction) > i64::from(MAX_EXPONENT) {
            return None;
        }
        let mut number = Big::default();
        for digit in self.digits() {
            number.multiply_and_add(10, digit.into());
        }
        let mut power = i32::from(FINEST).checked_sub(i32::try_from(self.fraction.len()).ok()?)?;
        let binary = self.format == Format::BinarySI;
        if binary {
            number.multiply_and_add(1 << self.exponent, 0);
        } else {
            power = power.checked_add(self.exponent).filter(|power| *power <= MAX_EXPONENT)?;
        }
        number.shift_decimal(power);
        let mut scale = i64::from(FINEST);
        if number.is_zero() {
            scale = length(self.fraction) - if binary { 0 } else { i64::from(self.exponent) };
        }
        if binary && number.exceeds(i64::MAX.unsigned_abs()) {
            (number, scale) = (Big(vec![i64::MAX.unsigned_abs()]), 0);
        }
        let format = if binary && number.is_below_one() { Format::DecimalSI } else { self.format };
        Some(Quantity {
            amount: Amount::Big { negative: self.negative && !number.is_zero(), number, scale },
            cached: "",
            format,
        })
    }
}

/// The ASCII digits at the start, and the rest.
fn leading_digits(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn length(digits: &str) -> i64 {
    i64::try_from(digits.len()).unwrap_or(i64::MAX / 2)
}

/// Format and exponent of a suffix.
fn meaning(suffix: &str) -> Option<(Format, i32)> {
    let found = match suffix {
        "Ki" => (Format::BinarySI, 10),
        "Mi" => (Format::BinarySI, 20),
        "Gi" => (Format::BinarySI, 30),
        "Ti" => (Format::BinarySI, 40),
        "Pi" => (Format::BinarySI, 50),
        "Ei" => (Format::BinarySI, 60),
        "n" => (Format::DecimalSI, -9),
        "u" => (Format::DecimalSI, -6),
        "m" => (Format::DecimalSI, -3),
        "" => (Format::DecimalSI, 0),
        "k" => (Format::DecimalSI, 3),
        "M" => (Format::DecimalSI, 6),
        "G" => (Format::DecimalSI, 9),
        "T" => (Format::DecimalSI, 12),
        "P" => (Format::DecimalSI, 15),
        "E" => (Format::DecimalSI, 18),
        _ => (Format::DecimalExponent, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(found)
}

/// A whole number of any size: words of 64 bits, the least significant first, none of them a leading zero.
#[derive(Debug, Default, PartialEq, Eq)]
struct Big(Vec<u64>);

impl Big {
    fn multiply_and_add(&mut self, factor: u64, summand: u64) {
        let mut carry = u128::from(summand);
        for word in &mut self.0 {
            let product = u128::from(*word) * u128::from(factor) + carry;
            *word = low_word(product);
            carry = product >> 64;
        }
        if carry > 0 {
            self.0.push(low_word(carry));
        }
    }

    /// Divides by ten; true if something was lost.
    fn divide_by_ten(&mut self) -> bool {
        let mut rest = 0_u128;
        for word in self.0.iter_mut().rev() {
            let dividend = (rest << 64) | u128::from(*word);
            *word = low_word(dividend / 10);
            rest = dividend % 10;
        }
        if self.0.last() == Some(&0) {
            self.0.pop();
        }
        rest > 0
    }

    /// Multiplies by ten to the power, rounding up where the power is negative.
    fn shift_decimal(&mut self, power: i32) {
        for _ in 0..power {
            self.multiply_and_add(10, 0);
        }
        let mut lost = false;
        for _ in power..0 {
            if self.0.is_empty() {
                break;
            }
            lost |= self.divide_by_ten();
        }
        if lost {
            self.multiply_and_add(1, 1);
        }
    }

    /// Whether this many billionths are more than the limit.
    fn exceeds(&self, limit: u64) -> bool {
        match self.0.as_slice() {
            [] => false,
            [low] => u128::from(*low) > billionths(limit),
            [low, high] => (u128::from(*high) << 64 | u128::from(*low)) > billionths(limit),
            _ => true,
        }
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn is_below_one(&self) -> bool {
        matches!(self.0.as_slice(), [low] if u128::from(*low) < billionths(1))
    }

    fn dump(&self, out: &mut impl Write) -> fmt::Result {
        if self.0.is_empty() {
            return out.write_str("<nil>");
        }
        for (index, word) in self.0.iter().enumerate() {
            write!(out, "{}{word}", if index == 0 { '[' } else { ' ' })?;
        }
        out.write_char(']')
    }
}

fn billionths(whole: u64) -> u128 {
    u128::from(whole) * 1_000_000_000
}

#[expect(clippy::cast_possible_truncation, reason = "the low word is what is wanted")]
fn low_word(wide: u128) -> u64 {
    wide as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dump(text: &str) -> Option<String> {
        let mut out = String::new();
        Quantity::parse(text)?.dump(&mut out).ok()?;
        Some(out)
    }

    #[test]
    fn amounts_are_dumped_as_the_go_module_holds_them() {
        for line in include_str!("../../tests/vectors/quantities.jsonl").lines() {
            let (text, expected): (String, String) = serde_json::from_str(line).unwrap();
            assert_eq!(dump(&text).as_ref(), Some(&expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in
            ["", "abc", "1ki", "1KiB", "1 Gi", "1e", "--1", "1.2.3", "0x1", "1mm", "1e3Ki", "１", "1e1000000000000"]
        {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in "[-+]?[0-9]{0,40}[.]?[0-9]{0,40}(|[eE][-+]?[0-9]{1,12}|[numkMGTPE]|[KMGTPE]i|.{0,3})") {
            let _ = dump(&text);
        }
    }
}
