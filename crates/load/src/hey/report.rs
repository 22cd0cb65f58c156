//! The summary of `hey`, and its listing of all requests.
//!
//! Source: what the tool prints.

use crate::engine::Report;
use crate::record::Span;
use crate::{PERCENTAGES, bar, late_line};
use std::fmt::Write as _;
use std::time::Duration;

/// The summary. What it says about late requests comes last, so that what reads the tool's summary reads this one.
pub(super) fn summary(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_summary(&mut text, report);
    text
}

fn write_summary(text: &mut String, report: &Report) -> std::fmt::Result {
    let seen = &report.seen;
    let latency = seen.latency;
    writeln!(text, "\nSummary:")?;
    writeln!(text, "  Total:\t{} secs", secs(report.elapsed))?;
    writeln!(text, "  Slowest:\t{} secs", secs(latency.max()))?;
    writeln!(text, "  Fastest:\t{} secs", secs(latency.min()))?;
    writeln!(text, "  Average:\t{} secs", secs(latency.average()))?;
    writeln!(text, "  Requests/sec:\t{:.4}\n  ", per_second(seen.sent, report.elapsed))?;
    if let Some(size) = seen.bytes.checked_div(latency.count()).filter(|_| seen.bytes > 0) {
        writeln!(text, "  Total data:\t{} bytes\n  Size/request:\t{size} bytes", seen.bytes)?;
    }
    histogram(text, &seen.buckets())?;
    writeln!(text, "\n\nLatency distribution:")?;
    for percent in PERCENTAGES.into_iter().filter(|_| latency.count() > 0) {
        writeln!(text, "  {percent}% in {} secs", secs(seen.percentile(f64::from(percent))))?;
    }
    writeln!(text, "\nDetails (average, fastest, slowest):")?;
    let phases = &seen.phases;
    for (name, span) in [
        ("DNS+dialup", phases.dial),
        ("DNS-lookup", phases.lookup),
        ("req write", phases.write),
        ("resp wait", phases.wait),
        ("resp read", phases.read),
    ] {
        writeln!(text, "  {name}:\t{}", details(span))?;
    }
    writeln!(text, "\nStatus code distribution:")?;
    for (status, count) in &seen.statuses {
        writeln!(text, "  [{status}]\t{count} responses")?;
    }
    if seen.errors.is_empty() {
        text.push_str("\n\n");
    } else {
        writeln!(text, "\nError distribution:")?;
        for (error, count) in &seen.errors {
            writeln!(text, "  [{count}]\t{error}")?;
        }
    }
    writeln!(text)?;
    late_line(report).map_or(Ok(()), |line| writeln!(text, "{line}\n"))
}

fn histogram(text: &mut String, buckets: &[(Duration, u64)]) -> std::fmt::Result {
    writeln!(text, "\nResponse time histogram:")?;
    let greatest = buckets.iter().map(|(_, count)| *count).max().unwrap_or_default();
    for (mark, count) in buckets {
        writeln!(text, "  {:.3} [{count}]\t|{}", mark.as_secs_f64(), bar(*count, greatest, "■"))?;
    }
    Ok(())
}

fn details(span: Span) -> String {
    format!("{} secs, {} secs, {} secs", secs(span.average()), secs(span.min()), secs(span.max()))
}

fn secs(time: Duration) -> String {
    format!("{:.4}", time.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a number of requests, for people")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// Every answered request that was kept, a line each.
pub(super) fn csv(report: &Report) -> String {
    let mut text =
        String::from("response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n");
    for sample in &report.seen.samples {
        let (Some(status), phases) = (sample.outcome.status, &sample.outcome.phases) else { continue };
        let times = [sample.latency, phases.dial, phases.lookup, phases.write, phases.wait, phases.read];
        for time in times {
            let _ = write!(text, "{},", secs(time));
        }
        let _ = writeln!(text, "{status},{}", secs(sample.sent));
    }
    text
}
