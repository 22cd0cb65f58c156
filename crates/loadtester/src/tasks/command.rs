//! Tasks that are commands: `cmd` (background, through `sh`), `bash`, `helm`, `helmv3` and `kubectl` (somebody waits for the end).

use super::{Refusal, Task, Tools};
use crate::output;
use crate::payload::Payload;
use crate::process::Bounds;
use crate::words;
use async_trait::async_trait;
use tracing::{error, info};

/// How a type of commands is run and told of.
struct Style {
    program: &'static str,
    /// Run by a shell, or as words.
    shell: bool,
    /// Whether the start is told, and how: the text before the command.
    start: Option<&'static str>,
    /// By the Canary's name alone.
    start_by_name: bool,
    /// What stands before the command when its end is told.
    label: &'static str,
}

static CMD: Style = Style { program: "sh", shell: true, start: None, start_by_name: false, label: "" };
static BASH: Style =
    Style { program: "bash", shell: true, start: Some("bash command "), start_by_name: true, label: "" };
// Both types of helm are told of by the name of the later one, by tradition.
static HELM: Style = Style {
    program: "helm",
    shell: false,
    start: Some("running command helmv3 "),
    start_by_name: false,
    label: "helmv3 ",
};
static KUBECTL: Style = Style {
    program: "kubectl",
    shell: false,
    start: Some("running command kubectl "),
    start_by_name: false,
    label: "kubectl ",
};

struct Command {
    style: &'static Style,
    name: String,
    canary: String,
    text: String,
    log_output: bool,
    answer_output: bool,
}

pub(super) fn cmd(payload: &Payload) -> Result<Box<dyn Task>, Refusal> {
    let mut command = read(payload, &CMD)?;
    command.log_output = payload.switch("logCmdOutput");
    command.answer_output = false;
    Ok(Box::new(command))
}

pub(super) fn bash(payload: &Payload) -> Result<Box<dyn Task>, Refusal> {
    Ok(Box::new(read(payload, &BASH)?))
}

pub(super) fn helm(payload: &Payload) -> Result<Box<dyn Task>, Refusal> {
    Ok(Box::new(read(payload, &HELM)?))
}

pub(super) fn kubectl(payload: &Payload) -> Result<Box<dyn Task>, Refusal> {
    Ok(Box::new(read(payload, &KUBECTL)?))
}

/// Commands that somebody waits for are logged in any case, and answered on request.
fn read(payload: &Payload, style: &'static Style) -> Result<Command, Refusal> {
    let text = payload.get("cmd").ok_or_else(|| Refusal::bad("cmd not found in metadata"))?;
    Ok(Command {
        style,
        name: payload.name.clone(),
        canary: payload.canary(),
        text: text.to_owned(),
        log_output: true,
        answer_output: payload.switch("returnCmdOutput"),
    })
}

#[async_trait]
impl Task for Command {
    fn canary(&self) -> &str {
        &self.canary
    }

    fn title(&self) -> String {
        self.text.clone()
    }

    fn identity(&self) -> String {
        format!("{}\n{}", self.canary, self.text)
    }

    async fn run(&self, tools: &Tools, bounds: &Bounds) -> Result<Vec<u8>, String> {
        let (style, text, canary) = (self.style, &self.text, &self.canary);
        if let Some(start) = style.start {
            info!(canary = if style.start_by_name { &self.name } else { canary }, "{start}{text}");
        }
        let arguments =
            if style.shell { vec!["-c".to_owned(), format!("{}{text}", tools.prelude)] } else { words::split(text) };
        let keep = if self.answer_output { output::FOR_ANSWER } else { output::FOR_LOG };
        let finished = tools.processes.run(style.program, &arguments, bounds, keep).await;
        let output = String::from_utf8_lossy(&finished.output);
        if let Some(error) = finished.error {
            error!(canary, "command failed {text} {error} {output}");
            return Err(format!("command {text} failed: {output}: {error}"));
        }
        if self.log_output {
            info!(canary, "{output}");
        }
        info!(canary, "command finished {}{text}", style.label);
        Ok(if self.answer_output { finished.output } else { Vec::new() })
    }
}
