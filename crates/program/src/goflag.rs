//! The grammar of Go's command lines: single-dash long flags as existing manifests pass them.
//!
//! A table of [`Flag`]s says which fields of an options struct the flags fill; the defaults are what the struct's `Default` says. Pure: no environment, no
//! output.
//! Source: operations notes, section 1.1; <https://pkg.go.dev/flag>.

use api::GoDuration;
use std::fmt::Write as _;

/// One flag: its name, what it fills, and what the usage text says about it.
pub struct Flag<Options> {
    /// Without dashes.
    pub name: &'static str,
    /// What a value is, and where it goes.
    pub field: Field<Options>,
    /// One line for the usage text.
    pub help: &'static str,
}

/// What a value is, and where it goes.
pub enum Field<Options> {
    /// Any text.
    Text(fn(&mut Options) -> &mut String),
    /// `true`, `false` and their short forms; no value means `true`.
    Bool(fn(&mut Options) -> &mut bool),
    /// A signed integer of 64 bits in any notation of Go.
    Int(fn(&mut Options) -> &mut i64),
    /// A Go duration.
    Duration(fn(&mut Options) -> &mut GoDuration),
    /// Checked and dropped: flags of a library that this program does not have.
    Ignored(Ignored),
}

/// Kinds of values that are checked and dropped, with the default that the usage text names (empty: none).
pub enum Ignored {
    /// `true`, `false` and their short forms.
    Bool(&'static str),
    /// A decimal integer of 32 bits.
    Level,
    /// An unsigned integer of 64 bits in any notation of Go.
    Uint(&'static str),
    /// A number or one of INFO, WARNING, ERROR, FATAL.
    Severity(&'static str),
    /// Any text.
    Text,
    /// Any text of a type of its own.
    Custom,
}

/// Why parsing ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// `-h`, `-help` or `--help`.
    #[error("help requested")]
    Help,
    /// Nothing, a third dash or `=` where the name should be.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// No such flag.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    /// The last argument is a flag that needs a value.
    #[error("flag needs an argument: -{0}")]
    NeedsValue(String),
    /// Not a boolean.
    #[error("invalid boolean value {value:?} for -{name}: parse error")]
    Boolean {
        /// The flag.
        name: String,
        /// What was given.
        value: String,
    },
    /// Not a value of the flag's kind.
    #[error("invalid value {value:?} for flag -{name}: {cause}")]
    Value {
        /// The flag.
        name: String,
        /// What was given.
        value: String,
        /// `parse error` or `value out of range`.
        cause: &'static str,
    },
}

const PARSE: &str = "parse error";
const RANGE: &str = "value out of range";

/// Fills `options` from the arguments (without the program's name) and returns the arguments that were left over. The last occurrence of a flag wins; what
/// was filled before an error stays.
pub fn parse<Options>(
    flags: &[Flag<Options>],
    arguments: &[String],
    options: &mut Options,
) -> Result<Vec<String>, FlagError> {
    let mut rest = arguments.iter();
    loop {
        let left = rest.as_slice();
        let Some(argument) = rest.next() else { return Ok(Vec::new()) };
        let Some(bare) = argument.strip_prefix('-').filter(|bare| !bare.is_empty()) else { return Ok(left.to_vec()) };
        let bare = bare.strip_prefix('-').unwrap_or(bare);
        if bare.is_empty() {
            return Ok(rest.cloned().collect());
        }
        if bare.starts_with(['-', '=']) {
            return Err(FlagError::Syntax(argument.clone()));
        }
        let (name, value) = bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)));
        let Some(flag) = flags.iter().find(|flag| flag.name == name) else {
            let help = name == "help" || name == "h";
            return Err(if help { FlagError::Help } else { FlagError::Unknown(name.to_owned()) });
        };
        let value = match value {
            Some(value) => value,
            None if flag.is_boolean() => "true",
            None => rest.next().ok_or_else(|| FlagError::NeedsValue(name.to_owned()))?,
        };
        flag.set(value, options)?;
    }
}

impl<Options> Flag<Options> {
    fn is_boolean(&self) -> bool {
        matches!(self.field, Field::Bool(_) | Field::Ignored(Ignored::Bool(_)))
    }

    fn set(&self, value: &str, options: &mut Options) -> Result<(), FlagError> {
        let wrong = |cause| FlagError::Value { name: self.name.to_owned(), value: value.to_owned(), cause };
        let boolean =
            || boolean(value).ok_or_else(|| FlagError::Boolean { name: self.name.to_owned(), value: value.to_owned() });
        match &self.field {
            Field::Text(field) => value.clone_into(field(options)),
            Field::Bool(field) => *field(options) = boolean()?,
            Field::Int(field) => *field(options) = integer(value).map_err(wrong)?,
            Field::Duration(field) => *field(options) = value.parse().map_err(|_| wrong(PARSE))?,
            Field::Ignored(Ignored::Bool(_)) => drop(boolean()?),
            Field::Ignored(Ignored::Level) => drop(value.parse::<i32>().map_err(|_| wrong(PARSE))?),
            Field::Ignored(Ignored::Uint(_)) => drop(unsigned(value).map_err(wrong)?),
            Field::Ignored(Ignored::Severity(_)) => severity(value).ok_or_else(|| wrong(PARSE))?,
            Field::Ignored(Ignored::Text | Ignored::Custom) => {}
        }
        Ok(())
    }

