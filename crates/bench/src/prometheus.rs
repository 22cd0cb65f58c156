//! A Prometheus to which all is well, on loopback: the success rate is 100 %, requests take 50 ms.

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;

/// See the module. Ends with the program.
#[derive(Debug, Clone)]
pub(crate) struct Prometheus {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    asked: Arc<AtomicU64>,
}

impl Prometheus {
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let prometheus = Self { url: format!("http://{}", listener.local_addr()?), asked: Arc::default() };
        let asked = Arc::clone(&prometheus.asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let asked = Arc::clone(&asked);
                let answer = service_fn(move |request| {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let text = answer(&request);
                    async move { Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(text)))) }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Ok(prometheus)
    }

    /// How many requests there were.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(request: &http::Request<hyper::body::Incoming>) -> String {
    let query = request.uri().query().unwrap_or_default();
    let value = match () {
        () if query.contains("histogram_quantile") => "0.05",
        () if query.contains("vector") => "1",
        () => "100",
    };
    format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[0,"{value}"]}}]}}}}"#
    )
}
