//! Requests on their way: a gateway that forwards them over real sockets to the side that the routes say, and a load generator that never stops asking.
//!
//! The gateway is called with `Host: <service>.<namespace>`. It counts what workloads answer ([`Samples`]); the load counts what users see ([`Tally`]).

use super::app::{Apps, SERVED_BY, VERSION};
use super::backends::{self, Backend};
use super::http::{self, Answer};
use super::samples::Count;
use super::split::{self, Asked, Way};
use super::{Objects, Sample, Samples, Spread, prometheus};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// Longest request body that is forwarded, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// Requests of the load generator that may be under way at once.
const IN_FLIGHT: usize = 64;

/// A gateway, the application behind it and a Prometheus beside it, each on a port of loopback that the system picked. Ends when it is dropped.
#[derive(Debug)]
pub struct DataPlane {
    gateway: SocketAddr,
    prometheus: SocketAddr,
    samples: Arc<Samples>,
    _servers: JoinSet<()>,
}

impl DataPlane {
    /// Starts all of it over these objects.
    pub async fn start(objects: Arc<dyn Objects>) -> io::Result<Self> {
        let samples = Arc::new(Samples::default());
        let mut servers = JoinSet::new();
        let (listener, gateway) = http::listen().await?;
        let router = Arc::new(Gateway {
            apps: Apps::new(Arc::clone(&objects)),
            objects,
            spread: Mutex::default(),
            samples: Arc::clone(&samples),
        });
        servers.spawn(http::serve(listener, move |request| Arc::clone(&router).answer(request)));
        let (listener, prometheus) = http::listen().await?;
        let asked = Arc::clone(&samples);
        servers.spawn(http::serve(listener, move |request| prometheus::answer(Arc::clone(&asked), request)));
        Ok(Self { gateway, prometheus, samples, _servers: servers })
    }

    /// Where requests of users go to.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// Where metrics are asked for, without a path.
    pub fn prometheus(&self) -> SocketAddr {
        self.prometheus
    }

    /// What the workloads answered.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }
}

struct Gateway {
    objects: Arc<dyn Objects>,
    apps: Apps,
    spread: Mutex<Spread>,
    samples: Arc<Samples>,
}

/// A request that may be sent several times: to a side and to its mirror.
#[derive(Clone)]
struct Parcel {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Gateway {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let Some((apex, namespace)) = service_of(host) else {
            return http::plain(StatusCode::BAD_REQUEST, "the Host header must be <service>.<namespace>");
        };
        let asked = Asked {
            namespace: namespace.to_owned(),
            apex: apex.to_owned(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head
                .headers
                .iter()
                .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
                .collect(),
        };
        let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
            return http::plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
        };
        let path = head.uri.path_and_query().map_or("/", ::http::uri::PathAndQuery::as_str).to_owned();
        self.forward(&asked, Parcel { method: head.method, path, headers: head.headers, body: body.to_bytes() }).await
    }

