//! When is memory given back that a change has left free?
//!
//! The allocator gives back what has been free for a second, but only when it frees something large. After a change nothing of
//! that kind may come for hours: what it took to make the change would stay with the process, a third of it at 10 000 services.

use std::hint::black_box;
use std::time::Instant;

use crate::limits::{SPARE_BYTES, SPARE_DELAY, SPARE_ROUNDS};

/// What is left to be given back.
#[derive(Debug, Default)]
pub(super) struct Spare {
    next: Option<Instant>,
    rounds: u32,
}

impl Spare {
    /// Something has changed, so much is free.
    pub(super) fn changed(&mut self, now: Instant) {
        self.next.get_or_insert(now + SPARE_DELAY);
        self.rounds = SPARE_ROUNDS;
    }

    /// When [`Spare::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Has the allocator look at what is free, if it is time; says whether it was.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|next| next <= now);
        if due {
            // Nobody writes to it, so it costs nothing but that look.
            drop(black_box(Vec::<u8>::with_capacity(SPARE_BYTES)));
            self.rounds = self.rounds.saturating_sub(1);
            self.next = (self.rounds > 0).then_some(now + SPARE_DELAY);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_its_rounds_and_then_there_is_peace() {
        let start = Instant::now();
        let mut spare = Spare::default();
        assert!(!spare.tick(start) && spare.deadline().is_none());
        spare.changed(start);
        // Changes without end put nothing off.
        spare.changed(start + SPARE_DELAY / 2);
        for round in 1..=SPARE_ROUNDS {
            let at = start + SPARE_DELAY * round;
            assert_eq!(spare.deadline(), Some(at));
            assert!(spare.tick(at) && !spare.tick(at));
        }
        assert_eq!(spare.deadline(), None);
    }
}
