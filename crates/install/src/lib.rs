//! What is installed into a cluster: the one source of the manifests, the charts' rules and `kubectl flagger install`.
//!
//! Pure. Definitions come from the wire types (`api`), permissions from the lists of the providers ([`rules`]), the rest is here ([`objects`],
//! [`prometheus`]). `xtask` writes it into `artifacts/`, `kustomize/` and `charts/`; the plugin applies it.
//! Source: operations notes, sections 5, 6 and 10.

pub mod objects;
pub mod prometheus;
pub mod rules;

use serde_json::Value;

/// Repository of the controller's image, wherever nobody names another.
pub const REPOSITORY: &str = "flagger";
/// Repository of the load tester's image, wherever nobody names another.
pub const TESTER_REPOSITORY: &str = "flagger-loadtester";
/// Version of the controller, and tag of its image: the version whose behaviour it has.
pub const VERSION: &str = "1.44.0";
/// Version of the load tester, and tag of its image.
pub const TESTER_VERSION: &str = "0.38.0";

/// Objects as one YAML stream, in their order.
pub fn yaml(objects: &[Value]) -> Result<String, serde_yaml_ng::Error> {
    let documents: Result<Vec<String>, _> = objects.iter().map(serde_yaml_ng::to_string).collect();
    Ok(documents?.join("---\n"))
}
