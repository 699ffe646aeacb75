//! How is one activator driven? On a thread of its own, with requests that come in an even rhythm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use http::header::HOST;
use tidegate_activator::directory::{Directory, Entry};
use tidegate_activator::health::Health;
use tidegate_activator::reporter::Reporter;
use tidegate_activator::tracker::Ports;
use tidegate_activator::wire::{self, WireLayer};
use tidegate_activator::{Destinations, Registry, Revision, RevisionSettings, Tracker, limits};
use tidegate_knative::stat::Stat;
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::layers::timeout::Timeouts;
use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
use tidegate_proxy::{Body, Proxy};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tower::ServiceExt;

use super::{PHASES, Statuses};

const AUTHORITY: &str = "hello-00001.default.svc.cluster.local";

/// How requests come to pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Each activator has its pods, and requests wait in it.
    Sliced,
    /// All go to all pods in turn, and wait there.
    RoundRobin,
}

/// One activator, or what stands in its place.
pub(super) struct Driver {
    snapshot: Snapshot,
    tracker: Option<Tracker>,
}

impl Driver {
    pub(super) fn new(
        way: Way,
        pods: &[SocketAddr],
        (index, activators): (usize, usize),
        queue: usize,
    ) -> Self {
        match way {
            Way::Sliced => {
                let (snapshot, tracker) = activator(queue);
                tracker.update(&Destinations::Pods(pods.to_vec()));
                tracker.share(Some(index), activators);
                Self {
                    snapshot,
                    tracker: Some(tracker),
                }
            }
            Way::RoundRobin => Self {
                snapshot: round_robin(pods),
                tracker: None,
            },
        }
    }

    pub(super) fn revision(&self) -> Option<&Arc<Revision>> {
        self.tracker.as_ref().map(Tracker::revision)
    }

    /// The pods that are its own.
    pub(super) fn own(&self) -> impl Iterator<Item = SocketAddr> {
        let pods = self
            .revision()
            .map(|revision| revision.pods())
            .unwrap_or_default();
        let addresses: Vec<_> = pods
            .iter()
            .map(|pod| pod.endpoint().address().to_string())
            .collect();
        addresses.into_iter().filter_map(|address| address.parse().ok())
    }

    /// Sends requests through all phases, and waits for the last answer.
    pub(super) fn run(self, begin: Instant, phases: [(Duration, f64); 3]) -> anyhow::Result<Statuses> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (_drain, watch) = Drain::new();
            let proxy = Proxy::new(Handle::new(self.snapshot), watch);
            let (mut under_way, mut statuses) = (JoinSet::new(), Statuses::default());
            let mut next = begin;
            let mut end = begin;
            for (phase, (lasts, rate)) in phases.into_iter().enumerate() {
                end += lasts;
                while next < end {
                    sleep_until(next.into()).await;
                    under_way.spawn(send(proxy.clone(), phase));
                    next += Duration::from_secs_f64(1.0 / rate);
                    while let Some(ended) = under_way.try_join_next() {
                        count(&mut statuses, ended?);
                    }
                }
            }
            while let Some(ended) = under_way.join_next().await {
                count(&mut statuses, ended?);
            }
            Ok(statuses)
        })
    }
}

fn count(statuses: &mut Statuses, (phase, status): (usize, u16)) {
    debug_assert!(phase < PHASES.len(), "there are as many phases as names");
    if let Some(of_phase) = statuses.get_mut(phase) {
        *of_phase.entry(status).or_default() += 1;
    }
}

/// One request to the end of its response; status 0 where that broke off.
async fn send(proxy: Proxy, phase: usize) -> (usize, u16) {
    let mut request = Request::new(Body::empty());
    request
        .headers_mut()
        .insert(HOST, http::HeaderValue::from_static(AUTHORITY));
    let status = match proxy.oneshot(request).await {
        Ok(response) => response.status().as_u16(),
        Err(never) => match never {},
    };
    (phase, status)
}

fn activator(queue: usize) -> (Snapshot, Tracker) {
    let registry = Registry::new();
    let directory = Directory::new(Arc::clone(&registry));
    let settings = RevisionSettings {
        namespace: "default".to_owned(),
        name: "hello-00001".to_owned(),
        service: "hello".to_owned(),
        configuration: "hello".to_owned(),
        container_concurrency: 1,
        timeout: limits::WAIT_MAX,
    };
    let revision = Revision::with_queue(settings, queue);
    directory.insert(Entry {
        revision: Arc::clone(&revision),
        timeouts: Timeouts::from_seconds(300, 0, 0),
        cluster: wire::plain_cluster(),
        passthrough_host: None,
    });
    let reporter = Reporter::new(registry, "bench", |_: &Arc<Revision>, _: Stat| {});
    let layer = WireLayer::new(directory, reporter, Health::default(), "cluster.local", ());
    (
        wire::snapshot(Layers::new(layer)),
        Tracker::new(revision, Ports::Same),
    )
}

fn round_robin(pods: &[SocketAddr]) -> Snapshot {
    let cluster = Cluster::new(ClusterSettings::new("pods"));
    cluster.set_endpoints(pods.iter().map(|pod| Arc::new(Endpoint::new(*pod))).collect());
    let route = Route::forward(Split::single("pods", [].into()));
    Snapshot::new([VirtualHost::new("all", [Domain::Any], [route])], [cluster])
}
