//! Where a request can go: endpoints and the state about them that outlives snapshots.
//!
//! ```
//! use std::net::SocketAddr;
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
//!
//! let cluster = Cluster::new(ClusterSettings::new("app"));
//! assert!(cluster.pick().is_none());
//! // Endpoints change in place: no new snapshot, and connections to those that stay are kept.
//! let [one, two] = ["10.0.0.1:80", "10.0.0.2:80"].map(|at| at.parse::<SocketAddr>().expect("it is one"));
//! cluster.set_endpoints(vec![Endpoint::new(one).into(), Endpoint::new(two).with_weight(3).into()]);
//! assert_eq!(cluster.endpoints().len(), 2);
//! assert!(cluster.pick().is_some());
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use http::{Extensions, Version};
use tokio::sync::Notify;

use crate::layers::Layers;
use crate::observe::counts::cluster::{UpkeepCounts, UpkeepTotals};
use crate::observe::counts::{ClusterCounts, one};
use crate::observe::metrics::{self, ClusterMetrics};
use crate::route::Shared;
use crate::route::policy::RetryBudget;

pub mod address;
pub mod affinity;
pub mod balance;
pub mod breaker;
pub(crate) mod budget;
pub mod discovery;
pub mod endpoint;
pub mod health;
pub mod outlier;
pub mod transport;
mod upkeep;

pub use address::Address;
pub use balance::{Balance, BalanceSettings, Preference};
pub use discovery::Discovery;
pub(crate) use endpoint::InFlight;
pub use endpoint::{Endpoint, Health, Locality, Status};
pub use health::HealthCheck;
pub use outlier::OutlierSettings;
pub use transport::{Protocol, TransportSettings};

use self::balance::{Moment, Table};
use self::breaker::{BreakerSettings, Breakers};
use self::budget::Budget;
use self::endpoint::Fault;
use self::outlier::{Detector, Outcome, Reason};
use self::transport::{Transport, TransportChoices, Way};

/// How a cluster is set up; the defaults suit an application server on the same machine or network.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The name that routes refer to.
    pub name: Arc<str>,
    /// The name that its numbers are shown under. Default: the same.
    pub metrics_name: Option<Arc<str>>,
    /// How its endpoints are connected to. Default: HTTP/1.1 over TCP.
    pub transport: Shared<TransportSettings>,
    /// How they are connected to for requests that came by HTTP/2, where that is different, as it is where endpoints speak what
    /// their clients speak. Default: it is not.
    pub transport_http2: Option<Box<TransportSettings>>,
    /// How those of its endpoints are connected to that are not like the others. Default: all are alike.
    pub choices: Option<Box<TransportChoices>>,
    /// Which of its endpoints takes a request. Default: round robin.
    pub balance: Shared<BalanceSettings>,
    /// Which endpoints are put aside because of how they answer. Default: none.
    pub outlier: Option<Box<OutlierSettings>>,
    /// How its endpoints are asked whether they are healthy. Default: not at all.
    pub health_check: Option<Box<HealthCheck>>,
    /// The names that its endpoints are found by. Default: none; they are set by [`Cluster::set_endpoints`].
    pub discovery: Option<Box<Discovery>>,
    /// How much of it may be busy at once. Default: no bound of its own.
    pub breakers: Shared<BreakerSettings>,
    /// What share of its requests may be in a retry at once, whatever their routes say. Default: the routes say it.
    pub retry_budget: Option<Box<RetryBudget>>,
    /// What stands between any route and this cluster, inside of the route's own layers: each request whose route leads here
    /// passes it. Copies of requests, bytes of `tcp_proxy` and what the process asks for itself do not. Default: nothing, which
    /// costs a look at a null pointer.
    pub layers: Option<Layers>,
    /// Anything that layers want to find on the cluster of a request; opaque to the proxy.
    pub metadata: Extensions,
}

impl ClusterSettings {
    /// The defaults under this name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            metrics_name: None,
            transport: Shared::default(),
            transport_http2: None,
            choices: None,
            balance: Shared::default(),
            outlier: None,
            health_check: None,
            discovery: None,
            breakers: Shared::default(),
            retry_budget: None,
            layers: None,
            metadata: Extensions::new(),
        }
    }
}

