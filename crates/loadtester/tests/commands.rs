//! Tasks that are commands: texts, and what bad commands do not get away with.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod harness;

use harness::{Folder, Log, Table, Tester, bounds, lines_of, payload, runs};
use loadtester::descendants;
use loadtester::output::{FOR_ANSWER, FOR_LOG};
use loadtester::process::{Finished, Processes};
use std::sync::Arc;
use std::time::Duration;

fn processes() -> Arc<Processes> {
    Arc::new(Processes::new(std::env::var("PATH").unwrap()))
}

#[tokio::test]
async fn bash_answers_when_it_is_done() {
    let (log, _guard) = Log::start();
    let tester = Tester::alone();
    let say = "echo out; echo err >&2; echo $0";
    assert_eq!(tester.task(&[("type", "bash"), ("cmd", say)]).await, (200, String::new()));
    let with_output = [("type", "bash"), ("cmd", say), ("returnCmdOutput", "true")];
    assert_eq!(tester.task(&with_output).await, (200, "out\nerr\nbash\n".to_owned()));
    let failed = "command echo so; exit 7 failed: so\n: exit status 7";
    assert_eq!(tester.task(&[("type", "bash"), ("cmd", "echo so; exit 7")]).await, (500, failed.to_owned()));
    assert_eq!(tester.task(&[("type", "bash"), ("cmd", "false")]).await.1, "command false failed: : exit status 1");
    assert_eq!(
        tester.task(&[("type", "bash"), ("cmd", "kill -9 $$")]).await.1,
        "command kill -9 $$ failed: : signal: killed"
    );
    assert_eq!(tester.task(&[("type", "bash"), ("cmd", "")]).await, (200, String::new()));
    let lines = log.lines();
    assert_eq!(
        lines[..3],
        [
            format!("info podinfo bash command {say}"),
            "info podinfo.test out\nerr\nbash\n".to_owned(),
            format!("info podinfo.test command finished {say}"),
        ]
    );
    assert_eq!(lines[7], "error podinfo.test command failed echo so; exit 7 exit status 7 so\n");
}

#[tokio::test]
async fn helm_and_kubectl_are_run_as_words_without_a_shell() {
    let (log, _guard) = Log::start();
    let folder = Folder::new();
    for program in ["helm", "kubectl"] {
        let script = "#!/bin/sh\nprintf '%s|' \"$@\"\n[ \"$1\" != fail ]\n";
        std::fs::write(folder.0.join(program), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.0.join(program), mode).unwrap();
    }
    let path = format!("{}:{}", folder.0.display(), std::env::var("PATH").unwrap());
    let tester = Tester::with_path(path);
    let run =
        async |kind: &str, cmd: &str| tester.task(&[("type", kind), ("cmd", cmd), ("returnCmdOutput", "true")]).await;
    assert_eq!(run("helm", "test  podinfo $HOME *").await, (200, "test|podinfo|$HOME|*|".to_owned()));
    assert_eq!(run("helmv3", "test --x='{\"a\": 1}'").await, (200, "test|--x={\"a\": 1}|".to_owned()));
    assert_eq!(run("kubectl", "").await, (200, "|".to_owned()));
    assert_eq!(run("kubectl", "fail now").await, (500, "command fail now failed: fail|now|: exit status 1".to_owned()));
    let lines = log.lines();
    assert_eq!(lines[0], "info podinfo.test running command helmv3 test  podinfo $HOME *");
    assert_eq!(lines[1], "info podinfo.test test|podinfo|$HOME|*|");
    assert_eq!(lines[2], "info podinfo.test command finished helmv3 test  podinfo $HOME *");
    assert_eq!(lines[6], "info podinfo.test running command kubectl ");
    assert_eq!(lines[8], "info podinfo.test command finished kubectl ");
    assert_eq!(lines[10], "error podinfo.test command failed fail now exit status 1 fail|now|");
}

