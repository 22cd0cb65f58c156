//! The matches of Istio's HTTP rules: those of the service, and the product of a rule's own conditions with them.
//!
//! Source: routing notes, section 5.2 and I4, I5; API notes, section 3.3.

use api::HttpMatchRequest;

/// Beginnings of expressions that RE2 does not have.
const LOOK_AROUND: [&str; 4] = ["(?=", "(?!", "(?<=", "(?<!"];

/// A look-around in a regular expression. Istio's are RE2, which has none: Istio refuses the route.
pub fn look_around(regex: &str) -> Option<&'static str> {
    LOOK_AROUND.into_iter().find(|start| regex.contains(start))
}

/// Whether the name of a header is one that never matches: Istio wants lower case.
pub fn never_matches(header: &str) -> bool {
    header.chars().any(char::is_uppercase)
}

/// What is passed on as the user wrote it although Istio does not understand it, in words for an event.
pub(super) fn misunderstood(conditions: &[HttpMatchRequest]) -> Vec<String> {
    let headers =
        conditions.iter().enumerate().flat_map(|(at, one)| one.headers.iter().map(move |header| (at, header)));
    let told = headers.flat_map(|(at, (name, value))| {
        let path = format!("analysis.match[{at}].headers.{name}");
        let regex = look_around(value.regex.as_deref().unwrap_or_default());
        let name =
            never_matches(name).then(|| format!("{path} never matches: Istio wants names of headers in lower case"));
        let regex = regex.map(|found| format!("{path} is refused by Istio: `{found}` is not known to RE2"));
        name.into_iter().chain(regex)
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
