//! `hey` against real servers on the loopback interface. What is asserted does not depend on how fast they are.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::float_cmp, reason = "tests")]

mod common;

use common::{Request, Server, number, ok, run, section};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

fn hey(line: &str) -> String {
    let finished = run("hey", line);
    assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{line}");
    finished.out
}

#[test]
fn the_summary_is_laid_out_as_by_the_tool() {
    let server = Server::http(|_| ok());
    let summary = hey(&format!("-n 400 -c 4 {}", server.url("/")));
    let places = [
        "\nSummary:\n  Total:\t",
        " secs\n  Slowest:\t",
        " secs\n  Fastest:\t",
        " secs\n  Average:\t",
        " secs\n  Requests/sec:\t",
        "\n  \n  Total data:\t1200 bytes\n  Size/request:\t3 bytes\n\nResponse time histogram:\n  0.0",
        "\t|",
        "\n\n\nLatency distribution:\n  10% in 0.0",
        " secs\n  99% in ",
        " secs\n\nDetails (average, fastest, slowest):\n  DNS+dialup:\t0.0",
        " secs\n  DNS-lookup:\t0.0000 secs, 0.0000 secs, 0.0000 secs\n  req write:\t0.0",
        " secs\n  resp wait:\t0.0",
        " secs\n  resp read:\t0.0",
        " secs\n\nStatus code distribution:\n  [200]\t400 responses\n\n\n\n",
    ];
    let mut rest = summary.as_str();
    for place in places {
        let found = rest.find(place).unwrap_or_else(|| panic!("{place:?} is not where it should be in {summary}"));
        rest = &rest[found + place.len()..];
    }
    assert_eq!(rest, "");
    let buckets = section(&summary, "Response time histogram");
    let counts: Vec<u64> = buckets.iter().map(|line| line.split(['[', ']']).nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (11, 400), "{summary}");
    assert!(buckets.iter().any(|line| line.ends_with(&format!("|{}", "■".repeat(40)))), "{summary}");
    let (slowest, average, fastest) =
        (number(&summary, "Slowest"), number(&summary, "Average"), number(&summary, "Fastest"));
    assert!(slowest >= average && average >= fastest, "{summary}");
    let rate = 400.0 / number(&summary, "Total");
    assert!((number(&summary, "Requests/sec") / rate - 1.0).abs() < 0.1, "{summary}");
}

#[test]
fn a_connection_for_each_worker_is_kept() {
    let server = Server::http(|_| ok());
    hey(&format!("-n 60 -c 3 {}", server.url("/")));
    assert!(server.connections() <= 3, "{}", server.connections());
    assert_eq!(server.requests().len(), 60);
    let server = Server::http(|_| ok());
    hey(&format!("-n 12 -c 3 -disable-keepalive {}", server.url("/")));
    assert_eq!(server.connections(), 12);
    assert_eq!(server.requests()[0].header("connection"), Some("close"));
}

#[test]
fn a_request_is_what_the_flags_say() {
    let server = Server::http(|_| ok());
    let one = |flags: &str, path: &str| -> Request {
        hey(&format!("-n 1 -c 1 {flags} {}", server.url(path)));
        server.requests().pop().unwrap()
    };
    let plain = one("", "/a?b=c");
    assert_eq!(plain.line, "GET /a?b=c HTTP/1.1");
    assert_eq!(plain.header("host"), Some(format!("127.0.0.1:{}", server.port).as_str()));
    assert_eq!(plain.header("user-agent"), Some("hey/0.0.1"));
    assert_eq!(plain.header("content-type"), Some("text/html"));
    assert_eq!(plain.header("accept-encoding"), Some("gzip"));
    assert_eq!(plain.header("content-length"), None);
    let canary = one("-H Cookie:type=insider -H X-A:1 -H X-A:2 -host app.example.com", "/");
    assert_eq!((canary.header("cookie"), canary.header("host")), (Some("type=insider"), Some("app.example.com")));
    assert_eq!(canary.headers.iter().filter(|(name, _)| name == "x-a").count(), 2);
    let posted =
        one("-m post -d {\"a\":1} -T application/json -A text/plain -U me -a user:pass -disable-compression", "/");
    assert_eq!((posted.line.as_str(), posted.body.as_str()), ("POST / HTTP/1.1", "{\"a\":1}"));
    assert_eq!(
        (posted.header("content-type"), posted.header("accept")),
        (Some("application/json"), Some("text/plain"))
    );
    assert_eq!((posted.header("user-agent"), posted.header("accept-encoding")), (Some("me"), None));
    assert_eq!(posted.header("authorization"), Some("Basic dXNlcjpwYXNz"));
    let file = std::env::temp_dir().join(format!("load-test-body-{}", std::process::id()));
    std::fs::write(&file, "from a file").unwrap();
    let posted = one(&format!("-m PUT -H user-agent:mine -D {}", file.display()), "/");
    std::fs::remove_file(&file).unwrap();
    assert_eq!((posted.body.as_str(), posted.header("user-agent")), ("from a file", Some("mine")));
}

