//! The digits of floating-point numbers, as Go writes them by `%e %f %g %b %x`.
//!
//! Numbers here are finite and have no sign. The standard library finds the digits, shortest or exactly rounded; this
//! file puts them into Go's forms.
//! Source: <https://pkg.go.dev/strconv#FormatFloat>.

/// More digits than this no number has; what follows are zeros. (The standard library has a limit as well.)
const MAX_DIGITS: usize = 1100;

/// `number` by `verb`. `precision`: digits behind the point, for `%g` all digits; `None`: as many as tell the number
/// from its neighbours.
pub(super) fn text(number: f64, verb: char, precision: Option<usize>) -> String {
    match verb {
        'b' => binary(number),
        'x' | 'X' => {
            let text = hexadecimal(number, precision);
            if verb == 'X' { text.to_uppercase() } else { text }
        }
        // `printf` gives `%e` and `%f` a precision where there is none.
        'f' | 'F' => fixed(number, precision.unwrap_or(6)),
        'e' | 'E' => scientific(&Digits::behind_first(number, precision), verb, precision),
        _ => general(number, if verb == 'G' { 'E' } else { 'e' }, precision),
    }
}

/// Decimal digits without zeros at the end; the value is `0.digits * 10^point`.
struct Digits {
    digits: String,
    point: i32,
}

impl Digits {
    /// With so many digits behind the first; `None`: as few as needed.
    fn behind_first(number: f64, count: Option<usize>) -> Self {
        let text = match count {
            Some(count) => format!("{number:.*e}", count.min(MAX_DIGITS)),
            None => shortest(number),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = mantissa.replace('.', "");
        let digits = digits.trim_end_matches('0').to_owned();
        // Zero has no digits.
        let point = if digits.is_empty() { 0 } else { exponent.parse().unwrap_or(0) + 1 };
        Self { digits, point }
    }
}

/// As few digits as tell the number from its neighbours, in scientific form. If the number is right between two such
/// texts, Go takes the even one, the standard library the larger one.
fn shortest(number: f64) -> String {
    let text = format!("{number:e}");
    let digits = text.bytes().take_while(|&byte| byte != b'e').filter(u8::is_ascii_digit).count();
    let even = format!("{number:.*e}", digits.saturating_sub(1));
    if even.parse() == Ok(number) { even } else { text }
}

/// `1.50e+00`
fn scientific(digits: &Digits, letter: char, precision: Option<usize>) -> String {
    let (first, behind) = digits.digits.split_at_checked(1).unwrap_or(("0", ""));
    let precision = precision.unwrap_or(behind.len());
    let mut text = first.to_owned();
    if precision > 0 {
        text.push('.');
        text.push_str(behind.get(..precision).unwrap_or(behind));
        text.push_str(&"0".repeat(precision.saturating_sub(behind.len())));
    }
    let exponent = if digits.digits.is_empty() { 0 } else { digits.point - 1 };
    let sign = if exponent < 0 { '-' } else { '+' };
    text + &format!("{letter}{sign}{:02}", exponent.unsigned_abs())
}

fn fixed(number: f64, precision: usize) -> String {
    let zeros = precision.saturating_sub(MAX_DIGITS);
    format!("{number:.*}", precision - zeros) + &"0".repeat(zeros)
}

/// `%g`: fixed, or scientific where that would have many zeros.
fn general(number: f64, letter: char, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let digits = Digits::behind_first(number, precision.map(|precision| precision - 1));
    let count = digits.digits.len();
    let point = digits.point;
    let limit = match precision {
        None => 6,
        // With fewer digits than asked for, whole numbers stay as they are.
        Some(precision) if precision > count && i32::try_from(count).is_ok_and(|count| count >= point) => {
            i32::try_from(count).unwrap_or(i32::MAX)
        }
        Some(precision) => i32::try_from(precision).unwrap_or(i32::MAX),
    };
    let exponent = point - 1;
    if exponent < -4 || exponent >= limit {
        return scientific(&digits, letter, Some(count.saturating_sub(1)));
    }
    plain(&digits)
}

/// The digits with the point where it belongs.
fn plain(digits: &Digits) -> String {
    let whole = usize::try_from(digits.point).unwrap_or(0);
    let mut text: String = digits.digits.chars().chain(std::iter::repeat('0')).take(whole).collect();
    if text.is_empty() {
        text.push('0');
    }
    if digits.digits.len() > whole {
        let leading = usize::try_from(-digits.point).unwrap_or(0);
        text.push('.');
        text.push_str(&"0".repeat(leading));
        text.extend(digits.digits.chars().skip(whole));
    }
    text
}

/// Mantissa and the power of two of its last bit.
fn parts(number: f64) -> (u64, i32) {
    let bits = number.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

/// `4503599627370496p-52`
fn binary(number: f64) -> String {
    let (mantissa, exponent) = parts(number);
    format!("{mantissa}p{exponent:+}")
}

/// `0x1.8p+01`, with one binary digit before the point.
fn hexadecimal(number: f64, precision: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = parts(number);
    if mantissa == 0 {
        exponent = 0;
    } else {
        // The first digit in bit 60, so that fifteen digits follow.
        let shift = i32::try_from(mantissa.leading_zeros()).unwrap_or(0) - 3;
        mantissa <<= shift;
        exponent += 60 - shift;
    }
    if let Some(precision) = precision.filter(|&precision| precision < 15) {
        let shift = 60 - 4 * u32::try_from(precision).unwrap_or(0);
        let (unit, half) = (1_u64 << shift, 1_u64 << shift >> 1);
        let below = mantissa & (unit - 1);
        mantissa -= below;
        if below > half || (below == half && mantissa & unit != 0) {
            mantissa += unit;
        }
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let digits = format!("{:015x}", mantissa & ((1 << 60) - 1));
    let digits = match precision {
        None => digits.trim_end_matches('0').to_owned(),
        Some(precision) => digits.chars().chain(std::iter::repeat('0')).take(precision).collect(),
    };
    let point = if digits.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x{}{point}{digits}p{sign}{:02}", mantissa >> 60, exponent.unsigned_abs())
}

/// What the sharp flag asks for: always a point, and in `%g` the zeros at the end.
pub(super) fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
    let exponents: &[char] = if matches!(verb, 'x' | 'X') { &['p', 'P'] } else { &['e', 'E'] };
    let at = text.find(exponents).unwrap_or(text.len());
    let (number, exponent) = text.split_at_checked(at).unwrap_or((text, ""));
    // `%X` counts none, by an oversight of Go's that stays.
    let wanted = if matches!(verb, 'g' | 'G' | 'x') { precision.unwrap_or(6) } else { 0 };
    let significant = number.chars().filter(|&c| c != '.').skip_while(|&c| c == '0').count();
    // A lone zero counts as a digit.
    let present = if number == "0" { 1 } else { significant };
    let point = if number.contains('.') { "" } else { "." };
    format!("{number}{point}{}{exponent}", "0".repeat(wanted.saturating_sub(present)))
}
