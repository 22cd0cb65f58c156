//! Subresources that need a container or a key: the lab has neither, and says so plainly.

use crate::failure::Failure;
use crate::resource::Resource;

/// Why a subresource of this kind cannot be served; none: there is no such subresource.
pub(crate) fn refusal(resource: &Resource, name: &str, subresource: &str) -> Option<Failure> {
    let message = match (resource.table.as_str(), subresource) {
        ("pods", "log") => format!("the lab runs no containers: pod {name:?} has no logs"),
        ("pods", "exec" | "attach") => format!("the lab runs no containers: there is nothing to attach to in pod {name:?}"),
        ("pods", "portforward") => format!(
            "the lab runs no containers: pod {name:?} listens on no port; send requests through the lab's gateway instead"
        ),
        ("pods" | "services", sub) if sub == "proxy" || sub.starts_with("proxy/") => {
            "the lab runs no containers: there is nothing behind a proxy; send requests through the lab's gateway instead".to_owned()
        }
        ("pods", "ephemeralcontainers") => "the lab runs no containers, and no ephemeral ones either".to_owned(),
        ("nodes", sub) if sub.starts_with("proxy") => "the lab has no kubelets".to_owned(),
        ("serviceaccounts", "token") => "the lab asks nobody for a token and issues none".to_owned(),
        _ => return None,
    };
    Some(Failure { code: 501, reason: "NotImplemented", message, details: None })
}
