//! What became of everything that clients sent?

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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
}

/// What was begun, and what of it ended well.
#[derive(Default)]
struct Account {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Ledger {
    /// A number for the next request.
    pub(crate) fn number(&self) -> String {
        self.numbers.fetch_add(1, Ordering::Relaxed).to_string()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Tells the clients to come to an end.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self) {
        self.requests.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// It was not sent after all: there was no connection for it.
    pub(crate) fn unsent(&self) {
        self.requests.begun.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) {
        self.requests.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn opened(&self) {
        self.streams.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn said_back(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.streams.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn asked_to_end(&self) {
        self.asked_to_end.fetch_add(1, Ordering::Relaxed);
        self.closed();
    }

    pub(crate) fn failed(&self, what: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(what);
    }

    pub(crate) fn answers(&self) -> usize {
        self.requests.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn has_failures(&self) -> bool {
        !self
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Nothing was lost: all that was begun ended well.
    pub(crate) fn is_balanced(&self) -> bool {
        !self.has_failures() && self.requests.is_balanced() && self.streams.is_balanced()
    }
}

impl Account {
    fn is_balanced(&self) -> bool {
        self.begun.load(Ordering::Relaxed) == self.ended.load(Ordering::Relaxed)
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
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}
