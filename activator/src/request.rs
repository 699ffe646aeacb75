//! The life of one request in the activator, top to bottom. The first file to read.

use std::{fmt, future::Future, sync::Arc, time::Instant};

use futures_util::TryFutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tidegate_knative::headers;
use tidegate_proxy::{
    Body, Error,
    error::{BoxError, Kind},
    overload::{Budget, Overload},
    upstream::{Target, Timing},
};
use tokio::time::{sleep, timeout_at};
use tower::{Layer, Service, ServiceExt};

use crate::{
    limits::{CONNECT_BACKOFF, CONNECT_RETRIES_MAX, WAIT_MAX},
    middleware::{Middleware, MiddlewareService, ResponseFuture},
    names::SERVER_TIMING,
    observe::{Observer, Unparked, Wait},
    parking::{Packed, head_bytes},
    receipt::Receipt,
    registry::Registry,
    reporter::{Arrival, Reporter},
    throttle::{Dismissal, Lease, NoPlace, NoTurn, Onward, Refusal, Release, Revision},
};

/// Puts the activator in front of a route's upstream: each request is given a replica of its revision, at once or
/// after a wait, and holds it until its response has ended.
///
/// The revision is the one in the [`Registry`] whose key is the name of the request's cluster; a request of another
/// cluster passes untouched. Clones share their state.
#[derive(Clone)]
pub struct ActivatorLayer {
    shared: Arc<Shared>,
}

/// What all requests use.
pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry>,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) parked: Option<Budget>,
}

impl ActivatorLayer {
    /// A layer that leases replicas of `registry`'s revisions, counts requests with `reporter`, and shows
    /// `observer` those that wait (`()` sees nothing).
    #[must_use]
    pub fn new(registry: Arc<Registry>, reporter: Arc<Reporter>, observer: impl Observer + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                registry,
                reporter,
                observer: Arc::new(observer),
                parked: None,
            }),
        }
    }

    /// Counts who waits against [`Overload::parked`] too: above it 503 with `Retry-After`. Give it what the proxy's
    /// [`Handle`](tidegate_proxy::config::Handle::overload) has, so that all that wait in the process share one bound.
    #[must_use]
    pub fn bounded(self, overload: &Overload) -> Self {
        Self {
            shared: Arc::new(Shared {
                registry: Arc::clone(&self.shared.registry),
                reporter: Arc::clone(&self.shared.reporter),
                observer: Arc::clone(&self.shared.observer),
                parked: Some(overload.parked().clone()),
            }),
        }
    }
}

impl<S> Layer<S> for ActivatorLayer {
    type Service = MiddlewareService<Self, S>;

    fn layer(&self, inner: S) -> MiddlewareService<Self, S> {
        MiddlewareService::new(self.clone(), inner)
    }
}

impl<S> Middleware<S> for ActivatorLayer
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + 'static,
{
    fn handle(&self, inner: &S, mut request: Request<Body>) -> ResponseFuture {
        let inner = inner.clone();
        let Some(visit) = Visit::begin(&self.shared, &request) else {
            return Box::pin(async move { inner.oneshot(request).await.map_err(Into::into) });
        };
        edit(request.headers_mut());
        Box::pin(visit.run(inner, request).map_err(|failure| failure.error.into()))
    }
}

/// What an activator changes in a head (Knative `pkg/activator/handler/handler.go`), as far as it shows where the
/// replica's sidecar is in the same process: nobody replaced the Host, and the sidecar removes the revision headers.
fn edit(head: &mut HeaderMap) {
    const PROXY_REQUEST: HeaderName = HeaderName::from_static(headers::PROXY_REQUEST);
    const NETWORK_HASH: HeaderName = HeaderName::from_static(headers::NETWORK_HASH);
    head.insert(
        PROXY_REQUEST,
        HeaderValue::from_static(headers::PROXY_REQUEST_ACTIVATOR),
    );
    head.remove(NETWORK_HASH);
}

/// One request at its revision.
pub(crate) struct Visit {
    shared: Arc<Shared>,
    revision: Arc<Revision>,
    target: Target,
    arrival: Arrival,
    /// Until when it may wait.
    deadline: Instant,
}

impl Visit {
    fn begin(shared: &Arc<Shared>, request: &Request<Body>) -> Option<Self> {
        let target = request.extensions().get::<Target>()?;
        let revision = shared.registry.get(target.cluster.name())?;
        Some(Self::of(shared, revision, target.clone()))
    }

    /// A request of `revision`, which counts as its load from now on.
    pub(crate) fn of(shared: &Arc<Shared>, revision: Arc<Revision>, target: Target) -> Self {
        Self {
            deadline: target.received + revision.settings().timeout.min(WAIT_MAX),
            arrival: shared.reporter.arrive(&revision, target.received),
            shared: Arc::clone(shared),
            revision,
            target,
        }
    }

    /// Lets it wait no longer than until then.
    pub(crate) fn until(self, deadline: Instant) -> Self {
        Self {
            deadline: self.deadline.min(deadline),
            ..self
        }
    }

