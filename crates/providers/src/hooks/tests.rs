//! What receivers get to the byte, and what their answers mean.

#![expect(clippy::unnecessary_wraps, reason = "helpers take and yield what is at hand")]

use super::*;
use crate::http::Method;
use crate::testing::{now, rollout};

fn payload(phase: Phase) -> Payload {
    let tracked = BTreeMap::from([("test-config-map".to_owned(), "484637c76acaa7c6".to_owned())]);
    Payload { phase, applied: "5f56684589".to_owned(), tracked: Some(tracked) }
}

fn hook(fields: &str) -> CanaryWebhook {
    let rollout = rollout(&format!("{{analysis: {{webhooks: [{{name: gate, url: 'http://gate/ask', {fields}}}]}}}}"));
    rollout.analysis.webhooks[0].clone()
}

fn body(request: &Request) -> String {
    String::from_utf8(request.body.clone().unwrap()).unwrap()
}

fn sent(fields: &str) -> Result<Request, String> {
    request(&rollout(""), &hook(fields), &payload(Phase::Progressing))
}

#[test]
fn the_body_is_what_receivers_know() {
    let request = sent("metadata: {type: cmd, cmd: 'hey -m GET \"http://a/?b&c\" > log'}").unwrap();
    assert_eq!(
        body(&request),
        r#"{"name":"cart","namespace":"shop","phase":"Progressing","checksum":"85d557f47b","metadata":{"cmd":"hey -m GET \"http://a/?b\u0026c\" \u003e log","type":"cmd"}}"#
    );
    assert_eq!(request.method, Method::Post);
    assert_eq!(
        request.headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect::<Vec<_>>(),
        [("Content-Type", "application/json")]
    );
    assert_eq!((request.url.reveal(), request.insecure, request.max_redirects), ("http://gate/ask", false, 10));
}

#[test]
fn empty_metadata_is_left_out_and_the_phase_may_be_empty() {
    let request = request(
        &rollout(""),
        &hook("disableTLS: true"),
        &Payload { phase: Phase::Unset, applied: String::new(), tracked: None },
    )
    .unwrap();
    assert_eq!(body(&request), r#"{"name":"cart","namespace":"shop","phase":"","checksum":"758df7c9fc"}"#);
    assert!(request.insecure);
}

#[test]
fn timeouts() {
    let timeout = |fields| sent(fields).map(|request| request.timeout);
    let ten = Ok(Duration::from_secs(10));
    assert_eq!(
        [timeout(""), timeout("timeout: '5'"), timeout("timeout: 0s"), timeout("timeout: -5s")],
        [ten.clone(), ten.clone(), ten.clone(), ten]
    );
    assert_eq!(timeout("timeout: 1m30s"), Ok(Duration::from_secs(90)));
    assert_eq!(timeout("timeout: '10'"), Err("time: missing unit in duration \"10\"".to_owned()));
}

#[test]
fn a_url_that_is_none_fails_without_a_request_and_without_its_password() {
    let hook = CanaryWebhook { url: "http://me:secret@a b/".to_owned(), ..hook("") };
    let error = request(&rollout(""), &hook, &payload(Phase::Progressing)).unwrap_err();
    assert_eq!(error, "parse \"http://me:xxxxx@a b/\": invalid character \" \" in host name");
}

fn answer(status: u16, body: &str) -> Result<Response, SendError> {
    Ok(Response { status, retry_after: None, body: body.as_bytes().to_vec(), truncated: false })
}

fn unreachable(message: &str, retriable: bool) -> Result<Response, SendError> {
    Err(SendError { message: message.to_owned(), retriable })
}

fn no(text: &str) -> Attempt {
    Attempt::Done(Err(text.to_owned()))
}

fn retry(seconds: u64) -> Attempt {
    Attempt::Retry { after: Duration::from_secs(seconds) }
}

#[test]
fn up_to_202_is_yes() {
    for status in [200, 201, 202] {
        assert_eq!(attempt(&hook("retries: 3"), 0, &answer(status, "whatever")), Attempt::Done(Ok(())));
    }
}

#[test]
fn everything_else_is_no_with_the_body() {
    for status in [203, 204, 206, 302, 400, 403, 404, 501] {
        assert_eq!(attempt(&hook("retries: 3"), 0, &answer(status, "boom\n")), no("boom\n"), "{status}");
        assert_eq!(attempt(&hook(""), 0, &answer(status, "")), no(""), "{status}");
    }
}

#[test]
fn a_failing_receiver_is_asked_again_with_growing_pauses() {
    let hook = hook("retries: 7");
    let waits: Vec<_> = (0..7).map(|number| attempt(&hook, number, &answer(500, "boom"))).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30].map(retry));
    assert_eq!(attempt(&hook, 7, &answer(500, "boom")), no("boom"));
    assert_eq!(attempt(&hook, 7, &answer(500, "")), no("POST http://gate/ask giving up after 8 attempt(s)"));
}

