//! How many requests pass a route in a time, in this process.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use http::StatusCode;
//! use tidegate_proxy::filter::{Filter, RateLimit};
//! use tidegate_proxy::filter::rate_limit::LimitFields;
//! use tidegate_proxy::route::Route;
//!
//! // 10 at once, 100 a second, for all workers together; the client is told what is left.
//! let limit = RateLimit::new(10, 10, Duration::from_millis(100))?.with_fields(LimitFields::Send);
//! let mut route = Route::respond(StatusCode::OK, "hello");
//! route.filters = [Filter::RateLimit(Arc::new(limit))].into();
//! assert!(RateLimit::new(0, 10, Duration::from_secs(1)).is_err());
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::Note;
use crate::body::Body;
use crate::error::{Error, Kind};
use crate::route::{HeaderMutations, InvalidField};

/// A bucket of tokens: each request takes one, and where there is none it gets 429 with `Retry-After`. The bucket is one
/// for all workers and costs a request one atomic operation.
#[derive(Debug)]
pub struct RateLimit {
    tokens_max: u64,
    /// How long one token takes to come back.
    token: Duration,
    fields: LimitFields,
    scope: Scope,
    status: StatusCode,
    retry_after: RetryAfter,
    /// To the response of what is refused.
    changes_refused: HeaderMutations,
    /// To a request that passes although there was no token.
    changes_unenforced: HeaderMutations,
    start: Instant,
    /// When the bucket will be full again, in nanoseconds from `start`: all there is to know about it.
    full_at: AtomicU64,
}

/// Which of its requests a limit concerns, each chosen by chance, out of a million. Default: all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// So many take a token.
    pub counted: u32,
    /// Of those that find none, so many are refused; the others pass.
    pub enforced: u32,
}

/// Whether responses say how much is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitFields {
    /// They do not.
    #[default]
    None,
    /// They have `x-ratelimit-limit`, `-remaining` and `-reset`, the last in seconds until the bucket has a token again: 0 where it
    /// has one.
    Send,
}

/// Whether a refusal says when to try again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryAfter {
    /// By `Retry-After`.
    #[default]
    Send,
    /// It does not.
    None,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is none of the limit's.
    NotCounted,
    /// It has a token.
    Taken(State),
    /// It has none, and passes.
    Unenforced(State),
    /// It has none.
    Refused(State),
}

/// How a bucket was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    limit: u64,
    remaining: u64,
    /// When there is a token; at once where one remains.
    token_in: Duration,
}

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

impl RateLimit {
    /// A full bucket of `tokens_max` tokens, into which `tokens_per_fill` come in each `fill_interval`, evenly spread.
    ///
    /// # Errors
    /// When one of them is zero, or a token takes less than a nanosecond, or filling the bucket more than a century.
    pub fn new(tokens_max: u32, tokens_per_fill: u32, fill_interval: Duration) -> Result<Self, InvalidField> {
        let invalid = |field, why: &'static str| InvalidField::new(field, "0", why);
        if tokens_max == 0 {
            return Err(invalid("rate limit's tokens", "no request could ever pass"));
        }
        if tokens_per_fill == 0 {
            let why = "once the tokens are used up no request could pass";
            return Err(invalid("rate limit's tokens per fill", why));
        }
        let token = fill_interval / tokens_per_fill;
        let full = token.checked_mul(tokens_max).filter(|full| *full < FILL_MAX);
        if token.is_zero() || full.is_none() {
            let why = "a token takes less than a nanosecond, or the bucket more than a century to fill";
            let shown = format!("{fill_interval:?}");
            return Err(InvalidField::new("rate limit's fill interval", &shown, why));
        }
        Ok(Self {
            tokens_max: tokens_max.into(),
            token,
            fields: LimitFields::None,
            scope: Scope::default(),
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: RetryAfter::default(),
            changes_refused: HeaderMutations::default(),
            changes_unenforced: HeaderMutations::default(),
            start: Instant::now(),
            full_at: AtomicU64::new(0),
        })
    }

    /// Whether responses say how much is left.
    #[must_use]
    pub fn with_fields(self, fields: LimitFields) -> Self {
        Self { fields, ..self }
    }

    /// Which requests it concerns.
    #[must_use]
    pub fn with_scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// The status of what is refused, in the place of 429.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Whether what is refused is told when to try again.
    #[must_use]
    pub fn with_retry_after(self, retry_after: RetryAfter) -> Self {
        Self { retry_after, ..self }
    }

    /// Changes to the response of what is refused, and to a request that passes without a token because the limit is not
    /// enforced for it.
    #[must_use]
    pub fn with_changes(self, refused: HeaderMutations, unenforced: HeaderMutations) -> Self {
        Self {
            changes_refused: refused,
            changes_unenforced: unenforced,
            ..self
        }
    }

    pub(super) fn on_request(&self) -> Outcome {
        if !by_chance(self.scope.counted) {
            return Outcome::NotCounted;
        }
        match self.take(self.start.elapsed()) {
            Ok(state) => Outcome::Taken(state),
            Err(state) if by_chance(self.scope.enforced) => Outcome::Refused(state),
            Err(state) => Outcome::Unenforced(state),
        }
    }

    /// What the response is to say of this state.
    pub(super) fn note(&self, state: State) -> Note {
        match self.fields {
            LimitFields::None => Note::None,
            LimitFields::Send => Note::RateLimit(state),
        }
    }

