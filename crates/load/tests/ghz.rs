//! `ghz` against real servers on the loopback interface: the health service with and without TLS, a service known by reflection, and servers that fail.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::float_cmp, reason = "tests")]

mod common;

use bytes::Bytes;
use common::{listen, run, section};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A path, a message and the metadata `x-test`.
type Seen = (String, Vec<u8>, String);
type Answer = Result<Vec<u8>, (u16, &'static str)>;

/// A gRPC server: a path and a message in, a message or a status out.
struct Grpc {
    port: u16,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Grpc {
    fn new(answer: impl Fn(&str, &[u8]) -> Answer + Send + Sync + 'static) -> Self {
        Self::over(None, answer)
    }

    fn over(tls: Option<&Path>, answer: impl Fn(&str, &[u8]) -> Answer + Send + Sync + 'static) -> Self {
        let acceptor = tls.map(common::tls);
        let (connections, seen) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (count, requests, answer) = (Arc::clone(&connections), Arc::clone(&seen), Arc::new(answer));
        let port = listen(move |stream| {
            count.fetch_add(1, Ordering::Relaxed);
            let (acceptor, requests, answer) = (acceptor.clone(), Arc::clone(&requests), Arc::clone(&answer));
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                    async move {
                        let path = request.uri().path().to_owned();
                        let metadata = request.headers().get("x-test").map(|text| text.to_str().unwrap().to_owned());
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let message = body[5..].to_vec();
                        let answer = answer(&path, &message);
                        requests.lock().unwrap().push((path, message, metadata.unwrap_or_default()));
                        Ok::<_, Infallible>(respond(answer))
                    }
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                match acceptor {
                    None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                    Some(acceptor) => {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        drop(server.serve_connection(TokioIo::new(stream), service).await);
                    }
                }
            }
        });
        Self { port, connections, seen }
    }

    /// Answers health checks: all is well, unless a service is named.
    fn health() -> Self {
        Self::new(check)
    }
}

fn check(path: &str, message: &[u8]) -> Answer {
    match (path, message) {
        ("/grpc.health.v1.Health/Check", b"") => Ok(vec![8, 1]),
        ("/grpc.health.v1.Health/Check", _) => Err((5, "unknown service")),
        _ => Err((12, "unknown method")),
    }
}

fn respond(answer: Answer) -> Response<http_body_util::combinators::BoxBody<Bytes, Infallible>> {
    let response = Response::builder().header("content-type", "application/grpc");
    match answer {
        Ok(message) => {
            let mut framed = vec![0, 0, 0];
            framed.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
            framed.extend_from_slice(&message);
            let trailers = [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
            let parts = [Frame::data(Bytes::from(framed)), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
            response.body(BodyExt::boxed(StreamBody::new(futures::stream::iter(parts)))).unwrap()
        }
        Err((code, message)) => {
            let response = response.header("grpc-status", code).header("grpc-message", message);
            response.body(BodyExt::boxed(Full::new(Bytes::new()))).unwrap()
        }
    }
}

fn ghz(line: &str) -> String {
    let finished = run("ghz", line);
    assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{line}");
    finished.out
}

fn json(line: &str) -> Value {
    serde_json::from_str(&ghz(line)).unwrap()
}

#[test]
fn the_summary_is_laid_out_as_by_the_tool() {
    let server = Grpc::health();
    let summary = ghz(&format!("-n 40 -c 3 --insecure 127.0.0.1:{}", server.port));
    let places = [
        "\nSummary:\n  Count:\t40\n  Total:\t",
        "s\n  Slowest:\t",
        " ms\n  Fastest:\t",
        " ms\n  Average:\t",
        " ms\n  Requests/sec:\t",
        "\n\nResponse time histogram:\n  ",
        " |",
        "\n\nLatency distribution:\n  10 % in ",
        " ms \n  99 % in ",
        " ms \n\nStatus code distribution:\n  [OK]   40 responses   \n\n",
    ];
    let mut rest = summary.as_str();
    for place in places {
        let found = rest.find(place).unwrap_or_else(|| panic!("{place:?} is not where it should be in {summary}"));
        rest = &rest[found + place.len()..];
    }
    assert_eq!(rest, "");
    assert_eq!(section(&summary, "Response time histogram").len(), 11);
}

#[test]
fn the_health_check_needs_no_file_and_no_reflection() {
    let server = Grpc::health();
    for flags in [
        "",
        "--call grpc.health.v1.Health/Check",
        "--proto=/no/such/folder/health.proto --call=grpc.health.v1.Health/Check",
    ] {
        let report = json(&format!("-n 4 -c 2 -O json --insecure {flags} 127.0.0.1:{}", server.port));
        assert_eq!(report["statusCodeDistribution"]["OK"], 4, "{flags}");
    }
    let seen = server.seen.lock().unwrap();
    assert!(seen.iter().all(|(path, message, _)| path == "/grpc.health.v1.Health/Check" && message.is_empty()));
}

#[test]
fn data_and_metadata_are_sent() {
    let server = Grpc::health();
    let line =
        format!("-n 2 -c 1 --insecure -m {{\"x-test\":\"abc\"}} -d {{\"service\":\"x\"}} 127.0.0.1:{}", server.port);
    let summary = ghz(&line);
    assert_eq!(section(&summary, "Status code distribution"), ["[NotFound]   2 responses   "]);
    let error = "[2]   rpc error: code = NotFound desc = unknown service   ";
    assert_eq!(section(&summary, "Error distribution"), [error]);
    let wanted = ("/grpc.health.v1.Health/Check".to_owned(), b"\x0a\x01x".to_vec(), "abc".to_owned());
    assert_eq!(*server.seen.lock().unwrap(), [wanted.clone(), wanted]);
}

#[test]
fn a_list_of_messages_is_sent_in_turn() {
    let server = Grpc::health();
    let data = r#"[{},{"service":"a"},{"service":"b"}]"#;
    let report = json(&format!("-n 6 -c 1 -O pretty --insecure --name t -d {data} 127.0.0.1:{}", server.port));
    let counts = (&report["statusCodeDistribution"]["OK"], &report["statusCodeDistribution"]["NotFound"]);
    assert_eq!(counts, (&2.into(), &4.into()));
    assert_eq!(report["errorDistribution"]["rpc error: code = NotFound desc = unknown service"], 4);
    assert_eq!((&report["count"], &report["name"], &report["endReason"]), (&6.into(), &"t".into(), &"normal".into()));
    assert_eq!(report["latencyDistribution"].as_array().unwrap().len(), 7);
    let buckets = report["histogram"].as_array().unwrap();
    assert_eq!(buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum::<u64>(), 2, "good ones only");
    assert_eq!(report["details"].as_array().unwrap().len(), 6);
    assert_eq!(report["details"][1]["status"], "NotFound");
}

#[test]
fn workers_share_the_connections() {
    for (connections, workers) in [(1, 8), (3, 7)] {
        let server = Grpc::health();
        ghz(&format!("-n 40 -c {workers} --connections {connections} --insecure 127.0.0.1:{}", server.port));
        assert_eq!(server.connections.load(Ordering::Relaxed), connections);
    }
}

#[test]
fn certificates_are_checked_unless_told_otherwise() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls"));
    let server = Grpc::over(Some(&folder), check);
    let ca = folder.join("ca.pem");
    for (flags, good) in [
        (format!("--cacert {} localhost", ca.display()), true),
        (format!("--cacert {} --cname other.example localhost", ca.display()), false),
        ("--skipTLS --cname other.example localhost".to_owned(), true),
    ] {
        let report = json(&format!("-n 2 -c 1 -O json {flags}:{}", server.port));
        let statuses = &report["statusCodeDistribution"];
        assert_eq!(statuses["OK"].as_u64(), good.then_some(2), "{flags}: {report}");
        assert_eq!(statuses["Unavailable"].as_u64(), (!good).then_some(2), "{flags}: {report}");
    }
}

#[test]
fn nobody_there_is_counted() {
    let summary = ghz("-n 3 -c 2 --insecure 127.0.0.1:1");
    let error = "[3]   rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused\"   ";
    assert_eq!(section(&summary, "Error distribution"), [error]);
    assert!(summary.contains("  Slowest:\t0 ns\n"), "{summary}");
}

#[test]
fn a_server_of_another_kind_is_counted() {
    let server = common::Server::http(|_| common::ok());
    let report = json(&format!("-n 3 -c 1 -O json --insecure 127.0.0.1:{}", server.port));
    assert_eq!(report["statusCodeDistribution"], serde_json::json!({"Unavailable": 3}));
}

const SHOP: &str = r#"syntax = "proto3"; package shop; import "shop/types.proto"; import "google/protobuf/timestamp.proto";
message Order { shop.Item item = 1; google.protobuf.Timestamp at = 2; }
message Answer { string text = 1; }
service Shop { rpc Buy(Order) returns (Answer); rpc Watch(Order) returns (stream Answer); }"#;
const TYPES: &str = r#"syntax = "proto3"; package shop; message Item { string name = 1; int32 count = 2; }"#;
const ITEM: &[u8] = b"\x0a\x05\x0a\x01x\x10\x02";

/// The two files, in a folder of their own that goes with the guard.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("load-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("shop")).unwrap();
        std::fs::write(folder.join("shop.proto"), SHOP).unwrap();
        std::fs::write(folder.join("shop/types.proto"), TYPES).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn buy(path: &str, message: &[u8]) -> Answer {
    if path == "/shop.Shop/Buy" && message == ITEM { Ok(b"\x0a\x02ok".to_vec()) } else { Err((3, "wrong")) }
}

const DATA: &str = r#"{"item":{"name":"x","count":2}}"#;

#[test]
fn a_method_is_known_from_a_file() {
    let (server, folder) = (Grpc::new(buy), Folder::new("file"));
    let proto = folder.0.join("shop.proto");
    for call in ["shop.Shop/Buy", "shop.Shop.Buy"] {
        let line = format!("--proto {} --call {call} -d {DATA} -n 2 -c 1 -O json", proto.display());
        let report = json(&format!("--insecure {line} 127.0.0.1:{}", server.port));
        assert_eq!(report["statusCodeDistribution"]["OK"], 2, "{report}");
    }
    for (flags, part) in [
        ("--call shop.Shop/Sell", "Symbol not found: shop.Shop.Sell"),
        ("--call nonsense", "is not package.Service/Method"),
        ("--call shop.Shop/Watch", "shop.Shop.Watch streams"),
        ("--call shop.Shop/Buy -d {\"nope\":1}", "Error creating message from data"),
        ("--call shop.Shop/Buy -d {nope", "error unmarshaling data"),
        ("--call shop.Shop/Buy -d [1]", "Error creating message from data"),
        ("--call shop.Shop/Buy -d []", "no message to send"),
        ("--call shop.Shop/Buy -d {\"item\":\"{{.RequestNumber}}\"}", "templates in the data"),
        ("--call shop.Shop/Buy -m [] ", "not a JSON object"),
    ] {
        let finished = run("ghz", &format!("--insecure --proto {} {flags} -n 2 -c 1 127.0.0.1:1", proto.display()));
        assert_eq!((finished.code, finished.out.as_str()), (1, ""), "{flags}");
        assert!(finished.err.contains(part), "{flags}: {}", finished.err);
    }
    let finished = run("ghz", "--insecure --proto /no/such.proto --call shop.Shop/Buy 127.0.0.1:1");
    assert!(finished.code == 1 && finished.err.contains("/no/such.proto"), "{}", finished.err);
}

/// A field of protobuf's wire format that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 127 {
        all.push(u8::try_from(length % 128).unwrap() | 128);
        length /= 128;
    }
    all.push(u8::try_from(length).unwrap());
    all.extend_from_slice(bytes);
    all
}

