//! `kubectl-flagger render`: routes at any weight, what is hidden, what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Exit code, stdout and stderr of `render` with these words.
fn run(command: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-flagger"))
        .args(command.split_whitespace())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn objects(arguments: &str) -> Vec<Value> {
    let (code, stdout, stderr) = run(&format!("render {arguments} -o json"));
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str::<Value>(&stdout).unwrap()["items"].as_array().unwrap().clone()
}

fn one(arguments: &str) -> Value {
    let objects = objects(arguments);
    assert_eq!(objects.len(), 1, "{objects:?}");
    objects[0].clone()
}

/// The application of an example file by file: its kustomization needs kubectl.
const TICKETS: &str = "-f examples/nginx-strategies/app/tickets.yaml -f examples/nginx-strategies/app/ingress.yaml";

/// The same, with the Canary.
const CATALOG: &str = "-f examples/nginx-latency/catalog/deployment.yaml -f examples/nginx-latency/catalog/autoscaler.yaml \
    -f examples/nginx-latency/ingress.yaml -f examples/nginx-latency/latency.yaml -f examples/nginx-latency/canary.yaml";

fn nginx(arguments: &str) -> Value {
    let annotations =
        one(&format!("{TICKETS} -f examples/nginx-strategies/{arguments}"))["metadata"]["annotations"].clone();
    let mut own = serde_json::Map::new();
    for (key, value) in annotations.as_object().unwrap() {
        if let Some(name) = key.strip_prefix("nginx.ingress.kubernetes.io/") {
            own.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(own)
}

#[test]
fn weights_are_those_that_are_asked_for() {
    let route = one("-f examples/istio-weighted --weight 30 --only virtualservice/checkout");
    let weights: Vec<i64> =
        route["spec"]["http"][0]["route"].as_array().unwrap().iter().map(|to| to["weight"].as_i64().unwrap()).collect();
    assert_eq!(weights, [70, 30]);
    assert_eq!(
        nginx("1-weighted.yaml --weight 30 --only Ingress/tickets-canary"),
        json!({"canary": "true", "canary-weight": "30"})
    );
}

#[test]
fn without_a_weight_it_is_the_first_step_of_the_strategy() {
    let canary = |arguments: &str| nginx(&format!("{arguments} --only Ingress/tickets-canary"));
    assert_eq!(canary("1-weighted.yaml"), json!({"canary": "true", "canary-weight": "2"}));
    assert_eq!(
        canary("2-ab-test.yaml"),
        json!({"canary": "true", "canary-weight": "0", "canary-by-header": "x-canary", "canary-by-header-value": "true",
            "canary-by-cookie": "tickets-preview"})
    );
    let mirrored = nginx("3-blue-green-mirroring.yaml --only Ingress/tickets");
    assert_eq!(mirrored["mirror-target"], "http://tickets-canary.tickets.svc.cluster.local:80$request_uri");
    assert_eq!(canary("4-blue-green.yaml"), json!({"canary": "true", "canary-weight": "0"}));
}

#[test]
fn phases_differ_in_who_runs_and_who_serves() {
    let replicas = |phase: &str| {
        let target = one(&format!("{CATALOG} --phase {phase} --only Deployment/catalog"));
        let ingress = one(&format!("{CATALOG} --phase {phase} --only Ingress/catalog-canary"));
        let weight = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"].clone();
        (target["spec"]["replicas"].as_i64().unwrap(), weight.as_str().unwrap().to_owned())
    };
    assert_eq!(replicas("initialized"), (0, "0".to_owned()));
    assert_eq!(replicas("step"), (2, "5".to_owned()), "as many as the autoscaler wants at least");
    assert_eq!(replicas("promoted"), (0, "0".to_owned()));
}

#[test]
fn cookies_of_affinity_have_the_value_that_is_given() {
    let gateway = "-f examples/gateway-api/app -f examples/gateway-api/session-affinity.yaml --only HTTPRoute";
    let text = one(&format!("{gateway} --weight 20 --cookie abcdefghij")).to_string();
    assert!(text.contains("reviews-canary=abcdefghij") && text.contains("reviews-primary=abcdefghij"), "{text}");
    assert!(
        !one(&format!("{gateway} --phase initialized")).to_string().contains("reviews-canary="),
        "no traffic, no cookie"
    );
    let promoted = one(&format!("{gateway} --phase promoted --cookie abcdefghij")).to_string();
    assert!(promoted.contains("Max-Age=-1") || promoted.contains("Max-Age=0"), "taken back from clients: {promoted}");
}

#[test]
fn values_of_secrets_are_not_shown() {
    let (code, stdout, stderr) = run("render -f examples/istio-weighted");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("name: checkout-payment-primary") && stdout.contains("token: '***'"), "{stdout}");
    assert!(!stdout.contains("put-yours-here"), "{stdout}");
}

/// A uid that there is not would have the garbage collector take the objects away.
#[test]
fn owners_have_no_uid() {
    for object in objects("-f examples/istio-weighted") {
        for owner in object["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
            assert_eq!((owner["kind"].as_str(), owner.get("uid")), (Some("Canary"), None), "{object}");
        }
    }
}

/// Both ways to look ahead tell of the same objects.
#[test]
fn what_is_rendered_is_what_a_rehearsal_makes() {
    for example in ["-f examples/istio-weighted", CATALOG, "-f examples/kubernetes-blue-green"] {
        let rendered = objects(&format!("{example} --phase initialized"));
        let name = |object: &Value, pointer: &str| {
            format!("{} {}", object["kind"].as_str().unwrap(), object.pointer(pointer).unwrap().as_str().unwrap())
        };
        let mut rendered: Vec<String> = rendered.iter().map(|object| name(object, "/metadata/name")).collect();
        let (code, stdout, stderr) = run(&format!("rehearse {example} --initialize-only -o json"));
        assert_eq!(code, 0, "{stderr}");
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let made = report["changes"][0]["objects"].as_array().unwrap();
        let mut made: Vec<String> = made.iter().map(|object| name(object, "/name")).collect();
        rendered.sort();
        made.sort();
        assert_eq!(rendered, made, "{example}");
    }
}

#[test]
fn names_are_those_of_kubectl() {
    let (_, stdout, _) = run("render -f examples/kubernetes-blue-green -o names");
    let names: Vec<&str> = stdout.lines().collect();
    assert_eq!(
        names,
        [
            "service/ledger-canary",
            "service/ledger-primary",
            "deployment.apps/ledger-primary",
            "service/ledger",
            "deployment.apps/ledger"
        ]
    );
}

#[test]
fn what_the_provider_cannot_do_is_told() {
    let (code, _, stderr) = run("render -f examples/kubernetes-blue-green --weight 30");
    assert_eq!((code, stderr.trim()), (0, "warning: --weight has no effect: provider kubernetes cannot do it"));
}

#[test]
fn what_cannot_be_rendered_says_why_and_where() {
    let (code, stdout, stderr) =
        run("render -f examples/nginx-strategies/1-weighted.yaml -f examples/nginx-strategies/app/tickets.yaml");
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(
        stderr.trim(),
        "examples/nginx-strategies/1-weighted.yaml:8: spec.provider: ingress tickets.tickets get query error: ingresses.networking.k8s.io \"tickets\" \
         not found; give all that the Canary needs with -f, or correct it: `kubectl flagger validate` says more"
    );
}

#[test]
fn which_canary_is_meant_must_be_clear() {
    let both = format!("render -f examples/istio-weighted {CATALOG}");
    let (code, _, stderr) = run(&both);
    assert_eq!(
        (code, stderr.trim()),
        (2, "--canary: 2 Canaries are meant; name one of shop/checkout, catalog/catalog")
    );
    let (code, _, stderr) = run(&format!("{both} --canary cataloge"));
    assert_eq!(
        (code, stderr.trim()),
        (2, "--canary: there is no such Canary among the manifests; there is shop/checkout, catalog/catalog")
    );
    assert_eq!(run(&format!("{both} --canary catalog/catalog -o names")).0, 0);
    let (code, _, stderr) = run("render -f examples/istio-weighted --only Ingress");
    assert_eq!((code, stderr.trim()), (2, "--only: none of the objects is meant; `-o names` lists what there is"));
}
