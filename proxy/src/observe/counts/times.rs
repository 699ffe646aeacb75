//! How long things took: counts by milliseconds, to two significant digits.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_proxy::observe::counts::Times;
//!
//! let times = Times::default();
//! for ms in [0, 7, 7, 1234] {
//!     times.add(Duration::from_millis(ms));
//! }
//! let bins: Vec<_> = times.bins().iter().map(|bin| (bin.lowest, bin.width, bin.count)).collect();
//! assert_eq!(bins, [(0, 1, 1), (7, 1, 2), (1200, 100, 1)]);
//! ```

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Up to 10 it counts each number, above that two digits of it.
const SMALL: usize = 10;
/// The numbers of two digits.
const DECADE: usize = 90;
/// Up to 10 million milliseconds, 2.8 hours; what is longer counts as that.
const DECADES: usize = 6;

/// A histogram of durations, or of any number; recording is one relaxed increment. A decade that nothing fell into takes two
/// words.
#[derive(Debug, Default)]
pub struct Times {
    small: [AtomicU64; SMALL],
    decades: [OnceLock<Box<[AtomicU64; DECADE]>>; DECADES],
}

/// How many values were in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    /// The lowest value in it.
    pub lowest: u64,
    /// How many whole numbers it covers.
    pub width: u64,
    /// How many values fell into it.
    pub count: u64,
}

impl Times {
    /// Counts a duration, in whole milliseconds.
    pub fn add(&self, duration: Duration) {
        self.add_number(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    }

    /// Counts a number.
    pub fn add_number(&self, number: u64) {
        let (mut digits, mut decade) = (number, 0);
        while digits >= (SMALL + DECADE) as u64 {
            digits /= 10;
            decade += 1;
        }
        let bin = match usize::try_from(digits).unwrap_or(usize::MAX) {
            small if small < SMALL => self.small.get(small),
            digits => match self.decades.get(decade) {
                Some(bins) => bins.get_or_init(empty).get(digits - SMALL),
                None => self.decades[DECADES - 1].get_or_init(empty).last(),
            },
        };
        if let Some(bin) = bin {
            bin.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted, in rising order, without empty bins.
    #[must_use]
    pub fn bins(&self) -> Vec<Bin> {
        let mut bins = Vec::new();
        let mut push = |lowest, width, count: &AtomicU64| {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                bins.push(Bin { lowest, width, count });
            }
        };
        for (number, count) in (0..).zip(&self.small) {
            push(number, 1, count);
        }
        let mut width = 1;
        for decade in &self.decades {
            for (digits, count) in (SMALL as u64..).zip(decade.get().into_iter().flat_map(|bins| bins.iter()))
            {
                push(digits * width, width, count);
            }
            width *= 10;
        }
        bins
    }

    /// The bins of several, taken together.
    pub fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Vec<Bin> {
        Self::merge(all.flat_map(Self::bins).collect())
    }

    /// Bins of the same range taken together, in rising order.
    #[must_use]
    pub fn merge(mut bins: Vec<Bin>) -> Vec<Bin> {
        bins.sort_by_key(|bin| bin.lowest);
        bins.dedup_by(|next, bin| {
            let same = next.lowest == bin.lowest;
            if same {
                bin.count += next.count;
            }
            same
        });
        bins
    }
}

fn empty() -> Box<[AtomicU64; DECADE]> {
    Box::new([const { AtomicU64::new(0) }; DECADE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_falls_into_the_bin_of_its_two_first_digits() {
        let check = |number, lowest, width| {
            let times = Times::default();
            times.add_number(number);
            let expected = Bin {
                lowest,
                width,
                count: 1,
            };
            assert_eq!(times.bins(), [expected], "{number}");
        };
        check(0, 0, 1);
        check(9, 9, 1);
        check(10, 10, 1);
        check(99, 99, 1);
        check(100, 100, 10);
        check(999, 990, 10);
        check(1_000, 1_000, 100);
        check(3_600_000, 3_600_000, 100_000);
        check(9_999_999, 9_900_000, 100_000);
        check(u64::MAX, 9_900_000, 100_000);
    }

    #[test]
    fn several_add_up_bin_by_bin() {
        let (one, two) = (Times::default(), Times::default());
        [3, 250].into_iter().for_each(|number| one.add_number(number));
        [3, 40].into_iter().for_each(|number| two.add_number(number));
        let sum = Times::sum([&one, &two].into_iter());
        let counts: Vec<_> = sum.iter().map(|bin| (bin.lowest, bin.count)).collect();
        assert_eq!(counts, [(3, 2), (40, 1), (250, 1)]);
    }
}
