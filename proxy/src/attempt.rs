//! One request's tries to get an answer from a cluster, and when another try is safe.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use http::header::UPGRADE;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body as _;

use crate::body::Body;
use crate::cluster::outlier::Outcome;
use crate::cluster::{Cluster, Endpoint, Preference, Protocol};
use crate::error::{Error, Kind};
use crate::exchange::{self, Failure};
use crate::pool::Freshness;
use crate::respond::Dialect;
use crate::route::ForwardPolicy;
use crate::upstream::Timing;
use crate::worker::Worker;

/// Where a request goes, and what its route says about the way.
#[allow(dead_code, reason = "policy and hash are followed by the tries to come")]
pub(crate) struct Errand<'a> {
    pub(crate) cluster: &'a Arc<Cluster>,
    /// The endpoint, once somebody has chosen one; otherwise the cluster's balancer does.
    pub(crate) endpoint: Option<Arc<Endpoint>>,
    /// Deadlines and further tries.
    pub(crate) policy: Option<&'a ForwardPolicy>,
    /// What ring hash and maglev go by.
    pub(crate) hash: Option<u64>,
}

/// Sends `request` to the endpoint of `errand`, or to the one that the cluster picks.
///
/// Without a retry policy there is one second try, on a connection of its own, and only where a *reused*
/// connection died and either nothing was written yet, or the method is idempotent, there is no body to
/// repeat and no head of a response came (RFC 9110 §9.2.2).
///
/// The request is taken out of `request`, unless it turns out before that it cannot be sent.
pub(crate) async fn run(
    worker: &Worker,
    errand: Errand<'_>,
    request: &mut Request<Body>,
) -> Result<(Response<Body>, Timing), Error> {
    let Errand {
        cluster,
        endpoint,
        hash,
        ..
    } = errand;
    let preference = Preference { hash, attempt: 0 };
    let Some(endpoint) = endpoint.or_else(|| cluster.pick_by(preference)) else {
        return Err(Error::new(Kind::NoHealthyUpstream).with_unsent(mem::take(request)));
    };
    if let Some(advice) = mismatch(cluster, request) {
        return Err(Error::new(Kind::ProtocolMismatch).with_detail(advice));
    }
    cluster.metrics().requests.increment(1);
    let mut freshness = Freshness::Any;
    loop {
        let started = Instant::now();
        let connection = match worker.pool.checkout(cluster, &endpoint, freshness).await {
            Ok(connection) => connection,
            Err(error) => {
                cluster.note(&endpoint, Outcome::LocalFailure);
                return Err(error.with_unsent(mem::take(request)));
            }
        };
        let connected = Instant::now();
        let spare = connection.is_reused().then(|| spare(request)).flatten();
        let Failure {
            error,
            reused,
            unsent,
        } = match exchange::send(connection, endpoint.begin(), request).await {
            Ok(response) => {
                cluster.note(&endpoint, Outcome::of_status(response.status().as_u16()));
                let timing = Timing {
                    connect: connected - started,
                    first_byte: connected.elapsed(),
                };
                return Ok((response, timing));
            }
            Err(failure) => failure,
        };
        if matches!(error.kind(), Kind::UpstreamReset | Kind::UpstreamProtocol) {
            cluster.note(&endpoint, Outcome::LocalFailure);
        }
        let died = reused && error.kind() == Kind::UpstreamReset;
        match spare {
            _ if died && unsent => {}
            Some(spare) if died => *request = Request::from_parts(spare, Body::empty()),
            _ if unsent => return Err(error.with_unsent(mem::take(request))),
            _ => return Err(error),
        }
        cluster.metrics().retries.increment(1);
        freshness = Freshness::New;
    }
}

/// Why the cluster's protocol cannot carry this request, and what to do about it.
fn mismatch(cluster: &Cluster, request: &Request<Body>) -> Option<&'static str> {
    match cluster.settings().protocol {
        Protocol::Http1 => (Dialect::of(request.headers()) == Dialect::Grpc)
            .then_some("gRPC needs HTTP/2, but this port is declared as HTTP/1.1: declare it as h2c"),
        Protocol::Http2 => request
            .headers()
            .contains_key(UPGRADE)
            .then_some("WebSocket needs HTTP/1.1, but this port is declared as h2c: declare it as http1"),
    }
}

/// A copy of the head for a second try, of a request that may be sent twice and has no body.
fn spare(request: &Request<Body>) -> Option<Parts> {
    let repeatable = idempotent(request.method()) && request.body().is_end_stream();
    repeatable.then(|| {
        let (mut spare, ()) = Request::new(()).into_parts();
        spare.method.clone_from(request.method());
        spare.uri.clone_from(request.uri());
        spare.headers.clone_from(request.headers());
        spare
    })
}

fn idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}
