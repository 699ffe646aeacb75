//! How fast a session may go: requests, equal NACKs, and streams.

use std::time::{Duration, Instant};

use super::settings::{Backoff, RateLimit};
use crate::limits;

/// A bucket of tokens; each request takes one.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        Self {
            limit,
            tokens: f64::from(limit.tokens_max),
            at: now,
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// When there is none: when there will be one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.limit.per_second;
        self.tokens = (self.tokens + earned).min(f64::from(self.limit.tokens_max));
        self.at = self.at.max(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let missing = (1.0 - self.tokens) / self.limit.per_second;
        let wait = Duration::try_from_secs_f64(missing).unwrap_or(NEVER).min(NEVER);
        // Rounded up, so that there is one when it is over.
        Err(now + wait + Duration::from_millis(1))
    }
}

/// When a bucket that gains nothing is looked at again.
const NEVER: Duration = Duration::from_secs(3600);

/// The last NACKs of one kind, by what they refused: the same content is refused so many times a second and no more, however
/// often it comes. Some control planes send what was refused again at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Vec<(u128, Instant)>);

impl Refusals {
    /// The earliest time at which this content may be refused.
    pub(super) fn earliest(&self, content: u128, now: Instant) -> Instant {
        let last = self.0.iter().find(|(refused, _)| *refused == content);
        last.map_or(now, |(_, at)| now.max(*at + limits::EQUAL_NACK_INTERVAL))
    }

    /// Takes note of a NACK.
    pub(super) fn refused(&mut self, content: u128, now: Instant) {
        self.0.retain(|(refused, at)| {
            *refused != content && now.saturating_duration_since(*at) < limits::EQUAL_NACK_INTERVAL
        });
        if self.0.len() >= limits::REFUSALS_REMEMBERED_MAX {
            self.0.remove(0);
        }
        self.0.push((content, now));
    }
}

/// How long the next stream waits.
#[derive(Clone, Debug)]
pub(super) struct Retreat {
    backoff: Backoff,
    failures: u32,
}

impl Retreat {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: 0 }
    }

    /// A response came: a mere connection is no sign of health.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure; `random` is any number from 0 to 1.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1).min(DOUBLINGS_MAX);
        let bound = self.backoff.base.saturating_mul(doubled).min(self.backoff.max);
        // Never at once, or a server that ends each stream would be asked without a pause.
        bound.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

/// Beyond it the bound is the longest anyway.
const DOUBLINGS_MAX: u32 = 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_a_burst_and_then_by_the_second() {
        let start = Instant::now();
        let limit = RateLimit {
            tokens_max: 3,
            per_second: 10.0,
        };
        let mut bucket = Bucket::new(limit, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        let next = bucket.take(start).expect_err("it is empty");
        assert!(next >= start + Duration::from_millis(100) && next < start + Duration::from_millis(110));
        assert_eq!(bucket.take(next), Ok(()));
        assert!(bucket.take(next).is_err());
    }

    #[test]
    fn a_bucket_that_never_fills_is_looked_at_again_all_the_same() {
        let start = Instant::now();
        let limit = RateLimit {
            tokens_max: 0,
            per_second: 0.0,
        };
        assert!(Bucket::new(limit, start).take(start).is_err());
    }

    #[test]
    fn equal_refusals_keep_their_distance_and_others_do_not() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        assert_eq!(refusals.earliest(1, start), start);
        refusals.refused(1, start);
        refusals.refused(2, start);
        assert_eq!(refusals.earliest(1, start), start + limits::EQUAL_NACK_INTERVAL);
        assert_eq!(refusals.earliest(3, start), start);
        let later = start + limits::EQUAL_NACK_INTERVAL;
        assert_eq!(refusals.earliest(1, later), later);
    }

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_a_response() {
        let mut retreat = Retreat::new(Backoff::default());
        let waits: Vec<u128> = (0..9).map(|_| retreat.next(1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        retreat.reset();
        assert_eq!(retreat.next(0.0), Duration::from_millis(250));
    }
}
