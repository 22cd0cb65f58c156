//! A request taken apart: what is asked, by whom, in which form the answer is wanted; and the hook and the log that see it.

use crate::failure::Failure;
use crate::options::Parameters;
use crate::paths::{self, Place};
use http::{HeaderMap, Method, Request};
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

/// What a request asks for, in the words of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// Changes.
    Watch,
    /// A new object.
    Create,
    /// An object replaced.
    Update,
    /// An object changed.
    Patch,
    /// An object deleted.
    Delete,
    /// Many objects deleted.
    DeleteCollection,
    /// Anything that is not about objects: discovery, version, health.
    Other,
}

/// `get`, `list`, `deletecollection`..., as in discovery and RBAC.
impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Other => "other",
        };
        f.pad(text)
    }
}

impl Verb {
    /// Whether the request may change something.
    pub fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Patch | Self::Delete | Self::DeleteCollection)
    }
}

/// One request, as hooks and the log see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub verb: Verb,
    /// HTTP method.
    pub method: String,
    /// Path, as sent.
    pub path: String,
    /// Query, as sent; empty if there is none.
    pub query: String,
    /// The `User-Agent` header; empty if there is none.
    pub user_agent: String,
    /// Kind of the objects, e.g. `deployments.apps`; empty for requests that are not about objects.
    pub resource: String,
    /// Namespace; empty for cluster-scoped kinds and for all namespaces.
    pub namespace: String,
    /// Name; empty for collections.
    pub name: String,
    /// Subresource, e.g. `status`; empty for the object itself.
    pub subresource: String,
}

/// `patch canaries.flagger.app test/podinfo status`, `list services test`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.resource.is_empty() {
            return write!(f, "{} {}", self.method, self.path);
        }
        write!(f, "{} {}", self.verb, self.resource)?;
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => Ok(()),
            ("", one) | (one, "") => write!(f, " {one}"),
            (namespace, name) => write!(f, " {namespace}/{name}"),
        }?;
        if self.subresource.is_empty() { Ok(()) } else { write!(f, " {}", self.subresource) }
    }
}

impl Call {
    /// Reads the head of a request.
    pub(crate) fn read<B>(request: &Request<B>) -> Self {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let mut call = Self {
            verb: Verb::Other,
            method: request.method().to_string(),
            user_agent: header(request.headers(), "user-agent").to_owned(),
            resource: String::new(),
            namespace: String::new(),
            name: String::new(),
            subresource: String::new(),
            path,
            query,
        };
        if let Place::Objects(address) = paths::parse(&call.path) {
            call.resource = crate::failure::qualified(&address.plural, &address.group);
            call.verb = verb(request.method(), &address.name, &call.query);
            call.namespace = address.namespace;
            call.name = address.name;
            call.subresource = address.subresource;
        }
        call
    }
}

/// The text of a header; empty if there is none.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn verb(method: &Method, name: &str, query: &str) -> Verb {
    let watches = || Parameters(&paths::query(query)).flag("watch");
    match (method.as_str(), name.is_empty()) {
        ("GET" | "HEAD", true) if watches() => Verb::Watch,
        ("GET" | "HEAD", true) => Verb::List,
        ("GET" | "HEAD", false) => Verb::Get,
        ("POST", _) => Verb::Create,
        ("PUT", _) => Verb::Update,
        ("PATCH", _) => Verb::Patch,
        ("DELETE", true) => Verb::DeleteCollection,
        ("DELETE", false) => Verb::Delete,
        _ => Verb::Other,
    }
}

/// What a hook does to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Intervention {
    /// Nothing.
    Pass,
    /// Lets it wait, on tokio's clock, and pass then.
    Delay(Duration),
    /// Answers with a refusal. After the request: it was carried out, but the client does not learn it.
    Fail(Box<Failure>),
    /// Breaks the connection. After the request: it was carried out, but the client does not learn it.
    Disconnect,
}

/// Sees every request before and after it is carried out; for faults and for stopping a test at a chosen write. Called without any lock held.
pub trait Hook: Send + Sync {
    /// Before the request is carried out.
    fn before(&self, _call: &Call) -> Intervention {
        Intervention::Pass
    }

    /// After the request was carried out, with the HTTP status of its answer. A watch is carried out once it streams.
    fn after(&self, _call: &Call, _status: u16) -> Intervention {
        Intervention::Pass
    }
}

/// One line of the request log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was answered.
    pub time: Timestamp,
    /// The request.
    pub call: Call,
    /// HTTP status of the answer; 0: the connection was broken by a hook.
    pub status: u16,
}

/// Who asked what since the start or the last reset.
#[derive(Debug, Clone, Default)]
pub struct RequestLog {
    entries: VecDeque<Entry>,
    counts: BTreeMap<(String, Verb), usize>,
}

impl RequestLog {
    /// How many entries are kept; the counters know of all.
    const KEPT: usize = 100_000;

    pub(crate) fn record(&mut self, entry: Entry) {
        *self.counts.entry((entry.call.user_agent.clone(), entry.call.verb)).or_default() += 1;
        if self.entries.len() >= Self::KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// The requests, oldest first; of very many only the last.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many requests there were, of all clients.
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// How many requests with that verb there were, of all clients.
    pub fn count(&self, verb: Verb) -> usize {
        self.counts.iter().filter(|((_, of), _)| *of == verb).map(|(_, count)| count).sum()
    }

    /// How many requests there were, by user agent and verb.
    pub fn counts(&self) -> &BTreeMap<(String, Verb), usize> {
        &self.counts
    }
}
