//! Which upstream connection a request takes: one that waits in this worker's pool, or a new one.

use std::future::Future;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::Request;
use tokio::sync::watch;

use crate::body::Body;
use crate::clock;
use crate::cluster::breaker::{self, Permit, RequestPriority};
use crate::cluster::transport::Protocol;
use crate::cluster::{Cluster, Endpoint};
use crate::config::limits;
use crate::drain::{Guard, Watch};
use crate::error::Error;
use crate::hash::HashMap;
use crate::observe::counts::one;
use crate::process;
use crate::proxy_protocol::Addresses;

pub(crate) mod connect;
mod h1;
mod h2;
mod held;
pub(crate) mod key;
mod place;
mod stream;
mod turn;

pub(crate) use h1::Connection;
pub(crate) use held::Held;
pub(crate) use place::StreamSlot;
pub(crate) use stream::Stream;

use connect::Spoken;
use key::Key;
use place::{Dialled, Idle, Multiplexed, Place, Refusal, Tenure};

/// The upstream connections of one worker, keyed by settings and address: they survive new snapshots and endpoint
/// updates.
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
    by_key: HashMap<Key, Place>,
    /// Whether the task runs that closes what has been idle for too long.
    swept: bool,
}

/// What a request wants a connection for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) freshness: Freshness,
    pub(crate) priority: RequestPriority,
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
        connection: Box<Connection>,
        back: WayBack,
        reused: bool,
    },
    /// A stream's worth of an HTTP/2 connection.
    H2 { stream: StreamSlot, reused: bool },
}

/// Where an HTTP/1.1 connection goes when its exchange is complete.
#[derive(Debug)]
pub(crate) struct WayBack {
    pool: Pool,
    key: Key,
    tenure: Tenure,
}

/// How a request comes to a connection that others may wait for too.
enum Turn {
    Has(Checkout),
    Waits(watch::Receiver<Dialled>),
    Dials(Option<Dialling>),
}

/// The dial that other requests wait for. Dropped without a word, as when its request is given up, it leaves the
/// dial to the next of them.
struct Dialling {
    pool: Pool,
    key: Key,
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

