//! How does a test put a proxy in front of its upstreams?

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_proxy::Proxy;
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint, Protocol, TransportSettings};
use tidegate_proxy::config::http::{Http1Settings, Http10, HttpSettings};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::{Drain, Outcome, Watch};
use tidegate_proxy::layers::Layers;
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::observe::ledger::{Ledger, Totals};
use tidegate_proxy::process::{self, Workers};
use tidegate_proxy::route::{Domain, ForwardPolicy, Route, Split, VirtualHost};
use tidegate_testkit::audit;
use tidegate_testkit::wait::{eventually, soon};

pub(crate) mod edge;
pub(crate) mod interop;
pub(crate) mod pair;

/// The host that [`Front::to`] serves.
pub(crate) const HOST: &str = "app.example";
/// The only cluster of most tests.
pub(crate) const CLUSTER: &str = "app";
/// Long enough for whatever has to finish, short enough to fail a test.
pub(crate) const GRACE: Duration = Duration::from_secs(8);

/// The books of every worker of a proxy. However a test ends: when its tasks are gone, they are closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    ledgers: Arc<Mutex<Vec<Ledger>>>,
}

impl Books {
    /// Books that are looked at when the test is over.
    pub(crate) fn audited() -> Self {
        let books = Self::default();
        let audited = books.clone();
        audit::at_end_of_test("accepted = answered + aborted + failed", move || audited.closed());
        books
    }

    /// Adds those of one worker.
    pub(crate) fn add(&self, proxy: &Proxy) {
        self.ledgers.lock().expect("no panic so far").push(proxy.ledger());
    }

    pub(crate) fn totals(&self) -> Totals {
        let ledgers = self.ledgers.lock().expect("no panic so far");
        ledgers.iter().map(Ledger::totals).sum()
    }

    /// Whether everything that was accepted has ended and is accounted for.
    pub(crate) fn closed(&self) -> Result<(), String> {
        let totals = self.totals();
        if totals.is_at_rest() {
            Ok(())
        } else {
            Err(format!("{totals:?}"))
        }
    }
}

/// A running proxy. Dropping it cuts everything.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) config: Handle,
    pub(crate) watch: Watch,
    pub(crate) drain: Drain,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) books: Books,
}

impl Front {
    /// One worker in the test's own runtime, which serves `snapshot`.
    pub(crate) fn start(snapshot: Snapshot) -> Self {
        Self::start_at_most(snapshot, Connections::default())
    }

    /// [`Front::start`] with a cap on connections.
    pub(crate) fn start_at_most(snapshot: Snapshot, connections: Connections) -> Self {
        Self::following(Handle::new(snapshot), listen(NonZeroUsize::MIN, connections))
    }

    /// Everything goes to `upstream`, over HTTP/1.1; clients are spoken to as `http` says.
    pub(crate) fn speaking(http: HttpSettings, upstream: SocketAddr) -> Self {
        let listener = listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
        let snapshot = everything_to(&cluster(Protocol::Http1, &[upstream]), None);
        Self::following(Handle::new(snapshot), listener)
    }

    /// [`Front::start`] behind a listener of the test's own making.
    pub(crate) fn behind(listener: Listener, snapshot: Snapshot) -> Self {
        Self::following(Handle::new(snapshot), listener)
    }

    /// One worker in the test's own runtime, which serves what `listener` accepts.
    pub(crate) fn following(config: Handle, listener: Listener) -> Self {
        let (drain, watch) = Drain::new();
        let (proxy, books) = (Proxy::new(config.clone(), watch.clone()), Books::audited());
        books.add(&proxy);
        let address = listener.address();
        for acceptor in listener.into_acceptors() {
            let serving = acceptor.serve(proxy.clone());
            process::spawn("acceptor", watch.unguarded(), async {
                serving.await.expect("the socket fits this runtime");
            });
        }
        Self {
            address,
            config,
            watch,
            drain,
            proxy: Some(proxy),
            books,
        }
    }

