//! An HTTP server: plain HTTP/1.1 on all addresses, connections of bounded number and length, an orderly end.
//!
//! What is answered is the business of a [`Handler`].

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, error, info};

/// Pause when the system has no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Connections at once; further ones wait until one ends.
const CONNECTIONS: usize = 1024;

/// Whoever answers requests. Clones share everything.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The answer to one request. It is dropped unfinished when the peer is gone.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a connection may be silent before or within the head of a request.
    pub silence: Duration,
    /// After that time a connection takes no further request. `None`: no limit.
    pub lifetime: Option<Duration>,
    /// How long the request that is under way when a connection is to end may still take.
    pub last_request: Duration,
    /// How long all requests may take when the server is told to stop.
    pub grace: Duration,
}

/// Listens on all addresses, by IPv6 where there is such a thing. `port` as on the command line.
pub async fn bind(port: &str) -> Result<TcpListener, String> {
    let number: u16 = port.parse().map_err(|_| format!("listen tcp: address {port}: invalid port"))?;
    match TcpListener::bind(("::", number)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(format!("listen tcp :{port}: {error}")),
        Err(_) => TcpListener::bind(("0.0.0.0", number)).await.map_err(|error| format!("listen tcp :{port}: {error}")),
    }
}

/// Serves until `stop` becomes true, then lets requests end for as long as [`Limits`] says.
pub async fn serve(listener: TcpListener, handler: impl Handler, limits: Limits, mut stop: Receiver<bool>) {
    let mut connections = JoinSet::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let told = stop.clone();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            accepted = accept(&listener, &room) => match accepted {
                Ok((stream, place)) => {
                    let (handler, told) = (handler.clone(), told.clone());
                    connections.spawn(async move {
                        connection(stream, handler, limits, told).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    debug!("A connection could not be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let ended = tokio::time::timeout(limits.grace, async { while connections.join_next().await.is_some() {} }).await;
    if ended.is_ok() {
        info!("HTTP server stopped");
    } else {
        error!("HTTP server graceful shutdown failed context deadline exceeded");
    }
}

/// The next connection, when there is room for one.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Result<(TcpStream, OwnedSemaphorePermit), std::io::Error> {
    // It is never closed.
    let place = Arc::clone(room).acquire_owned().await.map_err(std::io::Error::other)?;
    Ok((listener.accept().await?.0, place))
}

/// Waits for the stop. A sender that is gone is one as well.
async fn stopped(stop: &mut Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves one connection. Its lifetime is bounded: a peer that reads or writes slowly holds nothing for ever.
async fn connection(stream: TcpStream, handler: impl Handler, limits: Limits, mut stop: Receiver<bool>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.answer(request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    // A peer that has said all it has to say still gets its answer.
    builder.timer(TokioTimer::new()).header_read_timeout(limits.silence).half_close(true);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let old = async {
        match limits.lifetime {
            Some(lifetime) => tokio::time::sleep(lifetime).await,
            None => std::future::pending().await,
        }
    };
    // How a connection ended interests only its peer.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopped(&mut stop) => {}
        () = old => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(limits.last_request, connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::watch;

    const LIMITS: Limits = Limits {
        silence: Duration::from_secs(15),
        lifetime: None,
        last_request: Duration::from_secs(60),
        grace: Duration::from_secs(60),
    };

    /// Answers with the path, once `go` is true.
    #[derive(Clone)]
    struct Echo {
        begun: Arc<Semaphore>,
        go: Receiver<bool>,
    }

    impl Handler for Echo {
        async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
            self.begun.add_permits(1);
            let _ = self.go.clone().wait_for(|go| *go).await;
            Response::new(Full::new(Bytes::from(request.uri().path().to_owned())))
        }
    }

    struct Running {
        address: SocketAddr,
        begun: Arc<Semaphore>,
        go: watch::Sender<bool>,
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
    }

    async fn running(at_once: bool) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let (go, going) = watch::channel(at_once);
        let begun = Arc::new(Semaphore::new(0));
        let handler = Echo { begun: Arc::clone(&begun), go: going };
        Running { address, begun, go, stop, task: tokio::spawn(serve(listener, handler, LIMITS, stopped)) }
    }

    #[tokio::test]
    async fn a_stop_closes_idle_connections_and_the_listener() {
        let server = running(true).await;
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut buffer = [0; 1024];
        assert!(idle.read(&mut buffer).await.unwrap() > 0);
        server.stop.send_replace(true);
        server.task.await.unwrap();
        assert_eq!(idle.read(&mut buffer).await.unwrap(), 0, "the peer sees the end");
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn a_request_that_is_under_way_is_answered_before_the_end() {
        let server = running(false).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /late HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        // Nothing more will be said, which is no reason for not answering.
        stream.shutdown().await.unwrap();
        server.begun.acquire().await.unwrap().forget();
        server.stop.send_replace(true);
        server.go.send_replace(true);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("\r\n\r\n/late"), "{answer}");
        server.task.await.unwrap();
    }

    #[tokio::test]
    async fn bad_and_taken_ports_are_told() {
        assert_eq!(bind("http").await.err().unwrap(), "listen tcp: address http: invalid port");
        let taken = bind("0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let told = bind(&port.to_string()).await.err().unwrap();
        assert!(told.starts_with(&format!("listen tcp :{port}: ")), "{told}");
    }
}
