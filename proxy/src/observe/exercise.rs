//! What does keeping the books of one request cost? The calls that a request makes on its way, without the request: for benches.
//!
//! ```
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::observe::exercise::Exercise;
//!
//! let (_drain, watch) = Drain::new();
//! let books = Exercise::new(watch);
//! books.answered();
//! assert_eq!((books.requests(), books.at_upstream()), (1, 1));
//! ```

use std::sync::Arc;

use http::{StatusCode, Version};

use super::counts::endpoint::EndpointCounts;
use super::counts::{ClusterCounts, HttpCounts, one};
use super::metrics::ProxyMetrics;
use crate::drain::Watch;
use crate::observe::ledger::Ending;
use crate::overload::Overload;

/// The books of a worker, a chain, a cluster and an endpoint. What is told to the [`metrics`] facade goes to the recorder that
/// is there when this is made.
#[derive(Debug)]
pub struct Exercise {
    worker: ProxyMetrics,
    chain: Arc<HttpCounts>,
    cluster: Arc<ClusterCounts>,
    endpoint: EndpointCounts,
}

impl Exercise {
    /// Books in which nothing is.
    #[must_use]
    pub fn new(watch: Watch) -> Self {
        Self {
            worker: ProxyMetrics::new(watch, Overload::default()),
            chain: Arc::default(),
            cluster: Arc::new(ClusterCounts::of("exercise")),
            endpoint: EndpointCounts::default(),
        }
    }

    /// One request by HTTP/1.1, with a body of its own, that its first try answers by 200.
    pub fn answered(&self) {
        let started = self.worker.now();
        self.chain.began(Version::HTTP_11);
        self.worker.began();
        one(&self.cluster.cells().requests);
        one(&self.endpoint.requests);
        self.endpoint.ended(Ok(200));
        self.cluster.ended(Ok(200));
        self.cluster.request_took(started.until(self.worker.now()));
        self.chain.responded(StatusCode::OK);
        self.worker.head_sent(started);
        self.worker.received(1);
        self.worker.ended(Ending::Answered, Some(StatusCode::OK), 1);
        self.chain.took(started.until(self.worker.now()));
    }

    /// How many requests the chain has seen.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.chain.totals().requests()
    }

    /// How many of them the cluster was asked.
    #[must_use]
    pub fn at_upstream(&self) -> u64 {
        self.cluster.totals().requests
    }
}
