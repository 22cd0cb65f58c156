//! What comes out of a rehearsal: one document, written as JSON or told as text (`text`).
//!
//! The shape is documented in docs/rehearse.md; a change that is no addition raises [`SCHEMA_VERSION`].

use super::changes::{self, Change};
use super::release::{Image, Release};
use super::role::{Hook, Question, Role};
use super::stage::{Captures, Stage};
use super::tape::{Entry, Part, What};
use objects::paths::{list, text};
use serde::Serialize;
use std::collections::BTreeSet;

/// Version of the shape.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// See the module.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// [`SCHEMA_VERSION`].
    schema_version: u32,
    /// The worst outcome of any Canary.
    pub(super) outcome: Outcome,
    /// The Canaries, in the order of the manifests.
    pub(super) canaries: Vec<CanaryReport>,
    /// Everything that happened, in order.
    pub(super) timeline: Vec<Entry>,
    /// The objects that were made and changed, by moment.
    pub(super) changes: Vec<Moment>,
    /// What should be known before this is applied.
    pub(super) warnings: Vec<String>,
}

/// How it ended, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Outcome {
    /// The new image serves all users.
    Promoted,
    /// The primary serves; there was no release.
    Initialized,
    /// The old image serves all users again.
    RolledBack,
    /// The time was up before it ended.
    Unfinished,
}

impl Outcome {
    /// Whether that is what a release is made for.
    pub(super) fn is_good(self) -> bool {
        self <= Self::Initialized
    }
}

/// One Canary.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CanaryReport {
    /// Its name.
    pub(super) name: String,
    /// Its namespace.
    pub(super) namespace: String,
    /// Who splits the traffic.
    pub(super) provider: String,
    /// How: `canary`, `ab-testing` or `blue-green`.
    pub(super) strategy: &'static str,
    /// The workload, as `KIND/NAME`.
    pub(super) target: String,
    /// The images that change; none without a release.
    pub(super) images: Vec<Image>,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// Seconds from the release, or from the beginning if there was none, to the end.
    pub(super) seconds: f64,
    /// The verdict.
    pub(super) sentence: String,
    /// What is measured, and where.
    pub(super) metrics: Vec<Question>,
    /// What is called.
    pub(super) hooks: Vec<Hook>,
}

/// The objects that were made and changed up to a moment, since the one before.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Moment {
    /// `initialised`, `firstStep` or `end`.
    pub(super) moment: &'static str,
    /// By kind, namespace and name.
    pub(super) objects: Vec<Change>,
}

impl Report {
    /// What came out.
    pub(super) fn new(stage: &Stage, releases: &[Release], captures: &Captures, notes: Vec<String>) -> Self {
        let timeline = stage.tape.since(0);
        let canaries: Vec<CanaryReport> = stage
            .roles
            .iter()
            .zip(releases)
            .map(|(role, release)| canary(captures, role, release, &timeline))
            .collect();
        let outcome = canaries.iter().map(|canary| canary.outcome).max().unwrap_or(Outcome::Unfinished);
        let warnings = warnings(stage, notes);
        Self { schema_version: SCHEMA_VERSION, outcome, canaries, timeline, changes: moments(captures), warnings }
    }
}

fn moments(captures: &Captures) -> Vec<Moment> {
    let mut moments =
        vec![Moment { moment: "initialised", objects: changes::between(&captures.before, &captures.initialised) }];
    let mut last = &captures.initialised;
    if let Some(step) = &captures.first_step {
        moments.push(Moment { moment: "firstStep", objects: changes::between(last, step) });
        last = step;
    }
    moments.push(Moment { moment: "end", objects: changes::between(last, &captures.end) });
    moments.retain(|moment| !moment.objects.is_empty());
    moments
}

fn canary(captures: &Captures, role: &Role, release: &Release, timeline: &[Entry]) -> CanaryReport {
    let rollout = &role.rollout;
    let (outcome, seconds, sentence) = verdict(captures, role, release, timeline);
    CanaryReport {
        name: rollout.name.clone(),
        namespace: rollout.namespace.clone(),
        provider: rollout.provider.clone(),
        strategy: rollout.strategy.label(),
        target: format!("{}/{}", rollout.target.kind, rollout.target.name),
        images: release.clone(),
        outcome,
        seconds,
        sentence,
        metrics: role.questions.clone(),
        hooks: role.hooks.clone(),
    }
}

