//! Which workload answers for a Service.
//!
//! A Service selects pods; here the workloads (`Deployment`, `DaemonSet`) whose pod template carries the selected labels stand for them, with as many turns as they
//! have ready pods. Reads `Service.spec.selector`, `spec.template.metadata.labels`, `status.readyReplicas` and `status.numberReady`.

use super::{Objects, Spread};
use objects::paths::{integer, strings, text};
use serde_json::Value;
use std::sync::Arc;

/// Kind of workload, and where it tells how many of its pods are ready.
pub(super) const WORKLOADS: &[(&str, &str)] =
    &[("Deployment", "/status/readyReplicas"), ("DaemonSet", "/status/numberReady")];

/// A workload that can answer.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The object.
    pub object: Arc<Value>,
}

/// The workload whose turn it is to answer for a Service; `None` if there is no such Service or none of its pods is ready.
pub fn backend(objects: &dyn Objects, spread: &mut Spread, namespace: &str, service: &str) -> Option<Backend> {
    let selector = strings(&*objects.find("Service", namespace, service)?, "/spec/selector");
    if selector.is_empty() {
        return None;
    }
    let selected = |workload: &Value| {
        let labels = strings(workload, "/spec/template/metadata/labels");
        selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let candidates: Vec<(Arc<Value>, i64)> = WORKLOADS
        .iter()
        .flat_map(|(kind, ready)| objects.list(kind, namespace).into_iter().map(move |one| (one, *ready)))
        .filter(|(workload, _)| selected(workload))
        .map(|(workload, ready)| {
            let pods = integer(&workload, ready).unwrap_or(0);
            (workload, pods)
        })
        .collect();
    let weights: Vec<i64> = candidates.iter().map(|(_, pods)| *pods).collect();
    let taken = spread.next(&format!("Service {service}.{namespace}"), &weights)?;
    let (object, _) = candidates.into_iter().nth(taken)?;
    Some(Backend { namespace: namespace.to_owned(), name: text(&object, "/metadata/name").to_owned(), object })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::testing::Fixed;

    const SERVICE: &str = "{kind: Service, metadata: {name: shop, namespace: test}, spec: {selector: {app: shop}}}";

    fn deployment(name: &str, app: &str, ready: i64) -> String {
        format!(
            "{{kind: Deployment, metadata: {{name: {name}, namespace: test}}, spec: {{template: {{metadata: {{labels: {{app: {app}, tier: web}}}}}}}}, status: {{readyReplicas: {ready}}}}}"
        )
    }

    fn answers(workloads: &[String]) -> Vec<String> {
        let mut documents = vec![SERVICE];
        documents.extend(workloads.iter().map(String::as_str));
        let (objects, mut spread) = (Fixed::of(&documents), Spread::default());
        (0..3).filter_map(|_| backend(&objects, &mut spread, "test", "shop")).map(|one| one.name).collect()
    }

    #[test]
    fn ready_pods_of_the_selected_workloads_take_turns() {
        assert_eq!(answers(&[deployment("a", "shop", 1), deployment("b", "other", 5)]), ["a", "a", "a"]);
        assert_eq!(answers(&[deployment("a", "shop", 1), deployment("b", "shop", 2)]), ["b", "a", "b"]);
    }

    #[test]
    fn nobody_answers_without_ready_pods_or_without_service() {
        assert!(answers(&[deployment("a", "shop", 0)]).is_empty());
        assert!(answers(&[]).is_empty());
        assert!(backend(&Fixed::default(), &mut Spread::default(), "test", "shop").is_none());
    }
}
