//! The HTTP server: `/healthz`, `/readyz`, `/metrics`.
//!
//! Plain HTTP on all addresses, any method. `/healthz` is static; `/readyz` says whether the caches are warm, whether this process leads, and
//! which permissions it misses.
//! Source: operations notes, section 2.6.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use program::server::{Handler, Limits};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;

/// A peer that reads or writes slowly holds nothing for ever.
pub const LIMITS: Limits = Limits {
    silence: Duration::from_secs(15),
    lifetime: Some(Duration::from_secs(60)),
    last_request: Duration::from_secs(5),
    grace: Duration::from_secs(3),
};

/// What `/readyz` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Caches are being filled.
    Starting,
    /// Caches are warm; another replica acts.
    Standby,
    /// This process acts.
    Acting,
    /// The process is ending.
    Stopping,
}

impl Readiness {
    fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Starting => (StatusCode::SERVICE_UNAVAILABLE, "caches are not synced"),
            Self::Standby => (StatusCode::OK, "OK, standby"),
            Self::Acting => (StatusCode::OK, "OK, leading"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        }
    }
}

/// What the API servers refuse to do, one line each.
pub type Refused = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// Where `/metrics` comes from: the text exposition, format 0.0.4.
pub type Exposition = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;

/// What the server shows.
#[derive(Clone)]
pub struct Pages {
    /// The metrics.
    pub metrics: Exposition,
    /// The readiness.
    pub readiness: Receiver<Readiness>,
    /// Told beside the readiness: it stops only what needs it.
    pub refused: Refused,
}

impl Handler for Pages {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.page(request.uri().path())
    }
}

impl Pages {
    fn page(&self, path: &str) -> Response<Full<Bytes>> {
        const PLAIN: &str = "text/plain; charset=utf-8";
        const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
        let (status, kind, body) = match path {
            "/healthz" => (StatusCode::OK, PLAIN, Bytes::from_static(b"OK")),
            "/readyz" => {
                let (status, body) = self.readiness.borrow().answer();
                let mut body = body.to_owned();
                for permission in (self.refused)() {
                    body.push_str("\npermission missing: ");
                    body.push_str(&permission);
                }
                (status, PLAIN, Bytes::from(body))
            }
            "/metrics" => (StatusCode::OK, METRICS, Bytes::from((self.metrics)())),
            _ => (StatusCode::NOT_FOUND, PLAIN, Bytes::from_static(b"404 page not found\n")),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use program::server::serve;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;

    struct Running {
        address: SocketAddr,
        readiness: watch::Sender<Readiness>,
        _stop: watch::Sender<bool>,
    }

    async fn running() -> Running {
        running_without(Vec::new()).await
    }

    async fn running_without(missing: Vec<String>) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (readiness, seen) = watch::channel(Readiness::Starting);
        let (stop, stopped) = watch::channel(false);
        let refused: Refused = Arc::new(move || missing.clone());
        let pages = Pages { metrics: Arc::new(|| b"flagger_info 1\n".to_vec()), readiness: seen, refused };
        tokio::spawn(serve(listener, pages, LIMITS, stopped));
        Running { address, readiness, _stop: stop }
    }

    /// The whole answer to one request, head in lower case.
    async fn ask(address: SocketAddr, method: &str, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }

    #[tokio::test]
    async fn health_is_static_and_answers_any_method() {
        let server = running().await;
        let (head, body) = ask(server.address, "GET", "/healthz").await;
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        assert!(head.contains("content-type: text/plain; charset=utf-8"), "{head}");
        assert_eq!(body, "OK");
        assert_eq!(ask(server.address, "POST", "/healthz").await.1, "OK");
        let (head, body) = ask(server.address, "HEAD", "/healthz").await;
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        assert_eq!(body, "");
    }

    #[tokio::test]
    async fn readiness_follows_caches_and_leadership() {
        let server = running().await;
        for (readiness, code, body) in [
            (Readiness::Starting, "503", "caches are not synced"),
            (Readiness::Standby, "200", "OK, standby"),
            (Readiness::Acting, "200", "OK, leading"),
            (Readiness::Stopping, "503", "stopping"),
        ] {
            server.readiness.send_replace(readiness);
            let (head, told) = ask(server.address, "GET", "/readyz").await;
            assert!(head.starts_with(&format!("http/1.1 {code}")), "{head}");
            assert_eq!(told, body);
        }
    }

    #[tokio::test]
    async fn missing_permissions_are_told_and_stop_nothing() {
        let server = running_without(vec!["patch deployments.apps in namespace shop".to_owned()]).await;
        server.readiness.send_replace(Readiness::Acting);
        let (head, body) = ask(server.address, "GET", "/readyz").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, "OK, leading\npermission missing: patch deployments.apps in namespace shop");
    }

    #[tokio::test]
    async fn metrics_are_text_and_unknown_paths_are_not_found() {
        let server = running().await;
        let (head, body) = ask(server.address, "GET", "/metrics").await;
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        assert_eq!(body, "flagger_info 1\n");
        for path in ["/", "/healthz/", "/metrics/x"] {
            let (head, body) = ask(server.address, "GET", path).await;
            assert!(head.starts_with("http/1.1 404"), "{head}");
            assert_eq!(body, "404 page not found\n");
        }
    }
}
