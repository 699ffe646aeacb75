//! How do sockets come to the threads that carry traffic?

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_proxy::Proxy;
use tidegate_proxy::config::Handle;
use tidegate_proxy::drain::Watch;
use tidegate_proxy::listener::chain::{ChainError, FilterChain, FilterChains};
use tidegate_proxy::listener::{
    Acceptor, BindError, Connections, ListenAddress, Listener, ListenerHandle, ListenerSettings, settings,
};
use tidegate_proxy::process::{self, Workers};

use super::log::Log;
use crate::limits::{KEEPALIVE, SIDE_CONNECTIONS_MAX};

/// Listeners that are open, and not served yet.
#[derive(Debug)]
pub(super) struct Listeners {
    /// Where, if not on all addresses.
    address: Option<IpAddr>,
    connections: Connections,
    /// Of those that have a route table of their own: they take connections however many requests bring.
    side: Connections,
    /// Each worker's.
    acceptors: Vec<Vec<Acceptor>>,
    log: Log,
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It takes no connections this way.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl Listeners {
    /// For so many workers, on this address or on all.
    #[must_use]
    pub(super) fn new(workers: NonZeroUsize, address: Option<IpAddr>, log: Log) -> Self {
        Self {
            address,
            connections: Connections::default(),
            side: Connections::at_most(SIDE_CONNECTIONS_MAX),
            acceptors: (0..workers.get()).map(|_| Vec::new()).collect(),
            log,
        }
    }

    /// Listens on `port`; of all addresses, of both versions where the machine has both, unless there is one that is said.
    ///
    /// # Errors
    /// When the port is taken.
    pub(super) fn open(
        &mut self,
        name: &'static str,
        port: u16,
        chain: FilterChain,
    ) -> Result<ListenerHandle, OpenError> {
        if let Some(address) = self.address {
            return self.open_at(name, SocketAddr::new(address, port), chain);
        }
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match self.open_at(name, both, chain.clone()) {
            Err(OpenError::Bind(error)) if has_no_ipv6(&error) => {
                self.open_at(name, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), chain)
            }
            opened => opened,
        }
    }

    /// Listens on one address.
    ///
    /// # Errors
    /// When it is taken, or not this machine's.
    pub(super) fn open_at(
        &mut self,
        name: &'static str,
        address: SocketAddr,
        chain: FilterChain,
    ) -> Result<ListenerHandle, OpenError> {
        let listener = self.bind(name, address, chain)?;
        self.log
            .info(format_args!("listening on {name} {}", listener.address()));
        let handle = listener.handle();
        for (worker, acceptor) in self.acceptors.iter_mut().zip(listener.into_acceptors()) {
            worker.push(acceptor);
        }
        Ok(handle)
    }

    fn bind(
        &self,
        name: &'static str,
        address: SocketAddr,
        chain: FilterChain,
    ) -> Result<Listener, OpenError> {
        let workers = NonZeroUsize::new(self.acceptors.len()).unwrap_or(NonZeroUsize::MIN);
        let is_side = !chain.http.route_table.is_empty();
        let connections = if is_side { &self.side } else { &self.connections };
        let settings = ListenerSettings {
            versions: settings::IpVersions::Both,
            connections: connections.clone(),
            tcp: settings::TcpSettings {
                keepalive: Some(KEEPALIVE),
                ..settings::TcpSettings::default()
            },
            ..ListenerSettings::new(name, ListenAddress::Tcp(address), FilterChains::one(chain)?)
        };
        Ok(Listener::open(settings, workers)?)
    }

    /// Starts the workers, each with a proxy of its own that follows `config`. They end with the drain.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn serve(self, config: &Handle, drain: &Watch) -> io::Result<Workers> {
        let count = NonZeroUsize::new(self.acceptors.len()).unwrap_or(NonZeroUsize::MIN);
        let acceptors = Arc::new(Mutex::new(self.acceptors));
        let (config, drain, log) = (config.clone(), drain.clone(), self.log);
        Workers::start(count, move |_index| {
            let acceptors = acceptors.lock().unwrap_or_else(PoisonError::into_inner).pop();
            work(
                acceptors.unwrap_or_default(),
                Proxy::new(config.clone(), drain.clone()),
                drain.clone(),
                log.clone(),
            )
        })
    }
}

/// Whether an address is refused because of its version, and not because somebody has the port.
fn has_no_ipv6(error: &BindError) -> bool {
    use io::ErrorKind::{AddrInUse, PermissionDenied};
    !matches!(error.source.kind(), AddrInUse | PermissionDenied)
}

/// One worker: serves its sockets, and stays until the last connection is done or cut.
async fn work(acceptors: Vec<Acceptor>, proxy: Proxy, drain: Watch, log: Log) {
    for acceptor in acceptors {
        let (serving, log) = (acceptor.serve(proxy.clone()), log.clone());
        process::spawn("acceptor", drain.unguarded(), async move {
            if let Err(error) = serving.await {
                log.error(format_args!("a socket cannot be served: {error}"));
            }
        });
    }
    drain.forced().await;
}
