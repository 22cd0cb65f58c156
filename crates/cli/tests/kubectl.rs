//! kubectl against `kubectl-flagger lab`: what people do by hand, with what they get to see.
//!
//! The commands and the essence of their output are in `kubectl/*.txt`. Lines after a command (`$ ...`, run by a shell, `k` is kubectl) must be in its output in
//! that order, runs of spaces being one and `...` anything; `! TEXT` must not be in it; `=> N` is the exit code, 0 where there is none; `#` is a comment.
//! kubectl is not part of a fresh machine with Rust: without it these tests say so and pass, unless `REQUIRE_KUBECTL` is set, as `.ci/run` does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A lab in a process of its own, and a folder for files.
struct Cluster {
    lab: Child,
    folder: PathBuf,
    prometheus: String,
}

impl Cluster {
    /// None: there is no kubectl, and nobody asks for it.
    fn start(name: &str, arguments: &[&str]) -> Option<Self> {
        if !has_kubectl() {
            assert!(std::env::var_os("REQUIRE_KUBECTL").is_none(), "kubectl is missing, and REQUIRE_KUBECTL is set");
            say("NOT TESTED: kubectl is missing; install it to test the lab with it");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("kubectl-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(manifests().join("app.yaml"), folder.join("app.yaml")).unwrap();
        let lab = Command::new(env!("CARGO_BIN_EXE_kubectl-flagger"))
            .args(["lab", "--ready-after", "0.2", "--kubeconfig"])
            .arg(folder.join("kubeconfig"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::from(std::fs::File::create(folder.join("lab.log")).unwrap()))
            .spawn();
        let mut cluster = Self { lab: lab.unwrap(), folder, prometheus: String::new() };
        cluster.wait_until_served();
        Some(cluster)
    }

    /// It says where it is once it is there.
    fn wait_until_served(&mut self) {
        for line in BufReader::new(self.lab.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(url) = line.strip_prefix("# Prometheus on ") {
                url.clone_into(&mut self.prometheus);
            }
            if line.starts_with("export KUBECONFIG=") {
                return;
            }
        }
        panic!("the lab ended");
    }

    /// A shell command in which `k` is kubectl on this lab. Its caches are in the folder too.
    fn command(&self, text: &str) -> Command {
        let mut command = Command::new("sh");
        // `exec`: whoever ends the shell ends kubectl.
        let text = format!("k() {{ kubectl \"$@\"; }}\n{text}");
        command.args(["-c", &text]).current_dir(&self.folder).env("KUBECONFIG", self.folder.join("kubeconfig"));
        command.env("HOME", &self.folder).env("KUBECACHEDIR", self.folder.join("cache")).env("NO_COLOR", "1");
        command
    }

    /// Output of both kinds, as it came, and exit code.
    fn run(&self, text: &str) -> (String, i32) {
        let output = self.command(&format!("exec 2>&1\n{text}\n")).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap_or(-1))
    }

    /// Runs a transcript.
    fn follow(&self, file: &str) {
        let text = std::fs::read_to_string(manifests().join(file)).unwrap();
        for step in text.split("\n$ ").skip(1) {
            let (command, wanted) = step.split_once('\n').unwrap_or((step, ""));
            let (shown, code) = self.run(command);
            let output = squeezed(&shown);
            let mut rest = output.as_str();
            let mut wanted_code = 0;
            for line in wanted.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                if let Some(number) = line.strip_prefix("=> ") {
                    wanted_code = number.parse().unwrap();
                } else if let Some(text) = line.strip_prefix("! ") {
                    assert!(!output.contains(text), "{file}: $ {command}\n{text:?} should not be in\n{shown}");
                } else {
                    for piece in squeezed(line).split("...").map(str::trim) {
                        let found = rest.split_once(piece);
                        assert!(
                            found.is_some(),
                            "{file}: $ {command}\n{line:?} is missing, or out of order, in\n{shown}"
                        );
                        rest = found.map_or("", |(_, after)| after);
                    }
                }
            }
            assert_eq!(code, wanted_code, "{file}: $ {command}\n{shown}");
        }
    }

    /// Starts a command that goes on, e.g. a watch.
    fn watch(&self, text: &str) -> Watch {
        let mut child = self.command(&format!("exec {text}")).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Watch { child, lines }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the lab's log:\n{}", std::fs::read_to_string(self.folder.join("lab.log")).unwrap_or_default());
        }
        let _ = self.lab.kill();
        let _ = self.lab.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A command that goes on.
struct Watch {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Watch {
    /// Reads on until a line has all of these words.
    fn until(&mut self, words: &[&str]) -> String {
        for line in &mut self.lines {
            let line = line.unwrap();
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
        panic!("the watch ended before {words:?}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn has_kubectl() -> bool {
    Command::new("kubectl").args(["version", "--client"]).output().is_ok_and(|output| output.status.success())
}

/// Says something although the test passes: what macros print is kept back then.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl")
}

/// Every run of spaces is one.
fn squeezed(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

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
    if let Err(why) = result {
        eprintln!("{}", std::fs::read_to_string(cluster.folder.join("controller.log")).unwrap_or_default());
        std::panic::resume_unwind(why);
    }
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
