//! How do those go on who waited for a revision that holds nobody any more? So many at once as their cluster has room for.
//!
//! Thousands may have waited, and all would be at the cluster in the same moment: those above its circuit breaker would be
//! answered 503, though waiting is what they were there for. They go in turn instead, as requests do that Envoy keeps in line for
//! an upstream that is busy. Half of the breaker's bound is theirs at most; the other half is for who comes now.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use tidegate_proxy::{
    cluster::{
        Cluster,
        breaker::{RequestPriority, Usage},
    },
    limit::{Full, Limit, Permit},
};

use crate::limits::RELEASED_AT_ONCE_MAX;

/// Where those go on who waited, and how many are under way at once.
pub(crate) struct Release {
    cluster: ArcSwap<Cluster>,
    default: Arc<Limit>,
    high: Arc<Limit>,
}

/// A request may go on now, as one of those that may at once until its response has ended. In its extensions.
#[derive(Clone)]
pub(crate) struct Onward {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) turn: Arc<Permit>,
}

impl Release {
    pub(crate) fn to(cluster: &Arc<Cluster>) -> Self {
        let turns = |priority| {
            let at_once = at_once(cluster.breakers().usage(priority));
            // Who stands in line has been parked, and is bounded as such.
            Limit::new(at_once, usize::MAX - at_once)
        };
        Self {
            cluster: ArcSwap::new(Arc::clone(cluster)),
            default: turns(RequestPriority::Default),
            high: turns(RequestPriority::High),
        }
    }

    /// Says that the cluster is this one now: those whose turn is still to come go there.
    pub(crate) fn move_to(&self, cluster: &Arc<Cluster>) {
        self.cluster.store(Arc::clone(cluster));
    }

    /// A turn, first come, first served. Cancel-safe; the caller sets the deadline.
    pub(crate) async fn turn(&self, priority: RequestPriority) -> Result<Onward, Full> {
        let turns = match priority {
            RequestPriority::Default => &self.default,
            RequestPriority::High => &self.high,
        };
        let turn = turns.acquire().await?;
        Ok(Onward {
            cluster: self.cluster.load_full(),
            turn: turn.into(),
        })
    }

    /// How many stand in line.
    pub(crate) fn waiting(&self) -> usize {
        self.default.waiting() + self.high.waiting()
    }
}

/// Half of the tightest bound; each request may need a connection, so that of those who wait for one counts too.
fn at_once(usage: Usage) -> usize {
    let bounds = [usage.requests, usage.pending].into_iter().flatten();
    let tightest = bounds.map(|bound| bound.max).min();
    tightest.map_or(RELEASED_AT_ONCE_MAX, |bound| (bound / 2).max(1))
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release")
            .field("cluster", self.cluster.load().name())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tidegate_proxy::cluster::breaker::Used;

    use super::*;

    fn check(requests: Option<usize>, pending: Option<usize>, expected: usize) {
        let used = |bound: Option<usize>| bound.map(|max| Used { now: 0, max });
        let usage = Usage {
            requests: used(requests),
            pending: used(pending),
            ..Usage::default()
        };
        assert_eq!(at_once(usage), expected, "{usage:?}");
    }

    #[test]
    fn half_of_the_tightest_bound_may_go_at_once_and_one_always() {
        check(Some(1024), Some(1024), 512);
        check(Some(1024), Some(10), 5);
        check(Some(6), None, 3);
        check(None, Some(1), 1);
        check(Some(0), Some(0), 1);
        check(None, None, RELEASED_AT_ONCE_MAX);
    }
}
