//! Receivers of alerts: who wants one, the request that delivers it, and whether it arrived.
//!
//! One file for each kind of receiver. Addresses of most receivers are secrets as a whole, so no text here contains
//! one. Does not send. Source: alert notes, section 4.

mod discord;
mod gchat;
mod msteams;
mod rocket;
mod slack;

#[cfg(test)]
mod tests;

use crate::http::url::{Url, masked};
use crate::http::{Request, Response, Secret, SendError};
use api::{AlertProvider, Rollout, Severity, Strategy};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::time::Duration;

/// From connecting to the end of the body.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Characters of an address that the log shows.
const SHOWN: usize = 30;

/// Where alerts go.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Kind of the receiver.
    pub kind: String,
    /// Its URL, which is a secret with most of them; empty: nowhere.
    pub address: Secret,
    /// A bearer token.
    pub token: Option<Secret>,
    /// Name of the sender.
    pub username: String,
    /// Channel that is written to.
    pub channel: String,
    /// Proxy instead of the environment's.
    pub proxy: Option<String>,
}

/// An alert as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Name of the Canary.
    pub canary: String,
    /// Its namespace.
    pub namespace: String,
    /// The text.
    pub text: String,
    /// Names and values, in order.
    pub fields: Vec<(String, String)>,
    /// How bad.
    pub severity: Severity,
}

impl Message {
    /// `canary.namespace`.
    fn subject(&self) -> String {
        format!("{}.{}", self.canary, self.namespace)
    }
}

/// One kind of receiver.
pub trait Receiver: Debug + Sync {
    /// `spec.type`.
    fn kind(&self) -> &'static str;
    /// Its name in texts.
    fn title(&self) -> &'static str;
    /// What its address is called in texts.
    fn address_title(&self) -> &'static str {
        "hook URL"
    }
    /// Whether messages name their sender and the channel, so that neither may be empty.
    fn names_channel(&self) -> bool {
        true
    }
    /// The URL for an address that is a URL.
    fn url(&self, address: &str) -> String {
        address.to_owned()
    }
    /// The value of the header `Authorization`.
    fn authorization(&self, _channel: &Channel) -> Option<Secret> {
        None
    }
    /// The body of a message.
    fn body(&self, channel: &Channel, message: &Message) -> Value;
    /// Whether a response that looks like a success is one.
    fn is_accepted(&self, _channel: &Channel, _response: &Response) -> bool {
        true
    }
}

/// Alphabetical. A receiver exists when it is in this list.
pub static RECEIVERS: &[&dyn Receiver] =
    &[&discord::Discord, &gchat::GoogleChat, &msteams::Teams, &rocket::Rocket, &slack::Slack];

/// What the command line says of the receiver of Canaries without alerts of their own. Everything empty: there is none.
#[derive(Clone, Default)]
pub struct GlobalNotifier {
    /// `-slack-url`.
    pub slack_url: String,
    /// `-slack-token`.
    pub slack_token: String,
    /// `-slack-proxy-url`.
    pub slack_proxy: String,
    /// `-slack-user`.
    pub slack_user: String,
    /// `-slack-channel`.
    pub slack_channel: String,
    /// `-msteams-url`; wins over Slack.
    pub msteams_url: String,
    /// `-msteams-proxy-url`.
    pub msteams_proxy: String,
}

impl fmt::Debug for GlobalNotifier {
    /// Nearly all of it is secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("GlobalNotifier(***)")
    }
}

/// The receiver of Canaries without alerts of their own; `None` if there is none. The error follows `Notifier ` in the
/// log.
pub fn global(notifier: &GlobalNotifier) -> Result<Option<Channel>, String> {
    let proxy = |proxy: &str| (!proxy.is_empty()).then(|| proxy.to_owned());
    let teams = !notifier.msteams_url.is_empty();
    let channel = if teams {
        Channel {
            kind: "msteams".to_owned(),
            address: Secret::new(notifier.msteams_url.as_str()),
            token: None,
            username: String::new(),
            channel: String::new(),
            proxy: proxy(&notifier.msteams_proxy),
        }
    } else {
        Channel {
            kind: "slack".to_owned(),
            address: Secret::new(notifier.slack_url.as_str()),
            token: Some(Secret::new(notifier.slack_token.as_str())),
            username: notifier.slack_user.clone(),
            channel: notifier.slack_channel.clone(),
            proxy: proxy(&notifier.slack_proxy),
        }
    };
    if channel.address.is_empty() {
        return Ok(None);
    }
    receiver(&channel)?;
    Ok(Some(channel))
}

/// What the log says about the receiver of the command line at the start; nothing about one with a short address. The
/// beginning of an address is hardly more than the host.
pub fn announcement(channel: &Channel) -> Option<String> {
    let address = masked(channel.address.reveal());
    let shown: String = address.chars().take(SHOWN).collect();
    (shown.len() < address.len()).then(|| format!("Notifications enabled for {shown}"))
}

