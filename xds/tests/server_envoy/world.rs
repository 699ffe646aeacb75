//! What does a test of our server with Envoy stand on? Upstreams, a world that changes, our server, and Envoy behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::{
    ApiConfigSource, ApiVersion, ConfigSource, GrpcService, api_config_source::ApiType,
    config_source::ConfigSourceSpecifier,
};
use http::StatusCode;
use serde_json::Value;
use tidegate_proxy::cluster::{ClusterSettings, Endpoint};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::route::{Domain, PortMatching, Route, Split, TableSettings, VirtualHost};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::envoy::bootstrap::{self, CONTROL_PLANE, Variant};
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually_within;
use tidegate_xds::encode::{Edge, Encoder, Endpoints, ListenerSettings};
use tidegate_xds::resource::Kind;
use tidegate_xds::server::{Resource, Resources, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long Envoy may take to be as it was told.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What Envoy is to be told, in a form that a test can change and compare.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// The upstreams of each cluster, by number.
    pub(crate) clusters: BTreeMap<String, BTreeSet<usize>>,
    /// The clusters whose endpoints come apart.
    pub(crate) apart: BTreeSet<String>,
    /// The cluster of each host.
    pub(crate) hosts: BTreeMap<String, String>,
}

impl World {
    pub(crate) fn cluster(&mut self, name: &str, upstream: usize) {
        self.clusters.insert(name.to_owned(), BTreeSet::from([upstream]));
    }

    pub(crate) fn host(&mut self, name: &str, cluster: &str) {
        self.hosts.insert(name.to_owned(), cluster.to_owned());
    }

    pub(crate) fn resources(&self, encoder: &Encoder, upstreams: &[Upstream]) -> Resources {
        let mut resources = Resources::default();
        let (mut clusters, mut apart) = (Vec::new(), Vec::new());
        for (name, numbers) in &self.clusters {
            let at = |number: &usize| Arc::new(Endpoint::new(upstreams[*number].address()));
            let endpoints: Vec<_> = numbers.iter().map(at).collect();
            let settings = ClusterSettings::new(name.as_str());
            let inline = Endpoints::Inline(&endpoints);
            if self.apart.contains(name) {
                clusters.push(
                    encoder
                        .cluster(&settings, Endpoints::Apart)
                        .expect("it is expressed"),
                );
                apart.push(encoder.endpoints(name, &endpoints).expect("it is expressed"));
            } else {
                clusters.push(encoder.cluster(&settings, inline).expect("it is expressed"));
            }
        }
        let hosts: Vec<_> = self
            .hosts
            .iter()
            .map(|(name, cluster)| virtual_host(name, cluster))
            .collect();
        let ports = PortMatching::Ignored;
        let settings = TableSettings {
            ports,
            ..TableSettings::default()
        };
        let routes = encoder
            .routes("routes", &settings, &hosts)
            .expect("it is expressed");
        let listener = encoder.listener(&ListenerSettings {
            name: "front".into(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            routes: "routes".into(),
            upgrades: Vec::new(),
            edge: Edge::Internal,
        });
        resources = resources
            .with(Kind::Cluster, clusters)
            .with(Kind::Endpoints, apart);
        resources
            .with(Kind::Routes, [routes])
            .with(Kind::Listener, [listener])
    }
}

fn virtual_host(name: &str, cluster: &str) -> VirtualHost {
    let domain = Domain::parse(name).expect("it is one");
    VirtualHost::new(
        name,
        [domain],
        [Route::forward(Split::single(cluster, [].into()))],
    )
}

/// Envoy, driven by our server.
pub(crate) struct Driven {
    pub(crate) world: World,
    pub(crate) envoy: Envoy,
    pub(crate) server: Arc<Server>,
    pub(crate) publish: watch::Sender<Arc<Resources>>,
    pub(crate) upstreams: Vec<Upstream>,
    encoder: Encoder,
    address: SocketAddr,
    serving: Option<(Drain, JoinSet<()>)>,
}

impl Driven {
    /// Envoy with this world, once it is live. Upstream number N answers `N`.
    pub(crate) async fn start(envoy: &Path, variant: Variant, world: World) -> Self {
        let mut upstreams = Vec::new();
        for text in ["0", "1", "2"] {
            upstreams.push(Upstream::fixed(StatusCode::OK, text).await);
        }
        let encoder = Encoder::with_source(source(variant));
        let resources = world.resources(&encoder, &upstreams);
        let (publish, receive) = watch::channel(Arc::new(resources));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = Server::new(receive);
        let serving = Some(serve(&server, listener));
        let envoy = Envoy::start(envoy, &bootstrap::xds(address, variant, "test")).await;
        envoy.live().await;
        Self {
            world,
            envoy,
            server,
            publish,
            upstreams,
            encoder,
            address,
            serving,
        }
    }

    /// Publishes the world as it is, with `more`.
    pub(crate) fn publish_with(&self, more: impl FnOnce(Resources) -> Resources) {
        let resources = more(self.world.resources(&self.encoder, &self.upstreams));
        self.publish.send_replace(Arc::new(resources));
    }

    pub(crate) fn publish(&self) {
        self.publish_with(|resources| resources);
    }

