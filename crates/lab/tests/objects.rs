//! Creating, reading, changing and deleting objects: versions, generations, conflicts, refusals and their texts.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests"
)]

mod common;

use common::*;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn an_object_is_created_completed_and_read_back() {
    let (_lab, client) = bare();
    let api = objects(&client, "apps/v1/Deployment");
    let created = create(&api, deployment("a", 2)).await.unwrap();
    assert_eq!(created["metadata"]["generation"], 1);
    assert_eq!(created["metadata"]["creationTimestamp"], "2030-01-01T00:00:00Z");
    assert_eq!(
        created["spec"]["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
    );
    let pod = &created["spec"]["template"]["spec"];
    assert_eq!(pod["dnsPolicy"], "ClusterFirst");
    assert_eq!(pod["containers"][0]["imagePullPolicy"], "IfNotPresent");
    assert_eq!(get(&api, "a").await, created);
}

#[tokio::test(start_paused = true)]
async fn refusals_have_the_texts_of_a_real_server() {
    let (_lab, client) = bare();
    let api = objects(&client, "apps/v1/Deployment");
    assert_eq!(refusal(api.get("podinfo").await), (404, "deployments.apps \"podinfo\" not found".to_owned()));
    create(&api, deployment("a", 1)).await.unwrap();
    assert_eq!(
        refusal(create(&api, deployment("a", 1)).await),
        (409, "deployments.apps \"a\" already exists".to_owned())
    );
    let elsewhere = kube::Api::namespaced_with(client.clone(), "none", &resource("apps/v1/Deployment"));
    assert_eq!(
        refusal(create(&elsewhere, deployment("a", 1)).await),
        (404, "namespaces \"none\" not found".to_owned())
    );
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"port": 0, "targetPort": 80}]}});
    let text = "Service \"x\" is invalid: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive";
    assert_eq!(refusal(create(&objects(&client, "v1/Service"), service).await), (422, text.to_owned()));
    let unknown = objects(&client, "apps/v1/Foo").list(&ListParams::default()).await;
    assert_eq!(refusal(unknown), (404, "the server could not find the requested resource".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn services_with_clashing_ports_or_long_labels_are_refused() {
    let (_lab, client) = bare();
    let api = objects(&client, "v1/Service");
    let service = |ports: serde_json::Value, label: &str| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "labels": {"a": label}}, "spec": {"ports": ports}});
    let text = |result| refusal(result).1;
    let same_name = json!([{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]);
    assert_eq!(
        text(create(&api, service(same_name, "")).await),
        "Service \"x\" is invalid: spec.ports[1].name: Duplicate value: \"a\""
    );
    let same_port = json!([{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]);
    assert!(text(create(&api, service(same_port, "")).await).contains("spec.ports[1]: Duplicate value: "));
    let long = "x".repeat(64);
    let wanted =
        format!("Service \"x\" is invalid: metadata.labels: Invalid value: \"{long}\": must be no more than 63 bytes");
    assert_eq!(text(create(&api, service(json!([{"port": 1}]), &long)).await), wanted);
}

#[tokio::test(start_paused = true)]
async fn an_update_on_an_old_version_is_a_conflict() {
    let (_lab, client) = bare();
    let api = objects(&client, "apps/v1/Deployment");
    create(&api, deployment("x", 1)).await.unwrap();
    let old = api.get("x").await.unwrap();
    merge(&api, "x", json!({"spec": {"replicas": 2}})).await.unwrap();
    let text = "Operation cannot be fulfilled on deployments.apps \"x\": the object has been modified; please apply your changes to the latest version and try again";
    assert_eq!(refusal(api.replace("x", &PostParams::default(), &old).await), (409, text.to_owned()));
    let mut unconditional = old.clone();
    unconditional.metadata.resource_version = None;
    api.replace("x", &PostParams::default(), &unconditional).await.unwrap();
    assert_eq!(get(&api, "x").await["spec"]["replicas"], 1);
}

#[tokio::test(start_paused = true)]
async fn only_changes_of_the_spec_count_as_generations_and_no_change_is_no_write() {
    let (lab, client) = bare();
    let api = objects(&client, "apps/v1/Deployment");
    create(&api, deployment("x", 1)).await.unwrap();
    let generation = |object: &serde_json::Value| object["metadata"]["generation"].as_i64().unwrap();
    assert_eq!(generation(&merge(&api, "x", json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap()), 1);
    assert_eq!(generation(&merge(&api, "x", json!({"spec": {"replicas": 3}})).await.unwrap()), 2);
    let before = lab.version();
    assert_eq!(generation(&merge(&api, "x", json!({"spec": {"replicas": 3}})).await.unwrap()), 2);
    assert_eq!(lab.version(), before, "the same again writes nothing");
    merge(&api, "x", json!({"status": {"replicas": 9}})).await.unwrap();
    assert_eq!(lab.version(), before, "the status has its own door");
    let status = json!({"status": {"replicas": 9}, "spec": {"replicas": 7}});
    let patched = api.patch_status("x", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    assert_eq!(patched.data["status"]["replicas"], 9);
    assert_eq!((patched.data["spec"]["replicas"].as_i64(), patched.metadata.generation), (Some(3), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn names_are_generated_and_dry_runs_leave_nothing() {
    let (_lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    let named = create(&api, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}))
        .await
        .unwrap();
    let name = named["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("x-") && name.len() == 7, "{name}");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&dry, &object(config_map("dry"))).await.unwrap();
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn secrets_take_texts_and_services_get_addresses() {
    let (_lab, client) = bare();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "1"}});
    let secret = create(&objects(&client, "v1/Secret"), secret).await.unwrap();
    assert_eq!(
        (&secret["data"], secret.get("stringData"), &secret["type"]),
        (&json!({"a": "MQ=="}), None, &json!("Opaque"))
    );
    let api = objects(&client, "v1/Service");
    let service = |name: &str| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    let (a, b) = (create(&api, service("a")).await.unwrap(), create(&api, service("b")).await.unwrap());
    assert_ne!(a["spec"]["clusterIP"], b["spec"]["clusterIP"]);
    assert_eq!(a["spec"]["ports"], json!([{"port": 80, "protocol": "TCP", "targetPort": 80}]));
    let moved = merge(&api, "a", json!({"spec": {"clusterIP": "10.96.7.7"}})).await;
    assert!(refusal(moved).1.contains("may not change once set"));
}

#[tokio::test(start_paused = true)]
async fn finalizers_hold_a_deleted_object() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    let mut held = config_map("x");
    held["metadata"]["finalizers"] = json!(["test.io/hold"]);
    create(&api, held).await.unwrap();
    let left = api.delete("x", &DeleteParams::default()).await.unwrap();
    assert!(left.left().unwrap().metadata.deletion_timestamp.is_some());
    let more = merge(&api, "x", json!({"metadata": {"finalizers": ["test.io/hold", "test.io/more"]}})).await;
    assert!(refusal(more).1.contains("no new finalizers can be added if the object is being deleted"));
    merge(&api, "x", json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert!(lab.get("cm", "default", "x").is_none());
}

#[tokio::test(start_paused = true)]
async fn deletions_respect_preconditions() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    create(&api, config_map("x")).await.unwrap();
    let only = |uid: Option<&str>, version: Option<&str>| DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.map(str::to_owned),
            resource_version: version.map(str::to_owned),
        }),
        ..DeleteParams::default()
    };
    assert_eq!(refusal(api.delete("x", &only(Some("other"), None)).await).0, 409);
    assert_eq!(refusal(api.delete("x", &only(None, Some("1"))).await).0, 409);
    let uid = get(&api, "x").await["metadata"]["uid"].as_str().unwrap().to_owned();
    api.delete("x", &only(Some(&uid), None)).await.unwrap();
    assert!(lab.get("cm", "default", "x").is_none());
}

