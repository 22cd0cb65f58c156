//! Plays controller manager and nodes for an API server that has neither: every Deployment becomes ready, at the price of one write. What is left is what the
//! controller itself costs the API server; with real controllers most of the work is theirs.

use futures::StreamExt as _;

use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event};
use objects::kind::DEPLOYMENT;
use runtime::clock::Clock;
use runtime::cluster::{self, Cluster};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long pods take.
const START: Duration = Duration::from_millis(200);

/// Begins to play; ends when the set is dropped.
pub(crate) fn play(client: kube::Client) -> JoinSet<()> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &cluster::resource(&DEPLOYMENT));
    let mut nodes = JoinSet::new();
    nodes.spawn(async move {
        let mut events = kube::runtime::watcher(api, watcher::Config::default()).boxed();
        let mut starting = JoinSet::new();
        while let Some(event) = events.next().await {
            while starting.try_join_next().is_some() {}
            let Ok(Event::Apply(object) | Event::InitApply(object)) = event else { continue };
            let generation = object.metadata.generation.unwrap_or_default();
            if object.data.pointer("/status/observedGeneration").and_then(Value::as_i64) >= Some(generation) {
                continue;
            }
            let cluster = Cluster::new(client.clone());
            starting.spawn(async move {
                tokio::time::sleep(START).await;
                let target = DEPLOYMENT.object(
                    object.metadata.namespace.as_deref().unwrap_or_default(),
                    object.metadata.name.as_deref().unwrap_or_default(),
                );
                if let Err(error) = cluster.merge(&target, &ready(&object, generation), None, Some("status")).await {
                    eprintln!("bench: the status of {target}: {error}");
                }
            });
        }
    });
    nodes
}

/// The status of a Deployment all of whose pods are ready.
fn ready(object: &DynamicObject, generation: i64) -> Value {
    let replicas = object.data.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let now = Clock::System.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "", "lastUpdateTime": now, "lastTransitionTime": now});
    json!({"status": {
        "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
        "conditions": [condition("Available", "MinimumReplicasAvailable"), condition("Progressing", "NewReplicaSetAvailable")],
    }})
}
