//! The demo as a user runs it: the binary, its output, its exit code, its time.

use std::process::{Command, Output};
use std::time::Duration;
use tokio::time::Instant;

fn demo(arguments: &[&str]) -> std::io::Result<Output> {
    // Proxies of the environment must not matter: all of it is on loopback.
    Command::new(env!("CARGO_BIN_EXE_kubectl-flagger"))
        .arg("demo")
        .args(arguments)
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("http_proxy", "http://127.0.0.1:9")
        .output()
}

#[test]
fn a_good_release_is_promoted_and_a_bad_one_rolled_back_within_a_minute() {
    let start = Instant::now();
    let output = demo(&[]).unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let mut rest = shown.as_ref();
    for wanted in [
        "* Initialization done! shop.demo",
        "A good release: 2.0.0",
        "* Advance shop.demo canary weight 30",
        "Progressing   canary ###-------  30%",
        "* Promotion completed! Scaling down shop.demo",
        "A bad release: 3.0.0",
        "* Halt shop.demo advancement success rate",
        "* Canary failed! Scaling down shop.demo",
        "ok    2.0.0 was promoted",
        "ok    3.0.0 was rolled back",
    ] {
        let (_, after) =
            rest.split_once(wanted).unwrap_or_else(|| panic!("{wanted:?} is missing, or out of order, in\n{shown}"));
        rest = after;
    }
    assert!(!shown.contains('\u{1b}'), "colours belong on terminals only");
    assert!(output.stderr.is_empty(), "without --verbose the log is not shown");
}

#[test]
fn ingress_nginx_tells_the_same_story() {
    the_story_is_told_by("nginx");
}

#[test]
fn gateway_api_tells_the_same_story() {
    the_story_is_told_by("gatewayapi:v1");
}

fn the_story_is_told_by(provider: &str) {
    let output = demo(&["--provider", provider]).unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("Progressing   canary ###-------  30%") && !shown.contains("FAIL"), "{shown}");
}

#[test]
fn wrong_usage_is_told_at_once() {
    for arguments in
        [["--steps", "50,20"], ["--steps", "60"], ["--steps", "0"], ["--rate", "0"], ["--provider", "none"]]
    {
        let output = demo(&arguments).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}