#[tokio::test]
async fn what_is_not_there_cannot_be_run() {
    let tester = Tester::with_path("/nowhere".to_owned());
    let (status, text) = tester.task(&[("type", "kubectl"), ("cmd", "get pods")]).await;
    let error = "command get pods failed: : exec: \"kubectl\": executable file not found in $PATH";
    assert_eq!((status, text.as_str()), (500, error));
}

#[tokio::test]
async fn a_command_that_is_too_long_for_the_system_is_told() {
    let tester = Tester::alone();
    let long = format!("true {}", "x".repeat(200_000));
    let (status, text) = tester.task(&[("type", "bash"), ("cmd", &long)]).await;
    assert_eq!(status, 500);
    assert!(text.ends_with("/bash: argument list too long"), "{}", &text[text.len() - 100..]);
}

#[tokio::test]
async fn cmd_is_begun_and_told_in_the_log() {
    let (log, _guard) = Log::start();
    let folder = Folder::new();
    let tester = Tester::alone();
    let good = format!("echo well; echo > {}", folder.file("good"));
    let bad = format!("echo ill; echo > {}; exit 3", folder.file("bad"));
    assert_eq!(
        tester.task(&[("cmd", &good), ("logCmdOutput", "true"), ("returnCmdOutput", "true")]).await,
        (202, String::new())
    );
    lines_of(&folder.file("good"), 1).await;
    tester.runner.idle().await;
    assert_eq!(tester.task(&[("type", "cmd"), ("cmd", &bad)]).await, (202, String::new()));
    lines_of(&folder.file("bad"), 1).await;
    tester.runner.idle().await;
    assert_eq!(
        log.lines(),
        [
            format!("info podinfo.test task starting {good}"),
            "info podinfo.test well\n".to_owned(),
            format!("info podinfo.test command finished {good}"),
            format!("info podinfo.test task starting {bad}"),
            format!("error podinfo.test command failed {bad} exit status 3 ill\n"),
        ]
    );
    assert!((tester.metric("loadtester_tasks_total{result=\"failed\",type=\"cmd\"}").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_thousand_equal_commands_run_once() {
    let folder = Folder::new();
    let tester = Tester::alone();
    let (started, go) = (folder.file("started"), folder.file("go"));
    let cmd = format!("echo x >> {started}; while [ ! -e {go} ]; do sleep 0.01; done");
    for _ in 0..1000 {
        assert_eq!(tester.task(&[("cmd", &cmd)]).await.0, 202);
    }
    lines_of(&started, 1).await;
    // Once more, now that it runs.
    let (log, _guard) = Log::start();
    tester.task(&[("cmd", &cmd)]).await;
    while log.lines().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.lines(), [format!("info podinfo.test command skipped {cmd} is already running")]);
    std::fs::write(go, "").unwrap();
    tester.runner.idle().await;
    assert_eq!(std::fs::read_to_string(started).unwrap(), "x\n");
}

#[tokio::test]
async fn a_gigabyte_leaves_its_end() {
    let tester = Tester::alone();
    let cmd = "head -c 1073741824 /dev/zero; echo; echo end";
    let (status, text) = tester.task(&[("type", "bash"), ("cmd", cmd), ("returnCmdOutput", "true")]).await;
    assert_eq!(status, 200);
    assert!(text.ends_with("\0\nend\n"));
    let dropped = 1_073_741_824 + 5 - FOR_ANSWER;
    assert!(text.starts_with(&format!("[the first {dropped} bytes are left out]\n\0")));
    let (bounds, _stop) = bounds();
    let arguments = ["-c".to_owned(), "head -c 10000000 /dev/zero".to_owned()];
    let finished = processes().run("sh", &arguments, &bounds, FOR_LOG).await;
    assert!(finished.output.len() < FOR_LOG + 100 && finished.error.is_none());
}

/// A command that has said its processes' numbers in a file.
struct Victim {
    running: tokio::task::JoinHandle<Finished>,
    stop: tokio::sync::watch::Sender<bool>,
    pids: Vec<String>,
    _folder: Folder,
}

impl Victim {
    async fn new(script: &str, count: usize) -> Self {
        let folder = Folder::new();
        let pids = folder.file("pids");
        let (bounds, stop) = bounds();
        let arguments = ["-c".to_owned(), script.replace("PIDS", &pids)];
        let running = tokio::spawn(async move { processes().run("bash", &arguments, &bounds, 1000).await });
        let pids = lines_of(&pids, count).await;
        assert!(pids.iter().all(|pid| runs(pid)), "{pids:?}");
        Self { running, stop, pids, _folder: folder }
    }

    /// Its error when it is ended by its time limit, or because the program stops. Of those that it named nobody is left.
    /// From here on time is simulated: what has to be waited for passes at once.
    async fn ended(self, by_limit: bool) -> Option<String> {
        tokio::time::pause();
        if !by_limit {
            self.stop.send_replace(true);
        }
        let finished = self.running.await.unwrap();
        assert!(!self.pids.iter().any(|pid| runs(pid)), "{:?}", self.pids);
        finished.error
    }
}

#[tokio::test]
async fn commands_are_asked_to_end_before_they_are_killed() {
    let script = "trap 'echo bye; exit 5' TERM; echo $$ >> PIDS; while :; do sleep 0.01; done";
    let victim = Victim::new(script, 1).await;
    // Time stands still as long as a thread is busy: there is no end of the grace.
    let (release, held) = std::sync::mpsc::channel::<()>();
    tokio::time::pause();
    let busy = tokio::task::spawn_blocking(move || held.recv());
    victim.stop.send_replace(true);
    let finished = victim.running.await.unwrap();
    assert_eq!(finished.error.as_deref(), Some("exit status 5"));
    assert!(finished.output.ends_with(b"bye\n"));
    drop(release);
    assert!(busy.await.unwrap().is_err());
}

const DEAF: &str =
    "trap '' TERM INT HUP; echo $$ >> PIDS; (trap '' TERM; echo $BASHPID >> PIDS; sleep 1000) & sleep 1000";

#[tokio::test]
async fn commands_that_hang_and_ignore_signals_are_killed_with_all_their_kin() {
    assert_eq!(Victim::new(DEAF, 2).await.ended(true).await.as_deref(), Some("signal: killed"));
}

#[tokio::test]
async fn they_are_when_the_program_stops_as_well() {
    assert_eq!(Victim::new(DEAF, 2).await.ended(false).await.as_deref(), Some("signal: killed"));
}

#[tokio::test]
async fn those_that_leave_the_group_and_forget_their_origin_are_found() {
    let script = "setsid bash -c 'echo $$ >> PIDS; sleep 1000' & env -i setsid sh -c 'echo $$ >> PIDS; sleep 1000' & \
        (setsid sh -c 'echo $$ >> PIDS; sleep 1000' &) ; echo $$ >> PIDS; sleep 1000";
    assert_eq!(Victim::new(script, 4).await.ended(true).await.as_deref(), Some("signal: killed"));
}

#[tokio::test]
async fn forks_without_end_come_to_their_end() {
    // Not the whole bomb, which would take the machine with it: 20 lines of processes that replace themselves.
    let script = "f() { (sleep 0.01; f) & }; for i in $(seq 20); do f; done; echo $$ >> PIDS; sleep 1000";
    let mark = format!("BOMB={}", uuid::Uuid::new_v4());
    let victim = Victim::new(&format!("export {mark}; {script}"), 1).await;
    let left =
        || descendants::all().into_iter().filter(|one| !one.zombie && descendants::is_marked(one.pid, &mark)).count();
    assert_eq!(victim.ended(true).await.as_deref(), Some("signal: killed"));
    assert_eq!(left(), 0);
}

#[tokio::test]
async fn a_task_lasts_as_long_as_somebody_holds_its_output() {
    let folder = Folder::new();
    let (go, done) = (folder.file("go"), folder.file("done"));
    let (bounds, _stop) = bounds();
    let script = format!("(while [ ! -e {go} ]; do sleep 0.01; done; echo late) & echo early; echo > {done}");
    let arguments = ["-c".to_owned(), script];
    let running = tokio::spawn(async move { processes().run("sh", &arguments, &bounds, 1000).await });
    lines_of(&done, 1).await;
    std::fs::write(go, "").unwrap();
    let finished = running.await.unwrap();
    assert_eq!((finished.error, finished.output), (None, b"early\nlate\n".to_vec()));
}

#[tokio::test]
async fn what_is_left_behind_may_go_on_but_not_for_ever() {
    let folder = Folder::new();
    let pids = folder.file("pids");
    let tester = Tester::new(Table::new(|_| None), Duration::from_secs(60), None);
    let cmd = format!("setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' >/dev/null 2>&1 &");
    assert_eq!(tester.task(&[("type", "bash"), ("cmd", &cmd)]).await.0, 200);
    let pids = lines_of(&pids, 1).await;
    assert!(runs(&pids[0]), "as before");
    tokio::time::pause();
    // It holds its place until its time is over.
    tester.api.idle().await;
    assert!(!runs(&pids[0]));
}

#[tokio::test]
async fn tasks_that_are_waited_for_are_limited_in_number() {
    let (log, _guard) = Log::start();
    let folder = Folder::new();
    let tester = Arc::new(Tester::alone());
    let (started, go) = (folder.file("started"), folder.file("go"));
    let cmd = format!("echo x >> {started}; while [ ! -e {go} ]; do sleep 0.1; done");
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (tester, cmd) = (Arc::clone(&tester), cmd.clone());
        calls.spawn(async move { tester.task(&[("type", "bash"), ("cmd", &cmd)]).await.0 });
    }
    lines_of(&started, 64).await;
    let told = "64 tasks of types that are waited for are running already, which is the limit";
    assert_eq!(tester.task(&[("type", "bash"), ("cmd", "true")]).await, (503, told.to_owned()));
    assert_eq!(log.lines().last().unwrap(), &format!("error podinfo.test command refused true: {told}"));
    std::fs::write(go, "").unwrap();
    assert!(calls.join_all().await.into_iter().all(|status| status == 200));
    tester.api.idle().await;
    assert_eq!(tester.task(&[("type", "bash"), ("cmd", "true")]).await.0, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_end_its_task() {
    let folder = Folder::new();
    let tester = Tester::alone();
    let (started, go, done) = (folder.file("started"), folder.file("go"), folder.file("done"));
    let cmd = format!("echo x > {started}; while [ ! -e {go} ]; do sleep 0.01; done; echo x > {done}");
    let api = tester.api.clone();
    let body = payload(&[("type", "bash"), ("cmd", &cmd)]);
    let call = tokio::spawn(async move {
        let body = http_body_util::Full::new(bytes::Bytes::from(body));
        api.respond(http::Request::post("/").body(body).unwrap()).await
    });
    lines_of(&started, 1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    std::fs::write(go, "").unwrap();
    lines_of(&done, 1).await;
}

#[tokio::test]
async fn commands_get_the_environment_and_no_input() {
    let tester = Tester::alone();
    let cmd = "cat; echo ${CARGO_PKG_NAME:-none}";
    let answer = tester.task(&[("type", "bash"), ("cmd", cmd), ("returnCmdOutput", "1")]).await;
    assert_eq!(answer, (200, format!("{}\n", std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "none".to_owned()))));
}

#[tokio::test]
async fn generators_are_functions_where_they_are_no_files() {
    let tester = Tester::with_prelude("hey() { echo \"ours $*\"; }\n");
    let run = [("type", "bash"), ("cmd", "hey -z 1m"), ("returnCmdOutput", "true")];
    assert_eq!(tester.task(&run).await, (200, "ours -z 1m\n".to_owned()));
    let fails = [("type", "bash"), ("cmd", "hey; false")];
    assert_eq!(tester.task(&fails).await.1, "command hey; false failed: ours \n: exit status 1");
}
