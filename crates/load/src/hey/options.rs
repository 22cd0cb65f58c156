//! The flags of `hey`, in the grammar of Go's `flag` package (one dash or two, `-name value` or `-name=value`, none after the URL).
//!
//! Source: <https://github.com/rakyll/hey#usage>, <https://pkg.go.dev/flag>, and how the tool answers to mistakes.

use super::seconds;
use crate::pace::LONGEST;
use api::GoDuration;
use std::str::FromStr;
use std::time::Duration;

/// Above this, connections of one process are refused by any system long before.
const WORKERS: i64 = 100_000;

/// What is asked for.
#[derive(Clone, PartialEq)]
pub(super) struct Options {
    pub(super) url: String,
    pub(super) requests: u64,
    pub(super) workers: usize,
    /// Per worker and second; 0: none.
    pub(super) rate: f64,
    pub(super) time: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) csv: bool,
    pub(super) method: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) host: Option<String>,
    pub(super) accept: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) content_type: String,
    pub(super) body: String,
    pub(super) body_file: Option<String>,
    /// Name and password.
    pub(super) user: Option<(String, String)>,
    pub(super) proxy: Option<String>,
    pub(super) http2: bool,
    pub(super) no_compression: bool,
    pub(super) no_keep_alive: bool,
    pub(super) no_redirects: bool,
    pub(super) cpus: Option<usize>,
}

/// Why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OptionsError {
    /// `-h` or `-help`.
    Help,
    /// Flags that cannot be read: exit code 2.
    Flag(String),
    /// Values that do not fit, or no URL (no text): exit code 1.
    Value(String),
}

/// Names that need no value.
const SWITCHES: [&str; 4] = ["h2", "disable-compression", "disable-keepalive", "disable-redirects"];

impl Options {
    pub(super) fn parse(args: &[String]) -> Result<Self, OptionsError> {
        let mut given = Given::default();
        let rest = given.read(args)?;
        let value = |text: String| OptionsError::Value(text);
        let url = rest.first().cloned().ok_or_else(|| value(String::new()))?;
        let Given { flags, workers, requests, headers, .. } = &given;
        let (workers, requests) = (workers.unwrap_or(50), requests.unwrap_or(200));
        let time = flags.time.filter(|time| !time.is_zero());
        if workers < 1 || (time.is_none() && requests < 1) {
            return Err(value("-n and -c cannot be smaller than 1.".to_owned()));
        }
        if workers > WORKERS {
            return Err(value(format!("-c cannot be greater than {WORKERS}.")));
        }
        if time.is_none() && requests < workers {
            return Err(value("-n cannot be less than -c.".to_owned()));
        }
        let headers = headers.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
        let user = given.user.map(|text| text.split_once(':').map(owned).ok_or_else(|| value(unreadable("-a"))));
        if let Some(kind) = given.output.filter(|kind| kind != "csv") {
            return Err(value(format!("Invalid output type {kind:?}; only csv is supported.")));
        }
        Ok(Self {
            url,
            requests: u64::try_from(requests).unwrap_or_default(),
            workers: usize::try_from(workers).unwrap_or_default(),
            time,
            headers,
            user: user.transpose()?,
            ..given.flags
        })
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            requests: 200,
            workers: 50,
            rate: 0.0,
            time: None,
            timeout: seconds(20),
            csv: false,
            method: "GET".to_owned(),
            headers: Vec::new(),
            host: None,
            accept: None,
            agent: None,
            content_type: "text/html".to_owned(),
            body: String::new(),
            body_file: None,
            user: None,
            proxy: None,
            http2: false,
            no_compression: false,
            no_keep_alive: false,
            no_redirects: false,
            cpus: None,
        }
    }
}

/// What was given, as far as it cannot stand in [`Options`] at once.
#[derive(Default)]
struct Given {
    flags: Options,
    requests: Option<i64>,
    workers: Option<i64>,
    headers: Vec<String>,
    user: Option<String>,
    output: Option<String>,
}

