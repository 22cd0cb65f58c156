//! What may happen to requests, and to which.

use crate::failure::Failure;
use crate::request::{Call, Verb};
use serde_json::json;
use std::fmt;
use std::time::Duration;

/// What happens to a request. What is not carried out did not reach the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// 409: the object is not what the writer thinks it is. Not carried out.
    Conflict,
    /// 429 with `Retry-After`, in seconds. Not carried out.
    TooManyRequests(u32),
    /// 500. Not carried out.
    Internal,
    /// 503. Not carried out.
    Unavailable,
    /// 410: the version or the continue token is too old. Not carried out.
    Expired,
    /// 403. Not carried out.
    Forbidden,
    /// 404 for the path, as when the kind is not there. Not carried out.
    UnknownKind,
    /// The connection breaks before the request arrives.
    Break,
    /// Carried out, then the connection breaks: nobody learns it.
    LoseAnswer,
    /// Carried out, and no answer ever comes; the client has to give up.
    Silence,
    /// Not carried out, and no answer ever comes.
    Hang,
    /// Carried out; then the process behind the layer is dead ([`super::Faults::is_dead`]).
    Kill,
    /// Carried out later.
    Delay(Duration),
    /// The events of this watch come later by that much.
    WatchLags(Duration),
    /// This watch ends after some time, that long at most.
    WatchEnds {
        /// The longest time.
        within: Duration,
        /// How it ends.
        end: WatchEnd,
    },
    /// This watch ends after that time.
    WatchEndsAfter {
        /// The time.
        time: Duration,
        /// How it ends.
        end: WatchEnd,
    },
}

/// How a watch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEnd {
    /// Properly, as after its time.
    Ends,
    /// The connection breaks.
    Breaks,
    /// With an ERROR event 410: the history is lost.
    Expires,
}

impl Fault {
    /// A short name, for reports.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::TooManyRequests(_) => "too many requests",
            Self::Internal => "internal error",
            Self::Unavailable => "unavailable",
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
            Self::UnknownKind => "unknown kind",
            Self::Break => "broken before",
            Self::LoseAnswer => "answer lost",
            Self::Silence => "carried out, never answered",
            Self::Hang => "never answered",
            Self::Kill => "killed after",
            Self::Delay(_) => "late",
            Self::WatchLags(_) => "watch lags",
            Self::WatchEnds { end, .. } | Self::WatchEndsAfter { end, .. } => match end {
                WatchEnd::Ends => "watch ends",
                WatchEnd::Breaks => "watch breaks",
                WatchEnd::Expires => "watch expires",
            },
        }
    }

    /// The refusal that is answered; `None`: there is none.
    pub(super) fn refusal(&self, call: &Call) -> Option<Failure> {
        let (plural, group) = call.resource.split_once('.').unwrap_or((call.resource.as_str(), ""));
        Some(match self {
            Self::Conflict => Failure::modified(plural, group, &call.name),
            Self::TooManyRequests(seconds) => Failure {
                code: 429,
                reason: "TooManyRequests",
                message: "the server has received too many requests and has asked us to try again later".to_owned(),
                details: Some(json!({"retryAfterSeconds": seconds})),
            },
            Self::Internal => Failure::internal("an error on the server has prevented the request from succeeding"),
            Self::Unavailable => Failure::unavailable("the server is currently unable to handle the request"),
            Self::Expired if call.query.contains("continue=") => Failure::expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue \
                 parameter.",
            ),
            Self::Expired => Failure::expired("too old resource version"),
            Self::Forbidden => {
                let subresource = if call.subresource.is_empty() { "" } else { "/" };
                let place = match call.namespace.as_str() {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace \"{namespace}\""),
                };
                let why = format!(
                    "User \"test\" cannot {} resource \"{plural}{subresource}{}\" in API group \"{group}\" {place}",
                    call.verb, call.subresource
                );
                Failure::forbidden(plural, group, &call.name, &why)
            }
            Self::UnknownKind => Failure::no_such_path(),
            _ => return None,
        })
    }
}

