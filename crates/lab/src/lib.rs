//! A Kubernetes API in this process, simulated nodes, a small data plane.
//!
//! [`Lab`] is an API server without etcd: kube-rs talks to it in memory ([`Lab::service`]), kubectl and client-go over HTTP ([`Lab::serve`]). It serves
//! the demo, rehearsals of a user's own manifests, and the integration tests: stamps come from a [`Clock`], delays run on tokio's, so with paused tokio
//! time a rollout of an hour takes milliseconds.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), lab::Failure> {
//! let lab = lab::Lab::default();
//! lab.apply_yaml("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: test}, data: {x: y}}")?;
//! // let client = kube::Client::new(lab.service(), "test");
//! lab.wait_until(|view| view.get("cm", "test", "a").is_some()).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it is
//!
//! Discovery; create, get, list (selectors, pages, old versions), watch (bookmarks, streamed lists, 410 for lost history), update, the four kinds of
//! patches, delete (preconditions, finalizers, propagation), delete of collections; status and scale subresources; `resourceVersion`, `generation`,
//! `managedFields`; custom resource definitions with defaults, pruning and validation; garbage collection by owner; tables for kubectl. The answers
//! are compared with those of kube-apiserver 1.36 (`tests/differential`): same fields, same refusals, same texts, except as listed there and below.
//! Deployments and `DaemonSet`s become ready as the annotation `sim/ready-after` of their pod template says (seconds, or `never`).
//!
//! # What it is not
//!
//! * Secure: everybody may do everything, access reviews say so, and there is no TLS.
//! * Exact about bodies that do not decode: the status code is right, the text names Rust types instead of Go types.
//! * Protobuf in answers, CBOR, YAML answers, compression, aggregated discovery, merge keys in `OpenAPI`: not spoken; clients fall back to JSON and to their
//!   own tables. `OpenAPI` v2 is an empty document. Bodies in protobuf are read for built-in kinds (`protobuf.rs`).
//! * CEL: the rules of definitions run, but without limits of cost, types or Kubernetes' own functions. Schemas themselves are not checked. Defaults are filled in on writes, not on reads.
//!   There is no conversion between versions but the change of `apiVersion`. A definition is established in the moment in which it is written.
//! * All of the built-in kinds: `ConfigMap`s, Secrets, Services, Namespaces, Events, Pods, Ingresses, autoscalers, definitions and the workloads of
//!   `apps/v1` are completed and checked (the rules that people meet, not every rule); the others are only read by their types. Events are the same
//!   objects in `v1` and `events.k8s.io/v1`, autoscalers in `autoscaling/v1` and `v2`.
//! * `managedFields`: fields that the server itself fills into definitions are nobody's, and an apply neither converts between versions nor keeps a record
//!   of what was there before the first apply.
//! * Nodes: no scheduling, no scaling by autoscalers, no `v1 Endpoints`; `StatefulSet`s and Jobs are objects only, and so are `ReplicaSet`s that belong to no
//!   Deployment. Pods end at once. Where a rolling update creates and removes several pods, it does so in one moment instead of one by one.
//!   Objects of Pods, of the `ReplicaSet`s of Deployments and `EndpointSlice`s of Services are made if asked for ([`NodeOptions::pods`]).
//! * Admission: no quotas, limits, webhooks or service accounts.
//! * Slow: there is no latency but what a [`Hook`] adds; consequences of a deletion follow after 10 ms, reactions of the nodes as [`NodeOptions`] says.

mod builtins;
mod clock;
pub mod dataplane;
mod defaults;
pub mod definitions;
mod discovery;
mod expiry;
mod failure;
pub mod faults;
mod gc;
mod lab;
mod media;
mod nodes;
mod openapi;
mod options;
mod parts;
mod patch;
mod paths;
mod present;
mod protobuf;
mod quantity;
mod request;
mod resource;
mod respond;
mod reviews;
mod schema;
mod selector;
mod server;
mod store;
mod table;
mod verbs;
mod watch;

pub use clock::{Clock, SimulatedClock, SystemClock};
pub use failure::{Breach, Failure, FieldError};
pub use lab::{Lab, Options, View, read_yaml};
pub use nodes::NodeOptions;
pub use request::{Call, Entry, Hook, Intervention, RequestLog, Verb};
pub use server::{BoxError, Disconnected, LabBody, LabService, Server};
