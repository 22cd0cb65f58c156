//! How a time inside the metadata of a pod template is dumped.
//!
//! Rare: the API server sets none there, but a pasted manifest may carry one. The reference dumps the internals of a Go time,
//! which name the zone of its process; a container without time zone data is assumed here, see [`super::reproducible`].
//! Knows only the form that the API server writes, `2026-07-14T10:00:00Z`.

use std::fmt::{self, Write};

/// The time that is not set.
pub(super) const ZERO_TIME: &str = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}";

/// Whether this is a time as the API server writes it.
pub(super) fn is_time(text: &str) -> bool {
    seconds(text).is_some()
}

/// Writes a time; one that is none as not set.
pub(super) fn utc_time(out: &mut impl Write, text: &str) -> fmt::Result {
    let Some(seconds) = seconds(text) else { return out.write_str(ZERO_TIME) };
    write!(
        out,
        "{{Time:(time.Time){{wall:(uint64)0 ext:(int64){seconds} loc:(*time.Location){{name:(string)UTC \
         zone:([]time.zone)<nil> tx:([]time.zoneTrans)<nil> extend:(string) cacheStart:(int64)0 cacheEnd:(int64)0 \
         cacheZone:(*time.zone)<nil>}}}}}}"
    )
}

/// Seconds since the start of year 1, as Go counts.
fn seconds(text: &str) -> Option<i64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let (year, month, day) = three(date, '-')?;
    let (hour, minute, second) = three(clock, ':')?;
    let plausible = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    plausible.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn three(text: &str, separator: char) -> Option<(i64, i64, i64)> {
    let mut numbers = text.splitn(3, separator).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Days since 1 January of year 1. Years are counted from March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 306
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_year_one() {
        assert_eq!(seconds("2024-02-29T12:34:56Z"), Some(63_844_806_896));
        assert_eq!(seconds("1969-12-31T23:59:59Z"), Some(62_135_596_799));
        assert_eq!(seconds("0001-01-01T00:00:00Z"), Some(0));
    }

    #[test]
    fn what_is_no_time_is_not_set() {
        for text in ["", "Z", "T", "2024-02-29", "2024-02-29T12:34:56+01:00", "2024-13-01T00:00:00Z", "a-b-cTd:e:fZ"] {
            assert!(!is_time(text), "{text}");
        }
        let mut out = String::new();
        utc_time(&mut out, "yesterday").unwrap();
        assert_eq!(out, ZERO_TIME);
    }
}
