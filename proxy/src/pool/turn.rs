//! Who opens a connection where a cluster may have no more of them, and who waits until one is free?

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::key::Key;
use super::place::{Idle, Place};
use super::{Checkout, Pool, Wanted};
use crate::cluster::breaker::{self, Permit};
use crate::cluster::transport::Protocol;
use crate::error::Error;
use crate::observe::counts::one;

/// The right to open a connection, or a connection that another request has left.
pub(super) enum Turn {
    Opens(Permit, Open),
    Has(Checkout),
}

/// Requests that wait, in order, and how many connections there are that one of them could get. It has a lock of its own,
/// since a connection may be dropped by whoever works on its place.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    /// Connections of this key, also those that are being dialled; counted where they are bounded.
    open: usize,
    waiting: VecDeque<oneshot::Sender<Freed>>,
}

/// What a request that waits is told.
#[derive(Debug)]
pub(super) enum Freed {
    /// It has this connection.
    Connection(Idle),
    /// One less is open.
    Room,
}

/// A place in the line, until it is dropped.
struct Seat {
    line: Line,
    freed: oneshot::Receiver<Freed>,
}

/// Counts a connection of its key until it is dropped; nothing where they are not bounded.
#[derive(Debug)]
pub(crate) struct Open(Option<Line>);

impl Pool {
    /// The right to open a connection. Where the cluster has as many as it may, one of HTTP/1.1 is waited for, behind those who
    /// wait already; the first of a key is opened all the same, as in Envoy: there would be none to wait for.
    pub(super) async fn turn_to_open(&self, wanted: Wanted<'_>, key: &Key) -> Result<Turn, Error> {
        let breakers = wanted.cluster.breakers();
        if !breakers.bounds_connections(wanted.priority) {
            return Ok(Turn::Opens(Permit::uncounted(), Open(None)));
        }
        // Whatever becomes of the dial, nothing is kept for good of a key that nobody uses.
        self.insert(key, |_place| {});
        let mut overflowed = false;
        loop {
            let seat = {
                let mut places = self.places();
                let place = places.by_key.entry(key.clone()).or_default();
                let permit = breakers.connection(wanted.priority);
                if permit.is_none() && !overflowed {
                    one(&wanted.cluster.counts().cells().connects_overflowed);
                }
                let first = place.line.is_closed();
                if let Some(permit) = permit.or_else(|| first.then(Permit::uncounted)) {
                    return Ok(Turn::Opens(permit, place.line.open()));
                }
                let had_idle = !place.idle.is_empty();
                if let Some(connection) = self.take(key, place) {
                    return Ok(Turn::Has(connection));
                }
                if had_idle {
                    // They were dead: there is room now.
                    continue;
                }
                if !place.lends(key.transport.protocol()) {
                    return Err(breaker::overflow("too many connections to the upstream"));
                }
                overflowed = true;
                place.line.join()
            };
            if let Some(Idle {
                mut connection,
                tenure,
                ..
            }) = seat.wait().await
                && connection.is_usable()
            {
                return Ok(Turn::Has(self.h1(key.clone(), connection, tenure, true)));
            }
        }
    }
}

impl Place {
    /// Whether its connections come back, for one request after the other.
    fn lends(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Http1 || self.chose_http1 && self.multiplexed.is_empty()
    }
}

impl Line {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Open {
        self.queue().open += 1;
        Open(Some(self.clone()))
    }

    /// Whether no connection is open.
    fn is_closed(&self) -> bool {
        self.queue().open == 0
    }

    fn join(&self) -> Seat {
        let (sender, freed) = oneshot::channel();
        let mut queue = self.queue();
        // Those who have left do not count.
        queue.waiting.retain(|waiting| !waiting.is_closed());
        queue.waiting.push_back(sender);
        drop(queue);
        Seat {
            line: self.clone(),
            freed,
        }
    }

    /// Tells whoever has waited for the longest that there is room.
    fn offer_room(&self) {
        let mut queue = self.queue();
        while let Some(next) = queue.waiting.pop_front() {
            if next.send(Freed::Room).is_ok() {
                return;
            }
        }
    }

    /// Gives a connection to whoever has waited for the longest; gives it back where nobody waits.
    pub(super) fn give(&self, mut idle: Idle) -> Option<Idle> {
        let mut queue = self.queue();
        while let Some(next) = queue.waiting.pop_front() {
            match next.send(Freed::Connection(idle)) {
                Ok(()) | Err(Freed::Room) => return None,
                Err(Freed::Connection(back)) => idle = back,
            }
        }
        Some(idle)
    }

    /// Whether it is of use to anybody.
    pub(super) fn is_empty(&self) -> bool {
        let queue = self.queue();
        queue.open == 0 && queue.waiting.is_empty()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(line) = self.0.take() else {
            return;
        };
        {
            let mut queue = line.queue();
            queue.open = queue.open.saturating_sub(1);
        }
        line.offer_room();
    }
}

impl Seat {
    /// The connection that has come free; none where there is room for another one.
    async fn wait(mut self) -> Option<Idle> {
        match (&mut self.freed).await {
            Ok(Freed::Connection(idle)) => Some(idle),
            Ok(Freed::Room) | Err(_) => None,
        }
    }
}

impl Drop for Seat {
    /// Room that is offered to one who leaves goes to the next.
    fn drop(&mut self) {
        if let Ok(Freed::Room) = self.freed.try_recv() {
            self.line.offer_room();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_the_line_is_not_kept() {
        let line = Line::default();
        for _ in 0..100 {
            drop(line.join());
        }
        let _last = line.join();
        assert_eq!(line.queue().waiting.len(), 1);
    }

    #[tokio::test]
    async fn room_that_one_who_leaves_was_offered_goes_to_the_next() {
        let line = Line::default();
        let open = line.open();
        let (first, second) = (line.join(), line.join());
        drop(open);
        drop(first);
        assert!(second.wait().await.is_none(), "there is room, and no connection");
        assert!(line.is_empty());
    }
}
