//! The manifests in `deploy/` fit the binary and each other.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use controller::flags::{Start, read};
use serde_json::Value;

fn manifests(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n");
    documents.map(|document| serde_yaml_ng::from_str(document).unwrap()).collect()
}

fn find<'a>(manifests: &'a [Value], kind: &str) -> &'a Value {
    manifests.iter().find(|manifest| manifest["kind"] == kind).unwrap()
}

#[test]
fn the_deployment_starts_with_flags_that_exist() {
    let manifests = manifests(include_str!("../../../deploy/flagger.yaml"));
    let deployment = find(&manifests, "Deployment");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let command: Vec<String> = serde_json::from_value(container["command"].clone()).unwrap();
    let Start::Run { options, ignored } = read(&command[0], &command[1..], |_| None) else { panic!("it does not run") };
    assert!(ignored.is_empty());
    assert_eq!(options.lease_namespace(), deployment["metadata"]["namespace"]);
    assert_eq!(container["ports"][0]["containerPort"].to_string(), options.port);
}

#[test]
fn the_binding_joins_the_account_of_the_deployment_and_the_generated_role() {
    let main = manifests(include_str!("../../../deploy/flagger.yaml"));
    let role = manifests(include_str!("../../../deploy/rbac.yaml"));
    let (binding, account) = (find(&main, "ClusterRoleBinding"), find(&main, "ServiceAccount"));
    assert_eq!(binding["roleRef"]["name"], find(&role, "ClusterRole")["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["name"], account["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["namespace"], account["metadata"]["namespace"]);
    assert_eq!(
        find(&main, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"],
        account["metadata"]["name"]
    );
}
