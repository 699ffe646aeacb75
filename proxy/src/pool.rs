//! Which upstream connection a request takes: one that waits in this worker's pool, or a new one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::{http1, http2};

use crate::body::Body;
use crate::cluster::{Cluster, Endpoint, Protocol};
use crate::config::limits;
use crate::drain::Watch;
use crate::error::Error;
use crate::process;

pub(crate) mod connect;

/// The upstream connections of one worker, keyed by address: they survive new snapshots and endpoint updates.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Locked by requests of one worker only, so never contended there; never held over an await.
    places: Mutex<HashMap<SocketAddr, Place>>,
    drain: Watch,
}

/// The connections to one address.
#[derive(Debug, Default)]
struct Place {
    idle: Vec<Idle>,
    multiplexed: Vec<Multiplexed>,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Body>,
    retire_at: Instant,
}

#[derive(Clone, Debug)]
struct Multiplexed {
    sender: http2::SendRequest<Body>,
    streams: Arc<AtomicUsize>,
    idle_timeout: Duration,
    last_used: Arc<Mutex<Instant>>,
}

/// Whether a pooled connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// A pooled connection, else a new one.
    Any,
    /// A new one: a pooled one has just failed.
    New,
}

/// A connection that one request has.
pub(crate) enum Checkout {
    /// An HTTP/1.1 connection, this request's alone until it goes back.
    H1 {
        sender: http1::SendRequest<Body>,
        back: WayBack,
        reused: bool,
    },
    /// A stream's worth of an HTTP/2 connection.
    H2 {
        sender: http2::SendRequest<Body>,
        stream: StreamSlot,
        reused: bool,
    },
}

/// Where an HTTP/1.1 connection goes when its exchange is complete.
#[derive(Debug)]
pub(crate) struct WayBack {
    pool: Pool,
    address: SocketAddr,
    idle_timeout: Duration,
}

/// One stream of a shared connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamSlot {
    connection: Multiplexed,
}

impl Pool {
    pub(crate) fn new(drain: Watch) -> Self {
        Self {
            shared: Arc::new(Shared {
                places: Mutex::default(),
                drain,
            }),
        }
    }

    /// A connection to `endpoint` that speaks what `cluster` speaks.
    pub(crate) async fn checkout(
        &self,
        cluster: &Cluster,
        endpoint: &Endpoint,
        freshness: Freshness,
    ) -> Result<Checkout, Error> {
        let address = endpoint.address();
        let idle_timeout = cluster.settings().idle_timeout;
        match cluster.settings().protocol {
            Protocol::Http1 => {
                let pooled = (freshness == Freshness::Any)
                    .then(|| self.take_idle(address))
                    .flatten();
                let reused = pooled.is_some();
                let sender = match pooled {
                    Some(sender) => sender,
                    None => connect::http1(cluster, address, &self.shared.drain).await?,
                };
                let back = WayBack {
                    pool: self.clone(),
                    address,
                    idle_timeout,
                };
                Ok(Checkout::H1 { sender, back, reused })
            }
            Protocol::Http2 => {
                let pooled = (freshness == Freshness::Any)
                    .then(|| self.take_stream(address))
                    .flatten();
                let reused = pooled.is_some();
                let stream = match pooled {
                    Some(stream) => stream,
                    None => {
                        let sender = connect::http2(cluster, address, &self.shared.drain).await?;
                        self.add_multiplexed(address, sender, idle_timeout)
                    }
                };
                Ok(Checkout::H2 {
                    sender: stream.connection.sender.clone(),
                    stream,
                    reused,
                })
            }
        }
    }

    /// The connection that was used last, so that the others grow old together.
    fn take_idle(&self, address: SocketAddr) -> Option<http1::SendRequest<Body>> {
        let mut places = self.places();
        let idle = &mut places.get_mut(&address)?.idle;
        let now = Instant::now();
        idle.retain(|idle| !idle.sender.is_closed() && idle.retire_at > now);
        let ready = idle.iter().rposition(|idle| idle.sender.is_ready())?;
        Some(idle.swap_remove(ready).sender)
    }

    fn take_stream(&self, address: SocketAddr) -> Option<StreamSlot> {
        let mut places = self.places();
        let shared = &mut places.get_mut(&address)?.multiplexed;
        shared.retain(|connection| !connection.sender.is_closed());
        let free = shared.iter().find(|connection| {
            connection.streams.load(Ordering::Relaxed) < limits::UPSTREAM_H2_STREAMS_MAX
        })?;
        Some(StreamSlot::open(free.clone()))
    }

    fn add_multiplexed(
        &self,
        address: SocketAddr,
        sender: http2::SendRequest<Body>,
        idle_timeout: Duration,
    ) -> StreamSlot {
        let last_used = Arc::new(Mutex::new(Instant::now()));
        let connection = Multiplexed {
            sender,
            streams: Arc::default(),
            idle_timeout,
            last_used,
        };
        self.insert(address, |place| place.multiplexed.push(connection.clone()));
        StreamSlot::open(connection)
    }

    fn check_in(&self, address: SocketAddr, sender: http1::SendRequest<Body>, idle_timeout: Duration) {
        if self.shared.drain.is_draining() || sender.is_closed() {
            return;
        }
        let retire_at = Instant::now() + idle_timeout;
        self.insert(address, |place| {
            if place.idle.len() < limits::UPSTREAM_IDLE_MAX {
                place.idle.push(Idle { sender, retire_at });
            }
        });
    }

    fn insert(&self, address: SocketAddr, add: impl FnOnce(&mut Place)) {
        let mut places = self.places();
        let was_empty = places.is_empty();
        add(places.entry(address).or_default());
        if was_empty {
            let pool = self.clone();
            process::spawn("pool-sweep", self.shared.drain.guard(), async move {
                pool.sweep().await
            });
        }
    }

    /// Closes connections that have been idle for too long, until none is left or the drain begins.
    async fn sweep(&self) {
        let draining = self.shared.drain.draining();
        tokio::pin!(draining);
        loop {
            tokio::select! {
                () = &mut draining => return self.places().clear(),
                () = tokio::time::sleep(limits::POOL_SWEEP_INTERVAL) => {}
            }
            let now = Instant::now();
            let mut places = self.places();
            places.retain(|_, place| {
                place
                    .idle
                    .retain(|idle| !idle.sender.is_closed() && idle.retire_at > now);
                place
                    .multiplexed
                    .retain(|connection| !connection.sender.is_closed() && !connection.is_stale(now));
                !(place.idle.is_empty() && place.multiplexed.is_empty())
            });
            if places.is_empty() {
                return;
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<SocketAddr, Place>> {
        self.shared.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checkout {
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::H1 { reused, .. } | Self::H2 { reused, .. } => *reused,
        }
    }
}

impl WayBack {
    /// Gives the connection back, for the next request; hyper says later whether it is ready for one.
    pub(crate) fn check_in(self, sender: http1::SendRequest<Body>) {
        self.pool.check_in(self.address, sender, self.idle_timeout);
    }
}

impl Multiplexed {
    fn is_stale(&self, now: Instant) -> bool {
        let last_used = *self.last_used.lock().unwrap_or_else(PoisonError::into_inner);
        self.streams.load(Ordering::Relaxed) == 0 && now.duration_since(last_used) > self.idle_timeout
    }
}

impl StreamSlot {
    fn open(connection: Multiplexed) -> Self {
        connection.streams.fetch_add(1, Ordering::Relaxed);
        Self { connection }
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        *self
            .connection
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
