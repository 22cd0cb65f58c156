//! Cookies of session affinity as they appear in routes: the header that gives one to a client, and the pattern that recognises it.
//!
//! Cookies are `name=value` as in the status; the decision makes and keeps them. Shared by the routers that tie clients to a side by cookies; where in an
//! object the texts go is theirs. Source: API notes, section 2.6; routing notes, section 5.7, I12, I14, I15.

use super::RouterError;
use api::{Rollout, SessionAffinity, derived};

/// The request header that carries cookies, spelled as rules of running rollouts spell it.
pub(crate) const COOKIE: &str = "Cookie";
/// The response header that gives a cookie to a client.
pub(crate) const SET_COOKIE: &str = "Set-Cookie";

/// The regular expression for the header [`COOKIE`] of clients that carry the cookie. Loose and unescaped, since the rules of running rollouts must stay
/// recognisable (I12).
pub(crate) fn pattern(cookie: &str) -> String {
    let mut parts = cookie.split('=');
    let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!(".*{name}.*{value}.*")
}

/// Whether the pattern of a rule is one for our cookies, of whatever value. A name that is not configured is in no pattern (I6).
pub(crate) fn is_pattern_of(pattern: &str, affinity: &SessionAffinity) -> bool {
    let names = [Some(affinity.cookie_name.as_str()), affinity.primary_cookie_name.as_deref()];
    names.into_iter().flatten().any(|name| !name.is_empty() && pattern.contains(name))
}

/// The header [`SET_COOKIE`] that gives a client the canary's cookie for `maxAge` seconds.
pub(crate) fn give_canary(cookie: &str, affinity: &SessionAffinity) -> String {
    set_cookie(cookie, derived::cookie_max_age(affinity), affinity)
}

/// The header [`SET_COOKIE`] that gives a client the primary's cookie, for as long as the analysis' interval as it is written (I14).
pub(crate) fn give_primary(cookie: &str, affinity: &SessionAffinity, rollout: &Rollout) -> Result<String, RouterError> {
    let seconds = derived::primary_cookie_max_age(&rollout.analysis)
        .map_err(|error| RouterError::new(format!("failed to parse canary interval: {error}")))?;
    Ok(set_cookie(cookie, seconds, affinity))
}

/// The header [`SET_COOKIE`] that takes a cookie back. With all attributes, because browsers keep a cookie that was given with others (I15).
pub(crate) fn take_back(cookie: &str, affinity: &SessionAffinity) -> String {
    set_cookie(cookie, -1, affinity)
}

fn set_cookie(cookie: &str, max_age: i64, affinity: &SessionAffinity) -> String {
    let with = |name: &str, value: &Option<String>| {
        value.as_deref().filter(|value| !value.is_empty()).map(|value| format!("{name}={value}"))
    };
    let flag = |name: &str, on: bool| on.then(|| name.to_owned());
    let attributes = [
        with("Domain", &affinity.domain),
        flag("HttpOnly", affinity.http_only),
        flag("Partitioned", affinity.partitioned),
        with("Path", &affinity.path),
        with("SameSite", &affinity.same_site),
        flag("Secure", affinity.secure),
    ];
    let mut header = format!("{cookie}; Max-Age={max_age}");
    for attribute in attributes.into_iter().flatten() {
        header.push_str("; ");
        header.push_str(&attribute);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rollout;

    fn affinity(settings: &str) -> SessionAffinity {
        serde_json::from_value(crate::testing::yaml(settings)).unwrap()
    }

    #[test]
    fn attributes_follow_in_a_fixed_order_and_only_if_set() {
        let all = affinity(
            "{cookieName: c, domain: example.com, httpOnly: true, partitioned: true, path: /x, sameSite: Lax, secure: true, maxAge: 60}",
        );
        let attributes = "; Domain=example.com; HttpOnly; Partitioned; Path=/x; SameSite=Lax; Secure";
        assert_eq!(give_canary("c=abc", &all), format!("c=abc; Max-Age=60{attributes}"));
        assert_eq!(take_back("c=abc", &all), format!("c=abc; Max-Age=-1{attributes}"));
        let none = affinity("{cookieName: c}");
        assert_eq!(give_canary("c=abc", &none), "c=abc; Max-Age=86400");
        assert_eq!(take_back("c=abc", &none), "c=abc; Max-Age=-1");
    }

    #[test]
    fn the_primarys_cookie_lives_as_long_as_the_interval_as_written() {
        let settings = affinity("{cookieName: c, primaryCookieName: p, secure: true}");
        let short = rollout("{analysis: {interval: 5500ms}}");
        assert_eq!(give_primary("p=xyz", &settings, &short).unwrap(), "p=xyz; Max-Age=5; Secure");
        let wrong = give_primary("p=xyz", &settings, &rollout("{analysis: {interval: soon}}")).unwrap_err();
        assert_eq!(wrong.to_string(), "failed to parse canary interval: time: invalid duration \"soon\"");
    }

    #[test]
    fn patterns_are_loose_and_belong_to_configured_names() {
        assert_eq!(pattern("flagger-cookie=LpsIaLdoNZ"), ".*flagger-cookie.*LpsIaLdoNZ.*");
        let both = affinity("{cookieName: c1, primaryCookieName: p1}");
        assert!(is_pattern_of(".*c1.*abc.*", &both) && is_pattern_of(".*p1.*abc.*", &both));
        let one = affinity("{cookieName: c1}");
        assert!(!is_pattern_of("", &one) && !is_pattern_of("^type=insider$", &one));
    }
}
