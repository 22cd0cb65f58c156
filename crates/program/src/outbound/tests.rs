//! The HTTP client against servers on real sockets of this machine.

use super::*;
use base64::Engine as _;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A certificate for `localhost` that nobody has signed, valid for 100 years, and its key. They protect nothing.
const CERTIFICATE: &str = "MIIBnDCCAUGgAwIBAgIUbY5Ta1VuDpLbkBH3sfEEsg7OyVAwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTEzMTc0OFoYDzIxMjYxMDI4MTMxNzQ4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASvuU6d+59h+jBF83MTcBbHFgbW8H3gCPR/mrrIQO3AVXMwcXhbwnNELcCIOhQ8+EcdYp4NydHNEYTfhArgaeBbo28wbTAdBgNVHQ4EFgQUkzprWxr2jRIagb9y8sQZti644kswHwYDVR0jBBgwFoAUkzprWxr2jRIagb9y8sQZti644kswDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0EAwIDSQAwRgIhAMEm5UI5fp/iholD1sYYg5n27CcCdm12UZKk7Mg/qrTtAiEAt9WIY1eB+0VHnfK4V+81sKeHMc33fq3K+eOLsQJF8vc=";
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgB/t2JHimSPBzRDz8ReF34QCN7nA8JogWaiXvB/X0+dOhRANCAASvuU6d+59h+jBF83MTcBbHFgbW8H3gCPR/mrrIQO3AVXMwcXhbwnNELcCIOhQ8+EcdYp4NydHNEYTfhArgaeBb";

/// What a server got and does with it.
type Answer = Arc<dyn Fn(usize, &str) -> Vec<u8> + Send + Sync>;

/// A server: its address, and the requests it got.
struct Server {
    address: String,
    got: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers the request of that number (from 0) with those bytes, and closes the connection.
    async fn new(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (requests, answer): (_, Answer) = (Arc::clone(&got), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&requests), Arc::clone(&answer)));
            }
        });
        Self { address, got }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

async fn serve(mut socket: TcpStream, got: Arc<Mutex<Vec<String>>>, answer: Answer) {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) {
        let mut part = [0; 4096];
        match socket.read(&mut part).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&part[..count]),
            _ => return,
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let number = {
        let mut got = got.lock().unwrap();
        got.push(text.clone());
        got.len() - 1
    };
    let bytes = answer(number, &text);
    if bytes.is_empty() {
        std::future::pending::<()>().await;
    }
    let _ = socket.write_all(&bytes).await;
    let _ = socket.shutdown().await;
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    body.len() >= length.parse().unwrap()
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

fn redirect(status: u16, place: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {place}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

const LIMIT: Duration = Duration::from_secs(20);

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::default()
}

fn post(url: &str) -> Request {
    Request::post_json(url, &serde_json::json!({"a": 1}), LIMIT).unwrap()
}

#[tokio::test]
async fn redirects_without_end_are_bounded() {
    let server = Server::new(|_, _| redirect(302, "/again")).await;
    let error = client().send(Request::get(server.url("/"), LIMIT)).await.unwrap_err();
    assert_eq!(error, SendError { message: "stopped after 10 redirects".to_owned(), retriable: false });
    assert_eq!(server.got().len(), 11);
}

#[tokio::test]
async fn a_redirect_to_another_scheme_is_no_request() {
    let server = Server::new(|_, _| redirect(302, "ftp://127.0.0.1/x")).await;
    let error = client().send(Request::get(server.url("/"), LIMIT)).await.unwrap_err();
    assert_eq!(error, SendError { message: "unsupported protocol scheme \"ftp\"".to_owned(), retriable: false });
}

#[tokio::test]
async fn a_post_becomes_a_get_or_stays_a_post() {
    for (status, expected) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
        let server =
            Server::new(move |number, _| if number == 0 { redirect(status, "/there?x=1") } else { ok("yes") }).await;
        let response = client().send(post(&server.url("/here"))).await.unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "yes"));
        let got = server.got();
        assert!(got[0].starts_with("POST /here ") && got[0].ends_with("{\"a\":1}"), "{}", got[0]);
        let again = got[1].starts_with("POST /there?x=1 ") && got[1].ends_with("{\"a\":1}");
        let bare = got[1].starts_with("GET /there?x=1 ") && !got[1].to_lowercase().contains("content-type");
        assert_eq!((again, bare), (expected, !expected), "{status}: {}", got[1]);
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_cut() {
    let server = Server::new(|number, _| ok(&"x".repeat(if number == 0 { BODY_LIMIT } else { BODY_LIMIT + 1 }))).await;
    for truncated in [false, true] {
        let response = client().send(Request::get(server.url("/"), LIMIT)).await.unwrap();
        assert_eq!((response.body.len(), response.truncated), (BODY_LIMIT, truncated));
    }
}

