//! Cookies of session affinity: they live in the status and follow the weight.
//!
//! The canary's cookie is made when the canary first gets traffic and lives until it has none; then it becomes the previous one, which routers take back
//! from clients. The primary's cookie is made once per name. Values follow from the Canary, the revision and the previous cookie, so that a decision that is
//! taken again (after a crash or a conflict) makes the same ones; a new run makes new ones.
//! Source: controller notes, section 14 and Q18, Q19; API notes Q15.

use crate::routes::{Abilities, Affinity, AffinityAbility, Weight};
use api::{CanaryStatus, Rollout};

/// Moves the cookies in the status along with the canary's weight, and says what routers need of them. `None` where the Canary has no session affinity by
/// cookies of ours.
pub(crate) fn follow(
    rollout: &Rollout,
    abilities: &Abilities,
    status: &mut CanaryStatus,
    canary: Weight,
) -> Option<Affinity> {
    let affinity = rollout.analysis.session_affinity.as_ref()?;
    if abilities.affinity == AffinityAbility::None {
        return None;
    }
    if canary.is_zero() {
        if let Some(cookie) = status.session_affinity_cookie.take() {
            status.previous_session_affinity_cookie = Some(cookie);
        }
        return Some(Affinity { expired: status.previous_session_affinity_cookie.clone(), ..Affinity::default() });
    }
    let seed = |name: &str, status: &CanaryStatus| {
        let revision = status.last_applied_spec.as_deref().unwrap_or_default();
        let previous = status.previous_session_affinity_cookie.as_deref().unwrap_or_default();
        format!("{}|{revision}|{previous}|{name}", rollout.uid)
    };
    let canary_cookie = keep_or_make(
        status.session_affinity_cookie.as_deref(),
        &affinity.cookie_name,
        &seed(&affinity.cookie_name, status),
    );
    status.session_affinity_cookie = Some(canary_cookie);
    let primary_name = affinity
        .primary_cookie_name
        .as_deref()
        .filter(|name| !name.is_empty() && abilities.affinity == AffinityAbility::Both);
    status.primary_session_affinity_cookie = primary_name
        .map(|name| keep_or_make(status.primary_session_affinity_cookie.as_deref(), name, &seed(name, status)));
    Some(Affinity {
        canary: status.session_affinity_cookie.clone(),
        primary: status.primary_session_affinity_cookie.clone(),
        expired: None,
    })
}

/// The stored cookie while it has the configured name, else a new one: `name=` and ten letters.
fn keep_or_make(stored: Option<&str>, name: &str, seed: &str) -> String {
    match stored {
        Some(cookie)
            if cookie
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('='))
                .is_some_and(|value| !value.is_empty() && !value.contains('=')) =>
        {
            cookie.to_owned()
        }
        _ => format!("{name}={}", letters(seed)),
    }
}

/// Ten letters `a-zA-Z` that follow from the seed (FNV-1a, then splitmix64).
fn letters(seed: &str) -> String {
    let mut state = seed
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..10)
        .map(|_| {
            let index = u8::try_from(next() % 52).unwrap_or_default();
            char::from(if index < 26 { b'a' + index } else { b'A' + (index - 26) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rollout;

    fn sticky(primary: &str) -> Rollout {
        let mut rollout = rollout();
        rollout.analysis.session_affinity = Some(api::SessionAffinity {
            cookie_name: "c".to_owned(),
            primary_cookie_name: Some(primary.to_owned()),
            ..api::SessionAffinity::default()
        });
        rollout
    }

    #[test]
    fn cookies_live_with_the_traffic_of_the_canary() {
        let (rollout, abilities) = (sticky("p"), Abilities::default());
        let mut status = CanaryStatus { last_applied_spec: Some("v2".to_owned()), ..CanaryStatus::default() };
        let first = follow(&rollout, &abilities, &mut status, Weight::clipped(10)).unwrap();
        let (canary, primary) = (first.canary.clone().unwrap(), first.primary.clone().unwrap());
        assert!(canary.starts_with("c=") && primary.starts_with("p=") && canary.len() == 12);
        assert!(canary[2..].chars().all(|letter| letter.is_ascii_alphabetic()) && canary[2..] != primary[2..]);
        // The same while it has traffic, and again after a crash that lost the status.
        assert_eq!(follow(&rollout, &abilities, &mut status, Weight::clipped(20)), Some(first.clone()));
        let mut lost = CanaryStatus { last_applied_spec: Some("v2".to_owned()), ..CanaryStatus::default() };
        assert_eq!(follow(&rollout, &abilities, &mut lost, Weight::clipped(10)), Some(first));
        let over = follow(&rollout, &abilities, &mut status, Weight::ZERO).unwrap();
        assert_eq!((over.canary, over.primary, over.expired.as_deref()), (None, None, Some(canary.as_str())));
        assert_eq!(status.previous_session_affinity_cookie.as_deref(), Some(canary.as_str()));
        let next = follow(&rollout, &abilities, &mut status, Weight::clipped(10)).unwrap();
        assert_ne!(next.canary, Some(canary));
    }

    #[test]
    fn a_name_with_an_equals_sign_keeps_its_value() {
        let mut rollout = sticky("p");
        if let Some(affinity) = rollout.analysis.session_affinity.as_mut() {
            affinity.cookie_name = "a=b".to_owned();
        }
        let mut status = CanaryStatus::default();
        let first = follow(&rollout, &Abilities::default(), &mut status, Weight::clipped(10)).unwrap().canary;
        status.last_applied_spec = Some("another".to_owned());
        assert_eq!(follow(&rollout, &Abilities::default(), &mut status, Weight::clipped(20)).unwrap().canary, first);
    }

    #[test]
    fn routes_that_are_made_again_carry_the_cookies_that_clients_hold() {
        use crate::plan::Action;
        let (rollout, mut seen) = (sticky("p"), crate::testing::seen());
        seen.status.phase = api::Phase::Progressing;
        seen.status.canary_weight = 10;
        seen.status.last_applied_spec = Some("v1".to_owned());
        seen.status.session_affinity_cookie = Some("c=abcdefghij".to_owned());
        seen.routes = Err(crate::Trouble::passing("virtualservices \"cart\" not found"));
        if let Ok(target) = seen.target.as_mut() {
            target.scaled_down = false;
        }
        let decision = crate::decide(&rollout, &seen);
        let routes = decision
            .upkeep
            .iter()
            .find_map(|action| if let Action::Route(routes) = action { Some(routes) } else { None });
        let routes = routes.unwrap();
        assert_eq!(routes.canary, Weight::clipped(10));
        assert_eq!(routes.affinity.as_ref().unwrap().canary.as_deref(), Some("c=abcdefghij"));
    }

    #[test]
    fn without_a_name_the_primary_has_no_cookie() {
        let mut status =
            CanaryStatus { primary_session_affinity_cookie: Some("=nameless".to_owned()), ..CanaryStatus::default() };
        let affinity = follow(&sticky(""), &Abilities::default(), &mut status, Weight::FULL).unwrap();
        assert_eq!((affinity.primary, status.primary_session_affinity_cookie), (None, None));
        let unable = Abilities { affinity: AffinityAbility::None, ..Abilities::default() };
        assert_eq!(follow(&sticky("p"), &unable, &mut CanaryStatus::default(), Weight::FULL), None);
    }
}