#[test]
fn a_method_is_known_from_the_server() {
    let folder = Folder::new("reflection");
    let set = protox::compile(["shop.proto"], [&folder.0]).unwrap();
    let file = move |name: &str| {
        set.file.iter().find(|file| file.name() == name).map(prost_reflect::prost::Message::encode_to_vec)
    };
    let asked = Arc::<Mutex<BTreeSet<String>>>::default();
    let questions = Arc::clone(&asked);
    // The older version of reflection, each file by itself.
    let server = Grpc::new(move |path, message| {
        if path == "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" {
            let name = String::from_utf8(message[2..].to_vec()).unwrap();
            questions.lock().unwrap().insert(name.clone());
            let found = if name == "shop.Shop" { file("shop.proto") } else { file(&name) };
            return Ok(match found {
                Some(file) => field(4, &field(1, &file)),
                None => field(7, &field(2, b"unknown")),
            });
        }
        if path.contains("reflection") { Err((12, "unknown")) } else { buy(path, message) }
    });
    let line = format!("--insecure -n 2 -c 1 -O json -d {DATA} 127.0.0.1:{}", server.port);
    let report = json(&format!("--call shop.Shop/Buy {line}"));
    assert_eq!(report["statusCodeDistribution"]["OK"], 2, "{report}");
    let names: Vec<_> = asked.lock().unwrap().iter().cloned().collect();
    assert_eq!(names, ["shop.Shop", "shop/types.proto"], "what everybody has is not asked for");
    let finished = run("ghz", &format!("--call other.Service/Method {line}"));
    assert_eq!((finished.code, finished.err.as_str()), (1, "Symbol not found: other.Service (unknown)\n"));
    let none = Grpc::health();
    let finished = run("ghz", &format!("--insecure --call other.Service/Method 127.0.0.1:{}", none.port));
    assert_eq!(finished.code, 1);
    assert!(finished.err.contains("code = Unimplemented"), "{}", finished.err);
}

