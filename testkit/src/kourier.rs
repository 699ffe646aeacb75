//! What does Kourier push for a number of Knative Services? Resources of the shape and size that its controller sends.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher};
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration, UInt32Value};
use prost::{Message, Name};

/// A resource as a control plane holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Its type URL and its bytes.
    pub any: Any,
}

/// What is pushed, by type, each in the order in which it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Push {
    /// CDS.
    pub clusters: Vec<Resource>,
    /// LDS.
    pub listeners: Vec<Resource>,
    /// RDS.
    pub routes: Vec<Resource>,
}

/// One Knative Service with one revision.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The revision that has all its traffic.
    pub revision: String,
    /// Where that one's pods are.
    pub pods: Vec<SocketAddr>,
    /// What `K-Network-Hash` is overridden by: it changes whenever the service's Ingress does.
    pub hash: String,
}

/// Where the listeners are; Kourier's ports by default.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// External plain HTTP (`listener_8080`).
    pub external: u16,
    /// Internal plain HTTP (`listener_8081`).
    pub internal: u16,
    /// External, for probes (`listener_8090`).
    pub probe: u16,
}

impl Ports {
    /// Ports that are free.
    #[must_use]
    pub fn free() -> Self {
        let [external, internal, probe] = crate::ports::free();
        Self {
            external,
            internal,
            probe,
        }
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            external: 8080,
            internal: 8081,
            probe: 8090,
        }
    }
}

impl Service {
    /// The `number`th of many, in `default`, with these pods.
    #[must_use]
    pub fn numbered(number: usize, pods: Vec<SocketAddr>) -> Self {
        Self {
            namespace: "default".to_owned(),
            name: format!("service-{number:05}"),
            revision: format!("service-{number:05}-00001"),
            pods,
            hash: format!("{number:064x}"),
        }
    }

    /// The host that clients outside the cluster use.
    #[must_use]
    pub fn external_host(&self) -> String {
        format!("{}.{}.example.com", self.name, self.namespace)
    }

    fn internal_hosts(&self) -> [String; 3] {
        let short = format!("{}.{}", self.name, self.namespace);
        [
            short.clone(),
            format!("{short}.svc"),
            format!("{short}.svc.cluster.local"),
        ]
    }

    fn cluster_name(&self) -> String {
        format!("{}/{}", self.namespace, self.revision)
    }

    fn cluster(&self) -> cluster::Cluster {
        let endpoints = self.pods.iter().map(|pod| lb_endpoint(*pod)).collect();
        cluster::Cluster {
            name: self.cluster_name(),
            connect_timeout: Some(seconds(5)),
            load_assignment: Some(endpoint::ClusterLoadAssignment {
                cluster_name: self.cluster_name(),
                endpoints: vec![endpoint::LocalityLbEndpoints {
                    lb_endpoints: endpoints,
                    ..Default::default()
                }],
                ..Default::default()
            }),
            cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(
                cluster::cluster::DiscoveryType::Static as i32,
            )),
            ..Default::default()
        }
    }

    /// The virtual host for one of its hosts: the copy that answers probes with the hash before the one for everybody. Routes are
    /// called after the first host of their rule.
    fn virtual_host(&self, host: &str, first: &str) -> route::VirtualHost {
        let domain = |host| format!("({}/{}).Domain[{host}]", self.namespace, self.name);
        let name = domain(host);
        let path = format!("{}.Paths[/]", domain(first));
        let probed = self.route(
            &path,
            vec![exact("K-Network-Hash", "override")],
            vec![overwrite("K-Network-Hash", &self.hash)],
        );
        route::VirtualHost {
            name,
            domains: vec![host.to_owned(), format!("{host}:*")],
            routes: vec![probed, self.route(&path, Vec::new(), Vec::new())],
            ..Default::default()
        }
    }

    fn route(
        &self,
        name: &str,
        headers: Vec<route::HeaderMatcher>,
        edits: Vec<core::HeaderValueOption>,
    ) -> route::Route {
        let share = route::weighted_cluster::ClusterWeight {
            name: self.cluster_name(),
            weight: Some(UInt32Value { value: 100 }),
            request_headers_to_add: vec![
                overwrite("Knative-Serving-Namespace", &self.namespace),
                overwrite("Knative-Serving-Revision", &self.revision),
            ],
            ..Default::default()
        };
        let action = route::RouteAction {
            cluster_specifier: Some(route::route_action::ClusterSpecifier::WeightedClusters(
                route::WeightedCluster {
                    clusters: vec![share],
                    ..Default::default()
                },
            )),
            timeout: Some(seconds(0)),
            upgrade_configs: vec![route::route_action::UpgradeConfig {
                upgrade_type: "websocket".to_owned(),
                enabled: Some(BoolValue { value: true }),
                ..Default::default()
            }],
            ..Default::default()
        };
        route::Route {
            name: name.to_owned(),
            r#match: Some(route::RouteMatch {
                path_specifier: Some(route::route_match::PathSpecifier::Prefix("/".to_owned())),
                headers,
                ..Default::default()
            }),
            action: Some(route::route::Action::Route(action)),
            request_headers_to_add: edits,
            ..Default::default()
        }
    }
}