    pub(super) fn refusal(&self, state: State) -> Error {
        let error = Error::new(Kind::RateLimited);
        let error = if self.status == StatusCode::TOO_MANY_REQUESTS {
            error
        } else {
            error.with_status(self.status)
        };
        match self.retry_after {
            RetryAfter::Send => error.with_retry_after(state.token_in.max(Duration::from_secs(1))),
            RetryAfter::None => error,
        }
    }

    pub(super) fn changes_refused(&self) -> &HeaderMutations {
        &self.changes_refused
    }

    pub(super) fn changes_unenforced(&self) -> &HeaderMutations {
        &self.changes_unenforced
    }

    /// Takes a token at this time after the start; an error where there is none.
    fn take(&self, now: Duration) -> Result<State, State> {
        let (now, token) = (nanos(now), nanos(self.token));
        let whole = token.saturating_mul(self.tokens_max);
        let taken = |full_at: u64| {
            let full_at = full_at.max(now).saturating_add(token);
            (full_at - now <= whole).then_some(full_at)
        };
        let state = |full_at: u64| {
            let full_in = full_at.saturating_sub(now);
            State {
                limit: self.tokens_max,
                remaining: whole.saturating_sub(full_in) / token,
                token_in: Duration::from_nanos(full_in.saturating_add(token).saturating_sub(whole)),
            }
        };
        match self
            .full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
        {
            Ok(before) => Ok(state(before.max(now).saturating_add(token))),
            Err(full_at) => Err(state(full_at)),
        }
    }
}

impl State {
    pub(super) fn on_response(self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.token_in.as_secs()));
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            counted: MILLION,
            enforced: MILLION,
        }
    }
}

/// Whether one of about so many out of a million was drawn.
fn by_chance(per_million: u32) -> bool {
    per_million >= MILLION || fastrand::u32(..MILLION) < per_million
}

const MILLION: u32 = 1_000_000;

/// Nanoseconds in 64 bits last for five centuries.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const FILL_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_what_comes_back() {
        let limit = RateLimit::new(3, 2, ms(1000)).unwrap();
        let remaining = |at| {
            let taken = limit.take(at);
            taken.map(|state| state.remaining).map_err(|state| state.token_in)
        };
        assert_eq!(
            [remaining(ms(0)), remaining(ms(0)), remaining(ms(0))],
            [Ok(2), Ok(1), Ok(0)]
        );
        assert_eq!(remaining(ms(0)), Err(ms(500)));
        assert_eq!(remaining(ms(400)), Err(ms(100)));
        assert_eq!(remaining(ms(500)), Ok(0));
        assert_eq!(remaining(ms(600)), Err(ms(400)));
        assert_eq!(
            remaining(ms(60_000)),
            Ok(2),
            "it never holds more than its tokens"
        );
    }

    #[test]
    fn workers_share_the_tokens() {
        let limit = RateLimit::new(1000, 1, ms(1_000_000)).unwrap();
        let passed: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..500).filter(|_| limit.take(ms(1)).is_ok()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(passed, 1000);
    }

    #[test]
    fn a_limit_refuses_only_where_it_is_enforced_and_counts_only_where_it_is_on() {
        let refuses = |counted, enforced, status| {
            let limit = RateLimit::new(1, 1, ms(1_000_000)).unwrap();
            let limit = limit.with_scope(Scope { counted, enforced }).with_status(status);
            assert!(matches!(
                limit.on_request(),
                Outcome::Taken(_) | Outcome::NotCounted
            ));
            match limit.on_request() {
                Outcome::Refused(state) => Some(limit.refusal(state).status()),
                _ => None,
            }
        };
        let (too_many, busy) = (StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refuses(MILLION, MILLION, too_many), Some(too_many));
        assert_eq!(refuses(MILLION, MILLION, busy), Some(busy));
        assert_eq!(refuses(MILLION, 0, too_many), None);
        assert_eq!(refuses(0, MILLION, too_many), None);
    }

    #[test]
    fn a_limit_that_lets_nothing_through_is_refused() {
        let field = |tokens, fill, interval| RateLimit::new(tokens, fill, interval).unwrap_err().field();
        assert_eq!(field(0, 1, ms(1)), "rate limit's tokens");
        assert_eq!(field(1, 0, ms(1)), "rate limit's tokens per fill");
        assert_eq!(field(1, 1, ms(0)), "rate limit's fill interval");
        assert_eq!(field(1, 1, Duration::MAX), "rate limit's fill interval");
        assert_eq!(field(1, u32::MAX, ms(1)), "rate limit's fill interval");
    }

    #[test]
    fn a_response_says_how_much_is_left_and_when_there_is_a_token() {
        let limit = RateLimit::new(2, 1, ms(1500)).unwrap();
        let check = |at, expected: [&str; 3]| {
            let mut response = Response::new(Body::empty());
            let (Ok(state) | Err(state)) = limit.take(ms(at));
            state.on_response(&mut response);
            let names = [LIMIT, REMAINING, RESET];
            assert_eq!(names.map(|name| response.headers()[name].clone()), expected);
        };
        check(0, ["2", "1", "0"]);
        check(0, ["2", "0", "1"]);
        check(100, ["2", "0", "1"]);
        check(600, ["2", "0", "0"]);
    }
}