#[test]
fn a_rate_is_a_number_of_requests() {
    let server = Server::http(|_| ok());
    let summary = hey(&format!("-z 1s -q 20 -c 2 {}", server.url("/")));
    // On a machine that is busy elsewhere, the last ones may not get their turn, and it is told.
    let late = summary.lines().find(|line| line.starts_with("Late: "));
    let unsent = late.map_or(0, |line| line.split(", ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap());
    let sent = section(&summary, "Status code distribution")[0].clone();
    let sent: u64 = sent.split(['\t', ' ']).nth(1).unwrap().parse().unwrap();
    assert_eq!(sent + unsent, 40, "{summary}");
    assert!(number(&summary, "Total") >= 1.0, "{summary}");
}

#[test]
fn the_listing_has_a_line_for_each_request() {
    let server = Server::http(|_| ok());
    let listing = hey(&format!("-n 5 -c 1 -o csv {}", server.url("/")));
    let lines: Vec<Vec<&str>> = listing.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0][0], "response-time");
    assert_eq!((lines.len(), lines[0].len()), (6, 8));
    assert!(lines[1..].iter().all(|line| line.len() == 8 && line[6] == "200" && line[0].parse::<f64>().is_ok()));
    assert!(lines[2..].iter().all(|line| line[1] == "0.0000"), "connected already: {listing}");
}

#[test]
fn redirects_are_followed_unless_told_otherwise() {
    let server = Server::http(|request| match request.line.split(' ').nth(1).unwrap() {
        "/there" => ok(),
        "/loop" => "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 307 Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".to_owned(),
    });
    let summary = hey(&format!("-n 2 -c 1 -m POST -d x {}", server.url("/")));
    assert_eq!(section(&summary, "Status code distribution"), ["[200]\t2 responses"]);
    assert_eq!(server.requests()[1].line, "POST /there HTTP/1.1");
    assert_eq!(server.requests()[1].body, "x");
    let summary = hey(&format!("-n 2 -c 1 -disable-redirects {}", server.url("/")));
    assert_eq!(section(&summary, "Status code distribution"), ["[307]\t2 responses"]);
    let summary = hey(&format!("-n 1 -c 1 {}", server.url("/loop")));
    let error = &section(&summary, "Error distribution")[0];
    assert!(error.ends_with("stopped after 10 redirects"), "{error}");
}

#[test]
fn errors_are_counted_by_what_they_are() {
    let closed = "127.0.0.1:1";
    let summary = hey(&format!("-n 6 -c 2 http://{closed}/"));
    let refused = format!("[6]\tGet \"http://{closed}/\": dial tcp {closed}: connect: connection refused");
    assert_eq!(section(&summary, "Error distribution"), [refused]);
    assert_eq!(section(&summary, "Status code distribution"), [""; 0]);
    assert_eq!(number(&summary, "Average"), 0.0);

    // Longer than a part of a name may be: refused without asking anybody.
    let name = format!("{}.invalid", "x".repeat(64));
    let summary = hey(&format!("-n 2 -c 1 http://user:hidden@{name}/"));
    let error = &section(&summary, "Error distribution")[0];
    assert!(error.contains(&format!("lookup {name}: no such host")), "{error}");
    assert!(!summary.contains("hidden"), "{summary}");
}

/// A server that breaks every connection in its own way; the error that the summary shows.
fn broken(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let server = Server::raw(move |mut stream| {
        let mut request = [0; 4096];
        if stream.read(&mut request).is_ok() {
            handle(stream);
        }
    });
    let summary = hey(&format!("-n 3 -c 1 -t 5 {}", server.url("/")));
    let errors = section(&summary, "Error distribution");
    assert_eq!(errors.len(), 1, "{summary}");
    assert!(errors[0].starts_with("[3]\tGet \"http://127.0.0.1:"), "{summary}");
    errors[0].split_once("/\": ").unwrap().1.to_owned()
}

#[test]
fn servers_that_break_the_rules_break_nothing_else() {
    assert_eq!(broken(drop), "EOF");
    let half = broken(|mut stream| drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort")));
    assert_eq!(half, "unexpected EOF");
    let garbage = broken(|mut stream| drop(stream.write_all(&[0xff; 100])));
    assert!(garbage.starts_with("malformed HTTP response"), "{garbage}");
    let endless_headers = broken(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-More: and more and more and more\r\n").is_ok() {}
    });
    assert!(endless_headers.starts_with("malformed HTTP response"), "{endless_headers}");
    let chunks = broken(|mut stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"));
    });
    assert!(!chunks.is_empty());
}