impl Given {
    /// Reads flags up to the first argument that is none; returns what is left.
    fn read<'a>(&mut self, args: &'a [String]) -> Result<&'a [String], OptionsError> {
        let mut rest = args.iter();
        loop {
            let left = rest.as_slice();
            let Some(argument) = rest.next() else { return Ok(left) };
            let Some(bare) = argument.strip_prefix('-').filter(|bare| !bare.is_empty()) else { return Ok(left) };
            let bare = bare.strip_prefix('-').unwrap_or(bare);
            if bare.is_empty() {
                return Ok(rest.as_slice());
            }
            if bare.starts_with(['-', '=']) {
                return Err(OptionsError::Flag(format!("bad flag syntax: {argument}")));
            }
            let (name, value) = bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)));
            if matches!(name, "h" | "help") {
                return Err(OptionsError::Help);
            }
            if SWITCHES.contains(&name) {
                let value = value.unwrap_or("true");
                let on = switch(value).ok_or_else(|| {
                    OptionsError::Flag(format!("invalid boolean value {value:?} for -{name}: parse error"))
                })?;
                self.turn(name, on);
                continue;
            }
            if !VALUES.contains(&name) {
                return Err(OptionsError::Flag(format!("flag provided but not defined: -{name}")));
            }
            let next = || rest.next().map(String::as_str);
            let value = value.or_else(next);
            let value = value.ok_or_else(|| OptionsError::Flag(format!("flag needs an argument: -{name}")))?;
            self.set(name, value)
                .map_err(|()| OptionsError::Flag(format!("invalid value {value:?} for flag -{name}: parse error")))?;
        }
    }

    fn turn(&mut self, name: &str, on: bool) {
        match name {
            "h2" => self.flags.http2 = on,
            "disable-compression" => self.flags.no_compression = on,
            "disable-keepalive" => self.flags.no_keep_alive = on,
            _ => self.flags.no_redirects = on,
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ()> {
        let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
        let flags = &mut self.flags;
        match name {
            "n" => self.requests = Some(number(value)?),
            "c" => self.workers = Some(number(value)?),
            "q" => flags.rate = number::<f64>(value)?,
            "z" => flags.time = Some(time(value)?),
            "t" => flags.timeout = seconds(number(value)?),
            "o" => (self.output, flags.csv) = (text(), value == "csv"),
            "m" => flags.method = value.to_uppercase(),
            "H" => self.headers.push(value.to_owned()),
            "host" => flags.host = text(),
            "A" => flags.accept = text(),
            "U" => flags.agent = text(),
            "T" => value.clone_into(&mut flags.content_type),
            "d" => value.clone_into(&mut flags.body),
            "D" => flags.body_file = text(),
            "a" => self.user = text(),
            "x" => flags.proxy = text(),
            _ => flags.cpus = usize::try_from(number::<i64>(value)?).ok().filter(|cpus| *cpus > 0),
        }
        Ok(())
    }
}

/// Names that need a value.
const VALUES: [&str; 17] = ["n", "c", "q", "z", "t", "o", "m", "H", "host", "A", "U", "T", "d", "D", "a", "x", "cpus"];

fn number<N: FromStr>(text: &str) -> Result<N, ()> {
    text.parse().map_err(|_| ())
}

fn time(text: &str) -> Result<Duration, ()> {
    let time: GoDuration = text.parse().map_err(|_| ())?;
    Ok(u64::try_from(time.as_millis()).map_or(Duration::ZERO, Duration::from_millis).min(LONGEST))
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// `name: value`.
fn header(text: &str) -> Result<(String, String), OptionsError> {
    let (name, value) = text.split_once(':').ok_or_else(|| OptionsError::Value(unreadable("-H")))?;
    Ok(owned((name.trim(), value.trim())))
}

/// Without the text, which may be a secret.
fn unreadable(flag: &str) -> String {
    format!("could not parse the value of {flag}: there is no colon in it")
}

fn owned((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

/// What `-h` prints.
pub(super) fn usage() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{USAGE}                        (default {cores})\n")
}

const USAGE: &str = "\
Usage: hey [options...] <url>

Options:
  -n  Requests to send in all (200). At least as many as workers.
  -c  Workers; each waits for an answer before it sends again (50).
  -q  Requests per second and worker; without it as fast as answers come. The
      rate of all workers is one schedule: whoever is free sends what is due,
      and latency counts from when it was due.
  -z  Send for so long, whatever -n says: 10s, 3m.
  -o  csv: every request (the first million) instead of a summary.

  -m  Method (GET).
  -H  Header, \"Name: value\"; may be repeated.
  -t  Seconds that a request may take (20); 0 for no limit.
  -A  Accept header.
  -U  User-Agent header.
  -d  Request body.
  -D  File with the request body.
  -T  Content type (text/html).
  -a  Basic authentication, user:password.
  -x  HTTP proxy, host:port.
  -h2 HTTP/2, for https.

  -host                 Host header.

  -disable-compression  Do not ask for compressed answers.
  -disable-keepalive    A new connection for every request.
  -disable-redirects    Redirects are answers like any other.
  -cpus                 Threads that send.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, OptionsError> {
        let args: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Options::parse(&args)
    }

    fn complaint(line: &str) -> String {
        match read(line).err().unwrap() {
            OptionsError::Flag(text) => format!("2 {text}"),
            OptionsError::Value(text) => format!("1 {text}"),
            OptionsError::Help => "0".to_owned(),
        }
    }

    #[test]
    fn the_command_of_canaries() {
        let options =
            read("-z 1m -q 10 -c 2 -H Cookie:type=insider -H a:b:c http://podinfo-canary.test:9898/").unwrap();
        assert_eq!((options.workers, options.rate, options.time), (2, 10.0, Some(Duration::from_secs(60))));
        let headers = [("Cookie", "type=insider"), ("a", "b:c")].map(owned);
        assert_eq!(options.headers, headers);
        assert_eq!(options.url, "http://podinfo-canary.test:9898/");
        let options = read("-host app.example.com -z=2m --q=.5 -h2 -h2=false http://a x y").unwrap();
        assert_eq!((options.host.as_deref(), options.rate, options.http2), (Some("app.example.com"), 0.5, false));
    }

    #[test]
    fn defaults() {
        let options = read("http://a").unwrap();
        assert_eq!((options.requests, options.workers, options.timeout), (200, 50, Some(Duration::from_secs(20))));
        assert_eq!(read("-t 0 http://a").unwrap().timeout, None);
        for line in ["-t 9223372036854775807 http://a", "-z 2562047h http://a", "-q 1e-300 http://a"] {
            let options = read(line).unwrap();
            assert!(options.timeout <= Some(LONGEST) && options.time <= Some(LONGEST), "{line}");
        }
        assert_eq!(read("-z 0s http://a").unwrap().time, None, "is not given");
        assert_eq!(read("-z 1s -n 1 -c 9 http://a").unwrap().workers, 9, "-n is ignored with -z");
    }

    #[test]
    fn mistakes_end_as_with_the_tool() {
        for (line, wanted) in [
            ("-bogus 1 http://a", "2 flag provided but not defined: -bogus"),
            ("-c x http://a", "2 invalid value \"x\" for flag -c: parse error"),
            ("-z 10 http://a", "2 invalid value \"10\" for flag -z: parse error"),
            ("http://a -c", "ok"),
            ("-c", "2 flag needs an argument: -c"),
            ("---c http://a", "2 bad flag syntax: ---c"),
            ("-h2=maybe http://a", "2 invalid boolean value \"maybe\" for -h2: parse error"),
            ("-h", "0"),
            ("", "1 "),
            ("-n 2 -c 3 http://a", "1 -n cannot be less than -c."),
            ("-c 0 http://a", "1 -n and -c cannot be smaller than 1."),
            ("-c 99999999 -z 1s http://a", "1 -c cannot be greater than 100000."),
            ("-H nothing http://a", "1 could not parse the value of -H: there is no colon in it"),
            ("-a secret http://a", "1 could not parse the value of -a: there is no colon in it"),
            ("-o xml http://a", "1 Invalid output type \"xml\"; only csv is supported."),
        ] {
            let found = if read(line).is_ok() { "ok".to_owned() } else { complaint(line) };
            assert_eq!(found, wanted, "{line}");
        }
    }
}
