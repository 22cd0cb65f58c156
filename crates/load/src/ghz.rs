//! The command `ghz`: unary gRPC calls. Arguments to plan, plan to summary.
//!
//! What is called is known from `.proto` files, from descriptor sets, by asking the server (reflection), or, for the health service, from here.

mod client;
mod flags;
mod options;
mod report;
mod schema;
mod status;

use crate::Finished;
use crate::engine::{self, AtEnd, Plan};
use crate::net::{Endpoint, Route};
use crate::pace::Pace;
use crate::record::Keep;
use crate::tls::{self, Trust};
use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use client::{Call, Caller, Channel};
use http::{HeaderMap, HeaderName, HeaderValue};
use options::{Format, Options, OptionsError, Stop};
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Finished {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(OptionsError::Help) => return Finished::good(flags::usage()),
        Err(OptionsError::Version) => return Finished::good(concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned()),
        Err(OptionsError::Wrong(message)) => return Finished::wrong(1, &message),
    };
    send(&options).map_or_else(|error| Finished::wrong(1, &format!("{error:#}")), Finished::good)
}

/// Sends the load; returns what is to be printed, if it does not go into a file.
fn send(options: &Options) -> anyhow::Result<String> {
    let server = endpoint(&options.host)?;
    let route = Route { server, proxy: None, tls: security(options)? };
    let authority = options.authority.clone().unwrap_or_else(|| options.host.clone());
    let channel = || Arc::new(Channel::new(route.clone(), authority.clone(), options.connect_timeout));
    let metadata = metadata(&json(options.metadata.as_ref(), "metadata")?)?;
    let reflection = metadata_of(options.reflect_metadata.as_deref())?;
    let method = schema::method(options, &channel(), &reflection)?;
    let call = Arc::new(Call {
        path: method.path.clone(),
        messages: messages(options, &method)?,
        metadata,
        timeout: options.timeout,
    });
    let channels: Vec<_> = (0..options.connections).map(|_| channel()).collect();
    let clients: Vec<Caller> = channels
        .iter()
        .cycle()
        .take(options.workers)
        .enumerate()
        .map(|(worker, channel)| Caller::new(Arc::clone(channel), Arc::clone(&call), worker))
        .collect();
    let threads = threads(options);
    let plan = plan(options);
    #[expect(clippy::disallowed_methods, reason = "the date in a report of what was done")]
    let began = jiff::Timestamp::now();
    let report = crate::with_signals(|stop| engine::run(plan, clients, threads, stop))??;
    let text = report::text(options, &method.name, began, &report);
    if let Some(path) = &options.output {
        std::fs::write(path, text).with_context(|| format!("writing {path}"))?;
        return Ok(String::new());
    }
    Ok(text)
}

fn plan(options: &Options) -> Plan {
    let time = options.time.or(options.max_time);
    Plan {
        requests: options.time.is_none().then_some(options.requests),
        time,
        pace: Pace::per_second(options.rate),
        timeout: options.timeout,
        at_end: match options.stop {
            Stop::Close => {
                AtEnd::Fail(status::UNAVAILABLE, "rpc error: code = Unavailable desc = transport is closing")
            }
            Stop::Wait => AtEnd::Wait,
            Stop::Ignore => AtEnd::Forget,
        },
        keep: Keep {
            samples: matches!(options.format, Format::Csv | Format::Json | Format::Pretty),
            failed: options.count_errors,
            skip: options.skip_first,
        },
    }
}

/// A connection stays on the thread that opened it, so their number is a multiple of the threads'.
fn threads(options: &Options) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let most = options.cpus.unwrap_or(cores).min(cores);
    (1..=most).rev().find(|threads| options.connections.is_multiple_of(*threads)).unwrap_or(1)
}

/// `host:port`, with or without brackets around an address.
fn endpoint(text: &str) -> anyhow::Result<Endpoint> {
    let wrong = || anyhow!("the host {text:?} is not HOST:PORT");
    let text = ["dns:///", "passthrough:///"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "443"));
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().map_err(|_| wrong())?;
    if host.is_empty() || host.contains('/') { Err(wrong()) } else { Ok(Endpoint { host: host.to_owned(), port }) }
}

/// TLS, if it is wanted, and the name that certificates are checked against.
fn security(options: &Options) -> anyhow::Result<Option<(Arc<rustls::ClientConfig>, String)>> {
    if options.insecure {
        return Ok(None);
    }
    let trust = match &options.ca {
        _ if options.skip_tls => Trust::Anybody,
        Some(path) => Trust::File(Path::new(path)),
        None => Trust::System,
    };
    let identity = options.certificate.as_deref().zip(options.key.as_deref());
    let identity = identity.map(|(certificate, key)| (Path::new(certificate), Path::new(key)));
    let config = tls::config(trust, identity, &["h2"])?;
    let name = options.cname.clone().map_or_else(|| endpoint(&options.host).map(|server| server.host), Ok)?;
    Ok(Some((config, name)))
}

/// Text given on the command line or in a file, as JSON; `{}` if there is none.
fn json(source: Option<&options::Text>, what: &str) -> anyhow::Result<Value> {
    let text = match source {
        None => return Ok(Value::Object(Map::new())),
        Some(source) => source.read().with_context(|| format!("reading the {what}"))?,
    };
    serde_json::from_slice(&text).map_err(|error| anyhow!("ghz: error: error unmarshaling {what}: {error}"))
}

fn metadata_of(text: Option<&str>) -> anyhow::Result<HeaderMap> {
    let source = text.map(|text| options::Text::Given(text.to_owned()));
    metadata(&json(source.as_ref(), "reflect metadata")?)
}

/// A JSON object of strings as headers.
fn metadata(value: &Value) -> anyhow::Result<HeaderMap> {
    let object = value.as_object().context("the metadata is not a JSON object")?;
    let mut headers = HeaderMap::new();
    for (name, value) in object {
        let header = HeaderName::from_bytes(name.to_lowercase().as_bytes());
        let header = header.map_err(|_| anyhow!("no name for metadata: {name:?}"))?;
        let text = value.as_str().with_context(|| format!("the metadata {name:?} is not a text"))?;
        // The value may be a secret.
        let text = HeaderValue::from_str(text)
            .map_err(|_| anyhow!("the metadata {name:?} has characters that no header may have"))?;
        headers.append(header, text);
    }
    Ok(headers)
}

/// The messages to send in turn, encoded and framed.
fn messages(options: &Options, method: &schema::Method) -> anyhow::Result<Vec<Bytes>> {
    if let Some(binary) = &options.binary {
        let bytes = binary.read().context("reading the binary data")?;
        return Ok(vec![client::frame(&bytes)]);
    }
    let data = json(options.data.as_ref(), "data")?;
    if data.to_string().contains("{{") && !options.plain_data {
        anyhow::bail!(
            "templates in the data ({{{{...}}}}) are not supported; --disable-template-data sends them as they are"
        );
    }
    let one = |value: &Value| method.encode(value).map(|bytes| client::frame(&bytes));
    match data.as_array() {
        Some(values) if values.is_empty() => anyhow::bail!("the data is an empty list: there is no message to send"),
        Some(values) => values.iter().map(one).collect(),
        None => Ok(vec![one(&data)?]),
    }
}
