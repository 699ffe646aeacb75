//! What does the program answer on the ports that are not for requests of revisions?

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use tidegate_proxy::{Body, error::BoxError, observe::instruments::Instruments};
use tower::{Layer, Service};

use crate::wire::words;

/// A port, and what answers there; the layer of its route, behind which is nothing.
#[derive(Debug, Clone)]
pub(super) enum Side {
    /// `/metrics`: Prometheus asks for all numbers.
    Metrics(Arc<Instruments>),
    /// Whoever wants a profile learns whether he may ask; there are none of Go's.
    Profiles(Arc<AtomicBool>),
}

impl<S> Layer<S> for Side {
    type Service = Self;

    fn layer(&self, _nothing: S) -> Self {
        self.clone()
    }
}

impl Service<Request<Body>> for Side {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        ready(Ok(match self {
            Self::Metrics(instruments) if path == "/metrics" => {
                words::text(StatusCode::OK, instruments.text())
            }
            Self::Profiles(is_profiled)
                if is_profiled.load(Ordering::Relaxed) && path.starts_with("/debug/pprof/") =>
            {
                words::error(StatusCode::NOT_IMPLEMENTED, "there are no profiles of Go's here")
            }
            Self::Metrics(_) | Self::Profiles(_) => words::error(StatusCode::NOT_FOUND, "404 page not found"),
        }))
    }
}
