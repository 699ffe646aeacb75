//! How a worker takes connections from its socket, and hands each to a task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};

use super::balance::{Handed, Post, Seat};
use super::connections;
use super::open::Listening;
use super::{Acceptor, Ceiling, Shared};
use crate::config::limits;
use crate::connection::{self, Stream};
use crate::observe::metrics::{self, ProxyMetrics};
use crate::overload::Overload;
use crate::process;
use crate::worker::Proxy;

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
        self.shared.enrol(proxy.worker().config.counts());
        // What waits in the queue when the drain begins is part of it, also before this has run.
        let queue = (self.shared.watch.guard(), self.shared.accepting_watch.guard());
        async move {
            let served = self.accept(&proxy).await;
            drop(queue);
            served
        }
    }

    async fn accept(self, proxy: &Proxy) -> io::Result<()> {
        self.listen()?;
        let Self {
            socket,
            index,
            shared,
        } = self;
        let (post, mut inbox) = Post::take(&shared.workers, index).ok_or(io::ErrorKind::AlreadyExists)?;
        // Removed with the last of the workers' sockets.
        let (mut running, _file) = match socket {
            Listening::Tcp(socket) => (Running::Tcp(TcpListener::from_std(socket)?), None),
            Listening::Unix(socket, file) => (Running::Unix(UnixListener::from_std(socket)?), Some(file)),
        };
        let mut draining = shared.accepting_watch.draining();
        loop {
            let accepted = tokio::select! {
                accepted = running.accept(&shared, &post) => accepted,
                Some(handed) = inbox.recv() => Seated::handed(handed, &shared).map(Some),
                () = &mut draining => break,
            };
            let seated = match accepted {
                Ok(Some(seated)) => seated,
                // Another worker has it.
                Ok(None) => continue,
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
                        start(seated, None, proxy);
                        break;
                    }
                },
            };
            start(seated, Some(places), proxy);
        }
        post.close(&mut inbox);
        while let Some(handed) = inbox.recv().await {
            match Seated::handed(handed, &shared) {
                Ok(seated) => start(seated, shared.try_places(), proxy),
                Err(_) => ProxyMetrics::connection_refused(metrics::REFUSED_BY_SYSTEM),
            }
        }
        // Closing a socket of a group resets what waits in its queue: take that first, and ask the kernel for it,
        // as the runtime may not have heard of the latest ones yet.
        for _ in 0..limits::LISTEN_BACKLOG {
            match running.accept_now(&shared) {
                Ok(accepted) => {
                    let seat = post.seat();
                    start(Seated { accepted, seat }, shared.try_places(), proxy);
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

/// A connection's place under a listener's ceiling, where that holds for it.
type UnderCeiling = Option<connections::Place>;

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

    /// A place under the ceiling; fails where there is none left.
    fn under_ceiling(&self) -> Result<UnderCeiling, ()> {
        match &self.ceiling {
            Some(ceiling) if self.intake().ceiling == Ceiling::Holds => {
                ceiling.try_admit().map(Some).ok_or(())
            }
            _ => Ok(None),
        }
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

/// A connection that is served here.
struct Seated {
    accepted: Accepted,
    seat: Seat,
}

impl Seated {
    fn handed(handed: Handed, shared: &Arc<Shared>) -> io::Result<Self> {
        let Handed { stream, remote, seat } = handed;
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let accepted = Accepted::tcp(stream, remote, shared)?;
        Ok(Self { accepted, seat })
    }
}

fn start(seated: Seated, places: Option<Places>, proxy: &Proxy) {
    let Seated { accepted, seat } = seated;
    let Some(places) = places else {
        return accepted.shared.refused(metrics::REFUSED_TOO_MANY);
    };
    let Ok(source) = accepted.shared.connections.admit_source(accepted.remote) else {
        return accepted.shared.refused(metrics::REFUSED_SOURCE);
    };
    let Ok(under_ceiling) = accepted.shared.under_ceiling() else {
        return accepted.shared.refused(metrics::REFUSED_CEILING);
    };
    accepted.shared.metrics.accepted();
    let open = accepted.shared.counts().connection();
    let (guard, proxy) = (accepted.shared.watch.guard(), proxy.clone());
    let held = (places, under_ceiling, source, open, seat);
    process::spawn(
        "connection",
        guard.clone(),
        connection::serve(accepted, proxy, guard, held),
    );
}

impl Running {
    /// The next connection that comes to this worker, if no other is to have it.
    async fn accept(&mut self, shared: &Arc<Shared>, post: &Post) -> io::Result<Option<Seated>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                let Some((stream, seat)) = post.place(stream, remote)? else {
                    return Ok(None);
                };
                let accepted = Accepted::tcp(stream, remote, shared)?;
                Ok(Some(Seated { accepted, seat }))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Some(Seated {
                    accepted: Accepted::unix(stream, shared),
                    seat: post.seat(),
                }))
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
