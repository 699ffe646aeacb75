//! When a request's time is over, and what that does to it?

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::replay::Uploaded;
use crate::body::Body;
use crate::error::{Error, Kind};
use crate::route::policy::RouteTimeouts;

/// How long a client gives its call (gRPC over HTTP/2, "Timeout").
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The largest number that the field may have: eight digits.
const GRPC_TIMEOUT_MAX: u128 = 99_999_999;

/// The time of one request, all its tries included.
pub(super) struct Deadline {
    /// Resolves when the time is over, with what it was; none where there is no end.
    expiry: Option<Expiry>,
    /// When the client's own deadline is.
    grpc: Option<Instant>,
}

type Expiry = Pin<Box<dyn Future<Output = Kind> + Send>>;

impl Deadline {
    /// The time of a request whose head was complete at `received`. `uploaded` tells of the end of its body, where that
    /// is still to come: the route's timeout counts from there.
    pub(super) fn new(
        timeouts: &RouteTimeouts,
        headers: &HeaderMap,
        received: Instant,
        uploaded: Option<Uploaded>,
    ) -> Self {
        let grpc = timeouts.grpc_timeout_max.and_then(|longest| {
            let asked = grpc_timeout(headers.get(GRPC_TIMEOUT)?)?;
            received.checked_add(asked.min(longest))
        });
        let request = timeouts.request;
        let expiry = (grpc.is_some() || request.is_some())
            .then(|| -> Expiry { Box::pin(expire(grpc, request, uploaded)) });
        Self { expiry, grpc }
    }

    /// The output of `future`, if it comes in time. Cancel-safe if `future` is.
    pub(super) async fn bound<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Error> {
        let Some(expiry) = &mut self.expiry else {
            return Ok(future.await);
        };
        tokio::select! {
            biased;
            output = future => Ok(output),
            kind = expiry => {
                self.expiry = None;
                Err(Error::new(kind))
            }
        }
    }

    /// Tells the upstream how much of the client's own time is left.
    pub(super) fn stamp(&self, headers: &mut HeaderMap) {
        if let Some(end) = self.grpc {
            let left = end.saturating_duration_since(Instant::now());
            headers.insert(GRPC_TIMEOUT, grpc_timeout_value(left));
        }
    }

    /// Cuts the response where the time is over before it is; a tunnel is none any more.
    pub(super) fn of_response(self, response: Response<Body>) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        match self.expiry {
            Some(expiry) if !response.body().is_end_stream() => {
                response.map(|body| Body::new(Bounded { body, expiry }))
            }
            _ => response,
        }
    }
}

/// A body that breaks off when `expiry` says so, with what that says.
pub(crate) fn cut(body: Body, expiry: impl Future<Output = Kind> + Send + 'static) -> Body {
    Body::new(Bounded {
        body,
        expiry: Box::pin(expiry),
    })
}

