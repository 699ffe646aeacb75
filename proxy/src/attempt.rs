//! One request's tries to get an answer from a cluster, and when another try is safe.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response, Version};

use crate::body::Body;
use crate::clock;
use crate::cluster::affinity::{Affinity, Otherwise};
use crate::cluster::{Address, Cluster, Endpoint, Preference, Protocol, breaker};
use crate::error::{Error, Kind};
use crate::observe::counts::cluster::Clock;
use crate::observe::counts::one;
use crate::respond::Dialect;
use crate::route::ForwardPolicy;
use crate::upstream::Timing;
use crate::worker::Worker;

mod once;
pub(crate) mod replay;
mod retry;
mod timeout;
mod tries;

pub(crate) use timeout::cut;

/// Where a request goes, and what its route says about the way.
pub(crate) struct Errand<'a> {
    pub(crate) cluster: &'a Arc<Cluster>,
    /// The endpoint, once somebody has chosen one; otherwise the cluster's balancer does.
    pub(crate) endpoint: Option<Arc<Endpoint>>,
    /// Deadlines and further tries.
    pub(crate) policy: Option<&'a ForwardPolicy>,
    /// What ring hash and maglev go by.
    pub(crate) hash: Option<u64>,
    /// When the head of the request was complete, where that was not just now.
    pub(crate) received: Option<Instant>,
    /// How long it has waited before it came here.
    pub(crate) waited: Duration,
}

/// Sends `request` to the endpoint of `errand`, or to the one that the cluster picks.
///
/// Without a retry policy there is one second try at the same endpoint, and only where that is always safe: see
/// [`once::send`]. A policy adds deadlines and further tries: see [`tries::run`]. A route without one pays for neither.
///
/// The request is taken out of `request`, unless it turns out before that it cannot be sent.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, and every request has room for this future"
)]
pub(crate) fn run<'a>(
    worker: &'a Worker,
    errand: Errand<'a>,
    request: &'a mut Request<Body>,
) -> impl Future<Output = Result<(Response<Body>, Timing), Error>> + Send + 'a {
    async move {
        let (started, counts) = (clock::now_std(), errand.cluster.counts());
        let Some(endpoint) = errand.first_endpoint(request) else {
            let error = Error::new(Kind::NoHealthyUpstream);
            counts.ended(Err(&error));
            return Err(error.with_unsent(mem::take(request)));
        };
        if let Some(advice) = mismatch(errand.cluster, &endpoint, request) {
            return Err(Error::new(Kind::ProtocolMismatch).with_detail(advice));
        }
        let (cluster, policy) = (errand.cluster, errand.policy);
        let priority = policy.map(|policy| policy.priority).unwrap_or_default();
        let Some(permit) = cluster.breakers().request(priority) else {
            let error = breaker::overflow(TOO_MANY_REQUESTS);
            one(&counts.cells().requests_overflowed);
            counts.ended(Err(&error));
            return Err(error.with_unsent(mem::take(request)));
        };
        let answered = match policy.filter(|policy| !policy.is_plain()) {
            // Boxed: every request has room for what most have not.
            Some(policy) => Box::pin(tries::run(worker, errand, policy, endpoint, request)).await,
            None => {
                drop(errand);
                let resend = policy.map(|policy| policy.resend).unwrap_or_default();
                let sent = once::send(worker, (cluster, priority), resend, &endpoint, request).await;
                sent.map_err(|failed| failed.into_error(request))
            }
        };
        let answered = answered.map_err(|error| as_policy(error, policy));
        let (response, timing) = answered.inspect_err(|error| counts.ended(Err(error)))?;
        counts.ended(Ok(response.status().as_u16()));
        let response = if permit.counts() {
            let clock = Clock::of(Arc::clone(counts), started);
            response.map(|body| body.hold((permit, clock)))
        } else {
            counts.request_took(clock::now_std().saturating_duration_since(started));
            response
        };
        Ok((response, timing))
    }
}

/// An error with the status that the policy has for it.
fn as_policy(error: Error, policy: Option<&ForwardPolicy>) -> Error {
    match policy {
        Some(policy) if error.kind() == Kind::UpstreamReset => error.with_status(policy.reset_status),
        _ => error,
    }
}

const TOO_MANY_REQUESTS: &str = "circuit breaker open: too many requests under way to this upstream";

impl Errand<'_> {
    fn preference(&self) -> Preference {
        Preference {
            hash: self.hash,
            attempt: 0,
        }
    }

    fn first_endpoint(&self, request: &Request<Body>) -> Option<Arc<Endpoint>> {
        if let Some(chosen) = &self.endpoint {
            return Some(Arc::clone(chosen));
        }
        if let Some(affinity) = self.policy.and_then(|policy| policy.affinity.as_ref())
            && let Some(wanted) = wanted(affinity, request)
        {
            let found = self.cluster.find(&wanted);
            if found.is_some() || affinity.otherwise == Otherwise::Unavailable {
                return found;
            }
        }
        self.cluster.pick_by(self.preference())
    }
}

/// The endpoint that served this client before, as far as it says so.
fn wanted(affinity: &Affinity, request: &Request<Body>) -> Option<Address> {
    affinity.wanted(request.uri().path(), request.headers(), SystemTime::now())
}

/// Why the cluster's protocol cannot carry this request, and what to do about it.
fn mismatch(cluster: &Cluster, endpoint: &Endpoint, request: &Request<Body>) -> Option<&'static str> {
    match cluster.transport_for(endpoint, request.version()).protocol() {
        // A client that speaks HTTP/1.1 itself loses nothing.
        Protocol::Http1 => (request.version() == Version::HTTP_2
            && Dialect::of(request.headers()) == Dialect::Grpc)
            .then_some("gRPC needs HTTP/2, but this port is declared as HTTP/1.1: declare it as h2c"),
        // Whether WebSocket fits shows when the endpoint has said whether it understands extended CONNECT.
        Protocol::Http2 | Protocol::Auto => None,
    }
}
