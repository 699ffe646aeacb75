//! The connections of one key: those that are idle, those that are shared, and the dial that others wait for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;

use super::h1::Connection;
use super::h2::{Farewell, Link};
use super::key::Key;
use super::turn::Line;
use crate::clock;
use crate::cluster::transport::TransportSettings;
use crate::drain::{Guard, Watch};
use crate::error::{Error, Kind};

/// The connections of one key.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) idle: Vec<Idle>,
    pub(super) multiplexed: Vec<Arc<Multiplexed>>,
    pub(super) dialling: Option<watch::Receiver<Dialled>>,
    /// Whether an endpoint that may choose has chosen HTTP/1.1 the last time: no use in waiting for one dial then.
    pub(super) chose_http1: bool,
    /// Who waits for one of them, where they are bounded.
    pub(super) line: Line,
}

/// An HTTP/1.1 connection between two requests.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) connection: Box<Connection>,
    pub(super) tenure: Tenure,
    pub(super) retire_at: Instant,
}

/// How much of a connection's life is used up; none where that is not bounded.
#[derive(Debug)]
pub(crate) struct Tenure(Option<Box<Used>>);

#[derive(Clone, Copy, Debug)]
struct Used {
    requests: u64,
    since: Instant,
}

/// An HTTP/2 connection, shared by the requests on its streams.
#[derive(Debug)]
pub(crate) struct Multiplexed {
    key: Key,
    sender: SendRequest<Bytes>,
    farewell: Arc<Farewell>,
    streams: AtomicUsize,
    requests: AtomicU64,
    since: Instant,
    last_used: Mutex<Instant>,
    drain: Watch,
}

/// One stream of a shared connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamSlot {
    connection: Arc<Multiplexed>,
}

/// How a dial that others wait for has come along.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dialled {
    NotYet,
    Failed(Refusal),
}

/// What a dial failed of, for all who waited for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    kind: Kind,
    detail: Option<&'static str>,
}

impl Place {
    /// An idle connection: the one that was used last, so that the others grow old together.
    pub(super) fn take_idle(&mut self) -> Option<(Box<Connection>, Tenure)> {
        let now = clock::now_std();
        while let Some(idle) = self.idle.pop() {
            let Idle {
                mut connection,
                tenure,
                retire_at,
            } = idle;
            if retire_at > now && connection.is_usable() {
                return Some((connection, tenure));
            }
            connection.say_goodbye();
        }
        None
    }

    /// Says goodbye on all that is idle.
    pub(super) fn close(mut self) {
        for idle in &mut self.idle {
            idle.connection.say_goodbye();
        }
    }

    /// A stream of a connection that has room for one.
    pub(super) fn take_stream(&mut self) -> Option<StreamSlot> {
        self.multiplexed.retain(|connection| connection.is_open());
        let free = self.multiplexed.iter().find(|connection| connection.has_room());
        free.map(StreamSlot::open)
    }

    /// Lets go what has been idle for too long; says whether anything is left.
    pub(super) fn keeps_any(&mut self, now: Instant) -> bool {
        self.idle.retain_mut(|idle| {
            let stays = idle.retire_at > now && idle.connection.is_usable();
            if !stays {
                idle.connection.say_goodbye();
            }
            stays
        });
        self.multiplexed
            .retain(|connection| connection.is_open() && !connection.is_stale(now));
        !self.idle.is_empty()
            || !self.multiplexed.is_empty()
            || self.dialling.is_some()
            || !self.line.is_empty()
    }
}

impl Tenure {
    pub(super) fn begin(settings: &TransportSettings) -> Self {
        let bounded = settings.requests_per_connection_max.is_some() || settings.connection_max.is_some();
        Self(bounded.then(|| Box::new(Used::begin())))
    }

    /// One request later.
    pub(super) fn used(mut self) -> Self {
        if let Some(used) = &mut self.0 {
            used.requests += 1;
        }
        self
    }

    /// Whether the connection may take another request.
    pub(super) fn goes_on(&self, settings: &TransportSettings, now: Instant) -> bool {
        self.0.as_ref().is_none_or(|used| used.goes_on(settings, now))
    }
}

impl Used {
    fn begin() -> Self {
        Self {
            requests: 0,
            since: clock::now_std(),
        }
    }

    fn goes_on(&self, settings: &TransportSettings, now: Instant) -> bool {
        let worn = settings
            .requests_per_connection_max
            .is_some_and(|max| self.requests >= max.get());
        let old = settings
            .connection_max
            .is_some_and(|max| now.duration_since(self.since) >= max);
        !worn && !old
    }
}

impl Multiplexed {
    pub(super) fn new(key: Key, link: Link, drain: Watch) -> Arc<Self> {
        let now = clock::now_std();
        Arc::new(Self {
            key,
            sender: link.sender,
            farewell: link.farewell,
            streams: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            since: now,
            last_used: Mutex::new(now),
            drain,
        })
    }

    /// Whether it takes requests at all.
    fn is_open(&self) -> bool {
        let used = Used {
            requests: self.requests.load(Ordering::Relaxed),
            since: self.since,
        };
        !self.farewell.said() && used.goes_on(self.settings(), clock::now_std())
    }

    /// Whether another stream may be opened now, by our bound and by the endpoint's.
    fn has_room(&self) -> bool {
        let streams = self.streams.load(Ordering::Relaxed);
        streams < self.settings().http2.streams_max && streams < self.sender.current_max_send_streams()
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.streams.load(Ordering::Relaxed) == 0
            && now.duration_since(*self.last_used()) > self.settings().idle_timeout
    }

    fn settings(&self) -> &TransportSettings {
        self.key.transport.settings()
    }

    fn last_used(&self) -> MutexGuard<'_, Instant> {
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamSlot {
    pub(super) fn open(connection: &Arc<Multiplexed>) -> Self {
        connection.streams.fetch_add(1, Ordering::Relaxed);
        connection.requests.fetch_add(1, Ordering::Relaxed);
        Self {
            connection: Arc::clone(connection),
        }
    }

    /// Opens streams.
    pub(crate) fn sender(&self) -> SendRequest<Bytes> {
        self.connection.sender.clone()
    }

    /// How its connection ends.
    pub(crate) fn farewell(&self) -> &Arc<Farewell> {
        &self.connection.farewell
    }

    /// Whether its connection is encrypted: what `:scheme` says.
    pub(crate) fn is_secure(&self) -> bool {
        self.settings().tls.is_some()
    }

    /// For tasks that go on for the stream.
    pub(crate) fn guard(&self) -> Guard {
        self.connection.drain.unguarded()
    }

    /// How its connection was made.
    pub(crate) fn settings(&self) -> &TransportSettings {
        self.connection.settings()
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        *self.connection.last_used() = clock::now_std();
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Refusal {
    pub(super) fn of(error: &Error) -> Self {
        // Of a failed dial every detail is one of a few; what is made for one request stays with it.
        Self {
            kind: error.kind(),
            detail: error.static_detail(),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let error = Self::new(refusal.kind);
        match refusal.detail {
            Some(detail) => error.with_detail(detail),
            None => error,
        }
    }
}