async fn expire(grpc: Option<Instant>, request: Option<Duration>, uploaded: Option<Uploaded>) -> Kind {
    let from_request = async {
        let Some(longest) = request else {
            return std::future::pending().await;
        };
        if let Some(uploaded) = uploaded {
            uploaded.wait().await;
        }
        tokio::time::sleep(longest).await;
        Kind::RequestTimeout
    };
    let from_head = async {
        match grpc {
            Some(at) => {
                tokio::time::sleep_until(at.into()).await;
                Kind::RequestTimeout
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        kind = from_head => kind,
        kind = from_request => kind,
    }
}

/// A response body that breaks off when its time is over: it must not look complete.
struct Bounded {
    body: Body,
    expiry: Expiry,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // The time first: a body that never lets wait would never be cut.
        if self.body.is_end_stream() {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        let Poll::Ready(kind) = self.expiry.as_mut().poll(cx) else {
            return Pin::new(&mut self.body).poll_frame(cx);
        };
        // What is left of it goes at once, and its connection with it. An expiry is not asked twice.
        self.body = Body::empty();
        self.expiry = Box::pin(std::future::pending());
        Poll::Ready(Some(Err(Error::new(kind))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads a `grpc-timeout`: at most eight digits and a unit. What is none is ignored, as gRPC servers do.
fn grpc_timeout(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Writes a `grpc-timeout` in the finest unit that has room for it.
fn grpc_timeout_value(left: Duration) -> HeaderValue {
    let units = [
        (left.as_micros(), 'u'),
        (left.as_millis(), 'm'),
        (u128::from(left.as_secs()), 'S'),
    ];
    let fits = units.into_iter().find(|(number, _)| *number <= GRPC_TIMEOUT_MAX);
    let (number, unit) = fits.unwrap_or((GRPC_TIMEOUT_MAX, 'S'));
    HeaderValue::try_from(format!("{number}{unit}")).unwrap_or(HeaderValue::from_static("0u"))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_grpc_timeout_is_digits_and_a_unit() {
        let check = |text: &str, expected: Option<Duration>| {
            let value = HeaderValue::from_str(text).unwrap();
            assert_eq!(grpc_timeout(&value), expected, "{text}");
        };
        check("1H", Some(Duration::from_secs(3600)));
        check("2M", Some(Duration::from_secs(120)));
        check("3S", Some(Duration::from_secs(3)));
        check("250m", Some(Duration::from_millis(250)));
        check("99999999u", Some(Duration::from_micros(99_999_999)));
        check("7n", Some(Duration::from_nanos(7)));
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S"] {
            check(text, None);
        }
    }

    #[test]
    fn what_is_left_is_written_as_finely_as_it_fits() {
        let check = |left: Duration, expected: &str| {
            assert_eq!(grpc_timeout_value(left), expected);
            let read = grpc_timeout(&grpc_timeout_value(left)).unwrap();
            assert!(read <= left && left - read < SECOND);
        };
        check(Duration::ZERO, "0u");
        check(Duration::from_micros(1_500), "1500u");
        check(Duration::from_secs(100), "100000m");
        check(Duration::from_secs(100_000), "100000S");
    }

    fn deadline(timeouts: RouteTimeouts, uploaded: Option<Uploaded>) -> Deadline {
        let headers = HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_static("5S"))]);
        let now = tokio::time::Instant::now().into_std();
        Deadline::new(&timeouts, &headers, now, uploaded)
    }

    #[tokio::test(start_paused = true)]
    async fn the_timeout_of_the_route_counts_from_the_end_of_the_request() {
        let (end, uploaded) = Uploaded::pending();
        let timeouts = RouteTimeouts {
            request: Some(SECOND),
            ..RouteTimeouts::default()
        };
        let mut deadline = deadline(timeouts, Some(uploaded));
        assert!(deadline.bound(tokio::time::sleep(SECOND * 9)).await.is_ok());
        drop(end);
        let late = deadline.bound(tokio::time::sleep(SECOND * 2)).await;
        assert_eq!(late.unwrap_err().kind(), Kind::RequestTimeout);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_end_counts() {
        let check = async |grpc_timeout_max: Option<u64>, request: Option<u64>, expected| {
            let timeouts = RouteTimeouts {
                request: request.map(Duration::from_secs),
                grpc_timeout_max: grpc_timeout_max.map(Duration::from_secs),
                ..RouteTimeouts::default()
            };
            let started = tokio::time::Instant::now();
            let late = deadline(timeouts, None).bound(std::future::pending::<()>()).await;
            let ended = (late.unwrap_err().kind(), started.elapsed().as_secs());
            assert_eq!(ended, expected);
        };
        check(Some(60), None, (Kind::RequestTimeout, 5)).await;
        check(Some(2), Some(3), (Kind::RequestTimeout, 2)).await;
        check(None, Some(3), (Kind::RequestTimeout, 3)).await;
        check(Some(60), Some(3), (Kind::RequestTimeout, 3)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_started_response_breaks_off_and_a_finished_one_does_not() {
        let timeouts = RouteTimeouts {
            request: Some(SECOND),
            ..RouteTimeouts::default()
        };
        let hangs = futures_util::stream::pending::<Result<Frame<Bytes>, Error>>();
        let response = Response::new(Body::new(http_body_util::StreamBody::new(hangs)));
        let mut cut = deadline(timeouts, None).of_response(response).into_body();
        let error = cut.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::RequestTimeout);
        assert!(cut.frame().await.is_none());
        let whole = deadline(timeouts, None).of_response(Response::new(Body::full("x")));
        assert_eq!(
            whole
                .into_body()
                .collect()
                .now_or_never()
                .unwrap()
                .unwrap()
                .to_bytes(),
            "x"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_never_pauses_breaks_off_too() {
        let timeouts = RouteTimeouts {
            request: Some(SECOND),
            ..RouteTimeouts::default()
        };
        let busy =
            futures_util::stream::repeat_with(|| Ok::<_, Error>(Frame::data(Bytes::from_static(b"x"))));
        let response = Response::new(Body::new(http_body_util::StreamBody::new(busy)));
        let mut cut = deadline(timeouts, None).of_response(response).into_body();
        assert!(cut.frame().await.unwrap().is_ok());
        tokio::time::advance(SECOND * 2).await;
        let error = cut.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::RequestTimeout);
    }
}
