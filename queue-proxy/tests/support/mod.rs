//! How does a test put a sidecar before its replica?

#![expect(clippy::expect_used, reason = "a test fails where its stage cannot be set")]

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Request};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
use tidegate_proxy::upstream::Target;
use tidegate_proxy::{Body, Proxy, process};
use tidegate_queue_proxy::{QueueProxyLayer, Sidecar, Timeouts};
use tidegate_testkit::audit;
use tower::layer::util::Stack;
use tower::{Layer, Service};

pub(crate) const HOST: &str = "app.example";
const CLUSTER: &str = "default/app-00001";

/// No timeout that a test lives to see.
pub(crate) const PATIENT: Timeouts = Timeouts {
    request: Duration::from_secs(60),
    response_start: None,
    idle: None,
};

/// A proxy with one route to one replica. Dropping it cuts everything.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    _drain: Drain,
}

impl Front {
    /// Sends everything to the replica at `address`, under `sidecar` where there is one.
    pub(crate) fn to(address: SocketAddr, sidecar: Option<Arc<Sidecar>>) -> Self {
        let mut metadata = Extensions::new();
        if let Some(sidecar) = sidecar {
            metadata.insert(sidecar);
        }
        let assign = Assign {
            endpoint: Arc::new(Endpoint::new(address).with_metadata(metadata)),
        };
        let route = Route {
            layers: Some(Layers::new(Stack::new(QueueProxyLayer, assign))),
            ..Route::forward(Split::single(CLUSTER, [].into()))
        };
        let host = VirtualHost::new(HOST, [Domain::parse("*").expect("a domain")], [route]);
        let cluster = Cluster::new(ClusterSettings::new(CLUSTER));
        Self::serve(Handle::new(Snapshot::new([host], [cluster])))
    }

    fn serve(config: Handle) -> Self {
        let (drain, watch) = Drain::new();
        let proxy = Proxy::new(config, watch.clone());
        audit_books(&proxy);
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(
            any_port,
            NonZeroUsize::MIN,
            EdgePolicy::default(),
            Connections::default(),
        )
        .expect("a free port");
        let address = listener.address();
        for acceptor in listener.into_acceptors() {
            let serving = acceptor.serve(proxy.clone());
            process::spawn("acceptor", watch.unguarded(), async {
                serving.await.expect("the socket fits this runtime");
            });
        }
        Self {
            address,
            _drain: drain,
        }
    }
}

/// However a test ends: when its tasks are gone, every request that was accepted is accounted for.
fn audit_books(proxy: &Proxy) {
    let ledger = proxy.ledger();
    audit::at_end_of_test("accepted = answered + aborted + failed", move || {
        let totals = ledger.totals();
        totals
            .is_at_rest()
            .then_some(())
            .ok_or_else(|| format!("{totals:?}"))
    });
}

/// Stands for the activator: gives every request to one replica.
#[derive(Clone, Debug)]
struct Assign {
    endpoint: Arc<Endpoint>,
}

#[derive(Clone, Debug)]
struct Assigned<S> {
    endpoint: Arc<Endpoint>,
    inner: S,
}

impl<S> Layer<S> for Assign {
    type Service = Assigned<S>;

    fn layer(&self, inner: S) -> Assigned<S> {
        Assigned {
            endpoint: Arc::clone(&self.endpoint),
            inner,
        }
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Assigned<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        let target = request
            .extensions_mut()
            .get_mut::<Target>()
            .expect("a request of a route has a target");
        target.endpoint = Some(Arc::clone(&self.endpoint));
        self.inner.call(request)
    }
}
