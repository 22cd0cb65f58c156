//! The command line of `loadtester`. Pure: nothing is printed here.
//!
//! Source: load tester notes, section 1.1.

use api::GoDuration;
use program::goflag::{Field, Flag};
use program::launch;

/// The version whose behaviour this program has.
pub const VERSION: &str = "0.38.0";

/// The commit this program was built from, if the build said so.
pub const REVISION: &str = match option_env!("FLAGGER_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// What the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `-log-level`, as written.
    pub log_level: String,
    /// `-port`, as written.
    pub port: String,
    /// `-timeout`: for each task.
    pub timeout: GoDuration,
    /// `-namespace-regexp`; empty for all namespaces.
    pub namespace_regexp: String,
    /// `-zap-replace-globals`: without effect.
    pub zap_replace_globals: bool,
    /// `-zap-encoding`, as written.
    pub zap_encoding: String,
    /// `-version`.
    pub version: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log_level: "debug".to_owned(),
            port: "9090".to_owned(),
            timeout: GoDuration::from_secs(3600),
            namespace_regexp: String::new(),
            zap_replace_globals: false,
            zap_encoding: "json".to_owned(),
            version: false,
        }
    }
}

/// Every flag; the usage text sorts them.
pub static FLAGS: &[Flag<Options>] = &[
    Flag {
        name: "log-level",
        field: Field::Text(|o| &mut o.log_level),
        help: "Log level: debug, info, warning, error.",
    },
    Flag { name: "port", field: Field::Text(|o| &mut o.port), help: "Port to listen on; 0 for any that is free." },
    Flag { name: "timeout", field: Field::Duration(|o| &mut o.timeout), help: "How long each task may take." },
    Flag {
        name: "namespace-regexp",
        field: Field::Text(|o| &mut o.namespace_regexp),
        help: "Serve only Canaries of namespaces in which this regular expression is found (use ^ and $ for whole names).",
    },
    Flag {
        name: "zap-replace-globals",
        field: Field::Bool(|o| &mut o.zap_replace_globals),
        help: "Accepted for compatibility, without effect.",
    },
    Flag { name: "zap-encoding", field: Field::Text(|o| &mut o.zap_encoding), help: "Log encoding: json or console." },
    Flag { name: "version", field: Field::Bool(|o| &mut o.version), help: "Print the version and exit." },
];

/// What to do after the command line was read.
pub type Start = launch::Start<Options>;

/// Reads the command line.
pub fn read(program: &str, arguments: &[String]) -> Start {
    let (mut options, ignored) = match launch::read(program, arguments, FLAGS) {
        Start::Run { options, ignored } => (options, ignored),
        other => return other,
    };
    if options.version {
        return Start::Print(format!("loadtester version {VERSION} revision {REVISION}\n"));
    }
    if options.timeout <= GoDuration::ZERO {
        return Start::Leave { text: format!("timeout must be positive, got {}\n", options.timeout), code: 2 };
    }
    if options.log_level == "warning" {
        // As the help text has it.
        "warn".clone_into(&mut options.log_level);
    }
    Start::Run { options, ignored }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(arguments: &[&str]) -> Start {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        read("loadtester", &arguments)
    }

    fn options(arguments: &[&str]) -> Options {
        match start(arguments) {
            Start::Run { options, .. } => *options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_and_values_are_those_of_existing_manifests() {
        assert_eq!(options(&[]), Options::default());
        let given = options(&[
            "-port=8080",
            "--log-level",
            "info",
            "-timeout=30m",
            "-namespace-regexp=^test$",
            "-zap-replace-globals",
            "-zap-encoding=console",
        ]);
        let expected = Options {
            log_level: "info".into(),
            port: "8080".into(),
            timeout: GoDuration::from_secs(1800),
            namespace_regexp: "^test$".into(),
            zap_replace_globals: true,
            zap_encoding: "console".into(),
            version: false,
        };
        assert_eq!(given, expected);
    }

    #[test]
    fn warning_means_warn() {
        assert_eq!(options(&["-log-level=warning"]).log_level, "warn");
    }

    #[test]
    fn mistakes_leave_with_2_and_help_with_0() {
        for (arguments, begin, exit) in [
            (vec!["-nope"], "flag provided but not defined: -nope\nUsage of loadtester:\n  -log-level string\n", 2),
            (vec!["-timeout=10"], "invalid value \"10\" for flag -timeout: parse error\nUsage of", 2),
            (vec!["-timeout=0"], "timeout must be positive, got 0s\n", 2),
            (vec!["-h"], "Usage of loadtester:\n", 0),
        ] {
            let Start::Leave { text, code } = start(&arguments) else { panic!("{arguments:?}") };
            assert!(text.starts_with(begin) && code == exit, "{code} {text}");
        }
        let Start::Print(text) = start(&["-version"]) else { panic!("it goes on") };
        assert_eq!(text, "loadtester version 0.38.0 revision unknown\n");
    }
}
