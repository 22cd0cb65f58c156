//! The program itself, as a process: how it starts, what it answers, and that nothing is left when it has ended.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod harness;

use harness::{Folder, payload, runs};
use loadtester::descendants;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtester"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A load tester on a port of its own; killed with the test.
struct Tester {
    child: Child,
    port: u16,
    log: Receiver<String>,
}

impl Drop for Tester {
    fn drop(&mut self) {
        // Of a test that failed.
        let _ = self.child.kill();
    }
}

impl Tester {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (sender, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        let mut tester = Self { child, port: 0, log };
        let line = tester.line_with("Starting load tester v0.38.0 API on port ");
        let number = line.split("on port ").nth(1).unwrap().trim_end_matches("\"}");
        tester.port = number.parse().unwrap();
        tester
    }

    /// Waits for a line of the log.
    fn line_with(&self, text: &str) -> String {
        loop {
            let line = self.log.recv().unwrap();
            if line.contains(text) {
                return line;
            }
        }
    }

    fn send(&self, path: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        stream
    }

    /// Status and body of the answer.
    fn call(&self, path: &str, body: &[u8]) -> (u16, String) {
        answer(self.send(path, body))
    }

    fn task(&self, kind: &str, cmd: &str) -> (u16, String) {
        self.call("/", payload(&[("type", kind), ("cmd", cmd), ("returnCmdOutput", "true")]).as_bytes())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit status, and the rest of the log.
    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        let log: Vec<String> = std::iter::from_fn(|| self.log.recv().ok()).collect();
        (status, log.join("\n"))
    }
}

fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Waits until a file holds that many lines, and returns them.
fn lines_of(file: &str, count: usize) -> Vec<String> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(harness::lines_of(file, count))
}