    /// A cluster that is encoded as the world's are.
    pub(crate) fn encoded(&self, cluster: &str) -> Resource {
        let settings = ClusterSettings::new(cluster);
        self.encoder
            .cluster(&settings, Endpoints::Inline(&[]))
            .expect("it is expressed")
    }

    /// Ends the server with its connections, and starts another in its place.
    pub(crate) async fn restart(&mut self) {
        if let Some((drain, mut serving)) = self.serving.take() {
            drain.start();
            drain.finish(Duration::from_secs(5)).await;
            serving.shutdown().await;
        }
        self.server = Server::new(self.publish.subscribe());
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the port is free again");
        self.serving = Some(serve(&self.server, listener));
    }

    /// How many resources of a kind were sent to all streams that are open.
    pub(crate) fn sent(&self, kind: Kind) -> u64 {
        let clients = self.server.clients();
        clients
            .iter()
            .filter_map(|client| client.kinds.get(&kind))
            .map(|status| status.sent)
            .sum()
    }

    /// Waits until Envoy's configuration is the world.
    pub(crate) async fn settled(&self) {
        let expected = Picture::of(&self.world, &self.upstreams);
        eventually_within("Envoy to have the world", PATIENCE, async || {
            let dump = self.envoy.get("/config_dump?include_eds").await.text();
            let dump: Value = serde_json::from_str(&dump).map_err(|error| error.to_string())?;
            let seen = Picture::dumped(&dump);
            if seen == expected {
                Ok(())
            } else {
                Err(format!("{seen:#?}\ninstead of\n{expected:#?}"))
            }
        })
        .await;
    }
}

fn serve(server: &Arc<Server>, listener: TcpListener) -> (Drain, JoinSet<()>) {
    let (drain, watch) = Drain::new();
    let (server, mut serving) = (Arc::clone(server), JoinSet::new());
    serving.spawn(async move { server.serve(listener, watch).await });
    (drain, serving)
}

/// Where resources say that others come from.
fn source(variant: Variant) -> ConfigSource {
    let api_type = match variant {
        Variant::Sotw | Variant::Delta => return ConfigSource::clone(&ads()),
        Variant::PerKind => ApiType::Grpc,
        Variant::DeltaPerKind => ApiType::DeltaGrpc,
    };
    let grpc = EnvoyGrpc {
        cluster_name: CONTROL_PLANE.to_owned(),
        ..EnvoyGrpc::default()
    };
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(ApiConfigSource {
            api_type: api_type.into(),
            transport_api_version: ApiVersion::V3.into(),
            set_node_on_first_message_only: true,
            grpc_services: vec![GrpcService {
                target_specifier: Some(TargetSpecifier::EnvoyGrpc(grpc)),
                ..GrpcService::default()
            }],
            ..ApiConfigSource::default()
        })),
        ..ConfigSource::default()
    }
}

fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(Default::default())),
        ..ConfigSource::default()
    }
}

/// What is compared: the ports of each cluster's endpoints, and the cluster of each host.
#[derive(Debug, Default, PartialEq, Eq)]
struct Picture {
    clusters: BTreeMap<String, BTreeSet<u64>>,
    hosts: BTreeMap<String, String>,
}

impl Picture {
    fn of(world: &World, upstreams: &[Upstream]) -> Self {
        let clusters = world.clusters.iter().map(|(name, numbers)| {
            let ports = numbers
                .iter()
                .map(|number| u64::from(upstreams[*number].address().port()));
            (name.clone(), ports.collect())
        });
        Self {
            clusters: clusters.collect(),
            hosts: world.hosts.clone(),
        }
    }

    fn dumped(dump: &Value) -> Self {
        let mut picture = Self::default();
        let assignments: BTreeMap<_, _> = list(dump, "dynamic_endpoint_configs")
            .map(|config| {
                (
                    text(&config["endpoint_config"]["cluster_name"]),
                    &config["endpoint_config"],
                )
            })
            .collect();
        for cluster in list(dump, "dynamic_active_clusters") {
            let cluster = &cluster["cluster"];
            let name = text(&cluster["name"]);
            let inline = cluster.get("load_assignment");
            let assignment = inline.or_else(|| assignments.get(&name).copied());
            picture
                .clusters
                .insert(name, assignment.map(ports).unwrap_or_default());
        }
        for routes in list(dump, "dynamic_route_configs") {
            let hosts = routes["route_config"]["virtual_hosts"].as_array();
            for host in hosts.into_iter().flatten() {
                let cluster = &host["routes"][0]["route"]["weighted_clusters"]["clusters"][0]["name"];
                picture.hosts.insert(text(&host["name"]), text(cluster));
            }
        }
        picture
    }
}

fn list<'a>(dump: &'a Value, name: &'a str) -> impl Iterator<Item = &'a Value> {
    let configs = dump["configs"].as_array().into_iter().flatten();
    configs
        .filter_map(move |config| config.get(name)?.as_array())
        .flatten()
}

fn ports(assignment: &Value) -> BTreeSet<u64> {
    let localities = assignment["endpoints"].as_array().into_iter().flatten();
    let endpoints = localities
        .filter_map(|locality| locality["lb_endpoints"].as_array())
        .flatten();
    endpoints
        .filter_map(|endpoint| endpoint["endpoint"]["address"]["socket_address"]["port_value"].as_u64())
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
