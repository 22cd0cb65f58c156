//! Every row of the table of endpoints, and every way to get it wrong.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod harness;

use bytes::Bytes;
use harness::{Log, Table, Tester, payload};
use http::Request;
use http_body_util::Full;
use loadtester::body::LONGEST;
use std::time::Duration;

const PLAIN: &str = "text/plain; charset=utf-8";
const PODINFO: &str = r#"{"name":"podinfo","namespace":"test"}"#;

fn plain(status: u16, text: &str) -> (u16, String, String) {
    (status, if text.is_empty() { String::new() } else { PLAIN.to_owned() }, text.to_owned())
}

#[tokio::test]
async fn fixed_answers_need_no_body() {
    let tester = Tester::alone();
    assert_eq!(tester.call("/healthz", "").await, plain(200, "OK"));
    assert_eq!(tester.call("/gate/approve", "").await, plain(200, "OK"));
    assert_eq!(tester.call("/gate/halt", "{").await, plain(403, "Forbidden"));
    let (status, kind, text) = tester.call("/metrics", "").await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(text.contains("process_resident_memory_bytes"), "{text}");
}

#[tokio::test]
async fn methods_are_not_looked_at() {
    let tester = Tester::alone();
    for method in ["GET", "PUT", "DELETE", "BREW"] {
        for (path, status) in [("/healthz", 200), ("/gate/open", 202), ("/rollback/check", 403), ("/any", 400)] {
            let request = Request::builder().method(method).uri(path).body(Full::new(Bytes::from(PODINFO))).unwrap();
            assert_eq!(tester.api.respond(request).await.status().as_u16(), status, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn gates_open_stay_open_and_close() {
    let (log, _guard) = Log::start();
    let tester = Tester::alone();
    for (check, open, close) in
        [("/gate/check", "/gate/open", "/gate/close"), ("/rollback/check", "/rollback/open", "/rollback/close")]
    {
        assert_eq!(tester.call(check, PODINFO).await, plain(403, "Forbidden"));
        assert_eq!(tester.call(open, PODINFO).await, plain(202, ""));
        assert_eq!(tester.call(check, PODINFO).await, plain(200, "Approved"));
        assert_eq!(tester.call(check, PODINFO).await, plain(200, "Approved"));
        assert_eq!(tester.call(check, r#"{"name":"podinfo","namespace":"prod"}"#).await, plain(403, "Forbidden"));
        assert_eq!(tester.call(close, PODINFO).await, plain(202, ""));
        assert_eq!(tester.call(check, PODINFO).await, plain(403, "Forbidden"));
    }
    let lines = log.lines();
    assert_eq!(
        lines[..7],
        [
            "info - podinfo.test gate check: approved false",
            "info - podinfo.test gate opened",
            "info - podinfo.test gate check: approved true",
            "info - podinfo.test gate check: approved true",
            "info - podinfo.prod gate check: approved false",
            "info - podinfo.test gate closed",
            "info - podinfo.test gate check: approved false",
        ]
    );
    assert_eq!(lines[7], "info - rollback.podinfo.test rollback check: approved false");
    assert_eq!(lines[8], "info - rollback.podinfo.test rollback opened");
    assert_eq!(lines[12], "info - rollback.podinfo.test rollback closed");
}

#[tokio::test]
async fn gates_and_rollbacks_do_not_share_keys() {
    let tester = Tester::alone();
    tester.call("/gate/open", PODINFO).await;
    assert_eq!(tester.call("/rollback/check", PODINFO).await.0, 403);
    assert!((tester.metric("loadtester_gate_open{gate=\"podinfo.test\"}").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn bodies_that_are_no_payload_are_refused_and_told() {
    let (log, _guard) = Log::start();
    let tester = Tester::alone();
    let paths =
        ["/", "/gate/check", "/gate/open", "/gate/close", "/rollback/check", "/rollback/open", "/rollback/close"];
    for path in paths {
        for body in ["", "{", "[]", "nonsense", r#"{"metadata":{"type":1}}"#, "{\"name\":\"\u{0}\"}"] {
            assert_eq!(tester.call(path, body).await, plain(400, ""), "{path} {body}");
        }
    }
    let lines = log.lines();
    assert_eq!(lines.len(), paths.len() * 6);
    assert!(lines.iter().all(|line| line == "error - decoding the request body failed"), "{lines:?}");
    // Nothing of that has ended anything.
    assert_eq!(tester.task(&[("type", "bash"), ("cmd", "")]).await, (200, String::new()));
}

#[tokio::test]
async fn tasks_are_refused_with_the_reason() {
    let tester = Tester::alone();
    assert_eq!(tester.call("/", PODINFO).await, plain(400, "metadata not found in payload"));
    assert_eq!(tester.task(&[]).await, (400, "metadata not found in payload".to_owned()));
    assert_eq!(tester.task(&[("type", "wrk")]).await, (400, "unknown task type wrk".to_owned()));
    assert_eq!(tester.task(&[("type", "")]).await, (400, "unknown task type ".to_owned()));
    assert_eq!(tester.task(&[("cmds", "true")]).await, (400, "cmd not found in metadata".to_owned()));
}

#[tokio::test]
async fn any_other_path_is_for_tasks() {
    let tester = Tester::alone();
    let body = payload(&[("type", "bash"), ("cmd", "echo -n here"), ("returnCmdOutput", "true")]);
    for path in ["/", "/test", "/gate", "/gate/open/", "/healthz/", "/?x=y"] {
        assert_eq!(tester.call(path, body.clone()).await, plain(200, "here"), "{path}");
    }
}

#[tokio::test]
async fn unclean_paths_are_redirected_with_method_and_body() {
    let tester = Tester::alone();
    for (path, place) in [
        ("//gate/open", "/gate/open"),
        ("/gate/../gate//check?a=b", "/gate/check?a=b"),
        ("//example.com/%2e%2e/", "/example.com/%2e%2e/"),
    ] {
        let request = Request::post(path).body(Full::new(Bytes::from(PODINFO))).unwrap();
        let answer = tester.api.respond(request).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (307, place), "{path}");
    }
}

#[tokio::test]
async fn namespaces_are_restricted_where_the_expression_is_found() {
    let tester = Tester::new(Table::new(|_| None), Duration::from_secs(60), Some("test"));
    let open =
        async |namespace: &str| tester.call("/gate/open", format!(r#"{{"name":"a","namespace":"{namespace}"}}"#)).await;
    assert_eq!(open("test").await, plain(202, ""));
    assert_eq!(open("my-test-2").await, plain(202, ""));
    assert_eq!(open("prod").await, plain(403, "Forbidden"));
    assert_eq!(tester.call("/", r#"{"metadata":{"cmd":"true"}}"#).await, plain(403, "Forbidden"));
    assert_eq!(tester.call("/gate/open", "{").await, plain(400, ""), "what is unreadable has no namespace");
    assert_eq!(tester.call("/gate/approve", "").await, plain(200, "OK"));
    let whole = Tester::new(Table::new(|_| None), Duration::from_secs(60), Some("^test$"));
    assert_eq!(whole.call("/gate/open", r#"{"name":"a","namespace":"my-test-2"}"#).await.0, 403);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let (log, _guard) = Log::start();
    let tester = Tester::alone();
    let mut fits = payload(&[("type", "bash"), ("cmd", "")]);
    fits.push_str(&" ".repeat(LONGEST - fits.len()));
    assert_eq!(tester.call("/", fits.clone()).await.0, 200);
    let told = plain(413, "the request body is longer than 1048576 bytes");
    assert_eq!(tester.call("/", fits + " ").await, told);
    assert_eq!(tester.call("/gate/open", vec![b' '; 100 * 1024 * 1024]).await, told);
    assert_eq!(log.lines().last().unwrap(), "error - reading the request body failed");
    assert_eq!(tester.call("/healthz", "").await.0, 200);
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_too_much_is_spared_it() {
    let tester = Tester::alone();
    let request = Request::post("/").header("expect", "100-continue").header("content-length", "104857600");
    let answer = tester.api.respond(request.body(Never).unwrap()).await;
    assert_eq!(answer.status().as_u16(), 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_not_waited_for() {
    let tester = Tester::alone();
    let answer = tester.api.respond(Request::post("/").body(Never).unwrap()).await;
    assert_eq!(answer.status().as_u16(), 408);
}

/// A body that does not come.
struct Never;

impl hyper::body::Body for Never {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Pending
    }
}
