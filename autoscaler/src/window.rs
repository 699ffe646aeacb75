//! What was the load of a revision over the last seconds?
//!
//! A ring of one-second buckets. Values of one second are summed (several reporters see the same second), and
//! the buckets are averaged either plainly or with weights that fall towards the past.

use std::time::Duration;

use tidegate_knative::autoscaling::Aggregation;

use crate::Time;
use crate::limits::{BUCKET, BUCKETS_MAX, PANIC_WINDOW_MIN, SMOOTHING_MIN, WEIGHT_WITHIN_WINDOW};

#[cfg(test)]
mod tests;

/// A sliding window over one metric of one revision.
///
/// ```
/// use std::time::Duration;
/// use tidegate_autoscaler::{Time, Window};
/// use tidegate_knative::autoscaling::Aggregation;
///
/// let mut window = Window::new(Duration::from_secs(60), Aggregation::Linear);
/// window.record(Time::from_secs(10), 3.0);
/// window.record(Time::from_secs(11), 5.0);
/// assert_eq!(window.average(Time::from_secs(11)), 4.0);
/// ```
#[derive(Debug, Clone)]
pub struct Window {
    /// Slot number modulo length is the place of a slot.
    buckets: Vec<f64>,
    bucket_width: Duration,
    written: Option<Written>,
    aggregation: Aggregation,
}

/// Which slots hold data: both ends included.
#[derive(Debug, Clone, Copy)]
struct Written {
    first: u64,
    last: u64,
}

impl Window {
    /// An empty window. `length` is rounded up to whole seconds, at least one and at most
    /// [`BUCKETS_MAX`].
    pub fn new(length: Duration, aggregation: Aggregation) -> Self {
        Self::with_buckets_of(BUCKET, length, aggregation)
    }

    fn with_buckets_of(bucket_width: Duration, length: Duration, aggregation: Aggregation) -> Self {
        let buckets = vec![0.0; bucket_count(length, bucket_width)];
        Self {
            buckets,
            bucket_width,
            written: None,
            aggregation,
        }
    }

    /// Adds `value` to the second of `at`. Late values of the same window are added where they belong; a value
    /// older than the window, below zero, or not finite is ignored, since a replica may report anything.
    pub fn record(&mut self, at: Time, value: f64) {
        if !value.is_finite() || value < 0.0 {
            return;
        }
        let slot = at.slot(self.bucket_width);
        let Some(written) = self.written else {
            self.start_over(slot);
            return self.add(slot, value);
        };
        if slot > written.last {
            self.advance(written, slot);
        } else if written.last - slot >= self.len() {
            return;
        } else {
            self.written = Some(Written {
                first: written.first.min(slot),
                ..written
            });
        }
        self.add(slot, value);
    }

    /// The average at `now`, never negative: 0 if nothing was recorded within the window.
    ///
    /// A linear average is the mean of the seconds, rounded to six decimals; a weighted one counts the newest
    /// second most. Until a linear window is full it divides by the seconds since the first value, not by its length.
    /// Seconds without a value count as zeros, except those after the last value.
    pub fn average(&self, now: Time) -> f64 {
        match self.aggregation {
            Aggregation::Linear => self.linear_average(now),
            Aggregation::WeightedExponential => self.weighted_average(now),
        }
    }

    /// True if more than the window's length has passed since the last value, or there never was one.
    pub fn is_empty(&self, now: Time) -> bool {
        self.written
            .is_none_or(|written| self.slots_since(written, now) > self.len())
    }

