//! What follows a deletion: dependents, contents of namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests"
)]

mod common;

use common::*;
use kube::api::DeleteParams;
use serde_json::{Value, json};

fn owned(name: &str, owners: &[&Value]) -> Value {
    let mut one = config_map(name);
    let reference = |owner: &&Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true});
    one["metadata"]["ownerReferences"] = owners.iter().map(reference).collect();
    one
}

#[tokio::test(start_paused = true)]
async fn dependents_go_when_their_last_owner_does() {
    let (lab, _client) = bare();
    let (a, b) = (lab.create(config_map("a")).unwrap(), lab.create(config_map("b")).unwrap());
    lab.create(owned("only-a", &[&a])).unwrap();
    lab.create(owned("both", &[&a, &b])).unwrap();
    lab.delete("cm", "default", "a").unwrap();
    assert!(lab.get("cm", "default", "only-a").is_some(), "not at once");
    lab.wait_until(|view| view.get("cm", "default", "only-a").is_none()).await;
    lab.wait_until(|view| {
        view.get("cm", "default", "both")
            .is_some_and(|one| one["metadata"]["ownerReferences"].as_array().unwrap().len() == 1)
    })
    .await;
    lab.delete("cm", "default", "b").unwrap();
    lab.wait_until(|view| view.get("cm", "default", "both").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_owner_never_was_is_collected() {
    let (lab, _client) = bare();
    let stranger = json!({"metadata": {"name": "x", "uid": "no-such-uid"}});
    lab.create(owned("lost", &[&stranger])).unwrap();
    lab.wait_until(|view| view.get("cm", "default", "lost").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn foreground_waits_and_orphan_sets_free() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    let first = lab.create(config_map("first")).unwrap();
    let mut held = owned("held", &[&first]);
    held["metadata"]["finalizers"] = json!(["test.io/hold"]);
    lab.create(held).unwrap();
    api.delete("first", &DeleteParams::foreground()).await.unwrap();
    lab.wait_until(|view| {
        view.get("cm", "default", "held").is_some_and(|one| one["metadata"].get("deletionTimestamp").is_some())
    })
    .await;
    assert_eq!(lab.get("cm", "default", "first").unwrap()["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    lab.merge("cm", "default", "held", &json!({"metadata": {"finalizers": null}})).unwrap();
    lab.wait_until(|view| view.get("cm", "default", "first").is_none()).await;

    let second = lab.create(config_map("second")).unwrap();
    lab.create(owned("free", &[&second])).unwrap();
    api.delete("second", &DeleteParams::orphan()).await.unwrap();
    lab.wait_until(|view| view.get("cm", "default", "second").is_none()).await;
    assert_eq!(lab.get("cm", "default", "free").unwrap()["metadata"].get("ownerReferences"), None);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_with_its_contents() {
    let (lab, client) = bare();
    lab.apply_yaml("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: gone}\n").unwrap();
    cluster(&client, "v1/Namespace").delete("gone", &DeleteParams::default()).await.unwrap();
    assert_eq!(lab.get("ns", "", "gone").unwrap()["status"]["phase"], "Terminating");
    let mut late = config_map("late");
    late["metadata"]["namespace"] = json!("gone");
    let text = "configmaps \"late\" is forbidden: unable to create new content in namespace gone because it is being terminated";
    assert_eq!(lab.create(late).unwrap_err().to_string(), text);
    lab.wait_until(|view| view.get("ns", "", "gone").is_none()).await;
    assert_eq!(lab.list("cm", "gone"), []);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_deletes_nothing() {
    let (lab, client) = bare();
    lab.create(config_map("a")).unwrap();
    let api = objects(&client, "v1/ConfigMap");
    let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
    api.delete("a", &dry).await.unwrap();
    api.delete_collection(&dry, &kube::api::ListParams::default()).await.unwrap();
    assert!(lab.get("cm", "default", "a").is_some());
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(lab.get("cm", "default", "a").is_none());
}

#[tokio::test(start_paused = true)]
async fn events_go_an_hour_after_they_were_last_written() {
    let (lab, _client) = bare();
    lab.create(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "message": "m"}))
        .unwrap();
    let minutes = |minutes: u64| tokio::time::sleep(std::time::Duration::from_secs(60 * minutes));
    minutes(50).await;
    lab.merge("events", "default", "e", &json!({"count": 2})).unwrap();
    minutes(50).await;
    assert!(lab.get("events", "default", "e").is_some());
    minutes(20).await;
    assert!(lab.get("events", "default", "e").is_none());
}
