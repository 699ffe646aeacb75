//! What was recorded about a request: a guard that accounts for it on every way out.

use std::time::Instant;

use http::Response;

use crate::body::Body;
use crate::error::Kind;
use crate::observe::metrics::ProxyMetrics;

pub mod metrics;

/// One accepted request. Ends as answered, as failed with a reason, or, when it is dropped before either, as
/// aborted by its client: accepted = answered + failed + aborted, always.
pub(crate) struct Observation<'a> {
    metrics: &'a ProxyMetrics,
    started: Instant,
    open: bool,
}

impl<'a> Observation<'a> {
    pub(crate) fn begin(metrics: &'a ProxyMetrics) -> Self {
        metrics.accepted.increment(1);
        Self {
            metrics,
            started: Instant::now(),
            open: true,
        }
    }

    /// An upstream or the route itself answered.
    pub(crate) fn answered(mut self, response: Response<Body>) -> Response<Body> {
        self.open = false;
        self.metrics.answered(response.status(), self.started.elapsed());
        response
    }

    /// The answer is an error of ours.
    pub(crate) fn failed(mut self, kind: Kind) {
        self.open = false;
        match kind {
            Kind::ClientClosed => self.metrics.aborted.increment(1),
            _ => self.metrics.failed(kind, self.started.elapsed()),
        }
    }
}

impl Drop for Observation<'_> {
    fn drop(&mut self) {
        if self.open {
            self.metrics.aborted.increment(1);
        }
    }
}
