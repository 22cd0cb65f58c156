//! Servers for load: small ones that do as they are told, on ports of the system's choice, each connection on a thread of its own.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests; not every file uses all of them"
)]

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use load::Finished;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A server; its threads end with the test.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Server {
    /// Hands every connection over.
    pub(crate) fn raw(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, handle) = (Arc::clone(&connections), Arc::new(handle));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let (stream, handle) = (stream.unwrap(), Arc::clone(&handle));
                std::thread::spawn(move || handle(stream));
            }
        });
        Self { port, connections, requests: Arc::default() }
    }

    /// Answers every HTTP/1.1 request with these bytes; an empty answer closes the connection.
    pub(crate) fn http(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = Arc::clone(&requests);
        let server = Self::raw(move |stream| {
            stream.set_nodelay(true).unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut writer = stream;
            while let Some(request) = read(&mut reader) {
                let answer = answer(&request);
                seen.lock().unwrap().push(request);
                if answer.is_empty() || writer.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self { requests, ..server }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut request = Request::default();
    reader.read_line(&mut request.line).ok().filter(|bytes| *bytes > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        request.headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    request.line = request.line.trim_end().to_owned();
    Some(request)
}

/// `ok`, three bytes.
pub(crate) fn ok() -> String {
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n".to_owned()
}

/// Runs a command as a shell would, without quotes.
pub(crate) fn run(command: &str, line: &str) -> Finished {
    let args: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    load::capture(command, &args)
}

/// The number behind a name in a summary, as in `Requests/sec:\t12.5`.
pub(crate) fn number(summary: &str, name: &str) -> f64 {
    let line = summary.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    let line = line.unwrap_or_else(|| panic!("no {name} in {summary}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// The lines of a section of a summary, without their indent.
pub(crate) fn section(summary: &str, name: &str) -> Vec<String> {
    let lines = summary.lines().skip_while(|line| *line != format!("{name}:")).skip(1);
    lines.take_while(|line| line.starts_with("  ") && line.len() > 2).map(|line| line[2..].to_owned()).collect()
}

/// What a server shows: the certificate and key in this folder.
pub(crate) fn tls(folder: &Path) -> tokio_rustls::TlsAcceptor {
    let certificates = CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(certificates, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

/// Serves on a thread of its own for the rest of the test; `serve` gets every connection. Returns the port.
pub(crate) fn listen<F>(serve: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                tokio::spawn(serve(listener.accept().await.unwrap().0));
            }
        });
    });
    port
}

/// An `https` server that speaks both versions of HTTP.
pub(crate) fn secure(folder: &Path) -> Server {
    let acceptor = tls(folder);
    let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
    let seen = Arc::clone(&requests);
    let port = listen(move |stream| {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
            let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let line = format!("{} {} {:?}", request.method(), request.uri().path(), request.version());
                let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
                let host = host.or(request.uri().authority().map(ToString::to_string)).unwrap();
                let headers = vec![("host".to_owned(), host), ("server name".to_owned(), name.clone())];
                let request = Request { line, headers, body: String::new() };
                seen.lock().unwrap().push(request);
                async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok\n")))) }
            });
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let io = TokioIo::new(stream);
            if http2 {
                let _ =
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, answer).await;
            } else {
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await;
            }
        }
    });
    Server { port, connections: Arc::default(), requests }
}