/// A named set of endpoints. One `Cluster` lives through many snapshots; its endpoints change in place,
/// so a request that waits sees endpoints newer than its route.
pub struct Cluster {
    settings: ClusterSettings,
    way: Way,
    /// By the place that an endpoint was given; without any all go the one way.
    ways: Box<[Way]>,
    /// Whether connections to some of its endpoints say who the client is.
    tells_client: bool,
    /// Whether picks need to know the time.
    follows_time: bool,
    table: ArcSwap<Table>,
    /// Taken to replace the table. Never held over an await.
    changing: Mutex<()>,
    counts: OnceLock<Arc<ClusterCounts>>,
    upkeep: UpkeepCounts,
    breakers: Breakers,
    budget: Budget,
    detector: Option<Box<Detector>>,
    /// Whether endpoints are checked: then new ones are unhealthy until a check has succeeded.
    checking: AtomicBool,
    /// Whether its names are looked up.
    resolving: AtomicBool,
    /// Whether its names were looked up once, and its endpoints checked once, as far as either is done.
    looked_up: AtomicBool,
    checked: AtomicBool,
    /// Told when endpoints were replaced, where they are checked.
    changed: Option<Arc<Notify>>,
}

impl Cluster {
    /// A cluster without endpoints.
    #[must_use]
    pub fn new(settings: ClusterSettings) -> Arc<Self> {
        // Whoever asks for numbers finds zeros from the beginning; who counts is asked for them with the first request.
        drop(ClusterMetrics::new(&settings.name));
        let breakers = Breakers::new(Arc::clone(&settings.name), settings.breakers.clone());
        let way = Way::new(
            settings.transport.clone(),
            settings.transport_http2.as_deref().cloned(),
        );
        let choices = settings.choices.iter().flat_map(|choices| &choices.transports);
        let ways: Box<[Way]> = choices
            .map(|one| {
                let http2 = one.transport_http2.as_deref().cloned();
                Way::new(one.transport.clone().into(), http2)
            })
            .collect();
        Arc::new(Self {
            table: ArcSwap::default(),
            changing: Mutex::default(),
            counts: OnceLock::new(),
            upkeep: UpkeepCounts::default(),
            breakers,
            budget: Budget::default(),
            detector: settings
                .outlier
                .as_deref()
                .map(|outlier| Box::new(Detector::new(*outlier, fastrand::u64(..)))),
            checking: AtomicBool::new(false),
            resolving: AtomicBool::new(false),
            looked_up: AtomicBool::new(settings.discovery.is_none()),
            checked: AtomicBool::new(settings.health_check.is_none()),
            changed: settings.health_check.as_ref().map(|_| Arc::default()),
            follows_time: settings.balance.follows_time(),
            settings,
            tells_client: way.tells_client() || ways.iter().any(Way::tells_client),
            way,
            ways,
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

    /// Whether as much is known of its endpoints as a first look tells: each of its names was looked up once and each endpoint
    /// checked once, with whatever result. Without names and health checks it is from the beginning; with them it needs
    /// [`Cluster::watch`]. A cluster that replaces another is best published after that.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.looked_up.load(Ordering::Acquire) && self.checked.load(Ordering::Acquire)
    }

    /// Replaces the endpoints. Requests on the old ones finish; their pooled connections age out.
    ///
    /// What was learned about an address that stays (requests in flight, health, faults) passes to its new endpoint.
    pub fn set_endpoints(&self, mut endpoints: Vec<Arc<Endpoint>>) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.table.load();
        let known = table
            .endpoints()
            .iter()
            .map(|endpoint| (endpoint.address(), endpoint));
        let known: HashMap<_, _> = known.collect();
        let checking = self.checking.load(Ordering::Relaxed);
        for endpoint in &mut endpoints {
            let choices = self.settings.choices.as_deref();
            endpoint.go(choices.map_or(0, |choices| choices.of(endpoint)));
            match known.get(endpoint.address()) {
                Some(old) => endpoint.adopt(old),
                None if checking => _ = endpoint.state().set(Fault::Checks),
                None => {}
            }
        }
        self.sort(endpoints.into());
        if let Some(changed) = &self.changed {
            changed.notify_one();
        }
        one(&self.upkeep.endpoint_changes);
    }

    /// The endpoints now.
    #[must_use]
    pub fn endpoints(&self) -> Arc<[Arc<Endpoint>]> {
        Arc::clone(self.table.load().endpoints())
    }

    /// Picks the endpoint for a request that does not mind, or none where there is none.
    #[must_use]
    pub fn pick(&self) -> Option<Arc<Endpoint>> {
        self.pick_by(Preference::default())
    }

    /// Picks the endpoint for the next request, or none where there is none.
    #[must_use]
    pub fn pick_by(&self, preference: Preference) -> Option<Arc<Endpoint>> {
        self.table.load().pick(preference, self.moment()).cloned()
    }

    /// Picks an endpoint that is not in `tried`, if `reselections` further looks find one.
    pub(crate) fn pick_other(
        &self,
        mut preference: Preference,
        tried: &[Arc<Endpoint>],
        reselections: u32,
    ) -> Option<Arc<Endpoint>> {
        let table = self.table.load();
        let mut picked = table.pick(preference, self.moment())?;
        for _ in 0..reselections {
            if !tried.iter().any(|tried| tried.address() == picked.address()) {
                break;
            }
            preference.attempt += 1;
            picked = table.pick(preference, self.moment())?;
        }
        Some(Arc::clone(picked))
    }

    /// The endpoint at this address, if the cluster has it and it is not unhealthy. Looks through all of them.
    #[must_use]
    pub fn find(&self, address: &Address) -> Option<Arc<Endpoint>> {
        let table = self.table.load();
        let found = table
            .endpoints()
            .iter()
            .find(|endpoint| endpoint.address() == address);
        found
            .filter(|endpoint| endpoint.health() > Health::Unhealthy)
            .cloned()
    }

    /// Takes note of how a try at one of its endpoints ended.
    pub(crate) fn note(&self, endpoint: &Endpoint, outcome: Outcome) {
        let Some(detector) = &self.detector else {
            return;
        };
        if let Some((reason, bound)) = detector.note(endpoint, outcome) {
            let endpoints = self.endpoints();
            if detector.eject(endpoint, &endpoints, bound.enforced_percent, Instant::now()) {
                self.ejected(reason);
                self.refresh();
            }
        }
    }

    /// Sorts the endpoints anew by their health.
    pub(crate) fn refresh(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.sort(self.endpoints());
    }

    fn sort(&self, endpoints: Arc<[Arc<Endpoint>]>) {
        let table = Table::new(endpoints, &self.settings.balance, fastrand::u64(..));
        self.table.store(Arc::new(table));
    }

    fn ejected(&self, reason: Reason) {
        let cluster = &self.settings.name;
        tracing::info!(%cluster, reason = reason.name(), "an endpoint is ejected");
        metrics::ejected(cluster, reason.name());
        let cells = self.counts().cells();
        one(match reason {
            Reason::Consecutive5xx => &cells.ejections_5xx,
            Reason::ConsecutiveGatewayFailure => &cells.ejections_gateway,
            Reason::ConsecutiveLocalFailure => &cells.ejections_local,
            Reason::SuccessRate => &cells.ejections_success_rate,
            Reason::FailurePercentage => &cells.ejections_failures,
        });
    }

    fn moment(&self) -> Moment {
        Moment {
            random: fastrand::u64(..),
            now: self.follows_time.then(Instant::now),
        }
    }

    /// The circuit breakers, for whoever dials, waits or sends.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// What has happened to its requests and connections, where anything has: who only looks leaves no counts behind.
    #[must_use]
    pub fn counted(&self) -> Option<&Arc<ClusterCounts>> {
        self.counts.get()
    }

    /// What has happened to its requests and connections. Made by who asks first, as a rule its first request; the others of
    /// that moment wait while its metrics are registered.
    #[must_use]
    pub fn counts(&self) -> &Arc<ClusterCounts> {
        self.counts
            .get_or_init(|| Arc::new(ClusterCounts::of(&self.settings.name)))
    }

    /// What has happened beside requests.
    #[must_use]
    pub fn upkeep(&self) -> UpkeepTotals {
        let mut totals = UpkeepTotals::default();
        self.upkeep.add_to(&mut totals);
        totals
    }

    /// Takes the place of another of its name: its numbers go on.
    pub(crate) fn succeed(&self, before: &Self) {
        if let Some(counts) = before.counts.get() {
            // Unless it has begun with its own.
            _ = self.counts.set(Arc::clone(counts));
        }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// How one of its endpoints is connected to for a request that did not come by HTTP/2.
    #[must_use]
    pub fn transport_settings(&self, endpoint: &Endpoint) -> &TransportSettings {
        self.transport(endpoint).settings()
    }

    pub(crate) fn transport(&self, endpoint: &Endpoint) -> &Transport {
        &self.way(endpoint).usual
    }

    /// How an endpoint is connected to for a request that came by this version.
    pub(crate) fn transport_for(&self, endpoint: &Endpoint, version: Version) -> &Transport {
        let way = self.way(endpoint);
        match &way.http2 {
            Some(transport) if version == Version::HTTP_2 => transport,
            _ => &way.usual,
        }
    }

    /// Whether connections to some of its endpoints say who the client is.
    pub(crate) fn tells_client(&self) -> bool {
        self.tells_client
    }

    fn way(&self, endpoint: &Endpoint) -> &Way {
        let own = endpoint.way().checked_sub(1);
        let own = own.and_then(|at| self.ways.get(usize::from(at)));
        own.unwrap_or(&self.way)
    }

    pub(crate) fn metrics(&self) -> &ClusterMetrics {
        &self.counts().metrics
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.settings.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
