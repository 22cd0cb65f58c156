//! What receivers get to the byte, who gets it, and what is logged when it does not arrive.

#![expect(clippy::unnecessary_wraps, clippy::needless_pass_by_value, reason = "helpers take and yield what is at hand")]

use super::*;
use crate::http::Method;
use crate::testing::{allowed_values, rollout, rollout_with};
use api::Settings;
use serde_json::json;

const HOOK: &str = "https://hooks.example.com/services/T0/B0/secret";

fn provider(spec: Value) -> AlertProvider {
    serde_json::from_value(json!({"metadata": {"name": "on-call", "namespace": "shop"}, "spec": spec})).unwrap()
}

/// The channel of an AlertProvider of a kind.
fn of_kind(kind: &str) -> Channel {
    channel(&provider(json!({"type": kind, "address": HOOK})), None).unwrap()
}

fn message(severity: Severity) -> Message {
    Message {
        canary: "cart".to_owned(),
        namespace: "shop".to_owned(),
        text: "a < b & c".to_owned(),
        fields: vec![("Target".to_owned(), "Deployment/cart.shop".to_owned())],
        severity,
    }
}

/// The request of a message.
fn sent(channel: &Channel, severity: Severity) -> Request {
    post(channel, &message(severity)).unwrap().unwrap()
}

fn body(kind: &str, severity: Severity) -> String {
    String::from_utf8(sent(&of_kind(kind), severity).body.unwrap()).unwrap()
}

fn secret(keys: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    keys.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect()
}

#[test]
fn receivers_are_sorted_and_unique() {
    let kinds: Vec<_> = RECEIVERS.iter().map(|receiver| receiver.kind()).collect();
    assert!(kinds.is_sorted_by(|a, b| a < b), "{kinds:?}");
}

#[test]
fn every_kind_of_the_crd_is_built() {
    let mut allowed = allowed_values(&api::crd::alert_provider(), "slack");
    allowed.sort();
    assert_eq!(allowed, RECEIVERS.iter().map(|receiver| receiver.kind()).collect::<Vec<_>>());
}

#[test]
fn slack_and_discord_messages() {
    let usual = r#"{"channel":"general","username":"flagger","icon_url":"","icon_emoji":":rocket:","attachments":[{"color":"good","author_name":"cart.shop","text":"a \u003c b \u0026 c","mrkdwn_in":["text"],"fields":[{"title":"Target","value":"Deployment/cart.shop","short":false}]}]}"#;
    for kind in ["slack", "discord"] {
        assert_eq!(body(kind, Severity::Info), usual);
        assert_eq!(body(kind, Severity::Warn), usual);
        assert_eq!(body(kind, Severity::Error), usual.replace("good", "danger"));
    }
}

#[test]
fn rocket_messages_have_colours_of_their_own() {
    assert_eq!(body("rocket", Severity::Warn), body("slack", Severity::Warn).replace("good", "#0076D7"));
    assert_eq!(body("rocket", Severity::Error), body("slack", Severity::Warn).replace("good", "#FF0000"));
}

#[test]
fn teams_messages() {
    let usual = r#"{"@type":"MessageCard","@context":"http://schema.org/extensions","themeColor":"0076D7","summary":"cart.shop","sections":[{"activityTitle":"a \u003c b \u0026 c","activitySubtitle":"cart.shop","facts":[{"name":"Target","value":"Deployment/cart.shop"}]}]}"#;
    assert_eq!(body("msteams", Severity::Warn), usual);
    assert_eq!(body("msteams", Severity::Error), usual.replace("0076D7", "FF0000"));
}

#[test]
fn google_chat_messages_are_html() {
    let body: Value = serde_json::from_str(&body("gchat", Severity::Error)).unwrap();
    assert_eq!(
        body,
        json!({"cards": [{
            "header": {"title": "Flagger", "subtitle": "cart.shop", "imageUrl": "https://flagger.app/favicon.png"},
            "sections": [
                {"widgets": [{"textParagraph": {"text": "<font color=#848484><strong>a &lt; b &amp; c</strong></font>"}}]},
                {"widgets": [{"textParagraph": {"text": "Target<br><font color=#848484><strong>Deployment/cart.shop</strong></font>"}}]},
            ],
        }]})
    );
}

