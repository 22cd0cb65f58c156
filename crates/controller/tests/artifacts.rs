//! The plain manifests in `artifacts/` fit the binary and each other.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use controller::flags::{Start, read};
use serde_json::Value;

const ACCOUNT: &str = include_str!("../../../artifacts/flagger/account.yaml");
const DEPLOYMENT: &str = include_str!("../../../artifacts/flagger/deployment.yaml");

fn manifests(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n");
    documents.map(|document| serde_yaml_ng::from_str(document).unwrap()).collect()
}

fn find<'a>(manifests: &'a [Value], kind: &str) -> &'a Value {
    manifests.iter().find(|manifest| manifest["kind"] == kind).unwrap()
}

#[test]
fn the_deployment_starts_with_flags_that_exist() {
    let manifests = manifests(DEPLOYMENT);
    let container = &find(&manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let arguments: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
    let Start::Run { options, ignored } = read("flagger", &arguments, |_| None) else { panic!("it does not run") };
    assert!(ignored.is_empty());
    assert_eq!(container["command"], serde_json::json!(["./flagger"]));
    assert_eq!(container["ports"][0]["containerPort"].to_string(), options.port);
}

#[test]
fn the_binding_joins_the_account_of_the_deployment_and_the_role() {
    let (main, account) = (manifests(DEPLOYMENT), manifests(ACCOUNT));
    let (binding, subject) = (find(&account, "ClusterRoleBinding"), find(&account, "ServiceAccount"));
    assert_eq!(binding["roleRef"]["name"], find(&account, "ClusterRole")["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["name"], subject["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["namespace"], subject["metadata"]["namespace"]);
    assert_eq!(
        find(&main, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"],
        subject["metadata"]["name"]
    );
}
