//! Connections: names, TCP, proxies, TLS, each with its time and with errors in the words of Go's tools, which people grep for.

use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An address that does not answer keeps the next one of the same name waiting no longer than this.
const NEXT_ADDRESS: Duration = Duration::from_secs(3);
/// A proxy's answer to `CONNECT` is no longer than this.
const PROXY_ANSWER: usize = 8 * 1024;

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How to reach a server.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The server.
    pub(crate) server: Endpoint,
    /// An HTTP proxy before it.
    pub(crate) proxy: Option<Endpoint>,
    /// TLS, and the name that the certificate is for.
    pub(crate) tls: Option<(Arc<rustls::ClientConfig>, String)>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("dial tcp: lookup {host}: {cause}")]
    Lookup { host: String, cause: String },
    #[error("dial tcp {address}: connect: {cause}")]
    Connect { address: String, cause: String },
    #[error("proxyconnect tcp: {0}")]
    Proxy(String),
    #[error("tls: {0}")]
    Tls(String),
}

/// A connection and what it took.
#[derive(Debug)]
pub(crate) struct Dialed {
    /// To be read and written.
    pub(crate) stream: Timed,
    /// When something was last written and first read.
    pub(crate) times: Arc<Times>,
    /// Name lookup.
    pub(crate) lookup: Duration,
    /// All of it.
    pub(crate) dial: Duration,
    /// Whether the server chose HTTP/2.
    pub(crate) http2: bool,
}

impl Route {
    /// Connects.
    pub(crate) async fn dial(&self) -> Result<Dialed, DialError> {
        let began = Instant::now();
        let first = self.proxy.as_ref().unwrap_or(&self.server);
        let addresses = lookup(first).await?;
        let lookup = began.elapsed();
        let mut tcp = connect(&addresses).await?;
        let mut http2 = false;
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some((config, name)) => {
                if self.proxy.is_some() {
                    tunnel(&mut tcp, &self.server).await?;
                }
                let tls = handshake(tcp, Arc::clone(config), name).await?;
                http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                Stream::Tls(Box::new(tls))
            }
        };
        let times = Arc::new(Times::new());
        let stream = Timed { stream, times: Arc::clone(&times) };
        Ok(Dialed { stream, times, lookup, dial: began.elapsed(), http2 })
    }
}

async fn lookup(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(ip) = endpoint.host.parse() {
        return Ok(vec![SocketAddr::new(ip, endpoint.port)]);
    }
    let failed = |cause: &str| DialError::Lookup { host: endpoint.host.clone(), cause: cause.to_owned() };
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let addresses: Vec<_> = found.map_err(|_| failed("no such host"))?.collect();
    if addresses.is_empty() { Err(failed("no such host")) } else { Ok(addresses) }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
    let mut failed = None;
    for (left, address) in (0..addresses.len()).rev().zip(addresses) {
        let attempt = TcpStream::connect(address);
        let result = if left == 0 {
            attempt.await
        } else {
            timeout(NEXT_ADDRESS, attempt).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match result {
            Ok(tcp) => {
                // Only a matter of speed.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Err(error) => failed = Some((address, error)),
        }
    }
    let (address, cause) = failed.map_or_else(Default::default, |(a, error)| (a.to_string(), reason(&error)));
    Err(DialError::Connect { address, cause })
}

/// An error of the operating system in the words of Go.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        io::ErrorKind::BrokenPipe => "broken pipe".to_owned(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        _ => error.to_string(),
    }
}

/// Asks a proxy for a connection to the server.
async fn tunnel(tcp: &mut TcpStream, server: &Endpoint) -> Result<(), DialError> {
    let failed = |error: io::Error| DialError::Proxy(reason(&error));
    let ask = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\n");
    tcp.write_all(ask.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the head belongs to TLS.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER {
            return Err(DialError::Proxy("the answer to CONNECT is too long".to_owned()));
        }
        answer.push(tcp.read_u8().await.map_err(failed)?);
    }
    let head = String::from_utf8_lossy(&answer);
    let status =
        head.lines().next().and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..)).unwrap_or("malformed answer");
    if status.starts_with('2') { Ok(()) } else { Err(DialError::Proxy(status.trim().to_owned())) }
}

async fn handshake(
    tcp: TcpStream,
    config: Arc<rustls::ClientConfig>,
    name: &str,
) -> Result<TlsStream<TcpStream>, DialError> {
    let name = ServerName::try_from(name.to_owned()).map_err(|error| DialError::Tls(error.to_string()))?;
    TlsConnector::from(config).connect(name, tcp).await.map_err(|error| DialError::Tls(reason(&error)))
}

/// When the last byte of a request was written and the first byte of its answer read; whoever sends a request resets it.
#[derive(Debug)]
pub(crate) struct Times {
    origin: Instant,
    /// Nanoseconds since the origin; 0: not yet.
    wrote: AtomicU64,
    read: AtomicU64,
}

impl Times {
    fn new() -> Self {
        Self { origin: Instant::now(), wrote: AtomicU64::new(0), read: AtomicU64::new(0) }
    }

    /// Forgets the last request.
    pub(crate) fn reset(&self) {
        self.wrote.store(0, Ordering::Relaxed);
        self.read.store(0, Ordering::Relaxed);
    }

    /// When the request was written.
    pub(crate) fn wrote(&self) -> Option<Instant> {
        self.instant(&self.wrote)
    }

    /// When the answer began.
    pub(crate) fn read(&self) -> Option<Instant> {
        self.instant(&self.read)
    }

    fn instant(&self, nanos: &AtomicU64) -> Option<Instant> {
        let nanos = nanos.load(Ordering::Relaxed);
        (nanos > 0).then(|| self.origin + Duration::from_nanos(nanos))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that notes when it is read and written.
#[derive(Debug)]
pub(crate) struct Timed {
    stream: Stream,
    times: Arc<Times>,
}

impl AsyncRead for Timed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        };
        if buffer.filled().len() > before && self.times.read.load(Ordering::Relaxed) == 0 {
            self.times.read.store(self.times.now(), Ordering::Relaxed);
        }
        result
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        };
        if result.is_ready() {
            self.times.wrote.store(self.times.now(), Ordering::Relaxed);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
