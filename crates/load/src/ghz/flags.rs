//! The flags of `ghz`, and the grammar in which they are given: `--flag value`, `--flag=value`, `-f value`, `-fvalue`, `--no-switch`, anywhere among the
//! arguments. Long names after a single dash, as earlier releases of the tool had them, are understood too.
//!
//! Source: <https://ghz.sh/docs/options>, the tool's `--help`, <https://pkg.go.dev/github.com/alecthomas/kingpin/v2>.

use std::fmt::Write as _;

/// One flag.
#[derive(Debug)]
pub(super) struct Flag {
    /// The long name.
    pub(super) name: &'static str,
    short: Option<char>,
    /// What stands for the value in the usage text; empty for a switch.
    value: &'static str,
    help: &'static str,
}

const fn flag(name: &'static str, short: Option<char>, value: &'static str, help: &'static str) -> Flag {
    Flag { name, short, value, help }
}

const UNSUPPORTED: &str = "not supported";
const NO_EFFECT: &str = "accepted, without effect";

/// All flags of the tool. What is not supported is refused by name, unless it asks for the default.
pub(super) static FLAGS: &[Flag] = &[
    flag("help", Some('h'), "", "this text"),
    flag("version", Some('v'), "", "the version"),
    flag("proto", None, "FILE", ".proto file with the service"),
    flag("protoset", None, "FILE", "compiled descriptors with the service; --proto comes first"),
    flag("import-paths", Some('i'), "DIRS", "where imports of .proto files are, separated by commas"),
    flag("call", None, "METHOD", "package.Service/Method; without it the health check"),
    flag("cacert", None, "FILE", "certificate authorities to trust"),
    flag("cert", None, "FILE", "certificate of the client, with --key"),
    flag("key", None, "FILE", "key of the client's certificate"),
    flag("cname", None, "NAME", "name to expect in the server's certificate"),
    flag("skipTLS", None, "", "do not check the server's certificate"),
    flag("insecure", None, "", "no TLS"),
    flag("authority", None, "NAME", "the :authority of the calls"),
    flag("rps", Some('r'), "N", "calls per second; latency counts from when they are due"),
    flag("qps", Some('q'), "N", "the name that --rps had in earlier releases"),
    flag("concurrency", Some('c'), "50", "calls under way at most"),
    flag("total", Some('n'), "200", "calls in all"),
    flag("timeout", Some('t'), "20s", "time for one call; 0 for no limit"),
    flag("duration", Some('z'), "TIME", "send for so long, whatever -n says"),
    flag("max-duration", Some('x'), "TIME", "send no longer than this, with -n"),
    flag("duration-stop", None, "close", "calls under way at the end: close, wait, ignore"),
    flag("data", Some('d'), "JSON", "the message, or a list of messages to send in turn; @ for stdin"),
    flag("data-file", Some('D'), "FILE", "the same from a file"),
    flag("binary", Some('b'), "", "the encoded message comes from stdin"),
    flag("binary-file", Some('B'), "FILE", "file with the encoded message"),
    flag("metadata", Some('m'), "JSON", "metadata, an object of texts"),
    flag("metadata-file", Some('M'), "FILE", "the same from a file"),
    flag("reflect-metadata", None, "JSON", "metadata for the server's reflection only"),
    flag("output", Some('o'), "FILE", "where the summary goes"),
    flag("format", Some('O'), "summary", "summary, csv, json, pretty, influx-summary"),
    flag("skipFirst", None, "0", "leave the first so many calls out of the summary"),
    flag("count-errors", None, "", "latencies of failed calls count"),
    flag("connections", None, "1", "connections, which the calls share evenly"),
    flag("connect-timeout", None, "10s", "time for connecting"),
    flag("name", None, "TEXT", "name of the test, for reports"),
    flag("tags", None, "JSON", "tags of the test, for reports"),
    flag("cpus", None, "N", "threads at most"),
    flag("disable-template-data", None, "", "send the data as it is"),
    flag("disable-template-functions", None, "", NO_EFFECT),
    flag("keepalive", None, "TIME", NO_EFFECT),
    flag("debug", None, "FILE", NO_EFFECT),
    flag("lb-strategy", None, "NAME", NO_EFFECT),
    flag("max-recv-message-size", None, "SIZE", NO_EFFECT),
    flag("max-send-message-size", None, "SIZE", NO_EFFECT),
    flag("load-schedule", None, "const", "only const"),
    flag("concurrency-schedule", None, "const", "only const"),
    flag("config", None, "FILE", UNSUPPORTED),
    flag("async", None, "", UNSUPPORTED),
    flag("enable-compression", Some('e'), "", UNSUPPORTED),
    flag("load-start", None, "N", UNSUPPORTED),
    flag("load-step", None, "N", UNSUPPORTED),
    flag("load-end", None, "N", UNSUPPORTED),
    flag("load-step-duration", None, "TIME", UNSUPPORTED),
    flag("load-max-duration", None, "TIME", UNSUPPORTED),
    flag("concurrency-start", None, "N", UNSUPPORTED),
    flag("concurrency-step", None, "N", UNSUPPORTED),
    flag("concurrency-end", None, "N", UNSUPPORTED),
    flag("concurrency-step-duration", None, "TIME", UNSUPPORTED),
    flag("concurrency-max-duration", None, "TIME", UNSUPPORTED),
    flag("stream-interval", None, "TIME", UNSUPPORTED),
    flag("stream-call-duration", None, "TIME", UNSUPPORTED),
    flag("stream-call-count", None, "N", UNSUPPORTED),
    flag("stream-dynamic-messages", None, "", UNSUPPORTED),
];

