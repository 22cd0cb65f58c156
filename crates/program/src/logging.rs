//! The log: one line per event on stderr, in the format that existing log pipelines parse.
//!
//! JSON keys in this order: `level`, `ts`, `caller`, `msg`, then the fields of the event (`canary` above all). `console` is the same data, tab-separated.
//! Differences from the reference: no `stacktrace` (errors are values here, there is no stack to tell), `ts` is always UTC, and nothing is sampled away.
//! Libraries (HTTP, TLS, the Kubernetes client) are heard from warnings up only. An event of level error with the field `fatal = true` is written as level
//! `fatal`; ending the process is the caller's business.
//! Source: operations notes, section 3.

use crate::clock::Clock;
use serde_json::{Map, Value};
use std::fmt::{Debug, Write as _};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Subscriber;
use tracing::{Event, Metadata};

/// Targets (crates) whose events are written from the chosen level up.
const OWN: [&str; 10] = [
    "api",
    "controller",
    "flagger",
    "gotemplate",
    "loadtester",
    "objects",
    "program",
    "providers",
    "rollout",
    "runtime",
];

/// From which level on lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    Warn,
    /// What failed.
    Error,
    /// Only what ends the process. Also for `panic`.
    Fatal,
}

impl Level {
    /// The level of a name, and whether the name is known. Unknown names mean `info`; `warning` is one of them by tradition, but documented.
    pub fn named(name: &str) -> (Self, bool) {
        match name {
            "debug" => (Self::Debug, true),
            "info" | "warning" => (Self::Info, true),
            "warn" => (Self::Warn, true),
            "error" => (Self::Error, true),
            "fatal" | "panic" => (Self::Fatal, true),
            _ => (Self::Info, false),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// One JSON object.
    Json,
    /// Tab-separated.
    Console,
}

impl Encoding {
    /// The encoding of a name.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "json" => Ok(Self::Json),
            "console" => Ok(Self::Console),
            other => Err(format!("no encoder registered for name {other:?}")),
        }
    }
}

/// Writes events. Spans are not used in this project and not kept.
pub struct Logger<Sink> {
    level: Level,
    encoding: Encoding,
    clock: Clock,
    sink: Mutex<Sink>,
}

impl<Sink: Write> Logger<Sink> {
    /// A logger that writes whole lines to `sink`.
    pub fn new(level: Level, encoding: Encoding, clock: Clock, sink: Sink) -> Self {
        Self { level, encoding, clock, sink: Mutex::new(sink) }
    }

    fn line(&self, level: Level, caller: Option<String>, message: &str, fields: &Map<String, Value>) -> String {
        let time = format!("{:.3}", self.clock.now());
        match self.encoding {
            Encoding::Json => {
                let mut line = format!("{{\"level\":\"{}\",\"ts\":\"{time}\"", level.word());
                // Writing to a String does not fail.
                if let Some(caller) = caller {
                    let _ = write!(line, ",\"caller\":{}", Value::from(caller));
                }
                let _ = write!(line, ",\"msg\":{}", Value::from(message));
                for (name, value) in fields {
                    let _ = write!(line, ",{}:{value}", Value::from(name.as_str()));
                }
                line.push_str("}\n");
                line
            }
            Encoding::Console => {
                let mut line = format!("{time}\t{}\t{}\t{message}", level.word(), caller.unwrap_or_default());
                if !fields.is_empty() {
                    let _ = write!(line, "\t{}", Value::Object(fields.clone()));
                }
                line.push('\n');
                line
            }
        }
    }
}

/// `directory/file:line`; a crate's `src` does not count as a directory.
fn caller(metadata: &Metadata<'_>) -> Option<String> {
    let (file, line) = (metadata.file()?, metadata.line()?);
    let parts: Vec<&str> = file.split(['/', '\\']).filter(|part| *part != "src").collect();
    let short = match parts.as_slice() {
        [.., directory, file] => format!("{directory}/{file}"),
        _ => file.to_owned(),
    };
    Some(format!("{short}:{line}"))
}

fn severity(metadata: &Metadata<'_>) -> Option<Level> {
    match *metadata.level() {
        tracing::Level::TRACE => None,
        tracing::Level::DEBUG => Some(Level::Debug),
        tracing::Level::INFO => Some(Level::Info),
        tracing::Level::WARN => Some(Level::Warn),
        tracing::Level::ERROR => Some(Level::Error),
    }
}

