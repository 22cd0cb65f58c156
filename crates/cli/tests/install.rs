//! `kubectl flagger install` and `uninstall`, on the lab: the real programs, a cluster of their own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-flagger");

/// Runs commands of the plugin, one a line, one after the other, on one lab; what each printed, with its exit code.
fn on_a_lab(options: &[&str], lines: &str) -> Vec<String> {
    let run = |line: &str| format!("echo '=== next'; '{PROGRAM}' {line} 2>&1; echo \"exit $?\"\n");
    let script: String = lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(run).collect();
    let lab = Command::new(PROGRAM).arg("lab").args(options).args(["--", "sh", "-c", &script]).output().unwrap();
    let text = String::from_utf8(lab.stdout).unwrap();
    text.split("=== next\n").skip(1).map(str::to_owned).collect()
}

fn plugin(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env("KUBECONFIG", "/nowhere/kubeconfig").output().unwrap()
}

fn exported(arguments: &[&str]) -> Vec<Value> {
    let output = plugin(&[&["install", "--export"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("---\n").map(|document| serde_yaml_ng::from_str(document).unwrap()).collect()
}

fn find<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap()
}

#[test]
fn it_comes_it_changes_and_it_goes() {
    let told = on_a_lab(
        &["--ready-after", "0"],
        "install --provider nginx --prometheus --dry-run
         install --provider nginx --prometheus
         install --provider nginx --replicas 2
         install --provider nginx --no-wait
         uninstall
         uninstall
         uninstall --crds",
    );
    let [dry, first, two, one, gone, again, everything] = told.try_into().unwrap();
    assert!(dry.contains("clusterrole.rbac.authorization.k8s.io/flagger applied (dry run)\n"), "{dry}");
    assert!(dry.contains("deployment.apps/flagger not checked: there is no namespace flagger-system yet\n"), "{dry}");
    assert!(first.contains("namespace/flagger-system applied\n"), "the dry run has made nothing: {first}");
    assert!(first.ends_with("the controller is ready\nexit 0\n"), "{first}");
    assert!(two.ends_with("the controller is ready\nexit 0\n") && !two.contains("namespace/"), "{two}");
    assert!(
        one.ends_with("deployment.apps/flagger applied\nexit 0\n"),
        "from a lease to none, another strategy: {one}"
    );
    assert!(gone.contains("deployment.apps/flagger deleted\n"), "{gone}");
    assert!(gone.contains("service/flagger-prometheus deleted\n"), "{gone}");
    assert!(!gone.contains("customresourcedefinition"), "Canaries stay: {gone}");
    assert_eq!(again, "exit 0\n", "nothing is left to take out");
    assert!(
        everything.contains("customresourcedefinition.apiextensions.k8s.io/canaries.flagger.app deleted\n"),
        "{everything}"
    );
}

#[test]
fn a_controller_that_does_not_become_ready_is_told() {
    let told = on_a_lab(&["--ready-after", "86400"], "install --timeout 0");
    assert!(told[0].contains("error: the controller is not ready after 0 s: "), "{}", told[0]);
    assert!(told[0].ends_with("exit 1\n"), "{}", told[0]);
}

#[test]
fn a_role_goes_where_the_watched_namespace_is_and_is_found_again() {
    let told = on_a_lab(
        &["--ready-after", "0"],
        "install --watch-namespace shop
         install --watch-namespace default
         uninstall",
    );
    assert!(
        told[0].contains(
            "error: applying role.rbac.authorization.k8s.io/flagger: namespaces \"shop\" not found\nexit 1\n"
        ),
        "{}",
        told[0]
    );
    assert!(told[1].contains("rolebinding.rbac.authorization.k8s.io/flagger applied\n"), "{}", told[1]);
    assert!(told[2].contains("role.rbac.authorization.k8s.io/flagger deleted\n"), "{}", told[2]);
}

#[test]
fn wrong_usage_touches_nothing_and_says_what_is_wrong() {
    for (arguments, code, words) in [
        (&["--provider", "ngnix"][..], 2, "there is no provider \"ngnix\"; there are apisix, "),
        (&["--providers", "nginx,istoi"], 2, "there is no provider \"istoi\""),
        (&["--flag=-colour=red"], 2, "flag provided but not defined: -colour"),
        (&["--flag=-threadiness=many"], 2, "invalid value \"many\" for flag -threadiness"),
        (&["--flag=colour"], 2, "the controller would ignore colour"),
        (&["--flag=-version"], 2, "only print its version"),
        (&[], 3, "cannot read the kubeconfig: "),
    ] {
        let output = plugin(&[&["install"], arguments].concat());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with("error: ") && told.contains(words), "{arguments:?}: {told}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{arguments:?}");
    }
}

#[test]
fn what_is_exported_is_what_the_manifests_have() {
    let objects = exported(&["--namespace", "default", "--replicas", "2"]);
    let account = include_str!("../../../artifacts/flagger/account.yaml");
    let account: Vec<Value> =
        account.split("\n---\n").map(|document| serde_yaml_ng::from_str(document).unwrap()).collect();
    for kind in ["ServiceAccount", "ClusterRole", "ClusterRoleBinding"] {
        assert_eq!(find(&objects, kind), find(&account, kind), "with a lease, as the manifests allow it");
    }
    let definitions = include_str!("../../../artifacts/flagger/crd.yaml");
    let definition: Value = serde_yaml_ng::from_str(definitions.split("---\n").next().unwrap()).unwrap();
    assert!(find(&objects, "CustomResourceDefinition") == &definition, "not the one of crd.yaml");
}

#[test]
fn what_is_asked_for_is_exported() {
    let objects = exported(&[
        "--provider=nginx",
        "--providers=kubernetes",
        "--prometheus",
        "--image=registry/x:7",
        "--watch-namespace=shop",
        "--flag=-cluster-name=east",
    ]);
    let deployments: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Deployment").collect();
    let container = &deployments.last().unwrap()["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry/x:7");
    let arguments = serde_json::json!([
        "-log-level=info",
        "-mesh-provider=nginx",
        "-metrics-server=http://flagger-prometheus:9090",
        "-namespace=shop",
        "-cluster-name=east"
    ]);
    assert_eq!(container["args"], arguments);
    let role = find(&objects, "Role");
    assert_eq!(role["metadata"]["namespace"], "shop");
    let rules = role["rules"].to_string();
    assert!(rules.contains("ingresses") && !rules.contains("virtualservices") && !rules.contains("leases"), "{rules}");
    assert_eq!(deployments.len(), 2, "the controller and Prometheus");
}

#[test]
fn the_commands_of_the_documentation_work() {
    let page = include_str!("../../../docs/install.md");
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("kubectl flagger ")).collect();
    assert!(commands.len() > 3, "{commands:?}");
    for (command, told) in commands.iter().zip(on_a_lab(&["--ready-after", "0"], &commands.join("\n"))) {
        assert!(told.ends_with("exit 0\n"), "kubectl flagger {command}: {told}");
    }
}
