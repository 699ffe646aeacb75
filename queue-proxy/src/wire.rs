//! The life of one request in the sidecar that is a program of its own, top to bottom. The first file to read.
//!
//! It answers as Knative's queue-proxy does, word for word, where [`request`](crate::request) has Tidegate's own words.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response, StatusCode, Version};
use tidegate_knative::headers::{PROXY_REQUEST, PROXY_REQUEST_ACTIVATOR};
use tidegate_proxy::Body;
use tidegate_proxy::error::{BoxError, Error};
use tidegate_proxy::layers::timeout::Timers;
use tidegate_proxy::limit::Permit;
use tidegate_proxy::normalize::forwarded::append_address;
use tidegate_proxy::upstream::Target;
use tower::{Layer, Service};

use crate::drainer::Drainer;
use crate::in_flight::{Awaited, InFlight};
use crate::invocations::{Invocation, Invocations, Tally};
use crate::readiness::Readiness;
use crate::request_log::RequestLog;
use crate::stats::{Arrived, Load, Loads, Origin};
use crate::{Sidecar, forwarded, host};

mod health;
pub mod settings;
pub(crate) mod words;

use health::Asked;

/// What a client reads whose request took too long.
const TIMEOUT_TEXT: &str = "request timeout";

/// What all requests of a sidecar share.
#[derive(Debug)]
pub struct Wire {
    /// Where the application listens.
    pub app: SocketAddr,
    /// How many requests it takes, and how long they may take.
    pub sidecar: Sidecar,
    /// Whether it is ready.
    pub readiness: Arc<Readiness>,
    /// Whether the sidecar is to end.
    pub drainer: Arc<Drainer>,
    /// What it carries, for the autoscaler.
    pub loads: Arc<Loads>,
    /// What is still under way.
    pub in_flight: InFlight,
    /// What is written about requests, where anything is.
    pub request_log: Option<Arc<RequestLog>>,
    /// What invocations took, where anybody wants to know.
    pub invocations: Option<Arc<Invocations>>,
}

/// Puts the sidecar before its application; the only layer of its route.
#[derive(Clone, Debug)]
pub struct WireLayer {
    wire: Arc<Wire>,
}

/// One worker's part of a [`Wire`].
#[derive(Clone, Debug)]
pub struct WireService<S> {
    wire: Arc<Wire>,
    load: Option<Load>,
    tally: Option<Tally>,
    inner: S,
}

impl WireLayer {
    /// The layer of this sidecar.
    #[must_use]
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }
}

impl<S> Layer<S> for WireLayer {
    type Service = WireService<S>;

    fn layer(&self, inner: S) -> WireService<S> {
        WireService {
            wire: Arc::clone(&self.wire),
            load: self.wire.loads.of_next_worker(),
            tally: self
                .wire
                .invocations
                .as_ref()
                .and_then(|all| all.of_next_worker()),
            inner,
        }
    }
}

impl<S> Service<Request<Body>> for WireService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let next = self.clone();
        let this = std::mem::replace(self, next);
        match this.wire.request_log.clone() {
            None => Box::pin(this.serve(request)),
            Some(log) => Box::pin(this.serve_and_log(log, request)),
        }
    }
}

/// What a request holds while it is with the application.
#[derive(Debug, Default)]
struct Place {
    invocation: Option<Invocation>,
    _arrived: Option<Arrived>,
    _permit: Option<Permit>,
}

impl<S> WireService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>>,
{
    async fn serve_and_log(
        self,
        log: Arc<RequestLog>,
        request: Request<Body>,
    ) -> Result<Response<Body>, BoxError> {
        let Some(Target { received, client, .. }) = request.extensions().get() else {
            return self.serve(request).await;
        };
        let is_probe = health::is_probe(request.headers());
        let entry = log.begin(&request, *client, (*received, is_probe));
        match (self.serve(request).await, entry) {
            (Ok(response), Some(entry)) => Ok(entry.finish(response)),
            (Err(error), Some(entry)) => {
                let failure = Error::from_boxed(error);
                entry.fail(&failure);
                Err(failure.into())
            }
            (result, None) => result,
        }
    }

    async fn serve(mut self, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (wire, counters) = (&*self.wire, (self.load.as_ref(), self.tally.as_ref()));
        match health::asked(request.headers(), wire.drainer.is_draining()) {
            Asked::Told(response) => return Ok(response),
            Asked::Readiness => return Ok(health::readiness(wire.readiness.ask().await)),
            Asked::Traffic => wire.drainer.request_came(),
        }
        let Some(Target { received, client, .. }) = request.extensions().get() else {
            return self.inner.call(request).await.map_err(Into::into);
        };
        let (received, client) = (*received, *client);
        let mut inside = wire.in_flight.enter(awaited(request.version()));
        let timers = Timers::wire(&wire.sidecar.timeouts(), received, TIMEOUT_TEXT);
        // Before this hop adds itself: `Forwarded` tells of those before it.
        forwarded::synthesize(request.headers_mut());
        let exchange = async {
            let mut place = wire.place(counters, request.headers_mut()).await?;
            if let Some(address) = client.address {
                append_address(request.headers_mut(), address.ip());
            }
            let response = self.inner.call(request).await;
            let response = response.map_err(|error| Error::from_boxed(error.into()));
            place.answered(&response);
            Ok((response?, place))
        };
        match timers.until_start(exchange).await {
            Ok((response, place)) => {
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    inside.become_awaited(Awaited::ForAWhile);
                }
                Ok(timers.finish(response).map(|body| body.hold((place, inside))))
            }
            Err(failure) => match words::of_failure(&failure, wire.app) {
                Some(response) => Ok(response),
                None => Err(failure.into()),
            },
        }
    }
}

impl Wire {
    /// Counts a request, gives it the name that its client asked for, and waits for its turn. A kubelet's probe does without.
    async fn place(
        &self,
        (load, tally): (Option<&Load>, Option<&Tally>),
        headers: &mut HeaderMap,
    ) -> Result<Place, Error> {
        let tally = tally.filter(|_| !health::is_probe(headers));
        if health::is_kubelet_probe(headers) {
            host::strip_revision(headers);
            return Ok(Place::default());
        }
        let origin = origin(headers);
        let arrived = load.map(|load| load.arrive(origin));
        host::restore(headers);
        let permit = self.sidecar.admit().await?;
        if let (Some(invocations), Some(_)) = (&self.invocations, &permit) {
            invocations.note_depth(self.sidecar.queue_depth());
        }
        Ok(Place {
            invocation: tally.map(Tally::begin),
            _arrived: arrived,
            _permit: permit,
        })
    }
}

impl Place {
    /// Notes what became of the invocation. What breaks off later is not noted: the client has its status.
    fn answered(&mut self, response: &Result<Response<Body>, Error>) {
        if let Some(invocation) = &mut self.invocation {
            let status = match response {
                Ok(response) => response.status(),
                Err(failure) => words::status_of(failure),
            };
            invocation.answered(status.as_u16());
        }
    }
}

fn origin(headers: &HeaderMap) -> Origin {
    match headers.get(PROXY_REQUEST) {
        Some(by) if by == PROXY_REQUEST_ACTIVATOR => Origin::Activator,
        _ => Origin::Direct,
    }
}

fn awaited(version: Version) -> Awaited {
    if version == Version::HTTP_2 {
        Awaited::ForAWhile
    } else {
        Awaited::Always
    }
}
