//! What is held against the story at its end. The exit code follows from it.

use super::manifests::{BAD, FIRST, GOOD};
use super::screen::{Screen, Tone, percentage};
use lab::dataplane::Tally;

/// Users must have seen at least this percentage of their requests answered.
const BOUND: f64 = 95.0;

/// What was found when each rollout was over: the Canary's phase and the primary's image; and what users saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// After the good release.
    pub(super) promoted: (String, String),
    /// After the bad one.
    pub(super) rolled_back: (String, String),
    /// The canary's weight at the end.
    pub(super) weight: Option<i64>,
    /// What users saw.
    pub(super) tally: Tally,
    /// How long all of it took.
    pub(super) seconds: f64,
}

/// One promise, and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Whether it was.
    pub(super) holds: bool,
    /// What was promised, and what was found.
    pub(super) text: String,
}

/// Holds the evidence against what the demo promises.
pub(super) fn judge(evidence: &Evidence) -> Vec<Finding> {
    let finding = |holds: bool, text: String| Finding { holds, text };
    let good = GOOD.image();
    let (phase, image) = &evidence.promoted;
    let (last_phase, last_image) = &evidence.rolled_back;
    let rate = evidence.tally.all.success_rate();
    let side = |tag: &str| {
        evidence
            .tally
            .by_side
            .iter()
            .filter(|((_, version), _)| version == tag)
            .map(|(_, count)| count.requests)
            .sum::<u64>()
    };
    let elsewhere: u64 = evidence
        .tally
        .by_side
        .iter()
        .filter(|((_, version), _)| version != BAD.tag)
        .map(|(_, count)| count.failed)
        .sum();
    let lost = evidence.tally.troubles.values().sum::<u64>();
    vec![
        finding(
            phase == "Succeeded" && *image == good,
            format!("{} was promoted: the Canary is {phase}, the primary runs {image}", GOOD.tag),
        ),
        finding(
            last_phase == "Failed" && *last_image == good,
            format!("{} was rolled back: the Canary is {last_phase}, the primary runs {last_image}", BAD.tag),
        ),
        finding(
            evidence.weight == Some(0),
            format!("no requests go to the canary any more: its weight is {}", evidence.weight.unwrap_or(-1)),
        ),
        finding(
            [FIRST, GOOD, BAD].iter().all(|version| side(version.tag) > 0),
            format!(
                "real requests reached all versions: {}",
                [FIRST, GOOD, BAD].map(|version| format!("{} {}", version.tag, side(version.tag))).join(", ")
            ),
        ),
        finding(
            lost + elsewhere == 0,
            format!("nothing failed but what the bad release failed itself: {} other failures", lost + elsewhere),
        ),
        finding(
            rate.is_some_and(|rate| rate >= BOUND),
            format!(
                "users were served: {} of their requests succeeded, at least {BOUND}% was the bound",
                percentage(rate)
            ),
        ),
    ]
}

/// Shows the end of the story.
pub(super) fn show(screen: &mut Screen, evidence: &Evidence, findings: &[Finding]) {
    let all = evidence.tally.all;
    screen.heading(&format!(
        "In {:.0} seconds users sent {} requests, {} failed:",
        evidence.seconds, all.requests, all.failed
    ));
    for ((workload, version), count) in &evidence.tally.by_side {
        screen.say(&format!(
            "  {:<24} {:>6} requests, {:>4} failed",
            format!("{workload}:{version}"),
            count.requests,
            count.failed
        ));
    }
    for (trouble, count) in &evidence.tally.troubles {
        screen.line(Tone::Bad, &format!("  {count:>6} without an answer of a workload: {trouble}"));
    }
    screen.say("");
    for finding in findings {
        let (tone, mark) = if finding.holds { (Tone::Good, "ok  ") } else { (Tone::Bad, "FAIL") };
        screen.line(tone, &format!("{mark}  {}", finding.text));
    }
    if findings.iter().any(|finding| !finding.holds) {
        screen.say("");
        screen.say("Run it again with --verbose to see the controller's log, and please report it with that log.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::dataplane::Count;

    fn good() -> Evidence {
        let side = |workload: &str, version: &str, requests, failed| {
            ((workload.to_owned(), version.to_owned()), Count { requests, failed })
        };
        Evidence {
            promoted: ("Succeeded".to_owned(), GOOD.image()),
            rolled_back: ("Failed".to_owned(), GOOD.image()),
            weight: Some(0),
            tally: Tally {
                all: Count { requests: 1000, failed: 30 },
                by_side: [
                    side("shop", FIRST.tag, 100, 0),
                    side("shop-primary", GOOD.tag, 800, 0),
                    side("shop", BAD.tag, 100, 30),
                ]
                .into(),
                ..Tally::default()
            },
            seconds: 40.0,
        }
    }

    fn broken(change: impl Fn(&mut Evidence)) -> Vec<usize> {
        let mut evidence = good();
        change(&mut evidence);
        judge(&evidence).iter().enumerate().filter(|(_, finding)| !finding.holds).map(|(index, _)| index).collect()
    }

    #[test]
    fn every_promise_can_be_broken() {
        assert!(broken(|_| {}).is_empty());
        assert_eq!(broken(|evidence| evidence.promoted.0 = "Failed".to_owned()), [0]);
        assert_eq!(broken(|evidence| evidence.promoted.1 = FIRST.image()), [0]);
        assert_eq!(broken(|evidence| evidence.rolled_back.0 = "Succeeded".to_owned()), [1]);
        assert_eq!(broken(|evidence| evidence.rolled_back.1 = BAD.image()), [1]);
        assert_eq!(broken(|evidence| evidence.weight = Some(30)), [2]);
        assert_eq!(broken(|evidence| evidence.tally.by_side.retain(|(_, version), _| version != BAD.tag)), [3]);
        assert_eq!(broken(|evidence| evidence.tally.troubles = [("no healthy upstream".to_owned(), 1)].into()), [4]);
        assert_eq!(broken(|evidence| evidence.tally.all.failed = 51), [5]);
    }
}
