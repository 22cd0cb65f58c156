//! The bundled application: an HTTP server per workload, which behaves as the workload's pod template says.
//!
//! Environment variables of any container: `ERROR_PERCENT` (0 to 100, of the requests that are answered with 500) and `DELAY_MS` (milliseconds that an
//! answer takes longer). Without them it answers 200 at once. The version that it tells is the tag of the first container's image.
//! A change of the template shows at once, not pod by pod.

use super::backends::{Backend, WORKLOADS};
use super::http::{self, Answer};
use super::{Objects, Spread};
use ::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use objects::paths::{list, text};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Response header: the workload that answered.
pub const SERVED_BY: &str = "x-served-by";
/// Response header: the version that answered.
pub const VERSION: &str = "x-version";

/// How a version behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// Tag of the image; `latest` where there is none.
    pub version: String,
    /// How many of a hundred requests are answered with 500.
    pub error_percent: i64,
    /// How much longer than nothing an answer takes.
    pub delay: Duration,
}

impl Behaviour {
    /// The behaviour that a workload's pod template asks for.
    pub fn of(workload: &Value) -> Self {
        const CONTAINERS: &str = "/spec/template/spec/containers";
        let image = list(workload, CONTAINERS).next().map(|container| text(container, "/image")).unwrap_or_default();
        let name = image.rsplit('/').next().unwrap_or_default();
        let version = name.split_once(':').map_or("latest", |(_, tag)| tag).to_owned();
        let number = |variable: &str| {
            let found = list(workload, CONTAINERS)
                .flat_map(|container| list(container, "/env"))
                .find(|env| text(env, "/name") == variable);
            found.and_then(|env| text(env, "/value").trim().parse::<u32>().ok()).unwrap_or(0)
        };
        Self {
            version,
            error_percent: i64::from(number("ERROR_PERCENT").min(100)),
            delay: Duration::from_millis(u64::from(number("DELAY_MS"))),
        }
    }
}

/// The servers of all workloads that have been called.
#[derive(Debug)]
pub(super) struct Apps {
    objects: Arc<dyn Objects>,
    servers: Mutex<HashMap<(String, String), Server>>,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Apps {
    pub(super) fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects, servers: Mutex::default() }
    }

    /// Where a workload listens. Its server is started when it is asked for first.
    pub(super) async fn address(&self, backend: &Backend) -> io::Result<SocketAddr> {
        let key = (backend.namespace.clone(), backend.name.clone());
        if let Some(server) = self.servers.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(server.address);
        }
        let (listener, address) = http::listen().await?;
        let app = Arc::new(App {
            objects: Arc::clone(&self.objects),
            namespace: key.0.clone(),
            workload: key.1.clone(),
            turns: Mutex::default(),
        });
        let task = tokio::spawn(http::serve(listener, move |request| Arc::clone(&app).answer(request))).abort_handle();
        let server = Server { address, task };
        // Of two first requests at the same time the earlier one has its server already: it stays, as requests may be under way there.
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(servers.entry(key).or_insert(server).address)
    }
}

struct App {
    objects: Arc<dyn Objects>,
    namespace: String,
    workload: String,
    turns: Mutex<Spread>,
}

impl App {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let found = WORKLOADS.iter().find_map(|(kind, _)| self.objects.find(kind, &self.namespace, &self.workload));
        let Some(workload) = found else {
            return http::plain(StatusCode::SERVICE_UNAVAILABLE, "the workload is gone");
        };
        let behaviour = Behaviour::of(&workload);
        let fails = self
            .turns
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .chance(&behaviour.version, behaviour.error_percent);
        if !behaviour.delay.is_zero() {
            tokio::time::sleep(behaviour.delay).await;
        }
        let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        let body = json!({"path": request.uri().path(), "servedBy": self.workload, "version": behaviour.version});
        let response = Response::builder()
            .status(status)
            .header(::http::header::CONTENT_TYPE, "application/json")
            .header(SERVED_BY, &self.workload)
            .header(VERSION, &behaviour.version);
        http::finish(response, body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behaviour(containers: &str) -> Behaviour {
        let containers: Value = serde_yaml_ng::from_str(containers).unwrap();
        Behaviour::of(&json!({"spec": {"template": {"spec": {"containers": containers}}}}))
    }

    #[test]
    fn the_pod_template_says_how_it_behaves() {
        let bad = behaviour(
            "[{image: 'registry:5000/shop:3.0.0', env: [{name: ERROR_PERCENT, value: '40'}, {name: DELAY_MS, value: '400'}]}]",
        );
        assert_eq!(
            bad,
            Behaviour { version: "3.0.0".to_owned(), error_percent: 40, delay: Duration::from_millis(400) }
        );
    }

    #[test]
    fn without_a_word_it_is_good() {
        let good = behaviour("[{image: 'registry:5000/shop'}]");
        assert_eq!(good, Behaviour { version: "latest".to_owned(), error_percent: 0, delay: Duration::ZERO });
        assert_eq!(behaviour("[{image: 'shop:1', env: [{name: ERROR_PERCENT, value: many}]}]").error_percent, 0);
    }
}