    async fn forward(self: Arc<Self>, asked: &Asked, parcel: Parcel) -> Answer {
        let way = {
            let mut spread = self.spread.lock().unwrap_or_else(PoisonError::into_inner);
            split::way(self.objects.as_ref(), &mut spread, asked)
        };
        let way = match way {
            Ok(way) => way,
            Err(none) => {
                let status = StatusCode::from_u16(none.status()).unwrap_or(StatusCode::NOT_FOUND);
                return http::plain(status, none.to_string());
            }
        };
        if let Some(mirror) = &way.mirror {
            let (gateway, way) = (Arc::clone(&self), Way { service: mirror.clone(), mirror: None, ..way.clone() });
            let (namespace, parcel) = (asked.namespace.clone(), parcel.clone());
            // Nobody waits for the copy, and nobody sees its answer.
            tokio::spawn(async move { gateway.deliver(&namespace, &way, parcel).await });
        }
        let mut answer = self.deliver(&asked.namespace, &way, parcel).await;
        for (name, value) in &way.response_headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                answer.headers_mut().append(name, value);
            }
        }
        answer
    }

    /// Sends a request to the Service of a way and counts what came back.
    async fn deliver(&self, namespace: &str, way: &Way, parcel: Parcel) -> Answer {
        let found = {
            let mut spread = self.spread.lock().unwrap_or_else(PoisonError::into_inner);
            backends::backend(self.objects.as_ref(), &mut spread, namespace, &way.service)
        };
        let Some(backend) = found else {
            return http::plain(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no healthy upstream: Service {} has no ready pod", way.service),
            );
        };
        let start = Instant::now();
        let answer = self.ask(&backend, parcel).await;
        self.samples.add(Sample {
            at: Instant::now(),
            namespace: backend.namespace,
            workload: backend.name,
            status: answer.status().as_u16(),
            latency: start.elapsed(),
            ingress: way.ingress.clone(),
            by_canary_ingress: way.by_canary_ingress,
        });
        answer
    }

    async fn ask(&self, backend: &Backend, parcel: Parcel) -> Answer {
        let address = match self.apps.address(backend).await {
            Ok(address) => address,
            Err(error) => return http::plain(StatusCode::BAD_GATEWAY, error.to_string()),
        };
        match http::exchange(address, parcel.method, &parcel.path, parcel.headers, parcel.body).await {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                // These belong to the connection with the workload.
                head.headers.remove(header::CONNECTION);
                head.headers.remove(header::TRANSFER_ENCODING);
                Response::from_parts(head, Full::new(body))
            }
            Err(error) => http::plain(StatusCode::BAD_GATEWAY, error.to_string()),
        }
    }
}

/// Service and namespace of `shop.test:8080`.
fn service_of(host: &str) -> Option<(&str, &str)> {
    let host = host.split(':').next()?;
    let (apex, rest) = host.split_once('.')?;
    let namespace = rest.split('.').next()?;
    (!apex.is_empty() && !namespace.is_empty()).then_some((apex, namespace))
}

/// What users have seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// All requests; failed are those with a status of 400 and above, or without an answer.
    pub all: Count,
    /// Per workload and version that answered.
    pub by_side: BTreeMap<(String, String), Count>,
    /// Why requests had no answer of a workload, and how many.
    pub troubles: BTreeMap<String, u64>,
}

/// Users who ask for a page again and again. They stop when it is dropped.
#[derive(Debug)]
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    _task: JoinSet<()>,
}

impl Load {
    /// Sends requests for `http://<host>/` to the gateway, as many per second, for ever.
    pub fn start(gateway: SocketAddr, host: &str, per_second: u32) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut task = JoinSet::new();
        task.spawn(run(gateway, host.to_owned(), per_second.max(1), Arc::clone(&tally)));
        Self { tally, _task: task }
    }

    /// What users have seen so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn run(gateway: SocketAddr, host: String, per_second: u32, tally: Arc<Mutex<Tally>>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    // On a machine that cannot keep up there are fewer requests, not bursts.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut users = JoinSet::new();
    loop {
        ticks.tick().await;
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let (host, tally) = (host.clone(), Arc::clone(&tally));
        users.spawn(async move {
            visit(gateway, &host, &tally).await;
            drop(permit);
        });
        while users.try_join_next().is_some() {}
    }
}

async fn visit(gateway: SocketAddr, host: &str, tally: &Mutex<Tally>) {
    let headers: HeaderMap = HeaderValue::from_str(host).into_iter().map(|host| (header::HOST, host)).collect();
    let answer = http::exchange(gateway, Method::GET, "/", headers, Bytes::new()).await;
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    let text = |response: &Response<Bytes>, name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    match answer {
        Ok(response) => {
            let failed = response.status().as_u16() >= 400;
            tally.all.add(failed);
            if let (Some(workload), Some(version)) = (text(&response, SERVED_BY), text(&response, VERSION)) {
                tally.by_side.entry((workload, version)).or_default().add(failed);
            } else {
                let why = String::from_utf8_lossy(response.body()).into_owned();
                *tally.troubles.entry(why).or_default() += 1;
            }
        }
        Err(error) => {
            tally.all.add(true);
            *tally.troubles.entry(error.to_string()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests;
