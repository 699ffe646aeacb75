//! One address that serves a cluster, and what is known about it beyond one snapshot.
//!
//! ```
//! use std::net::SocketAddr;
//! use tidegate_proxy::cluster::{Endpoint, Health, Status};
//!
//! let address: SocketAddr = "10.0.0.1:80".parse()?;
//! // Of a fallback that is asked when priority 0 cannot bear the load.
//! let endpoint = Endpoint::new(address).with_priority(1).with_status(Status::Degraded);
//! assert_eq!(endpoint.health(), Health::Degraded);
//! assert_eq!((endpoint.weight(), endpoint.priority(), endpoint.in_flight()), (1, 1, 0));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::Extensions;

use super::address::Address;
use super::outlier::Record;
use crate::observe::counts::endpoint::{EndpointCounts, EndpointTotals};

/// One address that serves a cluster.
///
/// What was configured about it is fixed; what was learned about it (requests in flight, health, faults) is shared with the
/// endpoint that replaces it under the same address: see [`Cluster::set_endpoints`](super::Cluster::set_endpoints).
#[derive(Clone, Debug)]
pub struct Endpoint {
    address: Address,
    /// Absent where it has none, as most.
    names: Option<Box<Names>>,
    weight: u32,
    priority: u32,
    locality: Option<Arc<Locality>>,
    status: Status,
    /// Which of its cluster's ways leads there: 0 is the usual one.
    way: u16,
    metadata: Extensions,
    state: Arc<State>,
}

/// What an endpoint is called beside its address.
#[derive(Clone, Debug, Default)]
struct Names {
    host: Option<Arc<str>>,
    hash_key: Option<Arc<str>>,
}

/// Where an endpoint is, and what share of the requests goes there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    /// The region; may be empty.
    pub region: Box<str>,
    /// The zone in the region; may be empty.
    pub zone: Box<str>,
    /// The part of the zone; may be empty.
    pub sub_zone: Box<str>,
    /// Its share among the localities of one priority, if the cluster balances by localities; 0 gets nothing.
    pub weight: u32,
}

/// What configuration (EDS, a registry) says about an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nothing against it.
    #[default]
    Healthy,
    /// It serves, but worse than others.
    Degraded,
    /// It does not serve.
    Unhealthy,
    /// It finishes what it has and takes nothing new.
    Draining,
}

/// Whether an endpoint gets requests, all that is known taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It gets none while others can take them.
    Unhealthy,
    /// It gets what the healthy ones cannot take.
    Degraded,
    /// It gets its share.
    Healthy,
}

/// Something that was learned against an endpoint; one bit of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// Active checks failed, or none has succeeded yet.
    Checks = 1,
    /// Active checks said that it serves worse than others.
    Degraded = 2,
    /// Its responses were so bad that it is ejected for a while.
    Ejected = 4,
}

/// What was learned about an address. Most endpoints of many are idle, so what requests alone need is made by the first of them.
#[derive(Debug)]
pub(crate) struct State {
    in_flight: AtomicUsize,
    faults: AtomicU8,
    /// When it last became available, in [`TICK`]s after it was made.
    available: AtomicU32,
    made: Instant,
    asked: OnceLock<Box<Asked>>,
}

/// What there is once it was asked.
#[derive(Debug, Default)]
struct Asked {
    counts: EndpointCounts,
    record: OnceLock<Box<Record>>,
}

/// How exactly an endpoint knows since when it is available. Its 32 bits are enough for 13 years.
const TICK: Duration = Duration::from_millis(100);

/// Counts one request on an endpoint until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<State>);

impl Endpoint {
    /// The endpoint at `address`: weight 1, priority 0, no locality, healthy.
    #[must_use]
    pub fn new(address: impl Into<Address>) -> Self {
        Self {
            address: address.into(),
            names: None,
            weight: 1,
            priority: 0,
            locality: None,
            status: Status::default(),
            way: 0,
            metadata: Extensions::new(),
            state: Arc::new(State::new()),
        }
    }