    /// Changes the length and keeps the newest values that fit. Values that had left the window at `now` are
    /// dropped. No effect if the length stays.
    pub fn resize(&mut self, now: Time, length: Duration) {
        let count = bucket_count(length, self.bucket_width);
        if count == self.buckets.len() {
            return;
        }
        let old = std::mem::replace(&mut self.buckets, vec![0.0; count]);
        let old_count = old.len() as u64;
        let Some(written) = self.written else { return };
        if now.slot(self.bucket_width).saturating_sub(written.last) > old_count {
            self.written = None;
            return;
        }
        for age in 0..old_count.min(count as u64).min(written.last.saturating_add(1)) {
            let slot = written.last - age;
            let place = self.place(slot);
            self.buckets[place] = old[place_in(slot, old.len())];
        }
        let oldest_kept = written.last.saturating_sub(old_count - 1);
        self.written = Some(Written {
            first: written.first.max(oldest_kept),
            ..written
        });
    }

    fn linear_average(&self, now: Time) -> f64 {
        let Some(written) = self.written else { return 0.0 };
        let live = self.len().saturating_sub(self.slots_since(written, now));
        let seen = (written.last - written.first + 1).min(live);
        if seen == 0 {
            return 0.0;
        }
        let sum: f64 = self.newest(written, live).sum();
        round_to_six_decimals(sum / seen as f64)
    }

    fn weighted_average(&self, now: Time) -> f64 {
        let Some(written) = self.written else { return 0.0 };
        let gap = self.slots_since(written, now);
        let live = self.len().saturating_sub(gap);
        let smoothing = smoothing_coefficient(self.buckets.len());
        let mut weight = smoothing * (1.0 - smoothing).powf(gap as f64);
        let mut average = 0.0;
        for value in self.newest(written, live) {
            average += value * weight;
            weight *= 1.0 - smoothing;
        }
        average
    }

    /// The `count` newest buckets, from the last written one into the past.
    fn newest(&self, written: Written, count: u64) -> impl Iterator<Item = f64> + '_ {
        let reachable = count.min(written.last.saturating_add(1));
        (0..reachable).map(move |age| self.buckets[self.place(written.last - age)])
    }

    /// Moves the newest slot to `slot`, emptying what lies between.
    fn advance(&mut self, written: Written, slot: u64) {
        if slot - written.last >= self.len() {
            return self.start_over(slot);
        }
        for skipped in written.last + 1..=slot {
            let place = self.place(skipped);
            self.buckets[place] = 0.0;
        }
        self.written = Some(Written {
            last: slot,
            ..written
        });
    }

    fn start_over(&mut self, slot: u64) {
        self.buckets.fill(0.0);
        self.written = Some(Written {
            first: slot,
            last: slot,
        });
    }

    fn add(&mut self, slot: u64, value: f64) {
        let place = self.place(slot);
        self.buckets[place] += value;
    }

    fn slots_since(&self, written: Written, now: Time) -> u64 {
        now.slot(self.bucket_width).saturating_sub(written.last)
    }

    fn place(&self, slot: u64) -> usize {
        place_in(slot, self.buckets.len())
    }

    fn len(&self) -> u64 {
        self.buckets.len() as u64
    }
}

/// The panic window: `percentage` of the stable window, rounded to whole seconds, at least one second.
pub fn panic_window(stable_window: Duration, percentage: f64) -> Duration {
    let seconds = (stable_window.as_secs_f64() * percentage / 100.0).round();
    let rounded = Duration::try_from_secs_f64(seconds).unwrap_or(PANIC_WINDOW_MIN);
    rounded.clamp(PANIC_WINDOW_MIN, stable_window.max(PANIC_WINDOW_MIN))
}

fn bucket_count(length: Duration, bucket_width: Duration) -> usize {
    let buckets = length.as_nanos().div_ceil(bucket_width.as_nanos().max(1));
    buckets.clamp(1, u128::from(BUCKETS_MAX)) as usize
}

fn place_in(slot: u64, buckets: usize) -> usize {
    (slot % buckets as u64) as usize
}

/// Weight of the newest bucket, such that nearly all weight lies within the window.
fn smoothing_coefficient(buckets: usize) -> f64 {
    (1.0 - (1.0 - WEIGHT_WITHIN_WINDOW).powf(1.0 / buckets as f64)).max(SMOOTHING_MIN)
}

fn round_to_six_decimals(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
