//! How many may be in flight, who waits for a turn, and who is turned away?
//!
//! [`Limit`] is a circuit breaker with a bounded waiting queue: containerConcurrency in the sidecar, an upstream's
//! request limit in the proxy. [`WaitQueue`] is the queue alone, for owners that hand out something else than a
//! permit of one counter, as the activator does with leases of replicas.
//!
//! The counts are process-wide atomics. A request that need not wait costs one read-modify-write of the count to
//! enter and one to leave; only a request that waits takes a lock.
//!
//! ```
//! use tidegate_proxy::limit::{Full, Limit};
//!
//! let limit = Limit::new(1, 10);
//! let permit = limit.try_reserve().ok_or(Full)?;
//! assert!(limit.try_reserve().is_none());
//! drop(permit);
//! assert!(limit.try_reserve().is_some());
//! # Ok::<(), Full>(())
//! ```

mod queue;

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

pub use queue::{QueueFull, WaitQueue, Waiter};

/// A number of permits that can change at run time, and a bounded FIFO of those who wait for one.
///
/// Semantics of Knative's breaker: permits plus queue make up the slots; a caller without a slot is turned away at
/// once, a caller with one waits for a permit. Unlike Knative's, the order is strictly first come, first served.
pub struct Limit {
    permits: AtomicUsize,
    /// The most permits there ever were: while fewer are given out, as many more may wait.
    permits_max: AtomicUsize,
    in_flight: AtomicUsize,
    queue_depth: usize,
    queue: WaitQueue<Permit, Infallible>,
}

/// All slots are taken: as many are in flight and wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit and its waiting queue are full")]
pub struct Full;

/// The right to be in flight. Dropping it passes the right to whoever waits longest.
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    limit: Arc<Limit>,
}

impl Limit {
    /// A limit of `permits` in flight, and of `queue_depth` waiting when that many are. A depth of 0 means that
    /// nobody waits: what exceeds the permits is turned away.
    #[must_use]
    pub fn new(permits: usize, queue_depth: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: AtomicUsize::new(permits),
            permits_max: AtomicUsize::new(permits),
            in_flight: AtomicUsize::new(0),
            queue_depth,
            queue: WaitQueue::new(queue_depth),
        })
    }

    /// A permit if one is free and nobody waits for it; never waits. One read-modify-write of the count.
    pub fn try_reserve(self: &Arc<Self>) -> Option<Permit> {
        if self.queue.is_empty() { self.take() } else { None }
    }

    /// A permit, at once or after a wait in line. The caller sets the deadline.
    ///
    /// Cancel-safe: dropping the future leaves the line, and gives back a permit that was just handed over.
    ///
    /// # Errors
    /// [`Full`] at once if all slots are taken.
    pub async fn acquire(self: &Arc<Self>) -> Result<Permit, Full> {
        if let Some(permit) = self.try_reserve() {
            return Ok(permit);
        }
        let waiter = self.park()?;
        match waiter.await {
            Ok(permit) => Ok(permit),
            Err(never) => match *never {},
        }
    }

    /// Changes the number of permits. More permits wake those who wait; with fewer, what is in flight goes on, and
    /// may exceed the number until it is done.
    pub fn set_permits(self: &Arc<Self>, permits: usize) {
        self.permits_max.fetch_max(permits, SeqCst);
        self.permits.store(permits, SeqCst);
        self.dispatch();
    }

    /// How many permits there are.
    #[must_use]
    pub fn permits(&self) -> usize {
        self.permits.load(SeqCst)
    }

    /// How many hold a permit now, including one that was handed to a waiter which has not run yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    /// How many wait for a permit now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn park(self: &Arc<Self>) -> Result<Waiter<Permit, Infallible>, Full> {
        // A permit may have been given back by someone who has not dispatched yet; help, so that the queue is not
        // seen fuller than it is.
        self.dispatch();
        let taken = self.permits().max(self.in_flight());
        let unused = self.permits_max.load(SeqCst).saturating_sub(taken);
        let waiters_max = self.queue_depth.saturating_add(unused);
        let waiter = self.queue.park_within(waiters_max).map_err(|QueueFull| Full)?;
        self.dispatch();
        Ok(waiter)
    }

    fn dispatch(self: &Arc<Self>) {
        self.queue.dispatch(|| self.take());
    }

    /// The one place that counts up. The count never exceeds the permits that were read with it, and is never
    /// raised just to be lowered again: a failed attempt must not hide capacity from somebody else's.
    fn take(self: &Arc<Self>) -> Option<Permit> {
        let raise = |in_flight: usize| (in_flight < self.permits()).then(|| in_flight + 1);
        self.in_flight.fetch_update(SeqCst, SeqCst, raise).ok()?;
        Some(Permit {
            limit: Arc::clone(self),
        })
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("permits", &self.permits())
            .field("in_flight", &self.in_flight())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.in_flight.fetch_sub(1, SeqCst);
        self.limit.dispatch();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("limit", &self.limit).finish()
    }
}

#[cfg(test)]
mod tests;
