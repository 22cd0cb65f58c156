//! The summary of `ghz`, and the other forms of it.
//!
//! Source: <https://ghz.sh/docs/output>, and what the tool prints.

use super::options::{Format, Options, Text};
use super::status;
use crate::engine::{Ended, Report};
use crate::{PERCENTAGES, bar, late_line};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// What is to be printed, in the form that is asked for. `began` is when the run began.
pub(super) fn text(options: &Options, method: &str, began: Timestamp, report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = match options.format {
        Format::Summary => summary(&mut text, options, report),
        Format::Csv => csv(&mut text, report),
        Format::Json => writeln!(text, "{}", object(options, began, report)),
        Format::Pretty => writeln!(text, "{:#}", object(options, began, report)),
        Format::Influx => influx(&mut text, options, method, began, report),
    };
    text
}

fn summary(text: &mut String, options: &Options, report: &Report) -> std::fmt::Result {
    let seen = &report.seen;
    writeln!(text, "\nSummary:")?;
    if let Some(name) = &options.name {
        writeln!(text, "  Name:\t\t{name}")?;
    }
    writeln!(text, "  Count:\t{}", seen.sent)?;
    writeln!(text, "  Total:\t{}", time(report.elapsed))?;
    writeln!(text, "  Slowest:\t{}", time(seen.latency.max()))?;
    writeln!(text, "  Fastest:\t{}", time(seen.latency.min()))?;
    writeln!(text, "  Average:\t{}", time(seen.all.average()))?;
    writeln!(text, "  Requests/sec:\t{:.2}", rps(report))?;
    writeln!(text, "\nResponse time histogram:")?;
    let buckets = seen.buckets();
    let greatest = buckets.iter().map(|(_, count)| *count).max().unwrap_or_default();
    let marks: Vec<_> = buckets.iter().map(|(mark, n)| (format!("{:.3} [{n}]", millis(*mark)), n)).collect();
    let width = marks.iter().map(|(mark, _)| mark.len()).max().unwrap_or_default();
    for (mark, count) in marks {
        writeln!(text, "  {mark:<width$} |{}", bar(*count, greatest, "∎"))?;
    }
    writeln!(text, "\nLatency distribution:")?;
    for percent in PERCENTAGES.into_iter().filter(|_| !buckets.is_empty()) {
        writeln!(text, "  {percent} % in {} ", time(seen.percentile(f64::from(percent))))?;
    }
    writeln!(text, "\nStatus code distribution:")?;
    let statuses: Vec<_> = seen.statuses.iter().map(|(code, count)| (status::name(*code), count)).collect();
    let width = statuses.iter().map(|(name, _)| name.len() + 2).max().unwrap_or_default();
    for (name, count) in statuses {
        writeln!(text, "  {:<width$}   {count} responses   ", format!("[{name}]"))?;
    }
    if !seen.errors.is_empty() {
        writeln!(text, "\nError distribution:")?;
        for (error, count) in &seen.errors {
            writeln!(text, "  [{count}]   {error}   ")?;
        }
    }
    writeln!(text)?;
    late_line(report).map_or(Ok(()), |line| writeln!(text, "{line}\n"))
}

