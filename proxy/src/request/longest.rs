//! How long may a request take, its response included, whatever its route does with it?

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use http_body::Body as _;

use crate::attempt;
use crate::body::Body;
use crate::connection::Peer;
use crate::error::{Error, Kind};
use crate::route::Found;
use crate::upstream::TunnelEnd;

/// The end of a request that may not take for ever.
pub(super) struct Longest {
    end: Instant,
    /// Shared with the request's body until that is over.
    uploading: Arc<()>,
}

impl Longest {
    /// What the route says, else the listener; none where neither has an end for it.
    pub(super) fn of(found: &Found, peer: &Peer, request: &mut Request<Body>) -> Option<Self> {
        let policy = found.route.policy.as_deref();
        let of_route = policy.and_then(|policy| policy.timeouts.stream_max);
        let longest = of_route.or(peer.http().timeouts.stream_max)?;
        let end = (longest != Duration::ZERO).then(|| Instant::now().checked_add(longest));
        let longest = Self {
            end: end.flatten()?,
            uploading: Arc::default(),
        };
        if !request.body().is_end_stream() {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = body.hold(Arc::clone(&longest.uploading));
        }
        Some(longest)
    }

    /// The output of `future`, if it comes in time. Cancel-safe if `future` is.
    pub(super) async fn bound<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            output = future => output,
            () = tokio::time::sleep_until(self.end.into()) => Err(self.over()),
        }
    }

    fn over(&self) -> Error {
        let error = Error::new(Kind::StreamTooLong);
        // The client is the one who is late with a request that has not come whole (RFC 9110 §15.5.9).
        match Arc::strong_count(&self.uploading) {
            1 => error,
            _ => error.with_status(StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// Cuts the response where the time is over before it is, a tunnel too.
    pub(super) fn of_response(self, mut response: Response<Body>) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            response.extensions_mut().insert(TunnelEnd(self.end));
            return response;
        }
        if response.body().is_end_stream() {
            return response;
        }
        let end = self.end;
        response.map(|body| {
            attempt::cut(body, async move {
                tokio::time::sleep_until(end.into()).await;
                Kind::StreamTooLong
            })
        })
    }
}