#[test]
fn without_fields_the_list_is_there_and_empty() {
    let bare = Message { fields: Vec::new(), ..message(Severity::Info) };
    let body = |kind| String::from_utf8(post(&of_kind(kind), &bare).unwrap().unwrap().body.unwrap()).unwrap();
    assert!(body("slack").contains(r#""fields":[]"#));
    assert!(body("msteams").contains(r#""facts":[]"#));
}

#[test]
fn requests_are_short_posts() {
    let request = sent(&of_kind("slack"), Severity::Info);
    assert_eq!((request.method, request.url.reveal(), request.timeout), (Method::Post, HOOK, Duration::from_secs(5)));
    assert_eq!((request.insecure, request.proxy, request.headers.len()), (false, None, 1));
}

#[test]
fn slack_sends_the_token_and_nobody_else_does() {
    let authorization = |kind: &str, token: &str| {
        let secret = secret(&[("address", HOOK), ("token", token)]);
        let channel = channel(&provider(json!({"type": kind, "secretRef": {"name": "s"}})), Some(&secret)).unwrap();
        let headers = sent(&channel, Severity::Info).headers;
        headers.into_iter().find(|(name, _)| name == "Authorization").map(|(_, value)| value.reveal().to_owned())
    };
    assert_eq!(authorization("slack", "xoxb\n").as_deref(), Some("Bearer xoxb"));
    assert_eq!(
        [authorization("slack", ""), authorization("rocket", "t"), authorization("msteams", "t")],
        [None, None, None]
    );
}

#[test]
fn discord_is_spoken_to_as_if_it_were_slack() {
    let url = |address: &str| discord::Discord.url(address);
    assert_eq!(url("https://discord.com/api/webhooks/1/x"), "https://discord.com/api/webhooks/1/x/slack");
    assert_eq!(
        url("https://discord.com/api/webhooks/1/x/?wait=true"),
        "https://discord.com/api/webhooks/1/x/slack?wait=true"
    );
    for whole in ["https://discord.com/api/webhooks/1/x/slack", "https://discord.com/api/webhooks/1/x/slack?wait=true"]
    {
        assert_eq!(url(whole), whole);
    }
}

#[test]
fn the_secret_says_where_to() {
    let spec = json!({"type": "slack", "address": "https://other", "secretRef": {"name": "s"}, "channel": "ops", "username": "bot"});
    let channel_of = |keys: &[(&str, &str)]| channel(&provider(spec.clone()), Some(&secret(keys)));
    let found = channel_of(&[("address", &format!("{HOOK}\n"))]).unwrap();
    assert_eq!((found.address.reveal(), found.username.as_str(), found.channel.as_str()), (HOOK, "bot", "ops"));
    assert_eq!(channel_of(&[("token", "t")]).unwrap_err(), "secret does not contain an address");
}

#[test]
fn what_cannot_be_used_is_told_without_the_address() {
    let error = |spec| channel(&provider(spec), None).unwrap_err();
    assert_eq!(error(json!({"type": "pager", "address": HOOK})), "error: provider pager not supported");
    for (kind, text) in [
        ("slack", "error: invalid Slack hook URL ***"),
        ("discord", "error: invalid Discord hook URL ***"),
        ("rocket", "error: invalid Rocket hook URL ***"),
        ("msteams", "error: invalid MS Teams webhook URL ***"),
        ("gchat", "error: invalid Google Chat webhook URL ***"),
    ] {
        assert_eq!(error(json!({"type": kind, "address": "hooks.example.com/secret"})), text);
    }
}

#[test]
fn an_empty_address_is_silence() {
    let channel = channel(&provider(json!({"type": "pager"})), None).unwrap();
    assert_eq!(post(&channel, &message(Severity::Error)), Ok(None));
}

#[test]
fn proxies() {
    let through = |proxy: &str| {
        let provider = provider(json!({"type": "msteams", "address": HOOK, "proxy": proxy}));
        post(&channel(&provider, None).unwrap(), &message(Severity::Info)).map(|request| request.unwrap().proxy)
    };
    assert_eq!(through("http://proxy:3128"), Ok(Some("http://proxy:3128".to_owned())));
    assert_eq!(through("my-http-proxy.com"), Ok(Some("http://my-http-proxy.com".to_owned())));
    assert_eq!(through("proxy:3128"), Ok(Some("http://proxy:3128".to_owned())));
    assert_eq!(
        through("http://me:secret@a b"),
        Err("unable to parse proxy URL 'http://me:xxxxx@a b', error: invalid character \" \" in host name".to_owned())
    );
}

fn answer(status: u16, body: &str) -> Result<Response, SendError> {
    Ok(Response { status, retry_after: None, body: body.as_bytes().to_vec(), truncated: false })
}

#[test]
fn outcomes() {
    let slack = of_kind("slack");
    for status in [200, 204, 299] {
        assert_eq!(outcome(&slack, answer(status, "whatever")), Ok(()));
    }
    assert_eq!(
        outcome(&slack, answer(404, &format!("no {HOOK}"))),
        Err("postMessage failed: sending notification bad response 404: no ***".to_owned())
    );
    let error = SendError { message: format!("cannot connect to {HOOK}"), retriable: true };
    assert_eq!(
        outcome(&slack, Err(error)),
        Err("postMessage failed: sending notification failed to send: cannot connect to ***".to_owned())
    );
}

#[test]
fn the_web_api_of_slack_means_what_its_body_says() {
    let refusal = r#"{"ok":false,"error":"channel_not_found"}"#;
    let api = channel(&provider(json!({"type": "slack", "address": "https://slack.com/api/chat.postMessage"})), None)
        .unwrap();
    assert_eq!(outcome(&api, answer(200, r#"{"ok":true}"#)), Ok(()));
    assert_eq!(
        outcome(&api, answer(200, refusal)),
        Err(format!("postMessage failed: sending notification bad response 200: {refusal}"))
    );
    assert_eq!(outcome(&of_kind("slack"), answer(200, refusal)), Ok(()));
}

#[test]
fn entries_want_their_severity_and_worse() {
    let wanted = |entry| [Severity::Info, Severity::Warn, Severity::Error].map(|severity| wants(entry, severity));
    assert_eq!(wanted(Severity::Info), [true, true, true]);
    assert_eq!(wanted(Severity::Warn), [false, true, true]);
    assert_eq!(wanted(Severity::Error), [false, false, true]);
    assert_eq!(wanted(Severity::Unknown), [false, false, false]);
    assert_eq!(wanted(Severity::from_text("")), [true, true, true]);
}

/// The fields of a Canary with these analysis settings.
fn fields_of(analysis: &str) -> Vec<(String, String)> {
    fields(&rollout(&format!("{{analysis: {{stepWeight: null, maxWeight: null, threshold: null, {analysis}}}}}")), true)
}

fn routing_of(analysis: &str) -> Option<String> {
    fields_of(analysis).into_iter().find(|(name, _)| name == "Traffic routing").map(|(_, value)| value)
}

#[test]
fn fields_describe_the_rollout() {
    let expected = [
        ("Target", "Deployment/cart.shop"),
        ("Failed checks threshold", "5"),
        ("Progress deadline", "600s"),
        ("Traffic routing", "Weight step: 10 max: 50"),
    ];
    assert_eq!(fields(&rollout(""), true), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(fields_of("")[1].1, "1");
    assert_eq!(fields(&rollout(""), false), []);
}

#[test]
fn the_cluster_comes_first_and_always() {
    let settings = Settings { cluster_name: "eu".to_owned(), ..Settings::default() };
    let rollout = rollout_with("", settings);
    assert_eq!(fields(&rollout, false), [("Cluster".to_owned(), "eu".to_owned())]);
    assert_eq!(fields(&rollout, true)[0].0, "Cluster");
    assert_eq!(fields(&rollout, true).len(), 5);
}

#[test]
fn routing_in_words() {
    assert_eq!(routing_of("iterations: 5, match: [{headers: {x: {exact: y}}}]").as_deref(), Some("A/B Testing"));
    assert_eq!(routing_of("iterations: 5").as_deref(), Some("Blue/Green"));
    assert_eq!(routing_of("stepWeight: 5").as_deref(), Some("Weight step: 5 max: 0"));
    assert_eq!(
        routing_of("stepWeights: [1, 2, 10, 80], maxWeight: 80").as_deref(),
        Some("Weight steps: 1,2,10,80 max: 80")
    );
    assert_eq!(routing_of(""), None);
}

fn slack_of(channel: &str) -> GlobalNotifier {
    GlobalNotifier {
        slack_url: HOOK.to_owned(),
        slack_token: "t".to_owned(),
        slack_user: "flagger".to_owned(),
        slack_channel: channel.to_owned(),
        ..GlobalNotifier::default()
    }
}

#[test]
fn the_command_line_names_one_receiver() {
    let slack = global(&slack_of("ops")).unwrap().unwrap();
    assert_eq!(
        (slack.kind.as_str(), slack.channel.as_str(), sent(&slack, Severity::Info).headers.len()),
        ("slack", "ops", 2)
    );
    let teams = global(&GlobalNotifier { msteams_url: HOOK.to_owned(), msteams_proxy: "p".to_owned(), ..slack_of("") })
        .unwrap()
        .unwrap();
    assert_eq!((teams.kind.as_str(), sent(&teams, Severity::Info).proxy.as_deref()), ("msteams", Some("http://p")));
    assert!(
        global(&GlobalNotifier { slack_channel: "ops".to_owned(), ..GlobalNotifier::default() }).unwrap().is_none()
    );
    assert_eq!(global(&slack_of("")).unwrap_err(), "empty Slack channel");
    assert_eq!(
        global(&GlobalNotifier { slack_user: String::new(), ..slack_of("ops") }).unwrap_err(),
        "empty Slack username"
    );
}

#[test]
fn the_log_shows_the_beginning_of_the_address() {
    let announced = |url: &str| announcement(&Channel { address: Secret::new(url), ..of_kind("slack") });
    assert_eq!(
        announced("https://hooks.slack.com/services/T0/B0/secret").as_deref(),
        Some("Notifications enabled for https://hooks.slack.com/servic")
    );
    assert_eq!(announced("https://short.example.com/abcd"), None);
    assert!(!format!("{:?} {:?}", slack_of("ops"), of_kind("slack")).contains("secret"));
}
