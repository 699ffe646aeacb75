//! What has happened to the requests and connections of a filter chain, or of several of one name.
//!
//! ```
//! use tidegate_proxy::observe::counts::HttpCounts;
//!
//! let counts = HttpCounts::default();
//! assert_eq!(counts.totals().requests(), 0);
//! assert!(counts.request_times().is_empty());
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{StatusCode, Version};

use super::striped::Striped;
use super::times::{Bin, Times};
use super::{numbers, one};
use crate::error::Kind;

numbers! {
    /// What the chains of one name have counted.
    Cells, HttpTotals {
        /// Requests of HTTP/1.
        requests_http1,
        /// Requests of HTTP/2.
        requests_http2,
        /// Requests that are over.
        requests_ended,
        /// Requests that a route took.
        requests_routed,
        /// Responses below 200: tunnels.
        responses_1xx,
        /// Responses from 200.
        responses_2xx,
        /// Responses from 300.
        responses_3xx,
        /// Responses from 400.
        responses_4xx,
        /// Responses from 500.
        responses_5xx,
        /// Requests that no route matches.
        no_route,
        /// Requests whose route names a cluster that is not there.
        no_cluster,
        /// Requests that a route answered itself.
        direct_responses,
        /// Requests that a route redirected.
        redirects,
        /// Requests whose client left before it had the whole response.
        aborted,
        /// Responses that broke off.
        broken,
        /// Requests that nothing moved in for too long.
        idle_timeouts,
        /// Requests that took too long to arrive.
        request_timeouts,
        /// Requests whose stream took longer than any may.
        too_long,
        /// Requests whose head is larger than may be.
        too_large,
        /// Requests that are none.
        malformed,
        /// Requests that were turned away since the process holds as much as it may.
        shed,
        /// Connections that spoke HTTP/1.
        connections_http1,
        /// Of those, the ones that have ended.
        connections_http1_ended,
        /// Connections that spoke HTTP/2.
        connections_http2,
        /// Of those, the ones that have ended.
        connections_http2_ended,
        /// Connections that spoke TLS.
        connections_tls,
        /// Of those, the ones that have ended.
        connections_tls_ended,
        /// Connections that were closed as no request came for too long.
        connections_idle,
        /// Connections that were closed as they had lasted as long as one may.
        connections_too_old,
        /// Connections that were closed after as many requests as one may have.
        connections_spent,
        /// Connections that were closed on what their clients still sent, after the time that these had to take their response.
        connections_lingered,
        /// Tunnels that were opened.
        tunnels,
        /// Of those, the ones that have ended.
        tunnels_ended,
        /// Bytes of request bodies.
        request_bytes,
        /// Bytes of response bodies.
        response_bytes,
    }
}

#[derive(Debug, Default)]
struct Stripe {
    cells: Cells,
    request_times: Times,
    connection_times: Times,
}

/// What has happened in the chains of one listener that have one name.
#[derive(Debug, Default)]
pub struct HttpCounts {
    stripes: Striped<Stripe>,
}

/// One connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenHttp {
    counts: Arc<HttpCounts>,
    http2: bool,
    tls: bool,
    since: Instant,
}

/// One tunnel, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenTunnel(pub(crate) Arc<HttpCounts>);

impl HttpTotals {
    /// Requests of any version.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests_http1.wrapping_add(self.requests_http2)
    }

    /// Responses by the first digit of their status.
    #[must_use]
    pub fn classes(&self) -> [u64; 5] {
        [
            self.responses_1xx,
            self.responses_2xx,
            self.responses_3xx,
            self.responses_4xx,
            self.responses_5xx,
        ]
    }
}

impl HttpCounts {
    /// The numbers now.
    #[must_use]
    pub fn totals(&self) -> HttpTotals {
        let mut totals = HttpTotals::default();
        self.stripes
            .iter()
            .for_each(|stripe| stripe.cells.add_to(&mut totals));
        totals
    }

    /// How long requests took, to the end of their responses, in milliseconds.
    #[must_use]
    pub fn request_times(&self) -> Vec<Bin> {
        Times::sum(self.stripes.iter().map(|stripe| &stripe.request_times))
    }

    /// How long connections lasted, in milliseconds.
    #[must_use]
    pub fn connection_times(&self) -> Vec<Bin> {
        Times::sum(self.stripes.iter().map(|stripe| &stripe.connection_times))
    }

    pub(crate) fn cells(&self) -> &Cells {
        &self.stripes.mine().cells
    }

    pub(crate) fn began(&self, version: Version) {
        let cells = self.cells();
        one(if version == Version::HTTP_2 {
            &cells.requests_http2
        } else {
            &cells.requests_http1
        });
    }

    /// The head of a response is ready.
    pub(crate) fn responded(&self, status: StatusCode) {
        let cells = self.cells();
        one(match status.as_u16() {
            ..200 => &cells.responses_1xx,
            200..300 => &cells.responses_2xx,
            300..400 => &cells.responses_3xx,
            400..500 => &cells.responses_4xx,
            500.. => &cells.responses_5xx,
        });
    }

    /// The answer is an error of ours.
    pub(crate) fn failed(&self, kind: Kind) {
        let cells = self.cells();
        one(match kind {
            Kind::NoRoute => &cells.no_route,
            Kind::ClusterMissing => &cells.no_cluster,
            Kind::IdleTimeout | Kind::ClientStalled => &cells.idle_timeouts,
            Kind::RequestIncomplete => &cells.request_timeouts,
            Kind::StreamTooLong => &cells.too_long,
            Kind::HeadTooLarge | Kind::TargetTooLong => &cells.too_large,
            Kind::BadRequest | Kind::CodingUnknown | Kind::VersionUnsupported => &cells.malformed,
            Kind::Overloaded => &cells.shed,
            _ => return,
        });
    }

    pub(crate) fn took(&self, took: Duration) {
        let stripe = self.stripes.mine();
        one(&stripe.cells.requests_ended);
        stripe.request_times.add(took);
    }

    /// Counts one connection until it is dropped.
    pub(crate) fn connection(self: &Arc<Self>, http2: bool, tls: bool) -> OpenHttp {
        let cells = self.cells();
        one(if http2 {
            &cells.connections_http2
        } else {
            &cells.connections_http1
        });
        if tls {
            one(&cells.connections_tls);
        }
        OpenHttp {
            counts: Arc::clone(self),
            http2,
            tls,
            since: Instant::now(),
        }
    }
}

impl Drop for OpenHttp {
    fn drop(&mut self) {
        let stripe = self.counts.stripes.mine();
        one(if self.http2 {
            &stripe.cells.connections_http2_ended
        } else {
            &stripe.cells.connections_http1_ended
        });
        if self.tls {
            one(&stripe.cells.connections_tls_ended);
        }
        stripe.connection_times.add(self.since.elapsed());
    }
}

impl OpenTunnel {
    pub(crate) fn begin(counts: &Arc<HttpCounts>) -> Self {
        one(&counts.cells().tunnels);
        Self(Arc::clone(counts))
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        one(&self.0.cells().tunnels_ended);
    }
}