    /// Attaches what layers want to find on it; opaque to the proxy.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Extensions) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets its share among the endpoints beside it. 0 counts as 1: what is to get nothing is left out.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight.max(1);
        self
    }

    /// Sets its priority: 0 is asked first, the others as far as those before cannot take the load.
    #[must_use]
    pub fn with_priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }

    /// Says where it is.
    #[must_use]
    pub fn with_locality(mut self, locality: Arc<Locality>) -> Self {
        self.locality = Some(locality);
        self
    }

    /// Says what configuration knows about it.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Gives it a name, for health checks and for whoever writes it into a request.
    #[must_use]
    pub fn with_hostname(mut self, hostname: impl Into<Arc<str>>) -> Self {
        self.names.get_or_insert_default().host = Some(hostname.into());
        self
    }

    /// Sets what ring hash and maglev place it by, instead of its address.
    #[must_use]
    pub fn with_hash_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.names.get_or_insert_default().hash_key = Some(key.into());
        self
    }

    /// What it is hashed by instead of its address, where that was said.
    #[must_use]
    pub fn own_hash_key(&self) -> Option<&Arc<str>> {
        self.names.as_ref()?.hash_key.as_ref()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What was attached.
    #[must_use]
    pub fn metadata(&self) -> &Extensions {
        &self.metadata
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn hostname(&self) -> Option<&Arc<str>> {
        self.names.as_ref()?.host.as_ref()
    }

    /// Its share among the endpoints beside it; at least 1.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Its priority; 0 is asked first.
    #[must_use]
    pub fn priority(&self) -> u32 {
        self.priority
    }

    /// Where it is.
    #[must_use]
    pub fn locality(&self) -> Option<&Arc<Locality>> {
        self.locality.as_ref()
    }

    /// What configuration says about it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// How many requests of this process are on it now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it gets requests: the worst of what configuration, active checks and its own responses say.
    #[must_use]
    pub fn health(&self) -> Health {
        let faults = self.state.faults.load(Ordering::Relaxed);
        let is = |fault: Fault| faults & fault as u8 != 0;
        match self.status {
            Status::Unhealthy | Status::Draining => Health::Unhealthy,
            _ if is(Fault::Checks) || is(Fault::Ejected) => Health::Unhealthy,
            Status::Degraded => Health::Degraded,
            Status::Healthy if is(Fault::Degraded) => Health::Degraded,
            Status::Healthy => Health::Healthy,
        }
    }

    /// Whether its own responses had it ejected.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.state.has(Fault::Ejected)
    }

    /// Whether active checks speak against it.
    #[must_use]
    pub fn fails_checks(&self) -> bool {
        self.state.has(Fault::Checks)
    }

    /// What has happened at its address.
    #[must_use]
    pub fn totals(&self) -> EndpointTotals {
        let mut totals = EndpointTotals::default();
        if let Some(asked) = self.state.asked.get() {
            asked.counts.add_to(&mut totals);
        }
        totals
    }

    /// What ring hash and maglev place it by, where `by_name` its name comes before its address.
    pub(crate) fn hash_key(&self, by_name: bool) -> String {
        let name = self.hostname().filter(|_| by_name);
        match (self.own_hash_key().or(name), &self.address) {
            (Some(key), _) => key.as_ref().to_owned(),
            (None, Address::Tcp(address)) => address.to_string(),
            (None, Address::Unix(path)) => path.display().to_string(),
        }
    }

    /// This endpoint with what was learned about `other`, which has the same address.
    pub(crate) fn adopt(self: &mut Arc<Self>, other: &Self) {
        if !Arc::ptr_eq(&self.state, &other.state) {
            Arc::make_mut(self).state = Arc::clone(&other.state);
        }
    }

    /// Sets by which of its cluster's ways it is connected to.
    pub(super) fn go(self: &mut Arc<Self>, way: u16) {
        if self.way != way {
            Arc::make_mut(self).way = way;
        }
    }

    pub(super) fn way(&self) -> u16 {
        self.way
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    pub(crate) fn begin(&self) -> InFlight {
        self.state.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.state))
    }
}