#[tokio::test(start_paused = true)]
async fn collections_are_deleted_by_label() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    for (name, label) in [("a", "x"), ("b", "x"), ("c", "y")] {
        let mut one = config_map(name);
        one["metadata"]["labels"] = json!({"l": label});
        create(&api, one).await.unwrap();
    }
    api.delete_collection(&DeleteParams::default(), &ListParams::default().labels("l=x")).await.unwrap();
    assert_eq!(lab.list("cm", "default").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_scaled_through_its_subresource() {
    let (_lab, client) = bare();
    let api = objects(&client, "apps/v1/Deployment");
    create(&api, deployment("x", 1)).await.unwrap();
    let scale =
        api.patch_scale("x", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 4}}))).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(4));
    assert_eq!(api.get_scale("x").await.unwrap().status.unwrap().selector.as_deref(), Some("app=x"));
    assert_eq!(get(&api, "x").await["spec"]["replicas"], 4);
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_dropped_or_refused() {
    let (_lab, client) = bare();
    let api = objects(&client, "apps/v1/Deployment");
    let mut odd = deployment("x", 1);
    odd["spec"]["foo"] = json!(1);
    assert_eq!(create(&api, odd.clone()).await.unwrap()["spec"].get("foo"), None);
    odd["metadata"]["name"] = json!("y");
    let request = http::Request::post("/apis/apps/v1/namespaces/default/deployments?fieldValidation=Strict")
        .body(odd.to_string().into_bytes())
        .unwrap();
    let text = refusal(client.request::<serde_json::Value>(request).await).1;
    assert_eq!(
        text,
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.foo\""
    );
}

#[tokio::test(start_paused = true)]
async fn events_are_the_same_in_both_apis() {
    let (_lab, client) = bare();
    let new = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "regarding": {"kind": "Canary", "name": "podinfo"},
        "reason": "Synced", "note": "hello", "type": "Normal", "action": "x", "reportingController": "flagger", "reportingInstance": "f",
        "eventTime": "2030-01-01T00:00:00.000000Z"});
    create(&objects(&client, "events.k8s.io/v1/Event"), new).await.unwrap();
    let old = objects(&client, "v1/Event")
        .list(&ListParams::default().fields("involvedObject.name=podinfo,involvedObject.kind=Canary"))
        .await
        .unwrap();
    assert_eq!(old.items.iter().map(|event| &event.data["message"]).collect::<Vec<_>>(), ["hello"]);
}
