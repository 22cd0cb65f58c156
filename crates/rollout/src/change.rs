//! Is the target another revision than the one last seen, or last promoted?
//!
//! Source: workloads notes, sections 7.4, 10.1 and 10.6.

use crate::observation::{Observation, Revision};
use crate::status;
use api::{CanaryStatus, Phase};

/// What the target is to the status.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// What was last seen, or what was promoted.
    None,
    /// The same, but stored by an older formula: the status only has to be rewritten.
    Rebaseline(Box<CanaryStatus>),
    /// Another revision, or other configs.
    New,
}

/// Compares the target and its configs with the status. What cannot be read counts as unchanged: whoever asks has dealt with that before.
pub(crate) fn change(seen: &Observation) -> Change {
    let Ok(target) = &seen.target else { return Change::None };
    let status = &seen.status;
    let Some(applied) = status.last_applied_spec.as_deref().filter(|applied| !applied.is_empty()) else {
        return Change::New;
    };
    let promoted = status.last_promoted_spec.as_deref().unwrap_or_default();
    let revision = &target.revision;
    if !revision.comparable {
        let settled = matches!(status.phase, Phase::Initialized | Phase::Succeeded);
        return if settled && revision.same_images { adopt(seen) } else { Change::New };
    }
    if !is(revision, promoted) && !is(revision, applied) {
        return Change::New;
    }
    let mut rebased = status.clone();
    if is(revision, applied) {
        rebased.last_applied_spec = Some(revision.hash.clone());
    }
    if is(revision, promoted) {
        rebased.last_promoted_spec = Some(revision.hash.clone());
    }
    if configs_changed(seen, &mut rebased) {
        return Change::New;
    }
    if rebased == *status { Change::None } else { Change::Rebaseline(Box::new(rebased)) }
}

/// The hash of the target now, if it can be read.
pub(crate) fn hash(seen: &Observation) -> Option<&str> {
    seen.target.as_ref().ok().map(|target| target.revision.hash.as_str())
}

/// Whether the revision is the stored one, by any generation of the formula.
fn is(revision: &Revision, stored: &str) -> bool {
    !stored.is_empty() && (revision.hash == stored || revision.older.iter().any(|older| older == stored))
}

/// Takes over what is there without a rollout.
fn adopt(seen: &Observation) -> Change {
    let mut rebased = seen.status.clone();
    status::current(seen, &mut rebased);
    rebased.last_promoted_spec.clone_from(&rebased.last_applied_spec);
    if rebased == seen.status { Change::None } else { Change::Rebaseline(Box::new(rebased)) }
}

/// Whether the tracked configs differ; where a checksum is stored by the reference's formula, it is replaced in `rebased` instead.
fn configs_changed(seen: &Observation, rebased: &mut CanaryStatus) -> bool {
    let Ok(Some(configs)) = &seen.configs else { return false };
    let Some(stored) = rebased.tracked_configs.as_mut() else { return !configs.checksums.is_empty() };
    if stored.len() != configs.checksums.len() {
        return true;
    }
    for (key, checksum) in &configs.checksums {
        match stored.get_mut(key) {
            Some(known) if known == checksum => {}
            Some(known) if configs.legacy.get(key) == Some(known) => known.clone_from(checksum),
            _ => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Configs, Target, Trouble};
    use crate::testing::seen;
    use std::collections::BTreeMap;

    fn of(hash: &str, older: &[&str], phase: Phase, applied: &str, promoted: &str) -> Observation {
        let mut seen = seen();
        seen.status.phase = phase;
        seen.status.last_applied_spec = Some(applied.to_owned());
        seen.status.last_promoted_spec = Some(promoted.to_owned());
        if let Ok(target) = &mut seen.target {
            target.revision.hash = hash.to_owned();
            target.revision.older = older.iter().map(|older| (*older).to_owned()).collect();
        }
        seen
    }

    fn incomparable(seen: &mut Observation, same_images: bool) {
        if let Ok(Target { revision, .. }) = &mut seen.target {
            (revision.comparable, revision.same_images) = (false, same_images);
        }
    }

    fn rebased(change: &Change) -> (Option<&str>, Option<&str>) {
        let Change::Rebaseline(status) = change else { panic!("{change:?}") };
        (status.last_applied_spec.as_deref(), status.last_promoted_spec.as_deref())
    }

    #[test]
    fn what_was_applied_or_promoted_is_no_change() {
        assert_eq!(change(&of("a", &[], Phase::Failed, "a", "p")), Change::None);
        assert_eq!(change(&of("p", &[], Phase::Progressing, "a", "p")), Change::None);
        assert_eq!(change(&of("b", &[], Phase::Succeeded, "a", "p")), Change::New);
        assert_eq!(change(&of("b", &[], Phase::Initialized, "", "")), Change::New);
    }

    #[test]
    fn hashes_of_older_formulas_are_taken_over_without_a_rollout() {
        let promoted = change(&of("new", &["old"], Phase::Succeeded, "old", "old"));
        assert_eq!(rebased(&promoted), (Some("new"), Some("new")));
        let running = change(&of("new", &["old"], Phase::Progressing, "old", "other"));
        assert_eq!(rebased(&running), (Some("new"), Some("other")));
        assert_eq!(change(&of("new", &["older"], Phase::Succeeded, "old", "old")), Change::New);
    }

    #[test]
    fn where_hashes_say_nothing_the_images_do() {
        let mut same = of("new", &[], Phase::Succeeded, "x:1", "x:1");
        incomparable(&mut same, true);
        assert_eq!(rebased(&change(&same)), (Some("new"), Some("new")));
        incomparable(&mut same, false);
        assert_eq!(change(&same), Change::New);
        same.status.phase = Phase::Progressing;
        incomparable(&mut same, true);
        assert_eq!(change(&same), Change::New);
    }

    #[test]
    fn configs_count_and_checksums_of_the_reference_are_taken_over() {
        let mut seen = of("a", &[], Phase::Succeeded, "a", "a");
        let one = |value: &str| BTreeMap::from([("secret/s".to_owned(), value.to_owned())]);
        seen.status.tracked_configs = Some(one("1"));
        seen.configs = Ok(Some(Configs { checksums: one("1"), legacy: BTreeMap::new() }));
        assert_eq!(change(&seen), Change::None);
        seen.configs = Ok(Some(Configs { checksums: one("2"), legacy: one("1") }));
        let Change::Rebaseline(status) = change(&seen) else { panic!("not taken over") };
        assert_eq!(status.tracked_configs, Some(one("2")));
        seen.configs = Ok(Some(Configs { checksums: one("2"), legacy: BTreeMap::new() }));
        assert_eq!(change(&seen), Change::New);
        seen.configs = Ok(Some(Configs::default()));
        assert_eq!(change(&seen), Change::New, "one that is used no more");
        seen.configs = Err(Trouble::passing("unreadable"));
        assert_eq!(change(&seen), Change::None);
    }
}
