//! Custom kinds: served as soon as they are defined, completed, pruned and checked by their schema, gone with their definition.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests"
)]

mod common;

use common::*;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::discovery;
use serde_json::{Value, json};
use std::time::Duration;

fn schema() -> Value {
    json!({"type": "object", "required": ["must"], "properties": {
        "must": {"type": "string", "pattern": "^[a-z]+$"}, "number": {"type": "integer", "minimum": 1, "default": 3},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_served_at_once() {
    let (lab, client) = bare();
    lab.create(definition(schema())).unwrap();
    let defined = lab.get("crd", "", "things.test.io").unwrap();
    assert_eq!(defined["status"]["conditions"][1]["type"], "Established");
    let (resource, capabilities) =
        discovery::pinned_kind(&client, &kube::api::GroupVersionKind::gvk("test.io", "v1", "Thing")).await.unwrap();
    assert_eq!(resource.plural, "things");
    assert!(capabilities.supports_operation(discovery::verbs::WATCH));
    let group = discovery::group(&client, "test.io").await.unwrap();
    assert_eq!(group.preferred_version_or_latest(), "v1");
}

#[tokio::test(start_paused = true)]
async fn objects_are_completed_pruned_and_checked() {
    let (lab, client) = bare();
    lab.create(definition(schema())).unwrap();
    let api = objects(&client, "test.io/v1/Thing");
    let made = create(&api, thing("x", json!({"must": "a", "unknown": 1, "free": {"any": 1}}))).await.unwrap();
    assert_eq!(made["spec"], json!({"must": "a", "free": {"any": 1}, "number": 3}));
    let bad = refusal(create(&api, thing("y", json!({"must": "A", "number": 0}))).await);
    let text = "Thing.test.io \"y\" is invalid: [spec.must: Invalid value: \"A\": spec.must in body should match '^[a-z]+$', \
        spec.number: Invalid value: 0: spec.number in body should be greater than or equal to 1]";
    assert_eq!(bad, (422, text.to_owned()));
    let without = refusal(create(&api, thing("y", json!({}))).await);
    assert_eq!(without, (422, "Thing.test.io \"y\" is invalid: spec.must: Required value".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_was_wrong_before_the_schema_changed_may_stay() {
    let (lab, client) = bare();
    lab.create(definition(
        json!({"type": "object", "properties": {"must": {"type": "string"}, "number": {"type": "integer"}}}),
    ))
    .unwrap();
    let api = objects(&client, "test.io/v1/Thing");
    create(&api, thing("x", json!({"must": "OLD"}))).await.unwrap();
    lab.apply(&definition(schema())).unwrap();
    merge(&api, "x", json!({"spec": {"number": 4}})).await.unwrap();
    assert_eq!(refusal(merge(&api, "x", json!({"spec": {"must": "NEW"}})).await).0, 422);
}

#[tokio::test(start_paused = true)]
async fn status_and_spec_have_separate_doors() {
    let (lab, client) = bare();
    lab.create(definition(schema())).unwrap();
    let api = objects(&client, "test.io/v1/Thing");
    let mut with_status = thing("x", json!({"must": "a"}));
    with_status["status"] = json!({"phase": "ignored"});
    assert_eq!(create(&api, with_status).await.unwrap().get("status"), None);
    let both = Patch::Merge(json!({"status": {"phase": "New"}, "spec": {"number": 9}}));
    let patched = api.patch_status("x", &PatchParams::default(), &both).await.unwrap();
    assert_eq!((&patched.data["status"], &patched.data["spec"]["number"]), (&json!({"phase": "New"}), &json!(3)));
    assert_eq!(patched.metadata.generation, Some(1));
    let spec = merge(&api, "x", json!({"status": {"phase": "Lost"}, "spec": {"number": 9}})).await.unwrap();
    assert_eq!((&spec["status"]["phase"], &spec["metadata"]["generation"]), (&json!("New"), &json!(2)));
}

#[tokio::test(start_paused = true)]
async fn an_update_must_name_its_version() {
    let (lab, client) = bare();
    lab.create(definition(schema())).unwrap();
    let api = objects(&client, "test.io/v1/Thing");
    create(&api, thing("x", json!({"must": "a"}))).await.unwrap();
    let refused =
        refusal(api.replace("x", &kube::api::PostParams::default(), &object(thing("x", json!({"must": "b"})))).await);
    let text =
        "things.test.io \"x\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update";
    assert_eq!(refused, (422, text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn versions_show_the_same_object() {
    let (lab, client) = bare();
    let mut two = definition(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let mut beta = two["spec"]["versions"][0].clone();
    beta["name"] = json!("v1beta1");
    beta["storage"] = json!(false);
    two["spec"]["versions"].as_array_mut().unwrap().push(beta);
    lab.create(two).unwrap();
    let mut old = thing("x", json!({"a": 1}));
    old["apiVersion"] = json!("test.io/v1beta1");
    assert_eq!(create(&objects(&client, "test.io/v1beta1/Thing"), old).await.unwrap()["apiVersion"], "test.io/v1beta1");
    let new = get(&objects(&client, "test.io/v1/Thing"), "x").await;
    assert_eq!((&new["apiVersion"], &new["spec"]), (&json!("test.io/v1"), &json!({"a": 1})));
}

#[tokio::test(start_paused = true)]
async fn objects_go_with_their_definition() {
    let (lab, client) = bare();
    lab.create(definition(schema())).unwrap();
    let api = objects(&client, "test.io/v1/Thing");
    create(&api, thing("x", json!({"must": "a"}))).await.unwrap();
    cluster(&client, "apiextensions.k8s.io/v1/CustomResourceDefinition")
        .delete("things.test.io", &DeleteParams::default())
        .await
        .unwrap();
    lab.wait_until(|view| view.get("crd", "", "things.test.io").is_none()).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(matches!(api.list(&ListParams::default()).await, Err(kube::Error::Api(status)) if status.code == 404));
}

#[tokio::test(start_paused = true)]
async fn tables_show_the_printer_columns() {
    let (lab, client) = bare();
    let mut with_columns = definition(schema());
    with_columns["spec"]["versions"][0]["additionalPrinterColumns"] = json!([
        {"name": "Number", "type": "integer", "jsonPath": ".spec.number"}, {"name": "Must", "type": "string", "jsonPath": ".spec.must", "priority": 1}]);
    lab.create(with_columns).unwrap();
    lab.create(thing("x", json!({"must": "a"}))).unwrap();
    let request = http::Request::get("/apis/test.io/v1/things")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = client.request(request).await.unwrap();
    assert_eq!(table["rows"][0]["cells"], json!(["x", 3, "a"]));
    let columns: Vec<_> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|one| (&one["name"], &one["priority"])).collect();
    assert_eq!(columns, [(&json!("Name"), &json!(0)), (&json!("Number"), &json!(0)), (&json!("Must"), &json!(1))]);
}
