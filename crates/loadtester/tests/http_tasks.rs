//! Tasks on other servers, `ngrinder` and `concord`, in simulated time, with a table in place of the HTTP client.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod harness;

use harness::{Folder, Log, Table, Tester};
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// `key`.
const NGRINDER: [(&str, &str); 5] = [
    ("type", "ngrinder"),
    ("server", "http://grinder:8080/"),
    ("clone", "7"),
    ("username", "admin"),
    ("passwd", "a2V5"),
];

fn tester(
    limit: Duration,
    answers: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static,
) -> (Tester, Arc<Table>) {
    let table = Table::new(answers);
    let outbound: Arc<Table> = Arc::clone(&table);
    (Tester::new(outbound, limit, None), table)
}

/// Some pairs replaced, or without value removed.
fn but<'a>(pairs: &[(&'a str, &'a str)], changes: &[(&'a str, Option<&'a str>)]) -> Vec<(&'a str, &'a str)> {
    let is_replaced = |key: &str| changes.iter().any(|(name, _)| *name == key);
    let mut all: Vec<_> = pairs.iter().copied().filter(|(key, _)| !is_replaced(key)).collect();
    all.extend(changes.iter().filter_map(|(key, value)| Some((*key, (*value)?))));
    all
}

/// Waits until background tasks have begun and ended.
async fn settled(tester: &Tester) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    tester.runner.idle().await;
}

#[tokio::test(start_paused = true)]
async fn ngrinder_needs_its_metadata() {
    let (tester, table) = tester(HOUR, |_| None);
    let refused = async |key, value| tester.task(&but(&NGRINDER, &[(key, value)])).await;
    for key in ["server", "clone", "username", "passwd"] {
        let told = (400, "server, clone, username and passwd are required metadata".to_owned());
        assert_eq!(refused(key, None).await, told, "{key}");
        assert_eq!(refused(key, Some("")).await, told, "{key}");
    }
    for (key, value, told) in [
        ("server", "http://[", "invalid url: http://[: invalid IPv6 address"),
        ("clone", "x", "metadata clone must be integer: strconv.Atoi: parsing \"x\": invalid syntax"),
        (
            "clone",
            "99999999999999999999",
            "metadata clone must be integer: strconv.Atoi: parsing \"99999999999999999999\": value out of range",
        ),
        ("passwd", "a2V5!", "metadata password is invalid: illegal base64 data at input byte 4"),
    ] {
        assert_eq!(refused(key, Some(value)).await, (400, told.to_owned()));
    }
    settled(&tester).await;
    assert_eq!(table.story(), Vec::<String>::new());
}