/// Where an AlertProvider sends. `secret`: the keys of its Secret, if it names one. The error follows `alert provider
/// {name}.{namespace} ` in the log.
pub fn channel(provider: &AlertProvider, secret: Option<&BTreeMap<String, Secret>>) -> Result<Channel, String> {
    let spec = &provider.spec;
    let or = |text: &Option<String>, default: &str| {
        text.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let address = match secret {
        Some(secret) => secret.get("address").cloned().ok_or("secret does not contain an address")?,
        None => Secret::new(or(&spec.address, "")),
    };
    let channel = Channel {
        kind: spec.kind.clone(),
        address,
        token: secret.and_then(|secret| secret.get("token")).cloned(),
        username: or(&spec.username, "flagger"),
        channel: or(&spec.channel, "general"),
        proxy: spec.proxy.clone().filter(|proxy| !proxy.is_empty()),
    };
    if !channel.address.is_empty() {
        receiver(&channel).map_err(|error| format!("error: {error}"))?;
    }
    Ok(channel)
}

/// The request that delivers a message; `None` for an empty address.
pub fn post(channel: &Channel, message: &Message) -> Result<Option<Request>, String> {
    if channel.address.is_empty() {
        return Ok(None);
    }
    let receiver = receiver(channel)?;
    let url = receiver.url(channel.address.reveal());
    let mut request = Request::post_json(url, &receiver.body(channel, message), TIMEOUT)?;
    request.headers.extend(receiver.authorization(channel).map(|value| ("Authorization".to_owned(), value)));
    request.proxy = channel.proxy.as_deref().map(proxy).transpose()?;
    Ok(Some(request))
}

/// Whether the message arrived.
pub fn outcome(channel: &Channel, answer: Result<Response, SendError>) -> Result<(), String> {
    let why = match answer {
        Ok(response) if (200..300).contains(&response.status) && is_accepted(channel, &response) => return Ok(()),
        Ok(response) => format!("sending notification bad response {}: {}", response.status, response.shown()),
        Err(error) => format!("sending notification failed to send: {error}"),
    };
    Err(format!("postMessage failed: {}", redacted(channel, why)))
}

/// What is told of the Canary beside the text: the cluster, if it has a name, and `with_fields` what its spec says
/// about rollouts.
pub fn fields(rollout: &Rollout, with_fields: bool) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
    if !rollout.settings.cluster_name.is_empty() {
        add("Cluster", rollout.settings.cluster_name.clone());
    }
    if with_fields {
        add("Target", format!("{}/{}", rollout.target.kind, rollout.full_target()));
        add("Failed checks threshold", rollout.threshold.to_string());
        add("Progress deadline", format!("{}s", rollout.progress_deadline_seconds));
        if let Some(routing) = routing(rollout) {
            add("Traffic routing", routing);
        }
    }
    fields
}

/// Whether an entry of `analysis.alerts` lets a severity through: its own and worse ones.
pub fn wants(entry: Severity, severity: Severity) -> bool {
    entry <= severity
}

/// How traffic moves, in words; weights as written in the spec.
fn routing(rollout: &Rollout) -> Option<String> {
    let analysis = &rollout.analysis;
    match rollout.strategy {
        Strategy::AbTesting => Some("A/B Testing".to_owned()),
        Strategy::BlueGreen => Some("Blue/Green".to_owned()),
        Strategy::Weighted if analysis.step_weight > 0 => {
            Some(format!("Weight step: {} max: {}", analysis.step_weight, analysis.max_weight))
        }
        Strategy::Weighted if !analysis.step_weights.is_empty() => {
            let steps: Vec<_> = analysis.step_weights.iter().map(ToString::to_string).collect();
            Some(format!("Weight steps: {} max: {}", steps.join(","), analysis.max_weight))
        }
        Strategy::Weighted => None,
    }
}

/// The receiver of a channel, which has all that it needs.
fn receiver(channel: &Channel) -> Result<&'static dyn Receiver, String> {
    let receiver = RECEIVERS.iter().find(|receiver| receiver.kind() == channel.kind);
    let receiver = receiver.ok_or_else(|| format!("provider {} not supported", channel.kind))?;
    let address = channel.address.reveal();
    if !Url::parse(address).is_ok_and(|url| url.is_absolute()) {
        return Err(format!("invalid {} {} ***", receiver.title(), receiver.address_title()));
    }
    match receiver.names_channel() {
        true if channel.username.is_empty() => Err(format!("empty {} username", receiver.title())),
        true if channel.channel.is_empty() => Err(format!("empty {} channel", receiver.title())),
        _ => Ok(*receiver),
    }
}

fn is_accepted(channel: &Channel, response: &Response) -> bool {
    receiver(channel).map_or(true, |receiver| receiver.is_accepted(channel, response))
}

/// The proxy as a URL; one without a scheme speaks HTTP.
fn proxy(text: &str) -> Result<String, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    match Url::parse(&url) {
        Ok(_) => Ok(url),
        Err(error) => Err(format!("unable to parse proxy URL '{}', error: {error}", masked(text))),
    }
}

/// A text without address and token of the channel.
fn redacted(channel: &Channel, text: String) -> String {
    let secrets = std::iter::once(&channel.address).chain(&channel.token).filter(|secret| !secret.is_empty());
    secrets.fold(text, |text, secret| text.replace(secret.reveal(), "***"))
}
