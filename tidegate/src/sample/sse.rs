//! What does `sample sse` answer? A number of server-sent events, spaced in time.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use super::limits::{EVENTS, EVENTS_MAX, INTERVAL_MS, INTERVAL_MS_MAX};
use super::server::Stop;
use super::{Body, BoxError, query, text};

pub(super) fn answer<B>(request: &Request<B>, stop: Stop) -> Response<Body> {
    let count = query::number(request.uri(), "count", EVENTS, EVENTS_MAX);
    let interval = query::number(request.uri(), "interval", INTERVAL_MS, INTERVAL_MS_MAX);
    match (count, interval) {
        (Ok(count), Ok(interval)) => events(count, Duration::from_millis(interval), stop),
        (Err(error), _) | (_, Err(error)) => text(StatusCode::BAD_REQUEST, error),
    }
}

/// The first event comes at once, the others each after `interval`; the stream ends early when the server stops.
fn events(count: u64, interval: Duration, stop: Stop) -> Response<Body> {
    let frames = stream::unfold((1, stop), move |(number, stop)| async move {
        if number > count {
            return None;
        }
        if number > 1 {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = stop.asked() => return None,
            }
        }
        let event = Bytes::from(format!("data: event {number} of {count}\nid: {number}\n\n"));
        Some((Ok::<_, BoxError>(Frame::data(event)), (number + 1, stop)))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
