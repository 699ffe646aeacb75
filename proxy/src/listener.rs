//! Who accepts sockets, how many, and what happens when a listener stops.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use std::time::Duration;
//! use http::StatusCode;
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::listener::{Connections, Listener};
//! use tidegate_proxy::normalize::edge::EdgePolicy;
//! use tidegate_proxy::route::{Domain, Route, VirtualHost};
//! use tidegate_proxy::{Proxy, process};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = VirtualHost::new("all", [Domain::Any], [Route::respond(StatusCode::OK, "hello")]);
//! let (drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::new([host], [])), watch.clone());
//!
//! let (address, edge) = ("127.0.0.1:0".parse()?, EdgePolicy::default());
//! let listener = Listener::bind(address, NonZeroUsize::MIN, edge, Connections::default())?;
//! let address = listener.address();
//! for acceptor in listener.into_acceptors() {
//!     process::spawn("acceptor", watch.unguarded(), acceptor.serve(proxy.clone()));
//! }
//!
//! let mut client = tokio::net::TcpStream::connect(address).await?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hello"));
//! assert_eq!(drain.finish(Duration::from_secs(10)).await.forced, 0);
//! # Ok(()) }
//! ```

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, UnixListener};

use crate::config::http::HttpSettings;
use crate::config::limits;
use crate::connection::{self, Stream};
use crate::drain::{Drain, Outcome, Watch};
use crate::normalize::edge::EdgePolicy;
use crate::observe::metrics::{self, ListenerMetrics, ProxyMetrics};
use crate::overload::Overload;
use crate::process;
use crate::worker::Proxy;

pub mod chain;
mod connections;
mod open;
pub mod settings;

use chain::FilterChains;
pub use connections::Connections;
use open::Listening;
pub use settings::{ListenAddress, ListenerSettings};
use settings::{ProxyProtocol, TcpSettings};

/// A listening address: one socket for each worker, so that accepting needs no lock and no other thread.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    sockets: Vec<Listening>,
}

/// One worker's part of a [`Listener`].
#[derive(Debug)]
pub struct Acceptor {
    socket: Listening,
    shared: Arc<Shared>,
}

/// Changes and stops a listener that runs. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct ListenerHandle {
    shared: Arc<Shared>,
}

/// What a listener's workers and connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    name: Arc<str>,
    address: ListenAddress,
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "Linux hands options on"))]
    tcp: TcpSettings,
    pub(crate) proxy_protocol: ProxyProtocol,
    pub(crate) handshake_timeout: Duration,
    pub(crate) connections: Connections,
    own: Option<Connections>,
    pub(crate) chains: ArcSwap<FilterChains>,
    pub(crate) metrics: ListenerMetrics,
    drain: Drain,
    watch: Watch,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.source))]
pub struct BindError {
    /// The address.
    pub address: ListenAddress,
    /// What the system said.
    pub source: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is taken by another program".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need more rights".to_owned(),
        _ => error.to_string(),
    }
}

impl Listener {
    /// Listens on `address` for plain HTTP, with a socket for each of `workers`. `edge` applies to every request.
    ///
    /// Port 0 takes a free one; [`Listener::address`] tells which. [`Listener::open`] is for everything else.
    ///
    /// # Errors
    /// When the address is taken, also by a group of sockets of another instance of this program, or is
    /// not this machine's.
    pub fn bind(
        address: SocketAddr,
        workers: NonZeroUsize,
        edge: EdgePolicy,
        connections: Connections,
    ) -> Result<Self, BindError> {
        let http = HttpSettings {
            edge,
            ..HttpSettings::default()
        };
        let settings = ListenerSettings {
            connections,
            ..ListenerSettings::new(address.to_string(), address, FilterChains::plain(http))
        };
        Self::open(settings, workers)
    }

    /// Listens as the settings say, with a socket for each of `workers`.
    ///
    /// # Errors
    /// When the address is taken, also by a group of sockets of another instance of this program, or is
    /// not this machine's; and what the file system says of a unix socket's path.
    pub fn open(settings: ListenerSettings, workers: NonZeroUsize) -> Result<Self, BindError> {
        let (address, sockets) = open::open(&settings, workers).map_err(|source| BindError {
            address: settings.address.clone(),
            source,
        })?;
        let (drain, watch) = Drain::new();
        let metrics = ListenerMetrics::new(&settings.name);
        tell_expiry(&metrics, &settings.chains);
        let shared = Shared {
            address,
            tcp: settings.tcp,
            proxy_protocol: settings.proxy_protocol,
            handshake_timeout: settings.handshake_timeout,
            connections: settings.connections,
            own: settings
                .connections_max
                .map(|max| Connections::at_most(max.get())),
            chains: ArcSwap::from_pointee(settings.chains),
            metrics,
            name: settings.name,
            drain,
            watch,
        };
        Ok(Self {
            shared: Arc::new(shared),
            sockets,
        })
    }

