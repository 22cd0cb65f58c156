//! Numbers as Go prints them in events and alerts.
//!
//! Source: controller notes, section 20, and vectors taken from a real Go toolchain. (The bound of 1e21 that is
//! sometimes quoted for `%v` is that of Go's JSON, not of its `fmt`.)

/// A number as `%v` shows it: the shortest digits that read back as the same value; with an exponent of at least two
/// digits when the decimal exponent is not in -4..=5.
pub fn shortest(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e').and_then(|(mantissa, exponent)| Some((mantissa, exponent.parse::<i32>().ok()?))) {
        Some((mantissa, exponent)) if !(-4..=5).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        _ => value.to_string(),
    }
}

/// A number as `%.2f` shows it: two decimals, rounded half to even on the exact binary value.
pub fn two_decimals(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { not_finite(value) }
}

fn not_finite(value: f64) -> String {
    let text = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_shown_as_go_shows_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (99.0, "99"),
            (99.5, "99.5"),
            (100_000.0, "100000"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (12_345_678.9, "1.23456789e+07"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (0.0001, "0.0001"),
            (0.000_123_45, "0.00012345"),
            (0.000_01, "1e-05"),
            (-1e-7, "-1e-07"),
            (1.0 / 3.0, "0.3333333333333333"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(shortest(value), text);
        }
    }

    #[test]
    fn measured_values_are_shown_as_go_shows_them() {
        for (value, text) in [
            (0.125, "0.12"),
            (0.375, "0.38"),
            (8.125, "8.12"),
            (8.375, "8.38"),
            (2.675, "2.67"),
            (1.005, "1.00"),
            (99.995, "100.00"),
            (0.005, "0.01"),
            (0.015, "0.01"),
            (0.045, "0.04"),
            (1_234.565, "1234.57"),
            (1e15 + 0.125, "1000000000000000.12"),
            (1e21, "1000000000000000000000.00"),
            (-0.001, "-0.00"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(two_decimals(value), text);
        }
    }
}
