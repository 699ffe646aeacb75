//! Where a request can go: endpoints and the state about them that outlives snapshots.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Extensions;

use crate::config::limits;
use crate::observe::metrics::ClusterMetrics;

pub mod address;
pub mod balance;
pub mod breaker;

pub use address::Address;

use self::breaker::{BreakerSettings, Breakers};

/// What an upstream port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 over TCP.
    #[default]
    Http1,
    /// HTTP/2 by prior knowledge over TCP (RFC 9113 §3.3).
    Http2,
}

/// How a cluster is set up; the defaults suit an application server on the same machine or network.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The name that routes refer to.
    pub name: Arc<str>,
    /// What its endpoints speak. Default: HTTP/1.1.
    pub protocol: Protocol,
    /// How long an endpoint may take to accept a connection. Default: [`limits::CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// How long a connection lies idle before it is closed. Default: [`limits::UPSTREAM_IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// How much of it may be busy at once. Default: no bound of its own.
    pub breakers: BreakerSettings,
    /// Anything that layers want to find on the cluster of a request; opaque to the proxy.
    pub metadata: Extensions,
}

impl ClusterSettings {
    /// The defaults under this name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            protocol: Protocol::default(),
            connect_timeout: limits::CONNECT_TIMEOUT,
            idle_timeout: limits::UPSTREAM_IDLE_TIMEOUT,
            breakers: BreakerSettings::default(),
            metadata: Extensions::new(),
        }
    }
}

/// A named set of endpoints. One `Cluster` lives through many snapshots; its endpoints change in place,
/// so a request that waits sees endpoints newer than its route.
pub struct Cluster {
    settings: ClusterSettings,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    metrics: ClusterMetrics,
    breakers: Breakers,
    turn: AtomicUsize,
}

impl Cluster {
    /// A cluster without endpoints.
    #[must_use]
    pub fn new(settings: ClusterSettings) -> Arc<Self> {
        let metrics = ClusterMetrics::new(&settings.name);
        let breakers = Breakers::new(&settings.name, settings.breakers);
        Arc::new(Self {
            settings,
            endpoints: ArcSwap::default(),
            metrics,
            breakers,
            turn: AtomicUsize::new(0),
        })
    }

    /// The name that routes refer to.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// How it was set up.
    #[must_use]
    pub fn settings(&self) -> &ClusterSettings {
        &self.settings
    }

    /// Replaces the endpoints. Requests on the old ones finish; their pooled connections age out.
    pub fn set_endpoints(&self, endpoints: Vec<Arc<Endpoint>>) {
        self.endpoints.store(Arc::new(endpoints));
    }

    /// The endpoints now.
    #[must_use]
    pub fn endpoints(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    /// Picks the endpoint for the next request, or none where there is none.
    #[must_use]
    pub fn pick(&self) -> Option<Arc<Endpoint>> {
        balance::round_robin(&self.endpoints.load(), &self.turn).cloned()
    }

    /// The circuit breakers, for whoever dials, waits or sends.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    pub(crate) fn metrics(&self) -> &ClusterMetrics {
        &self.metrics
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.settings.name)
            .finish_non_exhaustive()
    }
}

/// One address that serves a cluster.
#[derive(Debug)]
pub struct Endpoint {
    address: Address,
    metadata: Extensions,
    in_flight: AtomicUsize,
}

impl Endpoint {
    /// The endpoint at `address`.
    #[must_use]
    pub fn new(address: impl Into<Address>) -> Self {
        Self {
            address: address.into(),
            metadata: Extensions::new(),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// Attaches what layers want to find on it; opaque to the proxy.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Extensions) -> Self {
        self.metadata = metadata;
        self
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

    /// How many requests of this process are on it now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// Counts one request on an endpoint until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Endpoint>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
