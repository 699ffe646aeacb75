//! What became of everything that clients sent? What a SIGKILL cut is told from what was lost.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tidegate_testkit::wait::DEADLINE;

/// How the numbers of streams begin.
pub(crate) const OF_STREAMS: char = 's';

/// The books of all clients together.
#[derive(Default)]
pub(crate) struct Ledger {
    numbers: AtomicUsize,
    over: AtomicBool,
    requests: Account,
    /// Messages on streams that stayed open, each said back.
    messages: AtomicUsize,
    streams: Account,
    /// Streams that the other side ended in order.
    asked_to_end: AtomicUsize,
    failures: Mutex<Vec<String>>,
    kills: Mutex<Vec<Kill>>,
    cut: Mutex<Vec<Cut>>,
}

/// What was begun, and what of it ended well.
#[derive(Default)]
struct Account {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A request or a stream.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) number: String,
    /// What carries it was alive after that.
    since: Instant,
}

/// What failed, and may have been on a process that was killed.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) number: String,
    pub(crate) what: String,
    /// By which kill, counted from 0.
    pub(crate) kill: usize,
    /// Whether the process may have had it, or else it was sent there before the senders were told.
    pub(crate) was_under_way: bool,
}

/// A SIGKILL.
#[derive(Default)]
struct Kill {
    /// When the process was gone.
    gone: Option<Instant>,
    /// When all that send to it had been told.
    told: Option<Instant>,
}

impl Kill {
    /// Whether this may have been on the process, or else sent to it in vain.
    fn may_have_had(&self, ticket: &Ticket) -> Option<bool> {
        let is_before =
            |end: Option<Instant>| end.is_none_or(|end| ticket.since <= end && end.elapsed() <= DEADLINE);
        let was_under_way = is_before(self.gone);
        (was_under_way || is_before(self.told)).then_some(was_under_way)
    }
}

impl Ledger {
    /// A number for the next message.
    pub(crate) fn number(&self) -> String {
        self.numbers.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// The next request.
    pub(crate) fn request(&self) -> Ticket {
        self.requests.begun.fetch_add(1, Ordering::Relaxed);
        Ticket {
            number: self.number(),
            since: Instant::now(),
        }
    }

    /// The next stream.
    pub(crate) fn stream(&self) -> Ticket {
        self.streams.begun.fetch_add(1, Ordering::Relaxed);
        Ticket {
            number: format!("{OF_STREAMS}{}", self.number()),
            since: Instant::now(),
        }
    }

    /// Kills a process, and tells those who send to it: only what was begun before may have been on it, or on its way there.
    pub(crate) async fn killing(&self, kill: impl Future<Output = ()>, tell: impl Future<Output = ()>) {
        lock(&self.kills).push(Kill::default());
        let last = |change: &dyn Fn(&mut Kill)| lock(&self.kills).last_mut().into_iter().for_each(change);
        kill.await;
        last(&|kill| kill.gone = Some(Instant::now()));
        tell.await;
        last(&|kill| kill.told = Some(Instant::now()));
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Tells the clients to come to an end.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// It was not sent after all: there was no connection for it.
    pub(crate) fn unsent(&self) {
        self.requests.begun.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) {
        self.requests.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// What was said then on a stream has come back: what carries it was not gone before.
    pub(crate) fn said_back(&self, ticket: &mut Ticket, then: Instant) {
        ticket.since = then;
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.streams.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn asked_to_end(&self) {
        self.asked_to_end.fetch_add(1, Ordering::Relaxed);
        self.closed();
    }

    pub(crate) fn failed(&self, ticket: Ticket, what: String) {
        let by = lock(&self.kills)
            .iter()
            .enumerate()
            .next_back()
            .and_then(|(number, kill)| {
                let was_under_way = kill.may_have_had(&ticket)?;
                Some((number, was_under_way))
            });
        let Ticket { number, .. } = ticket;
        match by {
            Some((kill, was_under_way)) => lock(&self.cut).push(Cut {
                number,
                what,
                kill,
                was_under_way,
            }),
            None => lock(&self.failures).push(format!("{number}: {what}")),
        }
    }

    /// All that failed and may have been cut.
    pub(crate) fn cut(&self) -> Vec<Cut> {
        lock(&self.cut).clone()
    }

    pub(crate) fn answers(&self) -> usize {
        self.requests.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn has_failures(&self) -> bool {
        !lock(&self.failures).is_empty()
    }

    /// Nothing was lost: all that was begun ended well, or may have been cut.
    pub(crate) fn is_balanced(&self) -> bool {
        let cut = self.cut();
        let (streams, requests): (Vec<_>, Vec<_>) = cut.iter().partition(|cut| cut.is_stream());
        !self.has_failures() && self.requests.lacks(requests.len()) && self.streams.lacks(streams.len())
    }
}

impl Cut {
    pub(crate) fn is_stream(&self) -> bool {
        self.number.starts_with(OF_STREAMS)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Account {
    /// Whether all have ended but these.
    fn lacks(&self, count: usize) -> bool {
        self.begun.load(Ordering::Relaxed) == self.ended.load(Ordering::Relaxed) + count
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ended, begun] = [&self.ended, &self.begun].map(|count| count.load(Ordering::Relaxed));
        write!(f, "{ended} of {begun}")
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("requests", &self.requests)
            .field("streams", &self.streams)
            .field("asked_to_end", &self.asked_to_end)
            .field("messages", &self.messages)
            .field("cut", &self.cut)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}
