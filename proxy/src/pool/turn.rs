//! Who opens a connection where a cluster may have no more of them, and who waits until one is free?

use std::collections::VecDeque;

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

/// Requests that wait, in order, and how many connections there are that one of them could get.
#[derive(Debug, Default)]
pub(super) struct Line {
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

/// Counts a connection of its key until it is dropped; nothing where they are not bounded.
#[derive(Debug)]
pub(crate) struct Open(Option<(Pool, Key)>);

impl Pool {
    /// The right to open a connection. Where the cluster has as many as it may, one of HTTP/1.1 is waited for, behind those who
    /// wait already; the first of a key is opened all the same, as in Envoy: there would be none to wait for.
    pub(super) async fn turn_to_open(&self, wanted: Wanted<'_>, key: &Key) -> Result<Turn, Error> {
        let breakers = wanted.cluster.breakers();
        if !breakers.bounds_connections(wanted.priority) {
            return Ok(Turn::Opens(Permit::uncounted(), Open(None)));
        }
        let mut overflowed = false;
        loop {
            let left = {
                let mut places = self.places();
                let place = places.by_key.entry(key.clone()).or_default();
                let permit = breakers.connection(wanted.priority);
                if permit.is_none() && !overflowed {
                    one(&wanted.cluster.counts().cells().connects_overflowed);
                }
                let first = place.line.open == 0;
                if let Some(permit) = permit.or_else(|| first.then(Permit::uncounted)) {
                    place.line.open += 1;
                    return Ok(Turn::Opens(permit, Open(Some((self.clone(), key.clone())))));
                }
                if let Some(connection) = self.take(key, place) {
                    return Ok(Turn::Has(connection));
                }
                if !place.lends(key.transport.protocol()) {
                    return Err(breaker::overflow("too many connections to the upstream"));
                }
                overflowed = true;
                match place.idle.pop() {
                    Some(idle) => Ok(idle),
                    None => Err(place.line.join()),
                }
            };
            let left = match left {
                Ok(idle) => Some(idle),
                Err(freed) => match freed.await {
                    Ok(Freed::Connection(idle)) => Some(idle),
                    Ok(Freed::Room) | Err(_) => None,
                },
            };
            // The last request of a connection may still be on its way out, behind an early response.
            if let Some(Idle {
                mut sender, tenure, ..
            }) = left
                && sender.ready().await.is_ok()
            {
                return Ok(Turn::Has(self.h1(key.clone(), sender, tenure, true)));
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
    fn join(&mut self) -> oneshot::Receiver<Freed> {
        let (sender, freed) = oneshot::channel();
        self.waiting.push_back(sender);
        freed
    }

    /// Gives a connection to whoever has waited for the longest; gives it back where nobody waits.
    pub(super) fn give(&mut self, mut idle: Idle) -> Option<Idle> {
        while let Some(next) = self.waiting.pop_front() {
            match next.send(Freed::Connection(idle)) {
                Ok(()) | Err(Freed::Room) => return None,
                Err(Freed::Connection(back)) => idle = back,
            }
        }
        Some(idle)
    }

    fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
        while let Some(next) = self.waiting.pop_front() {
            if next.send(Freed::Room).is_ok() {
                return;
            }
        }
    }

    /// Whether it is of use to anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.open == 0 && self.waiting.is_empty()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some((pool, key)) = self.0.take()
            && let Some(place) = pool.places().by_key.get_mut(&key)
        {
            place.line.closed();
        }
    }
}
