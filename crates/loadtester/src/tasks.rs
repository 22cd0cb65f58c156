//! Tasks: one file a family, one list of all types.
//!
//! A task is read from a payload without doing anything, and then run, once, within bounds.

mod command;
mod concord;
mod ngrinder;

use crate::payload::Payload;
use crate::process::{Bounds, Processes};
use async_trait::async_trait;
use http::StatusCode;
use program::outbound::Outbound;
use std::sync::Arc;

/// Something to do for a Canary.
#[async_trait]
pub trait Task: Send + Sync {
    /// `name.namespace` of the Canary.
    fn canary(&self) -> &str;
    /// What it is called in log lines.
    fn title(&self) -> String;
    /// Tasks with the same identity are the same: only one of them runs at a time. Of background tasks only.
    fn identity(&self) -> String;
    /// Does it. What it answers is the response's body; errors are texts for users.
    async fn run(&self, tools: &Tools, bounds: &Bounds) -> Result<Vec<u8>, String>;
}

/// What tasks work with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// For commands.
    pub processes: Arc<Processes>,
    /// For requests.
    pub outbound: Arc<dyn Outbound>,
    /// What stands before every command of a shell: definitions of functions, or nothing.
    pub prelude: Arc<str>,
}

/// A type of tasks.
#[derive(Debug)]
pub struct Kind {
    /// As in `metadata.type`.
    pub name: &'static str,
    /// Whether somebody waits for the end.
    pub mode: Mode,
    read: fn(&Payload) -> Result<Box<dyn Task>, Refusal>,
}

/// Whether somebody waits for the end of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nobody: it is enough to have begun, and the same is not begun twice.
    Background,
    /// The one who called.
    Blocking,
}

/// Why there is no task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of the response.
    pub status: StatusCode,
    /// The response's body.
    pub text: String,
}

impl Refusal {
    /// The payload is to blame.
    fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }
}

/// Alphabetical. A type exists when it is in this list.
pub static KINDS: &[Kind] = &[
    Kind { name: "bash", mode: Mode::Blocking, read: command::bash },
    Kind { name: "cmd", mode: Mode::Background, read: command::cmd },
    Kind { name: "concord", mode: Mode::Blocking, read: concord::read },
    Kind { name: "helm", mode: Mode::Blocking, read: command::helm },
    Kind { name: "helmv3", mode: Mode::Blocking, read: command::helm },
    Kind { name: "kubectl", mode: Mode::Blocking, read: command::kubectl },
    Kind { name: "ngrinder", mode: Mode::Background, read: ngrinder::read },
];

/// The task of a payload. A payload without type means a command.
pub fn read(payload: &Payload) -> Result<(&'static Kind, Box<dyn Task>), Refusal> {
    if payload.metadata.is_empty() {
        return Err(Refusal::bad("metadata not found in payload"));
    }
    let name = payload.get("type").unwrap_or("cmd");
    let kind = KINDS.iter().find(|kind| kind.name == name);
    let kind = kind.ok_or_else(|| Refusal::bad(format!("unknown task type {name}")))?;
    Ok((kind, (kind.read)(payload)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(&str, &str)]) -> (u16, String) {
        let metadata = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let Err(refusal) = read(&Payload { metadata, ..Payload::default() }) else { panic!("accepted: {pairs:?}") };
        (refusal.status.as_u16(), refusal.text)
    }

    #[test]
    fn types_are_sorted_and_unique() {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert_eq!(refused(&[]), (400, "metadata not found in payload".to_owned()));
        assert_eq!(refused(&[("type", "")]), (400, "unknown task type ".to_owned()));
        assert_eq!(refused(&[("type", "Bash"), ("cmd", "true")]), (400, "unknown task type Bash".to_owned()));
        for kind in ["cmd", "bash", "helm", "helmv3", "kubectl"] {
            assert_eq!(refused(&[("type", kind)]), (400, "cmd not found in metadata".to_owned()), "{kind}");
        }
        assert_eq!(refused(&[("x", "y")]), (400, "cmd not found in metadata".to_owned()));
    }
}
