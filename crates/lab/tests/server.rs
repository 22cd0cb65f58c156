//! The ways in: the request log, hooks, HTTP on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests"
)]

mod common;

use common::*;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use lab::{Call, Failure, Hook, Intervention, Lab, Verb};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn the_log_knows_who_asked_what() {
    let (lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    create(&api, config_map("x")).await.unwrap();
    api.list(&ListParams::default()).await.unwrap();
    let log = lab.take_requests();
    let shown: Vec<_> =
        log.entries().map(|entry| format!("{} {} {}", entry.call.user_agent, entry.call, entry.status)).collect();
    assert_eq!(shown, ["test/1.0 create configmaps default 201", "test/1.0 list configmaps default 200"]);
    assert_eq!((log.total(), log.count(Verb::Create), lab.requests().total()), (2, 1, 0));
}

/// Refuses the first write before, and loses the answer to the second.
#[derive(Default)]
struct Faults(std::sync::atomic::AtomicUsize);

impl Hook for Faults {
    fn before(&self, call: &Call) -> Intervention {
        let writes = call.verb.writes();
        let first = writes && self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first {
            Intervention::Fail(Box::new(Failure::unavailable("not now")))
        } else {
            Intervention::Delay(Duration::from_secs(1))
        }
    }

    fn after(&self, call: &Call, _status: u16) -> Intervention {
        let second = call.verb.writes() && self.0.load(std::sync::atomic::Ordering::SeqCst) == 2;
        if second { Intervention::Disconnect } else { Intervention::Pass }
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_refuse_delay_and_lose_answers() {
    let (lab, client) = bare();
    lab.set_hook(Some(Arc::new(Faults::default())));
    let api = objects(&client, "v1/ConfigMap");
    assert_eq!(refusal(create(&api, config_map("x")).await), (503, "not now".to_owned()));
    assert!(lab.get("cm", "default", "x").is_none());
    let start = tokio::time::Instant::now();
    assert!(matches!(create(&api, config_map("x")).await, Err(kube::Error::Service(_))));
    assert!(lab.get("cm", "default", "x").is_some(), "it was written all the same");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    lab.set_hook(None);
    api.get("x").await.unwrap();
}

#[tokio::test]
async fn http_clients_connect_with_the_kubeconfig() {
    let lab = Lab::default();
    let server = lab.serve(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
    let config = Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    assert_eq!(client.apiserver_version().await.unwrap().git_version, "v1.36.0");
    let api = objects(&client, "v1/ConfigMap");
    create(&api, config_map("x")).await.unwrap();
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let (_lab, client) = bare();
    let api = objects(&client, "v1/ConfigMap");
    let big =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b".repeat(3 << 20)}});
    let wanted = "Request entity too large: limit is 3145728".to_owned();
    assert_eq!(refusal(create(&api, big).await), (413, wanted));
}

#[tokio::test(start_paused = true)]
async fn a_lab_ends_with_its_last_handle() {
    let (lab, client) = bare();
    let mut changed = lab.changed();
    drop((lab, client));
    tokio::time::sleep(Duration::from_secs(1)).await;
    changed.mark_unchanged();
    assert!(changed.changed().await.is_err(), "nothing holds it any more");
}