    /// From the arrival to the head of the response, whose body then holds the lease.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps its arguments twice, and thousands of requests wait in this future"
    )]
    pub(crate) fn run<S>(
        self,
        mut inner: S,
        mut request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Failure<S>>>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>>,
    {
        async move {
            let (mut lease, mut waited) = match self.revision.try_lease() {
                // It was started for this request, and came up before the request had looked for it.
                Some(lease) if lease.pod().timeline().ready > self.target.received => (lease, true),
                Some(lease) => (lease, false),
                None => match self.wait(&mut request).await {
                    Ok(lease) => (lease, true),
                    Err(unserved) => return Err(unserved.of(request, inner)),
                },
            };
            let mut retries = 0;
            loop {
                let sent = Instant::now();
                request.extensions_mut().insert(self.target_of(&lease, waited));
                let ready = inner.ready().await;
                let ready = ready.map_err(|error| Error::from_boxed(error.into()))?;
                let error = match ready.call(request).await {
                    Ok(mut response) => {
                        if waited {
                            self.stamp(&mut response, &lease, sent);
                        }
                        // The tail end of the response, or of a tunnel, gives the replica to the next request.
                        return Ok(response.map(|body| body.hold((lease, self.arrival))));
                    }
                    Err(error) => Error::from_boxed(error.into()),
                };
                request = self.unsent(error, retries, &lease)?;
                // Boxed, as few need it, and all that wait would have room for it.
                lease = match Box::pin(self.another(lease, retries, &mut request)).await {
                    Ok(lease) => lease,
                    Err(unserved) => return Err(unserved.of(request, inner)),
                };
                (retries, waited) = (retries + 1, true);
            }
        }
    }

    /// A lease, after a wait in line. Until then nothing reads the request's body, so its client is neither told to
    /// send it (`100 Continue`) nor read from. Dropping the future leaves the line at once.
    async fn wait(&self, request: &mut Request<Body>) -> Result<Lease, Unserved> {
        let Some(_room) = self.shared.registry.parking().enter(head_bytes(request)) else {
            return Err(self.refused(Kind::QueueFull).into());
        };
        let parked = self.shared.parked.as_ref().map(|parked| parked.reserve(1));
        let _place = parked
            .transpose()
            .inspect_err(|error| self.revision.metrics().refused(error.kind()))?;
        // One wait from the first place to the end, however often it is let go and held again.
        let mut wait = None;
        let begin = || Wait::begin(&self.revision, &*self.shared.observer);
        let mut fields = None;
        let answer = loop {
            let place = match wait {
                None => self.revision.park(),
                Some(_) => self.revision.park_again(),
            };
            let dismissal = match place {
                Ok(waiter) => {
                    wait.get_or_insert_with(begin);
                    fields.get_or_insert_with(|| make_light(request));
                    match timeout_at(self.deadline.into(), waiter).await {
                        Ok(Ok(lease)) => break Ok(lease),
                        Ok(Err(dismissal)) => dismissal,
                        Err(_elapsed) => break Err(late()),
                    }
                }
                Err(NoPlace::Full) => break Err(Error::new(Kind::QueueFull).into()),
                Err(NoPlace::Dismissed(dismissal)) => dismissal,
            };
            let release = match &*dismissal {
                Dismissal::Refused(refusal) => break Err(pointless(refusal).into()),
                Dismissal::Released(release) => release,
            };
            wait.get_or_insert_with(begin);
            if let Some(unserved) = self.released(release).await {
                break Err(unserved);
            }
        };
        self.account(wait, &answer);
        // Who is refused has no use for them.
        if let Some(fields) = fields.filter(|_| !matches!(answer, Err(Unserved::Failed(_)))) {
            fields.restore(request.headers_mut());
            request.extensions_mut().insert(self.target.clone());
        }
        answer
    }

    /// Counts how a wait ended, or that there was none.
    fn account(&self, wait: Option<Wait<'_>>, answer: &Result<Lease, Unserved>) {
        let outcome = match answer {
            Ok(_) => Unparked::Leased,
            Err(Unserved::Released(_)) => Unparked::Released,
            Err(Unserved::Failed(error)) if error.kind() == Kind::CapacityTimeout => Unparked::TimedOut,
            Err(Unserved::Failed(error)) if wait.is_none() => {
                return self.revision.metrics().refused(error.kind());
            }
            Err(Unserved::Failed(_)) => Unparked::Refused,
        };
        if let Some(wait) = wait {
            wait.end(outcome);
        }
    }

    /// Who is let go waits for a turn, in the same place and no longer than for a lease. Nothing where it is to be held again, or
    /// the revision is gone.
    async fn released(&self, release: &Release) -> Option<Unserved> {
        let policy = self.target.route.policy.as_deref();
        let priority = policy.map(|policy| policy.priority).unwrap_or_default();
        // Boxed: all that wait have room for this future, and few are ever let go.
        match Box::pin(timeout_at(self.deadline.into(), release.turn(priority))).await {
            Ok(Ok(onward)) => Some(Unserved::Released(onward)),
            Ok(Err(NoTurn::Full)) => Some(Error::new(Kind::QueueFull).into()),
            Ok(Err(NoTurn::Revoked)) => None,
            Err(_elapsed) => Some(late()),
        }
    }

    /// Where the request goes with this lease: by one view of its replica, which may move at any time.
    fn target_of(&self, lease: &Lease, waited: bool) -> Target {
        let place = lease.pod().place();
        let cluster = place.cluster.as_ref().unwrap_or(&self.target.cluster);
        Target {
            cluster: Arc::clone(cluster),
            endpoint: Some(Arc::clone(&place.endpoint)),
            waited: match waited {
                true => self.target.received.elapsed(),
                false => self.target.waited,
            },
            ..self.target.clone()
        }
    }

    /// The request of a try that failed, if nothing of it was sent and it may be tried again.
    fn unsent(&self, error: Error, retries: u32, lease: &Lease) -> Result<Request<Body>, Error> {
        let kind = error.kind();
        let refused = matches!(kind, Kind::ConnectFailed | Kind::ConnectTimeout);
        if !refused || retries == CONNECT_RETRIES_MAX || Instant::now() >= self.deadline {
            return Err(error);
        }
        let (revision, endpoint) = (self.revision.key(), lease.endpoint());
        let address = endpoint.address();
        tracing::debug!(%revision, %address, retries, "a replica did not accept a connection");
        error.into_unsent().ok_or_else(|| Error::new(kind))
    }

    /// A lease for the next try, when the replica of this one did not accept a connection.
    ///
    /// It may just have died. Until that is known its lease is kept, so that nobody else is sent there; once it is
    /// retired, the request goes back in line. A replica that comes round is tried again.
    async fn another(
        &self,
        lease: Lease,
        retries: u32,
        request: &mut Request<Body>,
    ) -> Result<Lease, Unserved> {
        if retries > 0 {
            let pause = CONNECT_BACKOFF * 2_u32.saturating_pow(retries - 1);
            tokio::select! {
                biased;
                () = lease.pod().retired() => {}
                () = sleep(pause) => {}
            }
        }
        if let Some(other) = self.revision.lease_elsewhere(lease.pod()) {
            return Ok(other);
        }
        if lease.pod().is_retired() {
            drop(lease);
            return self.wait(request).await;
        }
        Ok(lease)
    }

    /// Writes on a response what its request waited for until it was sent.
    fn stamp(&self, response: &mut Response<Body>, lease: &Lease, sent: Instant) {
        let timing = response.extensions().get::<Timing>().copied();
        let timing = timing.unwrap_or_else(|| Timing {
            first_byte: sent.elapsed(),
            ..Timing::default()
        });
        let receipt = Receipt::new(self.target.received, sent, lease.pod().timeline(), timing);
        if let Ok(value) = HeaderValue::try_from(receipt.to_string()) {
            response.headers_mut().append(SERVER_TIMING, value);
        }
        self.shared.observer.answered(&self.revision, &receipt);
    }

    fn refused(&self, reason: Kind) -> Error {
        self.revision.metrics().refused(reason);
        Error::new(reason)
    }
}

