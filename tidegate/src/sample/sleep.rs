//! What does `sample sleep` answer? After `?ms=`, how many requests slept at once: it proves a concurrency limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};

use super::limits::{SLEEP_MS, SLEEP_MS_MAX};
use super::{Body, query, text, typed};

/// Requests in this process when this one arrived, itself included.
const CONCURRENCY: HeaderName = HeaderName::from_static("x-concurrency");

/// The most requests that were ever in this process at once.
const CONCURRENCY_MAX: HeaderName = HeaderName::from_static("x-concurrency-max");

/// Counts the requests that sleep.
#[derive(Default)]
pub(super) struct Sleepers {
    now: AtomicUsize,
    max: AtomicUsize,
}

impl Sleepers {
    fn enter(&self) -> Sleeper<'_> {
        let number = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.max.fetch_max(number, Ordering::SeqCst);
        Sleeper { number, all: self }
    }
}

/// One request that sleeps; it is no longer counted when it is dropped, also because its client went.
struct Sleeper<'a> {
    number: usize,
    all: &'a Sleepers,
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.all.now.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) async fn answer<B>(request: &Request<B>, sleepers: &Sleepers) -> Response<Body> {
    let ms = match query::number(request.uri(), "ms", SLEEP_MS, SLEEP_MS_MAX) {
        Ok(ms) => ms,
        Err(error) => return text(StatusCode::BAD_REQUEST, error),
    };
    let sleeper = sleepers.enter();
    tokio::time::sleep(Duration::from_millis(ms)).await;
    let (now, max) = (sleeper.number, sleepers.max.load(Ordering::SeqCst));
    let body = format!("{{\"ms\":{ms},\"concurrency\":{now},\"concurrencyMax\":{max}}}\n");
    let mut response = typed(StatusCode::OK, "application/json", body);
    response.headers_mut().insert(CONCURRENCY, HeaderValue::from(now));
    response
        .headers_mut()
        .insert(CONCURRENCY_MAX, HeaderValue::from(max));
    response
}
