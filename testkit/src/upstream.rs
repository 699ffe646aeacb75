//! Which servers do tests stand behind the program under test? Scripted ones, on a free loopback port.
//!
//! [`Upstream`] speaks HTTP/1.1, h2c and WebSocket on one port (over TLS too) and counts what runs at once; [`RawUpstream`] hands the bare
//! connection to a script and keeps every byte.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub use self::counts::{Counts, Seen};
pub use self::echo::websocket as websocket_echo;
pub use self::raw::{RawConnection, RawUpstream};
use crate::body::{self, Body};
use crate::gate::Gate;
use crate::tls::{self, Handshake};
use crate::wait::eventually;

mod counts;
mod echo;
mod raw;

/// A server that answers by a handler. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    counts: Arc<Counts>,
    cut: Arc<Notify>,
    _acceptor: JoinSet<()>,
}

impl Upstream {
    /// Answers each request by `handler`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use http::Response;
    /// use tidegate_testkit::{body, client, upstream::Upstream};
    ///
    /// let upstream = Upstream::start(async |request| Response::new(body::full(request.uri().to_string()))).await;
    /// let answer = client::get(upstream.address(), "any.example", "/path?query").await;
    /// assert_eq!(answer.text(), "/path?query");
    /// # }
    /// ```
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start_on(bind().await, handler)
    }

    /// [`Upstream::start`] on a listener that is bound already, for a server that comes up late on a known port.
    ///
    /// # Panics
    /// When the listener has no address.
    #[must_use]
    pub fn start_on<H, F>(listener: TcpListener, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start_as(listener, None, handler)
    }

    /// [`Upstream::start`] over TLS; HTTP/1.1 or HTTP/2 by the client's first bytes, which follow the ALPN list of `config`.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start_tls<H, F>(config: ServerConfig, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start_as(bind().await, Some(config), handler)
    }

    fn start_as<H, F>(listener: TcpListener, tls: Option<ServerConfig>, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::serve_on(listener, Server::new(handler, tls))
    }

    fn serve_on<H, F>(listener: TcpListener, server: Server<H>) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let address = listener.local_addr().expect("a bound listener has an address");
        let counts = Arc::clone(&server.counts);
        let cut = Arc::new(Notify::new());
        let mut acceptor = JoinSet::new();
        acceptor.spawn(server.accept(listener, Arc::clone(&cut)));
        Self {
            address,
            counts,
            cut,
            _acceptor: acceptor,
        }
    }

    /// Streams each request's body (and trailers) back; `content-type` comes back too. What it saw: [`Upstream::seen`].
    pub async fn echo() -> Self {
        Self::start(async |request: Request<Incoming>| echo::stream_back(request)).await
    }

    /// A WebSocket server that understands an extended CONNECT over HTTP/2 too (RFC 8441), and says so.
    pub async fn websocket_over_http2(tls: Option<ServerConfig>) -> Self {
        let mut server = Server::new(echo::websocket, tls);
        server.connect = Connect::Announced;
        Self::serve_on(bind().await, server)
    }

    /// [`Upstream::echo`] over TLS.
    pub async fn echo_tls(config: ServerConfig) -> Self {
        Self::start_tls(config, async |request: Request<Incoming>| {
            echo::stream_back(request)
        })
        .await
    }

    /// Answers everything with `status` and `text`.
    pub async fn fixed(status: StatusCode, text: &'static str) -> Self {
        Self::start(move |_| async move { answer(status, text) }).await
    }

    /// Answers `200 held` to each request once `gate` lets it through.
    pub async fn held(gate: &Gate) -> Self {
        let gate = gate.clone();
        Self::start(move |_| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                answer(StatusCode::OK, "held")
            }
        })
        .await
    }

    /// Sends `200`, some of the body, and breaks off.
    pub async fn breaking_off(text: &'static str) -> Self {
        Self::start(move |_| async move { Response::new(echo::break_off_after(text)) }).await
    }

    /// Echoes WebSocket messages; answers plain requests `426`.
    pub async fn websocket() -> Self {
        Self::start(echo::websocket).await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The running counts: requests, connections, what ran at once.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The heads of all requests so far, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.counts.seen()
    }

    /// Waits until exactly `count` requests run here at once.
    ///
    /// # Panics
    /// At the deadline.
    pub async fn runs(&self, count: usize) {
        eventually(&format!("{count} requests at the upstream"), async || {
            let running = self.counts.running();
            if running == count {
                Ok(())
            } else {
                Err(format!("{running} requests"))
            }
        })
        .await;
    }

    /// Cuts every open connection, and keeps listening.
    pub fn cut_connections(&self) {
        self.cut.notify_one();
    }
}

/// A listener on a free loopback port.
///
/// # Panics
/// When there is none.
pub async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free loopback port")
}

/// An address where nobody listens, as long as nobody else on this machine takes it.
///
/// # Panics
/// When there is no free port.
pub async fn nobody() -> SocketAddr {
    bind()
        .await
        .local_addr()
        .expect("a bound listener has an address")
}

/// A response with a short text.
#[must_use]
pub fn answer(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    response
}

/// What every connection of an [`Upstream`] shares.
struct Server<H> {
    handler: Arc<H>,
    counts: Arc<Counts>,
    tls: Option<Arc<ServerConfig>>,
    connect: Connect,
}

/// Whether an extended CONNECT is understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connect {
    Unknown,
    Announced,
}

impl<H> Server<H> {
    fn new(handler: H, tls: Option<ServerConfig>) -> Self {
        Self {
            handler: Arc::new(handler),
            counts: Arc::default(),
            tls: tls.map(Arc::new),
            connect: Connect::Unknown,
        }
    }
}

impl<H, F> Server<H>
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    async fn accept(self, listener: TcpListener, cut: Arc<Notify>) {
        let server = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(Arc::clone(&server).connection(stream));
                    }
                }
                () = cut.notified() => connections.abort_all(),
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        stream
            .set_nodelay(true)
            .expect("a fresh socket takes TCP_NODELAY");
        let Some(config) = &self.tls else {
            return self.serve(stream, None).await;
        };
        // A handshake that fails shows at the client's end.
        if let Ok(stream) = tls::accept(stream, config).await {
            let handshake = Arc::new(Handshake::of(&stream));
            self.serve(stream, Some(handshake)).await;
        }
    }

    async fn serve<S>(&self, stream: S, tls: Option<Arc<Handshake>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = self.counts.connected(tls);
        let service = service_fn(|request: Request<Incoming>| {
            let running = self.counts.started(&request, &connection);
            let response = (self.handler)(request);
            async move { Ok::<_, Infallible>(response.await.map(|body| running.until_end_of(body))) }
        });
        // A peer that breaks off is part of many tests; what it did shows at its own end.
        let mut builder = auto::Builder::new(TokioExecutor::new());
        if self.connect == Connect::Announced {
            builder.http2().enable_connect_protocol();
        }
        drop(
            builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await,
        );
    }
}

#[cfg(test)]
mod tests;
