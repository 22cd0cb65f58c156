//! Rocket.Chat: its incoming webhooks understand messages for Slack, but other names of colours.
//!
//! Source: <https://docs.rocket.chat/docs/integrations>; alert notes, section 4.7.

use super::{Channel, Message, Receiver, slack};
use serde_json::Value;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Rocket;

impl Receiver for Rocket {
    fn kind(&self) -> &'static str {
        "rocket"
    }

    fn title(&self) -> &'static str {
        "Rocket"
    }

    fn body(&self, channel: &Channel, message: &Message) -> Value {
        slack::body(channel, message, ["#0076D7", "#FF0000"])
    }
}
