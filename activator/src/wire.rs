//! The life of one request in the program, top to bottom: what Knative's activator does, in its order and its words.
//!
//! Probes are answered first. Everything else is a request of a revision, whose timers run from here on, so that they
//! count a cold start too; it is given a pod, at once or after a wait, edited, and sent there.

mod edit;
pub mod inline;
mod probes;
mod revision_of;
pub mod seen;
mod settings;
pub(crate) mod words;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tidegate_proxy::{
    Body, Error,
    cluster::{Address, Endpoint},
    error::{BoxError, Kind},
    layers::timeout::Timers,
    upstream::Target,
};
use tower::{Layer, Service};

use seen::{Passage, Seeing, Seen};
pub use settings::{http_settings, plain_cluster, snapshot, snapshot_beside, transport};

use crate::{
    directory::{Directory, Entry},
    health::Health,
    middleware::{Middleware, MiddlewareService, ResponseFuture},
    observe::Observer,
    reporter::Reporter,
    request::{Shared, Visit},
};

/// Puts Knative's activator in front of the upstream of every request. Clones share their state.
#[derive(Clone)]
pub struct WireLayer {
    parts: Arc<Parts>,
}

struct Parts {
    directory: Arc<Directory>,
    shared: Arc<Shared>,
    health: Health,
    cluster_domain: Box<str>,
    seeing: Arc<Seeing>,
}

impl WireLayer {
    /// Sends requests to the revisions in `directory`; `cluster_domain` is how Hosts end that name one.
    #[must_use]
    pub fn new(
        directory: Arc<Directory>,
        reporter: Arc<Reporter>,
        health: Health,
        cluster_domain: &str,
        observer: impl Observer + 'static,
    ) -> Self {
        let shared = Shared {
            registry: Arc::clone(directory.registry()),
            reporter,
            observer: Arc::new(observer),
            parked: None,
        };
        Self {
            parts: Arc::new(Parts {
                directory,
                shared: Arc::new(shared),
                health,
                cluster_domain: cluster_domain.into(),
                seeing: Arc::default(),
            }),
        }
    }

    /// The same, which tells of requests as `seeing` says.
    #[must_use]
    pub fn seen_by(self, seeing: Arc<Seeing>) -> Self {
        let parts = &self.parts;
        Self {
            parts: Arc::new(Parts {
                directory: Arc::clone(&parts.directory),
                shared: Arc::clone(&parts.shared),
                health: parts.health.clone(),
                cluster_domain: parts.cluster_domain.clone(),
                seeing,
            }),
        }
    }
}

impl<S> Layer<S> for WireLayer {
    type Service = MiddlewareService<Self, S>;

    fn layer(&self, inner: S) -> MiddlewareService<Self, S> {
        MiddlewareService::new(self.clone(), inner)
    }
}

impl<S> Middleware<S> for WireLayer
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + 'static,
{
    fn handle(&self, inner: &S, mut request: Request<Body>) -> ResponseFuture {
        let parts = &self.parts;
        if let Some(response) = probes::answer(request.headers_mut(), &parts.health) {
            return answered(response);
        }
        let Some(mut target) = request.extensions().get::<Target>().cloned() else {
            return Box::pin(async { Err(Error::new(Kind::LayerFailed).into()) });
        };
        let (namespace, name) = revision_of::names(request.headers(), &parts.cluster_domain);
        let Some(entry) = parts.directory.get(namespace, name) else {
            let response = words::unknown_revision(name);
            let seen = parts.seeing.begin(&mut request, &target, None);
            return answered(match seen {
                Some(seen) => seen.finish(response),
                None => response,
            });
        };
        let seen = parts.seeing.begin(&mut request, &target, Some(&entry.revision));
        target.cluster = Arc::clone(&entry.cluster);
        let timers = Timers::wire(&entry.timeouts, target.received, words::TIMEOUT);
        let client = target.client.address;
        let visit = Visit::of(&parts.shared, Arc::clone(&entry.revision), target);
        let headers = request.headers_mut();
        edit::request(headers, client, entry.passthrough_host.as_ref());
        let addressed = Addressed {
            entry,
            inner: inner.clone(),
            passage: seen.as_ref().and_then(|seen| seen.writer().passage()),
        };
        let answer = async move {
            let answer = async {
                visit
                    .run(addressed, request)
                    .await
                    .map_err(|failure| failure.error)
            };
            match timers.until_start(answer).await {
                Ok(response) => Ok(timers.finish(response)),
                Err(error) => words::of(error),
            }
        };
        match seen {
            None => Box::pin(answer),
            Some(seen) => Box::pin(tell(seen, answer)),
        }
    }
}

/// Tells of the request once it is over.
async fn tell(
    seen: Seen,
    answer: impl Future<Output = Result<Response<Body>, BoxError>>,
) -> Result<Response<Body>, BoxError> {
    match answer.await {
        Ok(response) => Ok(seen.finish(response)),
        Err(error) => {
            let error = Error::from_boxed(error);
            seen.fail(&error);
            Err(error.into())
        }
    }
}

fn answered(response: Response<Body>) -> ResponseFuture {
    Box::pin(async { Ok(response) })
}

/// Sends a request to the pod that it was given, in that pod's name.
struct Addressed<S> {
    entry: Arc<Entry>,
    inner: S,
    /// Where somebody is told of the request.
    passage: Option<Arc<Passage>>,
}

impl<S> Service<Request<Body>> for Addressed<S>
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
        if let Some(pod) = pod.as_ref().filter(|_| self.entry.passthrough_host.is_none()) {
            edit::name_pod(request.headers_mut(), pod.address());
        }
        if let Some(passage) = &self.passage {
            passage.proceed();
        }
        let is_encrypted = |pod: &Arc<Endpoint>| self.entry.cluster.transport_settings(pod).tls.is_some();
        Asking {
            is_tls: pod.as_ref().is_some_and(is_encrypted),
            answer: self.inner.call(request),
            pod,
            since: self.passage.clone().map(|passage| (passage, Instant::now())),
        }
    }
}

pin_project! {
    /// What a pod answers; where it does not, the error says which pod that was.
    struct Asking<F> {
        #[pin]
        answer: F,
        pod: Option<Arc<Endpoint>>,
        since: Option<(Arc<Passage>, Instant)>,
        is_tls: bool,
    }
}

impl<F, E> Future for Asking<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let pod = this.pod;
        let answer = ready!(this.answer.poll(cx));
        if let (Some((passage, since)), Some(pod)) = (this.since.take(), pod.as_ref()) {
            let status = answer.as_ref().ok().map(|response| response.status().as_u16());
            count(&passage, (pod, *this.is_tls), since.elapsed(), status);
        }
        Poll::Ready(answer.map_err(|error| {
            let error = Error::from_boxed(error.into());
            match pod {
                Some(pod) => words::about(error, pod.address()).into(),
                None => error.into(),
            }
        }))
    }
}

fn count(passage: &Passage, (pod, is_tls): (&Endpoint, bool), took: Duration, status: Option<u16>) {
    if let (Some(counted), Address::Tcp(address)) = (passage.counted(), pod.address()) {
        counted.asked((&address.ip().to_string(), address.port(), is_tls), took, status);
    }
}

impl fmt::Debug for WireLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireLayer")
            .field("directory", &self.parts.directory)
            .field("health", &self.parts.health)
            .finish_non_exhaustive()
    }
}
