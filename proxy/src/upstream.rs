//! The innermost service of a route: sends a request to where it was found to go.
//!
//! ```
//! use http::{Request, Response};
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::error::BoxError;
//! use tidegate_proxy::layers::Layers;
//! use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
//! use tidegate_proxy::upstream::{Target, Upstream};
//! use tidegate_proxy::{Body, Proxy};
//! use tower::layer::layer_fn;
//! use tower::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A layer sees where its request goes. It may choose the endpoint, or, as this one, not send it at all.
//! let tell = Layers::new(layer_fn(|_upstream: Upstream| {
//!     service_fn(|request: Request<Body>| async move {
//!         let target = request.extensions().get::<Target>().ok_or("a layer outside took it")?;
//!         let mut response = Response::new(Body::empty());
//!         response.headers_mut().insert("x-cluster", target.cluster.name().parse()?);
//!         Ok::<_, BoxError>(response)
//!     })
//! }));
//! let mut route = Route::forward(Split::single("app", [].into()));
//! route.layers = Some(tell);
//! let host = VirtualHost::new("all", [Domain::Any], [route]);
//! let app = Cluster::new(ClusterSettings::new("app"));
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::new([host], [app])), watch);
//!
//! let response = proxy.oneshot(Request::get("http://a.example/").body(Body::empty())?).await?;
//! assert_eq!(response.headers()["x-cluster"], "app");
//! # Ok(()) }
//! ```

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, Uri};
use tower::{Service, ServiceExt};

use crate::attempt::{self, Errand};
use crate::body::Body;
use crate::cluster::{Cluster, Endpoint};
use crate::error::{BoxError, Error, Kind};
use crate::route::Route;
use crate::worker::{Proxy, Worker};

/// Where a request goes; in its extensions while it passes the layers of its route.
#[derive(Clone, Debug)]
pub struct Target {
    /// The route that it matched.
    pub route: Arc<Route>,
    /// The cluster that the route's split chose.
    pub cluster: Arc<Cluster>,
    /// The endpoint, once a layer has chosen one; otherwise the cluster's balancer does.
    pub endpoint: Option<Arc<Endpoint>>,
    /// What its route's hash policy made of it; ring hash and maglev go by it.
    pub hash: Option<u64>,
    /// When its head was complete.
    pub received: Instant,
    /// How long a layer has let it wait; its route's timeout counts that, too.
    pub waited: Duration,
    /// Who sent it.
    pub client: Client,
}

/// Who has the connection that a request came by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The address: its own, or the one that a PROXY header gave. None for a unix socket, and for a request that did not come
    /// by a listener.
    pub address: Option<SocketAddr>,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
}

/// When a tunnel is cut at the latest; a layer may put it into the extensions of a 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelEnd(pub Instant);

/// What an exchange took; in the extensions of a response that [`Upstream`] returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Until a connection was ready to take the request: next to nothing for a pooled one.
    pub connect: Duration,
    /// From then to the head of the response.
    pub first_byte: Duration,
}

/// What became of a route's retry policy; in the extensions of a response if there was a retry or could be no further one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// How many tries followed the first.
    pub retries: u32,
    /// Whether the last one would have been followed by another, had the policy allowed one more (Envoy's flag `URX`).
    pub limit_reached: bool,
}

/// Sends requests to their [`Target`]; the innermost service of a stack of [`Layers`](crate::layers::Layers).
///
/// Always ready. Boxes its future: only routes with foreign layers come through here. Takes any body, as a layer may
/// have wrapped it; a [`Body`] costs nothing more.
#[derive(Clone, Debug)]
pub struct Upstream {
    // The worker owns the stacks that own this: a strong reference would be a cycle.
    worker: Weak<Worker>,
    place: Place,
}

/// Where an [`Upstream`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Inside of a route's layers: the cluster may have some too.
    BeforeClusters,
    /// Inside of everything.
    Innermost,
}

