//! Which addresses a cluster's names have, and when they are looked up again.
//!
//! What is known stays when a look-up fails; an address that stays keeps what was learned about it.
//!
//! ```
//! use tidegate_proxy::cluster::discovery::{Discovery, DnsName, Family};
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings};
//!
//! let mut names = Discovery::of([DnsName::new("app.internal", 8080)]);
//! names.family = Family::V4;
//! let cluster = Cluster::new(ClusterSettings { discovery: Some(names.into()), ..ClusterSettings::new("app") });
//! // It has endpoints once `cluster.watch(…)` runs and has an answer.
//! assert!(cluster.endpoints().is_empty());
//! ```

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use http::Extensions;
use tokio::time::Instant;

use super::{Cluster, Endpoint, Locality, Status};
use crate::config::limits;
use crate::error::BoxError;

mod resolver;

pub(crate) use resolver::Resolver;

/// The names of a cluster whose endpoints come from DNS.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// What becomes of the addresses of a name. Default: all are endpoints.
    pub addresses: Addresses,
    /// The names.
    pub names: Vec<DnsName>,
    /// Which addresses count. Default: [`Family::All`].
    pub family: Family,
    /// The time between two look-ups of a name. Default: [`limits::DNS_REFRESH`].
    pub refresh: Duration,
    /// Whether a record's own time to live counts instead, where it is known. Default: yes.
    pub by_ttl: bool,
}

/// What becomes of the addresses of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Each is an endpoint (Envoy's `STRICT_DNS`).
    #[default]
    All,
    /// The first one is, for names that stand for a large service (Envoy's `LOGICAL_DNS`).
    First,
}

/// Which addresses of a name count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Those of IPv4 and of IPv6.
    #[default]
    All,
    /// Those of IPv6, if there are any, else those of IPv4 (Envoy's `AUTO`).
    PreferV6,
    /// Those of IPv4, if there are any, else those of IPv6.
    PreferV4,
    /// Those of IPv4.
    V4,
    /// Those of IPv6.
    V6,
}

/// A name, and what its endpoints are like.
#[derive(Clone, Debug)]
pub struct DnsName {
    /// The name; an IP address is its own.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// The share of each of its endpoints. Default: 1.
    pub weight: u32,
    /// The priority of its endpoints. Default: 0.
    pub priority: u32,
    /// What its endpoints are called. Default: the name itself.
    pub hostname: Option<Arc<str>>,
    /// Where they are. Default: nowhere in particular.
    pub locality: Option<Arc<Locality>>,
    /// What configuration says about them. Default: nothing against them.
    pub status: Status,
    /// What layers want to find on them.
    pub metadata: Extensions,
}

/// What a look-up found, and for how long that is so, where it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    addresses: Vec<IpAddr>,
    ttl: Option<Duration>,
}

impl Discovery {
    /// All addresses of these names.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = DnsName>) -> Self {
        Self {
            addresses: Addresses::default(),
            names: names.into_iter().collect(),
            family: Family::default(),
            refresh: limits::DNS_REFRESH,
            by_ttl: true,
        }
    }

    /// When a name is looked up next: `failures` counts those in a row, `random` is from 0 to 1.
    fn pause(&self, ttl: Option<Duration>, failures: u32, random: f64) -> Duration {
        let refresh = self.refresh.max(limits::DNS_REFRESH_MIN);
        if failures > 0 {
            let doubled = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
            let longest = refresh.saturating_mul(doubled.min(limits::DNS_BACKOFF_MAX));
            // Jittered in its upper half, so that a failing server is not asked more often than one that answers.
            return longest.mul_f64(1.0 + random.clamp(0.0, 1.0) / 2.0);
        }
        match ttl {
            Some(ttl) if self.by_ttl => ttl.clamp(limits::DNS_REFRESH_MIN, limits::DNS_TTL_MAX),
            _ => refresh,
        }
    }
}

impl DnsName {
    /// A name with weight 1 and priority 0.
    #[must_use]
    pub fn new(host: impl Into<Box<str>>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            weight: 1,
            priority: 0,
            hostname: None,
            locality: None,
            status: Status::default(),
            metadata: Extensions::new(),
        }
    }
}

