//! Simulated nodes: Deployments and `DaemonSets` in simulated time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests are tests"
)]

mod common;

use common::*;
use lab::{Lab, NodeOptions, Options};
use serde_json::{Value, json};
use std::time::Duration;

fn lab() -> Lab {
    Lab::new(Options::default())
}

fn status(lab: &Lab, kind: &str) -> Value {
    lab.get(kind, "default", "x").unwrap()["status"].clone()
}

fn condition(status: &Value, kind: &str) -> (String, String) {
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    let one = all.iter().find(|one| one["type"] == kind).cloned().unwrap_or_default();
    (one["status"].as_str().unwrap_or_default().to_owned(), one["reason"].as_str().unwrap_or_default().to_owned())
}

fn ready_after(mut workload: Value, text: &str) -> Value {
    workload["spec"]["template"]["metadata"]["annotations"] = json!({"sim/ready-after": text});
    workload
}

async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_ready_when_its_pods_do() {
    let lab = lab();
    lab.create(ready_after(deployment("x", 2), "5")).unwrap();
    pass(4.0).await;
    let waiting = status(&lab, "deploy");
    assert_eq!((&waiting["unavailableReplicas"], waiting.get("readyReplicas")), (&json!(2), None));
    assert_eq!(condition(&waiting, "Available"), ("False".to_owned(), "MinimumReplicasUnavailable".to_owned()));
    pass(1.1).await;
    let ready = status(&lab, "deploy");
    assert_eq!(
        (&ready["readyReplicas"], &ready["availableReplicas"], &ready["observedGeneration"]),
        (&json!(2), &json!(2), &json!(1))
    );
    assert_eq!(condition(&ready, "Progressing"), ("True".to_owned(), "NewReplicaSetAvailable".to_owned()));
    let progressing = &ready["conditions"].as_array().unwrap()[1];
    assert_eq!(progressing["lastTransitionTime"], "2030-01-01T00:00:00Z");
    assert_eq!(progressing["lastUpdateTime"], "2030-01-01T00:00:05Z");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_never_serves_with_too_few() {
    let lab = lab();
    lab.create(deployment("x", 4)).unwrap();
    pass(1.0).await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "podinfo:2"}]}}}});
    lab.merge("deploy", "default", "x", &image).unwrap();
    let mut changed = lab.changed();
    loop {
        drop(changed.changed().await);
        let now = status(&lab, "deploy");
        let number = |key: &str| now[key].as_i64().unwrap_or_default();
        assert!(number("availableReplicas") >= 3 && number("replicas") <= 5, "{now}");
        if number("updatedReplicas") == 4 && number("replicas") == 4 && number("availableReplicas") == 4 {
            break;
        }
    }
    assert_eq!(
        lab.get("deploy", "default", "x").unwrap()["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_does_not_progress_exceeds_its_deadline() {
    let lab = lab();
    lab.create(deployment("x", 1)).unwrap();
    pass(1.0).await;
    let broken = json!({"spec": {"progressDeadlineSeconds": 60, "template": {"metadata": {"annotations": {"sim/ready-after": "never"}}}}});
    lab.merge("deploy", "default", "x", &broken).unwrap();
    pass(58.0).await;
    assert_eq!(condition(&status(&lab, "deploy"), "Progressing"), ("True".to_owned(), "ReplicaSetUpdated".to_owned()));
    pass(5.0).await;
    let failed = status(&lab, "deploy");
    assert_eq!(condition(&failed, "Progressing"), ("False".to_owned(), "ProgressDeadlineExceeded".to_owned()));
    assert_eq!(condition(&failed, "Available").0, "True", "the old pod still serves");
}

#[tokio::test(start_paused = true)]
async fn scaling_is_no_new_rollout() {
    let lab = lab();
    lab.create(deployment("x", 1)).unwrap();
    pass(1.0).await;
    for (replicas, wanted) in [(0, Value::Null), (3, json!(3))] {
        lab.merge("deploy", "default", "x", &json!({"spec": {"replicas": replicas}})).unwrap();
        pass(1.0).await;
        let now = status(&lab, "deploy");
        assert_eq!(now.get("readyReplicas").cloned().unwrap_or_default(), wanted);
        assert_eq!(condition(&now, "Progressing").1, "NewReplicaSetAvailable");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_keeps_its_pods() {
    let lab = lab();
    lab.create(deployment("x", 2)).unwrap();
    pass(1.0).await;
    lab.merge(
        "deploy",
        "default",
        "x",
        &json!({"spec": {"paused": true, "template": {"metadata": {"annotations": {"v": "2"}}}}}),
    )
    .unwrap();
    pass(1.0).await;
    let paused = status(&lab, "deploy");
    assert_eq!((&paused["replicas"], paused.get("updatedReplicas")), (&json!(2), None), "none is of the new template");
    assert_eq!(condition(&paused, "Progressing"), ("Unknown".to_owned(), "DeploymentPaused".to_owned()));
    lab.merge("deploy", "default", "x", &json!({"spec": {"paused": null}})).unwrap();
    pass(1.0).await;
    assert_eq!(
        lab.get("deploy", "default", "x").unwrap()["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
}

#[tokio::test(start_paused = true)]
async fn a_daemon_set_has_one_pod_unless_it_selects_other_nodes() {
    let lab = lab();
    let mut set = deployment("x", 1);
    set["kind"] = json!("DaemonSet");
    set["spec"].as_object_mut().unwrap().remove("replicas");
    lab.create(set).unwrap();
    pass(1.0).await;
    let ready = status(&lab, "ds");
    assert_eq!(
        (&ready["desiredNumberScheduled"], &ready["numberReady"], &ready["numberAvailable"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let away = json!({"spec": {"template": {"spec": {"nodeSelector": {"flagger.app/scale-to-zero": "true"}}}}});
    lab.merge("ds", "default", "x", &away).unwrap();
    pass(1.0).await;
    let empty = status(&lab, "ds");
    assert_eq!(
        (&empty["desiredNumberScheduled"], &empty["currentNumberScheduled"], &empty["observedGeneration"]),
        (&json!(0), &json!(0), &json!(2))
    );
}

#[tokio::test(start_paused = true)]
async fn pods_are_objects_if_asked_for() {
    let lab =
        Lab::new(Options { nodes: Some(NodeOptions { pods: true, ..NodeOptions::default() }), ..Options::default() });
    lab.create(deployment("x", 2)).unwrap();
    pass(1.0).await;
    let pods = lab.list("pods", "default");
    assert_eq!(pods.len(), 2);
    let pod = &pods[0];
    assert_eq!((&pod["metadata"]["labels"]["app"], &pod["status"]["phase"]), (&json!("x"), &json!("Running")));
    assert!(
        pod["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
    );
    lab.delete("deploy", "default", "x").unwrap();
    lab.wait_until(|view| view.list("pods", "default").is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn replica_sets_keep_the_history_and_own_the_pods() {
    let options = NodeOptions { pods: true, ..NodeOptions::default() };
    let lab = Lab::new(Options { nodes: Some(options), ..Options::default() });
    let show = |lab: &Lab| -> Vec<String> {
        let line = |set: &Value| {
            format!(
                "revision {} {} of {} ready",
                set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str().unwrap(),
                set["status"].get("readyReplicas").unwrap_or(&json!(0)),
                set["spec"]["replicas"]
            )
        };
        let mut lines: Vec<_> = lab.list("rs", "default").iter().map(|set| line(set)).collect();
        lines.sort();
        lines
    };
    let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    lab.create(deployment("x", 2)).unwrap();
    pass(1.0).await;
    assert_eq!(show(&lab), ["revision 1 2 of 2 ready"]);
    lab.merge("deploy", "default", "x", &image("podinfo:2")).unwrap();
    pass(2.0).await;
    assert_eq!(show(&lab), ["revision 1 0 of 0 ready", "revision 2 2 of 2 ready"]);
    lab.merge("deploy", "default", "x", &image("podinfo:1")).unwrap();
    pass(2.0).await;
    assert_eq!(show(&lab), ["revision 2 0 of 0 ready", "revision 3 2 of 2 ready"], "the old set serves again");
    let told: Vec<_> = lab.list("events", "default").iter().map(|event| event["reason"].clone()).collect();
    assert!(told.len() >= 5 && told.iter().all(|reason| reason == "ScalingReplicaSet"), "{told:?}");

    // What somebody deletes comes again; what belongs to a deleted owner goes.
    let pod = lab.list("pods", "default")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    lab.delete("pods", "default", &pod).unwrap();
    pass(1.0).await;
    assert_eq!(lab.list("pods", "default").len(), 2);
    assert!(lab.get("pods", "default", &pod).is_none());
    lab.merge("deploy", "default", "x", &json!({"spec": {"revisionHistoryLimit": 0}})).unwrap();
    pass(1.0).await;
    assert_eq!(show(&lab), ["revision 3 2 of 2 ready"]);
    lab.delete("deploy", "default", "x").unwrap();
    pass(1.0).await;
    assert_eq!((lab.list("rs", "default").len(), lab.list("pods", "default").len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn services_know_where_their_pods_are() {
    let options = NodeOptions { pods: true, ..NodeOptions::default() };
    let lab = Lab::new(Options { nodes: Some(options), ..Options::default() });
    let ports = json!([{"port": 80, "targetPort": "http", "name": "web"}]);
    let service = |name: &str, spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    lab.create(service("x", json!({"selector": {"app": "x"}, "ports": ports}))).unwrap();
    lab.create(service("none", json!({"ports": [{"port": 80}]}))).unwrap();
    let mut workload = deployment("x", 2);
    workload["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"name": "http", "containerPort": 8080}]);
    lab.create(workload).unwrap();
    pass(1.0).await;
    let slices = lab.list("endpointslices", "default");
    assert_eq!(slices.len(), 1, "a Service without a selector has none");
    let slice = &slices[0];
    assert_eq!(slice["ports"], json!([{"name": "web", "port": 8080, "protocol": "TCP"}]));
    let mut addresses: Vec<_> =
        slice["endpoints"].as_array().unwrap().iter().map(|one| one["addresses"][0].clone()).collect();
    let mut wanted: Vec<_> = lab.list("pods", "default").iter().map(|pod| pod["status"]["podIP"].clone()).collect();
    addresses.sort_by_key(ToString::to_string);
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(addresses, wanted);
    assert_eq!(slice["endpoints"][0]["conditions"]["ready"], true);
    lab.merge("deploy", "default", "x", &json!({"spec": {"replicas": 0}})).unwrap();
    pass(1.0).await;
    let empty = lab.list("endpointslices", "default")[0].get("endpoints").cloned();
    assert!(empty.as_ref().and_then(Value::as_array).is_none_or(Vec::is_empty), "{empty:?}");
    lab.delete("svc", "default", "x").unwrap();
    pass(1.0).await;
    assert!(lab.list("endpointslices", "default").is_empty());
}
