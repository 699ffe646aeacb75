//! How do those go on who waited for a revision that holds nobody any more? So many at once as their cluster has room for.
//!
//! Thousands may have waited, and all would be at the cluster in the same moment: those above its circuit breaker would be
//! answered 503, though waiting is what they were there for. They go in turn instead, as requests do that Envoy keeps in line for
//! an upstream that is busy. Half of the breaker's bound is theirs at most; the other half is for who comes now.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use arc_swap::ArcSwap;
use tidegate_proxy::{
    cluster::{
        Cluster,
        breaker::{RequestPriority, Usage},
    },
    limit::{Limit, Permit},
};
use tokio::sync::Notify;

use crate::limits::RELEASED_AT_ONCE_MAX;

/// Where those go on who waited, until they are held again or the revision is gone.
pub(crate) struct Release {
    cluster: ArcSwap<Cluster>,
    turns: Turns,
    is_revoked: AtomicBool,
    /// Wakes those in line once it is.
    revoked: Notify,
}

/// How many are under way at once. Of the revision, not of one release: who goes on is at the cluster all the same when the next
/// one begins.
#[derive(Clone)]
pub(crate) struct Turns {
    default: Arc<Limit>,
    high: Arc<Limit>,
}

/// A request may go on now, as one of those that may at once until its response has ended. In its extensions.
#[derive(Clone)]
pub(crate) struct Onward {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) turn: Arc<Permit>,
}

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// More stand in line than may.
    Full,
    /// Nobody goes on any more: the revision says what becomes of who waits.
    Revoked,
}

impl Release {
    pub(crate) fn to(cluster: &Arc<Cluster>, turns: &Turns) -> Self {
        turns.bound_by(cluster);
        Self {
            cluster: ArcSwap::new(Arc::clone(cluster)),
            turns: turns.clone(),
            is_revoked: AtomicBool::new(false),
            revoked: Notify::new(),
        }
    }

    /// Says that the cluster is this one now: those whose turn is still to come go there, as many at once as its bounds say.
    pub(crate) fn move_to(&self, cluster: &Arc<Cluster>) {
        self.cluster.store(Arc::clone(cluster));
        self.turns.bound_by(cluster);
    }

    /// A turn, first come, first served. Cancel-safe; the caller sets the deadline.
    pub(crate) async fn turn(&self, priority: RequestPriority) -> Result<Onward, NoTurn> {
        // Hears of what comes from here on, so that it is heard of in the one way or in the other.
        let revoked = self.revoked.notified();
        if self.is_revoked.load(SeqCst) {
            return Err(NoTurn::Revoked);
        }
        let turn = tokio::select! {
            biased;
            () = revoked => return Err(NoTurn::Revoked),
            turn = self.turns.of(priority).acquire() => turn.map_err(|_full| NoTurn::Full)?,
        };
        Ok(Onward {
            cluster: self.cluster.load_full(),
            turn: turn.into(),
        })
    }

    /// Lets nobody go on any more, those in line included. Returns how many those were.
    pub(crate) fn revoke(&self) -> usize {
        let waiting = self.waiting();
        self.is_revoked.store(true, SeqCst);
        self.revoked.notify_waiters();
        waiting
    }

    /// How many stand in line.
    pub(crate) fn waiting(&self) -> usize {
        self.turns.default.waiting() + self.turns.high.waiting()
    }
}

impl Turns {
    /// None yet, until a cluster says how many there are.
    pub(crate) fn new() -> Self {
        // Who stands in line has been parked, and is bounded as such.
        let [default, high] = [(); 2].map(|()| Limit::new(0, usize::MAX));
        Self { default, high }
    }

    fn of(&self, priority: RequestPriority) -> &Arc<Limit> {
        match priority {
            RequestPriority::Default => &self.default,
            RequestPriority::High => &self.high,
        }
    }

    fn bound_by(&self, cluster: &Cluster) {
        for priority in [RequestPriority::Default, RequestPriority::High] {
            let usage = cluster.breakers().usage(priority);
            self.of(priority).set_permits(at_once(usage));
        }
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
mod tests;