/// Why a request has no lease.
enum Unserved {
    /// It gets none.
    Failed(Error),
    /// It needs none: it is its turn to go on.
    Released(Onward),
}

impl Unserved {
    /// What becomes of the request. Only one that is sent on is kept, in a box of its own: none of those that are refused in a
    /// flood, or that wait in vain.
    fn of<S>(self, mut request: Request<Body>, inner: S) -> Failure<S> {
        match self {
            Self::Failed(error) => error.into(),
            Self::Released(onward) => {
                request.extensions_mut().insert(onward);
                Failure {
                    error: Error::new(Kind::CapacityRefused).with_unsent(request),
                    inner: Some(inner.into()),
                }
            }
        }
    }
}

/// Why a request has no answer.
pub(crate) struct Failure<S> {
    pub(crate) error: Error,
    /// What would have sent it to a replica, where its revision does not hold it any more: the error has the request then.
    pub(crate) inner: Option<Box<S>>,
}

impl<S> From<Error> for Failure<S> {
    fn from(error: Error) -> Self {
        Self { error, inner: None }
    }
}

impl From<Error> for Unserved {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Takes from a request what it can do without while it waits: the room of its fields, and the copy of its [`Target`], which its
/// [`Visit`] has.
fn make_light(request: &mut Request<Body>) -> Packed {
    request.extensions_mut().remove::<Target>();
    Packed::take(request.headers_mut())
}

fn late() -> Unserved {
    Error::new(Kind::CapacityTimeout).with_detail(TIMEOUT_TEXT).into()
}

fn pointless(refusal: &Refusal) -> Error {
    Error::new(Kind::CapacityRefused)
        .with_detail(refusal.message.clone())
        .with_retry_after(refusal.retry_after)
}

/// What a client reads whose request waited too long (Knative `cmd/activator`, timeout handler).
const TIMEOUT_TEXT: &str = "activator request timeout";

impl fmt::Debug for ActivatorLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivatorLayer")
            .field("registry", &self.shared.registry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
