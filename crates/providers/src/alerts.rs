//! Receivers of alerts.

use crate::http::{Request, Response, Secret, SendError};
use api::{AlertProvider, Rollout, Severity};
use std::collections::BTreeMap;
use std::fmt::Debug;

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

/// One kind of receiver.
pub trait Receiver: Debug + Sync {
    /// `spec.type`.
    fn kind(&self) -> &'static str;
    /// The request that delivers a message.
    fn request(&self, channel: &Channel, message: &Message) -> Result<Request, String>;
}

/// What the command line says of the receiver of Canaries without alerts of their own.
#[derive(Debug, Clone, Default)]
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
    /// `-msteams-url`.
    pub msteams_url: String,
    /// `-msteams-proxy-url`.
    pub msteams_proxy: String,
}

/// The receiver of Canaries without alerts of their own.
pub fn global(notifier: &GlobalNotifier) -> Result<Option<Channel>, String> {
    let _ = notifier;
    Ok(None)
}

/// Where an AlertProvider sends.
pub fn channel(provider: &AlertProvider, secret: Option<&BTreeMap<String, Secret>>) -> Result<Channel, String> {
    let _ = (provider, secret);
    Err("error: not built yet".to_owned())
}

/// The request that delivers a message; `None` for an empty address.
pub fn post(channel: &Channel, message: &Message) -> Result<Option<Request>, String> {
    let _ = (channel, message);
    Ok(None)
}

/// Whether the message arrived.
pub fn outcome(channel: &Channel, answer: Result<Response, SendError>) -> Result<(), String> {
    let _ = (channel, answer);
    Ok(())
}

/// What is told of the Canary beside the text.
pub fn fields(rollout: &Rollout, with_fields: bool) -> Vec<(String, String)> {
    let _ = (rollout, with_fields);
    Vec::new()
}

/// Whether an entry of `analysis.alerts` lets a severity through.
pub fn wants(entry: Severity, severity: Severity) -> bool {
    entry <= severity
}
