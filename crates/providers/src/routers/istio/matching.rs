//! The matches of Istio's HTTP rules: those of the service, and the product of a rule's own conditions with them.
//!
//! Source: routing notes, section 5.2 and I4, I5; API notes, section 3.3.

use api::HttpMatchRequest;

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