    /// A connection to the endpoint that speaks what the cluster speaks, for `request`.
    pub(crate) fn checkout<'a>(
        &'a self,
        wanted: Wanted<'a>,
        request: &Request<Body>,
    ) -> impl Future<Output = Result<Checkout, Error>> + Send + use<'a> {
        // A request is not to be held over an await by reference: its body is no `Sync`.
        let key = Key::of(wanted.cluster, wanted.endpoint, request);
        async move {
            let key = match wanted.freshness {
                Freshness::New => key,
                Freshness::Any => match self.pooled(key) {
                    Ok(pooled) => return Ok(pooled),
                    Err(key) => key,
                },
            };
            // Boxed: dialling is rare, and every request has room for what is not.
            match key.transport.protocol() {
                Protocol::Http1 => Box::pin(self.dial(wanted, key)).await,
                Protocol::Http2 | Protocol::Auto => Box::pin(self.among_others(wanted, key)).await,
            }
        }
    }

    /// A connection that waits, or the key again.
    fn pooled(&self, key: Key) -> Result<Checkout, Key> {
        let mut places = self.places();
        let Some(place) = places.by_key.get_mut(&key) else {
            return Err(key);
        };
        if let Some((connection, tenure)) = place.take_idle() {
            return Ok(self.h1(key, connection, tenure, true));
        }
        let stream = place.take_stream().ok_or(key)?;
        Ok(Checkout::H2 { stream, reused: true })
    }

    fn take(&self, key: &Key, place: &mut Place) -> Option<Checkout> {
        if let Some((connection, tenure)) = place.take_idle() {
            return Some(self.h1(key.clone(), connection, tenure, true));
        }
        let stream = place.take_stream()?;
        Some(Checkout::H2 { stream, reused: true })
    }

    /// Requests that find no connection dial once for them all, until it is known that they could not share it.
    async fn among_others(&self, wanted: Wanted<'_>, key: Key) -> Result<Checkout, Error> {
        let mut dialling = None;
        if wanted.freshness == Freshness::Any {
            let mut pending = None;
            dialling = loop {
                match self.turn(&key) {
                    Turn::Has(connection) => return Ok(connection),
                    Turn::Dials(dialling) => break dialling,
                    Turn::Waits(mut dial) => {
                        if pending.is_none() {
                            pending = Some(wait(wanted)?);
                        }
                        // An error means that the dial is over: it succeeded, or is somebody else's turn.
                        _ = dial.changed().await;
                        if let Dialled::Failed(refusal) = *dial.borrow() {
                            return Err(refusal.into());
                        }
                    }
                }
            };
        }
        let dialled = self.dial(wanted, key).await;
        if let (Err(error), Some(dialling)) = (&dialled, dialling) {
            dialling.outcome.send_replace(Dialled::Failed(Refusal::of(error)));
        }
        dialled
    }

    fn turn(&self, key: &Key) -> Turn {
        let mut places = self.places();
        let place = places.by_key.entry(key.clone()).or_default();
        if let Some(connection) = self.take(key, place) {
            return Turn::Has(connection);
        }
        match &place.dialling {
            _ if place.chose_http1 => Turn::Dials(None),
            Some(dial) => Turn::Waits(dial.clone()),
            None => {
                let (outcome, dial) = watch::channel(Dialled::NotYet);
                place.dialling = Some(dial);
                Turn::Dials(Some(Dialling {
                    pool: self.clone(),
                    key: key.clone(),
                    outcome,
                }))
            }
        }
    }

    async fn dial(&self, wanted: Wanted<'_>, key: Key) -> Result<Checkout, Error> {
        let _pending = wait(wanted)?;
        let (permit, open) = match self.turn_to_open(wanted, &key).await? {
            turn::Turn::Opens(permit, open) => (permit, open),
            turn::Turn::Has(connection) => return Ok(connection),
        };
        let (cluster, drain) = (wanted.cluster, &self.shared.drain);
        let (deadline, began) = (connect::deadline(&key), Instant::now());
        let state = wanted.endpoint.state();
        let dialled = connect::dial(cluster, &key, deadline).await;
        let (stream, spoken) = dialled.inspect_err(|_| one(&state.counts().connects_failed))?;
        let permit = Held::new((permit, Some(open)), cluster, state, Some(spoken), began);
        match spoken {
            Spoken::Http1 => {
                let limits = key.transport.settings().response_head;
                let connection = Connection::new(stream, limits, permit);
                if key.transport.protocol() == Protocol::Auto {
                    self.insert(&key, |place| place.chose_http1 = true);
                }
                let tenure = Tenure::begin(key.transport.settings());
                Ok(self.h1(key, connection, tenure, false))
            }
            Spoken::Http2 => {
                let link = h2::start(stream, &key, permit, deadline, drain).await;
                let link = link.inspect_err(|error| connect::failed(cluster, error))?;
                let connection = Multiplexed::new(key.clone(), link, drain.clone());
                let stream = StreamSlot::open(&connection);
                if !drain.is_draining() {
                    self.insert(&key, |place| {
                        place.chose_http1 = false;
                        place.multiplexed.push(connection);
                    });
                }
                Ok(Checkout::H2 {
                    stream,
                    reused: false,
                })
            }
        }
    }

    /// A connection of its own for a client whose bytes are no HTTP; it counts until what comes with it is dropped.
    pub(crate) async fn dial_bytes(
        &self,
        wanted: Wanted<'_>,
        client: Option<Addresses>,
    ) -> Result<(Stream, Held), Error> {
        let _pending = wait(wanted)?;
        let permit = connection(wanted)?;
        let key = Key::of_client(wanted.cluster, wanted.endpoint, client);
        let (deadline, began) = (connect::deadline(&key), Instant::now());
        let state = wanted.endpoint.state();
        let dialled = connect::dial_bytes(wanted.cluster, &key, deadline).await;
        let stream = dialled.inspect_err(|_| one(&state.counts().connects_failed))?;
        let held = Held::new((permit, None), wanted.cluster, state, None, began);
        Ok((stream, held))
    }

    fn h1(&self, key: Key, connection: Box<Connection>, tenure: Tenure, reused: bool) -> Checkout {
        let back = WayBack {
            pool: self.clone(),
            key,
            tenure: tenure.used(),
        };
        Checkout::H1 {
            connection,
            back,
            reused,
        }
    }

    fn insert(&self, key: &Key, add: impl FnOnce(&mut Place)) {
        let mut places = self.places();
        // The key is here already, but for the first connection: no clone is made for the entry then.
        match places.by_key.get_mut(key) {
            Some(place) => add(place),
            None => add(places.by_key.entry(key.clone()).or_default()),
        }
        if !mem::replace(&mut places.swept, true) {
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
                () = &mut draining => {
                    let places = mem::take(&mut *self.places());
                    return places.by_key.into_values().for_each(Place::close);
                }
                () = tokio::time::sleep(limits::POOL_SWEEP_INTERVAL) => {}
            }
            let now = Instant::now();
            let mut places = self.places();
            places.by_key.retain(|_, place| place.keeps_any(now));
            if places.by_key.is_empty() {
                return places.swept = false;
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.shared.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to wait for a connection.
fn wait(wanted: Wanted<'_>) -> Result<Permit, Error> {
    let cells = wanted.cluster.counts().cells();
    let pending = wanted.cluster.breakers().pending(wanted.priority);
    one(if pending.is_some() {
        &cells.waits
    } else {
        &cells.waits_overflowed
    });
    pending.ok_or_else(|| breaker::overflow("too many requests wait for a connection to the upstream"))
}

/// The right to open one more connection.
fn connection(wanted: Wanted<'_>) -> Result<Permit, Error> {
    let permit = wanted.cluster.breakers().connection(wanted.priority);
    permit.ok_or_else(|| {
        one(&wanted.cluster.counts().cells().connects_overflowed);
        breaker::overflow("too many connections to the upstream")
    })
}

impl Checkout {
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::H1 { reused, .. } | Self::H2 { reused, .. } => *reused,
        }
    }
}

impl WayBack {
    /// For tasks that go on for the connection.
    pub(crate) fn guard(&self) -> Guard {
        self.pool.shared.drain.unguarded()
    }

    /// Gives the connection back, for the next request. One with which something is amiss is closed.
    pub(crate) fn check_in(self, mut connection: Box<Connection>) {
        let Self { pool, key, tenure } = self;
        let settings = key.transport.settings();
        let now = clock::now_std();
        if pool.shared.drain.is_draining() || !connection.is_usable() || !tenure.goes_on(settings, now) {
            return connection.say_goodbye();
        }
        let retire_at = now + settings.idle_timeout;
        pool.insert(&key, |place| {
            let idle = Idle {
                connection,
                tenure,
                retire_at,
            };
            if let Some(idle) = place.line.give(idle)
                && place.idle.len() < limits::UPSTREAM_IDLE_MAX
            {
                place.idle.push(idle);
            }
        });
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        let mut places = self.pool.places();
        if let Some(place) = places.by_key.get_mut(&self.key) {
            place.dialling = None;
            // Of a dial that failed nothing stays, whatever the number of clients that it was for.
            if !place.keeps_any(Instant::now()) {
                places.by_key.remove(&self.key);
            }
        }
    }
}
