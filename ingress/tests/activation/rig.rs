//! How does a test run an ingress that holds requests for a revision, before a control plane that says where the pods are?

#![allow(
    deprecated,
    reason = "control planes still send fields that newer ones of Envoy replace"
)]

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, UInt32Value, Value};
use http::{Response, StatusCode};
use prost::Message;
use serde_json::json;
use tidegate_testkit::body::Body;
use tidegate_testkit::client::{Answer, get};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::{CLUSTER, ENDPOINTS, Item};
use tidegate_testkit::kourier::Service;
use tidegate_testkit::program::{Program, Start};
use tidegate_testkit::upstream::{Upstream, answer};
use tidegate_testkit::wait::eventually;
use tokio::task::JoinSet;

use crate::support::{Gateway, Ports, bootstrap, edit, items};

/// The revision's cluster, and that of its pods.
pub(crate) const NAME: &str = "default/service-00001-00001";
pub(crate) const PODS: &str = "default/service-00001-00001-private";
const PEERS: &str = "tidegate/ingress-peers";

/// An ingress, its control plane, and what that says. Changes are pushed by [`Rig::push`].
pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    pub(crate) control_plane: ControlPlane,
    /// The standalone activator: the endpoint that the revision's cluster has itself.
    pub(crate) standalone: Upstream,
    /// What the cluster says of the revision; nothing where it is `null`.
    pub(crate) said: serde_json::Value,
    /// Where the pods are, and whether each is ready.
    pub(crate) pods: Vec<(SocketAddr, bool)>,
    /// Whether they are spoken to by HTTP/2.
    pub(crate) speak_http2: bool,
    /// Whether there is a cluster of pods.
    pub(crate) lists_pods: bool,
    /// What it is called.
    pub(crate) pods_name: &'static str,
    /// The ingresses that share revisions; no cluster of them where there is none.
    pub(crate) peers: Vec<&'static str>,
    pub(crate) service: Service,
    /// How many requests the circuit breaker of the revision's cluster allows, where that is not Envoy's default.
    pub(crate) requests_max: Option<u32>,
}

impl Rig {
    /// No pods yet, any number of requests for each.
    pub(crate) async fn start() -> Self {
        Self::start_with(|start| start, &[]).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(Start) -> Start, flags: &[&str]) -> Self {
        let standalone = Upstream::fixed(StatusCode::OK, "standalone").await;
        let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
        let start = change(Program::new(env!("CARGO_BIN_EXE_tidegate-ingress")));
        let gateway = Gateway::of(start, &bootstrap(control_plane.address()), ports, flags);
        let (namespace, revision) = NAME.split_once('/').expect("it has both");
        let rig = Self {
            gateway,
            control_plane,
            service: Service::numbered(1, vec![standalone.address()]),
            standalone,
            said: json!({"namespace": namespace, "revision": revision, "pods": PODS}),
            pods: Vec::new(),
            speak_http2: false,
            lists_pods: true,
            pods_name: PODS,
            peers: Vec::new(),
            requests_max: None,
        };
        rig.push();
        eventually("an active revision", async || {
            let is_live = rig.gateway.asks("/ready").await.text() == "LIVE\n";
            is_live && rig.lines("active").await == ["true"]
        })
        .await;
        rig
    }

    /// Pushes all that there is; returns the version.
    pub(crate) fn push(&self) -> String {
        self.control_plane.set(&self.items())
    }

    pub(crate) fn items(&self) -> Vec<Item> {
        let mut items = items(std::slice::from_ref(&self.service), self.gateway.ports);
        if !self.said.is_null() {
            edit::<cluster::Cluster>(&mut items, (CLUSTER, NAME), |cluster| {
                let metadata = cluster.metadata.get_or_insert_default();
                let said = structure(&self.said);
                metadata
                    .filter_metadata
                    .insert("tidegate.activation".into(), said);
            });
        }
        if let Some(requests_max) = self.requests_max {
            edit::<cluster::Cluster>(&mut items, (CLUSTER, NAME), |cluster| {
                let thresholds = cluster::circuit_breakers::Thresholds {
                    max_requests: Some(UInt32Value { value: requests_max }),
                    ..Default::default()
                };
                cluster.circuit_breakers.get_or_insert_default().thresholds = vec![thresholds];
            });
        }
        let mut add = |kind: &str, name: &str, body: Vec<u8>| items.push(Item::new(kind, name, body));
        if self.lists_pods {
            let name = self.pods_name;
            let mut cluster = by_eds(name);
            cluster.http2_protocol_options = self.speak_http2.then(core::Http2ProtocolOptions::default);
            add(CLUSTER, name, cluster.encode_to_vec());
            add(ENDPOINTS, name, assignment(name, &self.pods).encode_to_vec());
        }
        if !self.peers.is_empty() {
            let at = |ip: &&str| (SocketAddr::new(ip.parse().expect("an address"), 8080), true);
            let peers: Vec<_> = self.peers.iter().map(at).collect();
            let cluster = cluster::Cluster {
                name: PEERS.to_owned(),
                load_assignment: Some(assignment(PEERS, &peers)),
                ..Default::default()
            };
            add(CLUSTER, PEERS, cluster.encode_to_vec());
        }
        items
    }