    /// The word for the kind of value, and the default if it is not the kind's zero.
    fn describe(&self, defaults: &mut Options) -> (&'static str, Option<String>) {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match &self.field {
            Field::Text(field) => ("string", given(field(defaults)).map(|text| format!("{text:?}"))),
            Field::Bool(field) => ("", field(defaults).then(|| "true".to_owned())),
            Field::Int(field) => ("int", Some(*field(defaults)).filter(|number| *number != 0).map(|n| n.to_string())),
            Field::Duration(field) => (
                "duration",
                Some(*field(defaults)).filter(|time| *time != GoDuration::ZERO).map(|time| time.to_string()),
            ),
            Field::Ignored(Ignored::Bool(default)) => ("", given(default)),
            Field::Ignored(Ignored::Uint(default)) => ("uint", given(default)),
            Field::Ignored(Ignored::Severity(default)) => ("value", given(default)),
            Field::Ignored(Ignored::Level | Ignored::Custom) => ("value", None),
            Field::Ignored(Ignored::Text) => ("string", None),
        }
    }
}

/// The usage text: every flag in lexical order, two lines each.
pub fn usage<Options: Default>(program: &str, flags: &[Flag<Options>]) -> String {
    let mut text = format!("Usage of {program}:\n");
    let mut sorted: Vec<_> = flags.iter().collect();
    sorted.sort_by_key(|flag| flag.name);
    let mut defaults = Options::default();
    for flag in sorted {
        let (kind, default) = flag.describe(&mut defaults);
        let space = if kind.is_empty() { "" } else { " " };
        let default = default.map(|default| format!(" (default {default})")).unwrap_or_default();
        // Writing to a String does not fail.
        let _ = write!(text, "  -{}{space}{kind}\n    \t{}{default}\n", flag.name, flag.help);
    }
    text
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn severity(text: &str) -> Option<()> {
    let named = ["INFO", "WARNING", "ERROR", "FATAL"].contains(&text.to_uppercase().as_str());
    (named || text.parse::<i32>().is_ok()).then_some(())
}

fn integer(text: &str) -> Result<i64, &'static str> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = unsigned(digits)?;
    let value = if negative { 0i128 - i128::from(magnitude) } else { i128::from(magnitude) };
    i64::try_from(value).map_err(|_| RANGE)
}

