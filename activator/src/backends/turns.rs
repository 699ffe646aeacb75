//! When is it a revision's turn to ask one of its pods?
//!
//! So many questions are under way at once, of all revisions together, and only a part of them are those of one revision. Each
//! revision has at most one question in line for what becomes free, behind which its others wait: however many pods do not answer
//! there, they stand before nobody else's.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::limits::{PROBES_MAX, PROBES_PER_REVISION_MAX};

/// The turns of all revisions.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    per_revision: usize,
}

/// The turns of one revision.
#[derive(Debug)]
pub(crate) struct Line {
    all: Arc<Semaphore>,
    own: Semaphore,
    /// The place of the one that is in line with other revisions.
    first: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self::new(PROBES_MAX, PROBES_PER_REVISION_MAX)
    }
}

impl Turns {
    /// So many at once, and so many of one revision.
    pub(crate) fn new(all: usize, per_revision: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            per_revision,
        }
    }

    /// The turns of one more revision.
    pub(crate) fn line(&self) -> Line {
        Line {
            all: Arc::clone(&self.all),
            own: Semaphore::new(self.per_revision),
            first: Semaphore::new(1),
        }
    }
}

impl Line {
    /// Waits for a turn, which ends when this is dropped. Cancel-safe.
    pub(crate) async fn turn(&self) -> impl Sized + '_ {
        let own = self.own.acquire().await;
        let _first = self.first.acquire().await;
        (self.all.acquire().await, own)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn revisions_take_turns_however_many_questions_each_has() {
        let turns = Turns::new(1, 8);
        let (many, few) = (turns.line(), turns.line());
        let first = many.turn().now_or_never();
        assert!(first.is_some());
        let [mut second, mut third] = [many.turn(), many.turn()].map(Box::pin);
        let mut other = Box::pin(few.turn());
        for waiting in [&mut second, &mut third] {
            assert!(waiting.now_or_never().is_none());
        }
        assert!((&mut other).now_or_never().is_none());
        drop(first);
        let turn = (&mut second).now_or_never();
        assert!(turn.is_some(), "it was the first in line");
        assert!((&mut third).now_or_never().is_none());
        drop(turn);
        assert!((&mut third).now_or_never().is_none());
        assert!(other.now_or_never().is_some(), "the other came before the third");
        assert!(third.now_or_never().is_some());
    }

    #[test]
    fn one_revision_has_only_its_part() {
        let turns = Turns::new(4, 2);
        let (greedy, other) = (turns.line(), turns.line());
        let held = [(); 2].map(|()| greedy.turn().now_or_never());
        assert!(held.iter().all(Option::is_some));
        assert!(greedy.turn().now_or_never().is_none());
        assert!(other.turn().now_or_never().is_some());
    }
}
