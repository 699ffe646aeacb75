//! How does a test put a proxy with the activator in front of replicas?

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod wire;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tidegate_activator::{
    ActivatorLayer, Pod, Registry, Revision, RevisionSettings, Timeline,
    observe::{Observer, Unparked},
    receipt::Receipt,
    reporter::Reporter,
};
use tidegate_proxy::{
    Proxy,
    cluster::{Cluster, ClusterSettings, Endpoint},
    config::{Handle, Snapshot},
    drain::Drain,
    layers::Layers,
    listener::{Connections, Listener},
    normalize::edge::EdgePolicy,
    overload::Overload,
    process,
    route::{Domain, Route, Split, VirtualHost},
};
use tidegate_testkit::{audit, client, client::Answer, wait::eventually};
use tokio::task::JoinSet;

/// The host that everything is sent to.
pub(crate) const HOST: &str = "hello.default.example";

/// A proxy whose only route leads through the activator to one revision without pods. Dropping it cuts everything.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) registry: Arc<Registry>,
    pub(crate) revision: Arc<Revision>,
    pub(crate) events: Events,
    cluster: Arc<Cluster>,
    _drain: Drain,
}

impl Front {
    pub(crate) fn start(container_concurrency: u32) -> Self {
        let registry = Registry::new();
        Self::of(registry, Revision::new(settings(container_concurrency)))
    }

    pub(crate) fn of(registry: Arc<Registry>, revision: Arc<Revision>) -> Self {
        Self::bounded(registry, revision, &Overload::default())
    }

    /// As [`Front::of`], in a process with these bounds.
    pub(crate) fn bounded(registry: Arc<Registry>, revision: Arc<Revision>, overload: &Overload) -> Self {
        registry.insert(&revision);
        let events = Events::default();
        let reporter = Reporter::new(Arc::clone(&registry), "activator", |_: &Arc<Revision>, _| {});
        let layer = ActivatorLayer::new(Arc::clone(&registry), reporter, events.clone()).bounded(overload);
        let cluster = Cluster::new(ClusterSettings::new(Arc::clone(revision.key())));
        let forward = Route::forward(Split::single(&**revision.key(), [].into()));
        let route = Route {
            layers: Some(Layers::new(layer)),
            ..forward
        };
        let domains = vec![Domain::parse("*").unwrap()];
        let host = VirtualHost::new("all", domains, [route]);
        let config = Handle::new(Snapshot::new([host], [Arc::clone(&cluster)]));
        let (drain, watch) = Drain::new();
        let proxy = Proxy::new(config, watch.clone());
        audit_books(&proxy);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(
            any,
            NonZeroUsize::MIN,
            EdgePolicy::default(),
            Connections::default(),
        )
        .unwrap();
        let address = listener.address();
        for acceptor in listener.into_acceptors() {
            let serving = acceptor.serve(proxy.clone());
            process::spawn("acceptor", watch.unguarded(), async { serving.await.unwrap() });
        }
        Self {
            address,
            registry,
            revision,
            events,
            cluster,
            _drain: drain,
        }
    }

    /// Makes exactly these replicas ready.
    pub(crate) fn ready(&self, replicas: &[SocketAddr]) {
        let limit = self.revision.settings().container_concurrency;
        self.revision
            .set_pods(replicas.iter().map(|replica| pod(*replica, limit)).collect());
    }

    /// Gives the cluster itself an endpoint, for requests that pass the activator.
    pub(crate) fn bypass(&self, endpoint: SocketAddr) {
        self.cluster.set_endpoints(vec![Endpoint::new(endpoint).into()]);
    }

    /// Starts `count` requests that are still to be answered.
    pub(crate) fn get(&self, count: usize) -> JoinSet<Answer> {
        let address = self.address;
        (0..count)
            .map(|_| async move { client::get(address, HOST, "/").await })
            .collect()
    }

    /// Waits until exactly `count` requests are parked.
    pub(crate) async fn parked(&self, count: usize) {
        eventually(&format!("{count} parked requests"), async || {
            let counts = (self.registry.parked(), self.revision.parked());
            if counts == (count, count) {
                Ok(())
            } else {
                Err(format!("{counts:?}"))
            }
        })
        .await;
    }

    /// Waits until no replica has a request.
    pub(crate) async fn idle(&self) {
        eventually("no request in flight", async || {
            self.revision.pods().iter().all(|pod| pod.in_flight() == 0)
        })
        .await;
    }
}

/// However a test ends: when its tasks are gone, every request that was accepted is accounted for.
pub(crate) fn audit_books(proxy: &Proxy) {
    let ledger = proxy.ledger();
    audit::at_end_of_test("accepted = answered + aborted + failed", move || {
        let totals = ledger.totals();
        totals
            .is_at_rest()
            .then_some(())
            .ok_or_else(|| format!("{totals:?}"))
    });
}

pub(crate) fn settings(container_concurrency: u32) -> RevisionSettings {
    RevisionSettings {
        namespace: "default".to_owned(),
        name: "hello-00001".to_owned(),
        service: "hello".to_owned(),
        configuration: "hello".to_owned(),
        container_concurrency,
        timeout: Duration::from_secs(300),
    }
}

pub(crate) fn pod(address: SocketAddr, container_concurrency: u32) -> Arc<Pod> {
    let now = Instant::now();
    let timeline = Timeline {
        launched: now,
        listening: now,
        ready: now,
    };
    Pod::new(Endpoint::new(address).into(), container_concurrency, timeline)
}

/// What the observer saw, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<Event>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Parked,
    Unparked(Unparked),
    Answered(String),
}

impl Events {
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn push(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Observer for Events {
    fn parked(&self, _revision: &Arc<Revision>) {
        self.push(Event::Parked);
    }

    fn unparked(&self, _revision: &Arc<Revision>, outcome: Unparked, _waited: Duration) {
        self.push(Event::Unparked(outcome));
    }

    fn answered(&self, _revision: &Arc<Revision>, receipt: &Receipt) {
        self.push(Event::Answered(receipt.to_string()));
    }
}