    /// Pushes a state without the revision and its pods, and waits until they are gone. What was said of it is returned.
    pub(crate) async fn forget(&mut self) -> serde_json::Value {
        let said = std::mem::take(&mut self.said);
        self.lists_pods = false;
        self.push();
        eventually("the clusters are as they are pushed", async || {
            let clusters = self.gateway.asks("/clusters").await.text();
            !clusters.contains(PODS) && !clusters.contains("tidegate_activation")
        })
        .await;
        said
    }

    pub(crate) fn host(&self) -> String {
        self.service.external_host()
    }

    /// Starts this many requests that are still to be answered.
    pub(crate) fn get(&self, count: usize) -> JoinSet<Answer> {
        let (address, host) = (self.gateway.external(), self.host());
        (0..count)
            .map(|_| {
                let host = host.clone();
                async move { get(address, &host, "/").await }
            })
            .collect()
    }

    /// Waits until exactly so many requests are parked.
    pub(crate) async fn parked(&self, count: usize) {
        eventually(&format!("{count} parked requests"), async || {
            let parked = self.lines("parked").await;
            (parked == [count.to_string()])
                .then_some(())
                .ok_or(format!("{parked:?}"))
        })
        .await;
    }

    /// Waits until exactly these pods take requests.
    pub(crate) async fn uses(&self, pods: &[SocketAddr]) {
        let mut expected: Vec<_> = pods.iter().map(SocketAddr::to_string).collect();
        expected.sort();
        eventually(&format!("the pods {expected:?}"), async || {
            let lines = self.lines("pod").await;
            let used = lines
                .iter()
                .filter_map(|line| line.strip_suffix("::in_flight::0"));
            let used: Vec<_> = used.map(str::to_owned).collect();
            (used == expected).then_some(()).ok_or(format!("{used:?}"))
        })
        .await;
    }

    /// What `/clusters` says of one thing about the revision.
    pub(crate) async fn lines(&self, about: &str) -> Vec<String> {
        let text = self.gateway.asks("/clusters").await.text();
        let prefix = format!("{NAME}::tidegate_activation::{about}::");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        lines.map(str::to_owned).collect()
    }
}

/// A pod that is ready: its sidecar says so, and its application says this.
pub(crate) async fn pod(text: &'static str) -> Upstream {
    Upstream::start(move |request| async move { said(request.headers(), text) }).await
}

fn said(headers: &http::HeaderMap, text: &'static str) -> Response<Body> {
    let is_probe = headers
        .get("k-network-probe")
        .is_some_and(|probe| probe == "queue");
    answer(StatusCode::OK, if is_probe { "queue" } else { text })
}

fn by_eds(name: &str) -> cluster::Cluster {
    cluster::Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(
            cluster::cluster::DiscoveryType::Eds as i32,
        )),
        eds_cluster_config: Some(cluster::cluster::EdsClusterConfig {
            eds_config: Some(core::ConfigSource {
                resource_api_version: core::ApiVersion::V3 as i32,
                config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
                    core::AggregatedConfigSource::default(),
                )),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn assignment(name: &str, pods: &[(SocketAddr, bool)]) -> endpoint::ClusterLoadAssignment {
    let listed = pods.iter().map(|(at, is_ready)| {
        let socket = core::SocketAddress {
            address: at.ip().to_string(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(at.port().into())),
            ..Default::default()
        };
        let status = if *is_ready {
            core::HealthStatus::Healthy
        } else {
            core::HealthStatus::Unhealthy
        };
        endpoint::LbEndpoint {
            host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
                endpoint::Endpoint {
                    address: Some(core::Address {
                        address: Some(core::address::Address::SocketAddress(socket)),
                    }),
                    ..Default::default()
                },
            )),
            health_status: status as i32,
            ..Default::default()
        }
    });
    endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![endpoint::LocalityLbEndpoints {
            lb_endpoints: listed.collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A map of JSON as protobuf has it; of what is in it, texts, numbers and bools.
fn structure(json: &serde_json::Value) -> Struct {
    let fields = json.as_object().expect("a map");
    let value = |of: &serde_json::Value| {
        let text = || Kind::StringValue(of.as_str().expect("a text").to_owned());
        let number = of.as_f64().map(Kind::NumberValue);
        let kind = number.or_else(|| of.as_bool().map(Kind::BoolValue));
        Value {
            kind: Some(kind.unwrap_or_else(text)),
        }
    };
    Struct {
        fields: fields
            .iter()
            .map(|(name, of)| (name.clone(), value(of)))
            .collect(),
    }
}