    /// Threads of their own, as programs run it.
    pub(crate) fn on_workers(snapshot: Snapshot, workers: usize) -> (Self, Workers) {
        let workers = NonZeroUsize::new(workers).expect("at least one worker");
        let (config, (drain, watch)) = (Handle::new(snapshot), Drain::new());
        let listener = listen(workers, Connections::default());
        let address = listener.address();
        let acceptors = Arc::new(Mutex::new(listener.into_acceptors().collect::<Vec<_>>()));
        let (followed, stop, books) = (config.clone(), watch.clone(), Books::audited());
        let kept = books.clone();
        let workers = Workers::start(workers, move |_index| {
            let acceptor = acceptors.lock().expect("no panic so far").pop();
            let acceptor = acceptor.expect("an acceptor for each worker");
            let (proxy, stop) = (Proxy::new(followed.clone(), stop.clone()), stop.clone());
            kept.add(&proxy);
            async move {
                acceptor.serve(proxy).await.expect("the socket fits this runtime");
                stop.forced().await;
            }
        });
        let front = Self {
            address,
            config,
            watch,
            drain,
            proxy: None,
            books,
        };
        (front, workers.expect("threads"))
    }

    /// Everything goes to `upstream`, over HTTP/1.1.
    pub(crate) fn to(upstream: SocketAddr) -> Self {
        Self::start(everything_to(&cluster(Protocol::Http1, &[upstream]), None))
    }

    /// Everything goes to `upstream`, over HTTP/2.
    pub(crate) fn to_http2(upstream: SocketAddr) -> Self {
        Self::start(everything_to(&cluster(Protocol::Http2, &[upstream]), None))
    }

    /// Everything goes through `layers` to `upstream`, over HTTP/1.1.
    pub(crate) fn through(layers: Layers, upstream: SocketAddr) -> Self {
        Self::start(everything_to(
            &cluster(Protocol::Http1, &[upstream]),
            Some(layers),
        ))
    }

    /// Waits until every request that was accepted is accounted for.
    pub(crate) async fn at_rest(&self) {
        eventually("closed books", async || self.books.closed()).await;
    }

    /// Drains to the end, at most for `grace`; then everything is accounted for.
    pub(crate) async fn finish(self, grace: Duration) -> Outcome {
        let outcome = soon("the end of the drain", self.drain.finish(grace)).await;
        eventually("closed books after the drain", async || self.books.closed()).await;
        outcome
    }
}

/// A listener on a free loopback port.
pub(crate) fn listen(workers: NonZeroUsize, connections: Connections) -> Listener {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Listener::bind(address, workers, EdgePolicy::default(), connections).expect("a free port")
}

/// The cluster [`CLUSTER`] with these endpoints.
pub(crate) fn cluster(protocol: Protocol, endpoints: &[SocketAddr]) -> Arc<Cluster> {
    let transport = TransportSettings {
        protocol,
        ..TransportSettings::default()
    };
    over(transport, endpoints)
}

/// The cluster [`CLUSTER`] with these endpoints, connected to like this.
pub(crate) fn over(transport: TransportSettings, endpoints: &[SocketAddr]) -> Arc<Cluster> {
    let settings = ClusterSettings {
        transport: transport.into(),
        ..ClusterSettings::new(CLUSTER)
    };
    with_endpoints(settings, endpoints)
}

/// A cluster with these endpoints.
pub(crate) fn with_endpoints(settings: ClusterSettings, endpoints: &[SocketAddr]) -> Arc<Cluster> {
    let cluster = Cluster::new(settings);
    let endpoints = endpoints.iter().map(|address| Arc::new(Endpoint::new(*address)));
    cluster.set_endpoints(endpoints.collect());
    cluster
}

/// The default settings, and HTTP/1.0.
pub(crate) fn http_10() -> HttpSettings {
    HttpSettings {
        http1: Http1Settings {
            http_10: Http10::Accepted,
        },
        ..HttpSettings::default()
    }
}

/// A route for every path to [`CLUSTER`].
pub(crate) fn route(layers: Option<Layers>) -> Arc<Route> {
    Arc::new(Route {
        layers,
        ..Route::forward(Split::single(CLUSTER, [].into()))
    })
}

/// A virtual host for `domain`.
pub(crate) fn host(domain: &str, routes: Vec<Arc<Route>>) -> VirtualHost {
    VirtualHost::new(domain, [Domain::parse(domain).expect("a domain")], routes)
}

/// Every host and path goes to `cluster`.
pub(crate) fn everything_to(cluster: &Arc<Cluster>, layers: Option<Layers>) -> Snapshot {
    Snapshot::new([host("*", vec![route(layers)])], [Arc::clone(cluster)])
}

/// Every host and path goes to `cluster` by a route with this policy.
pub(crate) fn by_policy(cluster: &Arc<Cluster>, policy: ForwardPolicy) -> Snapshot {
    let route = Route {
        policy: Some(Arc::new(policy)),
        ..Route::forward(Split::single(CLUSTER, [].into()))
    };
    Snapshot::new([host("*", vec![Arc::new(route)])], [Arc::clone(cluster)])
}