/// All that is pushed for these services: clusters, three listeners and two route configurations.
#[must_use]
pub fn push(services: &[Service], ports: Ports) -> Push {
    let clusters = services.iter().map(|service| {
        let cluster = service.cluster();
        resource(&cluster.name.clone(), &cluster)
    });
    let internal = services.iter().flat_map(|service| {
        let (hosts, external) = (service.internal_hosts(), service.external_host());
        let mut of_service: Vec<_> = hosts
            .iter()
            .map(|host| service.virtual_host(host, &hosts[0]))
            .collect();
        of_service.push(service.virtual_host(&external, &external));
        of_service
    });
    let external = services
        .iter()
        .map(|service| service.virtual_host(&service.external_host(), &service.external_host()));
    Push {
        clusters: clusters.collect(),
        listeners: listeners(ports),
        routes: vec![
            table("external_services", external.collect()),
            table(
                "internal_services",
                internal.chain([status_host()]).collect::<Vec<_>>(),
            ),
        ],
    }
}

/// What kubelet asks on the internal port; its cluster is in Kourier's bootstrap.
fn status_host() -> route::VirtualHost {
    let share = route::weighted_cluster::ClusterWeight {
        name: "service_stats".to_owned(),
        weight: Some(UInt32Value { value: 100 }),
        ..Default::default()
    };
    let action = route::RouteAction {
        cluster_specifier: Some(route::route_action::ClusterSpecifier::WeightedClusters(
            route::WeightedCluster {
                clusters: vec![share],
                ..Default::default()
            },
        )),
        timeout: Some(seconds(1)),
        ..Default::default()
    };
    route::VirtualHost {
        name: "internalkourier".to_owned(),
        domains: vec!["internalkourier".to_owned()],
        routes: vec![route::Route {
            name: "gateway_ready".to_owned(),
            r#match: Some(route::RouteMatch {
                path_specifier: Some(route::route_match::PathSpecifier::Prefix("/ready".to_owned())),
                ..Default::default()
            }),
            action: Some(route::route::Action::Route(action)),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn listeners(ports: Ports) -> Vec<Resource> {
    let listeners = [
        ("listener_8080", ports.external, "external_services"),
        ("listener_8081", ports.internal, "internal_services"),
        ("listener_8090", ports.probe, "external_services"),
    ];
    let listeners = listeners.map(|(name, port, table)| {
        let listener = listener::Listener {
            name: name.to_owned(),
            address: Some(address(SocketAddr::from(([127, 0, 0, 1], port)))),
            filter_chains: vec![listener::FilterChain {
                filters: vec![listener::Filter {
                    name: "envoy.filters.network.http_connection_manager".to_owned(),
                    config_type: Some(listener::filter::ConfigType::TypedConfig(packed(
                        &connection_manager(table),
                    ))),
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        resource(name, &listener)
    });
    listeners.into()
}

fn connection_manager(table: &str) -> manager::HttpConnectionManager {
    let source = core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        initial_fetch_timeout: Some(seconds(10)),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        ..Default::default()
    };
    let router = manager::HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(manager::http_filter::ConfigType::TypedConfig(Any {
            type_url: Router::type_url(),
            value: Vec::new(),
        })),
        ..Default::default()
    };
    manager::HttpConnectionManager {
        stat_prefix: "ingress_http".to_owned(),
        http_filters: vec![router],
        stream_idle_timeout: Some(seconds(0)),
        route_specifier: Some(manager::http_connection_manager::RouteSpecifier::Rds(
            manager::Rds {
                config_source: Some(source),
                route_config_name: table.to_owned(),
            },
        )),
        ..Default::default()
    }
}

fn table(name: &str, virtual_hosts: Vec<route::VirtualHost>) -> Resource {
    let table = route::RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts,
        validate_clusters: Some(BoolValue { value: true }),
        ..Default::default()
    };
    resource(name, &table)
}

fn lb_endpoint(at: SocketAddr) -> endpoint::LbEndpoint {
    endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
            endpoint::Endpoint {
                address: Some(address(at)),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}

fn address(at: SocketAddr) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            address: at.ip().to_string(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(u32::from(
                at.port(),
            ))),
            ..Default::default()
        })),
    }
}

fn exact(name: &str, value: &str) -> route::HeaderMatcher {
    route::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(route::header_matcher::HeaderMatchSpecifier::StringMatch(
            StringMatcher {
                match_pattern: Some(string_matcher::MatchPattern::Exact(value.to_owned())),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}

fn overwrite(name: &str, value: &str) -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            ..Default::default()
        }),
        append_action: core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        ..Default::default()
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}

fn resource<M: Message + Name>(name: &str, message: &M) -> Resource {
    Resource {
        name: name.to_owned(),
        any: packed(message),
    }
}

fn packed<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_takes_as_many_bytes_as_kourier_sends_for_it() {
        let bytes = |count: usize| -> usize {
            let services: Vec<_> = (0..count)
                .map(|number| Service::numbered(number, vec![SocketAddr::from(([10, 0, 0, 1], 8012))]))
                .collect();
            let push = push(&services, Ports::default());
            let all = push.clusters.iter().chain(&push.routes);
            all.map(|resource| resource.any.value.len()).sum()
        };
        let each = (bytes(20) - bytes(10)) / 10;
        // 2.85 kB of internal and 0.74 kB of external routes, 0.15 kB of cluster: `knative-networking`, 3.2.
        assert!((3300..4200).contains(&each), "{each} bytes");
    }
}
