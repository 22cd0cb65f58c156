//! Kinds that can only be created and are never stored: who somebody is, and what they may do. Here everybody is an administrator.
//!
//! Source of names: discovery of kube-apiserver 1.36.

use objects::paths;
use serde_json::{Value, json};

/// Who is asked.
const AUTHORIZATION: &str = "authorization.k8s.io";
/// Who asks.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The groups of these kinds; their version is `v1`.
pub(crate) const GROUPS: [&str; 2] = [AUTHENTICATION, AUTHORIZATION];

/// Group, kind, plural, whether namespaced, the status of the answer.
type Review = (&'static str, &'static str, &'static str, bool, fn() -> Value);

const REVIEWS: &[Review] = &[
    (AUTHENTICATION, "SelfSubjectReview", "selfsubjectreviews", false, || json!({"userInfo": administrator()})),
    (AUTHENTICATION, "TokenReview", "tokenreviews", false, || json!({"authenticated": true, "user": administrator()})),
    (AUTHORIZATION, "LocalSubjectAccessReview", "localsubjectaccessreviews", true, allowed),
    (AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews", false, allowed),
    (AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews", false, || {
        json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        })
    }),
    (AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews", false, allowed),
];

fn administrator() -> Value {
    json!({"username": "lab-admin", "groups": ["system:masters", "system:authenticated"]})
}

fn allowed() -> Value {
    json!({"allowed": true})
}

/// What discovery says of them.
pub(crate) fn entries(group: &str, version: &str) -> Vec<Value> {
    let of = REVIEWS.iter().filter(|(of, ..)| *of == group && version == "v1");
    of.map(|(_, kind, plural, namespaced, _)| {
        json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind, "verbs": ["create"]})
    })
    .collect()
}

/// The answer to a review; none if there is no such kind.
pub(crate) fn answer(group: &str, plural: &str, mut body: Value) -> Option<Value> {
    let (_, kind, _, _, status) = REVIEWS.iter().find(|(of, _, known, ..)| *of == group && *known == plural)?;
    paths::set(&mut body, &["apiVersion"], json!(format!("{group}/v1")));
    paths::set(&mut body, &["kind"], json!(kind));
    paths::set(&mut body, &["status"], status());
    Some(body)
}
