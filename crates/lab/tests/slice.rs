//! The lab as a client of kube-rs sees it, in memory and in simulated time.

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::Client;
use lab::{Lab, Options};
use serde_json::json;
use std::time::Duration;

fn deployment(name: &str) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "podinfo:1"}]}}}
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_ready_and_rolls() {
    let lab = Lab::new(Options::default());
    let client = Client::new(lab.service_as("test"), "default");
    let api: Api<Deployment> = Api::namespaced(client, "default");
    api.create(&PostParams::default(), &deployment("a")).await.unwrap();
    lab.wait_until(|view| view.get("deploy", "default", "a").is_some_and(|one| one["status"]["readyReplicas"] == 2)).await;
    let live = api.get("a").await.unwrap();
    let status = live.status.unwrap();
    assert_eq!(status.updated_replicas, Some(2));
    assert_eq!(status.conditions.unwrap()[1].reason.as_deref(), Some("NewReplicaSetAvailable"));
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}});
    let patched = api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    assert_eq!(patched.metadata.generation, Some(2));
    lab.wait_until(|view| {
        view.get("deploy", "default", "a").is_some_and(|one| one["status"]["observedGeneration"] == 2 && one["status"]["updatedReplicas"] == 2 && one["status"]["replicas"] == 2)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn lists_and_watches_see_what_is_written() {
    let lab = Lab::new(Options::default());
    let api: Api<ConfigMap> = Api::namespaced(Client::new(lab.service(), "default"), "default");
    let one: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "x"}, "data": {"a": "1"}})).unwrap();
    let list = api.list(&ListParams::default()).await.unwrap();
    api.create(&PostParams::default(), &one).await.unwrap();
    api.patch("x", &PatchParams::default(), &Patch::Merge(json!({"data": {"a": "2"}}))).await.unwrap();
    api.patch("x", &PatchParams::default(), &Patch::Merge(json!({"data": {"a": "2"}}))).await.unwrap();
    api.delete("x", &DeleteParams::default()).await.unwrap();
    let version = list.metadata.resource_version.unwrap();
    let params = WatchParams::default().timeout(5);
    let mut events = std::pin::pin!(api.watch(&params, &version).await.unwrap());
    let mut seen = Vec::new();
    while let Some(event) = tokio::time::timeout(Duration::from_secs(20), events.try_next()).await.unwrap().unwrap() {
        seen.push(match event {
            WatchEvent::Added(_) => "added",
            WatchEvent::Modified(_) => "modified",
            WatchEvent::Deleted(_) => "deleted",
            WatchEvent::Bookmark(_) => "bookmark",
            WatchEvent::Error(_) => "error",
        });
    }
    assert_eq!(seen, ["added", "modified", "deleted", "bookmark"]);
}
