//! Which of a cluster's endpoints takes the next request.
//!
//! Pure and synchronous: time and chance are passed in. A [`Table`] is made when endpoints or their health change, never for
//! a request; workers share it, and picking from it takes no lock and allocates nothing.
//!
//! ```
//! use std::net::SocketAddr;
//! use tidegate_proxy::cluster::balance::RingHash;
//! use tidegate_proxy::cluster::{Balance, BalanceSettings, Cluster, ClusterSettings, Endpoint, Preference};
//!
//! let policy = Balance::RingHash(RingHash::default());
//! let cluster = Cluster::new(ClusterSettings {
//!     balance: BalanceSettings { policy, ..BalanceSettings::default() }.into(),
//!     ..ClusterSettings::new("cache")
//! });
//! let endpoint = |port| Endpoint::new(SocketAddr::from(([127, 0, 0, 1], port))).into();
//! cluster.set_endpoints((8000..8010).map(endpoint).collect());
//! // What hashes alike goes to the same endpoint, as long as it is there.
//! let by = Preference { hash: Some(7), ..Preference::default() };
//! let first = cluster.pick_by(by).map(|endpoint| endpoint.address().clone());
//! let again = cluster.pick_by(by).map(|endpoint| endpoint.address().clone());
//! assert!(first.is_some() && first == again);
//! ```

use std::time::Instant;

mod group;
mod least_request;
mod maglev;
mod priority;
mod random;
mod ring_hash;
mod round_robin;
mod slow_start;
mod table;
mod weights;

pub use least_request::LeastRequest;
pub use maglev::{InvalidMaglev, Maglev};
pub use ring_hash::RingHash;
pub use slow_start::SlowStart;

pub(crate) use random::Draws;
pub(crate) use table::Table;

use crate::config::limits;

/// How an endpoint is chosen among equals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Balance {
    /// One after the other, by weight and without chance.
    RoundRobin(Option<SlowStart>),
    /// Of a few drawn by weight the one with the fewest requests under way.
    LeastRequest(LeastRequest, Option<SlowStart>),
    /// By chance and weight.
    Random,
    /// By the request's hash, on a ring; a request without one goes anywhere.
    RingHash(RingHash),
    /// By the request's hash, in a table that all fill evenly; a request without one goes anywhere.
    Maglev(Maglev),
}

/// Which endpoints are asked at all, and how one of them is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BalanceSettings {
    /// How an endpoint is chosen among equals. Default: round robin without slow start.
    pub policy: Balance,
    /// The percentage of available endpoints of a priority below which their health is ignored (Envoy's panic), since sending
    /// everything to the few that are left would end them too; 0 never does that. Default: [`limits::PANIC_PERCENT`].
    pub panic_below_percent: u8,
    /// How many percent of what the healthy endpoints of a priority or locality would bear they are taken to bear.
    /// Default: [`limits::OVERPROVISIONING_PERCENT`].
    pub overprovisioning_percent: u32,
    /// Whether requests are shared among localities by their weights first, as far as they are healthy. Default: no.
    pub by_locality: bool,
    /// Whether ring hash and Maglev place endpoints without a key of their own by their names, not by their addresses, so that
    /// a name keeps its place when its address changes. Default: no.
    pub placed_by_name: bool,
}

/// What a request says about where it should go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Preference {
    /// What the route's hash policy made of the request.
    pub hash: Option<u64>,
    /// How many endpoints were asked for it before: hashes lead elsewhere then.
    pub attempt: u32,
}

/// What a pick depends on beside the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Any number, evenly distributed.
    pub(crate) random: u64,
    /// The time, where [`BalanceSettings::follows_time`].
    pub(crate) now: Option<Instant>,
}

impl Default for Balance {
    fn default() -> Self {
        Self::RoundRobin(None)
    }
}

impl Default for BalanceSettings {
    fn default() -> Self {
        Self {
            policy: Balance::default(),
            panic_below_percent: limits::PANIC_PERCENT,
            overprovisioning_percent: limits::OVERPROVISIONING_PERCENT,
            by_locality: false,
            placed_by_name: false,
        }
    }
}

impl BalanceSettings {
    pub(crate) fn slow_start(&self) -> Option<SlowStart> {
        match self.policy {
            Balance::RoundRobin(slow_start) | Balance::LeastRequest(_, slow_start) => slow_start,
            Balance::Random | Balance::RingHash(_) | Balance::Maglev(_) => None,
        }
    }

    /// Whether picks need to know the time.
    pub(crate) fn follows_time(&self) -> bool {
        self.slow_start().is_some()
    }

    pub(crate) fn follows_hash(&self) -> bool {
        matches!(self.policy, Balance::RingHash(_) | Balance::Maglev(_))
    }
}
