//! Episodes at random: calm, then for a while something is wrong with the whole server or with one kind.

use super::{Fault, Faults, Rule, RuleId, WatchEnd, dice};
use std::time::Duration;

/// What may happen in the long run.
#[derive(Debug, Clone, PartialEq)]
pub struct Weather {
    /// The time between two episodes is up to twice as long as this.
    pub calm: Duration,
    /// The longest episode.
    pub longest: Duration,
    /// Kinds (`deployments.apps`) that may be forbidden or unknown for a while.
    pub kinds: Vec<String>,
}

/// Ten minutes of calm, a minute of trouble at most, with no kind alone.
impl Default for Weather {
    fn default() -> Self {
        Self { calm: Duration::from_secs(600), longest: Duration::from_secs(60), kinds: Vec::new() }
    }
}

impl Faults {
    /// Lets episodes happen, one after the other, until it is dropped (which leaves a running one as it is: see [`Faults::clear`]).
    pub async fn change_weather(&self, weather: Weather) {
        for nth in 0.. {
            let luck = |salt: u64| dice(self.shared.seed, salt, nth);
            tokio::time::sleep(weather.calm.mul_f64(2.0 * luck(1))).await;
            let kind = pick(&weather.kinds, luck(3));
            let rule = self.begin(luck(2), kind.map(String::as_str));
            tokio::time::sleep(weather.longest.mul_f64(luck(4).max(0.05))).await;
            if let Some(rule) = rule {
                self.remove(rule);
                self.note("episode is over", String::new());
            }
        }
    }

    /// Begins the episode that this luck stands for.
    fn begin(&self, luck: f64, kind: Option<&str>) -> Option<RuleId> {
        let all = |fault| Some(self.add(Rule::new(fault)));
        // Whole tenths, since `luck` is below 1 but for its last value.
        match (luck * 10.0, kind) {
            (0.0..2.0, _) => Some(self.down()),
            (2.0..3.0, _) => all(Fault::TooManyRequests(2)),
            (3.0..4.0, _) => all(Fault::Delay(Duration::from_secs(2))),
            (4.0..6.0, Some(kind)) => {
                let rule = self.forbid(kind);
                let kind = kind.to_owned();
                self.cut(WatchEnd::Ends, move |call| call.resource == kind);
                Some(rule)
            }
            (6.0..7.0, Some(kind)) => Some(self.unknown_kind(kind)),
            (7.0..8.0, _) => {
                self.cut(WatchEnd::Expires, |_| true);
                None
            }
            (8.0..9.0, _) => {
                let rule = all(Fault::WatchLags(Duration::from_secs(5)));
                self.cut(WatchEnd::Breaks, |_| true);
                rule
            }
            _ => all(Fault::Unavailable),
        }
    }
}

fn pick<T>(list: &[T], luck: f64) -> Option<&T> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a short list"
    )]
    let place = (luck * list.len() as f64) as usize;
    list.get(place).or_else(|| list.last())
}
