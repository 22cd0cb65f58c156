//! A few objects in a list, for tests.

use super::Objects;
use objects::paths::text;
use serde_json::Value;
use std::sync::Arc;

/// Objects from YAML documents.
#[derive(Debug, Clone, Default)]
pub(super) struct Fixed(Vec<Arc<Value>>);

impl Fixed {
    pub(super) fn of(documents: &[&str]) -> Self {
        Self(documents.iter().map(|text| Arc::new(serde_yaml_ng::from_str(text).unwrap())).collect())
    }
}

impl Objects for Fixed {
    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.list(kind, namespace).into_iter().find(|one| text(one, "/metadata/name") == name)
    }

    fn list(&self, kind: &str, namespace: &str) -> Vec<Arc<Value>> {
        let of = |one: &&Arc<Value>| text(one, "/kind") == kind && text(one, "/metadata/namespace") == namespace;
        self.0.iter().filter(of).cloned().collect()
    }
}