/// A time as the tool writes it.
fn time(time: Duration) -> String {
    if time.is_zero() {
        "0 ns".to_owned()
    } else if time < Duration::from_secs(1) {
        format!("{:.2} ms", millis(time))
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a number of calls, for people")]
fn rps(report: &Report) -> f64 {
    report.seen.sent as f64 / report.elapsed.as_secs_f64().max(1e-9)
}

fn csv(text: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(text, "duration (ms),status,error")?;
    for sample in &report.seen.samples {
        let status = status::name(sample.outcome.status.unwrap_or(status::UNKNOWN));
        let error = sample.outcome.error.as_deref().unwrap_or_default();
        let error = if error.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", error.replace('"', "\"\""))
        } else {
            error.to_owned()
        };
        writeln!(text, "{:.2},{status},{error}", millis(sample.latency))?;
    }
    Ok(())
}

/// The report as JSON; times are nanoseconds, marks seconds.
fn object(options: &Options, began: Timestamp, report: &Report) -> Value {
    let seen = &report.seen;
    let statuses: Map<_, _> = seen.statuses.iter().map(|(code, n)| (status::name(*code), json!(n))).collect();
    let buckets = seen.buckets();
    let percentages = PERCENTAGES.into_iter().filter(|_| !buckets.is_empty());
    let latencies: Vec<_> = percentages
        .map(|percent| json!({"percentage": percent, "latency": nanos(seen.percentile(f64::from(percent)))}))
        .collect();
    let all = seen.latency.count().max(1);
    #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
    let bucket = |(mark, count): &(Duration, u64)| json!({"mark": mark.as_secs_f64(), "count": count, "frequency": *count as f64 / all as f64});
    let details: Vec<_> = seen
        .samples
        .iter()
        .map(|sample| {
            json!({
                "timestamp": began.checked_add(sample.sent).unwrap_or(began).to_string(),
                "latency": nanos(sample.latency),
                "error": sample.outcome.error.as_deref().unwrap_or_default(),
                "status": status::name(sample.outcome.status.unwrap_or(status::UNKNOWN)),
            })
        })
        .collect();
    let mut object = json!({
        "date": began.to_string(),
        "endReason": match report.ended { Ended::Done => "normal", Ended::TimeOver => "timeout", Ended::Signal => "cancel" },
        "options": asked(options),
        "count": seen.sent,
        "total": nanos(report.elapsed),
        "average": nanos(seen.all.average()),
        "fastest": nanos(seen.latency.min()),
        "slowest": nanos(seen.latency.max()),
        "rps": rps(report),
        "errorDistribution": seen.errors,
        "statusCodeDistribution": statuses,
        "latencyDistribution": latencies,
        "histogram": buckets.iter().map(bucket).collect::<Vec<_>>(),
        "details": details,
        "late": seen.late,
        "unsent": report.unsent,
    });
    if let Some(object) = object.as_object_mut() {
        object.extend(options.name.iter().map(|name| ("name".to_owned(), json!(name))));
        object.extend(options.tags.iter().map(|tags| ("tags".to_owned(), tags.clone())));
    }
    object
}

/// What was asked for, without metadata, which may be secret.
fn asked(options: &Options) -> Value {
    let mut asked = json!({
        "call": options.call,
        "host": options.host,
        "insecure": options.insecure,
        "concurrency": options.workers,
        "total": options.requests,
        "connections": options.connections,
        "timeout": nanos(options.timeout.unwrap_or_default()),
        "dial-timeout": nanos(options.connect_timeout.unwrap_or_default()),
    });
    let data = match &options.data {
        Some(Text::Given(text)) => serde_json::from_str(text).ok(),
        _ => None,
    };
    let optional = [
        ("rps", (options.rate > 0.0).then(|| json!(options.rate))),
        ("duration", options.time.map(|time| json!(nanos(time)))),
        ("max-duration", options.max_time.map(|time| json!(nanos(time)))),
        ("proto", options.proto.as_ref().map(|path| json!(path))),
        ("protoset", options.protoset.as_ref().map(|path| json!(path))),
        ("data", data),
    ];
    if let Some(asked) = asked.as_object_mut() {
        asked.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    asked
}

/// A line of `InfluxDB`'s protocol.
fn influx(text: &mut String, options: &Options, method: &str, began: Timestamp, report: &Report) -> std::fmt::Result {
    let seen = &report.seen;
    let errors: u64 = seen.errors.values().sum();
    let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs();
    let quoted = |text: &str| format!("{text:?}");
    write!(text, "ghz_run,call={},host={}", quoted(method), quoted(&options.host))?;
    write!(text, ",n={},c={},rps={}", options.requests, options.workers, options.rate)?;
    write!(text, ",z={},timeout={}", seconds(options.time), seconds(options.timeout))?;
    write!(text, ",errors={errors},has_errors={}", errors > 0)?;
    write!(text, " count={},total={}", seen.sent, nanos(report.elapsed))?;
    write!(text, ",average={}", nanos(seen.all.average()))?;
    write!(text, ",fastest={},slowest={}", nanos(seen.latency.min()), nanos(seen.latency.max()))?;
    write!(text, ",rps={:.2},median={}", rps(report), nanos(seen.percentile(50.0)))?;
    writeln!(text, ",p95={},errors={errors} {}", nanos(seen.percentile(95.0)), began.as_nanosecond())
}
