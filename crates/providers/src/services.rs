//! The three Kubernetes Services of a Canary: apex, primary, canary.
