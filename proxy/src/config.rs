//! What the data plane was told to do: validated, immutable, swapped whole.
//!
//! ```
//! use http::StatusCode;
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::route::{Domain, Route, VirtualHost};
//!
//! let config = Handle::new(Snapshot::default());
//! assert!(config.load().hosts().find("a.example").is_none());
//!
//! let hello = Route::respond(StatusCode::OK, "hello");
//! let host = VirtualHost::new("a", [Domain::parse("a.example")?], [hello]);
//! config.publish(Snapshot::new([host], []));
//! assert!(config.load().hosts().find("a.example").is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::cluster::Cluster;
use crate::hash::HashMap;
use crate::observe::counts::Counts;
use crate::overload::Overload;
use crate::process::give_way;
use crate::route::{RouteTable, TableSettings, VirtualHost, VirtualHosts};

mod clusters;
pub mod http;
pub mod limits;
pub mod manners;

use clusters::Clusters;

/// Everything that decides about a request, at one point in time. A request is routed by exactly one.
///
/// Assembling one cannot fail: a route to a cluster that is not here answers 503 when it is used.
#[derive(Debug, Default)]
pub struct Snapshot {
    default: Arc<RouteTable>,
    named: HashMap<Arc<str>, Arc<RouteTable>>,
    clusters: Clusters,
}

impl Snapshot {
    /// A snapshot of one route table, the default one, with these virtual hosts, and of these clusters. Of two hosts that
    /// claim a domain the first has it; of two clusters of one name the last stays.
    pub fn new<H: Into<Arc<VirtualHost>>>(
        hosts: impl IntoIterator<Item = H>,
        clusters: impl IntoIterator<Item = Arc<Cluster>>,
    ) -> Self {
        let table = RouteTable::new(TableSettings::default(), hosts);
        Self::with_tables([("".into(), table)], clusters)
    }

    /// A snapshot of route tables by name and of clusters. The table of the empty name is the default one. Of two tables
    /// of one name, and of two clusters, the last stays.
    pub fn with_tables<T: Into<Arc<RouteTable>>>(
        tables: impl IntoIterator<Item = (Arc<str>, T)>,
        clusters: impl IntoIterator<Item = Arc<Cluster>>,
    ) -> Self {
        let mut named: HashMap<Arc<str>, Arc<RouteTable>> = tables
            .into_iter()
            .map(|(name, table)| (name, table.into()))
            .collect();
        Self {
            default: named.remove("").unwrap_or_default(),
            named,
            clusters: clusters.into_iter().inspect(|_| give_way()).collect(),
        }
    }

    /// The table of this name; the empty name is the default one's, which is always there.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Arc<RouteTable>> {
        if name.is_empty() {
            return Some(&self.default);
        }
        self.named.get(name)
    }

    /// The hosts of the default table and their routes.
    #[must_use]
    pub fn hosts(&self) -> &VirtualHosts {
        self.default.hosts()
    }

    /// The clusters, in no order.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.clusters.iter()
    }

    /// The route tables that have a name, in no order.
    pub fn tables(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<RouteTable>)> {
        self.named.iter()
    }

    /// The cluster of this name.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters.get(name)
    }
}

/// Where the current [`Snapshot`] is published and read, and what bounds the process that follows it. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Handle {
    current: Arc<ArcSwap<Snapshot>>,
    overload: Overload,
    counts: Counts,
}

impl Handle {
    /// A handle whose first snapshot is `snapshot`.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(snapshot)),
            overload: Overload::default(),
            counts: Counts::default(),
        }
    }

    /// Bounds what all workers hold together that follow this handle, and the clones made from now on.
    /// Default: [`OverloadSettings::default`](crate::overload::OverloadSettings::default).
    #[must_use]
    pub fn bounded(self, overload: Overload) -> Self {
        Self { overload, ..self }
    }

    /// What bounds the process.
    #[must_use]
    pub fn overload(&self) -> &Overload {
        &self.overload
    }

    /// What its listeners have counted.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Replaces the snapshot at once and for every worker; requests under way keep what they matched. A cluster that takes the
    /// place of another of its name goes on with its numbers.
    pub fn publish(&self, snapshot: Snapshot) {
        let current = self.current.load();
        for cluster in snapshot.clusters.iter() {
            if let Some(before) = current.clusters.get(cluster.name())
                && !Arc::ptr_eq(before, cluster)
            {
                cluster.succeed(before);
            }
        }
        self.current.store(Arc::new(snapshot));
    }

    /// The current snapshot, without a lock. Not to be held over an await.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }
}