    /// How connections that it accepts speak HTTP, all of them without TLS; in place of its filter chains.
    #[must_use]
    pub fn speaking(self, http: HttpSettings) -> Self {
        self.handle().set_chains(FilterChains::plain(http));
        self
    }

    /// Where it listens; of a unix socket, which has no such address, the unspecified one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self.shared.address {
            ListenAddress::Tcp(address) => address,
            ListenAddress::Unix(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        }
    }

    /// What changes and stops it once it runs.
    #[must_use]
    pub fn handle(&self) -> ListenerHandle {
        ListenerHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// The workers' parts.
    pub fn into_acceptors(self) -> impl Iterator<Item = Acceptor> {
        let shared = self.shared;
        self.sockets.into_iter().map(move |socket| Acceptor {
            socket,
            shared: Arc::clone(&shared),
        })
    }
}

impl ListenerHandle {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &ListenAddress {
        &self.shared.address
    }

    /// Replaces its filter chains, certificates among them, for connections that begin from now on; those that stand
    /// keep what they began with.
    pub fn set_chains(&self, chains: FilterChains) {
        tell_expiry(&self.shared.metrics, &chains);
        self.shared.chains.store(Arc::new(chains));
    }

    /// Stops it: accepts what waits in its queue and nothing more, lets its connections finish for `grace`, then cuts
    /// them. Its address is free once its workers have heard of it, long before the end of `grace`.
    pub async fn stop(&self, grace: Duration) -> Outcome {
        self.shared.drain.end(grace).await
    }
}

impl Shared {
    /// Sees the listener's drain, which begins with the process's at the latest.
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The address that every connection came to, where there is only one.
    pub(crate) fn one_address(&self) -> Option<SocketAddr> {
        match self.address {
            ListenAddress::Tcp(address) if !address.ip().is_unspecified() => Some(address),
            _ => None,
        }
    }
}

fn tell_expiry(metrics: &ListenerMetrics, chains: &FilterChains) {
    for chain in chains.iter() {
        if let Some(at) = chain.tls.as_ref().and_then(|tls| tls.expires_at()) {
            metrics.certificate_expires(&chain.name, at);
        }
    }
}

/// A socket in the runtime that accepts on it.
enum Running {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that has been accepted.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    /// None for a unix socket.
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) shared: Arc<Shared>,
}

impl Acceptor {
    /// Accepts connections and serves them by `proxy` until the drain begins: the process's, or the listener's own.
    ///
    /// Connections go on after that, in tasks of the runtime that this is called in: keep it until
    /// [`Watch::forced`](crate::drain::Watch::forced).
    ///
    /// # Errors
    /// When the socket cannot be used in the runtime that this is called in.
    pub fn serve(self, proxy: Proxy) -> impl Future<Output = io::Result<()>> + Send + use<> {
        proxy.worker().drain.adopt(&self.shared.watch);
        // What waits in the queue when the drain begins is part of it, also before this has run.
        let queue = self.shared.watch.guard();
        async move {
            let served = self.accept(&proxy).await;
            drop(queue);
            served
        }
    }

    async fn accept(self, proxy: &Proxy) -> io::Result<()> {
        let Self { socket, shared } = self;
        // Removed with the last of the workers' sockets.
        let (mut running, _file) = match socket {
            Listening::Tcp(socket) => (Running::Tcp(TcpListener::from_std(socket)?), None),
            Listening::Unix(socket, file) => (Running::Unix(UnixListener::from_std(socket)?), Some(file)),
        };
        let mut draining = shared.watch.draining();
        loop {
            let accepted = tokio::select! {
                accepted = running.accept(&shared) => accepted,
                () = &mut draining => break,
            };
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    refused(&error).await;
                    continue;
                }
            };
            let overload = proxy.worker().metrics.overload();
            let places = match shared.try_places().filter(|_| overload.accepts_connections()) {
                Some(places) => places,
                // Nothing more is accepted meanwhile: the kernel keeps the others.
                None => tokio::select! {
                    places = shared.places(overload) => places,
                    () = &mut draining => {
                        start(accepted, None, proxy);
                        break;
                    }
                },
            };
            start(accepted, Some(places), proxy);
        }
        // Closing a socket of a group resets what waits in its queue: take that first, and ask the kernel for it,
        // as the runtime may not have heard of the latest ones yet.
        for _ in 0..limits::LISTEN_BACKLOG {
            match running.accept_now(&shared) {
                Ok(accepted) => {
                    let places = shared.try_places();
                    start(accepted, places, proxy);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => ProxyMetrics::connection_refused(metrics::REFUSED_BY_SYSTEM),
            }
        }
        Ok(())
    }
}

