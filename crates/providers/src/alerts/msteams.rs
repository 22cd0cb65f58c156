//! Microsoft Teams: incoming webhooks and workflows that take a `MessageCard`.
//!
//! Source: <https://learn.microsoft.com/en-us/outlook/actionable-messages/message-card-reference>; alert notes, section
//! 4.7.

use super::{Channel, Message, Receiver};
use api::Severity;
use serde_json::{Value, json};

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Teams;

impl Receiver for Teams {
    fn kind(&self) -> &'static str {
        "msteams"
    }

    fn title(&self) -> &'static str {
        "MS Teams"
    }

    fn address_title(&self) -> &'static str {
        "webhook URL"
    }

    fn names_channel(&self) -> bool {
        false
    }

    fn body(&self, _channel: &Channel, message: &Message) -> Value {
        let facts: Vec<_> = message.fields.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({
            "@type": "MessageCard",
            "@context": "http://schema.org/extensions",
            "themeColor": if message.severity == Severity::Error { "FF0000" } else { "0076D7" },
            "summary": message.subject(),
            "sections": [{"activityTitle": message.text, "activitySubtitle": message.subject(), "facts": facts}],
        })
    }
}
