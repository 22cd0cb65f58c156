//! The matches of Istio's HTTP rules: those of the service, and the product of a rule's own conditions with them.
//!
//! Source: routing notes, section 5.2 and I4, I5; API notes, section 3.3.

use api::HttpMatchRequest;

/// Beginnings of expressions that RE2 does not have.
const LOOK_AROUND: [&str; 4] = ["(?=", "(?!", "(?<=", "(?<!"];

/// What Istio does not understand about a condition on a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The name has capital letters, so it never matches: Istio wants lower case.
    Capitals,
    /// The regular expression looks around, by this. Istio's are RE2, which cannot: it refuses the route.
    LookAround(&'static str),
}

/// The doubts about one condition, with the names of the headers as they are written.
pub fn doubts(condition: &HttpMatchRequest) -> impl Iterator<Item = (&str, Doubt)> {
    condition.headers.iter().flat_map(|(name, value)| {
        let capitals = name.chars().any(char::is_uppercase).then_some(Doubt::Capitals);
        let regex = value.regex.as_deref().unwrap_or_default();
        let look_around = LOOK_AROUND.into_iter().find(|start| regex.contains(start)).map(Doubt::LookAround);
        capitals.into_iter().chain(look_around).map(move |doubt| (name.as_str(), doubt))
    })
}

/// The doubts about the conditions of an A/B test, in words for an event.
pub(super) fn misunderstood(conditions: &[HttpMatchRequest]) -> Vec<String> {
    let told = conditions.iter().enumerate().flat_map(|(at, condition)| {
        doubts(condition).map(move |(name, doubt)| {
            let path = format!("analysis.match[{at}].headers.{name}");
            match doubt {
                Doubt::Capitals => format!("{path} never matches: Istio wants names of headers in lower case"),
                Doubt::LookAround(found) => format!("{path} is refused by Istio: `{found}` is not known to RE2"),
            }
        })
    });
    told.collect()
}

/// Conditions that must hold beside those of the service: the cross product, conditions outer. Headers, query parameters and source labels of both must
/// hold; where both name the same one, the condition's wins. Other fields of conditions are not for this place. Without matches of the service, the
/// conditions are all there is.
pub(super) fn merged(conditions: &[HttpMatchRequest], service: &[HttpMatchRequest]) -> Vec<HttpMatchRequest> {
    if service.is_empty() {
        return conditions.to_vec();
    }
    conditions.iter().flat_map(|condition| service.iter().map(move |default| both(condition, default))).collect()
}

fn both(condition: &HttpMatchRequest, default: &HttpMatchRequest) -> HttpMatchRequest {
    let mut both = default.clone();
    both.headers.extend(condition.headers.clone());
    both.query_params.extend(condition.query_params.clone());
    both.source_labels.extend(condition.source_labels.clone());
    both
}
