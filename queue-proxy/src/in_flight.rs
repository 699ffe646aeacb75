//! Which requests does the sidecar still carry when it is to end?
//!
//! As Knative it waits without a deadline for requests that end by themselves, and for a while for what may be open for as long
//! as it likes: tunnels and HTTP/2 streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts what is under way. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    streams: AtomicUsize,
    changed: Notify,
}

/// How long the end of something is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// However long it takes: a request over HTTP/1.
    Always,
    /// For a while: a tunnel, a stream of HTTP/2.
    ForAWhile,
}

/// Something under way, until it is dropped.
#[derive(Debug)]
pub struct Inside {
    counts: Arc<Counts>,
    awaited: Awaited,
}

impl InFlight {
    /// One more.
    #[must_use]
    pub fn enter(&self, awaited: Awaited) -> Inside {
        let counts = Arc::clone(&self.counts);
        counts.of(awaited).fetch_add(1, Ordering::AcqRel);
        Inside { counts, awaited }
    }

    /// Resolves when nothing of this kind is left.
    pub async fn none_left(&self, awaited: Awaited) {
        loop {
            let changed = self.counts.changed.notified();
            tokio::pin!(changed);
            // Registered before the count is read, so that the last one's notice is not missed.
            changed.as_mut().enable();
            if self.counts.of(awaited).load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Counts {
    fn of(&self, awaited: Awaited) -> &AtomicUsize {
        match awaited {
            Awaited::Always => &self.requests,
            Awaited::ForAWhile => &self.streams,
        }
    }

    fn leave(&self, awaited: Awaited) {
        if self.of(awaited).fetch_sub(1, Ordering::AcqRel) == 1 {
            self.changed.notify_waiters();
        }
    }
}

impl Inside {
    /// From now on it is waited for like this.
    pub fn become_awaited(&mut self, awaited: Awaited) {
        if awaited != self.awaited {
            self.counts.of(awaited).fetch_add(1, Ordering::AcqRel);
            self.counts.leave(self.awaited);
            self.awaited = awaited;
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.counts.leave(self.awaited);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll(waiting: std::pin::Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
        waiting.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn qp_58_a_drain_waits_for_what_is_under_way_and_for_nothing_else() {
        let in_flight = InFlight::default();
        in_flight.none_left(Awaited::Always).await;
        let mut one = in_flight.enter(Awaited::Always);
        let mut waiting = pin!(in_flight.none_left(Awaited::Always));
        assert!(poll(waiting.as_mut()).is_pending());
        in_flight.none_left(Awaited::ForAWhile).await;
        one.become_awaited(Awaited::ForAWhile);
        waiting.await;
        let mut waiting = pin!(in_flight.none_left(Awaited::ForAWhile));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(one);
        waiting.await;
    }
}
