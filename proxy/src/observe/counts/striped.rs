//! Numbers that each thread counts on its own, so that workers do not wait for each other's cache lines.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many parts there are: threads beyond that share.
const STRIPES: usize = 8;

/// One `T` for each thread that counts; made when it first does.
#[derive(Debug)]
pub(crate) struct Striped<T> {
    stripes: [OnceLock<Box<T>>; STRIPES],
}

impl<T: Default> Striped<T> {
    /// This thread's part.
    pub(crate) fn mine(&self) -> &T {
        self.stripes[stripe()].get_or_init(Box::default)
    }

    /// All parts that are there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.stripes
            .iter()
            .filter_map(|stripe| stripe.get().map(|part| &**part))
    }
}

impl<T> Default for Striped<T> {
    fn default() -> Self {
        Self {
            stripes: [const { OnceLock::new() }; STRIPES],
        }
    }
}

/// Threads take turns.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    MINE.with(|mine| match mine.get() {
        Some(stripe) => stripe,
        None => {
            let stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            mine.set(Some(stripe));
            stripe
        }
    }) % STRIPES
}
