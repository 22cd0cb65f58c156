//! Patches of all kinds through a client.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests"
)]

mod common;

use common::*;
use kube::api::{Patch, PatchParams};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn strategic_merge_knows_containers_by_name() {
    let (_lab, client) = bare();
    let api = objects(&client, "apps/v1/Deployment");
    let mut two = deployment("x", 1);
    two["spec"]["template"]["spec"]["containers"] =
        json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]);
    create(&api, two).await.unwrap();
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "b:2"}]}}}});
    api.patch("x", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    let live = get(&api, "x").await;
    let images: Vec<_> = live["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["name"], &one["image"]))
        .collect();
    assert_eq!(images, [(&json!("a"), &json!("a:1")), (&json!("b"), &json!("b:2"))]);
}

#[tokio::test(start_paused = true)]
async fn custom_kinds_have_no_strategic_merge() {
    let (lab, client) = bare();
    lab.create(definition(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}))).unwrap();
    lab.create(thing("x", json!({}))).unwrap();
    let api = objects(&client, "test.io/v1/Thing");
    let refused = refusal(api.patch("x", &PatchParams::default(), &Patch::Strategic(json!({"spec": {}}))).await);
    let text = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, \
        application/merge-patch+json, application/apply-patch+yaml";
    assert_eq!(refused, (415, text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn json_patches_apply_or_are_rejected_as_a_whole() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    create(&api, config_map("x")).await.unwrap();
    let patch = |patch| Patch::Json::<()>(serde_json::from_value(patch).unwrap());
    let good =
        patch(json!([{"op": "test", "path": "/data/a", "value": "1"}, {"op": "add", "path": "/data/b", "value": "2"}]));
    let patched = api.patch("x", &PatchParams::default(), &good).await.unwrap();
    assert_eq!(patched.data["data"], json!({"a": "1", "b": "2"}));
    let version = lab.version();
    let bad = patch(json!([{"op": "add", "path": "/data/c", "value": "3"}, {"op": "remove", "path": "/data/none"}]));
    assert_eq!(refusal(api.patch("x", &PatchParams::default(), &bad).await).0, 422);
    assert_eq!(lab.version(), version);
}

#[tokio::test(start_paused = true)]
async fn applies_create_share_and_take_fields() {
    let (_lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    let config = |data: serde_json::Value| {
        Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data}))
    };
    let (one, two) = (PatchParams::apply("one"), PatchParams::apply("two"));
    api.patch("x", &one, &config(json!({"a": "1", "b": "1"}))).await.unwrap();
    let conflict = refusal(api.patch("x", &two, &config(json!({"a": "2"}))).await);
    assert_eq!(conflict, (409, "Apply failed with 1 conflict: conflict with \"one\": .data.a".to_owned()));
    api.patch("x", &two.clone().force(), &config(json!({"a": "2"}))).await.unwrap();
    let left = api.patch("x", &one, &config(json!({}))).await.unwrap();
    assert_eq!(left.data["data"], json!({"a": "2"}), "what nobody applies any more is gone");
}

#[tokio::test(start_paused = true)]
async fn applying_the_same_again_writes_nothing() {
    let (lab, client) = bare();
    let api = objects(&client, "apps/v1/Deployment");
    let mut config = deployment("x", 1);
    config["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1000m"}});
    let me = PatchParams::apply("me");
    api.patch("x", &me, &Patch::Apply(&config)).await.unwrap();
    let version = lab.version();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    api.patch("x", &me, &Patch::Apply(&config)).await.unwrap();
    assert_eq!(lab.version(), version);
}
