//! What `ghz` is asked to do: flags to values, with the tool's defaults and complaints.

use super::flags::{self, FLAGS};
use crate::pace::LONGEST;
use anyhow::Context as _;
use api::GoDuration;
use std::io::Read as _;
use std::time::Duration;

/// Called when nothing else is asked for: every gRPC server of a mesh has it.
const HEALTH_CHECK: &str = "grpc.health.v1.Health/Check";
/// Calls under way at most.
const WORKERS: u64 = 100_000;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) host: String,
    pub(super) call: String,
    pub(super) proto: Option<String>,
    pub(super) protoset: Option<String>,
    pub(super) import_paths: Vec<String>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) cname: Option<String>,
    pub(super) skip_tls: bool,
    pub(super) insecure: bool,
    pub(super) authority: Option<String>,
    /// Of all workers; 0: none.
    pub(super) rate: f64,
    pub(super) workers: usize,
    pub(super) requests: u64,
    pub(super) timeout: Option<Duration>,
    pub(super) time: Option<Duration>,
    pub(super) max_time: Option<Duration>,
    pub(super) stop: Stop,
    pub(super) data: Option<Text>,
    pub(super) binary: Option<Text>,
    pub(super) metadata: Option<Text>,
    pub(super) reflect_metadata: Option<String>,
    pub(super) output: Option<String>,
    pub(super) format: Format,
    pub(super) skip_first: u64,
    pub(super) count_errors: bool,
    pub(super) connections: usize,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) name: Option<String>,
    pub(super) tags: Option<serde_json::Value>,
    pub(super) cpus: Option<usize>,
    pub(super) plain_data: bool,
}

/// What happens to calls under way when the time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stop {
    #[default]
    Close,
    Wait,
    Ignore,
}

/// How the summary is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Summary,
    Csv,
    Json,
    Pretty,
    Influx,
}

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    Given(String),
    File(String),
    Stdin,
}

/// Why there are no options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OptionsError {
    Help,
    Version,
    /// What is wrong.
    Wrong(String),
}

