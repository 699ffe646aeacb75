//! How foreign tower layers come between a route and its upstream.
//!
//! ```
//! use http::{HeaderValue, Request, Response};
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::error::BoxError;
//! use tidegate_proxy::layers::Layers;
//! use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
//! use tidegate_proxy::upstream::Upstream;
//! use tidegate_proxy::{Body, Proxy};
//! use tower::layer::layer_fn;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_http::set_header::SetResponseHeaderLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One of tower-http's layers, and one of our own that answers in the place of the upstream.
//! let stack = ServiceBuilder::new()
//!     .layer(SetResponseHeaderLayer::appending(http::header::VIA, HeaderValue::from_static("1.1 edge")))
//!     .layer(layer_fn(|_upstream: Upstream| {
//!         service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::from("from a layer"))) })
//!     }));
//! let mut route = Route::forward(Split::single("app", [].into()));
//! route.layers = Some(Layers::new(stack));
//! let host = VirtualHost::new("all", [Domain::Any], [route]);
//! let app = Cluster::new(ClusterSettings::new("app"));
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::new([host], [app])), watch);
//!
//! let response = proxy.oneshot(Request::get("http://a.example/").body(Body::empty())?).await?;
//! assert_eq!(response.headers()["via"], "1.1 edge");
//! # Ok(()) }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::{Request, Response};
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt};

use crate::body::Body;
use crate::error::BoxError;
use crate::upstream::Upstream;

pub mod timeout;

/// A stack of layers, closed over its upstream. Cloned for each request: that, the boxed future and the
/// boxed body are what a foreign layer costs.
pub(crate) type Stack = BoxCloneService<Request<Body>, Response<Body>, BoxError>;

/// Foreign layers of a route as one erased stack.
///
/// The stack is built once for each worker, when its first request comes, and lives as long as this value
/// or a clone of it: a config producer that keeps its `Layers` keeps the state in them over snapshots.
#[derive(Clone)]
pub struct Layers {
    recipe: Arc<Recipe>,
}

struct Recipe {
    id: u64,
    build: Box<dyn Fn(Upstream) -> Stack + Send + Sync>,
}

impl Layers {
    /// Erases `layer`, which may itself be a stack (`tower::ServiceBuilder`).
    ///
    /// The innermost service is [`Upstream`]. While a request passes, its extensions hold a
    /// [`Target`](crate::upstream::Target); an error is answered by its
    /// [`Kind`](crate::error::Kind) if it is an [`Error`](crate::error::Error), else by 500.
    pub fn new<L, B>(layer: L) -> Self
    where
        L: Layer<Upstream> + Send + Sync + 'static,
        L::Service:
            Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let build = move |upstream| {
            let service = layer.layer(upstream);
            BoxCloneService::new(
                service
                    .map_response(|response| response.map(Body::new))
                    .map_err(Into::into),
            )
        };
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            recipe: Arc::new(Recipe {
                id,
                build: Box::new(build),
            }),
        }
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("id", &self.recipe.id)
            .finish_non_exhaustive()
    }
}

/// The stacks that one worker has built.
#[derive(Default)]
pub(crate) struct Stacks {
    // Locked by requests of one worker only, so never contended there; never held over an await.
    built: Mutex<HashMap<u64, (Weak<Recipe>, Stack)>>,
}

impl Stacks {
    /// The worker's stack of `layers`, built by `upstream` when it is not there yet.
    pub(crate) fn get(&self, layers: &Layers, upstream: impl FnOnce() -> Upstream) -> Stack {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, stack)) = built.get(&layers.recipe.id) {
            return stack.clone();
        }
        // Rare: something new in the config. What no config holds any more goes now.
        built.retain(|_, (recipe, _)| recipe.strong_count() > 0);
        let stack = (layers.recipe.build)(upstream());
        built.insert(layers.recipe.id, (Arc::downgrade(&layers.recipe), stack.clone()));
        stack
    }
}

impl fmt::Debug for Stacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks").finish_non_exhaustive()
    }
}
