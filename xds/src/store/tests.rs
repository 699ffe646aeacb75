//! What is in force is what was last accepted, however it came.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::google::protobuf::Duration as Span;
use prost::Message;
use tidegate_proxy::cluster::Cluster;

use super::outside::{Chains, Opening, SocketId};
use super::view::State;
use super::*;
use crate::resource::Rejection;
use crate::translate::UnknownFields;

mod clusters;
mod listeners;
mod property;
mod renamed;
mod secrets;

/// A world that takes notes.
#[derive(Default)]
struct World {
    next: u64,
    /// The addresses that are taken, and how often each was served since.
    sockets: BTreeMap<SocketId, (String, usize)>,
    /// The route tables of the chains that a socket was last served with, and whether they speak TLS.
    served: BTreeMap<SocketId, Vec<(String, bool)>>,
    /// What cannot be bound.
    forbidden: Vec<String>,
    /// The clusters that it was told of since this was last looked at, and how many endpoints each has, where it is there.
    told: BTreeMap<String, Option<usize>>,
}

impl Outside for World {
    fn watch(&mut self, _cluster: &Arc<Cluster>) {}

    fn clusters_changed(&mut self, names: &[Arc<str>], find: &dyn Fn(&str) -> Option<Arc<Cluster>>) {
        let told = names.iter().map(|name| {
            let endpoints = find(name).map(|cluster| cluster.endpoints().len());
            (name.to_string(), endpoints)
        });
        self.told.extend(told);
    }

    fn clusters_published(&mut self) {}

    fn open(&mut self, opening: &Opening<'_>) -> Result<SocketId, String> {
        let address = opening.address.to_string();
        if self.forbidden.contains(&address) {
            return Err("Cannot assign requested address".to_owned());
        }
        self.next += 1;
        let id = SocketId(self.next);
        self.sockets.insert(id, (address, 0));
        Ok(id)
    }

    fn serve(&mut self, socket: SocketId, chains: &Chains) -> Result<(), String> {
        self.sockets.get_mut(&socket).expect("it is open").1 += 1;
        let chains = chains.chains.iter().chain(&chains.default);
        let told = chains.map(|chain| (chain.http.route_table.to_string(), chain.tls.is_some()));
        self.served.insert(socket, told.collect());
        Ok(())
    }

    fn close(&mut self, socket: SocketId) {
        self.sockets.remove(&socket).expect("it is open");
        self.served.remove(&socket);
    }
}

/// A store and its clock.
struct Rig {
    store: Store<World>,
    config: Handle,
    now: Now,
}

impl Rig {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: Settings) -> Self {
        let now = Now {
            at: Instant::now(),
            wall: SystemTime::UNIX_EPOCH,
        };
        let config = Handle::default();
        Self {
            store: Store::new(settings, World::default(), config.clone(), now),
            config,
            now,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.at += time;
        self.store.tick(self.now);
    }

    fn apply(&mut self, update: &Update) -> Answer {
        self.store.apply(update, self.now)
    }

    #[track_caller]
    fn accepts(&mut self, update: &Update) {
        assert_eq!(self.apply(update), Answer::Now(Verdict::Accepted));
    }

    #[track_caller]
    fn refuses(&mut self, update: &Update) -> Rejection {
        match self.apply(update) {
            Answer::Now(Verdict::Rejected(rejection)) => rejection,
            other => panic!("it is not refused: {other:?}"),
        }
    }

    fn cluster(&self, name: &str) -> Option<Arc<Cluster>> {
        self.config.load().cluster(name).cloned()
    }

    fn states(&self, kind: Kind) -> Vec<(String, State)> {
        let view = self.store.view().load();
        let entries = view.resources.get(&kind).into_iter().flatten();
        entries
            .map(|entry| (entry.raw.name.to_string(), entry.state))
            .collect()
    }
}

fn settings() -> Settings {
    Settings {
        context: Context {
            internal_listeners: Vec::new(),
            unknown_fields: UnknownFields::Ignored,
            ..Context::default()
        },
        fetched: Fetched {
            clusters: Some(Some(TIMEOUT)),
            listeners: Some(Some(TIMEOUT)),
        },
        runtime_layers: BTreeSet::new(),
        drain_time: Duration::from_secs(10),
        empty: Empty::Deletes,
    }
}

const TIMEOUT: Duration = Duration::from_secs(15);

/// A whole state.
fn state(kind: Kind, version: &str, resources: Vec<(&str, Vec<u8>)>) -> Update {
    let resources = resources
        .into_iter()
        .map(|(name, body)| Raw::new(name, version, body.into()));
    Update {
        kind,
        version: version.into(),
        resources: resources.collect(),
        gone: if kind.is_wildcard() {
            crate::resource::Gone::Rest
        } else {
            crate::resource::Gone::Named(Vec::new())
        },
    }
}

fn lb_endpoints(ports: &[u16]) -> Vec<endpoint::LocalityLbEndpoints> {
    let endpoints = ports.iter().map(|port| endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
            endpoint::Endpoint {
                address: Some(core::Address {
                    address: Some(core::address::Address::SocketAddress(core::SocketAddress {
                        address: "127.0.0.1".to_owned(),
                        port_specifier: Some(core::socket_address::PortSpecifier::PortValue((*port).into())),
                        ..Default::default()
                    })),
                }),
                ..Default::default()
            },
        )),
        ..Default::default()
    });
    vec![endpoint::LocalityLbEndpoints {
        lb_endpoints: endpoints.collect(),
        ..Default::default()
    }]
}

fn assignment(name: &str, ports: &[u16]) -> Vec<u8> {
    endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: lb_endpoints(ports),
        ..Default::default()
    }
    .encode_to_vec()
}

/// A cluster that waits this long for connections, with these endpoints.
fn static_cluster(name: &str, connect_s: i64, ports: &[u16]) -> Vec<u8> {
    cluster::Cluster {
        name: name.to_owned(),
        connect_timeout: Some(Span {
            seconds: connect_s,
            nanos: 0,
        }),
        load_assignment: Some(endpoint::ClusterLoadAssignment {
            cluster_name: name.to_owned(),
            endpoints: lb_endpoints(ports),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn eds_cluster(name: &str, connect_s: i64) -> Vec<u8> {
    cluster::Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(
            cluster::cluster::DiscoveryType::Eds as i32,
        )),
        eds_cluster_config: Some(cluster::cluster::EdsClusterConfig {
            eds_config: Some(core::ConfigSource {
                config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
                    core::AggregatedConfigSource::default(),
                )),
                ..Default::default()
            }),
            ..Default::default()
        }),
        connect_timeout: Some(Span {
            seconds: connect_s,
            nanos: 0,
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

/// One that is decoded and cannot be used.
fn bad_cluster(name: &str) -> Vec<u8> {
    cluster::Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(
            cluster::cluster::DiscoveryType::Eds as i32,
        )),
        ..Default::default()
    }
    .encode_to_vec()
}
