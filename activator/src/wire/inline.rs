//! The life of one request in an ingress, top to bottom: what Knative's activator does, without a hop of its own.
//!
//! The revision is the one that the request's cluster is called after. As long as it is not known, the request goes where its
//! cluster sends it. Its timers run from its head on, so that they count a cold start too; a response that one cuts breaks off
//! visibly. The route's own timeout holds as well.

use std::{
    fmt,
    future::Future,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use tidegate_proxy::{
    Body, Error,
    error::{BoxError, Kind, Worded},
    layers::timeout::{Timeouts, Timers},
    overload::Overload,
    route::Route,
    upstream::Target,
};
use tower::{Layer, Service, ServiceExt};

use super::{Asking, answered, edit, probes, words};
use crate::{
    directory::{Directory, Entry},
    limits::WAIT_MAX,
    middleware::{Middleware, MiddlewareService, ResponseFuture},
    observe::Observer,
    reporter::Reporter,
    request::{Failure, Shared, Visit},
    throttle::Onward,
};

/// Puts an activator before the clusters of an ingress that are called `namespace/revision`. Clones share their state.
#[derive(Clone)]
pub struct InlineLayer {
    parts: Arc<Parts>,
}

struct Parts {
    directory: Arc<Directory>,
    shared: Arc<Shared>,
}

impl InlineLayer {
    /// Sends requests to the pods of the revisions in `directory`. Who waits counts against [`Overload::parked`] too.
    #[must_use]
    pub fn new(
        directory: Arc<Directory>,
        reporter: Arc<Reporter>,
        overload: &Overload,
        observer: impl Observer + 'static,
    ) -> Self {
        let shared = Shared {
            registry: Arc::clone(directory.registry()),
            reporter,
            observer: Arc::new(observer),
            parked: Some(overload.parked().clone()),
        };
        Self {
            parts: Arc::new(Parts {
                directory,
                shared: Arc::new(shared),
            }),
        }
    }
}

impl<S> Layer<S> for InlineLayer {
    type Service = MiddlewareService<Self, S>;

    fn layer(&self, inner: S) -> MiddlewareService<Self, S> {
        MiddlewareService::new(self.clone(), inner)
    }
}

impl<S> Middleware<S> for InlineLayer
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + 'static,
{
    fn handle(&self, inner: &S, mut request: Request<Body>) -> ResponseFuture {
        let (parts, inner) = (&self.parts, inner.clone());
        let found = request.extensions().get::<Target>().and_then(|target| {
            let entry = parts.directory.of_cluster(target.cluster.name())?;
            Some((target.clone(), entry))
        });
        let Some((target, entry)) = found else {
            return Box::pin(async move { inner.oneshot(request).await.map_err(Into::into) });
        };
        if let Some(response) = probes::of_network(request.headers_mut()) {
            return answered(response);
        }
        Box::pin(hold(parts, (target, &entry), inner, request))
    }
}

/// From the arrival to the head of the response.
fn hold<S>(
    parts: &Arc<Parts>,
    (mut target, entry): (Target, &Entry),
    inner: S,
    request: Request<Body>,
) -> impl Future<Output = Result<Response<Body>, BoxError>> + use<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + 'static,
{
    let (route, received) = (Arc::clone(&target.route), target.received);
    let timers = Timers::start(&entry.timeouts, received);
    let ends = Ends::of(&entry.timeouts, &route, received);
    // For pods that have no cluster of their own.
    target.cluster = Arc::clone(&entry.cluster);
    let visit = Visit::of(&parts.shared, Arc::clone(&entry.revision), target).until(ends.first());
    let sending = Sending {
        inner,
        replaced: None,
    };
    // Boxed by itself: what hands it on by value would each have room for all of it, and thousands of requests wait in this.
    let visiting = Box::pin(visit.run(sending, request));
    async move {
        let Failure { error, inner } = match timers.until_start(visiting.map(Ok)).await {
            Ok(Ok(response)) => return Ok(timers.finish(response)),
            Ok(Err(failure)) => failure,
            // The revision's own time is over.
            Err(late) => return worded(late),
        };
        let Some(sending) = inner else {
            return told(error, &ends, &route);
        };
        match error.into_unsent() {
            Some(request) => sending.elsewhere(request).await,
            None => told(Error::new(Kind::CapacityRefused), &ends, &route),
        }
    }
}

/// Until when a request may wait. Once it is sent, the route's time is measured where it is.
struct Ends {
    of_revision: Instant,
    of_route: Option<Instant>,
}

impl Ends {
    fn of(timeouts: &Timeouts, route: &Route, received: Instant) -> Self {
        let start = [timeouts.response_start, timeouts.idle].into_iter().flatten();
        let shortest = start.fold(timeouts.request, Duration::min);
        let of_route = route.policy.as_deref().and_then(|policy| policy.timeouts.request);
        Self {
            of_revision: received + shortest.min(WAIT_MAX),
            of_route: of_route.and_then(|longest| received.checked_add(longest)),
        }
    }

    fn first(&self) -> Instant {
        self.of_route
            .map_or(self.of_revision, |end| end.min(self.of_revision))
    }

    fn are_the_routes(&self) -> bool {
        self.of_route.is_some_and(|end| end < self.of_revision)
    }
}

/// What a client reads where there was no answer.
fn told(error: Error, ends: &Ends, route: &Route) -> Result<Response<Body>, BoxError> {
    let error = match error.kind() {
        // Its cluster is gone: as it is for whoever comes now.
        Kind::CapacityRefused => {
            let missing = route.as_forward().map(|forward| forward.missing);
            let error = Error::new(Kind::ClusterMissing);
            return Err(missing.into_iter().fold(error, Error::with_status).into());
        }
        // What the route says is told in the words of its listener: while it waits, and at the pod.
        Kind::RequestTimeout => return Err(error.into()),
        Kind::CapacityTimeout if ends.are_the_routes() => {
            return Err(Error::new(Kind::RequestTimeout).into());
        }
        Kind::CapacityTimeout => Error::new(Kind::RequestTimeout),
        // As many wait in the process as may: that is a full queue, too.
        Kind::Overloaded => Error::new(Kind::QueueFull),
        _ => error,
    };
    worded(error)
}

/// Said in Knative's words, as far as it has some.
fn worded(error: Error) -> Result<Response<Body>, BoxError> {
    let kind = error.kind();
    words::of(error).map(|mut response| {
        response.extensions_mut().insert(Worded(kind));
        response
    })
}

/// Sends a request to the pod that it was given, in that pod's name.
struct Sending<S> {
    inner: S,
    /// What was in the head before the first try; from then on it is a pod's.
    replaced: Option<edit::Replaced>,
}

impl<S> Sending<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>, Future: Send>,
    S: Send + 'static,
{
    /// Nobody is held for the revision any more: a request that waited goes, as it came, where whoever comes now goes.
    fn elsewhere(self, mut request: Request<Body>) -> ResponseFuture {
        if let Some(replaced) = self.replaced {
            replaced.restore(request.headers_mut());
        }
        let onward = request.extensions_mut().remove::<Onward>();
        let turn = onward.map(|Onward { cluster, turn }| {
            if let Some(target) = request.extensions_mut().get_mut::<Target>() {
                (target.cluster, target.endpoint) = (cluster, None);
                // Its route's time has begun.
                target.waited = target.received.elapsed();
            }
            turn
        });
        Box::pin(async move {
            let response = self.inner.oneshot(request).await.map_err(Into::into)?;
            // A tunnel may stay for hours: from here on it counts only where all do, at its cluster.
            Ok(match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => response,
                _ => response.map(|body| body.hold(turn)),
            })
        })
    }
}

impl<S> Service<Request<Body>> for Sending<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Asking<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let target = request.extensions().get::<Target>();
        let pod = target.and_then(|target| target.endpoint.clone());
        let head = request.headers_mut();
        let replaced = (self.replaced.is_none()).then(|| edit::request(head, None, None));
        let host = pod.as_ref().and_then(|pod| edit::name_pod(head, pod.address()));
        if let Some(replaced) = replaced {
            self.replaced = Some(replaced.with_host(host));
        }
        Asking {
            answer: self.inner.call(request),
            pod,
            since: None,
            is_tls: false,
        }
    }
}

impl fmt::Debug for InlineLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineLayer")
            .field("directory", &self.parts.directory)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
