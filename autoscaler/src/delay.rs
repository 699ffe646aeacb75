//! What was the largest decision over the scale-down delay?

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;
use crate::limits::TICK;

/// A sliding maximum over slots of one [`TICK`]. Cost: constant per decision, amortised.
#[derive(Debug, Clone)]
pub struct DelayWindow {
    slots: u64,
    /// Slots ascending, values descending: whatever a later, larger value outshines is gone.
    maxima: VecDeque<(u64, u32)>,
}

impl DelayWindow {
    /// A window over `delay`, rounded up to whole ticks; at least one.
    pub fn new(delay: Duration) -> Self {
        let slots = delay.as_nanos().div_ceil(TICK.as_nanos()).max(1);
        Self {
            slots: u64::try_from(slots).unwrap_or(u64::MAX),
            maxima: VecDeque::new(),
        }
    }

    /// Notes the decision `value` and returns the largest one of the window that ends at `now`. Of several
    /// decisions in one slot the largest is kept.
    pub fn record(&mut self, now: Time, value: u32) -> u32 {
        let latest = self.maxima.back().map_or(0, |&(slot, _)| slot);
        let slot = now.slot(TICK).max(latest);
        while self.maxima.back().is_some_and(|&(_, smaller)| smaller <= value) {
            self.maxima.pop_back();
        }
        while self
            .maxima
            .front()
            .is_some_and(|&(oldest, _)| slot - oldest >= self.slots)
        {
            self.maxima.pop_front();
        }
        if self.maxima.back().is_none_or(|&(last, _)| last != slot) {
            self.maxima.push_back((slot, value));
        }
        self.maxima.front().map_or(value, |&(_, largest)| largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// AS-05: records each `(second, decision)` in a delay of three slots and compares what came out.
    fn check(decisions: &[(u64, u32)], expected: &[u32]) {
        let mut window = DelayWindow::new(TICK * 3);
        let seen: Vec<u32> = decisions
            .iter()
            .map(|&(second, value)| window.record(Time::from_secs(second), value))
            .collect();
        assert_eq!(seen, expected, "{decisions:?}");
    }

    #[test]
    fn as_05_keeps_the_largest_decision_of_the_last_slots() {
        check(&[(0, 5), (2, 3), (4, 1), (6, 1), (8, 1)], &[5, 5, 5, 3, 1]);
        check(&[(0, 1), (2, 2), (4, 3)], &[1, 2, 3]);
    }

    #[test]
    fn as_05_of_one_slot_keeps_the_largest() {
        check(&[(0, 2), (1, 7), (1, 4), (4, 0), (6, 0)], &[2, 7, 7, 7, 0]);
    }

    #[test]
    fn as_05_expires_by_slot_even_after_a_pause() {
        check(&[(0, 9), (100, 1)], &[9, 1]);
    }

    #[test]
    fn a_delay_rounds_up_to_whole_ticks() {
        let mut window = DelayWindow::new(Duration::from_secs(3));
        assert_eq!(window.record(Time::from_secs(0), 4), 4);
        assert_eq!(window.record(Time::from_secs(2), 1), 4);
        assert_eq!(window.record(Time::from_secs(4), 1), 1);
    }

    proptest! {
        #[test]
        fn the_maximum_is_that_of_a_plain_search(values in prop::collection::vec((0_u64..4, 0_u32..50), 1..60)) {
            let mut window = DelayWindow::new(TICK * 4);
            let (mut slot, mut seen) = (0, Vec::new());
            for (step, value) in values {
                slot += step;
                seen.push((slot, value));
                let largest = seen.iter().filter(|(at, _)| slot - at < 4).map(|&(_, value)| value).max();
                prop_assert_eq!(Some(window.record(Time::from_secs(slot * 2), value)), largest);
            }
        }
    }
}
