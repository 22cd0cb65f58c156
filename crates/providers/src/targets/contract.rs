//! What holds for every kind of target.

use super::{TARGETS, Target, target};
use crate::testing::{now, rollout};
use objects::Snapshot;

/// A Canary's `targetRef.apiVersion` as users write it.
const API_VERSIONS: [&str; 5] = ["", "apps/v1", "core/v1", "serving.knative.dev/v1", "v1"];

#[test]
fn targets_are_sorted_and_each_has_its_own_references() {
    let kinds: Vec<_> = TARGETS.iter().map(|target| target.kind()).collect();
    assert!(kinds.is_sorted(), "{kinds:?}");
    for target in TARGETS {
        let served: Vec<_> = API_VERSIONS.into_iter().filter(|version| target.serves(version, target.kind())).collect();
        assert!(!served.is_empty(), "{target:?} serves nothing");
        for version in served {
            let serving = TARGETS.iter().filter(|other| other.serves(version, target.kind())).count();
            assert_eq!(serving, 1, "{version} {}", target.kind());
        }
    }
}

#[test]
fn kinds_that_nobody_serves_have_no_target() {
    assert!(target("apps/v1", "StatefulSet").is_none());
    assert_eq!(target("extensions/v1beta1", "Deployment").map(Target::kind), Some("Deployment"));
}

#[test]
fn what_is_read_may_be_read() {
    for target in TARGETS {
        for reference in target.reads(&rollout(""), &Snapshot::new()) {
            let access = target.kinds().iter().find(|access| access.kind == reference.kind);
            let verbs = access.map(|access| access.verbs).unwrap_or_default();
            assert!(["get", "list", "watch"].iter().all(|verb| verbs.contains(verb)), "{target:?} reads {reference}");
        }
    }
}

#[test]
fn a_missing_target_is_told_by_name() {
    for target in TARGETS {
        let text = target.target(&rollout(""), &Snapshot::new(), &[], now()).unwrap_err().to_string();
        assert!(text.contains("cart.shop") && text.ends_with("\"cart\" not found"), "{target:?}: {text}");
    }
}
