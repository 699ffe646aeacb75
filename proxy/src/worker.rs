//! What one worker owns, and the proxy as the tower service that it serves connections with.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tower::Service;

use crate::body::Body;
use crate::config::Handle;
use crate::connection::h1::date::DateClock;
use crate::connection::{Patience, Peer};
use crate::drain::Watch;
use crate::error::{BoxError, Error};
use crate::layers::Stacks;
use crate::observe::Observation;
use crate::observe::ledger::Ledger;
use crate::observe::metrics::ProxyMetrics;
use crate::pool::Pool;
use crate::request::{self, Arrival, Prepared};
use crate::respond::{self, Dialect};

/// What the requests of one worker share and no other worker touches.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) config: Handle,
    pub(crate) pool: Pool,
    pub(crate) stacks: Stacks,
    pub(crate) metrics: Arc<ProxyMetrics>,
    pub(crate) drain: Watch,
    pub(crate) date: DateClock,
    /// How many copies of requests are under way.
    pub(crate) mirrors: Arc<AtomicUsize>,
}

/// The data plane of one worker. Clones share its pools.
///
/// It is a [`tower::Service`] with `Send` futures, so it runs in anybody's runtime and under anybody's layers;
/// [`Acceptor::serve`](crate::listener::Acceptor::serve) drives it without the box that this seam needs.
#[derive(Clone, Debug)]
pub struct Proxy {
    worker: Arc<Worker>,
    peer: Arc<Peer>,
}

impl Proxy {
    /// A proxy that follows the snapshots of `config` and lets go when `drain` says so.
    ///
    /// Make one per worker thread. Metrics go to the recorder that is installed at this moment.
    #[must_use]
    pub fn new(config: Handle, drain: Watch) -> Self {
        let metrics = ProxyMetrics::new(drain.clone(), config.overload().clone());
        let worker = Worker {
            config,
            pool: Pool::new(drain.clone()),
            stacks: Stacks::default(),
            metrics: Arc::new(metrics),
            drain,
            date: DateClock::default(),
            mirrors: Arc::default(),
        };
        Self {
            worker: Arc::new(worker),
            peer: Arc::new(Peer::unknown()),
        }
    }

    /// The proxy as one connection's requests see it.
    #[must_use]
    pub(crate) fn for_peer(&self, peer: Peer) -> Self {
        Self {
            worker: Arc::clone(&self.worker),
            peer: Arc::new(peer),
        }
    }

    /// The books of this worker, which its clones share: what became of every request that it took up.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.worker.metrics.ledger().clone()
    }

    /// Answers one request; never fails, an error becomes a response.
    pub(crate) fn handle<'a>(
        &'a self,
        patience: &'a Patience,
        request: Box<Request<Body>>,
    ) -> impl Future<Output = Response<Body>> + Send + 'a {
        request::handle(&self.worker, &self.peer, patience, request)
    }

    /// Takes a request up, for whoever answers it in steps of his own.
    pub(crate) fn receive(&self, request: Box<Request<Body>>) -> (Arrival<'_>, Prepared) {
        Arrival::of(&self.worker, &self.peer, request)
    }

    /// Turns a request away that is not worth looking at, and accounts for it.
    pub(crate) fn refuse(&self, error: &Error, dialect: Dialect) -> Response<Body> {
        tracing::debug!(reason = error.kind().name(), %error, "request refused");
        let http = self.peer.http();
        let mut response = respond::from_error(error, dialect, http);
        respond::sign(&mut response, http);
        Observation::refused(&self.worker.metrics, &self.peer, error, response)
    }

    /// Whose requests these are.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The same, to be kept.
    pub(crate) fn shared_peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// The drain of the connection that its requests come by: its listener's, or the process's where there is none.
    pub(crate) fn drain(&self) -> &Watch {
        self.peer.drain().unwrap_or(&self.worker.drain)
    }

    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }
}

impl<B> Service<Request<B>> for Proxy
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move {
            // Whoever calls it has the connection, and the clock.
            let patience = Patience::new(None);
            Ok(proxy.handle(&patience, Box::new(request.map(Body::new))).await)
        })
    }
}