#[test]
fn a_report_may_go_into_a_file() {
    let (server, folder) = (Grpc::health(), Folder::new("output"));
    let path = folder.0.join("report.csv");
    let out = ghz(&format!("-n 3 -c 1 -O csv -o {} --insecure 127.0.0.1:{}", path.display(), server.port));
    assert_eq!(out, "");
    let listing = std::fs::read_to_string(path).unwrap();
    let lines: Vec<_> = listing.lines().collect();
    assert_eq!((lines[0], lines.len()), ("duration (ms),status,error", 4));
    assert!(lines[1..].iter().all(|line| line.ends_with(",OK,")), "{listing}");
    let line = ghz(&format!("-n 3 -c 1 -O influx-summary --insecure 127.0.0.1:{}", server.port));
    assert!(line.starts_with("ghz_run,call=\"grpc.health.v1.Health.Check\",host=\"127.0.0.1:"), "{line}");
    assert!(line.contains(",errors=0,has_errors=false count=3,total="), "{line}");
}

#[test]
fn nonsense_about_a_service_is_refused() {
    let mut state = 7_usize;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let folder = Folder::new("nonsense");
    let proto = folder.0.join("shop.proto");
    for _ in 0..60 {
        let mut text = SHOP.as_bytes().to_vec();
        for _ in 0..3 {
            let place = random(text.len());
            text[place] = u8::try_from(random(256)).unwrap();
        }
        std::fs::write(&proto, &text).unwrap();
        let line = format!("--insecure --proto {} --call shop.Shop/Buy -n 1 -c 1 127.0.0.1:1", proto.display());
        let finished = run("ghz", &line);
        assert!(matches!(finished.code, 0 | 1), "{}", finished.err);
        assert!(!finished.err.contains("ended early"), "{}", finished.err);
    }
    let answers: Vec<Vec<u8>> =
        (0..60).map(|_| (0..random(40)).map(|_| u8::try_from(random(256)).unwrap()).collect()).collect();
    for answer in answers {
        let server = Grpc::new(move |_, _| Ok(answer.clone()));
        let finished = run("ghz", &format!("--insecure --call a.B/C -n 1 -c 1 127.0.0.1:{}", server.port));
        assert_eq!((finished.code, finished.out.as_str()), (1, ""), "{}", finished.err);
    }
}
