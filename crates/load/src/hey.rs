//! The command `hey`: arguments to plan, plan to summary.

mod options;
mod report;

use crate::Finished;
use crate::engine::{self, AtEnd, Plan};
use crate::http::{Common, Http, Template};
use crate::net::Endpoint;
use crate::pace::{LONGEST, Pace};
use crate::record::Keep;
use crate::tls::{self, Trust};
use base64::Engine as _;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use options::{Options, OptionsError};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// What servers are told, as by the tool.
const AGENT: &str = "hey/0.0.1";
/// One thread sends at least this many requests a second on any machine of today; a lower rate needs no second one.
const ONE_THREAD: f64 = 5_000.0;

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Finished {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(OptionsError::Help) => return Finished::good(options::usage()),
        Err(OptionsError::Flag(message)) => return Finished::wrong(2, &format!("{message}\n{}", options::usage())),
        Err(OptionsError::Value(message)) => {
            let space = if message.is_empty() { "" } else { "\n\n" };
            return Finished::wrong(1, &format!("{message}{space}{}", options::usage()));
        }
    };
    send(&options).map_or_else(|error| Finished::wrong(1, &format!("hey: {error:#}")), Finished::good)
}

/// Sends the load; returns what is to be printed.
fn send(options: &Options) -> anyhow::Result<String> {
    let common = Arc::new(common(options)?);
    let plan = plan(options);
    let clients: Vec<Http> = (0..options.workers).map(|_| Http::new(Arc::clone(&common))).collect();
    let threads = threads(options);
    let report = crate::with_signals(|stop| engine::run(plan, clients, threads, stop))??;
    Ok(if options.csv { report::csv(&report) } else { report::summary(&report) })
}

fn plan(options: &Options) -> Plan {
    Plan {
        requests: options.time.is_none().then_some(options.requests),
        time: options.time,
        pace: Pace::per_second(rate(options)),
        timeout: options.timeout,
        at_end: AtEnd::Wait,
        keep: Keep { samples: options.csv, ..Keep::default() },
    }
}

/// The rate of all workers together.
#[expect(clippy::cast_precision_loss, reason = "a number of workers")]
fn rate(options: &Options) -> f64 {
    options.rate * options.workers as f64
}

fn threads(options: &Options) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = options.cpus.unwrap_or(cores).min(cores).min(options.workers);
    let rate = rate(options);
    if rate > 0.0 && rate < ONE_THREAD { 1 } else { wanted.max(1) }
}

/// What all requests have in common.
fn common(options: &Options) -> anyhow::Result<Common> {
    let url = Url::parse(&options.url).map_err(|error| anyhow::anyhow!("the URL {:?}: {error}", options.url))?;
    let body = match &options.body_file {
        Some(path) => std::fs::read(path).map_err(|error| anyhow::anyhow!("reading the body from {path}: {error}"))?,
        None => options.body.clone().into_bytes(),
    };
    let method = Method::from_bytes(options.method.to_uppercase().as_bytes())
        .map_err(|_| anyhow::anyhow!("not an HTTP method: {:?}", options.method))?;
    let mut headers = headers(options, &url)?;
    let given_host = headers.remove(HOST).and_then(|host| host.to_str().ok().map(str::to_owned));
    let host = options.host.clone().or(given_host);
    let proxy = options.proxy.as_deref().map(endpoint).transpose()?;
    let first = Template::new(method, url, host.as_deref(), headers, Bytes::from(body), proxy.is_some())
        .map_err(|error| anyhow::anyhow!("the URL {:?}: {error}", options.url))?;
    let protocols: &[&str] = if options.http2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
    Ok(Common {
        first,
        proxy,
        tls: tls::config(Trust::Anybody, None, protocols)?,
        keep_alive: !options.no_keep_alive,
        redirects: !options.no_redirects,
    })
}

fn headers(options: &Options, url: &Url) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, value("content type", &options.content_type)?);
    headers.insert(USER_AGENT, value("user agent", options.agent.as_deref().unwrap_or(AGENT))?);
    if let Some(accept) = &options.accept {
        headers.insert(ACCEPT, value("accepted type", accept)?);
    }
    if !options.no_compression && options.method != "HEAD" {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if options.no_keep_alive {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let in_url = (!url.username().is_empty()).then(|| (url.username(), url.password().unwrap_or_default()));
    let given = options.user.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
    if let Some((user, password)) = given.or(in_url) {
        let secret = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let mut secret = value("user", &format!("Basic {secret}"))?;
        secret.set_sensitive(true);
        headers.insert(AUTHORIZATION, secret);
    }
    let mut seen = std::collections::HashSet::new();
    for (name, text) in &options.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| anyhow::anyhow!("not a header: {name:?}"))?;
        let text = value(name.as_str(), text)?;
        // What is given replaces what is ours; what is given twice is sent twice.
        if seen.insert(name.clone()) {
            headers.insert(name, text);
        } else {
            headers.append(name, text);
        }
    }
    Ok(headers)
}

fn value(what: &str, text: &str) -> anyhow::Result<HeaderValue> {
    // The text may be a secret.
    HeaderValue::from_str(text).map_err(|_| anyhow::anyhow!("the {what} has characters that no header may have"))
}

/// `host:port` or a URL of it.
fn endpoint(text: &str) -> anyhow::Result<Endpoint> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&url).map_err(|error| anyhow::anyhow!("the proxy {text:?}: {error}"))?;
    let host = url.host_str().ok_or_else(|| anyhow::anyhow!("the proxy {text:?} has no host"))?;
    Ok(Endpoint { host: host.trim_matches(['[', ']']).to_owned(), port: url.port_or_known_default().unwrap_or(80) })
}

/// A number of seconds, or none for zero and less.
fn seconds(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs).map(|time| time.min(LONGEST))
}
