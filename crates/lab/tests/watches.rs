//! Lists and watches: pages, selectors, bookmarks, what a watcher sees when objects enter and leave its selection, and lost history.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests"
)]

mod common;

use common::*;
use futures::StreamExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PartialObjectMeta, WatchEvent, WatchParams};
use kube::runtime::watcher::{self, Event};
use serde_json::{Value, json};
use std::pin::pin;
use std::time::Duration;

/// The events of a watch until it ends: kind, name and label `l`.
async fn watched(api: &Api<DynamicObject>, params: &WatchParams, version: &str) -> Vec<String> {
    let mut events = pin!(api.watch(params, version).await.unwrap());
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        let show = |kind: &str, object: &DynamicObject| {
            let label = object.metadata.labels.as_ref().and_then(|labels| labels.get("l")).cloned().unwrap_or_default();
            format!("{kind} {} {label}", object.metadata.name.as_deref().unwrap_or_default()).trim().to_owned()
        };
        seen.push(match event.unwrap() {
            WatchEvent::Added(object) => show("added", &object),
            WatchEvent::Modified(object) => show("modified", &object),
            WatchEvent::Deleted(object) => show("deleted", &object),
            WatchEvent::Bookmark(_) => "bookmark".to_owned(),
            WatchEvent::Error(status) => format!("error {} {}", status.code, status.reason),
        });
    }
    seen
}

fn labelled(name: &str, label: &str) -> Value {
    let mut one = config_map(name);
    one["metadata"]["labels"] = json!({"l": label});
    one
}

fn plain(seconds: u32) -> WatchParams {
    WatchParams { bookmarks: false, ..WatchParams::default().timeout(seconds) }
}

#[tokio::test(start_paused = true)]
async fn a_watch_starts_at_a_version_and_ends_in_time() {
    let (_lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    create(&api, labelled("before", "1")).await.unwrap();
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    create(&api, labelled("a", "1")).await.unwrap();
    merge(&api, "a", json!({"metadata": {"labels": {"l": "2"}}})).await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(watched(&api, &plain(5), &version).await, ["added a 1", "modified a 2", "deleted a 2"]);
    assert_eq!(
        watched(&api, &plain(5), "0").await,
        ["added before 1"],
        "without a version it starts with what is there"
    );
}

#[tokio::test(start_paused = true)]
async fn entering_and_leaving_a_selection_looks_like_creation_and_deletion() {
    let (_lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    create(&api, labelled("a", "x")).await.unwrap();
    merge(&api, "a", json!({"metadata": {"labels": {"l": "y"}}})).await.unwrap();
    merge(&api, "a", json!({"data": {"b": "2"}})).await.unwrap();
    merge(&api, "a", json!({"metadata": {"labels": {"l": "x"}}})).await.unwrap();
    assert_eq!(watched(&api, &plain(5).labels("l=x"), &version).await, ["added a x", "deleted a x", "added a x"]);
    assert_eq!(watched(&api, &plain(5).fields("metadata.name=b"), &version).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_to_those_who_ask() {
    let (_lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    assert_eq!(watched(&api, &WatchParams::default().timeout(130), "0").await, ["bookmark", "bookmark", "bookmark"]);
    assert_eq!(watched(&api, &plain(130), "0").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_no_longer_kept_is_gone() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    create(&api, config_map("a")).await.unwrap();
    lab.compact();
    assert_eq!(watched(&api, &plain(5), &version).await, ["error 410 Expired"]);
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages_of_one_moment() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    for name in ["a", "b", "c", "d", "e"] {
        create(&api, config_map(name)).await.unwrap();
    }
    let names = |list: &kube::api::ObjectList<DynamicObject>| {
        list.items.iter().map(|one| one.metadata.name.clone().unwrap()).collect::<Vec<_>>()
    };
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!((names(&first), first.metadata.remaining_item_count), (vec!["a".to_owned(), "b".to_owned()], Some(3)));
    lab.delete("cm", "default", "d").unwrap();
    lab.create(config_map("dd")).unwrap();
    let next = ListParams::default().limit(9).continue_token(first.metadata.continue_.as_deref().unwrap());
    let second = api.list(&next).await.unwrap();
    assert_eq!(names(&second), ["c", "d", "e"], "as it was when the list began");
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    lab.compact();
    assert_eq!(refusal(api.list(&next).await).0, 410);
}

#[tokio::test(start_paused = true)]
async fn the_watcher_of_kube_follows_lists_streams_and_lost_history() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    lab.create(config_map("a")).unwrap();
    for config in [watcher::Config::default().page_size(1), watcher::Config::default().streaming_lists()] {
        let mut events = pin!(watcher::watcher(api.clone(), config));
        let mut seen = Vec::new();
        while seen.last() != Some(&"done".to_owned()) {
            seen.push(match events.next().await.unwrap().unwrap() {
                Event::Init => "init".to_owned(),
                Event::InitApply(object) => object.metadata.name.unwrap(),
                Event::InitDone => "done".to_owned(),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(seen, ["init", "a", "done"]);
        lab.merge("cm", "default", "a", &json!({"data": {"b": lab.version().to_string()}})).unwrap();
        assert!(
            matches!(events.next().await.unwrap().unwrap(), Event::Apply(object) if object.metadata.name.as_deref() == Some("a"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_is_watched_without_content() {
    let (lab, client) = bare();
    let api: Api<PartialObjectMeta<k8s_openapi::api::core::v1::ConfigMap>> = Api::default_namespaced(client);
    lab.create(config_map("a")).unwrap();
    let mut events = pin!(watcher::watcher(api, watcher::Config::default()));
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    let Some(Ok(Event::InitApply(first))) = events.next().await else { panic!("no object") };
    assert_eq!(first.metadata.name.as_deref(), Some("a"));
    assert!(matches!(events.next().await, Some(Ok(Event::InitDone))));
    lab.merge("cm", "default", "a", &json!({"data": {"b": "2"}})).unwrap();
    assert!(matches!(events.next().await, Some(Ok(Event::Apply(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_watch_sees_what_comes_while_it_runs() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    let writer = tokio::spawn({
        let lab = lab.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            lab.create(config_map("late")).unwrap();
        }
    });
    assert_eq!(watched(&api, &plain(3), "0").await, ["added late"]);
    writer.await.unwrap();
}
