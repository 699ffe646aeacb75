//! Which upstream connection a request takes: one that waits in this worker's pool, or a new one.

use std::collections::HashMap;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::{http1, http2};
use tokio::sync::watch;

use crate::body::Body;
use crate::cluster::{Address, Cluster, Endpoint, Protocol};
use crate::config::limits;
use crate::drain::Watch;
use crate::error::{Error, Kind};
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
    places: Mutex<Places>,
    drain: Watch,
}

#[derive(Debug, Default)]
struct Places {
    by_address: HashMap<Address, Place>,
    /// Whether the task runs that closes what has been idle for too long.
    swept: bool,
}

/// The connections to one address.
#[derive(Debug, Default)]
struct Place {
    idle: Vec<Idle>,
    multiplexed: Vec<Arc<Multiplexed>>,
    dialling: Option<watch::Receiver<Dialled>>,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Body>,
    retire_at: Instant,
}

/// An HTTP/2 connection, shared by the requests on its streams.
#[derive(Debug)]
struct Multiplexed {
    sender: http2::SendRequest<Body>,
    streams: AtomicUsize,
    idle_timeout: Duration,
    last_used: Mutex<Instant>,
}

/// How a dial that others wait for has come along.
#[derive(Clone, Copy, Debug)]
enum Dialled {
    NotYet,
    Failed(Kind),
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
    address: Address,
    idle_timeout: Duration,
}

/// One stream of a shared connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamSlot {
    connection: Arc<Multiplexed>,
}

/// How a request comes to a stream.
enum Turn {
    Has(StreamSlot),
    Waits(watch::Receiver<Dialled>),
    Dials(Dialling),
}