impl State {
    fn new() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            faults: AtomicU8::new(0),
            available: AtomicU32::new(0),
            made: Instant::now(),
            asked: OnceLock::new(),
        }
    }

    /// What its responses were like, made now if there was none yet.
    pub(crate) fn record(&self) -> &Record {
        self.asked().record.get_or_init(Box::default)
    }

    /// What its responses were like, if there was any.
    pub(crate) fn recorded(&self) -> Option<&Record> {
        self.asked.get()?.record.get().map(|record| &**record)
    }

    pub(crate) fn counts(&self) -> &EndpointCounts {
        &self.asked().counts
    }

    fn asked(&self) -> &Asked {
        self.asked.get_or_init(Box::default)
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.load(Ordering::Relaxed) & fault as u8 != 0
    }

    /// Says whether that is news.
    pub(crate) fn set(&self, fault: Fault) -> bool {
        self.faults.fetch_or(fault as u8, Ordering::Relaxed) & fault as u8 == 0
    }

    /// Says whether that is news.
    pub(crate) fn clear(&self, fault: Fault) -> bool {
        self.faults.fetch_and(!(fault as u8), Ordering::Relaxed) & fault as u8 != 0
    }

    /// From now on it is available: the time from which slow start counts.
    pub(crate) fn became_available(&self, now: Instant) {
        let ticks = now.saturating_duration_since(self.made).as_millis() / TICK.as_millis();
        self.available
            .store(u32::try_from(ticks).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// For how long it has been available.
    pub(crate) fn available_for(&self, now: Instant) -> Duration {
        let available = TICK * self.available.load(Ordering::Relaxed);
        now.saturating_duration_since(self.made).saturating_sub(available)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(SocketAddr::from(([127, 0, 0, 1], 80)))
    }

    #[test]
    fn the_worst_that_is_known_counts() {
        let check = |status, faults: &[Fault], expected| {
            let endpoint = endpoint().with_status(status);
            for fault in faults {
                assert!(endpoint.state().set(*fault));
            }
            assert_eq!(endpoint.health(), expected, "{status:?} {faults:?}");
        };
        check(Status::Healthy, &[], Health::Healthy);
        check(Status::Healthy, &[Fault::Degraded], Health::Degraded);
        check(Status::Degraded, &[], Health::Degraded);
        check(Status::Degraded, &[Fault::Ejected], Health::Unhealthy);
        check(
            Status::Healthy,
            &[Fault::Checks, Fault::Degraded],
            Health::Unhealthy,
        );
        check(Status::Draining, &[], Health::Unhealthy);
        check(Status::Unhealthy, &[], Health::Unhealthy);
    }

    #[test]
    fn it_is_placed_by_its_key_then_its_name_then_its_address() {
        let named = endpoint().with_hostname("a.example");
        assert_eq!(named.hash_key(false), "127.0.0.1:80");
        assert_eq!(named.hash_key(true), "a.example");
        assert_eq!(endpoint().hash_key(true), "127.0.0.1:80");
        assert_eq!(named.with_hash_key("key").hash_key(true), "key");
    }

    #[test]
    fn what_was_learned_passes_to_the_successor() {
        let old = endpoint();
        let _in_flight = old.begin();
        old.state().set(Fault::Ejected);
        let mut new = Arc::new(endpoint().with_weight(3));
        new.adopt(&old);
        assert_eq!((new.in_flight(), new.weight(), new.is_ejected()), (1, 3, true));
        old.state().clear(Fault::Ejected);
        assert!(!new.is_ejected());
    }

    #[test]
    fn an_idle_endpoint_takes_no_more_than_160_bytes() {
        // With the counts of its `Arc`s; there are some for each service.
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Endpoint>() + counts <= 96 && size_of::<State>() + counts <= 64);
    }
}