fn leaves(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn mistakes_end_it_with_the_right_code() {
    let (code, _, text) = leaves(&["-nope"]);
    assert!(code == Some(2) && text.starts_with("flag provided but not defined: -nope\nUsage of "), "{text}");
    let (code, _, text) = leaves(&["-zap-encoding=xml"]);
    assert_eq!((code, text.as_str()), (Some(1), "Error creating logger: no encoder registered for name \"xml\"\n"));
    let (code, _, text) = leaves(&["-port=0", "-namespace-regexp=("]);
    assert!(
        code == Some(2) && text.contains("\"level\":\"fatal\"") && text.contains("is no regular expression"),
        "{text}"
    );
    let taken =
        std::net::TcpListener::bind(("::", 0)).or_else(|_| std::net::TcpListener::bind(("0.0.0.0", 0))).unwrap();
    let port = taken.local_addr().unwrap().port();
    let (code, _, text) = leaves(&[&format!("-port={port}")]);
    assert!(code == Some(1) && text.contains(&format!("API on port {port}\"")), "{text}");
    assert!(text.contains(&format!("\"msg\":\"HTTP server crashed listen tcp :{port}: ")), "{text}");
    assert_eq!(leaves(&["-version"]).1, "loadtester version 0.38.0 revision unknown\n");
    assert_eq!(leaves(&["-help"]).0, Some(0));
}

#[test]
fn it_serves_survives_bad_input_and_leaves_nothing() {
    let folder = Folder::new();
    let links = Folder::new();
    let tester = Tester::start(program(&["-port=0", "-log-level=info"]).env("TMPDIR", &links.0));
    assert_eq!(tester.call("/healthz", b""), (200, "OK".to_owned()));
    assert_eq!(tester.call("/", b"nonsense"), (400, String::new()));
    let told = "the request body is longer than 1048576 bytes".to_owned();
    assert_eq!(tester.call("/gate/open", &vec![b'x'; 100 * 1024 * 1024]), (413, told));
    assert_eq!(tester.call("/", payload(&[("type", "wrk")]).as_bytes()), (400, "unknown task type wrk".to_owned()));
    assert_eq!(tester.task("bash", "echo $((6 * 7))"), (200, "42\n".to_owned()));
    // A body that breaks off, and a peer that says nothing of the kind.
    let mut broken = TcpStream::connect(("127.0.0.1", tester.port)).unwrap();
    broken.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{").unwrap();
    drop(broken);
    let mut garbage = TcpStream::connect(("127.0.0.1", tester.port)).unwrap();
    garbage.write_all(b"\x16\x03\x01\x02\x00\x01\r\n\r\n").unwrap();
    drop(garbage);
    // Processes that do all they can to stay.
    let pids = folder.file("pids");
    let stay = format!(
        "trap '' TERM; echo $$ >> {pids}; setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' & \
         env -i setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' & (trap '' TERM; setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' >/dev/null 2>&1 &); sleep 1000"
    );
    assert_eq!(tester.task("cmd", &stay).0, 202);
    let left = format!("env -i setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' >/dev/null 2>&1 &");
    assert_eq!(tester.task("bash", &left).0, 200);
    let pids = lines_of(&pids, 5);
    assert!(pids.iter().all(|pid| runs(pid)), "{pids:?}");
    assert_eq!(std::fs::read_dir(&links.0).unwrap().count(), 1);
    assert_eq!(tester.call("/healthz", b""), (200, "OK".to_owned()));
    tester.signal(Signal::TERM);
    let (status, log) = tester.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("shutting down the task runner") && log.contains("HTTP server stopped"), "{log}");
    assert!(!pids.iter().any(|pid| runs(pid)), "{pids:?}");
    assert_eq!(std::fs::read_dir(&links.0).unwrap().count(), 0);
}

#[test]
fn a_request_that_is_under_way_is_answered_and_a_second_signal_waits_for_none() {
    let folder = Folder::new();
    let (pid, go) = (folder.file("pid"), folder.file("go"));
    let wait = format!("echo $$ >> {pid}; while [ ! -e {go} ]; do sleep 0.01; done; echo done");
    let body = payload(&[("type", "bash"), ("cmd", &wait), ("returnCmdOutput", "true")]);
    let tester = Tester::start(&mut program(&["-port=0"]));
    let waiting = tester.send("/", body.as_bytes());
    lines_of(&pid, 1);
    tester.signal(Signal::INT);
    tester.line_with("shutting down the task runner");
    std::fs::write(&go, "").unwrap();
    assert_eq!(answer(waiting), (200, "done\n".to_owned()));
    assert_eq!(tester.end().0.code(), Some(0));
    std::fs::remove_file(&go).unwrap();
    std::fs::remove_file(&pid).unwrap();
    let tester = Tester::start(&mut program(&["-port=0"]));
    let _waiting = tester.send("/", body.as_bytes());
    let pids = lines_of(&pid, 1);
    tester.signal(Signal::TERM);
    tester.line_with("shutting down the task runner");
    tester.signal(Signal::TERM);
    assert_eq!(tester.end().0.code(), Some(1));
    assert!(!runs(&pids[0]));
}

#[test]
fn orphans_are_buried() {
    let folder = Folder::new();
    let pid = folder.file("pid");
    let tester = Tester::start(&mut program(&["-port=0"]));
    let orphan = format!("setsid sh -c 'echo $$ >> {pid}' >/dev/null 2>&1 &");
    assert_eq!(tester.task("bash", &orphan).0, 200);
    let pid: i32 = lines_of(&pid, 1)[0].parse().unwrap();
    while descendants::all().iter().any(|process| process.pid == pid) {
        std::thread::sleep(Duration::from_millis(2));
    }
    tester.signal(Signal::TERM);
    assert_eq!(tester.end().0.code(), Some(0));
}

/// A server that answers every request with nothing, on a port of its own.
fn server() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream.unwrap());
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|count| count > 0) {
                    if line == "\r\n" {
                        let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    }
                    line.clear();
                }
            });
        }
    });
    port
}

#[test]
fn it_is_its_own_load_generator() {
    let links = Folder::new();
    let tester = Tester::start(program(&["-port=0"]).env("TMPDIR", &links.0));
    let hey = format!("hey -n 20 -c 2 http://127.0.0.1:{}/", server());
    for (kind, cmd) in [
        ("bash", hey.clone()),
        ("bash", format!("timeout 60 {hey} | cat")),
        ("bash", format!("{} {hey}", env!("CARGO_BIN_EXE_loadtester"))),
    ] {
        let (status, summary) = tester.task(kind, &cmd);
        assert!(status == 200 && summary.contains("[200]\t20 responses"), "{status} {summary}");
    }
    for command in load::COMMANDS {
        let (status, place) = tester.task("bash", &format!("command -v {command}"));
        assert!(status == 200 && place.starts_with(links.0.to_str().unwrap()), "{place}");
        let (status, _) = tester.task("bash", &format!("{command} --no-such-flag"));
        assert_eq!(status, 500, "{command} refuses what it does not know");
    }
    tester.signal(Signal::TERM);
    assert_eq!(tester.end().0.code(), Some(0));
}

#[test]
fn a_generator_that_runs_when_its_time_is_over_still_sums_up() {
    let tester = Tester::start(&mut program(&["-port=0", "-timeout=1s"]));
    let (status, summary) = tester.task("bash", &format!("hey -z 1h -q 5 -c 1 http://127.0.0.1:{}/", server()));
    assert!(status == 500 && summary.contains("Status code distribution:"), "{status} {summary}");
    assert!(summary.ends_with(": signal: killed"), "{summary}");
}
