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

/// All of them side by side, so that it takes no longer than one.
#[test]
fn a_good_release_is_promoted_and_a_bad_one_rolled_back_within_a_minute() {
    std::thread::scope(|scope| {
        let run = |provider| {
            let start = Instant::now();
            (provider, demo(&["--provider", provider]), start.elapsed())
        };
        let running = ["istio", "gatewayapi:v1", "nginx"].map(|provider| scope.spawn(move || run(provider)));
        for one in running {
            let (provider, output, time) = one.join().unwrap();
            check(provider, &output.unwrap(), time);
        }
    });
}

fn check(provider: &str, output: &Output, time: Duration) {
    let (shown, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{provider}: {shown}\n{log}");
    assert!(time < Duration::from_secs(60), "{provider}: {time:?}");
    assert!(log.is_empty(), "without --verbose the log is not shown: {log}");
    assert!(!shown.contains('\u{1b}'), "colours belong on terminals only");
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
        let found = rest.split_once(wanted);
        assert!(found.is_some(), "{provider}: {wanted:?} is missing, or out of order, in\n{shown}");
        rest = found.map_or("", |(_, after)| after);
    }
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