#[test]
fn without_retries_there_is_one_attempt() {
    for fields in ["", "retries: 0", "retries: -1"] {
        assert_eq!(attempt(&hook(fields), 0, &answer(500, "boom")), no("boom"));
        assert_eq!(
            attempt(&hook(fields), 0, &answer(429, "")),
            no("POST http://gate/ask giving up after 1 attempt(s)")
        );
    }
}

#[test]
fn an_overloaded_receiver_says_when_to_come_back_within_limits() {
    let after = |status, text: &str| {
        let response = Response { status, retry_after: Some(text.to_owned()), body: Vec::new(), truncated: false };
        attempt(&hook("retries: 9"), 1, &Ok(response))
    };
    assert_eq!([after(429, "7"), after(503, "0"), after(503, "3600")], [retry(7), retry(0), retry(30)]);
    // Neither negative numbers nor dates nor other states count.
    assert_eq!(
        [after(429, "-1"), after(429, "Wed, 21 Oct 2026 07:28:00 GMT"), after(502, "7")],
        [retry(2), retry(2), retry(2)]
    );
}

#[test]
fn a_receiver_that_cannot_be_reached_is_named_without_its_password() {
    let hook = CanaryWebhook { url: "http://me:secret@gate/".to_owned(), ..hook("retries: 1") };
    let timeout = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    assert_eq!(attempt(&hook, 0, &unreachable(timeout, true)), retry(1));
    assert_eq!(
        attempt(&hook, 1, &unreachable(timeout, true)),
        no("POST http://me:xxxxx@gate/ giving up after 2 attempt(s): Post \"http://me:xxxxx@gate/\": \
            context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
    );
    assert_eq!(
        attempt(&hook, 0, &unreachable("certificate has expired", false)),
        no(
            "POST http://me:xxxxx@gate/ giving up after 1 attempt(s): Post \"http://me:xxxxx@gate/\": certificate has expired"
        )
    );
    assert_eq!(attempt(&hook, 0, &unreachable("error reading body: reset", true)), no("error reading body: reset"));
}

fn event(kind: EventKind) -> Event {
    Event {
        kind,
        message: "New revision detected! Scaling up cart.shop".to_owned(),
        payload: payload(Phase::Progressing),
    }
}

#[test]
fn events_go_to_the_receiver_of_the_command_line() {
    let requests = event_requests(&rollout(""), &event(EventKind::Normal), Some("http://events"), now());
    let [(hook, Ok(request))] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(
        (hook.name.as_str(), hook.url.as_str(), request.timeout),
        ("events", "http://events", Duration::from_secs(10))
    );
    assert_eq!(
        body(request),
        r#"{"name":"cart","namespace":"shop","phase":"Progressing","checksum":"85d557f47b","metadata":{"eventMessage":"New revision detected! Scaling up cart.shop","eventType":"Normal","timestamp":"1784023200000"}}"#
    );
    for none in [None, Some("")] {
        assert_eq!(event_requests(&rollout(""), &event(EventKind::Normal), none, now()), []);
    }
}

#[test]
fn hooks_of_type_event_replace_it_and_add_to_what_is_told() {
    let rollout = rollout(
        "{analysis: {webhooks: [{name: gate, url: 'http://gate'}, {name: a, type: event, url: 'http://a', timeout: 3s, metadata: {eventType: mine, team: x}}, \
         {name: b, type: event, url: '::'}]}}",
    );
    let requests = event_requests(&rollout, &event(EventKind::Error), Some("http://events"), now());
    let [(a, Ok(request)), (b, Err(error))] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((a, b), (&rollout.analysis.webhooks[1], &rollout.analysis.webhooks[2]));
    assert_eq!(request.timeout, Duration::from_secs(3));
    assert!(
        body(request).ends_with(
            r#""metadata":{"eventMessage":"New revision detected! Scaling up cart.shop","eventType":"Warning","team":"x","timestamp":"1784023200000"}}"#
        ),
        "{}",
        body(request)
    );
    assert_eq!(error, "parse \"::\": missing protocol scheme");
}
