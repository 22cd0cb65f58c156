//! Slack: incoming webhooks, and the Web API with a bot token.
//!
//! Discord and Rocket.Chat understand the same messages. Source:
//! <https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments>; alert notes, sections 4.6 to
//! 4.8.

use super::{Channel, Message, Receiver};
use crate::http::{Response, Secret};
use api::Severity;
use serde_json::{Value, json};

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Slack;

impl Receiver for Slack {
    fn kind(&self) -> &'static str {
        "slack"
    }

    fn title(&self) -> &'static str {
        "Slack"
    }

    fn authorization(&self, channel: &Channel) -> Option<Secret> {
        let token = channel.token.as_ref().filter(|token| !token.is_empty())?;
        Some(Secret::new(format!("Bearer {}", token.reveal())))
    }

    fn body(&self, channel: &Channel, message: &Message) -> Value {
        body(channel, message, ["good", "danger"])
    }

    /// The Web API says 200 to everything, and in the body what it means.
    fn is_accepted(&self, channel: &Channel, response: &Response) -> bool {
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        !(channel.address.reveal().contains("slack.com/api/") && answer.get("ok") == Some(&Value::Bool(false)))
    }
}

/// A message with one attachment; its colour is the first one, or the second for errors.
pub(super) fn body(channel: &Channel, message: &Message, [usual, error]: [&str; 2]) -> Value {
    let fields: Vec<_> =
        message.fields.iter().map(|(name, value)| json!({"title": name, "value": value, "short": false})).collect();
    json!({
        "channel": channel.channel,
        "username": channel.username,
        "icon_url": "",
        "icon_emoji": ":rocket:",
        "attachments": [{
            "color": if message.severity == Severity::Error { error } else { usual },
            "author_name": message.subject(),
            "text": message.text,
            "mrkdwn_in": ["text"],
            "fields": fields,
        }],
    })
}
