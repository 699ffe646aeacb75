//! Who waits, in which order, and who gets what becomes free?
//!
//! A [`WaitQueue`] is a FIFO of parked waiters, each of which is handed one `T`: a permit, or a lease of a
//! replica. The queue does not know how capacity is counted; its owner does, and lends [`WaitQueue::dispatch`]
//! a closure that takes one unit of capacity or says that there is none.
//!
//! # Why no wake-up is lost
//! The owner keeps a *capacity* in atomics; the queue keeps a *waiting* count. Two orders are all it takes:
//! - who frees capacity: **first** writes the capacity, **then** calls `dispatch`, which reads `waiting`;
//! - who waits: **first** parks, which raises `waiting`, **then** calls `dispatch`, whose closure reads the
//!   capacity.
//!
//! All four accesses are `SeqCst`, so they stand in one total order (Dekker's argument). Where the capacity is not
//! an atomic of the owner's own, as in a list behind `arc_swap`, a `SeqCst` fence after the write takes the place of
//! a `SeqCst` write; on the other side [`WaitQueue::park`] ends with one. Suppose that all calls have returned, a
//! waiter W is parked and capacity is free. Look at the last event that made it so:
//! - it was the write that freed capacity: W had parked before it, so the `dispatch` that follows the write reads
//!   `waiting >= 1`, takes the lock (`waiting` only changes under it, so W's entry is there) and loops until the
//!   queue is empty or the closure finds no capacity. W is still parked, so the closure found none, after the
//!   last write that freed any: a contradiction.
//! - it was W's parking: the `dispatch` that follows it loops in the same way, and ends only when W was served or
//!   the closure found no capacity, after the last write that freed any: a contradiction.
//!
//! The fast path of a request that need not wait is thus the owner's own read-modify-write and one plain load of
//! [`WaitQueue::len`]; the lock is only taken while somebody waits.
//!
//! A waiter may be dropped at any time. If nothing was handed to it, its entry goes. If something was, that value
//! is dropped, and its own `Drop` frees the capacity and dispatches to the next waiter.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst, fence},
    },
    task::{Context, Poll, Waker},
};

/// A bounded FIFO of waiters that are handed a `T` each, or are all refused for one reason `R`.
///
/// Clones are handles to the same queue. A waiter costs about 60 bytes while it waits, and nothing afterwards.
pub struct WaitQueue<T, R> {
    shared: Arc<Shared<T, R>>,
}

/// The queue holds as many waiters as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the waiting queue is full")]
pub struct QueueFull;

/// A place in the queue: a future that resolves to what was handed to it, or to the reason given to
/// [`WaitQueue::fail_all`].
///
/// Cancel-safe: dropping it frees the place at once; a value that was handed over but not received is dropped.
/// Once resolved, it stays pending if polled again.
#[must_use = "a waiter that is dropped has left the queue"]
pub struct Waiter<T, R> {
    queue: Arc<Shared<T, R>>,
    place: u64,
}

struct Shared<T, R> {
    /// The number of `places.waiting`; changed only while the lock is held.
    waiting: AtomicUsize,
    waiters_max: usize,
    places: Mutex<Places<T, R>>,
}

struct Places<T, R> {
    /// Places count up, so the order of the keys is the order of arrival.
    next: u64,
    waiting: BTreeMap<u64, Option<Waker>>,
    settled: BTreeMap<u64, Result<T, Arc<R>>>,
}

impl<T, R> WaitQueue<T, R> {
    /// An empty queue that holds at most `waiters_max` waiters; 0 means that nobody may wait.
    #[must_use]
    pub fn new(waiters_max: usize) -> Self {
        let places = Places {
            next: 0,
            waiting: BTreeMap::new(),
            settled: BTreeMap::new(),
        };
        Self {
            shared: Arc::new(Shared {
                waiting: AtomicUsize::new(0),
                waiters_max,
                places: Mutex::new(places),
            }),
        }
    }

