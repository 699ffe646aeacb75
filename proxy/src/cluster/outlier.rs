//! Which endpoints are put aside for a while because of how they answer?
//!
//! Pure: time and chance are passed in. A request costs one read-modify-write of its endpoint's record, and one more for
//! each failure; nothing at all where a cluster detects no outliers.
//!
//! ```
//! use tidegate_proxy::cluster::outlier::{Consecutive, OutlierSettings};
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings};
//! use tidegate_proxy::drain::Drain;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // Aside after three 502, 503 or 504 in a row; at most half of the endpoints at once.
//! let outlier = OutlierSettings {
//!     consecutive_gateway_failure: Some(Consecutive { failures: 3, enforced_percent: 100 }),
//!     ejected_percent_max: 50,
//!     ..OutlierSettings::default()
//! };
//! let cluster = Cluster::new(ClusterSettings { outlier: Some(outlier.into()), ..ClusterSettings::new("app") });
//! let (_drain, watch) = Drain::new();
//! // From here on ejections end and rates are compared.
//! cluster.watch(&watch);
//! assert!(cluster.settings().outlier.is_some());
//! # }
//! ```

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::balance::Draws;
use super::endpoint::{Endpoint, Fault};

mod rates;
mod settings;

pub use settings::{Consecutive, FailurePercentage, OutlierSettings, SuccessRate};

/// How a try ended, as far as its endpoint is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A response below 500.
    Success,
    /// A 5xx that is not a gateway's.
    ServerError,
    /// 502, 503 or 504.
    GatewayError,
    /// No response: no connection, a reset, a timeout.
    LocalFailure,
}

/// Why an endpoint was ejected; the `reason` of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Consecutive5xx,
    ConsecutiveGatewayFailure,
    ConsecutiveLocalFailure,
    SuccessRate,
    FailurePercentage,
}

/// What one endpoint's responses were like.
#[derive(Debug, Default)]
pub(crate) struct Record {
    consecutive_5xx: AtomicU32,
    consecutive_gateway: AtomicU32,
    consecutive_local: AtomicU32,
    /// Successes of the interval in the upper half, all in the lower.
    counts: AtomicU64,
    ejection: Mutex<Ejection>,
}

#[derive(Debug, Default)]
struct Ejection {
    until: Option<Instant>,
    /// How often in a row, which is how much longer it lasts.
    times: u32,
}

/// Decides about the endpoints of one cluster.
#[derive(Debug)]
pub(crate) struct Detector {
    settings: OutlierSettings,
    /// Only one decides at a time, so that no more are ejected than may be. Never held over an await.
    deciding: Mutex<Draws>,
    /// Whether somebody sees to it that ejections end: before that there are none.
    started: AtomicBool,
}

impl Outcome {
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            502..=504 => Self::GatewayError,
            500.. => Self::ServerError,
            _ => Self::Success,
        }
    }
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive_5xx",
            Self::ConsecutiveGatewayFailure => "consecutive_gateway_failure",
            Self::ConsecutiveLocalFailure => "consecutive_local_origin_failure",
            Self::SuccessRate => "success_rate",
            Self::FailurePercentage => "failure_percentage",
        }
    }
}

impl Record {
    /// Takes note of a try; says if that is one failure in a row too many.
    fn note(&self, outcome: Outcome, settings: &OutlierSettings) -> Option<(Reason, Consecutive)> {
        let apart = settings.local_origin_apart;
        let success = outcome == Outcome::Success;
        if !(apart && outcome == Outcome::LocalFailure) {
            self.counts
                .fetch_add(u64::from(success) << 32 | 1, Ordering::Relaxed);
        }
        let fails = |counter: &AtomicU32, reason, bound: Option<Consecutive>| {
            let failures = counter.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            // Exactly at the bound: those beyond it are under way already, or were spared.
            bound
                .filter(|bound| failures == bound.failures)
                .map(|bound| (reason, bound))
        };
        let local = Reason::ConsecutiveLocalFailure;
        if apart && outcome == Outcome::LocalFailure {
            return fails(&self.consecutive_local, local, settings.consecutive_local_failure);
        }
        reset(&self.consecutive_local);
        if success {
            reset(&self.consecutive_5xx);
            reset(&self.consecutive_gateway);
            return None;
        }
        let gateway = if outcome == Outcome::ServerError {
            reset(&self.consecutive_gateway);
            None
        } else {
            let bound = settings.consecutive_gateway_failure;
            fails(
                &self.consecutive_gateway,
                Reason::ConsecutiveGatewayFailure,
                bound,
            )
        };
        let any = fails(
            &self.consecutive_5xx,
            Reason::Consecutive5xx,
            settings.consecutive_5xx,
        );
        gateway.or(any)
    }

