//! Where traffic goes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Share of traffic in whole percent, `0..=100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "i64")]
pub struct Weight(u8);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const FULL: Self = Self(100);

    /// A weight from any number, clipped to `0..=100`.
    pub fn clipped(percent: i64) -> Self {
        Self(u8::try_from(percent.clamp(0, 100)).unwrap_or_default())
    }

    /// The percent.
    pub fn percent(self) -> i64 {
        i64::from(self.0)
    }

    /// What the other side gets, so that both sum to 100.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(100_u8.saturating_sub(self.0))
    }

    /// True for 0 %.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// As [`Weight::clipped`]: no file can bring a weight that there is not.
impl From<i64> for Weight {
    fn from(percent: i64) -> Self {
        Self::clipped(percent)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where traffic goes: the canary's share, the primary's is what is left, so the sum is 100 by construction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Routes {
    /// The canary's share.
    pub canary: Weight,
    /// Requests to the primary are copied to the canary, whose answers are dropped.
    pub mirrored: bool,
    /// Cookies that tie a client to one side. Only what is wanted carries them; what is read back from live objects leaves them empty.
    pub affinity: Option<Affinity>,
}

impl Routes {
    /// All traffic to the primary.
    pub fn to_primary() -> Self {
        Self::default()
    }

    /// A share to the canary, not mirrored.
    pub fn weighted(canary: Weight) -> Self {
        Self { canary, ..Self::default() }
    }

    /// All traffic to the primary, copied to the canary.
    pub fn mirror() -> Self {
        Self { mirrored: true, ..Self::default() }
    }

    /// The primary's share.
    pub fn primary(&self) -> Weight {
        self.canary.rest()
    }
}

/// Cookies of session affinity, each `name=value` as in the status.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Affinity {
    /// Ties a client to the canary in this run; set while the canary has traffic.
    pub canary: Option<String>,
    /// Ties a client to the primary; set while the canary has traffic and a name for it is configured.
    pub primary: Option<String>,
    /// The canary's cookie of a run that is over, to be taken back from clients; set while the canary has no traffic.
    pub expired: Option<String>,
}

/// What a router can do for one Canary. It answers once per Canary; nothing else asks for its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent abilities")]
pub struct Abilities {
    /// It shifts traffic at all. Without, every rollout is blue/green by iterations, and traffic stays on the apex Service.
    pub shifts: bool,
    /// It can send requests that match `analysis.match` to the canary and all others to the primary.
    pub matches: bool,
    /// It can copy requests to the canary, and reads back that it does.
    pub mirrors: bool,
    /// It can tie clients to the side that served them.
    pub affinity: AffinityAbility,
    /// Its objects must exist before the primary workload does.
    pub routes_first: bool,
    /// Warnings to give once per rollout: what the spec asks for and this router cannot do, in words for an event.
    pub missing: Vec<String>,
    /// Warnings of the same kind about conditions that are passed on as they are, and that the data plane does not understand.
    #[serde(default)]
    pub misunderstood: Vec<String>,
}

impl Abilities {
    /// Both kinds of warnings.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.missing.iter().chain(&self.misunderstood).map(String::as_str)
    }
}

/// How far a router can tie clients to a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AffinityAbility {
    /// Not at all, or its own way without cookies in the status.
    None,
    /// To the canary.
    Canary,
    /// To the canary and to the primary.
    Both,
}

impl Default for Abilities {
    fn default() -> Self {
        Self {
            shifts: true,
            matches: true,
            mirrors: true,
            affinity: AffinityAbility::Both,
            routes_first: false,
            missing: Vec::new(),
            misunderstood: Vec::new(),
        }
    }
}
