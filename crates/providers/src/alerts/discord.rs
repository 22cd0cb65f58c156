//! Discord: its webhooks understand messages for Slack under the path `/slack`.
//!
//! Source: <https://discord.com/developers/docs/resources/webhook#execute-slackcompatible-webhook>; alert notes,
//! section 4.6.

use super::{Channel, Message, Receiver, slack};
use crate::http::url::Url;
use serde_json::Value;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Discord;

impl Receiver for Discord {
    fn kind(&self) -> &'static str {
        "discord"
    }

    fn title(&self) -> &'static str {
        "Discord"
    }

    /// Users paste the URL that Discord shows, which ends before `/slack`.
    fn url(&self, address: &str) -> String {
        match Url::parse(address) {
            Ok(url) if !url.path.ends_with("/slack") => url.with(true, &url.path_and("slack"), url.query),
            _ => address.to_owned(),
        }
    }

    fn body(&self, channel: &Channel, message: &Message) -> Value {
        slack::body(channel, message, ["good", "danger"])
    }
}
