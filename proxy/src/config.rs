//! What the data plane was told to do: validated, immutable, swapped whole.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::cluster::Cluster;
use crate::overload::Overload;
use crate::route::{VirtualHost, VirtualHosts};

pub mod http;
pub mod limits;

/// Everything that decides about a request, at one point in time. A request is routed by exactly one.
///
/// Assembling one cannot fail: a route to a cluster that is not here answers 503 when it is used.
#[derive(Debug, Default)]
pub struct Snapshot {
    hosts: VirtualHosts,
    clusters: HashMap<Arc<str>, Arc<Cluster>>,
}

impl Snapshot {
    /// A snapshot of these virtual hosts and clusters. Of two hosts that claim a domain the first has it;
    /// of two clusters of one name the last stays.
    pub fn new(
        hosts: impl IntoIterator<Item = VirtualHost>,
        clusters: impl IntoIterator<Item = Arc<Cluster>>,
    ) -> Self {
        let clusters = clusters
            .into_iter()
            .map(|cluster| (Arc::clone(cluster.name()), cluster))
            .collect();
        Self {
            hosts: VirtualHosts::new(hosts),
            clusters,
        }
    }

    /// The hosts and their routes.
    #[must_use]
    pub fn hosts(&self) -> &VirtualHosts {
        &self.hosts
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
}

impl Handle {
    /// A handle whose first snapshot is `snapshot`.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(snapshot)),
            overload: Overload::default(),
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

    /// Replaces the snapshot at once and for every worker; requests under way keep what they matched.
    pub fn publish(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }

    /// The current snapshot, without a lock. Not to be held over an await.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }
}
