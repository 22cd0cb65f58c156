//! Google Chat: incoming webhooks, with a card of the first version.
//!
//! Texts of cards are a little HTML, so what comes from elsewhere is escaped. The severity is not shown.
//! Source: <https://developers.google.com/workspace/chat/api/reference/rest/v1/cards-v1>; alert notes, section 4.7.

use super::{Channel, Message, Receiver};
use serde_json::{Value, json};

/// See the head of the file.
#[derive(Debug)]
pub(super) struct GoogleChat;

impl Receiver for GoogleChat {
    fn kind(&self) -> &'static str {
        "gchat"
    }

    fn title(&self) -> &'static str {
        "Google Chat"
    }

    fn address_title(&self) -> &'static str {
        "webhook URL"
    }

    fn names_channel(&self) -> bool {
        false
    }

    fn body(&self, _channel: &Channel, message: &Message) -> Value {
        let mut sections = vec![section(&strong(&message.text))];
        sections.extend(
            message.fields.iter().map(|(name, value)| section(&format!("{}<br>{}", escaped(name), strong(value)))),
        );
        json!({
            "cards": [{
                "header": {"title": "Flagger", "subtitle": message.subject(), "imageUrl": "https://flagger.app/favicon.png"},
                "sections": sections,
            }],
        })
    }
}

fn section(text: &str) -> Value {
    json!({"widgets": [{"textParagraph": {"text": text}}]})
}

fn strong(text: &str) -> String {
    format!("<font color=#848484><strong>{}</strong></font>", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
