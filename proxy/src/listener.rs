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
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::config::http::HttpSettings;
use crate::drain::{Drain, Fade, Outcome, Watch};
use crate::normalize::edge::EdgePolicy;
use crate::observe::counts::{Counts, ListenerCounts};
use crate::observe::metrics::{ListenerMetrics, ProxyMetrics};

mod accept;
mod balance;
pub mod chain;
mod connections;
mod open;
mod retired;
pub mod settings;

pub(crate) use accept::Accepted;
use balance::Workers;
use chain::FilterChains;
pub(crate) use connections::Place;
pub use connections::{ChainLimit, Connections};
use open::Listening;
pub use retired::Retired;
pub use settings::{Balance, ListenAddress, ListenerSettings};
use settings::{Begin, ProxyProtocol, TcpSettings};

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
    index: usize,
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
    /// How long the kernel's queue is, where it is not there before somebody accepts.
    late_backlog: Option<u32>,
    intake: ArcSwap<Intake>,
    pub(crate) connections: Connections,
    own: Option<Connections>,
    ceiling: Option<Connections>,
    pub(crate) chains: ArcSwap<FilterChains>,
    pub(crate) metrics: ListenerMetrics,
    counts: OnceLock<Arc<ListenerCounts>>,
    workers: Arc<Workers>,
    drain: Drain,
    watch: Watch,
    /// A part of `drain` that accepts: it can end before the rest does.
    accepting: Drain,
    accepting_watch: Watch,
}

/// What a connection meets before its filter chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intake {
    /// Whether a PROXY header comes first.
    pub proxy_protocol: ProxyProtocol,
    /// How long a connection may take until HTTP can begin.
    pub handshake_timeout: Duration,
    /// Whether the listener's ceiling holds.
    pub ceiling: Ceiling,
}

/// Whether [`ListenerSettings::ceiling`] holds for connections of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ceiling {
    /// It does.
    #[default]
    Holds,
    /// They are not counted there, and taken whatever it is.
    Exempt,
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
        let ((drain, watch), (accepting, accepting_watch)) = (Drain::new(), Drain::new());
        watch.lead(&accepting_watch);
        let metrics = ListenerMetrics::new(&settings.name);
        tell_expiry(&metrics, &settings.chains);
        settings.chains.join(&watch);
        let intake = Intake {
            proxy_protocol: settings.proxy_protocol,
            handshake_timeout: settings.handshake_timeout,
            ceiling: Ceiling::default(),
        };
        let shared = Shared {
            address,
            tcp: settings.tcp,
            late_backlog: (settings.begin == Begin::Served).then_some(settings.backlog),
            intake: ArcSwap::from_pointee(intake),
            connections: settings.connections,
            own: settings
                .connections_max
                .map(|max| Connections::at_most(max.get())),
            ceiling: settings.ceiling,
            chains: ArcSwap::from_pointee(settings.chains),
            metrics,
            counts: OnceLock::new(),
            workers: Arc::new(Workers::new(workers, settings.balance)),
            name: settings.name,
            drain,
            watch,
            accepting,
            accepting_watch,
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
        self.sockets
            .into_iter()
            .enumerate()
            .map(move |(index, socket)| Acceptor {
                socket,
                index,
                shared: Arc::clone(&shared),
            })
    }
}

impl Acceptor {
    /// Lets clients connect, as a listener does that begins with that: they wait in the kernel's queue until a worker serves it. What
    /// listens already goes on.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(&self) -> io::Result<()> {
        match self.shared.late_backlog {
            Some(backlog) => self.socket.listen(backlog),
            None => Ok(()),
        }
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
        _ = self.replace_chains(chains);
    }

    /// Replaces its filter chains as [`set_chains`](Self::set_chains) does, and says which are not there any more, so that
    /// their connections can be drained. A chain that is as before, with the same `Arc`s in it, stays the one it was.
    #[must_use = "connections of what it returns go on until they are drained"]
    pub fn replace_chains(&self, chains: FilterChains) -> Retired {
        let shared = &self.shared;
        let (chains, gone) = chains.keeping(&shared.chains.load());
        tell_expiry(&shared.metrics, &chains);
        chains.join(&shared.watch);
        if let Some(counts) = shared.counts.get() {
            chains.enrol(counts);
        }
        shared.chains.store(Arc::new(chains));
        Retired::new(&gone)
    }

    /// Replaces what connections that begin from now on meet before their filter chain.
    pub fn set_intake(&self, intake: Intake) {
        self.shared.intake.store(Arc::new(intake));
    }

    /// Stops accepting, for good: what waits in its queue is taken and nothing more. Its connections go on.
    pub fn close(&self) {
        self.shared.accepting.start();
    }

    /// Resolves once [`close`](Self::close), or a drain, has closed the last socket of every worker that has begun to
    /// serve: its address is free.
    pub async fn closed(&self) {
        self.shared.accepting.idle().await;
    }

    /// Parts with its clients by and by; in place of what was said before.
    pub fn fade(&self, fade: Fade) {
        self.shared.drain.fade(fade);
    }

    /// Closes it, parts with its clients as `fade` says for `grace`, then cuts those that are left, after a moment for
    /// their last words.
    pub async fn retire(&self, fade: Fade, grace: Duration) -> Outcome {
        self.close();
        self.shared.drain.fade_out(fade, grace).await
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

    /// What a connection that begins now meets first.
    pub(crate) fn intake(&self) -> Intake {
        **self.intake.load()
    }

    /// Has its numbers kept among those of all listeners.
    fn enrol(&self, counts: &Counts) {
        let counts = self
            .counts
            .get_or_init(|| counts.listener(&self.name, &self.address));
        self.chains.load().enrol(counts);
    }

    /// What has happened at it.
    pub(crate) fn counts(&self) -> &Arc<ListenerCounts> {
        let own = || Arc::new(ListenerCounts::new(Arc::clone(&self.name), self.address.clone()));
        self.counts.get_or_init(own)
    }

    /// A connection is refused, for this reason.
    pub(crate) fn refused(&self, reason: &'static str) {
        ProxyMetrics::connection_refused(reason);
        self.counts().refused(reason);
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
