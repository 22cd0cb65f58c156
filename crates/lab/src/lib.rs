//! A Kubernetes API in this process, simulated nodes, a small data plane.
