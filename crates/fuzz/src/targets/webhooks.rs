//! What webhooks send to the load tester: payloads, and the words of commands.

use super::{Outcome, Run, inputs, law, used};
use loadtester::payload::Payload;
use loadtester::{tasks, words};

pub(super) fn payload_seeds() -> Vec<Vec<u8>> {
    inputs([
        r#"{"name":"podinfo","namespace":"test","phase":"Progressing","checksum":"85d557f47b","metadata":{"cmd":"hey -z 1m http://podinfo","type":"cmd"}}"#,
        r#"{"NAME":"podinfo","metadata":{"type":"bash","cmd":"true","returnCmdOutput":"true"}}"#,
        r#"{"metadata":{"type":"helmv3","cmd":"test podinfo --set a=\"b c\""}}"#,
        r#"{"metadata":{"type":"ngrinder","server":"http://grinder/","clone":"7","username":"a","passwd":"a2V5","pollInterval":"1s"}}"#,
        r#"{"metadata":{"type":"concord","server":"https://concord","org":"o","project":"p","repo":"r","entrypoint":"e","endpoint":"x","apiKeyPath":"/","pollInterval":"5","pollTimeout":"30","arguments.a":"b"}}"#,
        r#"{"metadata":{"cmd":""}}"#,
    ])
}

pub(super) fn payload(input: &[u8]) -> Run {
    let Ok(payload) = Payload::parse(input) else { return Ok(Outcome::Refused) };
    for value in payload.metadata.values() {
        split(value)?;
    }
    match tasks::read(&payload) {
        Ok((_, task)) => {
            law(task.identity().starts_with(task.canary()), || "a task without its Canary".to_owned())?;
            used(task.title());
            Ok(Outcome::Read)
        }
        Err(refusal) => {
            law(refusal.status.is_client_error() || refusal.status.is_server_error(), || refusal.status.to_string())?;
            law(!refusal.text.is_empty(), || "refused without a reason".to_owned())?;
            Ok(Outcome::Refused)
        }
    }
}

/// Without quotations, words are what white space separates; with them, nothing is added.
fn split(text: &str) -> Result<(), String> {
    let words = words::split(text);
    if !text.contains(['\'', '"']) {
        law(words.iter().eq(text.split_whitespace()), || format!("{text:?} became {words:?}"))?;
    }
    let length: usize = words.iter().map(String::len).sum();
    law(length <= text.len(), || format!("{text:?} grew to {words:?}"))
}
