//! Who sees that requests wait? The observer that a program installs, and the metrics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tidegate_proxy::error::Kind;

use crate::{
    names::{NAMESPACE, PARKED_REQUESTS, PARKED_TOTAL, REASON, REFUSED_TOTAL, REVISION, WAIT_SECONDS},
    receipt::Receipt,
    throttle::Revision,
};

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unparked {
    /// With a lease of a replica.
    Leased,
    /// With a refusal: nothing is coming up.
    Refused,
    /// By being sent on: nobody is held for the revision any more.
    Released,
    /// By its deadline.
    TimedOut,
    /// By its client, who left.
    Abandoned,
}

/// Sees what happens to requests that wait. Called from request handling: it must neither block nor panic. Requests
/// that need not wait are not seen.
pub trait Observer: Send + Sync {
    /// A request was parked.
    fn parked(&self, revision: &Arc<Revision>) {
        let _ = revision;
    }

    /// It is no longer; each `parked` is followed by one of these.
    fn unparked(&self, revision: &Arc<Revision>, outcome: Unparked, waited: Duration) {
        let _ = (revision, outcome, waited);
    }

    /// It was answered by a replica; `receipt` is what its response says.
    fn answered(&self, revision: &Arc<Revision>, receipt: &Receipt) {
        let _ = (revision, receipt);
    }
}

/// Sees nothing.
impl Observer for () {}

/// The metrics of one revision.
pub(crate) struct RevisionMetrics {
    labels: [(&'static str, String); 2],
    parked: Gauge,
    parked_total: Counter,
    wait: Histogram,
    totals: Totals,
}

/// What is counted of a revision for whoever reads it there.
#[derive(Debug, Default)]
struct Totals {
    parked: AtomicU64,
    refused: [AtomicU64; REASONS.len()],
}

/// Why requests are refused, or leave.
const REASONS: [Kind; 5] = [
    Kind::QueueFull,
    Kind::CapacityRefused,
    Kind::CapacityTimeout,
    Kind::ClientClosed,
    Kind::Overloaded,
];

impl RevisionMetrics {
    pub(crate) fn new(namespace: &str, revision: &str) -> Self {
        let labels = [(NAMESPACE, namespace.to_owned()), (REVISION, revision.to_owned())];
        Self {
            parked: gauge!(PARKED_REQUESTS, &labels),
            parked_total: counter!(PARKED_TOTAL, &labels),
            wait: histogram!(WAIT_SECONDS, &labels),
            totals: Totals::default(),
            labels,
        }
    }

    /// How many requests had to wait.
    pub(crate) fn parked_total(&self) -> u64 {
        self.totals.parked.load(Relaxed)
    }

    /// How many were given no pod, by the name of the reason.
    pub(crate) fn refused_total(&self) -> [(&'static str, u64); REASONS.len()] {
        let counts = &self.totals.refused;
        std::array::from_fn(|at| {
            let (reason, count) = (REASONS.get(at), counts.get(at));
            let count = count.map_or(0, |count| count.load(Relaxed));
            (reason.map_or("", |reason| reason.name()), count)
        })
    }

    pub(crate) fn refused(&self, reason: Kind) {
        let counts = REASONS.iter().zip(&self.totals.refused);
        for (_, count) in counts.filter(|(counted, _)| **counted == reason) {
            count.fetch_add(1, Relaxed);
        }
        let [namespace, revision] = self.labels.clone();
        counter!(
            REFUSED_TOTAL,
            &[namespace, revision, (REASON, reason.name().to_owned())]
        )
        .increment(1);
    }
}

/// One parked request: accounts for it on every way out.
pub(crate) struct Wait<'a> {
    revision: &'a Arc<Revision>,
    observer: &'a dyn Observer,
    since: Instant,
    outcome: Unparked,
}

impl<'a> Wait<'a> {
    pub(crate) fn begin(revision: &'a Arc<Revision>, observer: &'a dyn Observer) -> Self {
        let metrics = revision.metrics();
        metrics.parked.increment(1.0);
        metrics.parked_total.increment(1);
        metrics.totals.parked.fetch_add(1, Relaxed);
        observer.parked(revision);
        Self {
            revision,
            observer,
            since: Instant::now(),
            outcome: Unparked::Abandoned,
        }
    }

    pub(crate) fn end(mut self, outcome: Unparked) {
        self.outcome = outcome;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let waited = self.since.elapsed();
        let metrics = self.revision.metrics();
        metrics.parked.decrement(1.0);
        metrics.wait.record(waited.as_secs_f64());
        match self.outcome {
            Unparked::Leased | Unparked::Released => {}
            Unparked::Refused => metrics.refused(Kind::CapacityRefused),
            Unparked::TimedOut => metrics.refused(Kind::CapacityTimeout),
            Unparked::Abandoned => metrics.refused(Kind::ClientClosed),
        }
        self.observer.unparked(self.revision, self.outcome, waited);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

    use super::*;
    use crate::throttle::tests::settings;

    fn assert_shows(handle: &PrometheusHandle, line: &str) {
        let page = handle.render();
        assert!(
            page.lines().any(|other| other == line),
            "{line} is not in\n{page}"
        );
    }

    #[test]
    fn the_gauge_shows_who_is_parked_and_counters_how_it_ended() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let labels = "namespace=\"default\",revision=\"hello-00001\"";
            let revision = Revision::new(settings(1));
            let waits: [_; 5] = std::array::from_fn(|_| Wait::begin(&revision, &()));
            assert_shows(&handle, &format!("{PARKED_REQUESTS}{{{labels}}} 5"));
            let [leased, released, refused, timed_out, abandoned] = waits;
            leased.end(Unparked::Leased);
            released.end(Unparked::Released);
            refused.end(Unparked::Refused);
            timed_out.end(Unparked::TimedOut);
            drop(abandoned);
            assert_shows(&handle, &format!("{PARKED_REQUESTS}{{{labels}}} 0"));
            assert_shows(&handle, &format!("{PARKED_TOTAL}{{{labels}}} 5"));
            assert_shows(&handle, &format!("{WAIT_SECONDS}_count{{{labels}}} 5"));
            for reason in ["capacity_refused", "capacity_timeout", "client_closed"] {
                assert_shows(
                    &handle,
                    &format!("{REFUSED_TOTAL}{{{labels},reason=\"{reason}\"}} 1"),
                );
            }
        });
    }
}