impl Text {
    /// The bytes; those of a text are UTF-8.
    pub(super) fn read(&self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Given(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => std::fs::read(path).with_context(|| format!("the file {path}")),
            Self::Stdin => {
                let mut bytes = Vec::new();
                std::io::stdin().read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}

impl Options {
    pub(super) fn parse(args: &[String]) -> Result<Self, OptionsError> {
        let given = flags::read(args).map_err(|error| wrong(&error))?;
        let mut options = Self {
            workers: 50,
            requests: 200,
            timeout: Some(Duration::from_secs(20)),
            connect_timeout: Some(Duration::from_secs(10)),
            connections: 1,
            ..Self::default()
        };
        for (name, value) in &given.flags {
            options.set(name, value)?;
        }
        let mut rest = given.rest.into_iter();
        options.host = rest.next().ok_or_else(|| OptionsError::Wrong("host required".to_owned()))?;
        match rest.next() {
            Some(extra) => Err(wrong(&format!("unexpected {extra}"))),
            None => options.checked(),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), OptionsError> {
        let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
        let given = || text().map(|text| if text == "@" { Text::Stdin } else { Text::Given(text) });
        let file = || text().map(Text::File);
        let on = value == "true";
        match name {
            "help" if on => return Err(OptionsError::Help),
            "version" if on => return Err(OptionsError::Version),
            "proto" => self.proto = text(),
            "protoset" => self.protoset = text(),
            "import-paths" => self.import_paths = value.split(',').map(str::to_owned).collect(),
            "call" => value.clone_into(&mut self.call),
            "cacert" => self.ca = text(),
            "cert" => self.certificate = text(),
            "key" => self.key = text(),
            "cname" => self.cname = text(),
            "skipTLS" => self.skip_tls = on,
            "insecure" => self.insecure = on,
            "authority" => self.authority = text(),
            "rps" | "qps" => self.rate = number(value)?,
            "concurrency" => self.workers = size(number(value)?),
            "total" => self.requests = number(value)?,
            "timeout" => self.timeout = time(value)?,
            "duration" => self.time = time(value)?,
            "max-duration" => self.max_time = time(value)?,
            "connect-timeout" => self.connect_timeout = time(value)?,
            "duration-stop" => self.stop = stop(value)?,
            "data" => self.data = given(),
            "data-file" => self.data = file(),
            "binary" => self.binary = on.then_some(Text::Stdin),
            "binary-file" => self.binary = file(),
            "metadata" => self.metadata = text().map(Text::Given),
            "metadata-file" => self.metadata = file(),
            "reflect-metadata" => self.reflect_metadata = text(),
            "output" => self.output = text(),
            "format" => self.format = format(value)?,
            "skipFirst" => self.skip_first = number(value)?,
            "count-errors" => self.count_errors = on,
            "connections" => self.connections = size(number(value)?),
            "name" => self.name = text(),
            "tags" => self.tags = Some(serde_json::from_str(value).map_err(|error| wrong(&format!("tags: {error}")))?),
            "cpus" => self.cpus = Some(size(number(value)?)).filter(|cpus| *cpus > 0),
            "disable-template-data" => self.plain_data = on,
            "load-schedule" | "concurrency-schedule" if value != "const" => return Err(unsupported(name, value)),
            _ => {
                let refused = FLAGS.iter().any(|flag| flag.name == name && flag.is_unsupported());
                let default =
                    matches!(value, "false" | "" | "0" | "0s") || (name == "concurrency-step" && value == "1");
                return if refused && !default { Err(unsupported(name, value)) } else { Ok(()) };
            }
        }
        Ok(())
    }

    fn checked(mut self) -> Result<Self, OptionsError> {
        if self.call.is_empty() {
            HEALTH_CHECK.clone_into(&mut self.call);
        }
        let complaint = if self.workers == 0 || self.connections == 0 {
            "concurrency and connections cannot be smaller than 1"
        } else if self.connections > self.workers {
            "number of connections cannot be greater than concurrency"
        } else if self.time.is_none() && self.requests == 0 {
            "total cannot be smaller than 1"
        } else if self.certificate.is_some() != self.key.is_some() {
            "--cert and --key belong together"
        } else {
            return Ok(self);
        };
        Err(OptionsError::Wrong(complaint.to_owned()))
    }
}

fn wrong(text: &str) -> OptionsError {
    OptionsError::Wrong(format!("ghz: error: {text}, try --help"))
}

fn unsupported(name: &str, value: &str) -> OptionsError {
    wrong(&format!("--{name}={value} is not supported by this load generator"))
}

fn number<N: std::str::FromStr<Err: std::fmt::Display>>(value: &str) -> Result<N, OptionsError> {
    value.parse().map_err(|error| wrong(&format!("parsing {value:?}: {error}")))
}

/// A number of workers, connections or threads.
fn size(number: u64) -> usize {
    usize::try_from(number.min(WORKERS)).unwrap_or(usize::MAX)
}

/// A Go duration, or a whole number of seconds as in earlier releases; none for zero.
fn time(value: &str) -> Result<Option<Duration>, OptionsError> {
    let millis = if let Ok(seconds) = value.parse::<u64>() {
        seconds.saturating_mul(1000)
    } else {
        let time: GoDuration = value.parse().map_err(|_| wrong(&format!("time: invalid duration {value:?}")))?;
        u64::try_from(time.as_millis()).unwrap_or_default()
    };
    Ok(Some(Duration::from_millis(millis).min(LONGEST)).filter(|time| !time.is_zero()))
}

fn stop(value: &str) -> Result<Stop, OptionsError> {
    match value {
        "close" => Ok(Stop::Close),
        "wait" => Ok(Stop::Wait),
        "ignore" => Ok(Stop::Ignore),
        _ => Err(wrong(&format!("enum value must be one of close,wait,ignore, got '{value}'"))),
    }
}

fn format(value: &str) -> Result<Format, OptionsError> {
    match value {
        "summary" | "" => Ok(Format::Summary),
        "csv" => Ok(Format::Csv),
        "json" => Ok(Format::Json),
        "pretty" => Ok(Format::Pretty),
        "influx-summary" => Ok(Format::Influx),
        "html" | "influx-details" | "prometheus" => Err(unsupported("format", value)),
        _ => Err(wrong(&format!("enum value must be one of summary,csv,json,pretty,influx-summary, got '{value}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Options::parse(&args).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn the_commands_of_canaries() {
        let options = read("-z 1m -q 10 -c 2 --insecure podinfo.test:9898").unwrap();
        assert_eq!((options.rate, options.workers, options.time), (10.0, 2, Some(Duration::from_secs(60))));
        assert_eq!((options.call.as_str(), options.host.as_str()), (HEALTH_CHECK, "podinfo.test:9898"));
        let options = read("--insecure --proto=/tmp/ghz/health.proto --call=a.B/C -t 5 -x 10s h:1").unwrap();
        assert_eq!((options.call.as_str(), options.proto.as_deref()), ("a.B/C", Some("/tmp/ghz/health.proto")));
        assert_eq!((options.timeout, options.max_time), (Some(Duration::from_secs(5)), Some(Duration::from_secs(10))));
    }

    #[test]
    fn mistakes_are_refused() {
        for (line, part) in [
            ("--insecure", "host required"),
            ("a b", "unexpected b"),
            ("-c x a", "parsing \\\"x\\\""),
            ("-c 0 a", "smaller than 1"),
            ("-n 0 a", "smaller than 1"),
            ("--connections 3 -c 2 a", "greater than concurrency"),
            ("--cert x a", "belong together"),
            ("-O html a", "--format=html is not supported"),
            ("-O bogus a", "got 'bogus'"),
            ("--load-schedule step a", "--load-schedule=step is not supported"),
            ("--async a", "--async=true is not supported"),
            ("--duration-stop never a", "got 'never'"),
            ("-t soon a", "invalid duration"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
        assert!(
            read("--load-schedule=const --load-start=0 --no-async --keepalive 5s a").is_ok(),
            "defaults are no wish"
        );
    }
}
