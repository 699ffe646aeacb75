//! The life of one request, top to bottom. The first file to read.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use tower::ServiceExt;

use crate::attempt::{self, Errand};
use crate::body::Body;
use crate::connection::Peer;
use crate::error::{Error, Kind};
use crate::normalize;
use crate::observe::{Observation, Received};
use crate::respond::{self, Dialect};
use crate::route::{self, Destination, Found};
use crate::upstream::{Target, Upstream};
use crate::worker::Worker;

/// Answers a request. Whatever goes wrong on the way becomes a response, and everything is accounted for, also when
/// this future is dropped because the client left. What became of the request is known when its response has ended,
/// so the [`Observation`] leaves in the response's body, outside of every layer.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold the request twice, and each idle connection has room for this future"
)]
pub(crate) fn handle<'a>(
    worker: &'a Arc<Worker>,
    peer: &'a Peer,
    mut request: Request<Body>,
) -> impl Future<Output = Response<Body>> + Send + 'a {
    async move {
        let mut observation = Observation::begin(&worker.metrics, request.method());
        Received::count(&worker.metrics, request.body_mut());
        let version = request.version();
        let dialect = Dialect::of(request.headers());
        let prepared = observation
            .admit()
            .and_then(|()| prepare(worker, peer, &mut request));
        let result = match prepared {
            Ok(found) => forward(worker, found, &mut request).await,
            Err(error) => Err(error),
        };
        let mut response = match result {
            Ok(response) => observation.answered(response),
            Err(error) => {
                tracing::debug!(reason = error.kind().name(), %error, "request failed");
                observation.failed(&error, respond::from_error(&error, dialect))
            }
        };
        if !worker.config.overload().keeps_connections() {
            respond::ask_to_close(&mut response, version);
        }
        response
    }
}

/// Makes the head trustworthy and finds its route, in the one snapshot that this request is routed by.
fn prepare(worker: &Worker, peer: &Peer, request: &mut Request<Body>) -> Result<Found, Error> {
    let host = normalize::head(request, peer)?;
    let snapshot = worker.config.load();
    route::find(&snapshot, &host, request).ok_or_else(|| Error::new(Kind::NoRoute))
}

/// Sends the request on its way, which takes it out of `request`.
async fn forward(
    worker: &Arc<Worker>,
    found: Found,
    request: &mut Request<Body>,
) -> Result<Response<Body>, Error> {
    let (cluster, edits) = match found.destination {
        Destination::Cluster(cluster, edits) => (cluster, edits),
        Destination::Missing(_name) => return Err(Error::new(Kind::ClusterMissing)),
        Destination::Response(status, text) => return Ok(respond::direct(status, text)),
    };
    for (name, value) in edits.iter() {
        request.headers_mut().insert(name, value.clone());
    }
    let Some(layers) = &found.route.layers else {
        let errand = Errand {
            cluster: &cluster,
            endpoint: None,
            policy: found.route.policy.as_deref(),
            hash: None,
        };
        let (response, _timing) = attempt::run(worker, errand, request).await?;
        return Ok(response);
    };
    let stack = worker.stacks.get(layers, || Upstream::new(worker));
    // A layer may put another body in the place of the client's, which knows the way back.
    if let Some(interim) = request.body().interim().cloned() {
        request.extensions_mut().insert(interim);
    }
    request.extensions_mut().insert(Target {
        route: Arc::clone(&found.route),
        cluster,
        endpoint: None,
        hash: None,
        received: Instant::now(),
    });
    let answer = stack.oneshot(mem::take(request)).await;
    answer.map_err(Error::from_boxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Proxy;
    use crate::config::Handle;
    use crate::drain::Drain;

    /// It is allocated for each request, and held for as long as one is parked.
    #[test]
    fn the_future_of_a_request_stays_small() {
        let (_drain, watch) = Drain::new();
        let proxy = Proxy::new(Handle::default(), watch);
        let peer = Peer::unknown();
        let size = size_of_val(&handle(proxy.worker(), &peer, Request::default()));
        assert!(size <= 3072, "{size} bytes");
    }
}
