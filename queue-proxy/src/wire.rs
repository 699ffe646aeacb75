//! The life of one request in the sidecar that is a program of its own, top to bottom. The first file to read.
//!
//! It answers as Knative's queue-proxy does, word for word, where [`request`](crate::request) has Tidegate's own words.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, Request, Response, StatusCode, Version};
use tidegate_knative::headers::{PROXY_REQUEST, PROXY_REQUEST_ACTIVATOR};
use tidegate_proxy::Body;
use tidegate_proxy::error::{BoxError, Error};
use tidegate_proxy::layers::timeout::Timers;
use tidegate_proxy::limit::Permit;
use tidegate_proxy::normalize::forwarded::append_address;
use tidegate_proxy::observe::trace::{InnerSpan, Telling};
use tidegate_proxy::upstream::Target;
use tower::{Layer, Service};

use crate::drainer::Drainer;
use crate::in_flight::{Awaited, InFlight};
use crate::measures::{Counted, Invocation};
use crate::readiness::Readiness;
use crate::route_tag::{self, RouteTag};
use crate::stats::{Arrived, Load, Loads, Origin};
use crate::{Sidecar, forwarded, host};

mod health;
pub mod seen;
pub mod settings;
pub(crate) mod words;

use health::Asked;
use seen::{Seeing, Seen};

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
    /// Who is told of requests, where anybody is.
    pub seeing: Seeing,
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let next = self.clone();
        let this = std::mem::replace(self, next);
        match this.wire.seeing.begin(&mut request) {
            None => Box::pin(this.serve(request, None)),
            Some(seen) => Box::pin(this.serve_seen(seen, request)),
        }
    }
}

/// What a request holds while it is with the application.
#[derive(Debug, Default)]
struct Place {
    invocation: Option<Invocation>,
    _proxied: Option<InnerSpan>,
    _arrived: Option<Arrived>,
    _permit: Option<Permit>,
}

impl<S> WireService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>>,
{
    async fn serve_seen(self, seen: Seen, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        match self.serve(request, seen.counter()).await {
            Ok(response) => Ok(seen.finish(response)),
            Err(error) => {
                let failure = Error::from_boxed(error);
                seen.fail(&failure);
                Err(failure.into())
            }
        }
    }

    async fn serve(
        mut self,
        mut request: Request<Body>,
        counted: Option<Arc<Counted>>,
    ) -> Result<Response<Body>, BoxError> {
        let wire = &*self.wire;
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
        let telling = Telling::of(request.extensions());
        if let Some(telling) = &telling {
            telling.attribute(route_tag::ATTRIBUTE, RouteTag::of(request.headers()).as_str());
        }
        // Before this hop adds itself: `Forwarded` tells of those before it.
        forwarded::synthesize(request.headers_mut());
        let exchange = async {
            let mut place = wire
                .place(self.load.as_ref(), request.headers_mut(), telling.as_ref())
                .await?;
            if let Some(address) = client.address {
                append_address(request.headers_mut(), address.ip());
            }
            let asked = Instant::now();
            let response = self.inner.call(request).await;
            let response = response.map_err(|error| Error::from_boxed(error.into()));
            if let Some(counted) = counted {
                let status = response.as_ref().ok().map(|response| response.status().as_u16());
                counted.asked(asked.elapsed(), status);
            }
            let response = match place.invocation.take() {
                Some(invocation) => answered(invocation, response),
                None => response,
            };
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
        load: Option<&Load>,
        headers: &mut HeaderMap,
        telling: Option<&Telling>,
    ) -> Result<Place, Error> {
        let measures = self.seeing.measures.as_ref();
        let is_measured = measures.is_some() && !health::is_probe(headers);
        if health::is_kubelet_probe(headers) {
            host::strip_revision(headers);
            return Ok(Place::default());
        }
        let proxied = telling.map(|telling| telling.begin("kn.queueproxy.proxy"));
        let origin = origin(headers);
        let arrived = load.map(|load| load.arrive(origin));
        host::restore(headers);
        let permit = self.admit(proxied.as_ref()).await?;
        if let (Some(measures), Some(_)) = (measures, &permit) {
            measures.note_depth(self.sidecar.queue_depth());
        }
        Ok(Place {
            invocation: measures.filter(|_| is_measured).map(|measures| measures.invoke()),
            _proxied: proxied,
            _arrived: arrived,
            _permit: permit,
        })
    }
}

impl Wire {
    /// Waits for a place, where places are limited. The application works within the span of that wait, as in Knative.
    async fn admit(&self, proxied: Option<&InnerSpan>) -> Result<Option<Permit>, Error> {
        let Some(proxied) = proxied else {
            return self.sidecar.admit().await;
        };
        if !self.sidecar.is_limited() {
            proxied.holds_tries();
            return self.sidecar.admit().await;
        }
        let waiting = proxied.begin("kn.queueproxy.wait");
        waiting.holds_tries();
        self.sidecar.admit().await
    }
}

/// Notes what becomes of the invocation.
fn answered(
    invocation: Invocation,
    response: Result<Response<Body>, Error>,
) -> Result<Response<Body>, Error> {
    match response {
        Ok(response) => Ok(invocation.answered(response)),
        Err(failure) => {
            invocation.failed(words::status_of(&failure).as_u16());
            Err(failure)
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
