//! Permissions that the API server says are missing.
//!
//! Reads the server's own words: they name verb, resource and namespace. A permission counts as missing until a request that needs it succeeds, or until
//! nobody has asked for it for a while. What cannot go on without it tells so itself, with the same words; here they are kept for `/readyz` and told once in the log.

use objects::Kind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

/// What was refused is tried again after a minute at most. After that time, nobody needs it any more.
const RELEVANT: Duration = Duration::from_secs(300);

/// What one API server refuses. Copies share it.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    /// With the moment of the last refusal.
    missing: Arc<Mutex<BTreeMap<Permission, Instant>>>,
}

/// Something that one may be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Permission {
    verb: String,
    /// `deployments.apps`, `canaries.flagger.app/status`.
    resource: String,
    /// Empty for the whole cluster.
    namespace: String,
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, resource, namespace } = self;
        match namespace.as_str() {
            "" => write!(f, "{verb} {resource} in the whole cluster"),
            namespace => write!(f, "{verb} {resource} in namespace {namespace}"),
        }
    }
}

impl Permissions {
    /// What is missing, one line each.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = self.set();
        missing.retain(|_, refused| refused.elapsed() < RELEVANT);
        missing.keys().map(ToString::to_string).collect()
    }

    /// The server refused something with code 403. Admission webhooks do so as well, in other words.
    pub(crate) fn refused(&self, message: &str) {
        let Some(permission) = read(message) else { return };
        let before = self.set().insert(permission.clone(), Instant::now());
        if before.is_none_or(|before| before.elapsed() >= RELEVANT) {
            warn!("Permission missing: {permission}");
        }
    }

    /// The server did something in a namespace, or (empty) in all of them.
    pub(crate) fn granted(&self, verb: &str, kind: &Kind, subresource: Option<&str>, namespace: &str) {
        let mut missing = self.set();
        if missing.is_empty() {
            return;
        }
        let resource = match subresource {
            Some(subresource) => format!("{}/{subresource}", kind.resource()),
            None => kind.resource(),
        };
        missing.retain(|one, _| {
            let same =
                one.verb == verb && one.resource == resource && (namespace.is_empty() || one.namespace == namespace);
            if same {
                info!("Permission granted: {one}");
            }
            !same
        });
    }

    fn set(&self) -> MutexGuard<'_, BTreeMap<Permission, Instant>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `... cannot VERB resource "RESOURCE" in API group "GROUP" in the namespace "NAMESPACE"` or `... at the cluster scope`: what every API server says.
fn read(message: &str) -> Option<Permission> {
    let (_, rest) = message.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once("\" in API group \"")?;
    let (group, rest) = rest.split_once('"')?;
    let namespace = rest.split_once(" in the namespace \"").and_then(|(_, rest)| rest.split_once('"'));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let mut name = resource.to_owned();
    for (mark, part) in [('.', group), ('/', subresource)] {
        if !part.is_empty() {
            name.push(mark);
            name.push_str(part);
        }
    }
    Some(Permission {
        verb: verb.to_owned(),
        resource: name,
        namespace: namespace.map_or("", |(namespace, _)| namespace).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use objects::kind::{CANARY, DEPLOYMENT, SERVICE};

    const ACCOUNT: &str = "User \"system:serviceaccount:flagger-system:flagger\"";

    #[tokio::test(start_paused = true)]
    async fn a_permission_is_missing_until_it_is_used() {
        let permissions = Permissions::default();
        let write = format!(
            "deployments.apps \"cart\" is forbidden: {ACCOUNT} cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"shop\""
        );
        let list = format!(
            "services is forbidden: {ACCOUNT} cannot list resource \"services\" in API group \"\" at the cluster scope"
        );
        let status = format!(
            "canaries.flagger.app \"cart\" is forbidden: {ACCOUNT} cannot patch resource \"canaries/status\" in API group \"flagger.app\" in the namespace \"shop\""
        );
        for message in [&write, &write, &list, &status] {
            permissions.refused(message);
        }
        let (deployments, services, canaries) = (
            "patch deployments.apps in namespace shop",
            "list services in the whole cluster",
            "patch canaries.flagger.app/status in namespace shop",
        );
        assert_eq!(permissions.missing(), [services, canaries, deployments]);
        permissions.granted("patch", &DEPLOYMENT, None, "other");
        permissions.granted("create", &DEPLOYMENT, None, "shop");
        permissions.granted("patch", &CANARY, None, "shop");
        assert_eq!(permissions.missing().len(), 3);
        permissions.granted("patch", &DEPLOYMENT, None, "shop");
        permissions.granted("patch", &CANARY, Some("status"), "shop");
        assert_eq!(permissions.missing(), [services]);
        permissions.granted("list", &SERVICE, None, "");
        assert!(permissions.missing().is_empty());
        permissions.refused(&write);
        tokio::time::advance(RELEVANT).await;
        assert!(permissions.missing().is_empty(), "nobody has asked for it since");
    }

    #[test]
    fn a_webhook_that_refuses_is_no_missing_permission() {
        let permissions = Permissions::default();
        for message in [
            "admission webhook \"policy.example.com\" denied the request: you cannot do that",
            "",
            "Forbidden",
            " cannot get resource \"x",
        ] {
            permissions.refused(message);
        }
        assert!(permissions.missing().is_empty());
    }
}
