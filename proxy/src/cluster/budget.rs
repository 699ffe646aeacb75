//! What share of a cluster's requests may be retries at once?

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::route::policy::RetryBudget;

/// The requests to one cluster that may be retried, and the retries among them. Process-wide, and made by the first of them.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    counts: OnceLock<Arc<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    active: AtomicUsize,
    retrying: AtomicUsize,
}

/// A request under way that a policy may retry.
#[derive(Debug)]
pub(crate) struct Active(Arc<Counts>);

/// A retry under way.
#[derive(Debug)]
pub(crate) struct Share(Arc<Counts>);

impl Budget {
    /// One more request.
    pub(crate) fn begin(&self) -> Active {
        let counts = self.counts.get_or_init(Arc::default);
        counts.active.fetch_add(1, Ordering::Relaxed);
        Active(Arc::clone(counts))
    }
}

impl Active {
    /// The right to be a retry, if the budget has room.
    pub(crate) fn retry(&self, budget: &RetryBudget) -> Option<Share> {
        let active = self.0.active.load(Ordering::Relaxed) as f64;
        let share = (active * budget.percent.clamp(0.0, 100.0) / 100.0) as usize;
        let room = share.max(budget.retries_min as usize);
        let raise = |retrying: usize| (retrying < room).then(|| retrying + 1);
        let raised = self
            .0
            .retrying
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise);
        raised.ok().map(|_| Share(Arc::clone(&self.0)))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.retrying.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_what_is_active_may_be_retries_and_a_few_always() {
        let budget = Budget::default();
        let check = |active: usize, percent: f64, retries_min: u32, expected: usize| {
            let active: Vec<_> = (0..active).map(|_| budget.begin()).collect();
            let settings = RetryBudget { percent, retries_min };
            let shares: Vec<_> = active
                .iter()
                .map_while(|active| active.retry(&settings))
                .collect();
            assert_eq!(shares.len(), expected);
        };
        check(10, 20.0, 3, 3);
        check(100, 20.0, 3, 20);
        check(100, 20.0, 3, 20);
        check(10, 0.0, 0, 0);
        check(10, 500.0, 0, 10);
    }
}
