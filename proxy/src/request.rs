//! The life of one request, top to bottom. The first file to read.

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use tower::ServiceExt;

use crate::attempt;
use crate::body::Body;
use crate::connection::Peer;
use crate::error::{Error, Kind};
use crate::normalize;
use crate::observe::Observation;
use crate::respond::{self, Dialect};
use crate::route::{self, Destination, Found};
use crate::upstream::{Target, Upstream};
use crate::worker::Worker;

/// Answers a request. Whatever goes wrong on the way becomes a response, and everything is accounted for,
/// also when this future is dropped because the client left.
pub(crate) async fn handle(worker: &Arc<Worker>, peer: &Peer, mut request: Request<Body>) -> Response<Body> {
    let observation = Observation::begin(&worker.metrics);
    let dialect = Dialect::of(request.headers());
    let result = match prepare(worker, peer, &mut request) {
        Ok(found) => forward(worker, peer, found, request).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(response) => observation.answered(response),
        Err(error) => {
            observation.failed(error.kind());
            respond::from_error(&error, dialect)
        }
    }
}

/// Makes the head trustworthy and finds its route, in the one snapshot that this request is routed by.
fn prepare(worker: &Worker, peer: &Peer, request: &mut Request<Body>) -> Result<Found, Error> {
    let host = normalize::head(request, peer)?;
    let snapshot = worker.config.load();
    route::find(&snapshot, &host, request).ok_or_else(|| Error::new(Kind::NoRoute))
}

async fn forward(
    worker: &Arc<Worker>,
    peer: &Peer,
    found: Found,
    mut request: Request<Body>,
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
        let (response, _timing) = attempt::run(worker, &cluster, None, request).await?;
        return Ok(response);
    };
    let stack = worker.stacks.get(layers, || Upstream::new(worker));
    let received = Instant::now();
    let route = Arc::clone(&found.route);
    request.extensions_mut().insert(Target {
        route,
        cluster,
        endpoint: None,
        received,
    });
    // A layer may keep the request waiting while nothing reads the connection: see the client leave.
    tokio::select! {
        biased;
        result = stack.oneshot(request) => result.map_err(Error::from_boxed),
        () = peer.gone() => Err(Error::new(Kind::ClientClosed)),
    }
}