    /// Successes and all tries since the last call.
    fn take_counts(&self) -> (u32, u32) {
        let counts = self.counts.swap(0, Ordering::Relaxed);
        ((counts >> 32) as u32, counts as u32)
    }

    fn start_over(&self) {
        reset(&self.consecutive_5xx);
        reset(&self.consecutive_gateway);
        reset(&self.consecutive_local);
    }

    fn ejection(&self) -> MutexGuard<'_, Ejection> {
        self.ejection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes only where there is something to write: most requests succeed, on every worker.
fn reset(counter: &AtomicU32) {
    if counter.load(Ordering::Relaxed) != 0 {
        counter.store(0, Ordering::Relaxed);
    }
}

impl Detector {
    pub(crate) fn new(settings: OutlierSettings, seed: u64) -> Self {
        Self {
            settings,
            deciding: Mutex::new(Draws(seed)),
            started: AtomicBool::new(false),
        }
    }

    /// From now on endpoints are ejected. Says whether that is news: then see to it that [`Detector::sweep`] is called.
    pub(crate) fn start(&self) -> bool {
        !self.started.swap(true, Ordering::Relaxed)
    }

    /// How often [`Detector::sweep`] is due.
    pub(crate) fn interval(&self) -> Duration {
        self.settings.interval
    }

    /// Takes note of how a try ended. Says why, if the endpoint has to go: then decide by [`Detector::eject`].
    pub(crate) fn note(&self, endpoint: &Endpoint, outcome: Outcome) -> Option<(Reason, Consecutive)> {
        let too_many = endpoint.state().record().note(outcome, &self.settings);
        too_many.filter(|_| self.started.load(Ordering::Relaxed))
    }

    /// Ejects one of `endpoints`, unless too many are ejected already or chance spares it; says whether.
    pub(crate) fn eject(
        &self,
        endpoint: &Endpoint,
        endpoints: &[Arc<Endpoint>],
        enforced_percent: u8,
        now: Instant,
    ) -> bool {
        let mut draws = self.deciding();
        if draws.next() % 100 >= u64::from(enforced_percent) || endpoint.is_ejected() {
            return false;
        }
        let ejected = endpoints.iter().filter(|other| other.is_ejected()).count();
        let bound = endpoints.len() * usize::from(self.settings.ejected_percent_max.min(100)) / 100;
        // At least one may go, unless nobody may.
        if ejected >= bound.max(usize::from(self.settings.ejected_percent_max > 0)) {
            return false;
        }
        let mut ejection = endpoint.state().record().ejection();
        ejection.times = ejection.times.saturating_add(1);
        let longest = self.settings.ejection_max.max(self.settings.ejection_base);
        let lasts = self
            .settings
            .ejection_base
            .saturating_mul(ejection.times)
            .min(longest);
        ejection.until = Some(now + lasts + self.settings.ejection_jitter.mul_f64(draws.fraction()));
        endpoint.state().set(Fault::Ejected)
    }

    /// What is due at each interval: those whose time is over come back, and rates are compared. Says who was ejected and
    /// why, and whether anybody's health changed.
    pub(crate) fn sweep(&self, endpoints: &[Arc<Endpoint>], now: Instant) -> (Vec<Reason>, bool) {
        let mut changed = false;
        for endpoint in endpoints {
            changed |= self.forgive(endpoint, Some(now));
        }
        let counts: Vec<(u32, u32)> = endpoints
            .iter()
            .map(|endpoint| endpoint.state().recorded().map_or((0, 0), Record::take_counts))
            .collect();
        let mut reasons = Vec::new();
        for (index, reason, enforced_percent) in rates::outliers(&counts, &self.settings) {
            let ejects = |endpoint: &Arc<Endpoint>| self.eject(endpoint, endpoints, enforced_percent, now);
            if endpoints.get(index).is_some_and(ejects) {
                reasons.push(reason);
            }
        }
        changed |= !reasons.is_empty();
        (reasons, changed)
    }

    /// Takes an endpoint back: at once, or if its time is over at `due`. Says whether it was ejected.
    pub(crate) fn forgive(&self, endpoint: &Endpoint, due: Option<Instant>) -> bool {
        // Who never had a request was never ejected.
        let Some(record) = endpoint.state().recorded() else {
            return false;
        };
        let mut ejection = record.ejection();
        match (ejection.until, due) {
            (None, _) => {
                // Good behaviour makes the next ejection shorter.
                ejection.times = ejection.times.saturating_sub(1);
                false
            }
            (Some(until), Some(now)) if now < until => false,
            (Some(_), _) => {
                ejection.until = None;
                record.start_over();
                endpoint.state().clear(Fault::Ejected)
            }
        }
    }

    fn deciding(&self) -> MutexGuard<'_, Draws> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