/// An integer without sign: decimal, `0x`, `0o` or a leading 0, `0b`; underscores between digits.
fn unsigned(text: &str) -> Result<u64, &'static str> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', _, ..] => (16, lower.get(2..)),
        [b'0', b'o', _, ..] => (8, lower.get(2..)),
        [b'0', b'b', _, ..] => (2, lower.get(2..)),
        [b'0', _, ..] => (8, lower.get(1..)),
        _ => (10, Some(lower.as_str())),
    };
    let digits = digits.unwrap_or_default();
    // An underscore stands between two digits, or between a prefix and a digit.
    let after_prefix = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    let groups_are_whole = after_prefix.split('_').all(|group| !group.is_empty());
    let plain = after_prefix.replace('_', "");
    if !groups_are_whole || !plain.chars().all(|digit| digit.is_digit(radix)) {
        return Err(PARSE);
    }
    u64::from_str_radix(&plain, radix).map_err(|_| RANGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Options {
        text: String,
        on: bool,
        number: i64,
        time: GoDuration,
    }

    static FLAGS: &[Flag<Options>] = &[
        Flag { name: "text", field: Field::Text(|options| &mut options.text), help: "a text" },
        Flag { name: "on", field: Field::Bool(|options| &mut options.on), help: "a switch" },
        Flag { name: "number", field: Field::Int(|options| &mut options.number), help: "a number" },
        Flag { name: "time", field: Field::Duration(|options| &mut options.time), help: "a time" },
        Flag { name: "v", field: Field::Ignored(Ignored::Level), help: "a level" },
        Flag { name: "size", field: Field::Ignored(Ignored::Uint("1800")), help: "a size" },
        Flag { name: "threshold", field: Field::Ignored(Ignored::Severity("2")), help: "a severity" },
        Flag { name: "quiet", field: Field::Ignored(Ignored::Bool("true")), help: "a switch" },
    ];

    fn read(arguments: &[&str]) -> Result<(Options, Vec<String>), String> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut options = Options::default();
        parse(FLAGS, &arguments, &mut options).map(|rest| (options, rest)).map_err(|error| error.to_string())
    }

    fn number(text: &str) -> Result<i64, String> {
        read(&[&format!("-number={text}")]).map(|(options, _)| options.number)
    }

    #[test]
    fn one_dash_and_two_are_the_same_and_values_may_follow() {
        for arguments in [&["-text=a"][..], &["--text=a"], &["-text", "a"], &["--text", "a"]] {
            assert_eq!(read(arguments).unwrap().0.text, "a", "{arguments:?}");
        }
        assert_eq!(read(&["-text", "-on"]).unwrap().0.text, "-on", "a value may look like a flag");
        assert_eq!(read(&["-text=a=b"]).unwrap().0.text, "a=b");
        assert_eq!(read(&["-text=a", "-text="]).unwrap().0.text, "", "the last one wins");
    }

    #[test]
    fn booleans_take_no_second_argument() {
        assert!(read(&["-on"]).unwrap().0.on);
        for word in ["1", "t", "T", "TRUE", "true", "True"] {
            assert!(read(&[&format!("-on={word}")]).unwrap().0.on, "{word}");
        }
        for word in ["0", "f", "F", "FALSE", "false", "False"] {
            assert!(!read(&["-on", &format!("-on={word}")]).unwrap().0.on, "{word}");
        }
        let (options, rest) = read(&["-on", "false", "-text=lost"]).unwrap();
        assert!(options.on);
        assert_eq!(options.text, "");
        assert_eq!(rest, ["false", "-text=lost"]);
        assert_eq!(read(&["-on=yes"]).err().unwrap(), "invalid boolean value \"yes\" for -on: parse error");
        assert_eq!(read(&["-on="]).err().unwrap(), "invalid boolean value \"\" for -on: parse error");
    }

    #[test]
    fn parsing_ends_at_the_first_positional_argument() {
        for (end, rest) in [("word", 2), ("-", 2), ("", 2), ("--", 1)] {
            let (options, left) = read(&["-number=1", end, "-number=2"]).unwrap();
            assert_eq!((options.number, left.len()), (1, rest), "{end:?}");
        }
    }

    #[test]
    fn integers_in_every_notation_of_go() {
        for (text, value) in [
            ("42", 42),
            ("+42", 42),
            ("-42", -42),
            ("0", 0),
            ("0x2A", 42),
            ("0X_2a", 42),
            ("0o17", 15),
            ("017", 15),
            ("0_17", 15),
            ("0b101", 5),
            ("-0b101", -5),
            ("1_000_000", 1_000_000),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for text in ["", "-", "x", "1.5", "08", "0x", "0b2", "1__0", "_1", "1_", "10s", "0x_"] {
            assert_eq!(number(text), Err(format!("invalid value \"{text}\" for flag -number: parse error")), "{text}");
        }
        for text in ["9223372036854775808", "-9223372036854775809", "0x10000000000000000"] {
            let error = format!("invalid value \"{text}\" for flag -number: value out of range");
            assert_eq!(number(text), Err(error), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        let time = |text: &str| read(&["-time", text]).map(|(options, _)| options.time.as_millis());
        for (text, milliseconds) in [("10s", 10_000), ("1m30s", 90_000), ("1.5h", 5_400_000), ("-5ms", -5), ("0", 0)] {
            assert_eq!(time(text), Ok(milliseconds), "{text}");
        }
        for text in ["10", "s", "", "1 s", "1d"] {
            assert_eq!(time(text), Err(format!("invalid value \"{text}\" for flag -time: parse error")), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_as_go_tells_them() {
        assert_eq!(read(&["-nope=1"]).err().unwrap(), "flag provided but not defined: -nope");
        assert_eq!(read(&["-Text=1"]).err().unwrap(), "flag provided but not defined: -Text");
        assert_eq!(read(&["-text"]).err().unwrap(), "flag needs an argument: -text");
        assert_eq!(read(&["---text=a"]).err().unwrap(), "bad flag syntax: ---text=a");
        assert_eq!(read(&["-=a"]).err().unwrap(), "bad flag syntax: -=a");
        assert_eq!(read(&["-v=x"]).err().unwrap(), "invalid value \"x\" for flag -v: parse error");
        assert_eq!(
            read(&["-threshold=LOUD"]).err().unwrap(),
            "invalid value \"LOUD\" for flag -threshold: parse error"
        );
    }

    #[test]
    fn help_is_known_although_nobody_defines_it() {
        for argument in ["-h", "-help", "--help"] {
            let mut options = Options::default();
            assert_eq!(parse(FLAGS, &[argument.to_owned()], &mut options), Err(FlagError::Help), "{argument}");
        }
    }

    #[test]
    fn flags_of_a_missing_library_are_checked_and_dropped() {
        let all = ["-v", "4", "-size=0x10", "-threshold=WARNING", "-threshold=1", "-quiet=false", "-quiet", "-text=a"];
        assert_eq!(read(&all).unwrap().0.text, "a");
    }

    #[test]
    fn usage_is_sorted_and_names_kinds_and_defaults() {
        let usage = usage("prog", FLAGS);
        let begin = "Usage of prog:\n  -number int\n    \ta number\n  -on\n    \ta switch\n  -quiet\n    \ta switch (default true)\n";
        assert!(usage.starts_with(begin), "{usage}");
        assert!(usage.contains("  -size uint\n    \ta size (default 1800)\n"), "{usage}");
    }
}