/// The dial that other requests wait for. Dropped without a word, as when its request is given up, it leaves the
/// dial to the next of them.
struct Dialling {
    pool: Pool,
    address: Address,
    outcome: watch::Sender<Dialled>,
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
        match cluster.settings().protocol {
            Protocol::Http1 => self.connection(cluster, endpoint.address(), freshness).await,
            Protocol::Http2 => {
                let (stream, reused) = self.stream(cluster, endpoint.address(), freshness).await?;
                let sender = stream.connection.sender.clone();
                Ok(Checkout::H2 {
                    sender,
                    stream,
                    reused,
                })
            }
        }
    }

    async fn connection(
        &self,
        cluster: &Cluster,
        address: &Address,
        freshness: Freshness,
    ) -> Result<Checkout, Error> {
        let pooled = match freshness {
            Freshness::Any => self.take_idle(address),
            Freshness::New => None,
        };
        let reused = pooled.is_some();
        let sender = match pooled {
            Some(sender) => sender,
            // Boxed, here and below: dialling is rare, and every request has room for what is not.
            None => Box::pin(connect::http1(cluster, address, &self.shared.drain)).await?,
        };
        let back = WayBack {
            pool: self.clone(),
            address: address.clone(),
            idle_timeout: cluster.settings().idle_timeout,
        };
        Ok(Checkout::H1 { sender, back, reused })
    }

    /// A stream, and whether its connection stood already. Requests that find none dial once for them all.
    async fn stream(
        &self,
        cluster: &Cluster,
        address: &Address,
        freshness: Freshness,
    ) -> Result<(StreamSlot, bool), Error> {
        let mut dialling = None;
        while freshness == Freshness::Any && dialling.is_none() {
            match self.turn(address) {
                Turn::Has(stream) => return Ok((stream, true)),
                Turn::Dials(turn) => dialling = Some(turn),
                Turn::Waits(mut dial) => {
                    // An error means that the dial is over: it succeeded, or is somebody else's turn.
                    _ = dial.changed().await;
                    if let Dialled::Failed(kind) = *dial.borrow() {
                        return Err(Error::new(kind));
                    }
                }
            }
        }
        match Box::pin(connect::http2(cluster, address, &self.shared.drain)).await {
            Ok(sender) => Ok((self.add_multiplexed(cluster, address, sender), false)),
            Err(error) => {
                if let Some(dialling) = dialling {
                    dialling.outcome.send_replace(Dialled::Failed(error.kind()));
                }
                Err(error)
            }
        }
    }

    /// The connection that was used last, so that the others grow old together.
    fn take_idle(&self, address: &Address) -> Option<http1::SendRequest<Body>> {
        let mut places = self.places();
        let idle = &mut places.by_address.get_mut(address)?.idle;
        let now = Instant::now();
        for at in (0..idle.len()).rev() {
            let Idle { sender, retire_at } = idle.get(at)?;
            if sender.is_closed() || *retire_at <= now {
                idle.swap_remove(at);
            } else if sender.is_ready() {
                return Some(idle.swap_remove(at).sender);
            }
            // Else its last request is still on its way out, behind an early response.
        }
        None
    }

    fn turn(&self, address: &Address) -> Turn {
        let mut places = self.places();
        let place = places.by_address.entry(address.clone()).or_default();
        place
            .multiplexed
            .retain(|connection| !connection.sender.is_closed());
        let free = place
            .multiplexed
            .iter()
            .find(|connection| connection.streams.load(Ordering::Relaxed) < limits::UPSTREAM_H2_STREAMS_MAX);
        match (free, &place.dialling) {
            (Some(connection), _) => Turn::Has(StreamSlot::open(connection)),
            (None, Some(dial)) => Turn::Waits(dial.clone()),
            (None, None) => {
                let (outcome, dial) = watch::channel(Dialled::NotYet);
                place.dialling = Some(dial);
                Turn::Dials(Dialling {
                    pool: self.clone(),
                    address: address.clone(),
                    outcome,
                })
            }
        }
    }

    fn add_multiplexed(
        &self,
        cluster: &Cluster,
        address: &Address,
        sender: http2::SendRequest<Body>,
    ) -> StreamSlot {
        let connection = Arc::new(Multiplexed {
            sender,
            streams: AtomicUsize::new(0),
            idle_timeout: cluster.settings().idle_timeout,
            last_used: Mutex::new(Instant::now()),
        });
        self.insert(address, |place| place.multiplexed.push(Arc::clone(&connection)));
        StreamSlot::open(&connection)
    }

    fn check_in(&self, address: &Address, sender: http1::SendRequest<Body>, idle_timeout: Duration) {
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

    fn insert(&self, address: &Address, add: impl FnOnce(&mut Place)) {
        let mut places = self.places();
        add(places.by_address.entry(address.clone()).or_default());
        if !std::mem::replace(&mut places.swept, true) {
            let pool = self.clone();
            process::spawn("pool-sweep", self.shared.drain.unguarded(), async move {
                pool.sweep().await;
            });
        }
    }

    /// Closes connections that have been idle for too long, until none is left or the drain begins.
    async fn sweep(&self) {
        let mut draining = self.shared.drain.draining();
        loop {
            tokio::select! {
                () = &mut draining => return *self.places() = Places::default(),
                () = tokio::time::sleep(limits::POOL_SWEEP_INTERVAL) => {}
            }
            let now = Instant::now();
            let mut places = self.places();
            places.by_address.retain(|_, place| place.keeps_any(now));
            if places.by_address.is_empty() {
                return places.swept = false;
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.shared.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Lets go what has been idle for too long; says whether anything is left.
    fn keeps_any(&mut self, now: Instant) -> bool {
        self.idle
            .retain(|idle| !idle.sender.is_closed() && idle.retire_at > now);
        self.multiplexed
            .retain(|connection| !connection.sender.is_closed() && !connection.is_stale(now));
        !self.idle.is_empty() || !self.multiplexed.is_empty() || self.dialling.is_some()
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
        self.pool.check_in(&self.address, sender, self.idle_timeout);
    }
}

impl Multiplexed {
    fn is_stale(&self, now: Instant) -> bool {
        self.streams.load(Ordering::Relaxed) == 0 && now.duration_since(*self.last_used()) > self.idle_timeout
    }

    fn last_used(&self) -> MutexGuard<'_, Instant> {
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamSlot {
    fn open(connection: &Arc<Multiplexed>) -> Self {
        connection.streams.fetch_add(1, Ordering::Relaxed);
        Self {
            connection: Arc::clone(connection),
        }
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        *self.connection.last_used() = Instant::now();
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        if let Some(place) = self.pool.places().by_address.get_mut(&self.address) {
            place.dialling = None;
        }
    }
}
