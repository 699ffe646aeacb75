//! Which configuration is measured: many hosts, each with a route to the one cluster and two header edits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Extensions, HeaderName, HeaderValue, StatusCode};
use tidegate_activator::reporter::Reporter;
use tidegate_activator::{ActivatorLayer, Pod, Registry, Revision, RevisionSettings, Timeline};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::route::{Domain, InvalidDomain, Matcher, PathMatch, Route, Split, VirtualHost};
use tidegate_queue_proxy::{QueueProxyLayer, Sidecar, Timeouts};
use tower::layer::util::Stack;

/// How many hosts the compared proxies know.
pub const HOSTS: usize = 1_000;
/// The number of the host that requests ask for: in the middle of the usual ones.
pub const ASKED: usize = HOSTS / 2;
/// The cluster that every host's route leads to.
pub const CLUSTER: &str = "backend";
/// The fields that every request gets on its way, as Knative's routes set them.
pub const EDITS: [(&str, &str); 2] = [
    ("knative-serving-namespace", "default"),
    ("knative-serving-revision", "hello-00001"),
];

/// What Envoy and we tell the backend besides, by the bootstrap of both: the time that a request may take. The
/// peers do the same work by setting it as they set [`EDITS`].
pub const EXPECTED_TIMEOUT: (&str, &str) = ("x-envoy-expected-rq-timeout-ms", "15000");

/// What peers that are told each field set: what our bootstrap makes Envoy and us add.
#[must_use]
pub fn set_by_peers() -> [(&'static str, &'static str); 3] {
    let [namespace, revision] = EDITS;
    [namespace, revision, EXPECTED_TIMEOUT]
}

/// The name of host `number`: `host-00042.default.svc.cluster.local`, the name of a revision that an activator understands too.
#[must_use]
pub fn host(number: usize) -> String {
    format!("host-{number:05}.default.svc.cluster.local")
}

/// A suffix domain: `*.tenant-00042.example.org`.
#[must_use]
pub fn suffix(number: usize) -> String {
    format!("*.tenant-{number:05}.example.org")
}

/// Virtual hosts that answer one of `domains` each and do what `route` says.
///
/// # Errors
/// When a domain is none.
pub fn virtual_hosts(
    domains: impl IntoIterator<Item = String>,
    route: impl Fn() -> Route,
) -> Result<Vec<VirtualHost>, InvalidDomain> {
    let host = |domain: String| {
        let domains = [Domain::parse(&domain)?];
        Ok(VirtualHost::new(domain, domains, [route()]))
    };
    domains.into_iter().map(host).collect()
}

/// A route that sends everything to `cluster`, with [`EDITS`].
#[must_use]
pub fn forward(cluster: &str) -> Route {
    let edit = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Route::forward(Split::single(cluster, EDITS.map(edit).into()))
}

/// A snapshot with `hosts` exact hosts whose requests go to `backend`.
///
/// # Errors
/// Never for the names that this module makes; the type says so rather than a panic.
pub fn snapshot(hosts: usize, backend: SocketAddr) -> Result<Snapshot, InvalidDomain> {
    let cluster = Cluster::new(ClusterSettings::new(CLUSTER));
    cluster.set_endpoints(vec![Arc::new(Endpoint::new(backend))]);
    let hosts = virtual_hosts((0..hosts).map(host), || forward(CLUSTER))?;
    Ok(Snapshot::new(hosts, [cluster]))
}

/// The path that the route of [`Activated`] answers by itself, without its revision.
pub const DIRECT_PATH: &str = "/direct";
/// How long a request may wait for a replica: longer than any measurement takes.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// A revision behind the activator, its replicas behind their sidecars: the chain of `tidegate up`.
#[derive(Clone, Debug)]
pub struct Activated {
    /// The revision; without pods at first.
    pub revision: Arc<Revision>,
    /// Where it is registered.
    pub registry: Arc<Registry>,
    /// The layer in front of its cluster.
    pub layer: ActivatorLayer,
    /// Its cluster, which has its name.
    pub cluster: Arc<Cluster>,
}

impl Activated {
    /// A revision whose replicas take this many requests at a time; 0 for any number.
    #[must_use]
    pub fn new(container_concurrency: u32) -> Self {
        let registry = Registry::new();
        let revision = Revision::new(RevisionSettings {
            namespace: "default".to_owned(),
            name: "hello-00001".to_owned(),
            service: "hello".to_owned(),
            configuration: "hello".to_owned(),
            container_concurrency,
            timeout: WAIT_MAX,
        });
        registry.insert(&revision);
        let reporter = Reporter::new(Arc::clone(&registry), "bench", |_: &Arc<Revision>, _| {});
        Self {
            layer: ActivatorLayer::new(Arc::clone(&registry), reporter, ()),
            cluster: Cluster::new(ClusterSettings::new(Arc::clone(revision.key()))),
            registry,
            revision,
        }
    }

    /// Makes exactly these replicas ready, each with a sidecar.
    pub fn ready(&self, replicas: impl IntoIterator<Item = SocketAddr>) {
        let now = Instant::now();
        let timeline = Timeline {
            launched: now,
            listening: now,
            ready: now,
        };
        let limit = self.revision.settings().container_concurrency;
        let timeouts = Timeouts {
            request: WAIT_MAX,
            response_start: None,
            idle: None,
        };
        let pod = |address| {
            let mut metadata = Extensions::new();
            metadata.insert(Arc::new(Sidecar::new(limit, timeouts)));
            let endpoint = Endpoint::new(address).with_metadata(metadata);
            Pod::new(Arc::new(endpoint), limit, timeline)
        };
        self.revision.set_pods(replicas.into_iter().map(pod).collect());
    }

    /// A snapshot with `hosts` exact hosts that lead to the revision, but for [`DIRECT_PATH`].
    ///
    /// # Errors
    /// As [`snapshot`].
    pub fn snapshot(&self, hosts: usize) -> Result<Snapshot, InvalidDomain> {
        let layers = Layers::new(Stack::new(QueueProxyLayer, self.layer.clone()));
        let activated = || Route {
            layers: Some(layers.clone()),
            ..forward(self.revision.key())
        };
        let mut hosts = virtual_hosts((0..hosts).map(host), activated)?;
        for host in &mut hosts {
            let routes = std::mem::take(&mut host.routes);
            host.routes = std::iter::once(Arc::new(direct())).chain(routes).collect();
        }
        Ok(Snapshot::new(hosts, [Arc::clone(&self.cluster)]))
    }
}

/// Answers [`DIRECT_PATH`] without an upstream.
fn direct() -> Route {
    Route {
        matcher: Matcher {
            path: PathMatch::prefix(DIRECT_PATH),
            ..Matcher::default()
        }
        .into(),
        ..Route::respond(StatusCode::OK, "direct\n")
    }
}
