//! What metrics and hooks answer in a rehearsal: lists and series, as the command line gives them.

use std::time::Duration;

/// What a metric or a hook answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answers<T> {
    /// One for each time it is asked; the last one stays.
    InTurn(Vec<T>),
    /// Each for a time, from the beginning of the release; the last one stays.
    OverTime(Vec<(Duration, T)>),
}

impl<T: Copy> Answers<T> {
    /// The answer to question number `asked` (from 0), that long after the release.
    pub(super) fn at(&self, asked: usize, elapsed: Duration) -> Option<T> {
        match self {
            Self::InTurn(list) => list.get(asked).or(list.last()).copied(),
            Self::OverTime(list) => {
                let mut end = Duration::ZERO;
                let now = list.iter().find(|(length, _)| {
                    end = end.saturating_add(*length);
                    elapsed < end
                });
                now.or(list.last()).map(|(_, answer)| *answer)
            }
        }
    }
}

/// `NAME=ANSWERS` of the command line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named<T> {
    /// Name of the metric or hook.
    pub(super) name: String,
    /// What it answers.
    pub(super) answers: Answers<T>,
}

/// `NAME=VALUE[,VALUE...]` or `NAME=60s:99,30s:40`; a value is a number, or `none` for no data.
pub(super) fn metric(text: &str) -> Result<Named<Option<f64>>, String> {
    named(text, "NAME=99.5 or NAME=60s:99.5,30s:40", |value| match value {
        "none" => Ok(None),
        _ => match value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(format!("`{value}` is no number; write one such as 99.5, or `none` for a metric without data")),
        },
    })
}

/// `NAME=CODE[,CODE...]` or a series as for metrics.
pub(super) fn hook(text: &str) -> Result<Named<u16>, String> {
    named(text, "NAME=200 or NAME=200,500", |code| match code.parse::<u16>() {
        Ok(number) if (100..600).contains(&number) => Ok(number),
        _ => Err(format!("`{code}` is no HTTP status code; write one such as 200 or 500")),
    })
}

fn named<T>(text: &str, example: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Named<T>, String> {
    let (name, list) = text.split_once('=').ok_or_else(|| format!("there is no `=`; write {example}"))?;
    if name.is_empty() {
        return Err(format!("the name before `=` is missing; write {example}"));
    }
    let parts: Vec<&str> = list.split(',').map(str::trim).collect();
    let timed = parts.iter().filter(|part| part.contains(':')).count();
    let answers = if timed == 0 {
        Answers::InTurn(parts.into_iter().map(&read).collect::<Result<_, _>>()?)
    } else if timed == parts.len() {
        Answers::OverTime(parts.into_iter().map(|part| over_time(part, &read)).collect::<Result<_, _>>()?)
    } else {
        return Err(format!("either all values have a time before them or none has; write {example}"));
    };
    Ok(Named { name: name.to_owned(), answers })
}

fn over_time<T>(part: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<(Duration, T), String> {
    let (time, value) = part.split_once(':').unwrap_or(("", part));
    Ok((duration(time)?, read(value)?))
}

/// A Go duration that is not negative, such as `90s` or `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no duration; write one such as 30s, 5m or 1h30m");
    let duration: api::GoDuration = text.parse().map_err(|_| bad())?;
    if duration < api::GoDuration::ZERO { Err(bad()) } else { Ok(duration.to_std()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn lists_are_answered_in_turn_and_the_last_one_stays() {
        let named = metric("latency=1,2.5,none").unwrap();
        assert_eq!(named.name, "latency");
        let answers: Vec<_> = (0..5).map(|asked| named.answers.at(asked, SECOND)).collect();
        assert_eq!(answers, [Some(Some(1.0)), Some(Some(2.5)), Some(None), Some(None), Some(None)]);
    }

    #[test]
    fn series_follow_the_time_since_the_release() {
        let answers = metric("m=60s:99,30s:40,1s:7").unwrap().answers;
        for (second, value) in [(0, 99.0), (59, 99.0), (60, 40.0), (89, 40.0), (90, 7.0), (900, 7.0)] {
            assert_eq!(answers.at(3, SECOND * second), Some(Some(value)), "{second}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_with_an_example() {
        for (text, said) in [
            ("latency", "there is no `=`; write NAME=99.5 or NAME=60s:99.5,30s:40"),
            ("=1", "the name before `=` is missing; write NAME=99.5 or NAME=60s:99.5,30s:40"),
            ("m=high", "`high` is no number; write one such as 99.5, or `none` for a metric without data"),
            ("m=NaN", "`NaN` is no number; write one such as 99.5, or `none` for a metric without data"),
            (
                "m=1,2s:3",
                "either all values have a time before them or none has; write NAME=99.5 or NAME=60s:99.5,30s:40",
            ),
            ("m=soon:3", "`soon` is no duration; write one such as 30s, 5m or 1h30m"),
            ("m=-3s:3", "`-3s` is no duration; write one such as 30s, 5m or 1h30m"),
        ] {
            assert_eq!(metric(text).unwrap_err(), said);
        }
        assert_eq!(hook("gate=yes").unwrap_err(), "`yes` is no HTTP status code; write one such as 200 or 500");
        assert_eq!(hook("gate=200,500").unwrap().answers, Answers::InTurn(vec![200, 500]));
    }
}
