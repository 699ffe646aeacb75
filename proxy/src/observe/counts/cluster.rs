//! What has happened to the requests and connections of a cluster.
//!
//! ```
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings};
//!
//! let cluster = Cluster::new(ClusterSettings::new("app"));
//! assert_eq!(cluster.counts().totals().requests, 0);
//! assert!(cluster.counts().request_times().is_empty());
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::codes::Codes;
use super::striped::Striped;
use super::times::{Bin, Times};
use super::{numbers, one};
use crate::clock;
use crate::error::{Error, Kind};
use crate::observe::metrics::ClusterMetrics;

numbers! {
    /// What a cluster has counted.
    Cells, ClusterTotals {
        /// Tries that got a connection.
        requests,
        /// Tries that follow another of the same request.
        retries,
        /// Requests that a further try has answered as the policy wants it.
        retries_answered,
        /// Requests whose last allowed try was not answered as the policy wants it.
        retries_exhausted,
        /// Retries that a breaker or the budget did not allow.
        retries_overflowed,
        /// Requests that took longer than their route allows.
        timeouts,
        /// Tries that took longer than their policy allows.
        per_try_timeouts,
        /// Streams that took longer than any may.
        too_long,
        /// Exchanges that the endpoint broke off.
        resets,
        /// Exchanges that this side gave up.
        cancelled,
        /// Responses that were no HTTP.
        protocol_errors,
        /// Requests that found no endpoint.
        none_healthy,
        /// Requests that a breaker turned away: too many under way.
        requests_overflowed,
        /// Requests that had to wait for a connection.
        waits,
        /// Requests that a breaker turned away: too many waiting.
        waits_overflowed,
        /// Waits that ended without a connection.
        waits_failed,
        /// Connections that a breaker did not allow.
        connects_overflowed,
        /// Connections of HTTP/1.1 that came to be.
        connections_http1,
        /// Connections of HTTP/2 that came to be.
        connections_http2,
        /// Connections for what is no HTTP that came to be.
        connections_relayed,
        /// Connections that have ended.
        connections_ended,
        /// Connections that did not come to be, whatever for.
        connects_failed,
        /// Those that took too long.
        connects_timed_out,
        /// Clients whose bytes found no endpoint that accepts a connection, in as many attempts as may be.
        connects_exhausted,
        /// TLS handshakes that succeeded.
        tls_handshakes,
        /// TLS handshakes that failed.
        tls_failures,
        /// Ejections for consecutive 5xx.
        ejections_5xx,
        /// Ejections for consecutive 502, 503 and 504.
        ejections_gateway,
        /// Ejections for consecutive failures without a response.
        ejections_local,
        /// Ejections for a low rate of success.
        ejections_success_rate,
        /// Ejections for a high share of failures.
        ejections_failures,
    }
}

numbers! {
    /// What a cluster has counted beside requests. The next of the same name begins anew with it.
    UpkeepCounts, UpkeepTotals {
        /// Health checks.
        checks,
        /// Health checks that succeeded.
        checks_passed,
        /// How often endpoints were replaced.
        endpoint_changes,
    }
}

/// What has happened in one cluster since it came to be. The next of the same name goes on with it.
#[derive(Debug)]
pub struct ClusterCounts {
    /// The same for the facade; here, so that a cluster that nobody asks has none.
    pub(crate) metrics: ClusterMetrics,
    cells: Striped<Cells>,
    codes: Codes,
    codes_retried: Codes,
    request_times: Times,
    connect_times: Times,
    connection_times: Times,
}

/// Counts, when it is dropped, how long a request took.
#[derive(Debug)]
pub(crate) struct Clock {
    counts: Arc<ClusterCounts>,
    started: Instant,
}

impl ClusterCounts {
    /// Nothing yet, of the cluster of this name.
    pub(crate) fn of(cluster: &str) -> Self {
        Self {
            metrics: ClusterMetrics::new(cluster),
            cells: Striped::default(),
            codes: Codes::default(),
            codes_retried: Codes::default(),
            request_times: Times::default(),
            connect_times: Times::default(),
            connection_times: Times::default(),
        }
    }

    /// The numbers now.
    #[must_use]
    pub fn totals(&self) -> ClusterTotals {
        let mut totals = ClusterTotals::default();
        self.cells.iter().for_each(|cells| cells.add_to(&mut totals));
        totals
    }

    /// How often requests have ended with each status, errors of this side among them.
    #[must_use]
    pub fn codes(&self) -> Vec<(u16, u64)> {
        self.codes.all()
    }

    /// How often each status has led to another try.
    #[must_use]
    pub fn codes_retried(&self) -> Vec<(u16, u64)> {
        self.codes_retried.all()
    }

    /// How long requests took, to the end of their responses, in milliseconds.
    #[must_use]
    pub fn request_times(&self) -> Vec<Bin> {
        self.request_times.bins()
    }

    /// How long it took to open connections, in milliseconds.
    #[must_use]
    pub fn connect_times(&self) -> Vec<Bin> {
        self.connect_times.bins()
    }

    /// How long connections lasted, in milliseconds.
    #[must_use]
    pub fn connection_times(&self) -> Vec<Bin> {
        self.connection_times.bins()
    }

    pub(crate) fn cells(&self) -> &Cells {
        self.cells.mine()
    }

    /// A request has ended with this.
    pub(crate) fn ended(&self, outcome: Result<u16, &Error>) {
        let status = match outcome {
            Ok(status) => status,
            Err(error) => {
                let cells = self.cells();
                match error.kind() {
                    Kind::NoHealthyUpstream => one(&cells.none_healthy),
                    Kind::RequestTimeout | Kind::ResponseStartTimeout => one(&cells.timeouts),
                    Kind::StreamTooLong => one(&cells.too_long),
                    Kind::ClientClosed => return one(&cells.cancelled),
                    _ => {}
                }
                error.status().as_u16()
            }
        };
        self.codes.add(status);
    }

    /// A try has ended with this, and another follows.
    pub(crate) fn retried(&self, status: Option<u16>) {
        one(&self.cells().retries);
        if let Some(status) = status {
            self.codes_retried.add(status);
        }
    }

    /// A try has ended without a response.
    pub(crate) fn failed(&self, error: &Error) {
        let cells = self.cells();
        match error.kind() {
            Kind::UpstreamReset | Kind::StreamRefused => one(&cells.resets),
            Kind::UpstreamProtocol => one(&cells.protocol_errors),
            Kind::PerTryTimeout => one(&cells.per_try_timeouts),
            _ => {}
        }
    }

    /// A connection did not come to be.
    pub(crate) fn connect_failed(&self, error: &Error) {
        let cells = self.cells();
        one(&cells.connects_failed);
        one(&cells.waits_failed);
        match error.kind() {
            Kind::ConnectTimeout => one(&cells.connects_timed_out),
            Kind::UpstreamTls => one(&cells.tls_failures),
            _ => {}
        }
    }

    pub(crate) fn request_took(&self, took: Duration) {
        self.request_times.add(took);
    }

    pub(crate) fn connect_took(&self, took: Duration) {
        self.connect_times.add(took);
    }

    /// A connection that was opened at `since` has ended.
    pub(crate) fn connection_ended(&self, since: Instant) {
        one(&self.cells().connections_ended);
        self.connection_times.add(since.elapsed());
    }
}

impl Clock {
    pub(crate) fn of(counts: Arc<ClusterCounts>, started: Instant) -> Self {
        Self { counts, started }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.counts
            .request_took(clock::now_std().saturating_duration_since(self.started));
    }
}
