//! A small data plane: real HTTP requests on loopback, split as the routing objects say, answered by a bundled application, counted, and told to whoever
//! asks as Prometheus would.
//!
//! [`split`] reads the routing objects, [`backends`] finds the workloads behind a Service, [`app`] is the application, [`traffic`] moves the requests,
//! [`samples`] remembers what came back, [`promql`] evaluates queries over that and [`prometheus`] serves them. It reads the objects of the lab through
//! [`Objects`] and writes none of them.

pub mod app;
pub mod backends;
mod http;
pub mod prometheus;
pub mod promql;
pub mod samples;
pub mod split;
mod spread;
pub mod traffic;

pub use samples::{Count, Sample, Samples};
pub use spread::Spread;
pub use traffic::{DataPlane, Load, Tally};

use serde_json::Value;
use std::fmt::Debug;
use std::sync::Arc;

/// The objects of a cluster as they are now. Kinds are told by their name alone (`VirtualService`, `Service`), whatever the version.
pub trait Objects: Debug + Send + Sync {
    /// One object, if it is there.
    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;
    /// All objects of a kind in a namespace, by name; none if there is no such kind.
    fn list(&self, kind: &str, namespace: &str) -> Vec<Arc<Value>>;
}

impl Objects for crate::Lab {
    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.get(kind, namespace, name)
    }

    fn list(&self, kind: &str, namespace: &str) -> Vec<Arc<Value>> {
        crate::Lab::list(self, kind, namespace)
    }
}

#[cfg(test)]
mod testing;