fn verdict(captures: &Captures, role: &Role, release: &Release, timeline: &[Entry]) -> (Outcome, f64, String) {
    let name = &role.full_name;
    let own: Vec<&Entry> = timeline.iter().filter(|entry| entry.canary == *name).collect();
    let phases = own.iter().rev().find_map(|entry| match &entry.what {
        What::Phase { phase } => Some((phase.as_str(), entry.part, entry.at_seconds)),
        _ => None,
    });
    let (phase, part, at) = phases.unwrap_or(("", Part::Initialisation, 0.0));
    let rounds = own.iter().filter(|entry| entry.part == Part::Release && is_round(entry)).count();
    let complaint = || last_complaint(&own).map(|text| format!(": {text}")).unwrap_or_default();
    let images = |part: fn(&Image) -> &str| release.iter().map(part).collect::<Vec<_>>().join(" and ");
    let (old, new) = (images(|image| &image.old), images(|image| &image.new));
    let after = super::text::clock(at);
    let waited = captures.waited.as_secs_f64().round();
    let end = super::text::clock(waited);
    let (outcome, sentence) = match (phase, part) {
        ("Succeeded", Part::Release) => {
            let checks = if rounds == 0 { "nothing was measured".to_owned() } else { format!("{rounds} measurements") };
            (Outcome::Promoted, format!("{name} is promoted after {after} ({checks}): {new} serves all users."))
        }
        ("Failed", Part::Release) => {
            (Outcome::RolledBack, format!("{name} is rolled back after {after}, {old} serves all users{}", complaint()))
        }
        ("Initialized", Part::Initialisation) if captures.last == Some(Part::Initialisation) => {
            (Outcome::Initialized, format!("{name} is initialised after {after}: the primary serves all users."))
        }
        (_, Part::Release) => (
            Outcome::Unfinished,
            format!("{name} has not ended after {end}, it is {phase} since {after}{}", complaint()),
        ),
        ("Initialized", _) => {
            (Outcome::Unfinished, format!("{name} has taken no notice of the release{}", complaint()))
        }
        _ => {
            let phase = if phase.is_empty() { "it has no phase yet".to_owned() } else { format!("it is {phase}") };
            (Outcome::Unfinished, format!("{name} is not initialised after {end}, {phase}{}", complaint()))
        }
    };
    let at = if outcome == Outcome::Unfinished { waited } else { at };
    (outcome, at, sentence)
}

fn is_round(entry: &Entry) -> bool {
    matches!(entry.what, What::Metric { .. })
}

/// The last warning before the end that says why, not that.
fn last_complaint<'a>(entries: &[&'a Entry]) -> Option<&'a str> {
    let warnings = entries.iter().rev().filter_map(|entry| match &entry.what {
        What::Event { r#type, message } if r#type == "Warning" => Some(message.as_str()),
        _ => None,
    });
    let is_outcome = |text: &str| text.starts_with("Canary failed!") || text.starts_with("Rolling back ");
    let mut others = warnings.clone().filter(|text| !is_outcome(text));
    others.next().or_else(|| warnings.clone().next())
}

fn warnings(stage: &Stage, notes: Vec<String>) -> Vec<String> {
    let mut warnings = notes;
    for (name, text) in stage.watch.limits() {
        // Validation has said it already, with the place.
        if warnings.iter().any(|warning| warning.contains(&text)) {
            continue;
        }
        warnings.push(format!("{name}: {text}"));
    }
    for role in &stage.roles {
        let Some(canary) = stage.canary(role) else { continue };
        let stalled = list(&canary, "/status/conditions").find(|one| text(one, "/type") == "Stalled");
        if let Some(stalled) = stalled.filter(|one| text(one, "/reason") != "Failed") {
            warnings.push(format!("{}: {}", role.full_name, super::role::without_marks(text(stalled, "/message"))));
        }
        if role.rollout.suspended {
            warnings.push(format!("{}: spec.suspend is true: nothing happens until it is taken away", role.full_name));
        }
        for question in &role.questions {
            if let Some(problem) = &question.problem {
                warnings.push(format!("{}: metric {} cannot be asked for: {problem}", role.full_name, question.metric));
            }
        }
    }
    let mut seen = BTreeSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
    warnings
}