#[tokio::test]
async fn a_silent_server_ends_at_the_time_limit() {
    let silent = Server::new(|_, _| Vec::new()).await;
    let stuck = Server::new(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()).await;
    let limit = Duration::from_millis(200);
    let error = client().send(Request::get(silent.url("/"), limit)).await.unwrap_err();
    assert!(error.retriable && error.message.starts_with("context deadline exceeded"), "{error}");
    let error = client().send(Request::get(stuck.url("/"), LIMIT)).await.unwrap_err();
    assert!(error.message.starts_with("error reading body: "), "{error}");
}

#[tokio::test]
async fn credentials_go_to_no_other_host() {
    let other = Server::new(|_, _| ok("")).await;
    let place = other.url("/elsewhere");
    let server =
        Server::new(move |number, _| if number == 0 { redirect(307, "/here") } else { redirect(307, &place) }).await;
    let mut request = post(&server.url("/"));
    for (name, value) in [("Authorization", "Bearer hidden"), ("DD-API-KEY", "hidden"), ("Accept", "text/plain")] {
        request.headers.push((name.to_owned(), Secret::new(value)));
    }
    client().send(request).await.unwrap();
    assert!(server.got()[1].contains("Bearer hidden"), "the same host gets them");
    let got = other.got()[0].to_lowercase();
    assert!(!got.contains("hidden") && got.contains("accept: text/plain") && got.contains("application/json"), "{got}");
    let with_password = server.url("/").replace("http://", "http://me:hidden@");
    client().send(post(&with_password)).await.unwrap();
    assert!(server.got()[2].to_lowercase().contains("authorization: basic bwu6aglkzgvu"), "{}", server.got()[2]);
    assert!(!other.got()[1].to_lowercase().contains("authorization"));
}

#[test]
fn credentials_follow_to_tls_of_the_same_host_only() {
    let same = |from: &str, to: &str| same_host(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
    assert!(same("http://a/x", "https://a/y") && same("https://a:9/", "https://a:9/y"));
    assert!(
        !same("https://a/", "http://a/") && !same("http://a/", "http://b.a/") && !same("http://a/", "http://a:81/")
    );
}

#[tokio::test]
async fn errors_hold_no_password_and_say_whether_to_try_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let error = client().send(Request::get(format!("http://me:hidden@{closed}/?key=hidden"), LIMIT)).await.unwrap_err();
    assert!(error.retriable && !error.message.contains("hidden"), "{error}");
    assert!(error.message.contains("refused"), "{error}");
    for url in ["http://me:hidden@[::bad/", "hidden", "ftp://me:hidden@x/", "http://me:hidden@/"] {
        let error = client().send(Request::get(url, LIMIT)).await.unwrap_err();
        assert!(!error.retriable && !error.message.contains("hidden"), "{url}: {error}");
    }
    let mut request = Request::get(format!("http://{closed}"), LIMIT);
    request.headers.push(("X".to_owned(), Secret::new("hid\nden")));
    let error = client().send(request).await.unwrap_err();
    assert!(!error.retriable && !error.message.contains("den"), "{error}");
    let mut request = Request::get("http://example.invalid", LIMIT);
    request.proxy = Some(format!("http://me:hidden@{closed}"));
    let client = client();
    let error = client.send(request).await.unwrap_err();
    assert!(!error.message.contains("hidden") && !format!("{client:?}").contains("hidden"), "{error}");
}

#[test]
fn this_machine_is_behind_no_proxy() {
    for (url, expected) in [
        ("http://localhost:9090", true),
        ("http://LOCALHOST", true),
        ("http://127.9.0.1", true),
        ("http://[::1]:1", true),
        ("http://prometheus", false),
        ("http://10.0.0.1", false),
        ("http://localhost.example.com", false),
    ] {
        assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_asked_for_is_used_for_this_machine_too() {
    let proxy = Server::new(|_, _| ok("from the proxy")).await;
    let mut request = Request::get("http://127.0.0.1:1/path", LIMIT);
    request.proxy = Some(proxy.url(""));
    assert_eq!(client().send(request).await.unwrap().text(), "from the proxy");
    assert!(proxy.got()[0].starts_with("GET http://127.0.0.1:1/path "), "{:?}", proxy.got());
}

/// A server that speaks TLS with a certificate that nobody has signed; answers `yes`, then ends.
fn secret_server() -> String {
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(decode(KEY));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![decode(CERTIFICATE).into()], key.into())
        .unwrap();
    let (config, listener) = (Arc::new(config), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, socket.unwrap());
            // A client that does not trust us leaves here.
            if std::io::Read::read(&mut stream, &mut [0; 4096]).is_ok() {
                let _ = std::io::Write::write_all(&mut stream, &ok("yes"));
                stream.conn.send_close_notify();
                let _ = std::io::Write::flush(&mut stream);
            }
        }
    });
    format!("https://localhost:{port}/")
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_is_accepted_only_when_asked() {
    let client = client();
    let url = secret_server();
    let error = client.send(Request::get(url.as_str(), LIMIT)).await.unwrap_err();
    assert!(!error.retriable && error.message.contains("certificate"), "{error}");
    let mut request = Request::get(url, LIMIT);
    request.insecure = true;
    assert_eq!(client.send(request).await.unwrap().text(), "yes");
}
