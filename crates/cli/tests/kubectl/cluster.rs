//! A lab in a process of its own, kubectl on it, and transcripts.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A lab in a process of its own, and a folder for files.
pub(crate) struct Cluster {
    lab: Child,
    pub(crate) folder: PathBuf,
    pub(crate) prometheus: String,
}

impl Cluster {
    /// None: there is no kubectl, and nobody asks for it.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Option<Self> {
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
        command.env("ROOT", root()).env("EXAMPLES", root().join("examples")).env("PATH", path());
        command
    }

    /// Output of both kinds, as it came, and exit code.
    pub(crate) fn run(&self, text: &str) -> (String, i32) {
        let output = self.command(&format!("exec 2>&1\n{text}\n")).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap_or(-1))
    }

    /// Runs a transcript.
    pub(crate) fn follow(&self, file: &str) {
        self.perform(file, &std::fs::read_to_string(manifests().join(file)).unwrap());
    }

    /// Runs the part of a transcript under the title `## PART`.
    pub(crate) fn follow_part(&self, file: &str, part: &str) {
        let text = std::fs::read_to_string(manifests().join(file)).unwrap();
        let title = format!("\n## {part}\n");
        let (_, rest) = text.split_once(&title).unwrap_or_else(|| panic!("{file} has no part {part}"));
        self.perform(&format!("{file} {part}"), rest.split("\n## ").next().unwrap());
    }

    fn perform(&self, file: &str, text: &str) {
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

    /// The lab's log so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("lab.log")).unwrap()
    }

    /// Starts a command that goes on, e.g. a watch.
    pub(crate) fn watch(&self, text: &str) -> Watch {
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
pub(crate) struct Watch {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Watch {
    /// Reads on until a line has all of these words.
    pub(crate) fn until(&mut self, words: &[&str]) -> String {
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
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub(crate) fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl")
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The path with this program on it, so that `kubectl flagger` finds it.
fn path() -> std::ffi::OsString {
    let here = Path::new(env!("CARGO_BIN_EXE_kubectl-flagger")).parent().unwrap().to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(here).chain(std::env::split_paths(&others))).unwrap()
}

/// Every run of spaces is one.
fn squeezed(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}