/// A fault and the requests to which it happens.
pub struct Rule {
    pub(super) fault: Fault,
    concerns: Box<dyn Fn(&Call) -> bool + Send + Sync>,
    pub(super) rate: f64,
    pub(super) skip: usize,
    pub(super) times: Option<usize>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("fault", &self.fault).field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl Rule {
    /// This fault, every time. Faults of watches concern watches, the others every request.
    pub fn new(fault: Fault) -> Self {
        Self { fault, concerns: Box::new(|_| true), rate: 1.0, skip: 0, times: None }
    }

    /// Only to these requests.
    #[must_use]
    pub fn on(mut self, concerns: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        self.concerns = Box::new(concerns);
        self
    }

    /// Only to requests that may change something.
    #[must_use]
    pub fn on_writes(self) -> Self {
        self.on(|call| call.verb.writes())
    }

    /// To this share of them, from 0 to 1.
    #[must_use]
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// Not to the first so many of them.
    #[must_use]
    pub fn after(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// That often at most.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = Some(count);
        self
    }

    pub(super) fn concerns(&self, call: &Call) -> bool {
        let fits = match self.fault {
            Fault::WatchLags(_) | Fault::WatchEnds { .. } | Fault::WatchEndsAfter { .. } => call.verb == Verb::Watch,
            _ => true,
        };
        fits && (self.concerns)(call)
    }
}

/// Shares of requests to which something happens, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Writes that meet a conflict.
    pub conflict: f64,
    /// Requests that are one too many, to be tried again after one to three seconds.
    pub too_many: f64,
    /// Requests answered with 500.
    pub internal: f64,
    /// Requests answered with 503.
    pub unavailable: f64,
    /// Writes that are carried out and never answered.
    pub silence: f64,
    /// Requests whose connection breaks before.
    pub broken_before: f64,
    /// Requests that are carried out and whose connection breaks then.
    pub broken_after: f64,
    /// Watches that end within two minutes: each way (ends, breaks, expires) is a third of them.
    pub watch_ends: f64,
    /// Watches that are refused with 410 when they are opened.
    pub watch_expired: f64,
    /// Watches that lag by one to four seconds.
    pub watch_lags: f64,
    /// Further pages of lists whose continue token is too old.
    pub page_expired: f64,
    /// Requests that take half a second.
    pub late: f64,
}

impl Rates {
    /// The same share of everything.
    pub fn all(rate: f64) -> Self {
        Self {
            conflict: rate,
            too_many: rate,
            internal: rate,
            unavailable: rate,
            silence: rate,
            broken_before: rate,
            broken_after: rate,
            watch_ends: rate,
            watch_expired: rate,
            watch_lags: rate,
            page_expired: rate,
            late: rate,
        }
    }

    pub(super) fn rules(&self) -> Vec<Rule> {
        let short = |call: &Call| call.verb != Verb::Watch;
        let page = |call: &Call| call.verb == Verb::List && call.query.contains("continue=");
        let mut rules = vec![
            Rule::new(Fault::Delay(Duration::from_millis(500))).on(short).rate(self.late),
            Rule::new(Fault::Conflict).on_writes().rate(self.conflict),
            Rule::new(Fault::TooManyRequests(1)).rate(self.too_many / 2.0),
            Rule::new(Fault::TooManyRequests(3)).rate(self.too_many / 2.0),
            Rule::new(Fault::Internal).rate(self.internal),
            Rule::new(Fault::Unavailable).rate(self.unavailable),
            Rule::new(Fault::Silence).on_writes().rate(self.silence),
            Rule::new(Fault::Break).rate(self.broken_before),
            Rule::new(Fault::LoseAnswer).on(short).rate(self.broken_after),
            Rule::new(Fault::Expired).on(|call| call.verb == Verb::Watch).rate(self.watch_expired),
            Rule::new(Fault::Expired).on(page).rate(self.page_expired),
        ];
        for end in [WatchEnd::Ends, WatchEnd::Breaks, WatchEnd::Expires] {
            let fault = Fault::WatchEnds { within: Duration::from_secs(120), end };
            rules.push(Rule::new(fault).rate(self.watch_ends / 3.0));
        }
        for seconds in [1, 4] {
            let fault = Fault::WatchLags(Duration::from_secs(seconds));
            rules.push(Rule::new(fault).rate(self.watch_lags / 2.0));
        }
        rules.retain(|rule| rule.rate > 0.0);
        rules
    }
}
