//! How the listeners and worker threads of `up` are set up.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_proxy::Proxy;
use tidegate_proxy::config::Handle;
use tidegate_proxy::config::http::{DownstreamTimeouts, HttpSettings};
use tidegate_proxy::drain::Watch;
use tidegate_proxy::listener::{Acceptor, BindError, Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::process::Workers;

use crate::address::ListenAddress;

/// How long a request may take is its revision's to say: a cold start may keep it waiting for as long.
fn speech(edge: &EdgePolicy) -> HttpSettings {
    HttpSettings {
        edge: edge.clone(),
        timeouts: DownstreamTimeouts {
            stream_idle: None,
            ..DownstreamTimeouts::default()
        },
        ..HttpSettings::default()
    }
}

/// The sockets of `up`'s one HTTP address, bound and not yet served.
pub(crate) struct Front {
    listeners: Vec<Listener>,
    workers: NonZeroUsize,
}

impl Front {
    /// Binds each address. Only the first has to exist: a machine may be without IPv6.
    pub(crate) fn bind(
        http: &ListenAddress,
        workers: NonZeroUsize,
        edge: &EdgePolicy,
    ) -> Result<Self, BindError> {
        let connections = Connections::default();
        let mut listeners: Vec<Listener> = Vec::new();
        for &address in http.addresses() {
            let port = listeners
                .first()
                .map_or(address.port(), |first| first.address().port());
            let address = SocketAddr::new(address.ip(), port);
            match Listener::bind(address, workers, edge.clone(), connections.clone()) {
                Ok(listener) => listeners.push(listener.speaking(speech(edge))),
                Err(error) if !listeners.is_empty() && no_such_address(&error.source) => {
                    tracing::debug!(%address, %error, "left out");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self { listeners, workers })
    }

    /// The port that all its addresses share.
    pub(crate) fn port(&self) -> u16 {
        self.listeners
            .first()
            .map_or(0, |listener| listener.address().port())
    }

    /// Starts the workers: each with its own proxy, which follows `config`.
    pub(crate) fn serve(self, config: &Handle, drain: &Watch) -> io::Result<Workers> {
        let mut seats: Vec<Vec<Acceptor>> = (0..self.workers.get()).map(|_| Vec::new()).collect();
        for listener in self.listeners {
            for (seat, acceptor) in seats.iter_mut().zip(listener.into_acceptors()) {
                seat.push(acceptor);
            }
        }
        let seats = Arc::new(Mutex::new(seats));
        let (config, drain) = (config.clone(), drain.clone());
        Workers::start(self.workers, move |_index| {
            let acceptors = seats
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()
                .unwrap_or_default();
            work(acceptors, config.clone(), drain.clone())
        })
    }
}

/// One worker: accepts on its sockets, and stays until the last of its requests is done or cut.
async fn work(acceptors: Vec<Acceptor>, config: Handle, drain: Watch) {
    let proxy = Proxy::new(config, drain.clone());
    let forced = drain.forced();
    let serving = acceptors
        .into_iter()
        .map(|acceptor| acceptor.serve(proxy.clone()));
    for served in futures_util::future::join_all(serving).await {
        if let Err(error) = served {
            tracing::error!(%error, "a listener could not be used");
        }
    }
    // The drain's end comes to every worker, after the last guard of them all is gone.
    forced.await;
}

fn no_such_address(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}
