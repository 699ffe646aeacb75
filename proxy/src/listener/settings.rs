//! What a listener is told: where it listens, for whom, and what it does with a connection.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::num::NonZeroUsize;
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
//! use tidegate_proxy::listener::settings::{ListenerSettings, ProxyProtocol};
//! use tidegate_proxy::listener::Listener;
//!
//! let chains = FilterChains::one(FilterChain::plain(HttpSettings::default()))?;
//! let mut settings = ListenerSettings::new("edge", "127.0.0.1:0".parse::<SocketAddr>()?, chains);
//! settings.proxy_protocol = ProxyProtocol::Required;
//! settings.connections_max = NonZeroUsize::new(1000);
//! let listener = Listener::open(settings, NonZeroUsize::MIN)?;
//! assert_eq!(&**listener.handle().name(), "edge");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::chain::FilterChains;
use super::connections::Connections;
use crate::config::limits;

/// What a listener is told.
#[derive(Debug)]
pub struct ListenerSettings {
    /// Its name in metrics and logs.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: ListenAddress,
    /// Whether an IPv6 address takes IPv4 clients too. Default: no.
    pub versions: IpVersions,
    /// How many connections the kernel keeps until they are accepted; for each worker. Default:
    /// [`limits::LISTEN_BACKLOG`].
    pub backlog: u32,
    /// Whether sockets of this process may have the address already, or one that overlaps it. Default: no.
    pub neighbours: Neighbours,
    /// When clients can connect. Default: as soon as it is open.
    pub begin: Begin,
    /// Options of its TCP connections. Default: no delay, no keepalive.
    pub tcp: TcpSettings,
    /// Whether a PROXY header comes first. Default: no.
    pub proxy_protocol: ProxyProtocol,
    /// How long a connection may take until HTTP can begin: for its PROXY header and its TLS handshake. Then it is closed.
    /// Default: [`limits::HANDSHAKE_TIMEOUT`].
    pub handshake_timeout: Duration,
    /// The bound that it shares with other listeners. Default: one of its own.
    pub connections: Connections,
    /// How many connections it alone may hold. Default: as many as `connections` says.
    pub connections_max: Option<NonZeroUsize>,
    /// A bound that it shares with other listeners, above which a connection is closed at once instead of waiting in the queue (Envoy's
    /// limit on all downstream connections). Default: none.
    pub ceiling: Option<Connections>,
    /// How evenly its connections are spread over the workers. Default: roughly.
    pub balance: Balance,
    /// What becomes of a connection.
    pub chains: FilterChains,
}

/// How evenly a listener's connections are spread over the workers. The kernel does it by hash; a worker that has more than
/// another by what is said here hands a new connection on. Unix sockets share one queue, and are not looked after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// A few are spread evenly; of many a worker may have one more for each [`limits::BALANCE_SLACK_PART`].
    #[default]
    Rough,
    /// No worker has two more than another (Envoy's `exact_balance`).
    Exact,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port; 0 takes a free one.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(UnixAddress),
}

/// Where a unix socket is. A socket there that nobody listens on is replaced; anything else there is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixAddress {
    /// Its path.
    pub path: PathBuf,
    /// Its permissions, such as `0o660`; `None` leaves them to the process's umask. Nobody can connect before they hold.
    pub mode: Option<u32>,
}

/// Which clients reach an IPv6 address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpVersions {
    /// Those of its own version.
    #[default]
    Own,
    /// Those of both, where it is `[::]`; IPv4 clients are shown by their IPv4 address.
    Both,
}

/// Whose sockets may be at an address, or at one that overlaps it, such as `0.0.0.0:80` does `127.0.0.1:80`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Neighbours {
    /// Nobody's: then the address is taken, whoever has it.
    #[default]
    None,
    /// This process's, whose caller knows that it has some there: a listener that moves opens its new address before it closes the old
    /// one. A connection comes to the one whose address fits best. That nobody else is there is not found out.
    Own,
}

/// When clients of a listener can connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// As soon as it is open; they wait in the kernel's queue until somebody accepts.
    #[default]
    Opened,
    /// Once it is told to [listen](super::Acceptor::listen), or a worker [serves](super::Acceptor::serve) it; until then the address is taken and they are refused.
    Served,
}

/// Options of TCP connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSettings {
    /// Whether small writes go out at once (`TCP_NODELAY`). Default: yes.
    pub delay: Delay,
    /// How the kernel finds out that a silent client is gone. Default: not.
    pub keepalive: Option<Keepalive>,
}

/// Whether the kernel may wait for more before it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delay {
    /// It sends at once.
    #[default]
    None,
    /// Nagle's algorithm (RFC 896).
    Nagle,
}

/// TCP keep-alive probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long a connection is silent before the first.
    pub idle: Duration,
    /// How long between two.
    pub interval: Duration,
    /// How many without an answer end the connection.
    pub probes: u32,
}

/// Whether a PROXY header (version 1 or 2) comes before everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// There is none; what looks like one is what HTTP or TLS makes of it.
    #[default]
    Off,
    /// A connection without one is closed.
    Required,
    /// A connection without one is its sender's own. Only where every sender is trusted: each may claim any address.
    Optional,
}

impl ListenerSettings {
    /// The defaults, for this address and these chains.
    pub fn new(name: impl Into<Arc<str>>, address: impl Into<ListenAddress>, chains: FilterChains) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            versions: IpVersions::default(),
            backlog: limits::LISTEN_BACKLOG,
            neighbours: Neighbours::default(),
            begin: Begin::default(),
            tcp: TcpSettings::default(),
            proxy_protocol: ProxyProtocol::default(),
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            connections: Connections::default(),
            connections_max: None,
            ceiling: None,
            balance: Balance::default(),
            chains,
        }
    }
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self {
            delay: Delay::None,
            keepalive: None,
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<PathBuf> for ListenAddress {
    fn from(path: PathBuf) -> Self {
        Self::Unix(UnixAddress { path, mode: None })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(address) => address.path.display().fmt(f),
        }
    }
}
