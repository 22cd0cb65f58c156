//! kubectl against `kubectl-flagger lab`: what people do by hand, with what they get to see.
//!
//! The commands and the essence of their output are in `kubectl/*.txt`. Lines after a command (`$ ...`, run by a shell, `k` is kubectl) must be in its output in
//! that order, runs of spaces being one and `...` anything; `! TEXT` must not be in it; `=> N` is the exit code, 0 where there is none; `#` is a comment; `##`
//! begins a part that is run by itself.
//! kubectl is not part of a fresh machine with Rust: without it these tests say so and pass, unless `REQUIRE_KUBECTL` is set, as `.ci/run` does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod cluster;
mod documentation;
mod seeds;

use cluster::{Cluster, manifests, say};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

#[test]
fn people_look_around() {
    if let Some(cluster) = Cluster::start("look", &["-f", manifests().join("app.yaml").to_str().unwrap()]) {
        cluster.follow("look.txt");
    }
}

#[test]
fn people_change_objects() {
    if let Some(cluster) = Cluster::start("change", &[]) {
        cluster.follow("change.txt");
    }
}

#[test]
fn people_run_workloads() {
    if let Some(cluster) = Cluster::start("run", &[]) {
        cluster.follow("run.txt");
    }
}

#[test]
fn people_watch() {
    let Some(cluster) = Cluster::start("watch", &[]) else { return };
    cluster.run("k create cm one --from-literal=a=b; k label cm one app=x");
    // What is there comes first; then the watch has begun.
    let mut table = cluster.watch("kubectl get cm -w -l app=x --request-timeout=60s");
    table.until(&["one", "1"]);
    let mut events = cluster.watch("kubectl get cm one -w -o json --output-watch-events --request-timeout=60s");
    events.until(&["\"type\":\"ADDED\""]);
    cluster.run("k patch cm one --type=merge -p '{\"data\":{\"c\":\"d\"}}'");
    table.until(&["one", "2"]);
    events.until(&["\"type\":\"MODIFIED\""]);
    // A watch of changes alone shows nothing when it begins: change something until it has begun.
    let mut later = cluster.watch("kubectl get cm --watch-only -A -o name --request-timeout=60s");
    let seen = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..500 {
                if seen.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                cluster.run(&format!("k label cm one again={number} --overwrite"));
            }
        });
        later.until(&["configmap/one"]);
        seen.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    cluster.run("k delete cm one");
    table.until(&["one"]);
    events.until(&["\"type\":\"DELETED\""]);
}

/// A release from the first object to the promotion, under this controller or another one.
fn release(cluster: &Cluster) {
    let mut told = cluster.watch("kubectl get events -n demo -w --request-timeout=60s");
    cluster.follow("release.txt");
    told.until(&["canary/shop", "Promotion completed! Scaling down shop.demo"]);
}

#[test]
fn a_release_is_promoted_under_the_eyes_of_kubectl() {
    let arguments = ["--controller", "--provider", "kubernetes"];
    if let Some(cluster) = Cluster::start("release", &arguments) {
        release(&cluster);
    }
}

/// `FLAGGER_BIN`: the path of any `flagger`, ours or the original.
#[test]
fn another_process_runs_a_release_too() {
    let Some(program) = std::env::var_os("FLAGGER_BIN") else {
        say("NOT TESTED: a release by another process; FLAGGER_BIN names no controller");
        return;
    };
    let Some(cluster) = Cluster::start("other", &[]) else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kubeconfig = cluster.folder.join("kubeconfig");
    let mut controller = Command::new(program)
        .arg(format!("-kubeconfig={}", kubeconfig.display()))
        .args(["-mesh-provider=kubernetes".to_owned(), format!("-port={port}")])
        .arg(format!("-metrics-server={}", cluster.prometheus))
        .args(["-enable-leader-election=true", "-leader-election-namespace=default"])
        .stderr(Stdio::from(std::fs::File::create(cluster.folder.join("controller.log")).unwrap()))
        .spawn()
        .unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| release(&cluster)));
    let _ = controller.kill();
    let _ = controller.wait();
    let log = std::fs::read_to_string(cluster.folder.join("controller.log")).unwrap_or_default();
    if let Err(why) = result {
        eprintln!("{log}");
        std::panic::resume_unwind(why);
    }
    // S000-15: `jq .msg` has something to show in each line, and what was done is among it.
    let text = |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?["msg"].as_str()?.to_owned());
    let messages: Option<Vec<String>> = log.lines().map(text).collect();
    let messages = messages.unwrap_or_else(|| panic!("lines that are no objects with `msg`:\n{log}"));
    assert!(messages.iter().any(|message| message == "Promotion completed! Scaling down shop.demo"), "{messages:#?}");
}

#[test]
fn a_signal_ends_the_lab_and_its_kubeconfig() {
    for signal in ["TERM", "INT"] {
        let path = std::env::temp_dir().join(format!("lab-{signal}-{}", std::process::id()));
        let mut lab = Command::new(env!("CARGO_BIN_EXE_kubectl-flagger"))
            .args(["lab", "--controller", "--kubeconfig"])
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(lab.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("export KUBECONFIG=") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the lab ended");
        }
        assert!(path.exists());
        assert!(Command::new("kill").args([format!("-{signal}"), lab.id().to_string()]).status().unwrap().success());
        said.read_to_string(&mut line).unwrap();
        assert_eq!(lab.wait().unwrap().code(), Some(0), "{signal}");
        assert!(!path.exists(), "{signal}");
    }
}

#[test]
fn a_command_runs_with_the_lab_and_its_exit_code_counts() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-flagger")).arg("lab").args(arguments).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code(), shown)
    };
    let (code, shown) = run(&["--", "sh", "-c", "grep -c server: $KUBECONFIG; exit 7"]);
    assert_eq!((code, shown.as_str()), (Some(7), "1\n"));
    let (code, shown) = run(&["--", "/no/such/program"]);
    assert_eq!(code, Some(3));
    assert!(shown.starts_with("error: cannot run /no/such/program: "), "{shown}");
    let (code, shown) = run(&["-f", "/no/such/file.yaml", "--", "true"]);
    assert_eq!(code, Some(3));
    assert!(shown.contains("/no/such/file.yaml"), "{shown}");
}
