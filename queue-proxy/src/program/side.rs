//! What does the sidecar answer on the ports that are not for requests of its application?

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tidegate_proxy::drain::Watch;
use tidegate_proxy::error::BoxError;
use tidegate_proxy::observe::instruments::Instruments;
use tidegate_proxy::{Body, process};
use tokio::time::sleep;
use tower::{Layer, Service};

use crate::drainer::Drainer;
use crate::limits::TERMINATION_NOTICE;
use crate::stats::Page;
use crate::wire::words;

/// A port, and what answers there; the layer of its route, behind which is nothing.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// `/wait-for-drain`: containers of the pod ask here before they end.
    Admin(Admin),
    /// `/metrics`: the autoscaler asks for the load.
    Stats(Page),
    /// `/metrics`: Prometheus asks for all numbers.
    Metrics(Arc<Instruments>),
    /// `/debug/pprof/`: somebody wants a profile, where that is enabled; there are none of Go's.
    Profiles,
}

/// Waits for the drain with whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    drainer: Arc<Drainer>,
    is_terminating: Arc<AtomicBool>,
    drain: Watch,
}

impl Admin {
    /// Drains by `drainer`.
    #[must_use]
    pub(super) fn new(drainer: Arc<Drainer>, drain: Watch) -> Self {
        Self {
            drainer,
            is_terminating: Arc::default(),
            drain,
        }
    }

    /// The pod is to end: from now on no drain is reset.
    pub(super) fn terminate(&self) {
        self.is_terminating.store(true, Ordering::Release);
    }

    /// A container is to end. Whether the pod is too is known a second later; if it is not, the container is started anew, and
    /// the drain is reset.
    async fn wait_for_drain(self) -> Response<Body> {
        let (drainer, is_terminating) = (Arc::clone(&self.drainer), Arc::clone(&self.is_terminating));
        process::spawn("restart", self.drain.unguarded(), async move {
            sleep(TERMINATION_NOTICE).await;
            if !is_terminating.load(Ordering::Acquire) {
                drainer.reset();
            }
        });
        self.drainer.drain().await;
        words::status(StatusCode::OK)
    }
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
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            Ok(match (this, request.uri().path()) {
                (Self::Admin(admin), "/wait-for-drain") => admin.wait_for_drain().await,
                (Self::Stats(page), "/metrics") => page.response(),
                (Self::Metrics(instruments), "/metrics") => words::text(StatusCode::OK, instruments.text()),
                (Self::Profiles, path) if path.starts_with("/debug/pprof/") => {
                    words::error(StatusCode::NOT_IMPLEMENTED, "there are no profiles of Go's here")
                }
                _ => words::error(StatusCode::NOT_FOUND, "404 page not found"),
            })
        })
    }
}
