//! Figures, and how they are shown: one Markdown table per number of Canaries, a column per controller.

use crate::Options;
use crate::cluster::Requests;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One figure: during what, which one, how much.
type Figure = (String, String, f64);

/// What one controller came to.
#[derive(Debug)]
pub(crate) struct Figures {
    place: &'static str,
    list: Vec<Figure>,
    requests: Vec<(String, Requests)>,
}

impl Figures {
    pub(crate) fn new(place: &'static str) -> Self {
        Self { place, list: Vec::new(), requests: Vec::new() }
    }

    pub(crate) fn note(&mut self, during: &str, what: &str, value: f64) {
        eprintln!("bench:   {during}: {what} {value:.3}");
        self.list.push((during.to_owned(), what.to_owned(), value));
    }

    #[expect(clippy::cast_precision_loss, reason = "counts for people to read")]
    pub(crate) fn note_requests(&mut self, during: &str, requests: &Requests, canaries: usize) {
        let total: u64 = requests.values().sum();
        self.note(during, "requests", total as f64);
        self.note(during, "requests per Canary", total as f64 / canaries.max(1) as f64);
        for verbs in [&["get", "list", "watch"][..], &["create"], &["patch", "update"], &["delete"]] {
            let of: u64 =
                requests.iter().filter(|((verb, _), _)| verbs.contains(&verb.as_str())).map(|(_, count)| count).sum();
            self.note(during, &format!("requests: {}", verbs.join(", ")), of as f64);
        }
        self.requests.push((during.to_owned(), requests.clone()));
    }

    fn get(&self, during: &str, what: &str) -> Option<f64> {
        self.list.iter().find(|figure| figure.0 == during && figure.1 == what).map(|figure| figure.2)
    }
}

/// The table of one number of Canaries, and what the requests of the first controller were about.
pub(crate) fn table(canaries: usize, options: &Options, columns: &[(String, Figures)]) -> String {
    let Some((_, first)) = columns.first() else { return String::new() };
    let mut text = format!(
        "## {canaries} Canaries on {}\n\nInterval {} s, one step to 50 %, two built-in metrics, one ConfigMap and one Secret each.\n\n| during | figure |",
        first.place, options.interval
    );
    for (name, _) in columns {
        let _ = write!(text, " {name} |");
    }
    if columns.len() > 1 {
        text.push_str(" ratio |");
    }
    text.push_str("\n| --- | --- |");
    text.push_str(&" ---: |".repeat(columns.len() + usize::from(columns.len() > 1)));
    for (during, what, value) in &first.list {
        let _ = write!(text, "\n| {during} | {what} | {} |", shown(*value));
        if let Some((_, second)) = columns.get(1) {
            let other = second.get(during, what);
            let ratio = other.filter(|_| *value > 0.0).map_or(String::new(), |other| format!("{:.1}", other / value));
            let _ = write!(text, " {} | {ratio} |", other.map_or(String::new(), shown));
        }
    }
    for (name, figures) in columns {
        for (during, requests) in &figures.requests {
            let _ = write!(text, "\n\nRequests of {name}, {during}: {}", by_count(requests));
        }
    }
    text.push('\n');
    text
}

fn shown(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e9 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// `1000 patch canaries.flagger.app/status, 3 watch services`, the most frequent first.
fn by_count(requests: &Requests) -> String {
    let mut sorted: Vec<_> = requests.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let line = |((verb, resource), count): &(&(String, String), &u64)| format!("{count} {verb} {resource}");
    sorted.iter().take(30).map(line).collect::<Vec<_>>().join(", ")
}

/// The same for machines.
pub(crate) fn json(canaries: usize, columns: &[(String, Figures)]) -> Value {
    let figures = |figures: &Figures| -> Value {
        let mut by: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
        for (during, what, value) in &figures.list {
            by.entry(during).or_default().insert(what, *value);
        }
        json!(by)
    };
    let columns: BTreeMap<&str, Value> =
        columns.iter().map(|(name, column)| (name.as_str(), figures(column))).collect();
    json!({"canaries": canaries, "figures": columns})
}