#[test]
fn answers_broken_at_random_are_counted_one_by_one() {
    let good = [
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\nhello world\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    ];
    let state = AtomicUsize::new(7);
    let random = move |below: usize| {
        let next = state
            .load(Ordering::Relaxed)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.store(next, Ordering::Relaxed);
        (next >> 33) % below
    };
    let server = Server::raw(move |mut stream| {
        let mut answer = good[random(good.len())].as_bytes().to_vec();
        for _ in 0..random(4) {
            let place = random(answer.len());
            match random(4) {
                0 => answer[place] = u8::try_from(random(256)).unwrap(),
                1 => drop(answer.remove(place)),
                2 => answer.truncate(place.max(1)),
                _ => answer.insert(place, b"0:;\r\n -"[random(7)]),
            }
        }
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&answer);
    });
    let summary = hey(&format!("-n 400 -c 1 -t 20 {}", server.url("/")));
    let count = |name: &str, part: usize| -> u64 {
        let number = |line: &String| line.split(['[', ']', '\t', ' ']).nth(part).unwrap().parse::<u64>().unwrap();
        section(&summary, name).iter().map(number).sum()
    };
    let (answered, failed) = (count("Status code distribution", 3), count("Error distribution", 1));
    assert_eq!(answered + failed, 400, "{summary}");
    assert!(answered > 50 && failed > 50, "both happen: {summary}");
}

#[test]
fn servers_that_never_end_are_given_up() {
    let silent = Server::raw(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let endless = Server::raw(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 8192]).is_ok() {}
    });
    for server in [silent, endless] {
        let summary = hey(&format!("-n 2 -c 2 -t 1 {}", server.url("/")));
        let errors = section(&summary, "Error distribution");
        assert!(errors.len() == 1 && errors[0].starts_with("[2]\t"), "{summary}");
        assert!(errors[0].contains("context deadline exceeded (Client.Timeout exceeded"), "{summary}");
    }
}

#[test]
fn a_connection_that_the_server_closes_is_opened_again() {
    // Each connection answers twice and is then closed without a word.
    let answered = AtomicUsize::new(0);
    let server = Server::http(move |_| match answered.fetch_add(1, Ordering::Relaxed) % 3 {
        2 => String::new(),
        _ => ok(),
    });
    let summary = hey(&format!("-n 20 -c 1 {}", server.url("/")));
    assert_eq!(section(&summary, "Status code distribution"), ["[200]\t20 responses"]);
}

#[test]
fn a_proxy_is_asked_for_the_whole_url() {
    let proxy = Server::http(|_| ok());
    let summary = hey(&format!("-n 2 -c 1 -x 127.0.0.1:{} http://podinfo.example/path", proxy.port));
    assert_eq!(section(&summary, "Status code distribution"), ["[200]\t2 responses"]);
    assert_eq!(proxy.requests()[0].line, "GET http://podinfo.example/path HTTP/1.1");
    assert_eq!(proxy.requests()[0].header("host"), Some("podinfo.example"));
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    for (line, code, part) in [
        ("-n 1 -c 1 nonsense", 1, "hey: the URL \"nonsense\""),
        ("-n 1 -c 1 ftp://a/", 1, "unsupported protocol scheme"),
        ("-n 1 -c 1 -D /no/such/file http://a/", 1, "reading the body from /no/such/file"),
        ("-n 1 -c 1 -H bad\u{e9}:x http://a/", 1, "not a header"),
        ("-bogus http://a/", 2, "flag provided but not defined: -bogus"),
        ("", 1, "Usage: hey"),
    ] {
        let finished = run("hey", line);
        assert_eq!((finished.code, finished.out.as_str()), (code, ""), "{line}");
        assert!(finished.err.contains(part), "{line}: {}", finished.err);
    }
    assert_eq!(run("hey", "-h").code, 0);
    assert_eq!(run("wrk", "").code, 2);
}

#[test]
fn https_is_used_without_asking_for_a_good_certificate() {
    let server = common::secure(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls")));
    for (flags, version) in [("", "HTTP/1.1"), ("-h2", "HTTP/2.0")] {
        let summary = hey(&format!("-n 6 -c 2 {flags} -host app.example.com https://127.0.0.1:{}/", server.port));
        assert_eq!(section(&summary, "Status code distribution"), ["[200]\t6 responses"], "{summary}");
        let seen = server.requests().pop().unwrap();
        assert_eq!(seen.line, format!("GET / {version}"));
        assert_eq!(seen.header("host"), Some("app.example.com"));
        assert_eq!(seen.header("server name"), Some("app.example.com"), "gateways choose by it");
    }
}

#[test]
fn a_signal_ends_it_with_the_summary_so_far() {
    let name = "a_signal_ends_it_with_the_summary_so_far";
    if let Ok(url) = std::env::var("LOAD_TEST_URL") {
        let args = ["-z", "1m", "-c", "2", &url].map(str::to_owned);
        std::process::exit(load::run("hey", &args));
    }
    for signal in ["-INT", "-TERM"] {
        // Each answer is reported, so that the signal comes when there is something to tell.
        let (told, answers) = std::sync::mpsc::channel();
        let server = Server::http(move |_| {
            let _ = told.send(());
            ok()
        });
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env("LOAD_TEST_URL", server.url("/"))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // The sixth request means that some answers have arrived.
        assert_eq!(answers.iter().take(6).count(), 6);
        assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let summary = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{summary}");
        assert!(section(&summary, "Status code distribution")[0].starts_with("[200]\t"), "{summary}");
    }
}
