//! A rehearsal as people read it.

use super::changes::{Action, Change};
use super::report::{CanaryReport, Moment, Report};
use super::tape::{Entry, Part, What};
use super::traffic::{Share, Traffic};
use std::fmt::Write as _;

/// Longest block of lines that may repeat itself and is then told once.
const LONGEST_BLOCK: usize = 6;

/// `05:10`, or `1:05:10` from an hour on; fractions of a second are cut off.
pub(super) fn clock(seconds: f64) -> String {
    let whole = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

/// The whole report; without the timeline if it was told when it happened.
pub(super) fn render(report: &Report, told: bool) -> String {
    let mut text = String::new();
    for canary in &report.canaries {
        head(&mut text, canary);
    }
    let several = report.canaries.len() > 1;
    for (part, title) in [(Part::Initialisation, "Initialisation"), (Part::Release, "Release")] {
        let entries: Vec<&Entry> = report.timeline.iter().filter(|entry| entry.part == part).collect();
        if !told && !entries.is_empty() {
            let _ = writeln!(text, "\n{title}");
            timeline(&mut text, &entries, several);
        }
    }
    for moment in &report.changes {
        changes(&mut text, moment);
    }
    if !report.warnings.is_empty() {
        text.push_str("\nWarnings\n");
        for warning in &report.warnings {
            let _ = writeln!(text, "  {warning}");
        }
    }
    text.push('\n');
    for canary in &report.canaries {
        let _ = writeln!(text, "{}", canary.sentence);
    }
    text
}

/// One entry, as it is told when it happens.
pub(super) fn live(entry: &Entry) -> String {
    let mut text = String::new();
    put(&mut text, entry.at_seconds, Some(&line(entry, true)));
    text
}

fn head(text: &mut String, canary: &CanaryReport) {
    let CanaryReport { name, namespace, provider, strategy, target, .. } = canary;
    let _ = writeln!(text, "Canary {name}.{namespace}: {target} by {provider}, {strategy}");
    for image in &canary.images {
        let _ = writeln!(text, "  release   {}: {} -> {}", image.container, image.old, image.new);
    }
    for metric in &canary.metrics {
        let _ = writeln!(
            text,
            "  metric    {} passes at {}; {} {}",
            metric.metric, metric.passes, metric.provider, metric.address
        );
        let query = metric.problem.as_deref().unwrap_or(&metric.query).trim();
        let _ = writeln!(text, "            {query}");
    }
    for hook in &canary.hooks {
        let _ = writeln!(text, "  hook      {} ({}) {}", hook.name, hook.r#type.as_str(), hook.url);
    }
}

/// The lines of a part. A block of lines that repeats itself is told twice and then counted.
fn timeline(text: &mut String, entries: &[&Entry], several: bool) {
    let lines: Vec<String> = entries.iter().map(|entry| line(entry, several)).collect();
    let mut at = 0;
    while at < entries.len() {
        let (length, times) = repeated(&lines, at);
        for index in at..at + length * times.min(2) {
            put(text, entries.get(index).map_or(0.0, |entry| entry.at_seconds), lines.get(index));
        }
        at += length * times;
        if times > 2 {
            let last = entries.get(at - 1).map_or(0.0, |entry| entry.at_seconds);
            let what = if length == 1 { "the same".to_owned() } else { format!("these {length} lines") };
            put(text, last, Some(&format!("... {what} {} more times, until now", times - 2)));
        }
    }
}

fn put(text: &mut String, at: f64, line: Option<&String>) {
    let line = line.map(String::as_str).unwrap_or_default();
    let _ = writeln!(text, "{:>8}  {}", format!("+{}", clock(at)), line.replace('\n', "\n          "));
}

/// How long the shortest block is that begins here and repeats itself most, and how often it stands there.
fn repeated(lines: &[String], at: usize) -> (usize, usize) {
    for length in 1..=LONGEST_BLOCK {
        let Some(block) = lines.get(at..at + length) else { break };
        let rest = lines.get(at..).unwrap_or_default();
        let times = rest.chunks(length).take_while(|chunk| *chunk == block).count();
        if times > 2 {
            return (length, times);
        }
    }
    (1, 1)
}

fn line(entry: &Entry, several: bool) -> String {
    let canary = if several && !entry.canary.is_empty() { format!("{}: ", entry.canary) } else { String::new() };
    let told = match &entry.what {
        What::Event { r#type, message } if r#type == "Warning" => format!("event    warning: {message}"),
        What::Event { message, .. } => format!("event    {message}"),
        What::Phase { phase } => format!("phase    {phase}"),
        What::Hook { name, r#type, url, status } => format!("hook     {name} ({type}) {url} answers {status}"),
        What::Metric { name, value, passed } => {
            let verdict = if *passed { "passes" } else { "fails" };
            let value = value.map_or("no value".to_owned(), |value| value.to_string());
            format!("metric   {name} = {value}, {verdict}")
        }
        What::Probe { address } => format!("metrics  {address}: is it there? yes"),
        What::Alert { receiver, message } => format!("alert    to {receiver}: {message}"),
        What::Traffic(traffic) => format!("traffic  {}", requests(traffic)),
    };
    match told.split_once(' ') {
        Some((word, rest)) if !canary.is_empty() => format!("{word:<8} {canary}{}", rest.trim_start()),
        _ => told,
    }
}

fn requests(traffic: &Traffic) -> String {
    let mut parts: Vec<String> = traffic.served.iter().map(share).collect();
    parts.extend(traffic.copies.iter().map(|copies| format!("copies of {}", share(copies))));
    if traffic.lost > 0 {
        parts.push(format!("{} without answer ({})", thousands(traffic.lost), traffic.lost_because));
    }
    let mut text = parts.join(", ");
    for example in &traffic.examples {
        let to = if example.workload.is_empty() { "nobody" } else { &example.workload };
        let _ = write!(text, "\n         {} -> {to}", example.request);
    }
    text
}

fn share(share: &Share) -> String {
    format!("{} to {}", thousands(share.requests), share.workload)
}

/// `9,500`
fn thousands(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}

fn changes(text: &mut String, moment: &Moment) {
    let title = match moment.moment {
        "initialised" => "Objects made and changed by the initialisation",
        "firstStep" => "Objects changed at the first step of the release",
        _ => "Objects changed from there to the end",
    };
    let _ = writeln!(text, "\n{title}");
    for change in &moment.objects {
        let Change { kind, namespace, name, .. } = change;
        let namespace = if namespace.is_empty() { String::new() } else { format!(".{namespace}") };
        let action = match (change.action, &change.copy_of) {
            (Action::Made, Some(original)) => format!("made as a copy of {original}"),
            (Action::Made, None) => "made".to_owned(),
            (Action::Changed, _) => "changed".to_owned(),
            (Action::Deleted, _) => "deleted".to_owned(),
        };
        let _ = writeln!(text, "  {kind} {name}{namespace} {action}");
        for line in change.diff.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
}
