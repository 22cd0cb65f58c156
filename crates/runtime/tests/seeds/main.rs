//! Five public documents that show people using this system, taken apart step by step. Each test is named by the number of its step in the list of acceptance
//! scenarios, S000-01 to S004-14, and applies the files of `examples/`, so that what is shown there is what is proved here. Simulated time, the whole
//! controller on the lab.
//!
//! | document | shows | examples |
//! | --- | --- | --- |
//! | S000 | a pipeline from git with Istio: weighted, A/B, Slack | `gitops-istio` |
//! | S001 | how it works | `how-it-works` |
//! | S002 | a cluster made by one command, A/B with metrics of one's own | `gitops-flux-bootstrap` |
//! | S003 | NGINX, the bundled Prometheus, a latency of one's own, Microsoft Teams | `nginx-latency` |
//! | S004 | NGINX, five strategies | `nginx-strategies` |
//!
//! What is tested elsewhere, and what cannot be tested on these machines, is in the table of `docs/seeds.md`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "helpers of tests"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod documents;
mod s000;
mod s000_alerts;
mod s001;
mod s001_service;
mod s002;
mod s003;
mod s004;
