//! What an open upstream connection counts as, until it ends.

use std::sync::Arc;
use std::time::Instant;

use super::connect::Spoken;
use super::turn::Open;
use crate::cluster::Cluster;
use crate::cluster::breaker::Permit;
use crate::cluster::endpoint::State;
use crate::observe::counts::{ClusterCounts, one};

/// Kept with the connection: by its task, or by whoever has it.
#[derive(Debug)]
pub(crate) struct Held {
    _permit: (Permit, Option<Open>),
    counts: Arc<ClusterCounts>,
    endpoint: Arc<State>,
    since: Instant,
}

impl Held {
    /// A connection that was dialled at `began` is open now; none is spoken where it carries no HTTP.
    pub(super) fn new(
        permit: (Permit, Option<Open>),
        cluster: &Cluster,
        endpoint: &Arc<State>,
        spoken: Option<Spoken>,
        began: Instant,
    ) -> Self {
        let (counts, since) = (cluster.counts(), Instant::now());
        let cells = counts.cells();
        one(match spoken {
            Some(Spoken::Http1) => &cells.connections_http1,
            Some(Spoken::Http2) => &cells.connections_http2,
            None => &cells.connections_relayed,
        });
        if cluster.settings().transport.tls.is_some() {
            one(&cells.tls_handshakes);
        }
        one(&endpoint.counts().connections);
        counts.connect_took(since.duration_since(began));
        Self {
            _permit: permit,
            counts: Arc::clone(counts),
            endpoint: Arc::clone(endpoint),
            since,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counts.connection_ended(self.since);
        one(&self.endpoint.counts().connections_ended);
    }
}