/// Sends requests to one cluster outside of any route: what a process asks for itself, such as its own configuration.
///
/// Always ready; boxes its future. Nothing bounds how long a request takes but what the cluster says of its connections.
/// A request without a `Host` is for the authority of its URI. An exchange under way does not hold the drain of `proxy` open.
///
/// ```
/// use http::{Request, StatusCode};
/// use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
/// use tidegate_proxy::upstream::Direct;
/// use tidegate_proxy::config::{Handle, Snapshot};
/// use tidegate_proxy::drain::Drain;
/// use tidegate_proxy::{Body, Proxy};
/// use tidegate_testkit::upstream::Upstream;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tidegate_proxy::Error> {
/// let there = Upstream::fixed(StatusCode::OK, "hello").await;
/// let cluster = Cluster::new(ClusterSettings::new("there"));
/// cluster.set_endpoints(vec![Endpoint::new(there.address()).into()]);
/// let (_drain, watch) = Drain::new();
/// let proxy = Proxy::new(Handle::new(Snapshot::default()), watch);
/// let request = Request::get("http://any.example/").body(Body::empty()).expect("it is one");
/// let response = Direct::new(&proxy, cluster).oneshot(request).await?;
/// assert_eq!(response.status(), StatusCode::OK);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Direct {
    worker: Arc<Worker>,
    cluster: Arc<Cluster>,
}

impl Direct {
    /// Sends to `cluster` over the pooled connections of `proxy`.
    #[must_use]
    pub fn new(proxy: &Proxy, cluster: Arc<Cluster>) -> Self {
        Self {
            worker: Arc::clone(proxy.worker()),
            cluster,
        }
    }
}

impl<B> Service<Request<B>> for Direct
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        name_host(&mut request);
        let Self { worker, cluster } = self.clone();
        Box::pin(async move {
            let errand = Errand {
                cluster: &cluster,
                endpoint: None,
                policy: None,
                hash: None,
                received: None,
                waited: Duration::ZERO,
            };
            let (response, _) = attempt::run(&worker, errand, &mut request).await?;
            Ok(response)
        })
    }
}

/// Says in `Host` what the URI says, which is where requests that came from a client have it.
fn name_host(request: &mut Request<Body>) {
    if request.headers().contains_key(HOST) {
        return;
    }
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let host = authority.and_then(|authority| HeaderValue::from_str(authority).ok());
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
}

impl Upstream {
    /// What is inside of a route's layers.
    pub(crate) fn before_clusters(worker: &Arc<Worker>) -> Self {
        Self {
            worker: Arc::downgrade(worker),
            place: Place::BeforeClusters,
        }
    }

    /// What is inside of a cluster's layers.
    pub(crate) fn innermost(worker: &Arc<Worker>) -> Self {
        Self {
            worker: Arc::downgrade(worker),
            place: Place::Innermost,
        }
    }
}

impl<B> Service<Request<B>> for Upstream
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        let worker = self.worker.upgrade();
        let target = request.extensions().get::<Target>();
        if let (Place::BeforeClusters, Some(target), Some(worker)) = (self.place, target, &worker)
            && let Some(layers) = &target.cluster.settings().layers
        {
            let stack = worker.stacks.get(layers, || Self::innermost(worker));
            return Box::pin(stack.oneshot(request));
        }
        let target = request.extensions_mut().remove::<Target>();
        Box::pin(async move {
            let (Some(target), Some(worker)) = (target, worker) else {
                let gone = "a layer removed the request's Target, or outlived the proxy";
                return Err(Error::new(Kind::LayerFailed).with_source(gone).into());
            };
            let errand = Errand {
                cluster: &target.cluster,
                endpoint: target.endpoint.clone(),
                policy: target.route.policy.as_deref(),
                hash: target.hash,
                received: Some(target.received),
                waited: target.waited,
            };
            match attempt::run(&worker, errand, &mut request).await {
                Ok((mut response, timing)) => {
                    response.extensions_mut().insert(timing);
                    Ok(response)
                }
                Err(mut error) => {
                    // A layer may choose another endpoint and send it again.
                    if let Some(request) = error.unsent_mut() {
                        request.extensions_mut().insert(target);
                    }
                    Err(error.into())
                }
            }
        })
    }
}
