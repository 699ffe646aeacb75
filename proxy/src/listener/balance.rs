//! Which worker serves a connection? The one that took it, unless another has far fewer of the listener's.
//!
//! The kernel spreads connections over the workers' sockets by hash: of four that stay, one worker may get all. Requests of one
//! connection cannot move later, so it is seen to at once, and what is handed on is a socket that nobody has read from.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::settings::Balance;
use crate::config::limits;

/// The workers of a listener, by what each has to serve.
#[derive(Debug)]
pub(super) struct Workers {
    seats: Box<[Worker]>,
    balance: Balance,
}

#[derive(Debug)]
struct Worker {
    open: AtomicUsize,
    is_serving: AtomicBool,
    inbox: mpsc::Sender<Handed>,
    /// Until the worker serves.
    waiting: Mutex<Option<Inbox>>,
}

/// A connection that another worker took.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) stream: std::net::TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) seat: Seat,
}

/// A connection's place among those of a worker, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    workers: Arc<Workers>,
    index: usize,
}

/// A worker's place among them.
#[derive(Debug)]
pub(super) struct Post {
    workers: Arc<Workers>,
    index: usize,
}

/// What the others hand a worker.
pub(super) type Inbox = mpsc::Receiver<Handed>;

impl Workers {
    pub(super) fn new(count: NonZeroUsize, balance: Balance) -> Self {
        let worker = |_| {
            let (inbox, waiting) = mpsc::channel(limits::HANDED_ON_MAX);
            Worker {
                open: AtomicUsize::new(0),
                is_serving: AtomicBool::new(false),
                inbox,
                waiting: Mutex::new(Some(waiting)),
            }
        };
        let seats = (0..count.get()).map(worker).collect();
        Self { seats, balance }
    }

    /// Who should serve one more that came to worker `index`.
    fn choose(&self, index: usize) -> usize {
        let open = |worker: &Worker| worker.open.load(Ordering::Relaxed);
        let own = self.seats.get(index).map_or(0, open);
        let others = self.seats.iter().enumerate();
        let others =
            others.filter(|(other, worker)| *other != index && worker.is_serving.load(Ordering::Relaxed));
        let least = others.min_by_key(|(_, worker)| open(worker));
        match least {
            Some((other, worker)) if own > open(worker).saturating_add(self.balance.slack(open(worker))) => {
                other
            }
            _ => index,
        }
    }

    fn seat(self: &Arc<Self>, index: usize) -> Seat {
        if let Some(worker) = self.seats.get(index) {
            worker.open.fetch_add(1, Ordering::Relaxed);
        }
        Seat {
            workers: Arc::clone(self),
            index,
        }
    }
}

impl Balance {
    /// How many more than the other, which has `least`, a worker may have before it hands one on.
    fn slack(self, least: usize) -> usize {
        match self {
            Self::Rough => least / limits::BALANCE_SLACK_PART,
            Self::Exact => 0,
        }
    }
}

impl Post {
    /// Takes its place; a second worker in the same place hears nothing of the others.
    pub(super) fn take(workers: &Arc<Workers>, index: usize) -> Option<(Self, Inbox)> {
        let worker = workers.seats.get(index)?;
        let mut waiting = worker.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let inbox = waiting.take()?;
        worker.is_serving.store(true, Ordering::Relaxed);
        let post = Self {
            workers: Arc::clone(workers),
            index,
        };
        Some((post, inbox))
    }

    /// A seat for a connection that came here, or nothing where it was handed on with its seat.
    ///
    /// # Errors
    /// When it cannot be taken out of this worker's runtime; it is closed then.
    pub(super) fn place(
        &self,
        stream: tokio::net::TcpStream,
        remote: SocketAddr,
    ) -> io::Result<Option<(tokio::net::TcpStream, Seat)>> {
        let chosen = self.workers.choose(self.index);
        let seat = self.workers.seat(chosen);
        let Some(other) = self.workers.seats.get(chosen).filter(|_| chosen != self.index) else {
            return Ok(Some((stream, seat)));
        };
        let stream = stream.into_std()?;
        match other.inbox.try_send(Handed { stream, remote, seat }) {
            Ok(()) => Ok(None),
            // It has enough to take up, or has just closed.
            Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) => {
                let stream = tokio::net::TcpStream::from_std(back.stream)?;
                Ok(Some((stream, self.seat())))
            }
        }
    }

    /// A seat for a connection that stays here.
    pub(super) fn seat(&self) -> Seat {
        self.workers.seat(self.index)
    }

    /// Is handed no more; what is in the inbox already is still to be taken up.
    pub(super) fn close(&self, inbox: &mut Inbox) {
        self.leave();
        inbox.close();
    }

    fn leave(&self) {
        if let Some(worker) = self.workers.seats.get(self.index) {
            worker.is_serving.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for Post {
    /// A worker that went away without a word serves nobody either.
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(worker) = self.workers.seats.get(self.index) {
            worker.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(balance: Balance, open: &[usize], came_to: usize, expected: usize) {
        let workers = Arc::new(Workers::new(NonZeroUsize::new(open.len()).unwrap(), balance));
        let _posts: Vec<_> = (0..open.len()).map(|index| Post::take(&workers, index)).collect();
        for (worker, open) in workers.seats.iter().zip(open) {
            worker.open.store(*open, Ordering::Relaxed);
        }
        assert_eq!(
            workers.choose(came_to),
            expected,
            "{balance:?} {open:?} to {came_to}"
        );
    }

    #[test]
    fn few_connections_are_spread_evenly_and_many_roughly() {
        use Balance::{Exact, Rough};
        check(Rough, &[0, 0], 0, 0);
        check(Rough, &[1, 0], 0, 1);
        check(Rough, &[1, 0], 1, 1);
        check(Rough, &[2, 2, 1], 0, 2);
        check(Rough, &[100, 95], 0, 0);
        check(Rough, &[110, 95], 0, 1);
        check(Exact, &[100, 99], 0, 1);
        check(Exact, &[100, 100], 0, 0);
        check(Exact, &[7], 0, 0);
    }

    #[test]
    fn a_worker_that_does_not_serve_is_handed_nothing() {
        let workers = Arc::new(Workers::new(NonZeroUsize::new(2).unwrap(), Balance::Exact));
        let _first = Post::take(&workers, 0).unwrap();
        let _open = [workers.seat(0), workers.seat(0)];
        assert_eq!(workers.choose(0), 0, "nobody serves there yet");
        let (second, mut inbox) = Post::take(&workers, 1).unwrap();
        assert_eq!(workers.choose(0), 1);
        second.close(&mut inbox);
        assert_eq!(workers.choose(0), 0, "it serves no more");
        drop(second);
        assert_eq!(workers.choose(0), 0);
    }

    #[test]
    fn a_seat_is_free_once_its_connection_ends() {
        let workers = Arc::new(Workers::new(NonZeroUsize::MIN, Balance::Rough));
        let seat = workers.seat(0);
        assert_eq!(workers.seats[0].open.load(Ordering::Relaxed), 1);
        drop(seat);
        assert_eq!(workers.seats[0].open.load(Ordering::Relaxed), 0);
    }
}
