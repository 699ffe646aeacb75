//! Our proxy and Envoy with the same routes, in front of the same upstream.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use tidegate_proxy::Proxy;
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::{Drain, Watch};
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::normalize::path::{DotSegments, PathPolicy};
use tidegate_proxy::process;
use tidegate_proxy::route::{Domain, Route, RouteTable, TableSettings, VirtualHost};
use tidegate_testkit::body;
use tidegate_testkit::client::Client;
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::envoy::bootstrap::{self, Variant};
use tidegate_testkit::wait::eventually_within;
use tidegate_xds::encode::{Edge, Encoder, Endpoints, ListenerSettings};
use tidegate_xds::resource::Kind;
use tidegate_xds::server::{Resources, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fields;
use super::generate::{Ask, CLUSTERS};

/// How long Envoy may take to be as it was told.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host that says which world is served.
const PROBE: &str = "which.world";

/// What came back: status, fields, body.
pub(crate) type Seen = (u16, Vec<(String, String)>, String);

pub(crate) struct Pair {
    ours: Front,
    theirs: Front,
    config: Handle,
    clusters: Vec<Arc<Cluster>>,
    encoder: Encoder,
    publish: watch::Sender<Arc<Resources>>,
    _envoy: Envoy,
    _drain: Drain,
    _serving: JoinSet<()>,
}

impl Pair {
    pub(crate) async fn start(envoy: &Path, upstream: SocketAddr) -> Self {
        let (drain, watch) = Drain::new();
        let config = Handle::new(Snapshot::default());
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let ours = serve(address, &config, &watch);
        let endpoints = vec![Arc::new(Endpoint::new(upstream))];
        let encoder = Encoder::default();
        let (mut clusters, mut encoded) = (Vec::new(), Vec::new());
        for name in CLUSTERS {
            let cluster = Cluster::new(ClusterSettings::new(name));
            cluster.set_endpoints(endpoints.clone());
            let inline = Endpoints::Inline(&endpoints);
            encoded.push(
                encoder
                    .cluster(cluster.settings(), inline)
                    .expect("it is expressed"),
            );
            clusters.push(cluster);
        }
        let listener = encoder.listener(&ListenerSettings {
            name: "front".into(),
            address,
            routes: "routes".into(),
            upgrades: Vec::new(),
            edge: Edge::Internal,
        });
        let resources = Resources::default()
            .with(Kind::Cluster, encoded)
            .with(Kind::Listener, [listener]);
        let (publish, receive) = watch::channel(Arc::new(resources));
        let control_plane = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = control_plane.local_addr().expect("it is bound");
        let mut serving = JoinSet::new();
        serving.spawn(async move { Server::new(receive).serve(control_plane, watch).await });
        let mut pair = Self {
            ours: Front::at(ours).await,
            theirs: Front::at(ours).await,
            config,
            clusters,
            encoder,
            publish,
            _envoy: Envoy::start(envoy, &bootstrap::xds(at, Variant::Delta, "test")).await,
            _drain: drain,
            _serving: serving,
        };
        pair.publish(&TableSettings::default(), Vec::new(), usize::MAX)
            .await;
        pair._envoy.live().await;
        pair.theirs = Front::at(pair._envoy.listener("front").await).await;
        pair
    }

    /// Gives both these routes, and waits until Envoy has them.
    pub(crate) async fn publish(
        &mut self,
        settings: &TableSettings,
        mut hosts: Vec<Arc<VirtualHost>>,
        world: usize,
    ) {
        let domain = Domain::parse(PROBE).expect("it is one");
        let status = 200 + u16::try_from(world % 90).expect("it is small");
        let probe = Route::respond(StatusCode::from_u16(status).expect("it is one"), "");
        hosts.insert(0, VirtualHost::new("probe", [domain], [probe]).into());
        let routes = self
            .encoder
            .routes("routes", settings, hosts.iter().map(AsRef::as_ref));
        let routes = routes.expect("it is expressed");
        self.publish
            .send_modify(|now| *now = Arc::new(now.with(Kind::Routes, [routes])));
        let table = RouteTable::new(settings.clone(), hosts);
        self.config.publish(Snapshot::with_tables(
            [("".into(), table)],
            self.clusters.iter().cloned(),
        ));
        if world == usize::MAX {
            return;
        }
        eventually_within("Envoy to have the routes", PATIENCE, async || {
            let answer = self.theirs.client().await.get(PROBE, "/").await;
            (answer.status.as_u16() == status)
                .then_some(())
                .ok_or(format!("{answer:?}"))
        })
        .await;
    }

    /// What each of the two answers.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> (Seen, Seen) {
        (seen(&mut self.ours, ask).await, seen(&mut self.theirs, ask).await)
    }
}

/// One of the two, and a connection to it.
struct Front {
    address: SocketAddr,
    client: Client,
}

impl Front {
    async fn at(address: SocketAddr) -> Self {
        Self {
            address,
            client: Client::http1(address).await,
        }
    }

    /// The connection, or another where it was closed behind the last response.
    async fn client(&mut self) -> &mut Client {
        if self.client.ready().await.is_err() {
            self.client = Client::http1(self.address).await;
        }
        &mut self.client
    }
}

async fn seen(front: &mut Front, ask: &Ask) -> Seen {
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(format!("http://any{}", ask.path));
    request = request.header("host", ask.host);
    for value in ask.fields {
        request = request.header("x-h", *value);
    }
    let body = if ask.body.is_empty() {
        body::empty()
    } else {
        body::full(ask.body)
    };
    let answer = front
        .client()
        .await
        .call(request.body(body).expect("it is a request"))
        .await;
    let status = answer.status.as_u16();
    if matches!(status, 404 | 503) {
        // No route of these tests gives one: it is the proxy's own, and says why in words of its own.
        return (status, Vec::new(), String::new());
    }
    (status, fields(&answer.headers), answer.text())
}

/// Serves here what `config` says, and says where.
fn serve(address: SocketAddr, config: &Handle, watch: &Watch) -> SocketAddr {
    let listener = Listener::bind(
        address,
        NonZeroUsize::MIN,
        EdgePolicy::default(),
        Connections::default(),
    );
    let path = PathPolicy {
        dots: DotSegments::Keep,
        ..PathPolicy::default()
    };
    let http = HttpSettings {
        path,
        ..HttpSettings::default()
    };
    let listener = listener.expect("a free port").speaking(http);
    let ours = listener.address();
    for acceptor in listener.into_acceptors() {
        let serving = acceptor.serve(Proxy::new(config.clone(), watch.clone()));
        process::spawn("acceptor", watch.unguarded(), async {
            serving.await.expect("it fits the runtime");
        });
    }
    ours
}