impl Flag {
    fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    /// Whether asking for more than the default is refused.
    pub(super) fn is_unsupported(&self) -> bool {
        self.help == UNSUPPORTED
    }
}

/// What was given, in order: flags with their values (`true` and `false` for switches), and everything else.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) flags: Vec<(&'static str, String)>,
    pub(super) rest: Vec<String>,
}

/// Reads the arguments; an error is the tool's text.
pub(super) fn read(args: &[String]) -> Result<Given, String> {
    let mut given = Given::default();
    let mut args = args.iter();
    while let Some(argument) = args.next() {
        if argument == "--" {
            given.rest.extend(args.cloned());
            break;
        }
        match Argument::of(argument)? {
            Argument::Rest => given.rest.push(argument.clone()),
            Argument::Switches(names) => given.flags.extend(names.into_iter().map(|(name, on)| (name, on.to_string()))),
            Argument::Value(flag, Some(value)) => given.flags.push((flag.name, value.to_owned())),
            Argument::Value(flag, None) => {
                let value = args.next().ok_or_else(|| format!("expected argument for flag '{argument}'"))?;
                given.flags.push((flag.name, value.clone()));
            }
        }
    }
    Ok(given)
}

enum Argument<'a> {
    Rest,
    Switches(Vec<(&'static str, bool)>),
    Value(&'static Flag, Option<&'a str>),
}

impl<'a> Argument<'a> {
    fn of(argument: &'a str) -> Result<Self, String> {
        let single = argument.strip_prefix('-').filter(|bare| !bare.is_empty());
        let Some(bare) = single else { return Ok(Self::Rest) };
        if let Some(long) = bare.strip_prefix("--").or_else(|| bare.strip_prefix('-')) {
            return Self::long(long).ok_or_else(|| {
                let name = long.split('=').next().unwrap_or(long);
                format!("unknown long flag '--{name}'")
            });
        }
        let name_of_more_letters = bare.chars().nth(1).is_some_and(|second| second != '=');
        match Self::long(bare).filter(|_| name_of_more_letters) {
            Some(long) => Ok(long),
            None => Self::short(bare),
        }
    }

    fn long(text: &'a str) -> Option<Self> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let find = |name: &str| FLAGS.iter().find(|flag| flag.name == name);
        match find(name) {
            Some(flag) if flag.is_switch() => Some(Self::Switches(vec![(flag.name, value != Some("false"))])),
            Some(flag) => Some(Self::Value(flag, value)),
            None => {
                let flag = find(name.strip_prefix("no-")?).filter(|flag| flag.is_switch())?;
                Some(Self::Switches(vec![(flag.name, false)]))
            }
        }
    }

    /// One letter or more: switches, the last of which may be a flag with its value.
    fn short(text: &'a str) -> Result<Self, String> {
        let mut switches = Vec::new();
        for (place, letter) in text.char_indices() {
            let flag = FLAGS.iter().find(|flag| flag.short == Some(letter));
            let flag = flag.ok_or_else(|| format!("unknown short flag '-{letter}'"))?;
            if flag.is_switch() {
                switches.push((flag.name, true));
                continue;
            }
            if !switches.is_empty() {
                return Err(format!("the flag '-{letter}' needs a value and must stand alone"));
            }
            let value = text.get(place + letter.len_utf8()..).filter(|value| !value.is_empty());
            return Ok(Self::Value(flag, value.map(|value| value.strip_prefix('=').unwrap_or(value))));
        }
        Ok(Self::Switches(switches))
    }
}

/// What `--help` prints.
pub(super) fn usage() -> String {
    let mut text = String::from("usage: ghz [<flags>] [<host>]\n\nSends unary gRPC calls.\n\nFlags:\n");
    for flag in FLAGS.iter().filter(|flag| !flag.is_unsupported()) {
        let short = flag.short.map_or_else(|| "   ".to_owned(), |short| format!("-{short},"));
        let equals = if flag.is_switch() { "" } else { "=" };
        let name = format!("{}{equals}{}", flag.name, flag.value);
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {short} --{name:<30} {}", flag.help);
    }
    text.push_str("\nArgs:\n  [<host>]  host:port to call\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &str) -> Result<(String, String), String> {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let given = read(&args)?;
        let flags: Vec<String> = given.flags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok((flags.join(" "), given.rest.join(" ")))
    }

    #[test]
    fn every_way_to_write_a_flag() {
        for (line, flags, rest) in [
            (
                "-z 1m -q 10 -c 2 --insecure podinfo:9898",
                "duration=1m qps=10 concurrency=2 insecure=true",
                "podinfo:9898",
            ),
            ("podinfo:9898 --proto=/tmp/a.proto --call a.B/C", "proto=/tmp/a.proto call=a.B/C", "podinfo:9898"),
            ("-c2 -z=3m", "concurrency=2 duration=3m", ""),
            ("-insecure -call a.B/C -proto x", "insecure=true call=a.B/C proto=x", ""),
            ("--no-insecure --skipTLS=false", "insecure=false skipTLS=false", ""),
            ("-bv -", "binary=true version=true", "-"),
            ("-d -x -- --insecure", "data=-x", "--insecure"),
            ("-O json", "format=json", ""),
        ] {
            assert_eq!(given(line), Ok((flags.to_owned(), rest.to_owned())), "{line}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (line, error) in [
            ("--bogus=1", "unknown long flag '--bogus'"),
            ("-k", "unknown short flag '-k'"),
            ("--call", "expected argument for flag '--call'"),
            ("-bd x", "the flag '-d' needs a value and must stand alone"),
        ] {
            assert_eq!(given(line), Err(error.to_owned()), "{line}");
        }
    }

    #[test]
    fn no_name_is_given_twice() {
        for (place, flag) in FLAGS.iter().enumerate() {
            for other in &FLAGS[..place] {
                assert_ne!(flag.name, other.name);
                assert!(flag.short.is_none() || flag.short != other.short, "{} {}", flag.name, other.name);
            }
        }
    }
}
