//! Tests only: an API server that knows nothing but our own kinds (none of each), its version and one Lease.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What the server says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answers {
    /// A kind that it does not have; empty for none.
    pub(crate) missing: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
}

impl Default for Answers {
    fn default() -> Self {
        Self { missing: "-", version: "v1.36.0" }
    }
}

#[derive(Default)]
struct State {
    requests: Mutex<Vec<String>>,
    lease: Mutex<Option<Value>>,
    changed: Notify,
}

/// A running server.
pub(crate) struct Api {
    /// Where it is.
    pub(crate) url: String,
    state: Arc<State>,
}

impl Api {
    pub(crate) async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&state), answers, request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, state }
    }

    /// Paths with queries, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Waits for a Lease like that.
    pub(crate) async fn lease_where(&self, like: impl Fn(&Value) -> bool) -> Value {
        loop {
            let changed = self.state.changed.notified();
            if let Some(lease) = self.state.lease.lock().unwrap().clone().filter(|lease| like(lease)) {
                return lease;
            }
            changed.await;
        }
    }
}

async fn answer(
    state: Arc<State>,
    answers: Answers,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.to_string();
    state.requests.lock().unwrap().push(path.clone());
    let body = body.collect().await.unwrap().to_bytes();
    if path.contains("watch=true") || path.contains("watch=1") {
        // Nothing ever happens.
        std::future::pending::<()>().await;
    }
    let (status, value) = match path.as_str() {
        "/version" => (StatusCode::OK, version(answers.version)),
        path if path.contains("/leases") => lease(&state, &parts.method, &body),
        path if path.contains("/apis/flagger.app/") && !path.contains(answers.missing) => {
            (StatusCode::OK, empty_list())
        }
        _ => return Ok(reply(StatusCode::NOT_FOUND, "404 page not found\n".to_owned())),
    };
    Ok(reply(status, value.to_string()))
}

fn lease(state: &State, method: &Method, body: &Bytes) -> (StatusCode, Value) {
    let mut lease = state.lease.lock().unwrap();
    if *method != Method::GET {
        let mut written: Value = serde_json::from_slice(body).unwrap();
        let version = state.requests.lock().unwrap().len().to_string();
        written["metadata"]["resourceVersion"] = json!(version);
        *lease = Some(written);
        state.changed.notify_waiters();
    }
    match lease.clone() {
        Some(lease) => (StatusCode::OK, lease),
        None => (
            StatusCode::NOT_FOUND,
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "message": "leases.coordination.k8s.io \"x\" not found" }),
        ),
    }
}

fn empty_list() -> Value {
    json!({ "apiVersion": "flagger.app/v1beta1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": [] })
}

fn version(git: &str) -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": git, "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    })
}

fn reply(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