    /// How many wait now: parked, and not yet handed anything. One plain load.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.waiting.load(SeqCst)
    }

    /// Whether nobody waits. One plain load.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the last place in the queue. Call [`dispatch`](Self::dispatch) next: capacity that became free just
    /// before is not noticed otherwise.
    ///
    /// # Errors
    /// [`QueueFull`] if the bound given to [`new`](Self::new) is reached.
    pub fn park(&self) -> Result<Waiter<T, R>, QueueFull> {
        self.park_within(self.shared.waiters_max)
    }

    /// As [`park`](Self::park), with a bound for this call instead of the queue's own.
    ///
    /// # Errors
    /// [`QueueFull`] if `waiters_max` or more wait already.
    pub fn park_within(&self, waiters_max: usize) -> Result<Waiter<T, R>, QueueFull> {
        let mut places = self.shared.lock();
        if places.waiting.len() >= waiters_max {
            return Err(QueueFull);
        }
        let place = places.next;
        places.next += 1;
        places.waiting.insert(place, None);
        self.shared.waiting.fetch_add(1, SeqCst);
        drop(places);
        fence(SeqCst);
        Ok(Waiter {
            queue: Arc::clone(&self.shared),
            place,
        })
    }

    /// Hands out what `take` gives, first come first served, until nobody waits or `take` gives nothing. Returns
    /// how many were served. Costs one plain load if nobody waits.
    ///
    /// `take` runs under the queue's lock: it must not use this queue, nor drop a `T`.
    pub fn dispatch(&self, mut take: impl FnMut() -> Option<T>) -> usize {
        let mut served = 0;
        while !self.is_empty() {
            // The waker runs after the lock is let go: it may poll or drop a waiter of this queue.
            let Some(waker) = self.shared.serve_first(&mut take) else {
                break;
            };
            served += 1;
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        served
    }

    /// Refuses everybody who waits now, for one reason. Those who park later wait as usual. Returns how many
    /// were refused.
    pub fn fail_all(&self, reason: &Arc<R>) -> usize {
        let mut places = self.shared.lock();
        let waiting = mem::take(&mut places.waiting);
        self.shared.waiting.fetch_sub(waiting.len(), SeqCst);
        let refused = waiting.len();
        let mut wakers = Vec::with_capacity(refused);
        for (place, waker) in waiting {
            places.settled.insert(place, Err(Arc::clone(reason)));
            wakers.extend(waker);
        }
        drop(places);
        wakers.into_iter().for_each(Waker::wake);
        refused
    }
}

impl<T, R> Clone for WaitQueue<T, R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T, R> fmt::Debug for WaitQueue<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitQueue")
            .field("waiting", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T, R> Shared<T, R> {
    fn lock(&self) -> MutexGuard<'_, Places<T, R>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the first waiter, if there is one and `take` gives something: its waker, if it was ever polled.
    fn serve_first(&self, take: &mut impl FnMut() -> Option<T>) -> Option<Option<Waker>> {
        let mut places = self.lock();
        let first = places.waiting.first_entry()?;
        let value = take()?;
        let (place, waker) = first.remove_entry();
        self.waiting.fetch_sub(1, SeqCst);
        places.settled.insert(place, Ok(value));
        Some(waker)
    }
}

impl<T, R> Future for Waiter<T, R> {
    type Output = Result<T, Arc<R>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut places = self.queue.lock();
        if let Some(outcome) = places.settled.remove(&self.place) {
            return Poll::Ready(outcome);
        }
        let Some(waker) = places.waiting.get_mut(&self.place) else {
            return Poll::Pending;
        };
        if waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let before = waker.replace(cx.waker().clone());
        drop(places);
        // Dropped after the lock: the last handle to a task drops the task, which may hold a waiter.
        drop(before);
        Poll::Pending
    }
}

impl<T, R> Drop for Waiter<T, R> {
    fn drop(&mut self) {
        let mut places = self.queue.lock();
        let waker = places.waiting.remove(&self.place);
        if waker.is_some() {
            self.queue.waiting.fetch_sub(1, SeqCst);
        }
        let outcome = places.settled.remove(&self.place);
        drop(places);
        // Dropped after the lock: dropping a lease dispatches to the next waiter of this very queue.
        drop((waker, outcome));
    }
}

impl<T, R> fmt::Debug for Waiter<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