impl Family {
    fn choose(self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let of = |v4: bool| {
            addresses
                .iter()
                .copied()
                .filter(move |address| address.is_ipv4() == v4)
        };
        let prefer = |v4: bool| {
            let preferred: Vec<_> = of(v4).collect();
            if preferred.is_empty() {
                of(!v4).collect()
            } else {
                preferred
            }
        };
        match self {
            Self::All => addresses.to_vec(),
            Self::PreferV4 => prefer(true),
            Self::PreferV6 => prefer(false),
            Self::V4 => of(true).collect(),
            Self::V6 => of(false).collect(),
        }
    }
}

/// A name and what is known of it.
struct Watched {
    name: DnsName,
    addresses: Vec<IpAddr>,
    failures: u32,
    due: Instant,
}

/// Looks names up as long as `cluster` lives. The addresses of one name are bounded, and so is the time of a look-up.
pub(crate) async fn run<F>(cluster: Weak<Cluster>, discovery: Discovery, look_up: impl Fn(Box<str>) -> F)
where
    F: Future<Output = Result<Found, BoxError>>,
{
    let watch = |name: &DnsName| Watched {
        name: name.clone(),
        addresses: Vec::new(),
        failures: 0,
        due: Instant::now(),
    };
    let mut watched: Vec<Watched> = discovery.names.iter().map(watch).collect();
    while let Some(next) = watched.iter().map(|one| one.due).min() {
        tokio::time::sleep_until(next).await;
        let now = Instant::now();
        let due = watched.iter_mut().filter(|one| one.due <= now);
        let changes = join_all(due.map(|one| one.refresh(&discovery, &look_up))).await;
        let Some(cluster) = cluster.upgrade() else {
            return;
        };
        if changes.contains(&true) {
            let endpoints = watched.iter().flat_map(Watched::endpoints).collect();
            cluster.set_endpoints(endpoints);
        }
        // All are due at first.
        cluster.looked_up.store(true, Ordering::Release);
    }
}

impl Watched {
    /// Looks it up; says whether its addresses are others now.
    async fn refresh<F>(&mut self, discovery: &Discovery, look_up: impl Fn(Box<str>) -> F) -> bool
    where
        F: Future<Output = Result<Found, BoxError>>,
    {
        let asked = tokio::time::timeout(limits::DNS_TIMEOUT, look_up(self.name.host.clone()));
        let found = match asked.await {
            Ok(found) => found,
            Err(elapsed) => Err(elapsed.into()),
        };
        let (found, ttl) = match found {
            Ok(found) if !found.addresses.is_empty() => {
                self.failures = 0;
                (Some(discovery.family.choose(&found.addresses)), found.ttl)
            }
            missing => {
                self.failures = self.failures.saturating_add(1);
                let error = missing
                    .err()
                    .map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
                tracing::warn!(name = %self.name.host, error, "a name was not found: its last addresses stay");
                (None, None)
            }
        };
        self.due = Instant::now() + discovery.pause(ttl, self.failures, fastrand::f64());
        found.is_some_and(|found| self.take(found, discovery.addresses))
    }

    fn take(&mut self, mut found: Vec<IpAddr>, addresses: Addresses) -> bool {
        match addresses {
            Addresses::All => {
                // Servers turn the order with each answer.
                found.sort_unstable();
                found.dedup();
                found.truncate(limits::DNS_ADDRESSES_MAX);
            }
            Addresses::First => found.truncate(1),
        }
        let changed = found != self.addresses;
        self.addresses = found;
        changed
    }

    fn endpoints(&self) -> impl Iterator<Item = Arc<Endpoint>> {
        let like = &self.name;
        let hostname = like.hostname.clone().unwrap_or_else(|| Arc::from(&*like.host));
        self.addresses.iter().map(move |address| {
            let endpoint = Endpoint::new(std::net::SocketAddr::new(*address, like.port))
                .with_hostname(Arc::clone(&hostname))
                .with_weight(like.weight)
                .with_priority(like.priority)
                .with_status(like.status)
                .with_metadata(like.metadata.clone());
            Arc::new(match &like.locality {
                Some(locality) => endpoint.with_locality(Arc::clone(locality)),
                None => endpoint,
            })
        })
    }
}

#[cfg(test)]
mod tests;