/// Answers of an nGrinder server whose test has those states, one after the other.
fn grinder(states: &'static [&'static str]) -> impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    move |line| {
        if line.starts_with("POST ") {
            return Some((200, r#"{"id":42.0,"success":true}"#.to_owned()));
        }
        let look = looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let state = states[look.min(states.len() - 1)];
        Some((
            200,
            if state.starts_with('{') {
                state.to_owned()
            } else {
                format!(r#"{{"status":[{{"status_id":"{state}"}}]}}"#)
            },
        ))
    }
}

#[tokio::test(start_paused = true)]
async fn ngrinder_is_started_and_looked_at_until_it_has_finished() {
    let (log, _guard) = Log::start();
    let (tester, table) = tester(HOUR, grinder(&["READY", r#"{"status":[7]}"#, "{}", "TESTING", "FINISHED"]));
    let call = but(&NGRINDER, &[("pollInterval", Some("2s")), ("server", Some("http://grinder:8080/base/ignored"))]);
    assert_eq!(tester.task(&call).await, (202, String::new()));
    settled(&tester).await;
    assert_eq!(
        table.story(),
        [
            "0 POST http://grinder:8080/base/perftest/api/7/clone_and_start",
            "2 GET http://grinder:8080/base/perftest/api/42/status",
            "4 GET http://grinder:8080/base/perftest/api/42/status",
            "6 GET http://grinder:8080/base/perftest/api/42/status",
            "8 GET http://grinder:8080/base/perftest/api/42/status",
            "10 GET http://grinder:8080/base/perftest/api/42/status",
        ]
    );
    let requests = table.requests.lock().unwrap();
    let (name, value) = &requests[0].1.headers[0];
    assert_eq!((name.as_str(), value.reveal()), ("Authorization", "Basic YWRtaW46a2V5"));
    assert_eq!(requests[0].1.body, None);
    let lines = log.lines();
    let url = "http://grinder:8080/base/perftest/api/7/clone_and_start";
    assert_eq!(lines[0], format!("info podinfo.test task starting podinfo.test{url}"));
    assert_eq!(lines[1], format!("debug podinfo.test send POST request to {url}"));
    assert_eq!(lines[2], "debug podinfo.test send GET request to http://grinder:8080/base/perftest/api/42/status");
    assert_eq!(lines[3], "debug podinfo.test status of ngrinder task 42 is READY");
    assert_eq!(lines.last().unwrap(), "debug podinfo.test status of ngrinder task 42 is FINISHED");
}

#[tokio::test(start_paused = true)]
async fn ngrinder_polls_each_second_unless_told_otherwise() {
    for (interval, last) in [
        (None, "3 GET"),
        (Some("junk"), "3 GET"),
        (Some("0s"), "3 GET"),
        (Some("-1s"), "3 GET"),
        (Some("10s"), "30 GET"),
    ] {
        let (tester, table) = tester(HOUR, grinder(&["A", "B", "FINISHED"]));
        tester.task(&but(&NGRINDER, &[("pollInterval", interval)])).await;
        settled(&tester).await;
        assert!(table.story().last().unwrap().starts_with(last), "{interval:?} {:?}", table.story());
    }
}

#[tokio::test(start_paused = true)]
async fn ngrinder_that_fails_to_start_is_told() {
    for (answer, cause) in [
        (None, "connection refused"),
        (Some((200, "<html>")), "200 OK: expected value at line 1 column 1"),
        (Some((200, r#"{"success":false,"cause":"no"}"#)), r#"the server says {"success":false,"cause":"no"}"#),
        (Some((200, "{}")), "the answer has no number `id`: {}"),
        (Some((200, r#"{"id":"7"}"#)), r#"the answer has no number `id`: {"id":"7"}"#),
        (Some((200, "[]")), "the answer has no number `id`: []"),
    ] {
        let (log, _guard) = Log::start();
        let (tester, table) = tester(HOUR, move |_| answer.map(|(status, body)| (status, body.to_owned())));
        tester.task(&NGRINDER).await;
        settled(&tester).await;
        let url = "http://grinder:8080/perftest/api/7/clone_and_start";
        let told = format!("error podinfo.test failed to clone and start ngrinder test {url}: {cause}");
        assert_eq!(log.lines().last().unwrap(), &told);
        assert_eq!(table.story().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn ngrinder_states_that_are_failures_end_it() {
    for state in ["STOP_BY_ERROR", "CANCELED", "UNKNOWN"] {
        let (log, _guard) = Log::start();
        let states: &'static [&'static str] = Box::leak(Box::new([state]));
        let (tester, _) = tester(HOUR, grinder(states));
        tester.task(&NGRINDER).await;
        settled(&tester).await;
        let told = format!("error podinfo.test ngrinder task 42 ended with status {state}");
        assert_eq!(log.lines().last().unwrap(), &told);
        assert!((tester.metric("loadtester_tasks_total{result=\"failed\",type=\"ngrinder\"}").await - 1.0).abs() < 0.1);
    }
}

#[tokio::test(start_paused = true)]
async fn ngrinder_is_stopped_at_the_time_limit_and_at_the_end() {
    let (log, _guard) = Log::start();
    let (first, table) = tester(Duration::from_secs(5), grinder(&["TESTING"]));
    first.task(&NGRINDER).await;
    settled(&first).await;
    assert_eq!(table.story().last().unwrap(), "5 PUT http://grinder:8080/perftest/api/42?action=stop");
    assert!(log.lines().contains(&"warn podinfo.test context timedout, top ngrinder task 42 forcibly".to_owned()));
    let (second, table) = tester(HOUR, grinder(&["TESTING"]));
    second.task(&NGRINDER).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    second.stop.send_replace(true);
    second.runner.idle().await;
    assert_eq!(table.story().last().unwrap(), "1 PUT http://grinder:8080/perftest/api/42?action=stop");
}

#[tokio::test(start_paused = true)]
async fn equal_tests_are_begun_once_and_different_ones_side_by_side() {
    let (log, _guard) = Log::start();
    let (tester, table) = tester(HOUR, grinder(&["TESTING"]));
    for round in 0..4 {
        for _ in 0..250 {
            // The password is not what makes it another.
            tester.task(&but(&NGRINDER, &[("passwd", Some(if round % 2 == 0 { "a2V5" } else { "eA==" }))])).await;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(table.story().len(), 1);
    // The last that came before the first look is the one that was begun.
    assert_eq!(table.requests.lock().unwrap()[0].1.headers[0].1.reveal(), "Basic YWRtaW46a2V5");
    let skipped = "info podinfo.test command skipped podinfo.testhttp://grinder:8080/perftest/api/7/clone_and_start is already running";
    assert_eq!(log.lines().iter().filter(|line| *line == skipped).count(), 3);
    tester.task(&but(&NGRINDER, &[("clone", Some("8"))])).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!((tester.metric("loadtester_tasks_running{type=\"ngrinder\"}").await - 2.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn background_tasks_are_limited_in_number() {
    let (log, _guard) = Log::start();
    let (tester, _) = tester(Duration::from_secs(60), grinder(&["TESTING"]));
    let ask = async |from: usize, count: usize| {
        for clone in from..from + count {
            assert_eq!(tester.task(&but(&NGRINDER, &[("clone", Some(&clone.to_string()))])).await.0, 202);
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    };
    ask(0, 300).await;
    let refused = |why: &str| log.lines().iter().filter(|line| line.ends_with(why)).count();
    assert_eq!(refused("256 tasks are waiting already, which is the limit"), 44);
    ask(300, 10).await;
    assert_eq!(refused("256 tasks are running already, which is the limit"), 10);
    assert!((tester.metric("loadtester_tasks_total{result=\"refused\",type=\"ngrinder\"}").await - 54.0).abs() < 0.1);
    // When they have ended there is room again.
    tester.runner.idle().await;
    ask(0, 1).await;
    assert!((tester.metric("loadtester_tasks_running{type=\"ngrinder\"}").await - 1.0).abs() < 0.1);
}

/// A key file, and the metadata of a call that uses it.
struct Call {
    _folder: Folder,
    key: String,
}

impl Call {
    fn new(key: &str) -> Self {
        let folder = Folder::new();
        let file = folder.file("key");
        std::fs::write(&file, key).unwrap();
        Self { _folder: folder, key: file }
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        vec![
            ("type", "concord"),
            ("server", "https://user:word@concord.example.com/any?thing"),
            ("org", "Org"),
            ("project", "Proj"),
            ("repo", "Repo"),
            ("entrypoint", "main"),
            ("apiKeyPath", &self.key),
            ("endpoint", "http://podinfo"),
        ]
    }
}

#[tokio::test(start_paused = true)]
async fn concord_needs_its_metadata_in_order() {
    let (log, _guard) = Log::start();
    let call = Call::new("k");
    let (tester, table) = tester(HOUR, |_| None);
    // Each is told although all that come later are missing as well.
    let order = ["server", "org", "project", "repo", "entrypoint", "apiKeyPath"];
    for (index, key) in order.iter().enumerate() {
        let gone: Vec<_> = order[index..].iter().chain(&["endpoint"]).map(|key| (*key, None)).collect();
        let told = format!("`{key}` is required with type concord");
        assert_eq!(tester.task(&but(&call.pairs(), &gone)).await, (500, told.clone()));
        assert_eq!(log.lines().last().unwrap(), &format!("error podinfo concord task init error: {told}"));
    }
    let refused = async |changes: &[(&str, Option<&str>)], told: &str| {
        assert_eq!(tester.task(&but(&call.pairs(), changes)).await, (500, told.to_owned()));
    };
    refused(&[("apiKeyPath", Some("/no/file")), ("endpoint", None)], "`apiKeyPath` file doesn't exist /no/file").await;
    refused(&[("endpoint", None)], "`endpoint` is required with type concord").await;
    refused(&[("server", Some("//"))], "failed to create base URL from metadata `concord_url`").await;
    refused(&[("pollInterval", Some("5s"))], "unable to convert `pollInterval` to int").await;
    refused(&[("pollTimeout", Some(""))], "unable to convert `pollTimeout` to int").await;
    let told = "You cannot override Endpoint through arguments. You must override Endpoint directly";
    refused(&[("arguments.endpoint", Some("x"))], told).await;
    assert_eq!(table.story(), Vec::<String>::new());
}

/// Answers of a Concord server whose process has those states, one after the other.
fn concord(states: &'static [&'static str]) -> impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    move |line| {
        if line.starts_with("POST ") {
            return Some((200, r#"{"instanceId":"a/b","ok":true}"#.to_owned()));
        }
        let look = looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Some((200, format!(r#"{{"status":"{}"}}"#, states[look.min(states.len() - 1)])))
    }
}

#[tokio::test(start_paused = true)]
async fn concord_runs_a_process_to_its_end() {
    let (log, _guard) = Log::start();
    let call = Call::new(" secret-key\n");
    let (tester, table) = tester(HOUR, concord(&["ENQUEUED", "RUNNING", "FINISHED"]));
    let pairs = but(&call.pairs(), &[("arguments.b", Some("2")), ("arguments.a", Some("1")), ("other", Some("x"))]);
    assert_eq!(tester.task(&pairs).await, (200, String::new()));
    let server = "https://user:word@concord.example.com/api/v1/process";
    assert_eq!(
        table.story(),
        [
            format!("0 POST {server}"),
            format!("5 GET {server}/a%2Fb"),
            format!("10 GET {server}/a%2Fb"),
            format!("15 GET {server}/a%2Fb"),
        ]
    );
    let requests = table.requests.lock().unwrap();
    let header = |index: usize, name: &str| {
        requests[index].1.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.reveal().to_owned())
    };
    assert_eq!(header(0, "Authorization").unwrap(), "secret-key");
    assert_eq!(header(3, "Authorization").unwrap(), "secret-key");
    let kind = header(0, "Content-Type").unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let form = String::from_utf8(requests[0].1.body.clone().unwrap()).unwrap().replace(boundary, "B");
    let field =
        |name: &str, value: &str| format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let fields = [
        field("org", "Org"),
        field("project", "Proj"),
        field("repo", "Repo"),
        field("entryPoint", "main"),
        field("arguments.endpoint", "http://podinfo"),
        field("arguments.a", "1"),
        field("arguments.b", "2"),
    ];
    assert_eq!(form, fields.concat() + "--B--\r\n");
    let lines = log.lines();
    assert_eq!(
        lines[..3],
        [
            "info podinfo.test created process id [a/b] OK status is true",
            "info podinfo.test calling endpoint https://concord.example.com/api/v1/process/a%2Fb",
            "info podinfo.test process id [a/b] current status is ENQUEUED",
        ]
    );
    assert!(!lines.iter().any(|line| line.contains("word") || line.contains("secret")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn concord_that_does_not_finish_is_told() {
    let call = Call::new("");
    for (state, text) in [
        ("FAILED", "concord instanceID: a/b failed"),
        ("CANCELLED", "concord instanceID: a/b failed"),
        ("TIMED_OUT", "concord instanceID: a/b failed"),
        ("RUNNING", "context timedout"),
    ] {
        let states: &'static [&'static str] = Box::leak(Box::new(["RUNNING", state]));
        let (tester, table) = tester(HOUR, concord(states));
        assert_eq!(tester.task(&call.pairs()).await, (500, text.to_owned()));
        assert!(table.requests.lock().unwrap()[0].1.headers.iter().all(|(name, _)| name != "Authorization"));
    }
}

#[tokio::test(start_paused = true)]
async fn concord_has_the_patience_that_the_user_asks_for_and_no_other() {
    let call = Call::new("k");
    let (tester, table) = tester(HOUR, concord(&["RUNNING"]));
    let start = tokio::time::Instant::now();
    let patient = but(&call.pairs(), &[("pollTimeout", Some("12")), ("pollInterval", Some("0"))]);
    assert_eq!(tester.task(&patient).await, (500, "concord process timed out, after 12 seconds".to_owned()));
    assert_eq!((start.elapsed().as_secs(), table.story().len()), (12, 13), "one look each second");
    let start = tokio::time::Instant::now();
    assert_eq!(tester.task(&call.pairs()).await.1, "context timedout");
    assert_eq!(start.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn concord_that_refuses_is_told() {
    let call = Call::new("k");
    for (answer, text) in [
        (None, "connection refused"),
        (Some((401, "who?")), "401 Unauthorized: who?"),
        (Some((200, "{}")), "the answer has no `instanceId`: {}"),
        (Some((200, "oops")), "200 OK: expected value at line 1 column 1"),
    ] {
        let (log, _guard) = Log::start();
        let (tester, _) = tester(HOUR, move |_| answer.map(|(status, body)| (status, body.to_owned())));
        assert_eq!(tester.task(&call.pairs()).await, (500, text.to_owned()));
        assert_eq!(log.lines().last().unwrap(), &format!("error podinfo.test failed to start process: {text}"));
    }
    let (tester, _) = tester(HOUR, |line| {
        Some(if line.starts_with("POST") { (200, r#"{"instanceId":"1"}"#.to_owned()) } else { (502, "x".to_owned()) })
    });
    assert_eq!(tester.task(&call.pairs()).await, (500, "failed checking status: 502 Bad Gateway: x".to_owned()));
}
