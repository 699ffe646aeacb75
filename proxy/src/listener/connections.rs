//! How many connections may there be? Above the bound none is accepted until one ends; nobody is accepted to be closed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use crate::config::limits;

/// How many connections the listeners of a process hold together, and may. Clones share the count.
#[derive(Clone, Debug)]
pub struct Connections {
    shared: Arc<Shared>,
}

/// How many connections a filter chain holds, and may: above it one is closed (Envoy's connection limit).
#[derive(Debug)]
pub struct ChainLimit {
    /// The name that its numbers are shown under.
    pub metrics_name: Arc<str>,
    connections: Connections,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    open: AtomicUsize,
    max: usize,
    freed: Notify,
    handshakes: Semaphore,
    /// Only where each source has a bound of its own.
    sources: Option<Sources>,
}

#[derive(Debug)]
struct Sources {
    max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Shared>);

/// A connection's place among those of its source.
#[derive(Debug)]
pub(super) struct SourcePlace(Arc<Shared>, IpAddr);

impl Connections {
    /// At most `max` connections at once, and no more than the process has descriptors for (`ulimit -n`):
    /// [`limits::DESCRIPTORS_RESERVED`] of them are left to the admin listener and files, and of the rest one half, at
    /// most [`limits::DESCRIPTORS_UPSTREAM_MAX`], to upstream connections.
    /// Default: [`limits::CONNECTIONS_MAX`].
    #[must_use]
    pub fn at_most(max: usize) -> Self {
        Self::of(max, None)
    }

    /// [`Connections::at_most`], and from one source address (of IPv6, the first 64 bits) at most `source_max`. Above that
    /// a connection is closed, since it cannot be left in the queue while others are taken from behind it.
    #[must_use]
    pub fn at_most_with_sources(max: usize, source_max: NonZeroUsize) -> Self {
        let sources = Sources {
            max: source_max.get(),
            open: Mutex::default(),
        };
        Self::of(max, Some(sources))
    }

    fn of(max: usize, sources: Option<Sources>) -> Self {
        let shared = Shared {
            open: AtomicUsize::new(0),
            max: max.min(descriptors().unwrap_or(max)),
            freed: Notify::new(),
            handshakes: Semaphore::new(limits::TLS_HANDSHAKES_MAX),
            sources,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How many there may be, after a look at the descriptors that the process may open.
    #[must_use]
    pub fn max(&self) -> usize {
        self.shared.max
    }

    /// How many there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    pub(super) fn try_admit(&self) -> Option<Place> {
        let more = |open| (open < self.shared.max).then_some(open + 1);
        let taken = self
            .shared
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then(|| Place(Arc::clone(&self.shared)))
    }

    /// A place, once there is one. Cancel-safe.
    pub(super) async fn admit(&self) -> Place {
        let mut waited = false;
        loop {
            if let Some(place) = self.try_admit() {
                if waited && self.open() < self.shared.max {
                    // Two places that become free while nobody waits yet leave one notice: it is for the next one too.
                    self.shared.freed.notify_one();
                }
                return place;
            }
            // A place that became free before this line has left its notice.
            self.shared.freed.notified().await;
            waited = true;
        }
    }

    /// A place among those of its source; fails where these are as many as may be.
    pub(super) fn admit_source(&self, remote: Option<SocketAddr>) -> Result<Option<SourcePlace>, ()> {
        let (Some(sources), Some(remote)) = (&self.shared.sources, remote) else {
            return Ok(None);
        };
        let source = source_of(remote.ip());
        let mut open = sources.open();
        let count = open.entry(source).or_default();
        if *count >= sources.max {
            return Err(());
        }
        *count += 1;
        Ok(Some(SourcePlace(Arc::clone(&self.shared), source)))
    }

    /// How many TLS handshakes may be under way.
    pub(crate) fn handshakes(&self) -> &Semaphore {
        &self.shared.handshakes
    }
}

impl ChainLimit {
    /// At most `max` connections at once.
    #[must_use]
    pub fn new(metrics_name: impl Into<Arc<str>>, max: NonZeroUsize) -> Self {
        Self {
            metrics_name: metrics_name.into(),
            connections: Connections::at_most(max.get()),
            refused: AtomicU64::new(0),
        }
    }

    /// How many connections there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.connections.open()
    }

    /// How many were closed as there were as many as may be.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn try_admit(&self) -> Option<Place> {
        let place = self.connections.try_admit();
        if place.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        place
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::at_most(limits::CONNECTIONS_MAX)
    }
}

impl Sources {
    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

impl Drop for SourcePlace {
    fn drop(&mut self) {
        if let Some(sources) = &self.0.sources {
            let mut open = sources.open();
            if let Some(count) = open.get_mut(&self.1) {
                *count -= 1;
                if *count == 0 {
                    open.remove(&self.1);
                }
            }
        }
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

/// How many connections the process has descriptors for: each that is served may need another to its upstream.
fn descriptors() -> Option<usize> {
    let open_max = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
    Some(connections_of(usize::try_from(open_max).ok()?))
}

fn connections_of(descriptors: usize) -> usize {
    let left = descriptors.saturating_sub(limits::DESCRIPTORS_RESERVED);
    (left - (left / 2).min(limits::DESCRIPTORS_UPSTREAM_MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_gets_the_place_that_becomes_free() {
        let connections = Connections::at_most(2);
        let (first, _second) = (connections.admit().await, connections.admit().await);
        let mut third = Box::pin(connections.admit());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        let _third = third.await;
        assert_eq!(connections.open(), 2);
        assert!(connections.try_admit().is_none());
    }

    #[test]
    fn descriptors_are_left_to_upstream_connections() {
        let check =
            |descriptors, expected| assert_eq!(connections_of(descriptors), expected, "{descriptors}");
        check(10, 1);
        check(256, 96);
        check(1024, 480);
        check(20_000, 11_744);
        check(1_048_576, 1_040_320);
    }

    #[test]
    fn a_source_has_a_bound_of_its_own() {
        let connections = Connections::at_most_with_sources(9, NonZeroUsize::MIN);
        let from = |address: &str| connections.admit_source(Some(address.parse().unwrap()));
        let first = from("192.0.2.1:1").unwrap();
        assert!(from("[::ffff:192.0.2.1]:2").is_err());
        let _other = from("192.0.2.2:1").unwrap();
        let _v6 = from("[2001:db8::1]:1").unwrap();
        assert!(from("[2001:db8::2]:1").is_err());
        assert!(from("[2001:db8:0:1::2]:1").is_ok());
        drop(first);
        assert!(from("192.0.2.1:3").is_ok());
        assert!(connections.admit_source(None).unwrap().is_none());
    }
}
