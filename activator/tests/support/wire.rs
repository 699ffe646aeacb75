//! How does a test put the program's request path in front of pods?

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use http::HeaderValue;
use tidegate_activator::{
    Destinations, Registry, Revision, Tracker,
    certificates::Certificates,
    directory::{Directory, Entry},
    health::Health,
    limits,
    reporter::Reporter,
    tracker::Ports,
    wire::{self, WireLayer},
};
use tidegate_proxy::{
    Proxy,
    config::Handle,
    drain::Drain,
    layers::{Layers, timeout::Timeouts},
    listener::{Connections, Listener},
    normalize::edge::EdgePolicy,
    process,
};
use tidegate_testkit::{client, client::Answer, wait::eventually};
use tokio::task::JoinSet;

/// By which the kubelet is known.
pub(crate) const KUBELET: (&str, &str) = ("user-agent", "kube-probe/1.30");

/// The program's request path with the one revision `default/hello-00001`. Dropping it cuts everything.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) directory: Arc<Directory>,
    pub(crate) health: Health,
    pub(crate) tracker: Tracker,
    _drain: Drain,
}

/// Any number of requests to each pod, in the clear, for five minutes.
fn entry() -> Entry {
    Entry {
        revision: Revision::new(super::settings(0)),
        timeouts: Timeouts::from_seconds(300, 0, 0),
        cluster: wire::plain_cluster(),
        passthrough_host: None,
    }
}

impl Front {
    pub(crate) fn start(container_concurrency: u32) -> Self {
        Self::with_queue(container_concurrency, limits::PARKED_PER_REVISION_MAX)
    }

    pub(crate) fn with_queue(container_concurrency: u32, parked_max: usize) -> Self {
        Self::of(Entry {
            revision: Revision::with_queue(super::settings(container_concurrency), parked_max),
            ..entry()
        })
    }

    pub(crate) fn within(container_concurrency: u32, request: Duration) -> Self {
        let timeouts = Timeouts {
            request,
            ..entry().timeouts
        };
        Self::of(Entry {
            revision: Revision::new(super::settings(container_concurrency)),
            timeouts,
            ..entry()
        })
    }

    pub(crate) fn passing_through() -> Self {
        let host = HeaderValue::from_static("hello-00001-private.default");
        Self::of(Entry {
            passthrough_host: Some(host),
            ..entry()
        })
    }

    pub(crate) fn over_tls(certificates: &Certificates) -> Self {
        Self::of(Entry {
            cluster: certificates.cluster("default"),
            ..entry()
        })
    }

    fn of(entry: Entry) -> Self {
        let registry = Registry::new();
        let directory = Directory::new(Arc::clone(&registry));
        let revision = Arc::clone(&entry.revision);
        directory.insert(entry);
        let reporter = Reporter::new(registry, "activator", |_: &Arc<Revision>, _| {});
        let health = Health::default();
        let layer = WireLayer::new(
            Arc::clone(&directory),
            reporter,
            health.clone(),
            "cluster.local",
            (),
        );
        let (drain, watch) = Drain::new();
        let proxy = Proxy::new(Handle::new(wire::snapshot(Layers::new(layer))), watch.clone());
        super::audit_books(&proxy);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let edge = EdgePolicy::default();
        let listener = Listener::bind(any, NonZeroUsize::MIN, edge, Connections::default()).unwrap();
        let listener = listener.speaking(wire::http_settings());
        let address = listener.address();
        for acceptor in listener.into_acceptors() {
            let serving = acceptor.serve(proxy.clone());
            process::spawn("acceptor", watch.unguarded(), async { serving.await.unwrap() });
        }
        Self {
            address,
            directory,
            health,
            tracker: Tracker::new(revision, Ports::Same),
            _drain: drain,
        }
    }

    /// Makes exactly these pods ready.
    pub(crate) fn ready(&self, pods: &[SocketAddr]) {
        self.tracker.update(&Destinations::Pods(pods.to_vec()));
    }

    /// Starts `count` requests that are still to be answered.
    pub(crate) fn get(&self, count: usize) -> JoinSet<Answer> {
        let address = self.address;
        let host = "hello-00001.default.svc.cluster.local";
        (0..count)
            .map(|_| async move { client::get(address, host, "/").await })
            .collect()
    }

    /// Waits until exactly `count` requests are parked.
    pub(crate) async fn parked(&self, count: usize) {
        eventually(&format!("{count} parked requests"), async || {
            self.tracker.revision().parked() == count
        })
        .await;
    }

    /// Waits until no pod has a request.
    pub(crate) async fn idle(&self) {
        eventually("no request in flight", async || {
            self.tracker
                .revision()
                .pods()
                .iter()
                .all(|pod| pod.in_flight() == 0)
        })
        .await;
    }
}
