//! How much load did one revision have in the last period? Pure: time is passed in.
//!
//! The mean of a concurrency c over time is its integral, divided by the period. An arrival at `a` and a departure at
//! `d` add `d - a` to the integral; with S = (sum of arrivals) - (sum of departures), the integral up to `t` is
//! `c * t - S`. Both c and S change with each event, and stand in one word, so a request costs one addition to come
//! and one to go, and whoever reads sees both of one moment. S wraps around: only differences of integrals are used,
//! and these are far smaller than a turn.

use std::{
    mem,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// The load of one revision, requests that wait included.
#[derive(Debug)]
pub(crate) struct Load {
    epoch: Instant,
    /// S in microseconds in the upper bits, c in the lower.
    integral: AtomicU64,
    arrivals: AtomicU64,
    /// Whether the autoscaler was told about this load, and has not been told since that it ended.
    reported: AtomicBool,
    /// Locked once a period, and by the first arrival after a period without load.
    last: Mutex<Last>,
}

/// What the last report ended with, and what was reported at once since then.
#[derive(Debug, Default)]
struct Last {
    at: u64,
    integral: u64,
    arrivals: u64,
    pokes: u64,
}

/// The load over one period (Knative `pkg/activator/handler/concurrency_reporter.go`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Period {
    /// Mean concurrency, weighted by time.
    pub(crate) average: f64,
    /// Requests that arrived.
    pub(crate) count: f64,
}

/// What an arrival of an unknown revision reports at once: one request, so that the first replica starts now.
pub(crate) const POKE: Period = Period {
    average: 1.0,
    count: 1.0,
};

/// Bits of c: a million concurrent requests, more than the connections that a process accepts.
const CONCURRENCY_BITS: u32 = 20;
const CONCURRENCY_MASK: u64 = (1 << CONCURRENCY_BITS) - 1;

impl Load {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            integral: AtomicU64::new(0),
            arrivals: AtomicU64::new(0),
            reported: AtomicBool::new(false),
            last: Mutex::default(),
        }
    }

    /// Counts a request in. Returns what to report at once, if this revision was not known to have load.
    pub(crate) fn arrive(&self, now: Instant) -> Option<Period> {
        let now = self.micros(now);
        self.integral.fetch_add(event(now), SeqCst);
        self.arrivals.fetch_add(1, SeqCst);
        // After the counts: either this sees that `settle` has forgotten the load, or `settle` sees the arrival.
        if self.reported.load(SeqCst) {
            return None;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if self.reported.swap(true, SeqCst) {
            return None;
        }
        // The period begins here. The integral is the one of the last report: there has been no load since.
        last.at = now;
        last.pokes = 1;
        Some(POKE)
    }

    /// Counts a request out.
    pub(crate) fn depart(&self, now: Instant) {
        self.integral.fetch_sub(event(self.micros(now)), SeqCst);
    }

    /// How many are in: parked or with a replica.
    pub(crate) fn concurrency(&self) -> u64 {
        self.integral.load(SeqCst) & CONCURRENCY_MASK
    }

    /// Ends a period: its load, if there is any to report. A load of nothing is reported once, then forgotten.
    pub(crate) fn report(&self, now: Instant) -> Option<Period> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.reported.load(SeqCst) {
            return None;
        }
        let now = self.micros(now);
        let arrivals = self.arrivals.load(SeqCst);
        let integral = self.integral_until(now);
        let busy = difference(integral, last.integral);
        let average = if now > last.at {
            busy / (now - last.at) as f64
        } else {
            0.0
        };
        let count = arrivals.wrapping_sub(last.arrivals) as f64;
        let pokes = mem::replace(
            &mut *last,
            Last {
                at: now,
                integral,
                arrivals,
                pokes: 0,
            },
        )
        .pokes as f64;
        if average <= 0.0 && self.concurrency() == 0 {
            self.settle(arrivals);
        }
        Some(Period {
            average: (average - pokes).max(0.0),
            count: (count - pokes).max(0.0),
        })
    }

    /// Forgets the load, unless a request arrived meanwhile that took it for known.
    fn settle(&self, arrivals: u64) {
        self.reported.store(false, SeqCst);
        if self.arrivals.load(SeqCst) != arrivals {
            self.reported.store(true, SeqCst);
        }
    }

    fn integral_until(&self, now: u64) -> u64 {
        let word = self.integral.load(SeqCst);
        let (sum, concurrency) = (word >> CONCURRENCY_BITS, word & CONCURRENCY_MASK);
        concurrency.wrapping_mul(now).wrapping_sub(sum)
    }

    fn micros(&self, now: Instant) -> u64 {
        let since: Duration = now.saturating_duration_since(self.epoch);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

fn event(now: u64) -> u64 {
    (now << CONCURRENCY_BITS).wrapping_add(1)
}

/// How far one integral is ahead of another, in microseconds, across a wrap-around. Slightly negative if a clock was
/// read before an event that was counted first; the next period has what is missing here.
fn difference(after: u64, before: u64) -> f64 {
    let turned = after.wrapping_sub(before) << CONCURRENCY_BITS;
    (turned.cast_signed() >> CONCURRENCY_BITS) as f64
}

#[cfg(test)]
mod tests;
