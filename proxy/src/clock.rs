//! What time is it, for whatever a task does in one turn? The system is asked once, however often something is timed.
//!
//! A turn of a task is a few microseconds, unless somebody blocks; asking the system for each of a request's dozen times would
//! cost a large part of one.

use std::cell::Cell;

use tokio::time::Instant;

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::None) };
}

#[derive(Clone, Copy)]
enum Turn {
    /// No task of ours has its turn: the system is asked each time.
    None,
    /// Nobody has asked yet.
    Begun,
    At(Instant),
}

/// A task's turn, until it is dropped.
pub(crate) struct Guard(Turn);

/// Begins a turn.
pub(crate) fn turn() -> Guard {
    Guard(TURN.replace(Turn::Begun))
}

/// The time of this turn, or, where there is none, now.
pub(crate) fn now() -> Instant {
    match TURN.get() {
        Turn::At(time) => time,
        Turn::None => Instant::now(),
        Turn::Begun => {
            let time = Instant::now();
            TURN.set(Turn::At(time));
            time
        }
    }
}

/// The same, as the standard library counts it.
pub(crate) fn now_std() -> std::time::Instant {
    now().into_std()
}

impl Drop for Guard {
    fn drop(&mut self) {
        TURN.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_within_a_turn_and_only_there() {
        let before = Instant::now();
        let within = {
            let _turn = turn();
            let first = now();
            while Instant::now() == first {}
            assert_eq!(now(), first, "the system is asked once");
            {
                let _inner = turn();
                assert!(now() > first, "each turn has its own time");
            }
            assert_eq!(now(), first);
            first
        };
        assert!(before <= within && within < now());
        assert!(now_std() >= within.into_std());
    }
}
