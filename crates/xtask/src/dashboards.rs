//! Grafana's dashboards: `charts/grafana/dashboards/*.json`.

mod controller;
mod panel;
mod workloads;

use crate::Generated;
use anyhow::Result;
use panel::Dashboard;
use std::path::PathBuf;

/// All of ours.
fn all() -> Vec<Dashboard> {
    vec![workloads::istio(), workloads::envoy(), workloads::appmesh(), workloads::nginx(), controller::controller()]
}

/// One file each.
pub(crate) fn dashboards() -> Result<Vec<Generated>> {
    let file = |dashboard: Dashboard| {
        let path = PathBuf::from(format!("charts/grafana/dashboards/{}.json", dashboard.file));
        Ok(Generated { path, content: serde_json::to_string_pretty(&dashboard.json())? + "\n" })
    };
    all().into_iter().map(file).collect()
}