/// A connection's places under the bounds that hold for it.
struct Places {
    _process: connections::Place,
    _own: Option<connections::Place>,
}

impl Shared {
    fn try_places(&self) -> Option<Places> {
        let own = match &self.own {
            Some(own) => Some(own.try_admit()?),
            None => None,
        };
        let process = self.connections.try_admit()?;
        Some(Places {
            _process: process,
            _own: own,
        })
    }

    async fn places(&self, overload: &Overload) -> Places {
        self.metrics.paused();
        tracing::warn!(listener = %self.name, "as many connections as may be: accepting pauses until one ends");
        while !overload.accepts_connections() {
            // How much memory there is, is looked at as often.
            tokio::time::sleep(limits::MEMORY_SAMPLE_INTERVAL).await;
        }
        let own = match &self.own {
            Some(own) => Some(own.admit().await),
            None => None,
        };
        Places {
            _process: self.connections.admit().await,
            _own: own,
        }
    }
}

fn start(accepted: Accepted, places: Option<Places>, proxy: &Proxy) {
    let Some(places) = places else {
        return ProxyMetrics::connection_refused(metrics::REFUSED_TOO_MANY);
    };
    let Ok(source) = accepted.shared.connections.admit_source(accepted.remote) else {
        return ProxyMetrics::connection_refused(metrics::REFUSED_SOURCE);
    };
    accepted.shared.metrics.accepted();
    let (guard, proxy) = (accepted.shared.watch.guard(), proxy.clone());
    process::spawn("connection", guard.clone(), async move {
        connection::serve(accepted, proxy, guard).await;
        drop((places, source));
    });
}

impl Running {
    async fn accept(&mut self, shared: &Arc<Shared>) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                Accepted::tcp(stream, remote, shared)
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted::unix(stream, shared))
            }
        }
    }

    /// What the kernel has in its queue at this moment.
    fn accept_now(&self, shared: &Arc<Shared>) -> io::Result<Accepted> {
        let (socket, remote) = match self {
            Self::Tcp(listener) => socket2::SockRef::from(listener).accept()?,
            Self::Unix(listener) => socket2::SockRef::from(listener).accept()?,
        };
        socket.set_nonblocking(true)?;
        match (self, remote.as_socket()) {
            (Self::Tcp(_), Some(remote)) => {
                Accepted::tcp(tokio::net::TcpStream::from_std(socket.into())?, remote, shared)
            }
            _ => Ok(Accepted::unix(
                tokio::net::UnixStream::from_std(socket.into())?,
                shared,
            )),
        }
    }
}

impl Accepted {
    fn tcp(stream: tokio::net::TcpStream, remote: SocketAddr, shared: &Arc<Shared>) -> io::Result<Self> {
        #[cfg(not(target_os = "linux"))]
        open::set_options(&socket2::SockRef::from(&stream), &shared.tcp)?;
        let local = match shared.one_address() {
            Some(address) => address,
            None => stream.local_addr()?,
        };
        Ok(Self {
            stream: stream.into(),
            remote: Some(canonical(remote)),
            local: Some(canonical(local)),
            shared: Arc::clone(shared),
        })
    }

    fn unix(stream: tokio::net::UnixStream, shared: &Arc<Shared>) -> Self {
        Self {
            stream: stream.into(),
            remote: None,
            local: None,
            shared: Arc::clone(shared),
        }
    }
}

/// An IPv4 client of an IPv6 socket is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(address.ip().to_canonical(), address.port())
        }
        _ => address,
    }
}

/// Most accept errors concern one connection; running out of descriptors or memory lasts, and would spin.
async fn refused(error: &io::Error) {
    ProxyMetrics::connection_refused(metrics::REFUSED_BY_SYSTEM);
    tracing::warn!(%error, "a connection could not be accepted");
    let passing = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    );
    if !passing {
        tokio::time::sleep(limits::ACCEPT_BACKOFF).await;
    }
}
