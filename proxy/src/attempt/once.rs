//! One try at one endpoint, and the second one that needs no policy.

use std::mem;
use std::time::Instant;

use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body as _;

use crate::body::Body;
use crate::cluster::breaker::RequestPriority;
use crate::cluster::outlier::Outcome;
use crate::cluster::{Cluster, Endpoint};
use crate::error::{Error, Kind};
use crate::exchange::{self, Failure};
use crate::observe::record::{self, OpenTry};
use crate::pool::{Freshness, Wanted};
use crate::route::rewrite;
use crate::upstream::Timing;
use crate::worker::Worker;

/// A try without a response.
pub(super) struct Failed {
    pub(super) error: Error,
    /// Whether nothing of the request was sent: it is where it was, and its body was not touched.
    pub(super) unsent: bool,
}

/// Sends `request` to `endpoint`, and once more on a connection of its own where a *reused* connection died and either
/// nothing was written yet, or the method is idempotent, there is no body to repeat and no head of a response came (RFC 9110
/// §9.2.2); or where any connection's endpoint said that it did not look at the request (RFC 9113 §8.7).
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, and every request has room for this future"
)]
pub(super) fn send<'a>(
    worker: &'a Worker,
    (cluster, priority): (&'a Cluster, RequestPriority),
    endpoint: &'a Endpoint,
    request: &'a mut Request<Body>,
) -> impl Future<Output = Result<(Response<Body>, Timing), Failed>> + Send + 'a {
    async move {
        cluster.metrics().requests.increment(1);
        rewrite::to_endpoint(request, endpoint.hostname().map(|name| &**name));
        let mut freshness = Freshness::Any;
        loop {
            let open = OpenTry::begin(request, cluster.name(), endpoint.address());
            let started = Instant::now();
            let wanted = Wanted {
                cluster,
                endpoint,
                freshness,
                priority,
            };
            let connection = match worker.pool.checkout(wanted, request).await {
                Ok(connection) => connection,
                Err(error) => {
                    OpenTry::end(open, Err(&error));
                    if error.kind() != Kind::BreakerOpen {
                        cluster.note(endpoint, Outcome::LocalFailure);
                    }
                    return Err(Failed { error, unsent: true });
                }
            };
            let connected = Instant::now();
            let spare = connection.is_reused().then(|| spare(request)).flatten();
            let failure = match exchange::send(connection, endpoint.begin(), request).await {
                Ok(response) => {
                    OpenTry::end(open, Ok(response.status()));
                    cluster.note(endpoint, Outcome::of_status(response.status().as_u16()));
                    let timing = Timing {
                        connect: connected - started,
                        first_byte: connected.elapsed(),
                    };
                    return Ok((response, timing));
                }
                Err(failure) => failure,
            };
            let Failure {
                error,
                reused,
                unsent,
            } = failure;
            OpenTry::end(open, Err(&error));
            let died = match error.kind() {
                Kind::UpstreamReset => reused,
                Kind::StreamRefused => freshness == Freshness::Any,
                _ => false,
            };
            match spare {
                _ if died && unsent => {}
                Some(spare) if died => {
                    *request = Request::from_parts(spare, Body::empty());
                }
                _ => {
                    // What a connection that had been idle died of is no news about the endpoint.
                    if matches!(error.kind(), Kind::UpstreamReset | Kind::UpstreamProtocol) {
                        cluster.note(endpoint, Outcome::LocalFailure);
                    }
                    return Err(Failed { error, unsent });
                }
            }
            cluster.metrics().retries.increment(1);
            freshness = Freshness::New;
        }
    }
}

impl Failed {
    /// The error, with the request that may be sent elsewhere.
    pub(super) fn into_error(self, request: &mut Request<Body>) -> Error {
        if self.unsent {
            self.error.with_unsent(mem::take(request))
        } else {
            self.error
        }
    }
}

/// A copy of the head for a second try of a request without a body.
fn spare(request: &Request<Body>) -> Option<Parts> {
    let repeatable = idempotent(request.method()) && request.body().is_end_stream();
    repeatable.then(|| {
        let (mut spare, ()) = Request::new(()).into_parts();
        spare.method.clone_from(request.method());
        spare.uri.clone_from(request.uri());
        spare.headers.clone_from(request.headers());
        record::carry(request.extensions(), &mut spare.extensions);
        spare
    })
}

fn idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}
