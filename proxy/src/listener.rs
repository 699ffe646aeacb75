//! Who accepts sockets, how many, and what happens when a listener stops.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::config::http::HttpSettings;
use crate::config::limits;
use crate::connection;
use crate::normalize::edge::EdgePolicy;
use crate::observe::metrics::{self, ProxyMetrics};
use crate::process;
use crate::worker::Proxy;

/// A listening address: one socket for each worker, so that accepting needs no lock and no other thread.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    shared: Arc<Shared>,
    sockets: Vec<std::net::TcpListener>,
}

/// One worker's part of a [`Listener`].
#[derive(Debug)]
pub struct Acceptor {
    socket: std::net::TcpListener,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: Arc<HttpSettings>,
    connections: Connections,
}

/// How many connections the listeners of a process hold together, and may. Clones share the count.
#[derive(Clone, Debug)]
pub struct Connections {
    open: Arc<AtomicUsize>,
    max: usize,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.source))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
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

impl Connections {
    /// At most `max` connections at once. Default: [`limits::CONNECTIONS_MAX`].
    #[must_use]
    pub fn at_most(max: usize) -> Self {
        Self {
            open: Arc::default(),
            max,
        }
    }

    fn admit(&self) -> Option<Admission> {
        let admitted = self.open.fetch_add(1, Ordering::Relaxed) < self.max;
        let admission = Admission(Arc::clone(&self.open));
        admitted.then_some(admission)
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::at_most(limits::CONNECTIONS_MAX)
    }
}

struct Admission(Arc<AtomicUsize>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Listener {
    /// Listens on `address`, with a socket for each of `workers`. `edge` applies to every request.
    ///
    /// Port 0 takes a free one; [`Listener::address`] tells which.
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
        let failed = |source| BindError { address, source };
        // Sockets that share a port would join another program's group in silence: a lone one does not. A port
        // that the system chooses is nobody's.
        if address.port() != 0 {
            drop(open(address, Sharing::Alone).map_err(failed)?);
        }
        let first = open(address, Sharing::PerWorker).map_err(failed)?;
        let address = first
            .local_addr()
            .ok()
            .and_then(|bound| bound.as_socket())
            .unwrap_or(address);
        let others = (1..workers.get()).map(|_| open(address, Sharing::PerWorker));
        let sockets = std::iter::once(Ok(first)).chain(others).map(|socket| {
            let socket = socket?;
            socket.listen(limits::LISTEN_BACKLOG)?;
            Ok(socket.into())
        });
        let sockets = sockets.collect::<io::Result<_>>().map_err(failed)?;
        Ok(Self {
            address,
            shared: Arc::new(Shared {
                http: Arc::new(HttpSettings {
                    edge,
                    ..HttpSettings::default()
                }),
                connections,
            }),
            sockets,
        })
    }

    /// How connections that it accepts speak HTTP; in place of the defaults.
    #[must_use]
    pub fn speaking(mut self, http: HttpSettings) -> Self {
        self.shared = Arc::new(Shared {
            http: Arc::new(http),
            connections: self.shared.connections.clone(),
        });
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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

impl Acceptor {
    /// Accepts connections and serves them by `proxy` until the drain begins.
    ///
    /// Connections go on after that, in tasks of the runtime that this is called in: keep it until
    /// [`Watch::forced`](crate::drain::Watch::forced).
    ///
    /// # Errors
    /// When the socket cannot be used in the runtime that this is called in.
    pub fn serve(self, proxy: Proxy) -> impl Future<Output = io::Result<()>> + Send + use<> {
        // What waits in the queue when the drain begins is part of it, also before this has run.
        let queue = proxy.worker().drain.guard();
        async move {
            let served = self.accept(&proxy).await;
            drop(queue);
            served
        }
    }

    async fn accept(self, proxy: &Proxy) -> io::Result<()> {
        let drain = &proxy.worker().drain;
        let listener = TcpListener::from_std(self.socket)?;
        let mut draining = drain.draining();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, remote)) => start(stream, remote, &self.shared, proxy),
                    Err(error) => refused(&error).await,
                },
                () = &mut draining => break,
            }
        }
        // Closing a socket of a group resets what waits in its queue: take that first, and ask the kernel for it,
        // as the runtime may not have heard of the latest ones yet.
        let listener = listener.into_std()?;
        for _ in 0..limits::LISTEN_BACKLOG {
            match listener.accept() {
                Ok((stream, remote)) => {
                    stream.set_nonblocking(true)?;
                    start(TcpStream::from_std(stream)?, remote, &self.shared, proxy);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => ProxyMetrics::connection_refused(metrics::REFUSED_BY_SYSTEM),
            }
        }
        Ok(())
    }
}

fn start(stream: TcpStream, remote: SocketAddr, shared: &Shared, proxy: &Proxy) {
    let Some(admission) = shared.connections.admit() else {
        return ProxyMetrics::connection_refused(metrics::REFUSED_TOO_MANY);
    };
    let guard = proxy.worker().drain.guard();
    let (http, proxy) = (Arc::clone(&shared.http), proxy.clone());
    process::spawn("connection", guard.clone(), async move {
        connection::serve(stream, remote, http, proxy, guard).await;
        drop(admission);
    });
}

/// Most accept errors concern one connection; running out of descriptors lasts, and would spin.
async fn refused(error: &io::Error) {
    ProxyMetrics::connection_refused(metrics::REFUSED_BY_SYSTEM);
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(limits::ACCEPT_BACKOFF).await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    PerWorker,
}

/// A bound socket that does not listen yet: nobody can have connected to one that is closed again.
fn open(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    if sharing == Sharing::PerWorker {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
