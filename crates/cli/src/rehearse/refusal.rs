//! What the API server would refuse, with the place in the user's file and what to do about it.

use crate::manifests::{Manifest, Problem};
use lab::Failure;
use objects::paths::{list, text};

/// The problems that a refusal tells of.
pub(super) fn explain(manifest: &Manifest, refusal: &Failure) -> Vec<Problem> {
    let name = format!("{} {}", manifest.kind(), manifest.name());
    let causes = refusal.details.iter().flat_map(|details| list(details, "/causes"));
    let problems: Vec<Problem> = causes
        .filter(|cause| !text(cause, "/field").is_empty())
        .map(|cause| {
            let (field, message) = (text(cause, "/field"), text(cause, "/message"));
            manifest.problem(field, role_free(message), advice(message))
        })
        .collect();
    if !problems.is_empty() {
        return problems;
    }
    let problem = match (refusal.code, refusal.reason) {
        (404, _) => manifest.problem(
            "apiVersion",
            format!("there is no kind {} in {}", manifest.kind(), manifest.api_version()),
            "check both for typing errors, or leave the object out",
        ),
        (409, "AlreadyExists") => manifest.problem(
            "metadata.name",
            format!("{name} is there already"),
            "every cluster has it; leave the object out",
        ),
        // Types that do not fit have no field, but a text that names it.
        (400, _) => {
            let said = refusal.to_string();
            manifest.problem("", format!("{name} cannot be read: {said}"), "compare it with the reference of its kind")
        }
        _ => manifest.problem("", format!("{name} is refused: {refusal}"), "an API server would refuse it as well"),
    };
    vec![problem]
}

/// The marks of hooks are ours.
fn role_free(message: &str) -> String {
    super::role::without_marks(message)
}

/// What to do about a field.
fn advice(message: &str) -> &'static str {
    if message.starts_with("Required value") {
        "add it"
    } else if message.starts_with("Unsupported value") {
        "use one of these"
    } else if message.contains("must be of type integer") || message.contains("must be of type number") {
        "write a number, without quotes"
    } else if message.contains("must be of type string") {
        "write a text; what looks like a number or a word such as `yes` needs quotes"
    } else if message.contains("must be of type boolean") {
        "write true or false, without quotes"
    } else if message.contains("must be of type array") {
        "write a list, each item after a `-`"
    } else if message.contains("must be of type object") {
        "write fields below it, each as `name: value`"
    } else if message.contains("should match") {
        "for durations write for example 30s or 1m"
    } else {
        "correct the value"
    }
}
