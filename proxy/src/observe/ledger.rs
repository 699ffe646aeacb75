//! Did everything that was accepted end, once, and how?
//!
//! ```
//! use tidegate_proxy::Proxy;
//! use tidegate_proxy::config::Handle;
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::observe::ledger::Totals;
//!
//! let (_drain, watch) = Drain::new();
//! // Each worker keeps its own books; the sum says it for the process.
//! let workers = [(); 2].map(|()| Proxy::new(Handle::default(), watch.clone()));
//! let totals: Totals = workers.iter().map(|worker| worker.ledger().totals()).sum();
//! assert_eq!((totals.accepted, totals.difference()), (0, 0));
//! assert!(totals.is_at_rest());
//! ```

use std::iter::Sum;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Kind;

/// The books of one worker, kept while it runs: clones read the same ones, also from other threads.
///
/// What is counted here is what the metrics say, without a recorder in between: accepted = answered + failed + aborted
/// + in progress, and nothing is in progress at rest.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    counts: Arc<Counts>,
}

/// What a [`Ledger`] said at one moment. Those of several workers add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were taken up, those that the codec refused included.
    pub accepted: u64,
    /// Requests that an upstream or a route answered, to the last byte; for a tunnel, until its end.
    pub answered: u64,
    /// Requests whose client left before it had the whole response.
    pub aborted: u64,
    /// Requests that have not ended yet.
    pub in_progress: u64,
    failed: Vec<u64>,
}

#[derive(Debug)]
struct Counts {
    accepted: AtomicU64,
    in_progress: AtomicU64,
    answered: AtomicU64,
    aborted: AtomicU64,
    failed: [AtomicU64; Kind::ALL.len()],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::default(),
            in_progress: AtomicU64::default(),
            answered: AtomicU64::default(),
            aborted: AtomicU64::default(),
            failed: [const { AtomicU64::new(0) }; Kind::ALL.len()],
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Answered,
    Aborted,
    Failed(Kind),
}

impl Ledger {
    /// The books as they stand. While requests come and go, the figures may be a moment apart from each other.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let read = |count: &AtomicU64| count.load(Ordering::Acquire);
        Totals {
            accepted: read(&self.counts.accepted),
            answered: read(&self.counts.answered),
            aborted: read(&self.counts.aborted),
            in_progress: read(&self.counts.in_progress),
            failed: self.counts.failed.iter().map(read).collect(),
        }
    }

    pub(crate) fn begin(&self) {
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        self.counts.in_progress.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, ending: Ending) {
        let count = match ending {
            Ending::Answered => Some(&self.counts.answered),
            Ending::Aborted => Some(&self.counts.aborted),
            Ending::Failed(kind) => self.counts.failed.get(kind.index()),
        };
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        // Released, so that whoever sees nothing in progress sees also how everything ended.
        self.counts.in_progress.fetch_sub(1, Ordering::Release);
    }
}

impl Totals {
    /// How many requests failed for this reason.
    #[must_use]
    pub fn failed(&self, kind: Kind) -> u64 {
        self.failed.get(kind.index()).copied().unwrap_or(0)
    }

    /// How many requests failed for any reason.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// What is accepted and not accounted for: zero, unless requests came or went while it was read.
    #[must_use]
    pub fn difference(&self) -> i128 {
        let ended = [self.answered, self.aborted, self.failures(), self.in_progress];
        i128::from(self.accepted) - ended.map(i128::from).iter().sum::<i128>()
    }

    /// Whether everything that was accepted has ended and is accounted for.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.in_progress == 0 && self.difference() == 0
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let failed = |kind: &Kind| self.failed(*kind) + other.failed(*kind);
        Self {
            accepted: self.accepted + other.accepted,
            answered: self.answered + other.answered,
            aborted: self.aborted + other.aborted,
            in_progress: self.in_progress + other.in_progress,
            failed: Kind::ALL.iter().map(failed).collect(),
        }
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_is_in_progress_until_it_ended_in_one_way() {
        let ledger = Ledger::default();
        (0..4).for_each(|_| ledger.begin());
        ledger.end(Ending::Answered);
        ledger.end(Ending::Aborted);
        ledger.end(Ending::Failed(Kind::NoRoute));
        let totals = ledger.totals();
        assert_eq!((totals.in_progress, totals.difference()), (1, 0));
        assert_eq!((totals.failed(Kind::NoRoute), totals.failures()), (1, 1));
        assert!(!totals.is_at_rest());
        ledger.end(Ending::Answered);
        let both: Totals = [ledger.totals(), ledger.totals()].into_iter().sum();
        assert!(both.is_at_rest());
        assert_eq!((both.answered, both.failed(Kind::NoRoute)), (4, 2));
    }
}
