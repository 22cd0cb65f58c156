//! Which Service gets a request, as the routing objects say.
//!
//! Asked in this order, the first that knows the host decides: Istio's `VirtualService`, Gateway API's `HTTPRoute`, an `Ingress` with an NGINX canary beside
//! it, the plain `Service`. Reads objects and counts turns ([`Spread`]); sends nothing.

mod gateway;
mod istio;
mod matching;
mod nginx;

use super::{Objects, Spread};
use serde_json::Value;

/// A request, as far as routes look at it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The namespace of the Service that is called.
    pub namespace: String,
    /// The name of that Service.
    pub apex: String,
    /// `GET`, `POST`...
    pub method: String,
    /// Path without the query, e.g. `/cart`.
    pub path: String,
    /// What follows `?`, without it; empty if nothing does.
    pub query: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// A GET of `path` from `http://<apex>.<namespace>`.
    pub fn get(namespace: &str, apex: &str, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self {
            namespace: namespace.to_owned(),
            apex: apex.to_owned(),
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The value of a header, however its name is spelled; several are joined as HTTP allows.
    pub fn header(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        let values: Vec<&str> =
            self.headers.iter().filter(|(key, _)| *key == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(if name == "cookie" { "; " } else { "," }))
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.header("cookie")?;
        let found = cookies.split(';').filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name);
        found.map(|(_, value)| value.to_owned())
    }

    /// The value of a query parameter, as it is written.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// The Service that answers it, in the namespace of the request.
    pub service: String,
    /// The Service that gets a copy, whose answer nobody sees.
    pub mirror: Option<String>,
    /// Header lines that are added to the answer.
    pub response_headers: Vec<(String, String)>,
    /// The Ingress that it came through, if any.
    pub ingress: Option<String>,
    /// Whether an NGINX canary took it.
    pub by_canary_ingress: bool,
}

impl Way {
    fn to(service: impl Into<String>) -> Self {
        Self { service: service.into(), ..Self::default() }
    }
}

/// Why a request goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// There is neither a route nor a Service of that name.
    #[error("there is no Service {0}")]
    UnknownHost(String),
    /// The route has rules, and none of them is for this request.
    #[error("no rule of {0} matches the request")]
    NoRule(String),
    /// The rule that matches sends its requests nowhere.
    #[error("{0} has no destination with a weight above 0")]
    NoDestination(String),
}

impl NoWay {
    /// The status that clients see.
    pub fn status(&self) -> u16 {
        match self {
            Self::UnknownHost(_) | Self::NoRule(_) => 404,
            Self::NoDestination(_) => 503,
        }
    }
}

/// The way of one request. Counts a turn wherever the requests part.
pub fn way(objects: &dyn Objects, spread: &mut Spread, asked: &Asked) -> Result<Way, NoWay> {
    if let Some(way) = istio::way(objects, spread, asked) {
        return way;
    }
    if let Some(way) = gateway::way(objects, spread, asked) {
        return way;
    }
    if let Some(way) = nginx::way(objects, spread, asked) {
        return way;
    }
    match objects.find("Service", &asked.namespace, &asked.apex) {
        Some(_) => Ok(Way::to(&asked.apex)),
        None => Err(NoWay::UnknownHost(format!("{}.{}", asked.apex, asked.namespace))),
    }
}

/// Whether a host in a route means the Service `apex`: by its short name or by any longer form of it.
fn is_host(host: &str, asked: &Asked) -> bool {
    let (apex, namespace) = (&asked.apex, &asked.namespace);
    host == apex || host == format!("{apex}.{namespace}") || host.starts_with(&format!("{apex}.{namespace}.svc"))
}

/// The name of the Service in a host: `shop-canary` of `shop-canary.test.svc.cluster.local`.
fn service_of(host: &str) -> String {
    host.split('.').next().unwrap_or_default().to_owned()
}

/// The name of an object.
fn name_of(object: &Value) -> &str {
    objects::paths::text(object, "/metadata/name")
}

#[cfg(test)]
mod tests;
