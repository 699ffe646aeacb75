//! One try at one endpoint, and the second one that needs no policy.

use std::mem;

use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body as _;

use crate::body::Body;
use crate::clock;
use crate::cluster::breaker::RequestPriority;
use crate::cluster::outlier::Outcome;
use crate::cluster::{Cluster, Endpoint};
use crate::connection::interim::Interim;
use crate::error::{Error, Kind};
use crate::exchange::{self, Failure};
use crate::observe::counts::one;
use crate::observe::record::{self, OpenTry};
use crate::pool::{Checkout, Freshness, Wanted, key};
use crate::route::policy::Resend;
use crate::route::rewrite;
use crate::upstream::Timing;
use crate::worker::Worker;

/// A try without a response.
pub(super) struct Failed {
    pub(super) error: Error,
    /// Whether nothing of the request was sent: it is where it was, and its body was not touched.
    pub(super) unsent: bool,
}

/// Sends `request` to `endpoint`, and once more on another connection where a *reused* connection died and either nothing
/// was written yet, or, if `resend` has it so, the method is idempotent, there is no body to repeat and no byte of a response
/// came (RFC 9110 §9.2.2); or where any connection's endpoint said that it did not look at the request (RFC 9113 §8.7).
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, and every request has room for this future"
)]
pub(super) fn send<'a>(
    worker: &'a Worker,
    (cluster, priority): (&'a Cluster, RequestPriority),
    resend: Resend,
    endpoint: &'a Endpoint,
    request: &'a mut Request<Body>,
) -> impl Future<Output = Result<(Response<Body>, Timing), Failed>> + Send + 'a {
    async move {
        cluster.metrics().requests.increment(1);
        rewrite::to_endpoint(request, endpoint.hostname().map(|name| &**name));
        let (mut freshness, mut again) = (Freshness::Any, false);
        loop {
            let open = OpenTry::begin(request, cluster.name(), endpoint.address());
            let started = clock::now_std();
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
                    endpoint.state().counts().ended(Err(&error));
                    if error.kind() != Kind::BreakerOpen {
                        cluster.note(endpoint, Outcome::LocalFailure);
                    }
                    return Err(Failed { error, unsent: true });
                }
            };
            let connected = clock::now_std();
            one(&cluster.counts().cells().requests);
            one(&endpoint.state().counts().requests);
            let repeatable = !again && resend == Resend::Idempotent && connection.is_reused();
            let spare = repeatable.then(|| Spare::of(request, &connection)).flatten();
            let failure = match exchange::send(connection, endpoint.begin(), request).await {
                Ok(response) => {
                    OpenTry::end(open, Ok(response.status()));
                    cluster.note(endpoint, Outcome::of_status(response.status().as_u16()));
                    endpoint.state().counts().ended(Ok(response.status().as_u16()));
                    let timing = Timing {
                        connect: connected.saturating_duration_since(started),
                        first_byte: clock::now_std().saturating_duration_since(connected),
                    };
                    return Ok((response, timing));
                }
                Err(failure) => failure,
            };
            let Failure {
                error,
                died,
                retired,
                unsent,
            } = failure;
            OpenTry::end(open, Err(&error));
            cluster.counts().failed(&error);
            endpoint.state().counts().ended(Err(&error));
            let excused = match error.kind() {
                Kind::UpstreamReset => died,
                Kind::StreamRefused => true,
                _ => false,
            };
            match spare {
                _ if again || !excused => return Err(failed(cluster, endpoint, error, unsent)),
                _ if unsent => {}
                Some(spare) if !spare.is_answered() => spare.restore(request),
                _ => return Err(failed(cluster, endpoint, error, unsent)),
            }
            cluster.metrics().retries.increment(1);
            cluster.counts().retried(None);
            again = true;
            // All streams of a connection that says goodbye come here at once: one dial will do for them.
            freshness = if retired { Freshness::Any } else { Freshness::New };
        }
    }
}

fn failed(cluster: &Cluster, endpoint: &Endpoint, error: Error, unsent: bool) -> Failed {
    // What a connection that had been idle died of is no news about the endpoint, but it is tried again then.
    if matches!(error.kind(), Kind::UpstreamReset | Kind::UpstreamProtocol) {
        cluster.note(endpoint, Outcome::LocalFailure);
    }
    Failed { error, unsent }
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

/// What a second try of a request without a body is made of.
struct Spare {
    /// Its head, where the exchange does not leave it where it is.
    head: Option<Parts>,
    interim: Option<Interim>,
}

impl Spare {
    fn of(request: &Request<Body>, connection: &Checkout) -> Option<Self> {
        let repeatable = idempotent(request.method()) && request.body().is_end_stream();
        repeatable.then(|| Self {
            head: matches!(connection, Checkout::H2 { .. }).then(|| Self::copy(request)),
            interim: Interim::of(request).cloned(),
        })
    }

    fn copy(request: &Request<Body>) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method.clone_from(request.method());
        head.uri.clone_from(request.uri());
        head.headers.clone_from(request.headers());
        record::carry(request.extensions(), &mut head.extensions);
        key::carry(request.extensions(), &mut head.extensions);
        head
    }

    /// Whether a response has begun: with an interim one.
    fn is_answered(&self) -> bool {
        self.interim.as_ref().is_some_and(Interim::is_heard)
    }

    fn restore(self, request: &mut Request<Body>) {
        let Some(mut head) = self.head else {
            return;
        };
        if let Some(interim) = self.interim {
            head.extensions.insert(interim);
        }
        *request = Request::from_parts(head, Body::empty());
    }
}

fn idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}
