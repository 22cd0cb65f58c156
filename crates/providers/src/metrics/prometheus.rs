//! Prometheus, and whatever speaks its query API.
//!
//! One instant query, `GET {address}/api/v1/query?query=...`; the last series of the result counts. Credentials:
//! `token`, or `username` and `password`. Source: <https://prometheus.io/docs/prometheus/latest/querying/api/>; metrics
//! notes, section 7.1.

use super::{Query, Source};
use crate::http::url::{Url, form_encoded, masked};
use crate::http::{Request, Response, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rollout::MetricTrouble;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// From connecting to the end of the body.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A query that yields 1.
const PROBE: &str = "vector(1)";
/// Headers that the client decides about.
const CLIENT_HEADERS: [&str; 4] = ["host", "content-length", "transfer-encoding", "trailer"];

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Prometheus;

impl Source for Prometheus {
    fn kind(&self) -> &'static str {
        "prometheus"
    }

    fn request(&self, query: &Query<'_>) -> Result<Request, String> {
        let provider = query.provider;
        let address = provider.address.as_deref().unwrap_or_default();
        let url = Url::parse(address).ok().filter(|_| !address.is_empty());
        let url = url.ok_or_else(|| format!("{} address {} is not a valid URL", provider.kind, masked(address)))?;
        let credentials = query.credentials.map(|secret| Credentials::read(&provider.kind, secret)).transpose()?;
        let headers = headers(&provider.headers, credentials.and_then(|credentials| credentials.header()));
        // The client sends name and password of the URL by itself, but beside another Authorization and not instead of
        // it.
        let authorized = headers.iter().any(|(name, _)| is_authorization(name));
        let query = format!("query={}", form_encoded(&one_line(query.text)));
        let mut request = Request::get(url.with(!authorized, &url.path_and("api/v1/query"), Some(&query)), TIMEOUT);
        request.headers = headers;
        request.insecure = provider.insecure_skip_verify;
        Ok(request)
    }

    fn sample(&self, response: &Response) -> Result<f64, MetricTrouble> {
        if response.status >= 400 {
            return failed(format!("error response: Status {}: {}", response.status_line(), response.shown()));
        }
        let answer: Answer = match serde_json::from_slice(&response.body) {
            Ok(answer) => answer,
            Err(error) => return failed(format!("error unmarshaling result: {error}, '{}'", response.shown())),
        };
        let mut last = None;
        for series in answer.data.and_then(|data| data.result).into_iter().flatten().flatten() {
            if series.values.is_some() {
                return failed("query returned multiple values".to_owned());
            }
            // Native histograms have no `value`.
            if let Some(Value::String(text)) = series.value.as_ref().and_then(|value| value.get(1)) {
                last = Some(number(text)?);
            }
        }
        last.filter(|value| !value.is_nan()).ok_or_else(super::no_values)
    }

    fn probe(&self, query: &Query<'_>) -> Result<Request, String> {
        self.request(&Query { text: PROBE, ..*query })
    }

    fn is_online(&self, response: &Response) -> Result<(), String> {
        match self.sample(response) {
            Ok(1.0) => Ok(()),
            Ok(_) => Err(format!("value is not 1 for query: {PROBE}")),
            Err(trouble) => Err(super::running_failed(&trouble)),
        }
    }
}

/// The part of an answer that is read. Its `status` is not: answers that are errors have a status code that says so.
#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Option<Vec<Option<Series>>>,
}

#[derive(Deserialize)]
struct Series {
    /// Time and value of an instant query.
    value: Option<Vec<Value>>,
    /// The values of a range.
    values: Option<Value>,
}

/// Who asks.
enum Credentials<'a> {
    Token(&'a Secret),
    Password(&'a Secret, &'a Secret),
}

impl<'a> Credentials<'a> {
    fn read(kind: &str, secret: &'a BTreeMap<String, Secret>) -> Result<Self, String> {
        if let Some(token) = secret.get("token") {
            return Ok(Self::Token(token));
        }
        let missing = |key: &str| format!("{kind} credentials does not contain a {key}");
        let username = secret.get("username").ok_or_else(|| missing("username"))?;
        let password = secret.get("password").ok_or_else(|| missing("password"))?;
        Ok(Self::Password(username, password))
    }

    /// The value of the header `Authorization`; none for empty credentials.
    fn header(&self) -> Option<Secret> {
        match self {
            Self::Token(token) if !token.is_empty() => Some(Secret::new(format!("Bearer {}", token.reveal()))),
            Self::Password(username, password) if !username.is_empty() && !password.is_empty() => {
                let pair = format!("{}:{}", username.reveal(), password.reveal());
                Some(Secret::new(format!("Basic {}", STANDARD.encode(pair))))
            }
            _ => None,
        }
    }
}

/// The headers of the template, and the credentials instead of an `Authorization` among them.
fn headers(own: &BTreeMap<String, Vec<String>>, authorization: Option<Secret>) -> Vec<(String, Secret)> {
    let wanted = |name: &str| {
        let by_client = CLIENT_HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header));
        let replaced = authorization.is_some() && is_authorization(name);
        !by_client && !replaced
    };
    let mut headers: Vec<_> = own
        .iter()
        .filter(|(name, _)| wanted(name))
        .flat_map(|(name, values)| values.iter().map(|value| (name.clone(), Secret::new(value))))
        .collect();
    headers.extend(authorization.map(|value| ("Authorization".to_owned(), value)));
    headers
}

fn is_authorization(name: &str) -> bool {
    name.eq_ignore_ascii_case("authorization")
}

/// Each run of white space becomes one space, comments go (one would swallow the rest of the line that is left); texts
/// in quotes stay as they are.
fn one_line(query: &str) -> String {
    let mut line = String::with_capacity(query.len());
    let mut characters = query.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\t' | '\n' | '\x0c' | '\r' | ' ' => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            '#' => while characters.next_if(|next| *next != '\n').is_some() {},
            '"' | '\'' | '`' => {
                line.push(character);
                while let Some(inside) = characters.next() {
                    line.push(inside);
                    if inside == character {
                        break;
                    }
                    if inside == '\\' && character != '`' {
                        line.extend(characters.next());
                    }
                }
            }
            other => line.push(other),
        }
    }
    line
}

/// A number as Prometheus writes it: also `NaN`, `+Inf` and `-Inf`.
fn number(text: &str) -> Result<f64, MetricTrouble> {
    let complaint =
        |why| MetricTrouble::Failed(format!("strconv.ParseFloat: parsing {}: {why}", crate::http::url::quoted(text)));
    let number: f64 = text.parse().map_err(|_| complaint("invalid syntax"))?;
    let named = text.contains(['i', 'I']);
    if number.is_infinite() && !named { Err(complaint("value out of range")) } else { Ok(number) }
}

fn failed(text: String) -> Result<f64, MetricTrouble> {
    Err(MetricTrouble::Failed(text))
}