impl<Sink: Write + Send + 'static> Subscriber for Logger<Sink> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let Some(level) = severity(metadata) else { return false };
        let name = metadata.target().split("::").next().unwrap_or_default();
        let least = if OWN.contains(&name) { self.level } else { self.level.max(Level::Warn) };
        // Whether an error is a fatal one is known only when its fields are.
        metadata.is_event() && level >= least.min(Level::Error)
    }

    fn event(&self, event: &Event<'_>) {
        let mut seen = Seen::default();
        event.record(&mut seen);
        let Some(level) = severity(event.metadata()).map(|level| if seen.fatal { Level::Fatal } else { level }) else {
            return;
        };
        if level < self.level {
            return;
        }
        let line = self.line(level, caller(event.metadata()), &seen.message, &seen.fields);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // There is nowhere else to tell that the log cannot be written.
        let _ = sink.write_all(line.as_bytes());
        let _ = sink.flush();
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // Spans are not enabled; should one come nevertheless, any number will do.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The fields of one event.
#[derive(Default)]
struct Seen {
    message: String,
    fatal: bool,
    fields: Map<String, Value>,
}

impl Seen {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.add(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "fatal" {
            self.fatal = value;
        } else {
            self.add(field, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tracing::{debug, error, info, trace, warn};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `work` runs, at 2026-07-21T10:06:55.123456Z; the line number of the caller becomes `N`.
    fn written(level: Level, encoding: Encoding, work: impl FnOnce()) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _guard = runtime.enter();
        let sink = Shared::default();
        let clock = Clock::simulated("2026-07-21T10:06:55.123456Z".parse().unwrap());
        tracing::subscriber::with_default(Logger::new(level, encoding, clock, sink.clone()), work);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let mut out = String::new();
        for (index, part) in text.split("logging.rs:").enumerate() {
            if index > 0 {
                out.push_str("logging.rs:N");
            }
            out.push_str(if index == 0 { part } else { part.trim_start_matches(|c: char| c.is_ascii_digit()) });
        }
        out
    }

    #[test]
    fn a_line_about_a_canary_is_what_pipelines_parse() {
        let line = written(Level::Info, Encoding::Json, || {
            info!(canary = "cart.shop", "Advance {} canary weight {}", "cart.shop", 10);
        });
        assert_eq!(
            line,
            "{\"level\":\"info\",\"ts\":\"2026-07-21T10:06:55.123Z\",\"caller\":\"program/logging.rs:N\",\"msg\":\"Advance cart.shop canary weight 10\",\"canary\":\"cart.shop\"}\n"
        );
    }

    #[test]
    fn texts_are_escaped_and_values_keep_their_types() {
        let line = written(Level::Info, Encoding::Json, || {
            warn!(canary = "a.b", weight = 10, done = true, share = 0.5, why = ?Some("x"), "two\nlines \"quoted\"");
        });
        let tail = line.split_once("\"msg\":").unwrap().1;
        assert_eq!(
            tail,
            "\"two\\nlines \\\"quoted\\\"\",\"canary\":\"a.b\",\"weight\":10,\"done\":true,\"share\":0.5,\"why\":\"Some(\\\"x\\\")\"}\n"
        );
    }

    #[test]
    fn console_is_tab_separated() {
        let lines = written(Level::Info, Encoding::Console, || {
            info!(canary = "a.b", "Synced a/b");
            info!("Starting operator");
        });
        assert_eq!(
            lines,
            "2026-07-21T10:06:55.123Z\tinfo\tprogram/logging.rs:N\tSynced a/b\t{\"canary\":\"a.b\"}\n\
             2026-07-21T10:06:55.123Z\tinfo\tprogram/logging.rs:N\tStarting operator\n"
        );
    }

    fn levels(level: &str) -> Vec<String> {
        let lines = written(Level::named(level).0, Encoding::Json, || {
            trace!("trace");
            debug!("debug");
            info!("info");
            warn!("warn");
            error!("error");
            error!(fatal = true, "fatal");
        });
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["level"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn levels_cut_off_what_is_below() {
        assert_eq!(levels("debug"), ["debug", "info", "warn", "error", "fatal"]);
        assert_eq!(levels("warn"), ["warn", "error", "fatal"]);
        assert_eq!(levels("error"), ["error", "fatal"]);
        assert_eq!(levels("panic"), ["fatal"]);
        assert_eq!(levels("warning"), ["info", "warn", "error", "fatal"], "as the documentation misleads");
        assert_eq!(levels("loud"), levels("info"));
        assert_eq!((Level::named("warning").1, Level::named("loud").1), (true, false));
    }

    #[test]
    fn libraries_are_heard_from_warnings_up() {
        let lines = written(Level::Debug, Encoding::Json, || {
            debug!(target: "hyper::proto", "connected");
            info!(target: "kube_client::client", "requesting");
            warn!(target: "kube_client::client", "failed");
            debug!(target: "runtime::watch", "watching");
        });
        let messages: Vec<_> =
            lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["msg"].clone()).collect();
        assert_eq!(messages, ["failed", "watching"]);
    }

    #[test]
    fn nothing_is_sampled_away() {
        let lines = written(Level::Info, Encoding::Json, || (0..150).for_each(|_| info!("the same")));
        assert_eq!(lines.lines().count(), 150);
    }

    #[test]
    fn unknown_encodings_are_refused_in_words() {
        assert_eq!(Encoding::named("xml"), Err("no encoder registered for name \"xml\"".to_owned()));
        assert_eq!(Encoding::named("console"), Ok(Encoding::Console));
    }
}
