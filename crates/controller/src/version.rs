//! Whether an API server is new enough.
//!
//! Versions are read leniently: a leading `v`, missing parts, pre-releases and vendor suffixes are fine. Accepted: from 1.11.0-alpha.1 to before 2.0.0.
//! Source: operations notes, section 2.1, step 10.

use std::cmp::Ordering;

/// Why an API server is refused, with the text for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not a version.
    #[error("Error parsing kubernetes version as a semantic version: Invalid Semantic Version")]
    Unreadable,
    /// Too old, or too new.
    #[error("Unsupported version of kubernetes detected.  Expected ^1.11.0, got {0}")]
    Unsupported(String),
}

/// Checks a `gitVersion`.
pub fn check(text: &str) -> Result<(), VersionError> {
    let (numbers, pre_release) = read(text).ok_or(VersionError::Unreadable)?;
    let new_enough = match numbers.cmp(&[1, 11, 0]) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => pre_release.is_none_or(|pre_release| order(&pre_release, "alpha.1") != Ordering::Less),
    };
    let [major, ..] = numbers;
    if new_enough && major == 1 { Ok(()) } else { Err(VersionError::Unsupported(text.to_owned())) }
}

/// Major, minor, patch, and the pre-release if there is one.
fn read(text: &str) -> Option<([u64; 3], Option<String>)> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let (bare, build) = bare.split_once('+').map_or((bare, None), |(bare, build)| (bare, Some(build)));
    let (core, pre_release) = bare.split_once('-').map_or((bare, None), |(core, rest)| (core, Some(rest)));
    if build.is_some_and(|build| !is_suffix(build)) || pre_release.is_some_and(|pre| !is_suffix(pre)) {
        return None;
    }
    let mut numbers = [0; 3];
    let mut parts = core.split('.');
    for (index, number) in numbers.iter_mut().enumerate() {
        match parts.next() {
            Some(part) if part.bytes().all(|byte| byte.is_ascii_digit()) => *number = part.parse().ok()?,
            None if index > 0 => {}
            _ => return None,
        }
    }
    parts.next().is_none().then(|| (numbers, pre_release.map(str::to_owned)))
}

/// Identifiers of letters, digits and hyphens, separated by dots.
fn is_suffix(text: &str) -> bool {
    text.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
}

/// The order of pre-releases: numbers by value and before words, words by text, a longer one after its beginning.
fn order(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => match (left.parse::<u64>(), right.parse::<u64>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => left.cmp(right),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_1_11_to_2_are_accepted_with_any_suffix() {
        for text in [
            "v1.11.0",
            "1.11",
            "v1.36.1",
            "v1.34.2+k3s1",
            "v1.33.1-gke.1200",
            "v1.29.0-eks-a5565ad",
            "v1.11.0-alpha.1",
            "v1.11.0-beta.0",
            "v1.11.0-rc.1",
            "v1.12.0-alpha.0",
            "v1.30.0-rc.1+abc",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn older_and_newer_ones_are_refused_by_name() {
        for text in ["v1.10.13", "v1.11.0-alpha.0", "v1.11.0-alpha", "v1", "v2.0.0", "v0.9.0", "2"] {
            assert_eq!(check(text), Err(VersionError::Unsupported(text.to_owned())), "{text}");
        }
        assert_eq!(
            check("v1.10.0").unwrap_err().to_string(),
            "Unsupported version of kubernetes detected.  Expected ^1.11.0, got v1.10.0"
        );
    }

    #[test]
    fn what_is_no_version_is_told_as_such() {
        for text in ["", "v", "one", "1.x", "1.2.3.4", "1.2.3-", "1.2.3+", "v1..2", "1.2.3-a_b"] {
            assert_eq!(check(text), Err(VersionError::Unreadable), "{text}");
        }
    }
}
